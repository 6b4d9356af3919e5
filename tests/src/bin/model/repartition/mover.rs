//! The steps of the mover: say it, seal, drain, close, open, say it.

use super::{
    Layout, MOVER, Mover, NEW, OLD, Recovery, Repartition, State,
    state::{Partition, Row},
};

impl Repartition {
    pub(super) fn step(&self, state: &mut State) -> Option<()> {
        if state.recoveries[MOVER] != Recovery::None {
            return None;
        }
        state.mover = match state.mover {
            Mover::Down => self.start(state),
            Mover::Sealing if !state.is_sound() => {
                return self.begin_recovery(state, MOVER, OLD);
            }
            Mover::Sealing => {
                state.redis.partitions[OLD].is_sealed |= self.sealed;
                Mover::Draining
            }
            Mover::Draining => self.look(state)?,
            Mover::Drained { epoch } => self.close(state, epoch),
            Mover::Opening => {
                self.open(state);
                Mover::Finishing
            }
            Mover::Finishing => {
                state.layout = Layout::New;
                Mover::Done
            }
            Mover::Done => return None,
        };
        Some(())
    }

    fn start(&self, state: &mut State) -> Mover {
        if state.layout == Layout::Old {
            state.layout = Layout::Moving;
        }
        if self.layout_first && state.layout == Layout::Moving {
            self.open(state);
            state.layout = Layout::New;
            return Mover::Sealing;
        }
        match (state.layout, state.rows[OLD].is_closed) {
            (Layout::New, _) => Mover::Done,
            (_, true) => Mover::Opening,
            _ => Mover::Sealing,
        }
    }

    /// Whether the old partition is drained; if an incident opened it, it is sealed again.
    fn look(&self, state: &State) -> Option<Mover> {
        let (found, row) = (&state.redis.partitions[OLD], state.rows[OLD]);
        if !state.is_sound() || found.is_sealed != self.sealed {
            return Some(Mover::Sealing);
        }
        let is_drained = found.journal.is_empty() && found.acked == row.position;
        is_drained.then_some(Mover::Drained { epoch: row.epoch })
    }

    fn close(&self, state: &mut State, epoch: u8) -> Mover {
        let row = &mut state.rows[OLD];
        if self.close_compares && !row.is_in(epoch) {
            return Mover::Sealing;
        }
        row.is_closed = self.closed;
        row.epoch += u8::from(self.raised);
        Mover::Opening
    }

    fn open(&self, state: &mut State) {
        let epoch = if self.epoch_above { state.rows[OLD].epoch + 1 } else { 1 };
        state.rows[NEW] = Row { epoch, settled: epoch, position: state.writes, is_closed: false };
        state.redis.partitions[NEW] = Partition {
            home: state.server,
            epoch,
            is_sealed: true,
            acked: state.writes,
            ..Partition::default()
        };
    }
}

impl State {
    /// Whether the old partition's journal is at home and in the store's epoch.
    fn is_sound(&self) -> bool {
        let found = &self.redis.partitions[OLD];
        found.home == self.server && self.rows[OLD].is_in(found.epoch)
    }
}
