//! Draining an entity behind its parents: parents before children.
//!
//! A session looks how far its partition goes (its horizon), and then how far the parents' journals go
//! (their tails). What was journaled of a parent before any record up to the horizon is in these tails, so
//! the records may be drained when the store has reached all of them. Until then the session ends, and
//! holds nothing: neither its claim nor a place among the sessions, which the parents may need. The
//! horizon is kept, so that writes of the parents that come later are not waited for.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{
    Worker,
    drain::Session,
    ending::{Ending, Kept, Trouble},
    plan::DELETE,
};
use crate::{
    backend::journal::Meta,
    failpoint::Point,
    journal::{Journal, Roster, Tail, Target},
};

/// A wait is worth telling when it has lasted so long: shorter ones are how it works.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// How long parents are waited for before they are looked at again: at first, and at most.
const PARENTS_WAIT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Up to where a partition may be drained, and what the store must have before.
#[derive(Clone, Debug)]
pub(super) struct Horizon {
    journal: String,
    epoch: u64,
    version: u64,
    tails: Vec<Tail>,
    since: Instant,
}

impl Horizon {
    /// Whether it is still one of this journal, and not behind what was drained.
    fn is_of(&self, meta: &Meta) -> bool {
        self.journal == meta.journal && self.epoch == meta.epoch && self.version > meta.acked
    }

    fn waits_for(&self, target: &Target) -> bool {
        let mut tails = self.tails.iter();
        tails.any(|tail| tail.partition == target.partition && tail.prefix() == target.prefix)
    }

    /// What is waited for, and what this process knows to be in the way of that.
    pub(super) fn reason(&self, roster: &Roster) -> String {
        let parents: BTreeSet<_> = self.tails.iter().map(Tail::prefix).collect();
        let parents: Vec<_> = parents.into_iter().collect();
        let mut reason = format!(
            "it waits, as its `after` says, until the store has what was journaled before of {}",
            parents.join(", ")
        );
        let targets = self
            .tails
            .iter()
            .map(|tail| Target { prefix: tail.prefix().to_owned(), partition: tail.partition });
        if let Some(trouble) = targets.filter_map(|target| roster.trouble_of(&target)).next() {
            reason.push_str(&format!(", which is in trouble itself: {trouble}"));
        }
        reason
    }
}

impl Session<'_> {
    /// Sets up to where this session drains; how it ends if the store does not have what was journaled of
    /// the parents before.
    pub(super) async fn behind_parents(&mut self, meta: &Meta) -> Result<Option<Ending>, Trouble> {
        if self.journal.parents.is_empty() {
            return Ok(None);
        }
        self.until = meta.clock;
        if meta.backlog() == 0 {
            return Ok(None);
        }
        let kept = self.kept.horizon.clone().filter(|horizon| horizon.is_of(meta));
        let horizon = match kept {
            Some(mut horizon) => {
                horizon.tails = self.journal.ahead(horizon.tails).await?;
                horizon
            }
            None => {
                let tails = self.journal.tails().await?;
                self.reach(Point::ParentsSeen).await?;
                let Meta { journal, epoch, clock: version, .. } = meta.clone();
                Horizon { journal, epoch, version, tails, since: self.journal.entries.clock.now() }
            }
        };
        self.until = horizon.version;
        let is_reached = horizon.tails.is_empty();
        // Whatever comes of this session, the next one goes on up to the same horizon.
        let tails = &self.kept.horizon.insert(horizon).tails;
        if is_reached {
            return Ok(None);
        }
        self.journal.nudge_parents(tails);
        if let Some(version) = self.leading_deletes(meta).await? {
            self.until = version;
            return Ok(None);
        }
        Ok(Some(Ending::Waiting))
    }

    /// Up to where nothing but deletes is to be drained, if that is what comes next. What is deleted needs
    /// no parent, and a parent's delete may wait for it.
    async fn leading_deletes(&self, meta: &Meta) -> Result<Option<u64>, Trouble> {
        let entries = &self.journal.entries;
        let first =
            entries.backend.records(&entries.keys, self.partition, meta.acked, 1, 1).await?;
        if first.first().is_none_or(|record| record.op != DELETE) {
            return Ok(None);
        }
        let records = self.read(meta.acked).await?;
        let deletes = records.iter().take_while(|record| record.op == DELETE);
        Ok(deletes.last().map(|record| record.version))
    }
}

impl Worker<'_> {
    /// Tries a partition again that waits for parents, when one of them was drained or after a while.
    pub(super) fn wait_for_parents(&mut self, journal: &Journal, target: Target) {
        journal.entries.counters.drain_waits.add(1);
        let now = self.clock.now();
        let horizon = self.kept.get(&target).and_then(|kept| kept.horizon.as_ref());
        if let Some(horizon) = horizon.filter(|horizon| now - horizon.since >= TOLD_AFTER) {
            self.roster.trouble(&target, Some(horizon.reason(self.roster)));
        }
        self.pauses.waits(target, PARENTS_WAIT, now, &self.random);
    }

    /// Something of an entity was drained: looks again at what waits for it.
    pub(super) fn wake(&mut self, drained: &Target) {
        let waits = |(target, kept): (&Target, &Kept)| {
            kept.horizon.as_ref()?.waits_for(drained).then(|| target.clone())
        };
        let waiting: Vec<_> = self.kept.iter().filter_map(waits).collect();
        let now = self.clock.now();
        for target in waiting {
            self.pauses.wake(&target, now);
            self.add(target);
        }
    }
}
