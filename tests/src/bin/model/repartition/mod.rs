//! Model of changing the number of partitions on live data: one id, whose partition becomes another one.

use stateright::{Model, Property};

mod state;
use state::{First, Layout, Mover, NEW, OLD, Partition, Recovery, Redis, State, Worker};

mod steps;

mod mover;

mod retiring;

mod cases;
pub(crate) use cases::cases;

/// That of the mover, behind those of the writers with the old number and with the new one.
const MOVER: usize = 2;

/// Which rules hold and which faults happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repartition {
    /// The old partition takes no writes any more while it is drained.
    sealed: bool,
    /// Mutant: a recovery opens what the mover has sealed.
    seal_ends: bool,
    /// At the end the old partition is marked as closed.
    closed: bool,
    /// With that its epoch is raised, and nobody settles it.
    raised: bool,
    /// Nobody recovers a partition that is closed.
    closed_for_ever: bool,
    /// Closing compares the epoch in which the partition was seen drained.
    close_compares: bool,
    /// The new partition's epoch is above all that the old one had.
    epoch_above: bool,
    /// Mutant: the new number counts before the old partition is drained.
    layout_first: bool,
    /// A recovery that began at one server does not end at another one, which may know its ticket.
    stays_at_server: bool,
    /// What comes back of a partition that is closed is removed.
    retired: bool,
    /// Mutant: only what the store's position says to be drained.
    retired_by_position: bool,
    /// Mutant: what was written to the new partition as well.
    retired_by_id: bool,
    /// Mutant: a step goes on behind what an earlier one has looked at, maybe at another server.
    retired_by_cursor: bool,
    /// Writes behind with the old number, and with the new one; and to the store first, with the old.
    behind: [u8; 2],
    first: bool,
    crashes: u8,
    failovers: u8,
}

/// What the protocol says.
const RULES: Repartition = Repartition {
    sealed: true,
    seal_ends: false,
    closed: true,
    raised: true,
    closed_for_ever: true,
    close_compares: true,
    epoch_above: true,
    layout_first: false,
    stays_at_server: true,
    retired: true,
    retired_by_position: false,
    retired_by_id: false,
    retired_by_cursor: false,
    behind: [2, 1],
    first: true,
    crashes: 1,
    failovers: 0,
};

/// One atomic step: a script, a transaction, or a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    WriteBehind { partition: usize },
    Recover { who: usize },
    Begin,
    CommitFirst,
    End,
    Fill { partition: usize },
    Read { partition: usize },
    Commit,
    Acknowledge,
    Move,
    Retire,
    Crash,
    Wipe,
    Replicate,
    Failover,
}

impl Model for Repartition {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let known = if state.layout == Layout::New { vec![OLD, NEW] } else { vec![OLD] };
        for partition in known {
            if state.behind[partition] < self.behind[partition] {
                actions.push(Action::WriteBehind { partition });
            }
            actions.push(Action::Fill { partition });
        }
        let under_way = |who: &usize| state.recoveries[*who] != Recovery::None;
        actions.extend((OLD..=MOVER).filter(under_way).map(|who| Action::Recover { who }));
        match state.first {
            First::Idle if self.first => actions.push(Action::Begin),
            First::Begun { .. } => actions.push(Action::CommitFirst),
            First::Committed => actions.push(Action::End),
            First::Idle | First::Over => {}
        }
        match state.worker {
            Worker::Idle => {
                actions.extend([OLD, NEW].map(|partition| Action::Read { partition }));
            }
            Worker::Read { .. } => actions.push(Action::Commit),
            Worker::Committed { .. } => actions.push(Action::Acknowledge),
        }
        if state.mover != Mover::Done {
            actions.push(Action::Move);
            if state.mover != Mover::Down && state.crashes < self.crashes {
                actions.push(Action::Crash);
            }
        }
        if self.retired && state.rows[OLD].is_closed {
            actions.push(Action::Retire);
        }
        if state.failovers < self.failovers {
            actions.push(Action::Wipe);
            if state.replica != state.redis {
                actions.push(Action::Replicate);
            }
            actions.push(Action::Failover);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::WriteBehind { partition } => self.write_behind(&mut state, partition)?,
            Action::Recover { who } => self.recover(&mut state, who),
            Action::Begin => self.begin(&mut state)?,
            Action::CommitFirst => state.commit_first()?,
            Action::End => state.end(),
            Action::Fill { partition } => state.fill(partition)?,
            Action::Read { partition } => state.take(partition)?,
            Action::Commit => state.commit()?,
            Action::Acknowledge => state.acknowledge()?,
            Action::Move => self.step(&mut state)?,
            Action::Retire => self.retire(&mut state),
            Action::Crash => {
                state.mover = Mover::Down;
                state.recoveries[MOVER] = Recovery::None;
                state.crashes += 1;
            }
            Action::Replicate => state.replica = state.redis.clone(),
            Action::Wipe => state.suffer(Redis::default()),
            // The old master may come back as a replica with what it had.
            Action::Failover => {
                let replica = std::mem::replace(&mut state.replica, state.redis.clone());
                state.server += 1;
                state.suffer(replica);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "P1 no acknowledged write is lost or overtaken",
                |m: &Self, s: &State| {
                    !m.is_at_rest(s) || s.newest.is_none_or(|newest| newest == s.value)
                },
            ),
            Property::always("P3 a copy that is read at rest is the row", |m: &Self, s: &State| {
                let is_over = m.is_at_rest(s) && s.layout == Layout::New;
                !is_over || s.read() == s.value
            }),
            Property::always(
                "P4 whoever knows the new number reads what was acknowledged",
                |m: &Self, s: &State| {
                    let is_over = m.is_calm(s) && s.layout == Layout::New;
                    !is_over || s.newest.is_none_or(|newest| newest == s.read())
                },
            ),
        ]
    }
}

impl Repartition {
    /// Nobody is in the middle of something, and nothing is left that a worker may drain.
    fn is_at_rest(&self, state: &State) -> bool {
        let is_drained = |p: &Partition| p.journal.is_empty();
        let [old, new] = &state.redis.partitions;
        let is_over = state.layout == Layout::New || is_drained(old);
        self.is_calm(state) && is_drained(new) && is_over
    }

    /// No write, drain or recovery is under way, and none is needed before somebody writes. Nobody
    /// recovers a partition that is closed; the backlog tells workers what to remove of it.
    fn is_calm(&self, state: &State) -> bool {
        let is_at_home = |partition: usize| {
            let home = state.redis.partitions[partition].home;
            home == state.server || home == 0 && state.rows[partition].epoch == 0
        };
        let is_settled = match state.rows[OLD].is_closed {
            true => !self.retired || state.redis.partitions[OLD].journal.is_empty(),
            false => is_at_home(OLD),
        };
        is_settled
            && is_at_home(NEW)
            && state.worker == Worker::Idle
            && matches!(state.first, First::Idle | First::Over)
            && state.recoveries.iter().all(|recovery| *recovery == Recovery::None)
    }
}
