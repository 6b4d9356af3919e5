//! What became of each mutant, a line each, and the sum of them.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::mutant::Mutant;

/// What became of a mutant.
pub(crate) enum Verdict {
    Killed(String),
    Survived,
    /// The table is wrong.
    Wrong(String),
}

/// Of a run.
pub(crate) struct Report {
    of: usize,
    begin: Instant,
    killed: usize,
    others: Vec<&'static str>,
}

impl Report {
    pub(crate) fn of(of: usize) -> Self {
        Self { of, begin: Instant::now(), killed: 0, others: Vec::new() }
    }

    /// Counts and prints what became of one.
    pub(crate) fn add(&mut self, mutant: &Mutant, verdict: Verdict, took: Duration) {
        let (word, why) = match verdict {
            Verdict::Killed(by) => ("killed", by),
            Verdict::Survived => ("SURVIVED", mutant.breaks.to_owned()),
            Verdict::Wrong(why) => ("ERROR", why),
        };
        match word {
            "killed" => self.killed += 1,
            _ => self.others.push(mutant.name),
        }
        let (number, seconds) = (self.killed + self.others.len(), took.as_secs());
        println!("{number:>3}/{} {word:<8} {seconds:>4}s  {:<40} {why}", self.of, mutant.name);
    }

    pub(crate) fn close(self) -> ExitCode {
        let minutes = self.begin.elapsed().as_secs() / 60;
        let Self { of, killed, others, .. } = self;
        println!("\n{killed} of {of} mutants killed in {minutes} min; not: {others:?}");
        if others.is_empty() && killed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
