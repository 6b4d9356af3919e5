//! Runs the checker over configurations: each has a verdict that is expected of it.

use std::{collections::BTreeSet, fmt, hash::Hash, time::Instant};

use stateright::{Checker, HasDiscoveries, Model};

/// The argument that asks for the big configurations too.
const FULL: &str = "full";
const THREADS: usize = 2;

/// The verdict that a configuration must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    Holds,
    /// Some property is violated; the search ends at the first one.
    Violated,
    /// At least these properties are violated; the search ends when they are.
    ViolatedAll(&'static [&'static str]),
    /// These properties are violated and no others; the search is exhaustive.
    ViolatedOnly(&'static [&'static str]),
}

/// A configuration of a model.
#[derive(Debug)]
pub(crate) struct Case<M> {
    name: &'static str,
    model: M,
    expect: Expect,
    is_big: bool,
}

impl<M> Case<M> {
    pub(crate) fn new(name: &'static str, model: M, expect: Expect) -> Self {
        Self { name, model, expect, is_big: false }
    }

    /// Checked only when everything is.
    pub(crate) fn big(self) -> Self {
        Self { is_big: true, ..self }
    }
}

/// What is checked, and how it went so far.
#[derive(Debug)]
pub(crate) struct Run {
    /// A part of the names of the configurations that are wanted.
    only: String,
    with_big: bool,
    checked: usize,
    wrong: usize,
}

impl Run {
    pub(crate) fn new(argument: &str) -> Self {
        let with_big = argument == FULL;
        let only = if with_big { String::new() } else { argument.to_owned() };
        Self { only, with_big, checked: 0, wrong: 0 }
    }

    pub(crate) fn is_right(&self) -> bool {
        self.checked > 0 && self.wrong == 0
    }

    pub(crate) fn check_all<M>(&mut self, title: &str, cases: Vec<Case<M>>)
    where
        M: Model + Send + Sync + 'static,
        M::State: Hash + Send + Sync + fmt::Debug + Clone + PartialEq,
        M::Action: Send + Sync + fmt::Debug + Clone + PartialEq,
    {
        println!("\n== {title}");
        for case in cases {
            if self.wants(&case) {
                self.check(case);
            }
        }
    }

    fn wants<M>(&self, case: &Case<M>) -> bool {
        // Who names a part of a big one's name wants it.
        let is_affordable = !case.is_big || self.with_big || !self.only.is_empty();
        is_affordable && case.name.contains(&self.only)
    }

    fn check<M>(&mut self, case: Case<M>)
    where
        M: Model + Send + Sync + 'static,
        M::State: Hash + Send + Sync + fmt::Debug + Clone + PartialEq,
        M::Action: Send + Sync + fmt::Debug + Clone + PartialEq,
    {
        let begin = Instant::now();
        let checker = case.expect.stop(case.model.checker().threads(THREADS)).spawn_bfs().join();
        let discoveries = checker.discoveries();
        let violated: BTreeSet<&str> = discoveries.keys().copied().collect();
        let is_right = case.expect.is_met(&violated);
        println!(
            "{} {:>8} states, depth {:>2}, {:>5.1} s  {:<14} {}",
            if is_right { "ok   " } else { "WRONG" },
            checker.unique_state_count(),
            checker.max_depth(),
            begin.elapsed().as_secs_f32(),
            in_short(&violated),
            case.name,
        );
        if !is_right || !self.only.is_empty() {
            for (property, path) in discoveries {
                println!("      {property}: {:?}", path.into_actions());
            }
        }
        self.checked += 1;
        self.wrong += usize::from(!is_right);
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} configurations, {} with a wrong verdict", self.checked, self.wrong)
    }
}

impl Expect {
    /// A search that looks for violations may end when it found them.
    fn stop<M: Model>(
        self,
        checker: stateright::CheckerBuilder<M>,
    ) -> stateright::CheckerBuilder<M> {
        match self {
            Self::Violated => checker.finish_when(HasDiscoveries::AnyFailures),
            Self::ViolatedAll(names) => {
                checker.finish_when(HasDiscoveries::AllOf(names.iter().copied().collect()))
            }
            Self::Holds | Self::ViolatedOnly(_) => checker,
        }
    }

    fn is_met(self, violated: &BTreeSet<&str>) -> bool {
        match self {
            Self::Holds => violated.is_empty(),
            Self::Violated => !violated.is_empty(),
            Self::ViolatedAll(names) => names.iter().all(|name| violated.contains(name)),
            Self::ViolatedOnly(names) => *violated == names.iter().copied().collect(),
        }
    }
}

/// The first words of the properties that are violated.
fn in_short(violated: &BTreeSet<&str>) -> String {
    if violated.is_empty() {
        return "HOLDS".to_owned();
    }
    let words = violated.iter().filter_map(|name| name.split(' ').next());
    format!("VIOLATED {}", words.collect::<Vec<_>>().join(" "))
}
