//! What tests let happen to the in-process backend, and what they look for in it.

use super::state::State;
use crate::backend::Incident;
#[cfg(any(feature = "conformance", feature = "testing"))]
use crate::key::Keyspace;
#[cfg(feature = "testing")]
use crate::key::Listed;
#[cfg(feature = "conformance")]
use crate::{backend::Meta, codec::Raw};

/// What outlives an incident.
#[derive(Clone, Debug, Default)]
pub(super) struct Incidents {
    /// How often another server took over.
    servers: u32,
    replica: Option<Box<State>>,
}

/// A partition with records that are not drained.
#[cfg(feature = "testing")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Undrained {
    /// What the store's ledger calls the entity.
    pub(crate) entity: String,
    pub(crate) partition: u32,
    pub(crate) records: u64,
}

#[cfg(feature = "testing")]
impl State {
    pub(super) fn undrained(&self) -> Vec<Undrained> {
        let members = self.backlogs.iter().flat_map(|(backlog, members)| {
            members.keys().filter_map(|member| Keyspace::listed(backlog, member))
        });
        let found = members.map(|Listed { entity, partition, meta }| {
            let records = self.partitions.get(&meta).map_or(0, |found| found.meta.backlog());
            Undrained { entity, partition, records }
        });
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        found
    }
}

#[cfg(feature = "conformance")]
impl State {
    pub(super) fn plant(&mut self, key: &str, raw: Raw) {
        self.entries.plant(key, raw);
    }

    pub(super) fn plant_meta(&mut self, keys: &Keyspace, partition: u32, planted: Meta) {
        let meta = &mut self.partition(keys, partition).meta;
        match planted {
            Meta::Home(home) => meta.home = home.to_owned(),
            Meta::Epoch(epoch) => meta.epoch = epoch,
            Meta::Ticket(ticket, server) => {
                let planted = Some((ticket.to_owned(), server.to_owned()));
                self.partition(keys, partition).ticket = planted;
            }
            Meta::Generation(generation) => {
                self.generations.insert(keys.generation(partition).to_owned(), generation);
            }
        }
    }
}

impl State {
    pub(super) fn suffer(&mut self, incident: Incident) {
        match incident {
            Incident::Wipe => self.become_server(self.server.clone(), Self::default()),
            Incident::Restart => {
                let data = self.clone();
                self.take_over(data);
            }
            Incident::Replicate => {
                let mut replica = Box::new(self.clone());
                replica.incidents = Incidents::default();
                self.incidents.replica = Some(replica);
            }
            Incident::FailOver => {
                let replica = self.incidents.replica.clone().unwrap_or_default();
                self.take_over(*replica);
            }
            // Maps have all the memory that there is.
            Incident::NoMemory | Incident::Memory => {}
        }
    }

    fn take_over(&mut self, data: State) {
        self.incidents.servers += 1;
        self.become_server(format!("{}-{}", super::RUN_ID, self.incidents.servers), data);
    }

    fn become_server(&mut self, server: String, data: State) {
        let incidents = std::mem::take(&mut self.incidents);
        *self = data;
        (self.server, self.incidents) = (server, incidents);
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests {
    use super::*;
    use crate::key::Topology;

    #[test]
    fn what_was_replicated_comes_back_on_another_server() {
        let keys = Keyspace::new("", "todos", Topology::Standalone, 1).unwrap();
        let mut state = State::of(crate::memory::RUN_ID);
        let mut epochs = Vec::new();
        let steps = [Incident::Replicate, Incident::FailOver, Incident::Restart, Incident::Wipe];
        for (epoch, incident) in (1..).zip(steps) {
            state.plant_meta(&keys, 0, Meta::Epoch(epoch));
            state.suffer(incident);
            let meta = state.meta(&keys, 0);
            epochs.push((meta.epoch, meta.server));
        }
        let name = |number: &str| format!("{}{number}", crate::memory::RUN_ID);
        assert_eq!(epochs, [(1, name("")), (1, name("-1")), (3, name("-2")), (0, name("-2"))]);
    }
}
