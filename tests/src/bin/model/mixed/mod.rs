//! Model of different strategies on the same rows: a strategy is swapped on live data.
//!
//! Write-behind writers journal into Redis, and workers drain the journal into the store.
//! Store-first writers hold a token from before their statement until after it; then they delete
//! the entry (cache-aside) or put theirs (write-through). Readers fill under a lease. Each rule of
//! the protocol is a field of `Rules`, and most mutants are one field changed.
//!
//! An action is one atomic step: a script, a transaction of the store, or a deadline that passes.
//! A write is invoked in the step in which its first script succeeds: a caller that waits has not
//! begun, which is the strictest reading of real-time order.

use stateright::{Model, Property};

mod rules;
use rules::Rules;

mod scene;
use scene::{Flavour, Operation, Scene};

mod state;
use state::{Record, Recovery, Server, Set, State, StorePhase, StoreWriter, Worker};

mod actions;
use actions::Action;

mod steps;

mod store_first;

mod journal;

mod readers;

mod recovery;

mod sealing;

mod faults;

mod oracle;

mod cases;
pub(crate) use cases::cases;

/// Writes are numbered from 1; number 0 is the row before all of them.
type Write = u8;
const NOTHING: Write = 0;
const WRITES_MAX: usize = 7;
const IDS_MAX: usize = 2;

/// The rules in force, and who plays.
#[derive(Debug)]
pub(crate) struct Mixed {
    rules: Rules,
    scene: Scene,
    /// By write.
    operations: [Operation; WRITES_MAX + 1],
    /// By store-first writer: its writes, in order.
    store_writes: Vec<Vec<Write>>,
    /// By write-behind writer: its writes, in order.
    journal_writes: Vec<Vec<Write>>,
}

impl Mixed {
    fn new(rules: Rules, scene: Scene) -> Self {
        let (mut operations, mut next) = ([Operation::PUT; WRITES_MAX + 1], NOTHING);
        let mut number = |of_writer: &Vec<Operation>| {
            let one = |operation: &Operation| {
                next += 1;
                operations[usize::from(next)] = *operation;
                next
            };
            of_writer.iter().map(one).collect()
        };
        let store_writes = scene.store_first.iter().map(|(_, list)| number(list)).collect();
        let journal_writes = scene.write_behind.iter().map(number).collect();
        Self { rules, scene, operations, store_writes, journal_writes }
    }

    fn id_of(&self, write: Write) -> usize {
        self.operations[usize::from(write)].id
    }

    fn deletes(&self, write: Write) -> bool {
        write != NOTHING && self.operations[usize::from(write)].deletes
    }

    /// All writes of an id.
    fn writes_of(&self, id: usize) -> Set {
        let numbers = 1..=WRITES_MAX as Write;
        numbers.filter(|write| self.id_of(*write) == id).collect()
    }

    /// What a store-first writer writes next.
    fn next_store_write(&self, state: &State, writer: usize) -> Option<Write> {
        self.store_writes[writer].get(state.store_writers[writer].written).copied()
    }

    /// What a write-behind writer writes next.
    fn next_journal_write(&self, state: &State, writer: usize) -> Option<Write> {
        self.journal_writes[writer].get(state.journal_writers[writer]).copied()
    }
}

impl Model for Mixed {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.scene)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // A violation is final.
        if state.is_disordered || state.is_resurrected {
            return;
        }
        self.steps(state, actions);
        if state.tickets > self.scene.tickets_max {
            actions.retain(|action| !matches!(action, Action::TakeTicket { .. }));
        }
        self.sealing_steps(state, actions);
        self.faults(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, action)?;
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        oracle::properties()
    }
}
