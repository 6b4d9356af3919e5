//! Model of write-behind alone: a journal in Redis, a position in the store, a failover.

use stateright::{Model, Property};

mod state;
use state::{ABSENT, IDS, Record, Redis, State, WORKERS, Worker};

mod steps;

mod cases;
pub(crate) use cases::cases;

/// The last version that the clock of the model reaches.
const NOW_MAX: u8 = 8;
const EPOCH_MAX: u8 = 5;
const BATCH_MAX: usize = 2;

/// Which rules hold and which faults happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteBehind {
    /// The data transaction compares the position with the one that its batch was read from.
    position_compared: bool,
    /// The data transaction moves the position, and skips what lies at or below it.
    position_in_transaction: bool,
    /// The data transaction compares the epoch that the store gave the worker.
    epoch_compared: bool,
    /// Rows carry versions, and only a newer one replaces a row.
    rows_versioned: bool,
    /// A deletion leaves its version behind.
    tombstones: bool,
    /// Mutant: the journal is trimmed before the commit.
    acknowledged_before_commit: bool,
    /// Mutant: an entry that is not in the store yet may be evicted.
    dirty_evicted: bool,
    /// Two workers take different records of one stream, as consumer groups do.
    fan_out: bool,
    /// A commit may report an error, whether or not it took effect.
    commit_unknown: bool,
    /// Mutant: the outcome that is not known is taken for success.
    unknown_trusted: bool,
    /// One failover to a replica that lags.
    failover: bool,
    /// A server that is not the journal's home refuses writes until recovery.
    home_checked: bool,
    /// Recovery raises the clock of the versions and drops what the store has already.
    recovers: bool,
    /// Recovery begins with a new epoch in the store.
    recovery_bumps_epoch: bool,
    /// Versions follow the time; otherwise they are counted.
    versions_by_time: bool,
    /// The clock of the promoted replica is behind.
    clock_behind: bool,
    crashes: u8,
    writes: u8,
}

/// What the protocol says, without a failover.
const RULES: WriteBehind = WriteBehind {
    position_compared: true,
    position_in_transaction: true,
    epoch_compared: false,
    rows_versioned: false,
    tombstones: false,
    acknowledged_before_commit: false,
    dirty_evicted: false,
    fan_out: false,
    commit_unknown: true,
    unknown_trusted: false,
    failover: false,
    home_checked: false,
    recovers: true,
    recovery_bumps_epoch: false,
    versions_by_time: true,
    clock_behind: false,
    crashes: 2,
    writes: 3,
};

/// One atomic step: a script, a transaction, or a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Put { id: usize },
    Delete { id: usize },
    Start { worker: usize },
    Read { worker: usize, records: usize },
    AcknowledgeEarly { worker: usize },
    Commit { worker: usize },
    CommitUnknown { worker: usize, took_effect: bool },
    Acknowledge { worker: usize },
    Crash { worker: usize },
    CrashAfterCommit { worker: usize },
    Evict { id: usize },
    Replicate,
    Failover,
    RecoverStore,
    RecoverRedis,
    Tick,
}

