//! The part of the suite that only a real server of one's own can pass: what Redis refuses, and when.

use super::{
    desk::{Desk, JOURNAL, REPAIR, ROOMY},
    *,
};
use crate::backend::{
    journal::{Append, Appended, Fate, Repair, Repaired, Write},
    snapshot::{Survey, Turn, Turned},
};

/// Runs it, in every format. The namespace must be unused, and the server nobody else's.
pub(crate) async fn run(backend: &dyn Backend, namespace: &str) {
    for format in formats(backend).await {
        let keys = Keyspace::new(namespace, format.name(), backend.topology(), 4).unwrap();
        let suite = Suite { backend, namespace, keys, format };
        a_key_of_another_type_changes_nothing(&suite).await;
        without_memory_nothing_is_journaled_and_all_is_drained(&suite).await;
        without_memory_a_journal_is_recovered(&suite).await;
        without_memory_an_entity_is_moved(&suite).await;
    }
}

impl Desk<'_> {
    /// Appends in two writes; answers whether the server did it.
    async fn is_taken(&self) -> bool {
        let (a, b, body) = (self.slot("a"), self.slot("b"), self.body("x"));
        let (of_a, of_b) = (stamp(1, a.hash), stamp(1, b.hash));
        let write = |slot, stamp| Write {
            slot,
            content: content(State::Dirty, stamp, &body),
            deletes: false,
            data: Some("{}"),
        };
        let append = Append {
            partition: 0,
            op_id: "another",
            tried_above: Some(0),
            bound: ROOMY,
            schema: "fp",
            writes: &[write(&a, &of_a), write(&b, &of_b)],
        };
        self.backend.append(&self.keys, append).await.is_ok()
    }
}

async fn a_key_of_another_type_changes_nothing(suite: &Suite<'_>) {
    for name in ["journal", "backlog", "intents"] {
        let desk = Desk::open(suite, &format!("type-{name}")).await;
        let key = match name {
            "journal" => desk.keys.journal(0),
            "backlog" => desk.keys.backlog(0),
            _ => desk.keys.intents(&desk.slot("b")),
        };
        let before = desk.known().await;
        desk.backend.plant(&key, Raw::WrongType).await.unwrap();
        assert!(!desk.is_taken().await, "{name}");
        assert_eq!(desk.known().await, before);
        // A hash without fields is no key.
        desk.backend.plant(&key, Raw::Fields(Vec::new())).await.unwrap();
        assert_eq!((desk.read("a").await, desk.read("b").await), (None, None), "{name}");
        assert_eq!((desk.versions().await, desk.oldest().await), (vec![], None), "{name}");
        assert!(desk.is_taken().await, "{name}");
    }
    let bare = Desk::bare(suite, "type-meta");
    bare.backend.plant(&bare.keys.meta(0), Raw::WrongType).await.unwrap();
    assert!(!bare.is_taken().await);
    assert_eq!((bare.read("a").await, bare.versions().await), (None, vec![]));
}

