//! The suite that every backend passes: what each call of the private trait promises.

// A violated promise is a panic: this file is a test that other crates can call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{borrow::Cow, mem::discriminant, time::Duration};

use super::*;
use crate::{
    codec::{Envelope, stamp},
    key::entity_id,
    record::Value,
};

mod appends;
mod desk;
mod drains;
mod moves;
mod recoveries;
mod retiring;
mod snapshots;
mod troubles;

pub(crate) use troubles::run as run_in_trouble;

const HOLD: Duration = Duration::from_secs(30);

/// Runs the suite over a backend, in every format. The namespace must be unused.
pub(crate) async fn run(backend: &dyn Backend, namespace: &str) {
    for format in formats(backend).await {
        let keys = Keyspace::new(namespace, format.name(), backend.topology(), 4).unwrap();
        let suite = Suite { backend, namespace, keys, format };
        suite.leases_and_fills().await;
        suite.writers_keep_readers_from_filling().await;
        suite.a_put_needs_a_sole_writer_in_the_same_epoch_and_generation().await;
        suite.a_lost_token_spoils_the_puts_of_those_that_are_there().await;
        suite.what_is_pinned_is_left_alone().await;
        suite.another_home_is_fenced().await;
        suite.a_generation_outdates_fills().await;
        suite.entries_of_another_type_are_replaced().await;
        suite.facts_are_recorded_once().await;
        suite.tokens_and_entries_expire().await;
        appends::run(&suite).await;
        drains::run(&suite).await;
        recoveries::run(&suite).await;
        retiring::run(&suite).await;
        snapshots::run(&suite).await;
    }
}

/// The formats that the server can hold.
async fn formats(backend: &dyn Backend) -> impl Iterator<Item = Format> {
    let has_documents = backend.documents().await.unwrap() == Documents::Held;
    Format::ALL.iter().copied().filter(move |&f| f != Format::JsonDoc || has_documents)
}

struct Suite<'a> {
    backend: &'a dyn Backend,
    namespace: &'a str,
    keys: Keyspace,
    format: Format,
}

