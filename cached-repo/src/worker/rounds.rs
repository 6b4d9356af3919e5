//! What a worker looks at every so often, whether or not anybody told it to.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::{SEAL_AFTER, Worker, acknowledge, ending::Kept, seal};
use crate::{
    journal::{Journal, Target},
    key::Topology,
};

/// A partition that was drained is looked at again so often, for as long as its records are retained:
/// the store may have been restored to an older state.
const REVISIT_INTERVAL: Duration = Duration::from_secs(10);

impl Worker<'_> {
    /// Looks what all processes have journaled, and what is to be looked at again.
    pub(super) async fn poll(&mut self) {
        let journals = self.roster.journals();
        // On one server one key says it for all entities of the namespace.
        let asked = match journals.first().map(|journal| journal.entries.backend.topology()) {
            Some(Topology::Standalone) => &journals[..1],
            _ => &journals[..],
        };
        for journal in asked {
            let entries = &journal.entries;
            match entries.backend.backlog(&entries.keys).await {
                Ok(backlog) => {
                    for (prefix, partition, _) in backlog {
                        self.add(Target { prefix, partition });
                    }
                }
                Err(error) => tracing::debug!(%error, "the backlog cannot be read"),
            }
        }
        self.greet(&journals);
        self.pauses.targets().into_iter().for_each(|target| self.add(target));
        self.revisit();
        self.seal(&journals);
    }

    /// Looks again at what was drained: the store may have been restored to before that.
    fn revisit(&mut self) {
        let now = self.clock.now();
        self.visited.retain(|_, (drained, _)| now - *drained < 2 * acknowledge::RETENTION);
        let mut stale = Vec::new();
        for (target, (_, seen)) in &mut self.visited {
            if now - *seen >= REVISIT_INTERVAL {
                *seen = now;
                stale.push(target.clone());
            }
        }
        stale.into_iter().for_each(|target| self.add(target));
    }

    /// Looks at every partition of a new journal once: the store may have been restored while nobody
    /// was there.
    fn greet(&mut self, journals: &[Arc<Journal>]) {
        let until = self.clock.now() + SEAL_AFTER;
        for journal in &journals[self.known.min(journals.len())..] {
            for target in journal.partitions().map(|partition| journal.target(partition)) {
                self.sealing.insert(target.clone(), until);
                self.add(target);
            }
            let earlier = 0..journal.partitions().start;
            earlier.for_each(|partition| self.add(journal.target(partition)));
        }
        self.known = journals.len();
    }

    /// Seals what is not written any more, according to the strategies of this process, and was not
    /// for a while, whatever those of others say.
    fn seal(&mut self, journals: &[Arc<Journal>]) {
        let now = self.clock.now();
        let due: Vec<_> = self.sealing.extract_if(.., |_, until| *until <= now).collect();
        for (target, _) in due {
            let journal = journals.iter().find(|journal| journal.prefix() == target.prefix);
            if let Some(journal) = journal.filter(|journal| !journal.settings.written) {
                let sealing = seal::seal(Arc::clone(journal), target.partition);
                let sealing = sealing.map(|ending| (ending, Kept::default()));
                self.seals.insert(self.sessions.spawn(sealing).id(), target);
            }
        }
    }
}
