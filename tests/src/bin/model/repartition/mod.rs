//! Model of changing the number of partitions on live data: one id, whose partition becomes another one.

use stateright::{Model, Property};

mod state;
use state::{First, Layout, Mover, NEW, OLD, Recovery, State, Worker};

mod steps;

mod mover;

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
    Crash,
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
        if state.failovers < self.failovers {
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
            Action::Crash => {
                state.mover = Mover::Down;
                state.recoveries[MOVER] = Recovery::None;
                state.crashes += 1;
            }
            Action::Replicate => state.replica = state.redis.clone(),
            Action::Failover => {
                state.redis = state.replica.clone();
                state.server += 1;
                state.failovers += 1;
                state.newest = None;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("P1 no acknowledged write is lost or overtaken", |_, s: &State| {
                !s.is_at_rest() || s.newest.is_none_or(|newest| newest == s.value)
            }),
            Property::always("P3 a copy that is read at rest is the row", |_, s: &State| {
                let is_over = s.is_at_rest() && s.layout == Layout::New;
                !is_over || s.read() == s.value
            }),
            Property::always(
                "P4 whoever knows the new number reads what was acknowledged",
                |_, s: &State| {
                    let is_over = s.is_calm() && s.layout == Layout::New;
                    !is_over || s.newest.is_none_or(|newest| newest == s.read())
                },
            ),
        ]
    }
}