impl Suite<'_> {
    /// A slot of partition 0 (another one for another name).
    fn slot(&self, name: &str) -> Slot {
        let slots = (0..).map(|i| {
            let id = Value::Text(Cow::Owned(format!("{name}-{i}")));
            self.keys.slot(&entity_id(vec![id]).unwrap())
        });
        slots.into_iter().find(|slot| slot.partition == 0).unwrap()
    }

    fn body(&self, text: &str) -> Body {
        body(self.format, text)
    }

    async fn read(&self, slot: &Slot) -> Option<Raw> {
        let slots = [slot.clone()];
        let seen = self.backend.read(&self.keys, self.format, &slots).await.unwrap();
        seen.into_iter().next().unwrap().raw
    }

    /// The value that an entry holds.
    async fn value(&self, slot: &Slot) -> Option<String> {
        let raw = self.read(slot).await?;
        let bytes = match &raw {
            Raw::Text(text) => text.as_slice(),
            Raw::Document(text) => text.as_slice(),
            Raw::Fields(fields) => &fields.iter().find(|(name, _)| name == b"v").unwrap().1,
            Raw::WrongType => panic!("the key has another type"),
        };
        let text = String::from_utf8_lossy(bytes);
        let value = text.rsplit('"').nth(1).expect("a value");
        Some(value.to_owned())
    }

    async fn lease(&self, slot: &Slot, token: &str, replace: bool) -> Lease {
        let asks = [LeaseAsk { slot, replace }];
        let leases = self.backend.lease(&self.keys, self.format, &asks, token, HOLD).await;
        leases.unwrap()[0]
    }

    async fn fill(&self, slot: &Slot, token: &str, generation: u64, text: &str) -> bool {
        let (body, stamp) = (self.body(text), stamp(1, slot.hash));
        let content = content(State::Clean, &stamp, &body);
        let fills = [Fill { slot, generation, content: Some(content) }];
        self.backend.fill(&self.keys, &fills, token).await.unwrap()[0]
    }

    async fn begin(&self, slot: &Slot, token: &str) -> Begin {
        let slots = [slot.clone()];
        self.backend.begin(&self.keys, &slots, token, HOLD).await.unwrap()
    }

    async fn end(&self, slot: &Slot, token: &str, (epoch, generation): (u64, u64)) -> bool {
        let (body, stamp) = (self.body(token), stamp(1, slot.hash));
        let content = Some(content(State::Clean, &stamp, &body));
        let ends = [End { slot, token, epoch, generation, content }];
        self.backend.end(&self.keys, &ends).await.unwrap()[0]
    }

    async fn put(&self, writes: &[(&Slot, Option<&str>)]) -> PutReply {
        let prepared: Vec<_> = writes
            .iter()
            .map(|(slot, text)| (*slot, stamp(1, slot.hash), text.map(|text| self.body(text))))
            .collect();
        let puts: Vec<_> = prepared
            .iter()
            .map(|(slot, stamp, body)| Put {
                slot,
                id: &slot.entry,
                content: body.as_ref().map(|body| content(State::Kept, stamp, body)),
            })
            .collect();
        self.backend.put(&self.keys, &puts, false).await.unwrap()
    }

    async fn plant_state(&self, slot: &Slot, state: State) {
        let envelope = Envelope::compose(state, 9, 0, &stamp(1, slot.hash));
        let raw = self.body("planted").compose(&envelope);
        self.backend.plant(&slot.entry, raw).await.unwrap();
    }

    async fn leases_and_fills(&self) {
        let slot = self.slot("fill");
        assert_eq!(self.lease(&slot, "a", false).await, Lease::Granted { generation: 0 });
        assert_eq!(self.lease(&slot, "b", false).await, Lease::Held, "one filler at a time");
        assert!(!self.fill(&slot, "b", 0, "b").await, "a fill needs the lease");
        assert!(self.fill(&slot, "a", 0, "a").await);
        assert_eq!(self.value(&slot).await.as_deref(), Some("a"));
        assert!(!self.fill(&slot, "a", 0, "again").await, "a lease is used up by its fill");
        assert_eq!(self.lease(&slot, "c", false).await, Lease::Present);
        assert_eq!(self.lease(&slot, "c", true).await, Lease::Granted { generation: 0 });
        let returned = [Fill { slot: &slot, generation: 0, content: None }];
        assert!(self.backend.fill(&self.keys, &returned, "c").await.unwrap()[0]);
        assert_eq!(self.value(&slot).await.as_deref(), Some("a"), "nothing was written");
        let evicted = self.backend.evict(&self.keys, std::slice::from_ref(&slot)).await.unwrap();
        assert_eq!((evicted, self.read(&slot).await), (vec![true], None));
    }

    async fn writers_keep_readers_from_filling(&self) {
        let slot = self.slot("writers");
        self.lease(&slot, "reader", false).await;
        self.begin(&slot, "x").await;
        self.begin(&slot, "y").await;
        assert!(!self.fill(&slot, "reader", 0, "old").await, "a begin takes leases away");
        assert_eq!(self.lease(&slot, "reader", false).await, Lease::Blocked);
        self.end(&slot, "x", (0, 0)).await;
        assert_eq!(self.lease(&slot, "reader", false).await, Lease::Blocked, "y still writes");
        self.end(&slot, "y", (0, 0)).await;
        assert_eq!(self.read(&slot).await, None, "writers that overlapped put nothing");
        assert!(matches!(self.lease(&slot, "reader", false).await, Lease::Granted { .. }));
    }

    async fn a_put_needs_a_sole_writer_in_the_same_epoch_and_generation(&self) {
        let slot = self.slot("sole");
        assert_eq!(self.begin(&slot, "x").await, Begin::Begun { epoch: 0, generation: 0 });
        assert!(self.end(&slot, "x", (0, 0)).await);
        assert_eq!(self.value(&slot).await.as_deref(), Some("x"));
        assert!(!self.end(&slot, "x", (0, 0)).await, "the token was used up");
        assert_eq!(self.read(&slot).await, None, "what may be old is removed");
        self.begin(&slot, "y").await;
        assert!(!self.end(&slot, "y", (1, 0)).await, "another epoch");
        self.begin(&slot, "y").await;
        assert!(!self.end(&slot, "y", (0, 1)).await, "another generation");
    }

    async fn a_lost_token_spoils_the_puts_of_those_that_are_there(&self) {
        let slot = self.slot("lost");
        self.begin(&slot, "there").await;
        assert!(!self.end(&slot, "lost", (0, 0)).await);
        assert!(!self.end(&slot, "there", (0, 0)).await, "`lost` may have written after `there`");
        self.begin(&slot, "next").await;
        assert!(self.end(&slot, "next", (0, 0)).await, "the mark goes with the last token");
    }

    async fn what_is_pinned_is_left_alone(&self) {
        for state in [State::Dirty, State::Tombstone, State::Kept] {
            let slot = self.slot(&format!("pinned-{}", state.letter()));
            self.plant_state(&slot, state).await;
            let refused = self.begin(&slot, "x").await;
            let kept = state == State::Kept;
            assert_eq!(refused, if kept { Begin::Kept(0) } else { Begin::Dirty(0) });
            assert_eq!(self.lease(&slot, "r", true).await, Lease::Present);
            let evicted =
                self.backend.evict(&self.keys, std::slice::from_ref(&slot)).await.unwrap();
            assert_eq!(evicted, [false]);
            assert!(!self.end(&slot, "x", (0, 0)).await);
            if !kept {
                assert_eq!(self.put(&[(&slot, Some("new"))]).await, PutReply::Dirty(0));
                assert_eq!(self.put(&[(&slot, None)]).await, PutReply::Dirty(0));
            }
            assert_eq!(self.value(&slot).await.as_deref(), Some("planted"));
        }
        let (clean, dirty) = (self.slot("clean"), self.slot("pinned-d"));
        let slots = [clean.clone(), dirty];
        let begun = self.backend.begin(&self.keys, &slots, "x", HOLD).await.unwrap();
        assert_eq!(begun, Begin::Dirty(1));
        let lease = self.lease(&clean, "r", false).await;
        assert_eq!(lease, Lease::Granted { generation: 0 }, "a refused begin changes nothing");
    }

    async fn another_home_is_fenced(&self) {
        let prefix = format!("{}-home", self.format);
        let keys = Keyspace::new(self.namespace, &prefix, self.backend.topology(), 1).unwrap();
        let slots = [keys.slot(&entity_id(vec![Value::I64(1)]).unwrap())];
        self.backend.plant_meta(&keys, 0, Meta::Home("gone")).await.unwrap();
        let begun = self.backend.begin(&keys, &slots, "x", HOLD).await.unwrap();
        assert_eq!(begun, Begin::Fenced);
    }

    async fn a_generation_outdates_fills(&self) {
        let slot = self.slot("generation");
        self.lease(&slot, "a", false).await;
        self.backend.plant_meta(&self.keys, 0, Meta::Generation(7)).await.unwrap();
        assert!(!self.fill(&slot, "a", 0, "old").await, "the generation moved under the lease");
        assert_eq!(self.lease(&slot, "a", false).await, Lease::Granted { generation: 7 });
        assert!(self.fill(&slot, "a", 7, "new").await);
        let slots = [slot.clone()];
        let seen = self.backend.read(&self.keys, self.format, &slots).await.unwrap();
        assert_eq!(seen[0].generation, 7);
        self.backend.plant_meta(&self.keys, 0, Meta::Epoch(3)).await.unwrap();
        assert_eq!(self.begin(&slot, "w").await, Begin::Begun { epoch: 3, generation: 7 });
        assert!(self.end(&slot, "w", (3, 7)).await);
        self.backend.plant_meta(&self.keys, 0, Meta::Generation(0)).await.unwrap();
        self.backend.plant_meta(&self.keys, 0, Meta::Epoch(0)).await.unwrap();
    }

    async fn entries_of_another_type_are_replaced(&self) {
        for format in formats(self.backend).await {
            let slot = self.slot(&format!("type-{format}"));
            let other = body(format, "other").compose("another program's");
            if discriminant(&other) == discriminant(&self.body("x").compose("")) {
                continue;
            }
            self.backend.plant(&slot.entry, other).await.unwrap();
            assert!(matches!(self.read(&slot).await, None | Some(Raw::WrongType)));
            assert_eq!(self.lease(&slot, "a", false).await, Lease::Granted { generation: 0 });
            assert!(self.fill(&slot, "a", 0, "mine").await);
            assert_eq!(self.value(&slot).await.as_deref(), Some("mine"));
        }
    }

    async fn facts_are_recorded_once(&self) {
        let register = async |value: &str| {
            let facts = [("first", value.to_owned()), ("second", "same".to_owned())];
            self.backend.register(&self.keys, &facts).await.unwrap()
        };
        assert_eq!(register("a").await, ["a", "same"]);
        assert_eq!(register("b").await, ["a", "same"]);
        let amend = async |fact, before, after| {
            self.backend.amend(&self.keys, fact, before, after).await.unwrap()
        };
        assert!(!amend("first", "b", "c").await, "another one is recorded");
        assert!(amend("first", "a", "c").await && amend("first", "a", "c").await, "twice");
        assert!(amend("new", "", "d").await && !amend("new", "", "e").await, "one is recorded");
        assert_eq!(register("b").await, ["c", "same"]);
    }

    async fn tokens_and_entries_expire(&self) {
        let (slot, short) = (self.slot("expiry"), Duration::from_millis(20));
        self.begin(&slot, "overlapping").await;
        self.end(&slot, "overlapping", (0, 0)).await;
        let slots = [slot.clone()];
        self.backend.begin(&self.keys, &slots, "dead", short).await.unwrap();
        assert_eq!(self.lease(&slot, "r", false).await, Lease::Blocked);
        // The token's own deadline is what this waits for; nothing else can end it.
        while self.lease(&slot, "r", false).await == Lease::Blocked {
            tokio::time::sleep(short).await;
        }
        assert!(!self.end(&slot, "dead", (0, 0)).await, "an expired token puts nothing");
        let (body, stamp) = (self.body("brief"), stamp(1, slot.hash));
        let brief = Content { ttl: Some(short), ..content(State::Clean, &stamp, &body) };
        self.lease(&slot, "f", true).await;
        let fills = [Fill { slot: &slot, generation: 0, content: Some(brief) }];
        assert!(self.backend.fill(&self.keys, &fills, "f").await.unwrap()[0]);
        while self.read(&slot).await.is_some() {
            tokio::time::sleep(short).await;
        }
    }
}

/// A body that holds a text, which [`Suite::value`] finds again. The backend looks at none of it.
fn body(format: Format, text: &str) -> Body {
    match format {
        Format::Json => Body::Text(format!(",\"v\":\"{text}\"}}")),
        Format::Msgpack => Body::Packed([b"\0\xff\"", text.as_bytes(), b"\""].concat()),
        Format::JsonDoc => Body::Document(format!(",\"v\":\"{text}\"}}")),
        Format::Hash => Body::Fields(vec![("v".to_owned(), format!("\"{text}\"").into_bytes())]),
    }
}

fn content<'a>(state: State, stamp: &'a str, body: &'a Body) -> Content<'a> {
    Content { state, stamp, body, ttl: None }
}
