//! A partition of the in-process backend: its journal, and what is known of it.

use std::collections::BTreeMap;

use super::snapshot::Marks;
use crate::backend::journal::{Bound, JournalRecord, Meta, News, Repair, Repaired};

/// What Redis would hold in a partition's stream and in its meta hash.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    /// The server that answers is left empty.
    pub(super) meta: Meta,
    /// With the server at which it was placed.
    pub(super) ticket: Option<(String, String)>,
    /// Who may write, and what is to be copied under `redis_only`.
    pub(super) marks: Marks,
    records: BTreeMap<u64, Appended>,
    mark: Option<Mark>,
}

/// A record, and what is kept with it.
#[derive(Clone, Debug)]
pub(super) struct Appended {
    pub(super) record: JournalRecord,
    pub(super) op_id: String,
    /// Records and bytes of data that were appended up to and with this one.
    count: u64,
    bytes: u64,
}

/// A position that was acknowledged at a time (µs): after the retention it may be trimmed to.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    id: u64,
    bytes: u64,
}

impl Partition {
    /// The version that a write gets now (µs).
    pub(super) fn tick(&mut self, now: u64) -> u64 {
        self.meta.clock = now.max(self.meta.clock + 1);
        self.meta.clock
    }

    /// The versions of the records of this append.
    pub(super) fn find(&self, op_id: &str, above: u64) -> Vec<u64> {
        let later = self.records.range(above.saturating_add(1)..);
        later.filter(|(_, found)| found.op_id == op_id).map(|(&version, _)| version).collect()
    }

    /// Whether there is no room. What is empty has room, so that no write is refused for ever.
    pub(super) fn is_full(&self, bound: Bound, records: u64, bytes: u64) -> bool {
        let Meta { count, acked_count, acked_bytes, .. } = self.meta;
        let is_over = count - acked_count + records > bound.records
            || self.meta.bytes - acked_bytes + bytes > bound.bytes;
        count > acked_count && is_over
    }

    pub(super) fn push(&mut self, record: JournalRecord, op_id: &str) {
        self.meta.count += 1;
        self.meta.bytes += record.data.len() as u64;
        let appended = Appended {
            op_id: op_id.to_owned(),
            count: self.meta.count,
            bytes: self.meta.bytes,
            record,
        };
        self.records.insert(appended.record.version, appended);
    }

    pub(super) fn records(&self, after: u64, count: usize, bytes: usize) -> Vec<JournalRecord> {
        let (mut found, mut size) = (Vec::new(), 0);
        for appended in self.records.range(after.saturating_add(1)..).map(|(_, a)| a).take(count) {
            found.push(appended.record.clone());
            size += appended.record.data.len();
            if size >= bytes {
                break;
            }
        }
        found
    }

