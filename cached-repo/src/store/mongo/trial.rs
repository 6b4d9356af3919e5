//! Which changes of a batch a database refuses: found by writing the batch again without them.

use std::collections::{BTreeMap, HashMap};

use super::{Fault, StoreError};

/// The order in which a batch is written. An error ends a transaction of MongoDB as a whole, and there
/// are no savepoints; but it names the change that was refused.
pub(super) struct Trial {
    /// Indices of the changes that are written: at first those that nothing is known against.
    pub(super) order: Vec<usize>,
    /// Those that are not written any more, and why.
    pub(super) refused: BTreeMap<usize, String>,
    /// How many changes stood in front of a change when it was refused.
    behind: HashMap<usize, usize>,
}

impl Trial {
    pub(super) fn new(order: Vec<usize>, refused: BTreeMap<usize, String>) -> Self {
        Self { order, refused, behind: HashMap::new() }
    }

    /// Changes the order after a change was refused. It comes last: one of the others may make room for
    /// it, such as by moving away from a unique value. Of two that exclude each other, the later one is
    /// refused. It is given up when it was refused behind just as many others before.
    ///
    /// # Errors
    ///
    /// When the fault is not that of a change.
    pub(super) fn without(&mut self, fault: Fault) -> Result<(), StoreError> {
        let Fault { error, refused, .. } = fault;
        let Some(at) = refused.filter(|at| error.class().is_refusal() && *at < self.order.len())
        else {
            return Err(error);
        };
        let index = self.order.remove(at);
        if self.behind.insert(index, at) == Some(at) {
            self.refused.insert(index, error.to_string());
        } else {
            self.order.push(index);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes until nothing is refused, where `refuses` looks at a change and those before it.
    fn write(count: usize, refuses: impl Fn(usize, &[usize]) -> bool) -> Result<Trial, StoreError> {
        let mut trial = Trial::new((0..count).collect(), BTreeMap::new());
        for _ in 0..1000 {
            let order = trial.order.clone();
            let at = (0..order.len()).find(|&at| refuses(order[at], &order[..at]));
            let Some(at) = at else { return Ok(trial) };
            let fault = Fault { refused: Some(at), ..StoreError::record("no").into() };
            trial.without(fault)?;
        }
        panic!("it does not end");
    }

    fn refused(trial: Result<Trial, StoreError>) -> Vec<usize> {
        trial.map(|trial| trial.refused.into_keys().collect()).unwrap_or_default()
    }

    #[test]
    fn those_that_are_wrong_are_found_and_the_others_written() {
        assert_eq!(refused(write(5, |change, _| change == 1 || change == 4)), [1, 4]);
        assert_eq!(refused(write(1, |_, _| true)), [0]);
    }

    #[test]
    fn of_two_that_exclude_each_other_the_first_is_written() {
        assert_eq!(refused(write(4, |change, before| change == 2 && before.contains(&1))), [2]);
    }

    #[test]
    fn one_that_only_comes_too_early_is_written_in_the_end() {
        let needs_room = |change, before: &[usize]| match change {
            0 => !before.contains(&1),
            1 => !before.contains(&3),
            _ => false,
        };
        let Ok(trial) = write(4, needs_room) else { panic!("all are written") };
        assert_eq!((trial.refused.len(), trial.order.len()), (0, 4));
    }

    #[test]
    fn however_many_are_wrong_the_others_are_written() {
        assert_eq!(refused(write(100, |_, _| true)).len(), 100);
        assert_eq!(refused(write(100, |change, _| change > 20)), (21..100).collect::<Vec<_>>());
    }
}