impl Model for WriteBehind {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.writes < self.writes && !state.is_fenced {
            for id in 0..IDS {
                actions.push(Action::Put { id });
                if state.newest[id].0 != ABSENT {
                    actions.push(Action::Delete { id });
                }
            }
        }
        for worker in 0..WORKERS {
            self.actions_of(worker, state, actions);
        }
        self.incidents(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Put { id } => self.write(&mut state, id, last.writes + 1),
            Action::Delete { id } => self.write(&mut state, id, ABSENT),
            Action::Start { worker } => self.start(&mut state, worker),
            Action::Read { worker, records } => self.read(&mut state, worker, records)?,
            Action::AcknowledgeEarly { worker } => self.acknowledge_early(&mut state, worker)?,
            Action::Commit { worker } => self.commit(&mut state, worker)?,
            Action::CommitUnknown { worker, took_effect } => {
                self.commit_unknown(&mut state, worker, took_effect)?;
            }
            Action::Acknowledge { worker } => self.acknowledge(&mut state, worker)?,
            Action::Crash { worker } => state.crash(worker),
            Action::CrashAfterCommit { worker } => {
                self.transaction(&mut state, worker).then_some(())?;
                state.crash(worker);
            }
            Action::Evict { id } => state.evict(id),
            Action::Replicate => state.replica = state.redis.clone(),
            Action::Failover => self.failover(&mut state),
            Action::RecoverStore => self.recover_store(&mut state),
            Action::RecoverRedis => state.recover_redis(),
            Action::Tick => state.now = state.redis.clock + 1,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "W1 without failover every acknowledged write reaches the row",
                |_, state: &State| {
                    state.has_failed_over || !state.is_quiet() || state.has_newest_rows()
                },
            ),
            Property::always(
                "W2 no older write is applied after a newer one",
                |_, state: &State| !state.has_reordered,
            ),
            Property::always("W3 a miss shows the own write", |_, state: &State| {
                !state.has_missed_own_write
            }),
            Property::always(
                "W4 at rest an entry is absent or equals the row",
                Self::entries_are_rows,
            ),
            Property::always(
                "W5 every write acknowledged after a failover reaches the row",
                |_, s: &State| !s.has_failed_over || !s.is_quiet() || s.has_rows_since_failover(),
            ),
        ]
    }
}

impl WriteBehind {
    fn entries_are_rows(&self, state: &State) -> bool {
        let is_unrecovered =
            self.recovers && self.failover && state.redis.clock < state.row.position;
        !state.is_quiet() || state.is_fenced || is_unrecovered || state.has_entries_like_rows()
    }

    fn actions_of(&self, worker: usize, state: &State, actions: &mut Vec<Action>) {
        let may_crash = state.crashes < self.crashes;
        match state.workers[worker] {
            Worker::Down => {
                if state.row.epoch < EPOCH_MAX && !state.is_fenced {
                    actions.push(Action::Start { worker });
                }
                return;
            }
            Worker::Idle { .. } if state.is_fenced => {}
            Worker::Idle { .. } => {
                let read = |records| Action::Read { worker, records };
                actions.extend((1..=BATCH_MAX).map(read));
            }
            Worker::Read { .. } if self.acknowledged_before_commit => {
                actions.push(Action::AcknowledgeEarly { worker });
            }
            Worker::Read { .. } => {
                actions.push(Action::Commit { worker });
                if may_crash {
                    actions.push(Action::CrashAfterCommit { worker });
                }
                if may_crash && self.commit_unknown {
                    let unknown = |took_effect| Action::CommitUnknown { worker, took_effect };
                    actions.extend([true, false].map(unknown));
                }
            }
            Worker::Acknowledged { .. } => actions.push(Action::Commit { worker }),
            Worker::Committed { .. } => actions.push(Action::Acknowledge { worker }),
        }
        if may_crash {
            actions.push(Action::Crash { worker });
        }
    }

    fn incidents(&self, state: &State, actions: &mut Vec<Action>) {
        for (id, entry) in state.redis.entries.iter().enumerate() {
            if entry.is_some_and(|entry| !entry.is_dirty || self.dirty_evicted) {
                actions.push(Action::Evict { id });
            }
        }
        if self.failover && !state.has_failed_over && state.writes > 0 {
            if state.replica != state.redis {
                actions.push(Action::Replicate);
            }
            actions.push(Action::Failover);
        }
        if state.is_fenced {
            let is_first = state.recovered_position.is_none();
            actions.push(if is_first { Action::RecoverStore } else { Action::RecoverRedis });
        }
        let is_late = state.now <= state.redis.clock && state.now < NOW_MAX;
        if self.versions_by_time && self.failover && is_late {
            actions.push(Action::Tick);
        }
    }
}
