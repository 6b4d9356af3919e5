//! What tests let happen to the in-process backend.

use super::state::State;
use crate::{
    backend::{Incident, Meta},
    codec::Raw,
    key::Keyspace,
};

/// What outlives an incident.
#[derive(Clone, Debug, Default)]
pub(super) struct Incidents {
    /// How often another server took over.
    servers: u32,
    replica: Option<Box<State>>,
}

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

#[cfg(test)]
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
