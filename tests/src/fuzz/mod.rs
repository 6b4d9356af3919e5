//! Fuzz targets: each takes any bytes, has a decoder read them, and says what became of them.
//!
//! Inputs are valid ones, changed at random. One that is refused or accepted in a way that was not seen
//! before is changed further, so that what is behind a check is reached piece by piece. That needs no
//! instrumented build: it runs wherever the tests run.

use std::{
    collections::HashSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::{Duration, Instant},
};

mod mutate;
use mutate::Mutator;

mod everything;

mod entries;

mod journal;

mod answers;

mod ids;

mod sql;

mod facts;

mod spellings;

/// Every target.
pub const TARGETS: &[Target] = &[
    entries::TARGET,
    journal::TARGET,
    answers::TARGET,
    ids::TARGET,
    sql::TARGET,
    facts::TARGET,
    spellings::TARGET,
];

/// Something that reads what strangers wrote.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// By which it is chosen.
    pub name: &'static str,
    /// Inputs that are accepted.
    seeds: fn() -> Vec<Vec<u8>>,
    /// What inputs are made of.
    words: &'static [&'static str],
    /// Panics where a promise does not hold.
    run: fn(&[u8], &Probe) -> Outcome,
}

/// What became of an input; the text tells this way from others.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was read, and keeps what is promised of what is read.
    Accepted(String),
    /// It was refused with an error.
    Refused(String),
}

/// Measures memory, where the program counts it.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// Bytes that are allocated now.
    pub current: fn() -> usize,
    /// The most that were allocated since the last reset.
    pub peak: fn() -> usize,
    /// Begins anew.
    pub reset: fn(),
}

/// Watches decoders.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    /// Without one nothing is measured.
    pub meter: Option<Meter>,
}

impl Probe {
    /// Decodes this many bytes. No more memory may be used at a time than `factor` times as many, and a
    /// constant.
    fn decode<T>(&self, bytes: usize, factor: usize, decode: impl FnOnce() -> T) -> T {
        let Some(meter) = self.meter else { return decode() };
        (meter.reset)();
        let before = (meter.current)();
        let decoded = decode();
        let used = (meter.peak)().saturating_sub(before);
        let most = factor * bytes + CONSTANT_BYTES;
        assert!(used <= most, "{used} bytes were allocated for {bytes}, at most {most} may be");
        decoded
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// After so many inputs.
    Inputs(u64),
    /// After this time.
    Time(Duration),
}

/// What was run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// How many inputs.
    pub inputs: u64,
    /// How many of them were read.
    pub accepted: u64,
    /// How many were refused.
    pub refused: u64,
    /// In how many different ways.
    pub ways: usize,
    /// How many inputs of earlier bugs were read again.
    pub regressions: usize,
}

impl Target {
    /// Runs what was found once and what is valid, and then changes it until the budget is used up. Panics
    /// where a promise does not hold; the input that shows it is kept in a file, to be run for ever.
    pub fn fuzz(&self, budget: Budget, seed: u64, probe: &Probe) -> Counts {
        let mut run = Run { target: self, probe, counts: Counts::default(), ways: HashSet::new() };
        for (_, input) in self.regressions() {
            run.counts.regressions += 1;
            run.one(&input);
        }
        let mut corpus = (self.seeds)();
        for input in &corpus {
            let is_accepted = run.one(input).0;
            let shown = input[..input.len().min(SHOWN_BYTES)].escape_ascii();
            assert!(is_accepted, "{}: a seed is refused: {shown}", self.name);
        }
        let mut mutator = Mutator::new(seed, self.words, corpus.len());
        let began = Instant::now();
        let is_over = |inputs| match budget {
            Budget::Inputs(most) => inputs >= most,
            Budget::Time(longest) => began.elapsed() >= longest,
        };
        while !is_over(run.counts.inputs) {
            let input = mutator.change(&corpus);
            let (_, is_new) = run.one(&input);
            if is_new && corpus.len() < CORPUS_MAX {
                corpus.push(input);
            }
        }
        run.counts.ways = run.ways.len();
        run.counts
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions").join(self.name)
    }

    /// Inputs that showed a bug once.
    fn regressions(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let Ok(files) = fs::read_dir(self.folder()) else { return Vec::new() };
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        paths.into_iter().map(read).collect()
    }

    /// Keeps an input that shows a bug.
    fn keep(&self, input: &[u8]) -> PathBuf {
        let is_same = |(_, kept): &(PathBuf, Vec<u8>)| kept == input;
        if let Some((path, _)) = self.regressions().into_iter().find(is_same) {
            return path;
        }
        fs::create_dir_all(self.folder()).unwrap();
        // A person gives it a name that says what is wrong.
        let path = self.folder().join(format!("found_{:016x}", fastrand::u64(..)));
        fs::write(&path, input).unwrap();
        path
    }
}

/// A target under way.
struct Run<'a> {
    target: &'a Target,
    probe: &'a Probe,
    counts: Counts,
    ways: HashSet<String>,
}

impl Run<'_> {
    /// Whether an input was accepted, and whether that, or the refusal, is of a new kind.
    fn one(&mut self, input: &[u8]) -> (bool, bool) {
        self.counts.inputs += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.target.run)(input, self.probe)));
        let Ok(outcome) = outcome else {
            let (name, path) = (self.target.name, self.target.keep(input));
            panic!("{name}: a promise does not hold; the input is in {}", path.display());
        };
        let (is_accepted, way) = match outcome {
            Outcome::Accepted(way) => (true, way),
            Outcome::Refused(way) => (false, way),
        };
        match is_accepted {
            true => self.counts.accepted += 1,
            false => self.counts.refused += 1,
        }
        // Places and sizes make no new way.
        let way: String = way.chars().filter(|c| !c.is_ascii_digit()).take(WAY_MAX).collect();
        (is_accepted, self.ways.insert(format!("{is_accepted} {way}")))
    }
}

/// Names and values, as one input has them.
fn pairs(input: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |line: &[u8]| match line.iter().position(|byte| *byte == BETWEEN) {
        Some(at) => (line[..at].to_vec(), line[at + 1..].to_vec()),
        None => (line.to_vec(), Vec::new()),
    };
    input.split(|byte| *byte == BEHIND).filter(|line| !line.is_empty()).map(pair).collect()
}

/// Undoes [`pairs`], where names and values do not have what stands between them.
fn joined(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let lines: Vec<_> = pairs.iter().map(|(name, v)| [name, &[BETWEEN][..], v].concat()).collect();
    lines.join(&BEHIND)
}

/// Between a name and its value.
const BETWEEN: u8 = 0x1f;
/// Between two pairs.
const BEHIND: u8 = 0x1e;
/// Beside what grows with the input: a record of all columns, an error, the buffer of the driver's parser.
const CONSTANT_BYTES: usize = 16 * 1024;
/// Of what was found by chance so many are changed further.
const CORPUS_MAX: usize = 2_000;
const WAY_MAX: usize = 200;
const SHOWN_BYTES: usize = 300;