async fn without_memory_nothing_is_journaled_and_all_is_drained(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "memory").await;
    let appended = desk.try_append(&["a", "-b", "c", "a"], "known", None, ROOMY).await;
    let Appended::Written { versions: v, .. } = &appended else { panic!("{appended:?}") };
    let ids = ["a", "b", "c", "free"];
    let before = desk.picture(&ids).await;
    let happen = async |incident| desk.backend.incident(&desk.keys, incident).await.unwrap();
    happen(Incident::NoMemory).await;
    assert!(!desk.is_taken().await);
    let again = desk.try_append(&["a", "-b", "c", "a"], "known", Some(0), ROOMY).await;
    assert_eq!(again, appended, "what was journaled is known");
    assert_eq!(desk.picture(&ids).await, before);

    assert!(desk.backend.claim(&desk.keys, 0, "w", HOLD).await.unwrap().is_some());
    assert!(desk.backend.claim(&desk.keys, 0, "w", HOLD).await.unwrap().is_some());
    let clean = Fate::Clean { ttl: HOLD };
    let brief = (Duration::ZERO, 0);
    let settled = [("b", v[1], clean), ("c", v[2], clean)];
    assert_eq!(desk.acknowledge_as("w", v[2], &settled, brief).await, 1);
    assert_eq!(desk.acknowledge_as("w", v[3], &[("a", v[3], clean)], brief).await, 0);
    assert_eq!(desk.versions().await, v[3..], "trimmed");
    for (id, state) in [("a", State::Clean), ("b", State::Negative), ("c", State::Clean)] {
        assert_eq!(desk.state(id).await, Some(state));
    }
    // A store-first write goes on as well: what it removes makes room.
    let slots = [desk.slot("a")];
    let begun = desk.backend.begin(&desk.keys, &slots, "s", HOLD).await.unwrap();
    assert_eq!(begun, Begin::Begun { epoch: 1, generation: 1 });
    let end = End { slot: &slots[0], token: "s", epoch: 1, generation: 1, content: None };
    assert_eq!(desk.backend.end(&desk.keys, &[end]).await.unwrap(), [false]);
    assert_eq!(desk.backend.evict(&desk.keys, &slots).await.unwrap(), [true]);
    desk.backend.release(&desk.keys, 0, "w").await.unwrap();
    happen(Incident::Memory).await;
    assert!(desk.is_taken().await);
}

async fn without_memory_a_journal_is_recovered(suite: &Suite<'_>) {
    let desk = Desk::open(suite, "rescue").await;
    let v = desk.append(&["a", "b"]).await;
    let happen = async |incident| desk.backend.incident(&desk.keys, incident).await.unwrap();
    happen(Incident::NoMemory).await;
    desk.plant_home().await;
    let repair = Repair { epoch: 2, last_id: v[0], ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 2 });
    let repair = Repair { epoch: 3, journal: "journal-b", last_id: v[0], ..REPAIR };
    assert_eq!(desk.recover(repair).await, Repaired::Kept { left: 2 }, "at home");
    desk.plant_home().await;
    assert_eq!(desk.recover(repair).await, Repaired::Replaced { discarded: 1 });
    happen(Incident::Memory).await;
    let refused = desk.try_append(&["a"], "op", None, ROOMY).await;
    assert!(matches!(refused, Appended::Written { epoch: 3, journal, .. } if journal != JOURNAL));
}

/// An export makes room.
async fn without_memory_an_entity_is_moved(suite: &Suite<'_>) {
    let desk = Desk::bare(suite, "moved");
    let (backend, keys) = (desk.backend, &desk.keys);
    backend.incident(keys, Incident::NoMemory).await.unwrap();
    for _ in 0..2 {
        assert!(backend.take_move(keys, "mover", HOLD).await.unwrap());
    }
    let surveyed = backend.survey(keys, "mover", HOLD, None).await.unwrap();
    assert_eq!(surveyed, Some(Survey::At(0)));
    for (from, to, epoch) in [(Side::Open, Side::Kept, Some(7)), (Side::Kept, Side::Leaving, None)]
    {
        let turn = Turn { token: "mover", from: &[from], behind: None, to, epoch };
        assert!(matches!(backend.turn(keys, 0, turn).await.unwrap(), Turned::From(_)));
    }
    let meta = backend.meta(keys, 0).await.unwrap();
    assert_eq!((meta.standing.side, meta.copies_epoch), (Side::Leaving, 7));
    backend.end_move(keys, "mover").await.unwrap();
    backend.incident(keys, Incident::Memory).await.unwrap();
}

impl Desk<'_> {
    /// As if another server had been the journal's home. Planting needs memory.
    async fn plant_home(&self) {
        self.backend.incident(&self.keys, Incident::Memory).await.unwrap();
        self.plant(Meta::Home("gone")).await;
        self.backend.incident(&self.keys, Incident::NoMemory).await.unwrap();
    }
}
