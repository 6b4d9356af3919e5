//! Model of the order between entities: one partition of a parent, one of its child, and their workers.

use stateright::{Model, Property};

mod state;
use state::{CHILD, Child, Horizon, PARENT, State};

mod cases;
pub(crate) use cases::cases;

/// Which rules hold and which faults happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// A child waits until its parents' tails are in the store.
    waits: bool,
    /// Mutant: the tails are looked at before the horizon is set.
    tails_first: bool,
    /// A child drains no more than what is within its horizon.
    within: bool,
    /// A tail whose journal was recovered since is looked at anew.
    renewed: bool,
    /// A horizon counts only in the epoch in which it was set.
    in_its_epoch: bool,
    /// What is drained within a horizon is committed in the epoch of the session that has it.
    bound: bool,
    /// Writes of parents, and of children.
    writes: [u8; 2],
    crashes: u8,
    failovers: u8,
}

/// What the protocol says.
const RULES: Order = Order {
    waits: true,
    tails_first: false,
    within: true,
    renewed: true,
    in_its_epoch: true,
    bound: true,
    writes: [2, 2],
    crashes: 1,
    failovers: 0,
};

/// One atomic step: a script, a transaction, or a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Of a parent or a child; it is acknowledged.
    Write {
        of: usize,
    },
    Recover {
        of: usize,
    },
    ReadParents,
    Commit {
        of: usize,
    },
    Acknowledge {
        of: usize,
    },
    /// The steps of one of the workers at the child.
    Claim {
        who: usize,
    },
    Look {
        who: usize,
    },
    Check {
        who: usize,
    },
    ReadChildren {
        who: usize,
    },
    CommitChildren {
        who: usize,
    },
    Crash {
        who: usize,
    },
    Replicate,
    Failover,
}

impl Model for Order {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for of in [PARENT, CHILD] {
            actions.push(Action::Recover { of });
            actions.push(Action::Acknowledge { of });
            if state.written[of] < self.writes[of] {
                actions.push(Action::Write { of });
            }
        }
        actions.extend([Action::ReadParents, Action::Commit { of: PARENT }]);
        for who in 0..state.workers.len() {
            actions.push(match &state.workers[who] {
                Child::Idle(_) => Action::Claim { who },
                Child::Claimed { .. } => Action::Look { who },
                Child::Waiting(..) => Action::Check { who },
                Child::Free(..) => Action::ReadChildren { who },
                Child::Read(..) => Action::CommitChildren { who },
            });
            if state.crashes < self.crashes && state.workers[who] != Child::Idle(None) {
                actions.push(Action::Crash { who });
            }
        }
        if state.failovers < self.failovers {
            actions.extend([Action::Replicate, Action::Failover]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Write { of } => state.write(of)?,
            Action::Recover { of } => state.recover(of)?,
            Action::ReadParents => {
                let read = state.read(PARENT, state.redis[PARENT].epoch, u8::MAX)?;
                state.parents_read = Some(read);
            }
            Action::Commit { .. } => {
                let read = state.parents_read.take()?;
                state.commit(PARENT, &read);
            }
            Action::Acknowledge { of } => state.acknowledge(of)?,
            Action::Claim { who } => self.claim(&mut state, who),
            Action::Look { who } => self.look(&mut state, who)?,
            Action::Check { who } => self.check(&mut state, who)?,
            Action::ReadChildren { who } => {
                let Child::Free(horizon, mut epoch) = state.workers[who].clone() else {
                    return None;
                };
                if !self.bound {
                    epoch = state.redis[CHILD].epoch;
                }
                let until = if self.within { horizon.version } else { u8::MAX };
                let read = state.read(CHILD, epoch, until);
                state.workers[who] = read.map_or(Child::Idle(None), Child::Read);
            }
            Action::CommitChildren { who } => {
                let Child::Read(read) = state.workers[who].clone() else { return None };
                state.commit(CHILD, &read);
                state.workers[who] = Child::Idle(None);
            }
            Action::Crash { who } => {
                state.workers[who] = Child::Idle(None);
                state.crashes += 1;
            }
            Action::Replicate => state.replica = state.redis.clone(),
            Action::Failover => state.fail_over(),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("O1 no child is stored before its parent", |_, s: &State| {
            !s.is_out_of_order
        })]
    }
}

impl Order {
    fn claim(&self, state: &mut State, who: usize) {
        let Child::Idle(kept) = state.workers[who].clone() else { return };
        let child = &state.redis[CHILD];
        let kept = kept.filter(|horizon| {
            let is_its = !self.in_its_epoch || horizon.epoch == child.epoch;
            is_its && horizon.version > child.acked
        });
        let tail = if self.tails_first { state.redis[PARENT].tail() } else { None };
        state.workers[who] = match kept {
            Some(horizon) => Child::Waiting(horizon, child.epoch),
            None => Child::Claimed { version: child.clock, epoch: child.epoch, tail },
        };
    }

    /// Behind the claim, whose answer is the horizon.
    fn look(&self, state: &mut State, who: usize) -> Option<()> {
        let Child::Claimed { version, epoch, tail } = state.workers[who].clone() else {
            return None;
        };
        let (version, tail) = match self.tails_first {
            true => (state.redis[CHILD].clock, tail),
            false => (version, state.redis[PARENT].tail()),
        };
        let horizon = Horizon { version, epoch, tail };
        state.workers[who] = match self.waits {
            true => Child::Waiting(horizon, epoch),
            false => Child::Free(horizon, epoch),
        };
        Some(())
    }

    /// Looks whether the tail is reached; else the session ends, and keeps its horizon.
    fn check(&self, state: &mut State, who: usize) -> Option<()> {
        let Child::Waiting(mut horizon, session) = state.workers[who].clone() else { return None };
        let parent = &state.redis[PARENT];
        horizon.tail = match horizon.tail {
            _ if parent.acked == parent.clock => None,
            Some((epoch, version)) if epoch == parent.epoch => {
                (parent.acked < version).then_some((epoch, version))
            }
            Some(_) if self.renewed => parent.tail(),
            _ => None,
        };
        state.workers[who] = match horizon.tail {
            Some(_) => Child::Idle(Some(horizon)),
            None => Child::Free(horizon, session),
        };
        Some(())
    }
}
