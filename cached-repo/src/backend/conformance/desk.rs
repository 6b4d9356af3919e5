//! What the suite works with when it tests a journal: one partition, in one format.

use super::*;
use crate::backend::journal::{
    Acknowledged, Acknowledgement, Append, Appended, Bound, Fate, JournalRecord, Meta as Known,
    Repair, Repaired, Settled, Write,
};

pub(super) const ROOMY: Bound = Bound { records: 1_000, bytes: 1 << 20 };
pub(super) const LONG: Duration = Duration::from_secs(3600);
pub(super) const JOURNAL: &str = "journal-a";

/// One partition of an entity of its own.
pub(super) struct Desk<'a> {
    pub(super) backend: &'a dyn Backend,
    pub(super) keys: Keyspace,
    pub(super) format: Format,
}

/// Everything that a refused append must leave as it was.
#[derive(Debug, PartialEq)]
pub(super) struct Picture {
    known: Known,
    records: Vec<JournalRecord>,
    backlog: Option<u64>,
    entries: Vec<Option<Raw>>,
}

impl<'a> Desk<'a> {
    /// Without a journal.
    pub(super) fn bare(suite: &Suite<'a>, name: &str) -> Self {
        let prefix = format!("{}-{name}", suite.format);
        let topology = suite.backend.topology();
        let keys = Keyspace::new(suite.namespace, &prefix, topology, 1).unwrap();
        Desk { backend: suite.backend, keys, format: suite.format }
    }

    /// With a journal at home, in epoch 1.
    pub(super) async fn open(suite: &Suite<'a>, name: &str) -> Self {
        let desk = Self::bare(suite, name);
        let repaired = desk.recover(Repair { epoch: 1, settled: 1, ..REPAIR }).await;
        assert_eq!(repaired, Repaired::Replaced { discarded: 0 });
        desk
    }

    pub(super) fn slot(&self, id: &str) -> Slot {
        self.keys.slot(&entity_id(vec![Value::Text(Cow::Owned(id.to_owned()))]).unwrap())
    }

    pub(super) fn body(&self, text: &str) -> Body {
        body(self.format, text)
    }

    /// Appends puts of ids, in one step; the data is `{"v":"id"}`, and an id that begins with `-` is
    /// deleted.
    pub(super) async fn try_append(
        &self,
        ids: &[&str],
        op_id: &str,
        tried_above: Option<u64>,
        bound: Bound,
    ) -> Appended {
        let prepared: Vec<_> = ids
            .iter()
            .map(|id| {
                let (name, deletes) = (id.trim_start_matches('-'), id.starts_with('-'));
                let slot = self.slot(name);
                let stamp = stamp(1, slot.hash);
                let body = match (deletes, self.format) {
                    (false, _) => self.body(name),
                    (true, Format::Json) => Body::Text("}".to_owned()),
                    (true, Format::Msgpack) => Body::Packed(Vec::new()),
                    (true, Format::JsonDoc) => Body::Document("}".to_owned()),
                    (true, Format::Hash) => Body::Fields(Vec::new()),
                };
                (slot, stamp, body, deletes, format!("{{\"v\":\"{name}\"}}"))
            })
            .collect();
        let writes: Vec<_> = prepared
            .iter()
            .map(|(slot, stamp, body, deletes, data)| {
                let state = if *deletes { State::Tombstone } else { State::Dirty };
                let content = Content { state, stamp, body, ttl: None };
                // The body of a JSON entry says the same.
                let is_said = self.format == Format::Json && !deletes;
                let data = (!is_said).then_some(data.as_str());
                Write { slot, content, deletes: *deletes, data }
            })
            .collect();
        let append =
            Append { partition: 0, op_id, tried_above, bound, schema: "fp", writes: &writes };
        self.backend.append(&self.keys, append).await.unwrap()
    }

    /// Appends what must be accepted; answers the versions.
    pub(super) async fn append(&self, ids: &[&str]) -> Vec<u64> {
        match self.try_append(ids, "op", None, ROOMY).await {
            Appended::Written { versions, .. } => versions,
            refused => panic!("{refused:?}"),
        }
    }

