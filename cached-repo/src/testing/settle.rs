//! Waiting until the database has everything that was acknowledged, and saying what keeps it.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{sleep, timeout_at};

use super::{Kit, shared::Call};
use crate::{
    error::{Error, ErrorKind, Result},
    handle::Duties,
    journal::Journal,
    memory::Undrained,
    store::DeadLetter,
};

/// So long [`Kit::settle`] waits, which is longer than any pause of the library.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// So many things of a sort are named in an error.
const NAMED_MAX: usize = 5;

impl Kit {
    /// Waits until the database has everything that was acknowledged and everything is at rest: the journals
    /// of all entities are drained, copies that may be older than the database are gone, and no call of a
    /// running process is under way. What an incident of Redis lost is noticed too, and told as an
    /// [`Event`](crate::Event). Copies of what `redis_only` keeps are made when their time comes, or by
    /// [`snapshot_now`](crate::Repository::snapshot_now).
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// `Dirty` if that is not so within a minute (of virtual time, if time is paused), with what is left and
    /// why: nobody drains, the database is down or refuses everything, a call is held. `DeadLettered` if
    /// everything is at rest, and the database has refused something, with what that is.
    pub async fn settle(&self) -> Result<()> {
        self.settle_within(SETTLE_MAX).await
    }

    /// The same, within another time.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub async fn settle_within(&self, longest: Duration) -> Result<()> {
        let clock = self.shared.clock;
        let deadline = clock.now() + longest;
        loop {
            // Under paused time it ends when nothing else can run.
            sleep(LOOK_INTERVAL).await;
            let looked = timeout_at(deadline, self.look()).await;
            let left = looked.unwrap_or_else(|_| self.left(BTreeSet::new()));
            if left.is_empty() {
                break;
            }
            if clock.now() >= deadline {
                let (longest, left) = (longest.as_millis(), left.join("; "));
                let message = format!("not everything is at rest after {longest} ms: {left}");
                return Err(Error::new(ErrorKind::Dirty, message).during("settle", "the kit"));
            }
        }
        match &self.shared.tables.letters()[..] {
            [] => Ok(()),
            letters => Err(dead(letters).during("settle", "the kit")),
        }
    }

    /// Lets every running process look at its journals; says what is left.
    async fn look(&self) -> Vec<String> {
        let mut errors = BTreeSet::new();
        for duties in self.running() {
            for journal in duties.roster.journals() {
                for partition in journal.partitions() {
                    let now = journal.entries.clock.now();
                    match journal.flush(partition, Some(now)).await {
                        // What is not drained is seen below.
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::Dirty => {}
                        Err(error) => {
                            errors.insert(format!("looking at {}: {error}", journal.name()));
                        }
                    }
                }
            }
        }
        self.left(errors)
    }

    fn running(&self) -> impl Iterator<Item = Arc<Duties>> {
        self.shared.lives().into_iter().filter_map(|life| life.duties())
    }

    /// What is left, one sentence each; nothing if everything is at rest.
    fn left(&self, errors: BTreeSet<String>) -> Vec<String> {
        let mut left = Vec::from_iter(errors);
        let undrained = self.shared.memory.undrained();
        left.extend(undrained.iter().take(NAMED_MAX).map(|undrained| self.why(undrained)));
        if undrained.len() > NAMED_MAX {
            left.push(format!("and {} partitions more", undrained.len() - NAMED_MAX));
        }
        for duties in self.running() {
            left.extend(duties.owing().into_iter().map(|(entity, count)| {
                format!("{count} entries of {entity} may be older than the database")
            }));
        }
        let calls = self.shared.calls();
        let tell = |Call { life, step, what }: &Call| {
            format!("a call of process {} is under way or held: {step:?} {what}", life.number)
        };
        left.extend(calls.iter().take(NAMED_MAX).map(tell));
        left
    }

    /// Why a partition is not drained.
    fn why(&self, undrained: &Undrained) -> String {
        let Undrained { entity, partition, records } = undrained;
        let is_of = |journal: &Arc<Journal>| journal.name() == entity;
        let mut why = None;
        let mut drains = false;
        for duties in self.running() {
            let roster = &duties.roster;
            let journal = roster.journals().into_iter().find(is_of);
            let Some(journal) = journal.filter(|_| roster.working.load(Ordering::Relaxed)) else {
                continue;
            };
            drains = true;
            why = why.or_else(|| roster.trouble_of(&journal.target(*partition)));
        }
        let why = why.unwrap_or_else(|| match drains {
            true => "that is under way".to_owned(),
            false => "no running process that has a repository of it drains".to_owned(),
        });
        format!("{records} not drained of {entity}, partition {partition}: {why}")
    }
}

/// That the database has refused something.
fn dead(letters: &[DeadLetter]) -> Error {
    let tell =
        |DeadLetter { entity, id, error, .. }: &DeadLetter| format!("{entity} {id:?}: {error}");
    let named: Vec<_> = letters.iter().take(NAMED_MAX).map(tell).collect();
    let more = match letters.len() - named.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!(
        "the database has refused {} writes, which are dead letters: {}{more}",
        letters.len(),
        named.join("; ")
    );
    Error::new(ErrorKind::DeadLettered, message)
}
