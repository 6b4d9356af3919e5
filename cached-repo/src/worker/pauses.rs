//! What failed: when it is tried again, and in batches of which size.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::ending::Trouble;
use crate::{clock::Random, journal::Target, retry::Backoff};

pub(super) const PASSING_FIRST: Duration = Duration::from_millis(50);
pub(super) const PASSING_MAX: Duration = Duration::from_secs(2);
const LASTING_FIRST: Duration = Duration::from_secs(1);
const LASTING_MAX: Duration = Duration::from_secs(15);

/// The partitions that failed, or failed a moment ago.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    waiting: BTreeMap<Target, Wait>,
    /// Records of a batch, where they are fewer than the settings say: what the store does not manage in
    /// its time it may manage in parts.
    batches: BTreeMap<Target, usize>,
}

#[derive(Debug)]
struct Wait {
    until: Instant,
    backoff: Backoff,
    is_lasting: bool,
}

impl Pauses {
    pub(super) fn is_waiting(&self, target: &Target, now: Instant) -> bool {
        self.waiting.get(target).is_some_and(|wait| wait.until > now)
    }

    pub(super) fn targets(&self) -> Vec<Target> {
        self.waiting.keys().cloned().collect()
    }

    /// The records of its next batch, of so many that the settings allow.
    pub(super) fn batch(&self, target: &Target, full: usize) -> usize {
        self.batches.get(target).map_or(full, |batch| *batch)
    }

    /// Halves the batch, where it may be the batch, and waits longer every time.
    pub(super) fn failed(
        &mut self,
        target: Target,
        trouble: &Trouble,
        full: usize,
        now: Instant,
        random: &Random,
    ) {
        let is_lasting = matches!(trouble, Trouble::Lasting(_));
        if !is_lasting {
            let batch = self.batch(&target, full);
            self.batches.insert(target.clone(), (batch / 2).max(1));
        }
        let mut backoff = match self.waiting.get(&target) {
            Some(wait) if wait.is_lasting == is_lasting => wait.backoff,
            _ if is_lasting => Backoff::new(LASTING_FIRST, LASTING_MAX),
            _ => Backoff::new(PASSING_FIRST, PASSING_MAX),
        };
        let until = now + backoff.wait(random);
        self.waiting.insert(target, Wait { until, backoff, is_lasting });
    }

    /// What waits for others is looked at again after a while, which is longer every time.
    pub(super) fn waits(
        &mut self,
        target: Target,
        (first, longest): (Duration, Duration),
        now: Instant,
        random: &Random,
    ) {
        let (mut backoff, is_lasting) = match self.waiting.get(&target) {
            Some(wait) => (wait.backoff, wait.is_lasting),
            None => (Backoff::new(first, longest), false),
        };
        let until = now + backoff.wait(random);
        self.waiting.insert(target, Wait { until, backoff, is_lasting });
    }

    /// It waits no longer, whatever for.
    pub(super) fn wake(&mut self, target: &Target, now: Instant) {
        if let Some(wait) = self.waiting.get_mut(target) {
            wait.until = now;
        }
    }

    /// Doubles the batch up to what the settings allow. Tells whether a person had to mend something.
    pub(super) fn succeeded(&mut self, target: &Target, full: usize) -> bool {
        if let Some(batch) = self.batches.get_mut(target) {
            *batch *= 2;
            if *batch >= full {
                self.batches.remove(target);
            }
        }
        self.waiting.remove(target).is_some_and(|wait| wait.is_lasting)
    }
}
