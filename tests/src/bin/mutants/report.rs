//! What became of each mutant, a line each, and the sum of them.

use std::{
    collections::BTreeMap,
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
    /// Of those that PROTOCOL 5.4 numbers, by number: how many were killed, and of how many.
    numbered: BTreeMap<u32, (usize, usize)>,
}

impl Report {
    pub(crate) fn of(of: usize) -> Self {
        Self { of, begin: Instant::now(), killed: 0, others: Vec::new(), numbered: BTreeMap::new() }
    }

    /// Counts and prints what became of one.
    pub(crate) fn add(&mut self, mutant: &Mutant, verdict: Verdict, took: Duration) {
        let (word, why) = match verdict {
            Verdict::Killed(by) => ("killed", by),
            Verdict::Survived => ("SURVIVED", mutant.breaks.to_owned()),
            Verdict::Wrong(why) => ("ERROR", why),
        };
        if let Some(number) = mutant.number() {
            let (killed, of) = self.numbered.entry(number).or_default();
            *killed += usize::from(word == "killed");
            *of += 1;
        }
        match word {
            "killed" => self.killed += 1,
            _ => self.others.push(mutant.name),
        }
        let (number, seconds) = (self.killed + self.others.len(), took.as_secs());
        println!("{number:>3}/{} {word:<8} {seconds:>4}s  {:<40} {why}", self.of, mutant.name);
    }

    pub(crate) fn close(self) -> ExitCode {
        let minutes = self.begin.elapsed().as_secs() / 60;
        let Self { of, killed, others, numbered, .. } = self;
        let whole = numbered.values().filter(|(killed, of)| killed == of).count();
        let each = numbered.iter().map(|(number, (killed, of))| format!("M{number} {killed}/{of}"));
        let each = each.collect::<Vec<_>>().join(", ");
        println!(
            "\nPROTOCOL 5.4: {whole} of the {} numbers met are killed: {each}",
            numbered.len()
        );
        println!("{killed} of {of} mutants killed in {minutes} min; not: {others:?}");
        if others.is_empty() && killed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
