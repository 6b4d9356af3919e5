//! What clients saw of some ids, and whether, for each of them, one order of it explains that.

use std::{collections::BTreeMap, fmt::Debug};

use stateright::semantics::{
    ConsistencyTester, LinearizabilityTester,
    register::{Register, RegisterOp, RegisterRet},
};

/// The histories of all ids.
pub(crate) struct Histories<Id, Value> {
    ids: BTreeMap<Id, History<Value>>,
    begun: u64,
}

/// What was seen of one id.
struct History<Value> {
    first: Value,
    steps: Vec<Step<Value>>,
}

enum Step<Value> {
    Begin { number: u64, op: RegisterOp<Value> },
    End { number: u64, answer: RegisterRet<Value> },
}

/// An operation that was begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun<Id> {
    id: Id,
    number: u64,
}

impl<Id, Value> Default for Histories<Id, Value> {
    fn default() -> Self {
        Self { ids: BTreeMap::new(), begun: 0 }
    }
}

impl<Id: Copy + Ord, Value: Clone + Debug + PartialEq> Histories<Id, Value> {
    /// Begins the history of an id with what it is now.
    pub(crate) fn start(&mut self, id: Id, first: Value) {
        self.ids.insert(id, History { first, steps: Vec::new() });
    }

    /// A read begins, or a write of this.
    pub(crate) fn begin(&mut self, id: Id, write: Option<Value>) -> Begun<Id> {
        self.begun += 1;
        let number = self.begun;
        let op = write.map_or(RegisterOp::Read, RegisterOp::Write);
        self.steps(id).push(Step::Begin { number, op });
        Begun { id, number }
    }

    /// It was acknowledged, or answered this. One that never ends may have happened or not.
    pub(crate) fn end(&mut self, Begun { id, number }: Begun<Id>, read: Option<Value>) {
        let answer = read.map_or(RegisterRet::WriteOk, RegisterRet::ReadOk);
        self.steps(id).push(Step::End { number, answer });
    }

    /// It did not happen.
    pub(crate) fn forget(&mut self, begun: Begun<Id>) {
        let is_other = |step: &Step<Value>| !matches!(step, Step::Begin { number, .. } if *number == begun.number);
        self.steps(begun.id).retain(is_other);
    }

    fn steps(&mut self, id: Id) -> &mut Vec<Step<Value>> {
        &mut self.ids.get_mut(&id).unwrap().steps
    }

    /// The ids whose history no order explains.
    pub(crate) fn offences(&self) -> Vec<Id> {
        let wrong = self.ids.iter().filter(|(_, history)| !history.is_linearizable());
        wrong.map(|(id, _)| *id).collect()
    }
}

impl<Value: Clone + Debug + PartialEq> History<Value> {
    /// Takes it apart where nothing was under way, because the time that the search for an order takes
    /// grows fast: each part begins with what the id may be after the ones before.
    fn is_linearizable(&self) -> bool {
        let (mut states, mut rest) = (vec![self.first.clone()], self.steps.as_slice());
        while let Some(end) = quiet(rest) {
            let (part, behind) = rest.split_at(end);
            states = ends(&states, part);
            rest = behind;
        }
        states.iter().any(|state| is_explained(state, rest, None))
    }
}

/// Where nothing is under way for the first time.
fn quiet<Value>(steps: &[Step<Value>]) -> Option<usize> {
    let mut under_way = 0_usize;
    let at = steps.iter().position(|step| {
        match step {
            Step::Begin { .. } => under_way += 1,
            Step::End { .. } => under_way -= 1,
        }
        under_way == 0
    });
    at.map(|at| at + 1)
}

/// What the id may be after these steps, if it was one of these values before.
fn ends<Value: Clone + Debug + PartialEq>(before: &[Value], steps: &[Step<Value>]) -> Vec<Value> {
    let written = steps.iter().filter_map(|step| match step {
        Step::Begin { op: RegisterOp::Write(value), .. } => Some(value),
        _ => None,
    });
    let mut after: Vec<Value> = Vec::new();
    for end in before.iter().chain(written) {
        let is_possible =
            || before.iter().any(|state| is_explained(state, steps, Some(end.clone())));
        if !after.contains(end) && is_possible() {
            after.push(end.clone());
        }
    }
    after
}

/// Whether an order of these steps explains what was seen, and what is read after them.
fn is_explained<Value: Clone + Debug + PartialEq>(
    before: &Value,
    steps: &[Step<Value>],
    after: Option<Value>,
) -> bool {
    let mut tester = LinearizabilityTester::new(Register(before.clone()));
    for step in steps {
        match step {
            Step::Begin { number, op } => drop(tester.on_invoke(*number, op.clone()).unwrap()),
            Step::End { number, answer } => {
                tester.on_return(*number, answer.clone()).unwrap();
            }
        }
    }
    if let Some(after) = after {
        tester.on_invoke(0, RegisterOp::Read).unwrap();
        tester.on_return(0, RegisterRet::ReadOk(after)).unwrap();
    }
    tester.is_consistent()
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

#[test]
fn what_an_id_may_be_after_a_part_of_its_history_is_all_of_it() {
    let mut histories = Histories::default();
    histories.start(0, 0);
    let (one, two) = (histories.begin(0, Some(1)), histories.begin(0, Some(2)));
    histories.end(one, None);
    histories.end(two, None);
    let read = |histories: &mut Histories<i32, i32>, value| {
        let read = histories.begin(0, None);
        histories.end(read, Some(value));
    };
    // Either may be the last one, until it was read.
    read(&mut histories, 1);
    assert!(histories.offences().is_empty());
    read(&mut histories, 2);
    assert_eq!(histories.offences(), [0]);
}