    /// The keys of the entries that were journaled above a version and up to another one.
    pub(super) fn entries(&self, after: u64, last_id: u64) -> Vec<String> {
        let later = self.records.range(after.saturating_add(1)..);
        let meant = later.take_while(|(version, _)| **version <= last_id);
        meant.map(|(_, appended)| appended.record.entry.clone()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets all but the records that are not among so many oldest ones; answers the keys of the entries
    /// that these name.
    pub(super) fn give_up(&mut self, count: usize) -> Vec<String> {
        let left = match self.records.keys().nth(count).copied() {
            Some(first) => self.records.split_off(&first),
            None => BTreeMap::new(),
        };
        let gone = std::mem::replace(self, Self { records: left, ..Self::default() });
        gone.records.into_values().map(|appended| appended.record.entry).collect()
    }

    /// The version of the oldest record that is not drained.
    pub(super) fn oldest(&self) -> Option<u64> {
        let left = self.meta.backlog() > 0;
        let above = self.meta.acked.saturating_add(1)..;
        left.then(|| self.records.range(above).next().map(|(&version, _)| version)).flatten()
    }

    /// Moves the acknowledged position forward.
    pub(super) fn acknowledge(&mut self, last_id: u64) {
        if last_id > self.meta.acked {
            self.stand_at(last_id);
        }
    }

    /// Trims what was acknowledged for long enough, or is too much, but nothing above what the store
    /// has now: it may have been restored, and be reading again.
    pub(super) fn trim(&mut self, last_id: u64, retention: u64, retained_bytes: u64, now: u64) {
        let Meta { acked, acked_bytes, .. } = self.meta;
        if acked <= self.meta.trimmed_to {
            return;
        }
        if let Some(mark) = self.mark {
            let is_old = now.saturating_sub(mark.at) >= retention;
            if last_id < mark.id {
                return;
            }
            // A write that may be tried again must be found.
            let is_young = now.saturating_sub(mark.at) < TRIED_AGAIN;
            let is_light = acked_bytes.saturating_sub(mark.bytes) <= retained_bytes / 2;
            if !is_old && (is_light || is_young) {
                return;
            }
            self.records = self.records.split_off(&(mark.id + 1));
            self.meta.trimmed_to = mark.id;
        }
        self.mark = Some(Mark { at: now, id: acked, bytes: acked_bytes });
    }

    /// Makes the server the journal's home. Says whether the journal goes on.
    pub(super) fn repair(&mut self, repair: &Repair<'_>, server: &str) -> Repaired {
        // Whoever settles the epoch tells of it. What nobody has told yet is part of the news.
        let untold = Some(self.meta.news).filter(|_| self.meta.epoch > repair.settled);
        let repaired = self.move_home(repair, server);
        self.meta.news = match (repaired, untold) {
            (Repaired::Replaced { discarded }, Some(News::Lost { discarded: before })) => {
                News::Lost { discarded: discarded + before }
            }
            (Repaired::Replaced { discarded }, _) if discarded > 0 || !repair.expects_empty => {
                News::Lost { discarded }
            }
            (_, Some(lost @ News::Lost { .. })) => lost,
            (Repaired::Kept { left }, Some(News::Recovered { .. })) => News::Recovered { left },
            (Repaired::Kept { left }, _) if !repair.expects_kept => News::Recovered { left },
            _ => News::None,
        };
        repaired
    }

    fn move_home(&mut self, repair: &Repair<'_>, server: &str) -> Repaired {
        let meta = &mut self.meta;
        meta.clock = meta.clock.max(repair.last_id);
        self.ticket = None;
        let is_current = meta.epoch >= repair.settled;
        let is_ours = is_current && meta.exists() && meta.journal == repair.journal;
        if is_current && meta.home == server && !meta.sealed {
            meta.epoch = meta.epoch.max(repair.epoch);
            return Repaired::Kept { left: meta.backlog() };
        }
        meta.home = server.to_owned();
        meta.sealed = false;
        self.mark = None;
        if is_ours {
            meta.epoch = repair.epoch;
            if meta.acked > repair.last_id {
                self.stand_at(repair.last_id);
            }
            return Repaired::Kept { left: self.meta.backlog() };
        }
        let above = repair.last_id.saturating_add(1)..;
        let discarded = self.records.range(above).count() as u64;
        self.records.clear();
        self.meta = Meta {
            home: server.to_owned(),
            journal: repair.journal.to_owned(),
            epoch: repair.epoch,
            clock: self.meta.clock,
            acked: repair.last_id,
            trimmed_to: repair.last_id,
            ..Meta::default()
        };
        Repaired::Replaced { discarded }
    }

    fn stand_at(&mut self, last_id: u64) {
        let next = self.records.range(last_id.saturating_add(1)..).next();
        let (count, bytes) = match (self.records.get(&last_id), next) {
            (Some(at), _) => (at.count, at.bytes),
            (None, Some((_, next))) => (next.count - 1, next.bytes - next.record.data.len() as u64),
            (None, None) => (self.meta.count, self.meta.bytes),
        };
        self.meta.acked = last_id;
        self.meta.acked_count = count;
        self.meta.acked_bytes = bytes;
    }
}

/// A write of which its writer does not know whether it happened is tried again no later than this
/// (µs).
pub(super) const TRIED_AGAIN: u64 = 5_000_000;
