//! Removing what is left in Redis of a partition that was closed because their number was changed.
//!
//! Nobody drains it any more, and nobody recovers it. But Redis may fall back to a state in which its
//! writes were not drained: then their entries are dirty again, and read by everybody.

use super::{
    drain::Session,
    ending::{Ending, Trouble},
};
use crate::{
    backend::journal::{Meta, Retired},
    journal::Event,
    store::Offset,
};

const LIVES: &str = "its journal in Redis was recovered after the database said that the partition is closed: \
                     the database was restored to before that, or Redis is another one's. Nothing is removed";

impl Session<'_> {
    /// Removes a partition that was closed. As long as nothing happened to it since, its records are
    /// retained first like any others.
    ///
    /// All that was acknowledged in it is in the store, or was lost in an incident before it was closed:
    /// it was sealed and drained in the epoch in which it was closed, and what an earlier epoch had beyond
    /// that had been given up. So whatever comes back, the store knows better.
    pub(super) async fn retire(&self, meta: &Meta, closed: &Offset) -> Result<Ending, Trouble> {
        self.journal.check_identity(meta, closed)?;
        if is_as_it_was_closed(meta, closed) {
            let resting = self.rest(meta.epoch, meta.acked, meta.trimmed_to).await?;
            if !matches!(resting, Ending::Idle) {
                return Ok(resting);
            }
        }
        // Before it: better twice than never, and afterwards there is less to count.
        self.report_lost(closed).await?;
        let entries = &self.journal.entries;
        loop {
            let (keys, identity) = (&entries.keys, &closed.journal);
            match entries.backend.retire(keys, self.partition, identity, closed.epoch).await? {
                // Nothing is carried over: Redis may have fallen back meanwhile to what was removed.
                Retired::More => {}
                Retired::Done => return Ok(Ending::Idle),
                // This process stood still for long.
                Retired::Refused => return Err(Trouble::Passing(LIVES.to_owned())),
            }
        }
    }

    /// Reports what an incident took before the partition was closed, and brought back now.
    async fn report_lost(&self, closed: &Offset) -> Result<(), Trouble> {
        let (mut at, mut discarded) = (closed.last_id, 0);
        while let Some(last) = {
            let records = self.read(at).await?;
            discarded += records.len() as u64;
            records.last().map(|record| record.version)
        } {
            at = last;
        }
        if discarded > 0 {
            self.journal.entries.counters.journals_lost.add(1);
            let (entity, partition) = (self.journal.name().to_owned(), self.partition);
            let lost = Event::JournalLost { entity, partition, last_id: closed.last_id, discarded };
            self.journal.roster.listener.tell(&lost);
        }
        Ok(())
    }
}

fn is_as_it_was_closed(meta: &Meta, closed: &Offset) -> bool {
    meta.is_at_home()
        && meta.sealed
        && meta.backlog() == 0
        && meta.acked >= closed.last_id
        && meta.epoch + 1 == closed.epoch
}
