//! What clients saw of one id, and whether one order of it explains that.

use std::collections::BTreeMap;

use stateright::semantics::{
    ConsistencyTester, LinearizabilityTester,
    register::{Register, RegisterOp, RegisterRet},
};

/// What an entity is: its name, or nothing.
pub(super) type Value = Option<u32>;

/// The histories of all ids, and everything that happened.
#[derive(Default)]
pub(super) struct Histories {
    ids: BTreeMap<usize, History>,
    begun: u64,
    pub(super) trace: Vec<String>,
}

/// What was seen of one id.
#[derive(Default)]
struct History {
    first: Value,
    steps: Vec<Step>,
}

enum Step {
    Begin { number: u64, op: RegisterOp<Value> },
    End { number: u64, answer: RegisterRet<Value> },
}

/// An operation that was begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    id: usize,
    number: u64,
}

impl Histories {
    /// Begins the history of an id with what it is now.
    pub(super) fn start(&mut self, id: usize, first: Value) {
        self.ids.insert(id, History { first, steps: Vec::new() });
    }

    /// A read begins, or a write of this.
    pub(super) fn begin(&mut self, id: usize, write: Option<Value>) -> Begun {
        self.begun += 1;
        let number = self.begun;
        let op = write.map_or(RegisterOp::Read, RegisterOp::Write);
        self.steps(id).push(Step::Begin { number, op });
        Begun { id, number }
    }

    /// It was acknowledged, or answered this. One that never ends may have happened or not.
    pub(super) fn end(&mut self, Begun { id, number }: Begun, read: Option<Value>) {
        let answer = read.map_or(RegisterRet::WriteOk, RegisterRet::ReadOk);
        self.steps(id).push(Step::End { number, answer });
    }

    /// It did not happen.
    pub(super) fn forget(&mut self, begun: Begun) {
        let is_other =
            |step: &Step| !matches!(step, Step::Begin { number, .. } if *number == begun.number);
        self.steps(begun.id).retain(is_other);
    }

    fn steps(&mut self, id: usize) -> &mut Vec<Step> {
        &mut self.ids.get_mut(&id).unwrap().steps
    }

    /// The ids whose history no order explains.
    pub(super) fn offences(&self) -> Vec<usize> {
        let wrong = self.ids.iter().filter(|(_, history)| !history.is_linearizable());
        wrong.map(|(id, _)| *id).collect()
    }
}

impl History {
    fn is_linearizable(&self) -> bool {
        let mut tester = LinearizabilityTester::new(Register(self.first));
        for step in &self.steps {
            match step {
                Step::Begin { number, op } => drop(tester.on_invoke(*number, op.clone()).unwrap()),
                Step::End { number, answer } => {
                    tester.on_return(*number, answer.clone()).unwrap();
                }
            }
        }
        tester.is_consistent()
    }
}

#[test]
fn a_read_of_what_was_overwritten_before_it_began_is_found() {
    let mut histories = Histories::default();
    histories.start(0, None);
    let write = histories.begin(0, Some(Some(1)));
    histories.end(write, None);
    let lost = histories.begin(0, Some(Some(2)));
    let read = histories.begin(0, None);
    histories.end(read, Some(Some(1)));
    assert!(histories.offences().is_empty(), "the other write may come later");
    histories.end(lost, None);
    let read = histories.begin(0, None);
    histories.end(read, Some(Some(1)));
    assert_eq!(histories.offences(), [0]);
}