    pub(super) async fn known(&self) -> Known {
        self.backend.meta(&self.keys, 0).await.unwrap()
    }

    pub(super) async fn records(&self, after: u64) -> Vec<JournalRecord> {
        self.backend.records(&self.keys, 0, after, 10_000, usize::MAX).await.unwrap()
    }

    pub(super) async fn versions(&self) -> Vec<u64> {
        self.records(0).await.into_iter().map(|record| record.version).collect()
    }

    /// The version of the oldest record that is not drained, as the backlog tells it.
    pub(super) async fn oldest(&self) -> Option<u64> {
        let member = self.keys.member(0);
        let backlog = self.backend.backlog(&self.keys).await.unwrap();
        let ours = |(prefix, partition, _): &&(String, u32, u64)| {
            Keyspace::parse_member(&member) == Some((prefix, *partition))
        };
        backlog.iter().find(ours).map(|(_, _, version)| *version)
    }

    pub(super) async fn read(&self, id: &str) -> Option<Raw> {
        let slots = [self.slot(id)];
        self.backend.read(&self.keys, self.format, &slots).await.unwrap().remove(0).raw
    }

    pub(super) async fn envelope(&self, id: &str) -> Option<Envelope> {
        let raw = self.read(id).await?;
        Some(Envelope::parse(raw.envelope().expect("an envelope")).unwrap())
    }

    pub(super) async fn state(&self, id: &str) -> Option<State> {
        self.envelope(id).await.map(|envelope| envelope.state)
    }

    pub(super) async fn picture(&self, ids: &[&str]) -> Picture {
        let mut entries = Vec::new();
        for id in ids {
            entries.push(self.read(id.trim_start_matches('-')).await);
        }
        let (known, records) = (self.known().await, self.records(0).await);
        Picture { known, records, backlog: self.oldest().await, entries }
    }

    /// Acknowledges, keeping records for long; answers how many are left.
    pub(super) async fn acknowledge(&self, last_id: u64, settled: &[(&str, u64, Fate)]) -> u64 {
        self.acknowledge_as("nobody", last_id, settled, (LONG, u64::MAX)).await
    }

    pub(super) async fn acknowledge_as(
        &self,
        token: &str,
        last_id: u64,
        settled: &[(&str, u64, Fate)],
        (retention, retained_bytes): (Duration, u64),
    ) -> u64 {
        let keys: Vec<String> = settled.iter().map(|(id, ..)| self.slot(id).entry).collect();
        let settle =
            |(entry, &(_, version, fate)): (_, &(_, _, _))| Settled { entry, version, fate };
        let settled: Vec<_> = keys.iter().map(String::as_str).zip(settled).map(settle).collect();
        let acknowledgement = Acknowledgement {
            partition: 0,
            epoch: self.known().await.epoch,
            from: 0,
            last_id,
            settled: &settled,
            retention,
            retained_bytes,
            token,
            hold: HOLD,
        };
        match self.backend.acknowledge(&self.keys, acknowledgement).await.unwrap() {
            Acknowledged::Done { left } => left,
            Acknowledged::Elsewhere => 0,
        }
    }

    /// Recovers with a ticket of its own.
    pub(super) async fn recover(&self, repair: Repair<'_>) -> Repaired {
        self.backend.ticket(&self.keys, 0, repair.ticket).await.unwrap();
        self.backend.repair(&self.keys, repair).await.unwrap()
    }

    /// Writes an entry past the library.
    pub(super) async fn plant_entry(&self, id: &str, state: State, version: u64) {
        let slot = self.slot(id);
        let envelope = Envelope::compose(state, version, 1, &stamp(1, slot.hash));
        let raw = self.body("x").compose(&envelope);
        self.backend.plant(&slot.entry, raw).await.unwrap();
    }

    pub(super) async fn plant(&self, meta: Meta) {
        self.backend.plant_meta(&self.keys, 0, meta).await.unwrap();
    }
}

/// A recovery of an empty partition.
pub(super) const REPAIR: Repair<'static> = Repair {
    partition: 0,
    ticket: "ticket",
    epoch: 1,
    settled: 1,
    journal: JOURNAL,
    last_id: 0,
    expects_kept: false,
    expects_empty: false,
};
