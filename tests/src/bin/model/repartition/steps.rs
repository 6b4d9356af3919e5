//! What the steps of writers, readers, workers and recoveries do.

use super::{
    First, Layout, MOVER, NEW, OLD, Recovery, Repartition, State, Worker,
    state::{Entry, Partition, Row},
};

/// So many recoveries are begun: those that overtake each other would do so for ever.
const TICKETS_MAX: u8 = 4;

impl Repartition {
    /// A write behind, or the recovery that it needs first.
    pub(super) fn write_behind(&self, state: &mut State, partition: usize) -> Option<()> {
        let Partition { home, is_sealed, epoch, .. } = state.redis.partitions[partition];
        if home != state.server || is_sealed {
            return self.begin_recovery(state, partition, partition);
        }
        if state.redis.is_intended {
            return None;
        }
        state.writes += 1;
        state.behind[partition] += 1;
        let value = state.writes;
        state.redis.partitions[partition].journal.push(value);
        state.redis.entry = Some(Entry { value, generation: epoch, is_dirty: true });
        state.newest = Some(value);
        Some(())
    }

    pub(super) fn begin_recovery(
        &self,
        state: &mut State,
        who: usize,
        partition: usize,
    ) -> Option<()> {
        let row = state.rows[partition];
        let is_moving = state.layout != Layout::Old || row.is_closed;
        let found = &state.redis.partitions[partition];
        let is_refused = partition == OLD
            && (row.is_closed && self.closed_for_ever
                || who == OLD && found.is_sealed && is_moving && !self.seal_ends);
        let is_bounded = state.tickets < TICKETS_MAX;
        if is_refused || state.recoveries[who] != Recovery::None || !is_bounded {
            return None;
        }
        let is_at_home = found.home == state.server && found.epoch == row.epoch;
        state.recoveries[who] = if is_at_home && row.settled != row.epoch {
            Recovery::Repaired { epoch: row.epoch }
        } else if is_at_home && (!found.is_sealed || who == MOVER) {
            return None;
        } else {
            state.tickets += 1;
            state.redis.partitions[partition].ticket = state.tickets;
            Recovery::Ticketed { server: state.server, ticket: state.tickets, seen: row.epoch }
        };
        Some(())
    }

    pub(super) fn recover(&self, state: &mut State, who: usize) {
        let partition = if who == NEW { NEW } else { OLD };
        let row = &mut state.rows[partition];
        state.recoveries[who] = match state.recoveries[who] {
            Recovery::Ticketed { server, ticket, seen } if row.epoch == seen => {
                row.epoch += 1;
                let Row { epoch, settled, position, .. } = *row;
                Recovery::Raised { server, ticket, epoch, settled, position }
            }
            Recovery::Raised { server, ticket, epoch, settled, position } => {
                let is_there = server == state.server || !self.stays_at_server;
                match is_there && state.repair(partition, ticket, (epoch, settled, position)) {
                    true => Recovery::Repaired { epoch },
                    false => Recovery::None,
                }
            }
            Recovery::Repaired { epoch } => {
                if row.epoch == epoch {
                    row.settled = epoch;
                }
                Recovery::None
            }
            Recovery::None | Recovery::Ticketed { .. } => Recovery::None,
        };
    }

    /// A store-first write by a process with the old number, or the recovery that it needs first.
    pub(super) fn begin(&self, state: &mut State) -> Option<()> {
        let old = &state.redis.partitions[OLD];
        let (home, epoch, acked) = (old.home, old.epoch, old.acked);
        if home != 0 && home != state.server {
            return self.begin_recovery(state, OLD, OLD);
        }
        if state.redis.entry.is_some_and(|entry| entry.is_dirty && entry.value > acked) {
            return None;
        }
        state.redis.entry = None;
        state.redis.is_intended = true;
        state.first = First::Begun { epoch };
        Some(())
    }
}

impl State {
    /// Makes this server the journal's home; false if another recovery began meanwhile. A journal from
    /// before the last settled epoch had been given up.
    fn repair(
        &mut self,
        partition: usize,
        ticket: u8,
        (epoch, settled, position): (u8, u8, u8),
    ) -> bool {
        let found = &mut self.redis.partitions[partition];
        if found.ticket != ticket {
            return false;
        }
        let is_outdated = found.epoch < settled;
        let goes = |value: u8| is_outdated || value <= position;
        let is_gone = |entry: &Entry| {
            entry.is_dirty && found.journal.contains(&entry.value) && goes(entry.value)
        };
        self.redis.entry = self.redis.entry.filter(|entry| !is_gone(entry));
        found.journal.retain(|value| !goes(*value));
        found.acked = position;
        (found.home, found.epoch, found.is_sealed, found.ticket) = (self.server, epoch, false, 0);
        true
    }

    pub(super) fn commit_first(&mut self) -> Option<()> {
        let First::Begun { epoch } = self.first else { return None };
        if !self.rows[OLD].is_in(epoch) {
            self.end();
            return Some(());
        }
        self.writes += 1;
        self.value = self.writes;
        self.newest = Some(self.value);
        self.first = First::Committed;
        Some(())
    }

    pub(super) fn end(&mut self) {
        self.redis.is_intended = false;
        self.redis.entry = self.redis.entry.filter(|entry| entry.is_dirty);
        self.first = First::Over;
    }

    /// Under a lease, which no writer lets outlive it: one step.
    pub(super) fn fill(&mut self, partition: usize) -> Option<()> {
        let generation = self.redis.partitions[partition].epoch;
        let is_usable = |entry: Entry| entry.is_dirty || entry.generation == generation;
        if self.redis.is_intended || self.redis.entry.is_some_and(is_usable) {
            return None;
        }
        self.redis.entry = Some(Entry { value: self.value, generation, is_dirty: false });
        Some(())
    }

    /// A worker takes the oldest record.
    pub(super) fn take(&mut self, partition: usize) -> Option<()> {
        let (found, row) = (&self.redis.partitions[partition], self.rows[partition]);
        let is_sound = found.home == self.server && row.is_in(found.epoch);
        let (epoch, from) = (found.epoch, row.position);
        let to = *found.journal.iter().find(|value| **value > from).filter(|_| is_sound)?;
        self.worker = Worker::Read { partition, epoch, from, to };
        Some(())
    }

    pub(super) fn commit(&mut self) -> Option<()> {
        let Worker::Read { partition, epoch, from, to } = self.worker else { return None };
        let row = &mut self.rows[partition];
        if !row.is_in(epoch) || row.position != from {
            self.worker = Worker::Idle;
            return Some(());
        }
        row.position = to;
        self.value = to;
        self.worker = Worker::Committed { partition, epoch, from, to };
        Some(())
    }

    pub(super) fn acknowledge(&mut self) -> Option<()> {
        let Worker::Committed { partition, epoch, from, to } = self.worker else { return None };
        self.worker = Worker::Idle;
        let found = &mut self.redis.partitions[partition];
        if found.epoch == epoch && found.acked >= from {
            found.acked = to;
            found.journal.retain(|value| *value > to);
            if let Some(entry) = self.redis.entry.as_mut().filter(|entry| entry.value == to) {
                entry.is_dirty = false;
            }
        }
        Some(())
    }
}

impl Row {
    /// Whether transactions of this epoch may commit.
    pub(super) fn is_in(&self, epoch: u8) -> bool {
        self.epoch == epoch && self.settled == epoch
    }
}
