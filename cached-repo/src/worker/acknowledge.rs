//! Telling Redis what the store has: entries become clean copies, records become history.

use std::time::Duration;

use super::{
    drain::{CLAIM_HOLD, Session},
    ending::{Ending, Trouble},
    plan::Plan,
};
use crate::{
    backend::journal::{Acknowledged, Acknowledgement, Fate, JournalRecord, Settled},
    journal::Event,
    store::{Applied, Entry, Ledger, Offset},
};

/// How long records are kept after their acknowledgement, for a store that is restored to an older
/// state.
pub(super) const RETENTION: Duration = Duration::from_secs(60);
/// How many bytes of them a partition keeps at most.
const RETAINED_BYTES: u64 = 16 * 1024 * 1024;
/// Dead letters of one query.
const LETTERS: u32 = 100;

impl Session<'_> {
    /// Tells Redis that a batch is in the store. Answers how many records are left; `None` if Redis is
    /// in another state by now.
    pub(super) async fn acknowledge(
        &self,
        (epoch, from): (u64, u64),
        plan: &Plan,
        records: &[JournalRecord],
        applied: &[Applied],
    ) -> Result<Option<u64>, Trouble> {
        let entries = &self.journal.entries;
        let mut settled = Vec::with_capacity(records.len());
        for (i, change) in plan.changes.iter().enumerate() {
            let JournalRecord { version, entry, .. } = &records[plan.sources[i]];
            let fate = match applied.get(i) {
                Some(Applied::Buried { error }) => {
                    self.report_dead(*version, error);
                    Fate::Drop
                }
                _ => Fate::Clean { ttl: entries.settled_ttl(change.record().is_none()) },
            };
            settled.push(Settled { entry, version: *version, fate });
        }
        for unread in &plan.unreadable {
            let JournalRecord { version, entry, .. } = &records[unread.index];
            self.report_dead(*version, &unread.error);
            settled.push(Settled { entry, version: *version, fate: Fate::Drop });
        }
        let dead = settled.iter().filter(|s| s.fate == Fate::Drop).count();
        let counters = &entries.counters;
        counters.drain_batches.add(1);
        counters.drained.add(settled.len() - dead);
        counters.coalesced.add(plan.coalesced as usize);
        counters.dead_lettered.add(dead);
        self.send((epoch, from), plan.to, &settled).await
    }

    /// Repeats the acknowledgement of what another worker committed before it died. What the store has
    /// of these ids is not known here, so their entries go. Nobody was told of its dead letters.
    pub(super) async fn acknowledge_again(
        &self,
        mut at: u64,
        offset: &Offset,
    ) -> Result<(), Trouble> {
        let Offset { epoch, last_id, .. } = *offset;
        self.report_dead_since(at, last_id).await?;
        loop {
            let mut records = self.read(at).await?;
            records.retain(|record| record.version <= last_id);
            let Some(last) = records.last() else { break };
            let from = std::mem::replace(&mut at, last.version);
            let settled = records.iter().map(|JournalRecord { version, entry, .. }| Settled {
                entry,
                version: *version,
                fate: Fate::Drop,
            });
            self.send((epoch, from), at, &settled.collect::<Vec<_>>()).await?;
        }
        self.send((epoch, at), last_id, &[]).await.map(drop)
    }

    /// Where there is nothing to drain: trims what has been retained for long enough. Later, it would be
    /// replayed into a restored store over newer writes that did not pass the journal.
    pub(super) async fn rest(
        &self,
        epoch: u64,
        acked: u64,
        trimmed_to: u64,
    ) -> Result<Ending, Trouble> {
        if trimmed_to >= acked {
            return Ok(Ending::Idle);
        }
        self.send((epoch, acked), acked, &[]).await?;
        Ok(Ending::Retaining)
    }

    async fn send(
        &self,
        (epoch, from): (u64, u64),
        last_id: u64,
        settled: &[Settled<'_>],
    ) -> Result<Option<u64>, Trouble> {
        let acknowledgement = Acknowledgement {
            partition: self.partition,
            epoch,
            from,
            last_id,
            settled,
            retention: RETENTION,
            retained_bytes: RETAINED_BYTES,
            token: &self.token,
            hold: CLAIM_HOLD,
        };
        let entries = &self.journal.entries;
        Ok(match entries.backend.acknowledge(&entries.keys, acknowledgement).await? {
            Acknowledged::Done { left } => Some(left),
            Acknowledged::Elsewhere => None,
        })
    }

    /// Reports the dead letters between two positions that still wait.
    async fn report_dead_since(&self, mut after: u64, last_id: u64) -> Result<(), Trouble> {
        let (entity, partition) = (self.journal.name(), self.partition);
        loop {
            let after_letter = Some((partition, after));
            let page = Ledger::Letters { entity, after: after_letter, limit: LETTERS };
            let Entry::Letters(letters) = self.journal.store.ledger(page).await? else { break };
            let ours =
                letters.iter().take_while(|l| l.partition == partition && l.version <= last_id);
            let mut reported = 0;
            for letter in ours {
                self.report_dead(letter.version, &letter.error);
                after = letter.version;
                reported += 1;
            }
            self.journal.entries.counters.dead_lettered.add(reported);
            if reported < LETTERS as usize {
                break;
            }
        }
        Ok(())
    }

    fn report_dead(&self, version: u64, error: &str) {
        self.journal.roster.listener.tell(&Event::DeadLettered {
            entity: self.journal.name().to_owned(),
            partition: self.partition,
            version,
            error: error.to_owned(),
        });
    }
}
