//! Where a session begins, according to the store, and what can be wrong there.

use super::{
    drain::{BATCH_BYTES, Session},
    ending::Trouble,
};
use crate::{
    backend::journal::{JournalRecord, Meta},
    journal::Event,
    store::Offset,
};

/// Where the reading stands.
pub(super) struct Reading {
    pub(super) offset: Offset,
    pub(super) at: u64,
    /// What Redis knew to be committed. More than the store has, if that was restored.
    pub(super) acked: u64,
    /// Records up to here are gone.
    pub(super) trimmed_to: u64,
    /// How many records must be there.
    left: u64,
    /// Nothing was read yet.
    pub(super) is_fresh: bool,
}

impl Session<'_> {
    /// Where to go on, according to the store; `None` after a recovery.
    pub(super) async fn position(
        &self,
        meta: &Meta,
        offset: Option<Offset>,
    ) -> Result<Option<Reading>, Trouble> {
        let sound = |offset: &Offset| {
            meta.is_at_home()
                && meta.epoch == offset.epoch
                && offset.settled == offset.epoch
                && meta.clock >= offset.last_id
        };
        let Some(offset) = offset.filter(sound) else {
            self.journal.recover(self.partition).await?;
            return Ok(None);
        };
        self.journal.check_identity(meta, &offset)?;
        let (entity, partition) = (self.journal.name().to_owned(), self.partition);
        if meta.trimmed_to > offset.last_id {
            let (from, to) = (offset.last_id, meta.trimmed_to);
            self.journal.entries.counters.journal_gaps.add(1);
            let reason = format!(
                "the database was restored to a state (version {from}) that is older than what the \
                 journal retained (from version {to}): `Cache::skip_gap` goes on without what is missing"
            );
            if self.journal.roster.trouble(&self.journal.target(partition), Some(reason.clone())) {
                let gap = Event::JournalGap { entity, partition, from, to };
                self.journal.roster.listener.tell(&gap);
            }
            return Err(Trouble::Lasting(reason));
        }
        if self.journal.replays(partition, meta.acked, offset.last_id)? {
            let (epoch, left) = (offset.epoch, meta.backlog());
            self.journal.entries.counters.recoveries.add(1);
            let event = Event::Recovered { entity, partition, epoch, left };
            self.journal.roster.listener.tell(&event);
        }
        if meta.acked < offset.last_id {
            self.acknowledge_again(meta.acked, &offset).await?;
        }
        // After a repeated acknowledgement the count is another one.
        let left = if meta.acked == offset.last_id { meta.backlog() } else { 0 };
        let (at, acked, trimmed_to) = (offset.last_id, meta.acked, meta.trimmed_to);
        Ok(Some(Reading { at, acked, trimmed_to, left, is_fresh: true, offset }))
    }

    /// Notices that somebody deleted the stream, or that a server which should not evicted it. Where it
    /// has newer records they are drained.
    pub(super) async fn check_all_are_there(
        &self,
        reading: &Reading,
        records: &[JournalRecord],
    ) -> Result<(), Trouble> {
        let (found, bytes) = (records.len(), records.iter().map(|r| r.data.len()).sum::<usize>());
        let expected = reading.left.min(self.batch as u64);
        if found as u64 >= expected || bytes >= BATCH_BYTES {
            return Ok(());
        }
        // Behind the reading: a flush in between took the journal as a whole, which its recovery reports.
        let meta = self.journal.meta(self.partition).await?;
        let is_same = meta.is_at_home() && meta.epoch == reading.offset.epoch;
        if !is_same || meta.acked != reading.acked {
            return Ok(());
        }
        let reason = format!(
            "of {} journaled writes that are not drained some are gone from Redis: somebody deleted the \
             partition's `@journal` key, or the server evicted it. Deleting the `@meta` key too gives them \
             up",
            reading.left
        );
        if self.journal.roster.trouble(&self.journal.target(self.partition), Some(reason.clone())) {
            self.journal.entries.counters.journals_lost.add(1);
            self.journal.roster.listener.tell(&Event::JournalLost {
                entity: self.journal.name().to_owned(),
                partition: self.partition,
                last_id: reading.at,
                discarded: 0,
            });
        }
        if records.is_empty() { Err(Trouble::Lasting(reason)) } else { Ok(()) }
    }
}
