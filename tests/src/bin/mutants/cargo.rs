//! Building the copy and running some of its tests, for a bounded time.

use std::{
    collections::HashMap,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::switch::CHOICE;

/// What a test may take that took no time without a mutant; and so many times what it took.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENCE_FACTOR: u32 = 3;
/// What a test may take of which nothing is known yet.
const PATIENCE_MAX: Duration = Duration::from_secs(300);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Lines of a compiler's output that are shown.
const SHOWN_LINES: usize = 30;

/// How tests ended.
pub(crate) enum Ended {
    Passed,
    /// Which test, and what it said.
    Failed(String),
    /// A script that the server does not load, or that does not run: no test can tell more by that.
    Broken(String),
    /// They took too long.
    Hung,
}

/// The build tool, in the copy.
pub(crate) struct Cargo {
    tree: PathBuf,
    target: PathBuf,
    /// How long tests took without a mutant.
    known: HashMap<String, Duration>,
}

impl Cargo {
    pub(crate) fn new(tree: &Path, target: &Path) -> Self {
        fs::create_dir_all(target).unwrap();
        Self { tree: tree.to_owned(), target: target.to_owned(), known: HashMap::new() }
    }

    /// Builds the tests; else says why not.
    pub(crate) fn build(&self) -> Result<(), String> {
        let built = self.command(&["--no-run"]).output().unwrap();
        if built.status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&built.stderr).into_owned();
        let errors = output.lines().skip_while(|line| !line.starts_with("error"));
        Err(errors.take(SHOWN_LINES).collect::<Vec<_>>().join("\n"))
    }

    /// The names of all tests.
    pub(crate) fn tests(&self) -> Vec<String> {
        let listed = self.command(&["--", "--list"]).output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
    }

    /// Runs tests, and remembers how long they took.
    pub(crate) fn learn(&mut self, filter: &str) -> Ended {
        let begin = Instant::now();
        let ended = self.run(filter, "");
        self.known.insert(filter.to_owned(), begin.elapsed());
        ended
    }

    /// Runs the tests whose names contain this, with one mutant of those that are built.
    pub(crate) fn run(&self, filter: &str, mutant: &str) -> Ended {
        let known = self.known.get(filter);
        let patience = known.map_or(PATIENCE_MAX, |took| PATIENCE + *took * PATIENCE_FACTOR);
        let path = self.target.join(format!("output-{mutant}"));
        let output = fs::File::create(&path).unwrap();
        let mut command = self.command(&["--", filter]);
        command.env(CHOICE, mutant);
        command.stdout(output.try_clone().unwrap()).stderr(output).stdin(Stdio::null());
        // A group of its own, with the servers that the tests start.
        let mut child = command.process_group(0).spawn().unwrap();
        let begin = Instant::now();
        while begin.elapsed() < patience {
            if let Some(status) = child.try_wait().unwrap() {
                if status.success() {
                    return Ended::Passed;
                }
                return failed(&String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        end(&mut child);
        Ended::Hung
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command
            .args(["test", "--locked", "--quiet", "-p", "tests", "--test", "it"])
            .args(arguments);
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        // What is linked anew for every mutant is to be small.
        command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("RUST_BACKTRACE", "0");
        command
    }
}

fn failed(output: &str) -> Ended {
    let broken = BROKEN.iter().any(|words| output.contains(words));
    if broken { Ended::Broken(reason(output)) } else { Ended::Failed(reason(output)) }
}

/// The first test that failed, and what it said.
fn reason(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("---- "));
    let Some(test) = lines.next() else { return "a test failed without a word".to_owned() };
    let test = test.trim_start_matches("---- ").trim_end_matches(" stdout ----");
    // Of those that panicked the test itself was the last one.
    let said: Vec<&str> = lines.take_while(|line| !line.starts_with("---- ")).collect();
    let last = said.iter().rposition(|line| line.contains(" panicked at ")).unwrap_or(0);
    let message = said.iter().skip(last + 1).take(MESSAGE_LINES).map(|line| line.trim());
    let message: String = message.collect::<Vec<_>>().join(" ").chars().take(MESSAGE_MAX).collect();
    format!("{test}: {message}")
}

fn end(child: &mut Child) {
    let group = format!("-{}", child.id());
    let sent = Command::new("kill").args(["-KILL", "--", &group]).output();
    sent.unwrap();
    child.wait().unwrap();
}

/// What the server says of scripts with mistakes.
const BROKEN: [&str; 7] = [
    "Error compiling",
    "nonexistent global",
    "attempt to call",
    "attempt to compare",
    "attempt to concatenate",
    "attempt to index",
    "attempt to perform arithmetic",
];
const MESSAGE_LINES: usize = 3;
const MESSAGE_MAX: usize = 120;
