//! What the writers know of their writes, and what must follow from it for the rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tests::actor::{Burden, Line, STORED};

/// Connections of pools, to Redis and to the database.
const FILES_MORE_MAX: u64 = 12;
const TASKS_MORE_MAX: u64 = 12;

/// The writes of all processes.
#[derive(Default)]
pub(super) struct History {
    /// By id, in the order of their versions.
    ids: BTreeMap<i64, Writes>,
    /// The versions of acknowledged values.
    versions: HashMap<String, u64>,
    pub(super) acknowledged: u64,
    pub(super) unknown: u64,
    pub(super) failed: u64,
    /// Of the unknown ones: those that went to the database first, at a time that nobody knows.
    pub(super) stored: u64,
    /// How the failed ones failed: the first of each sort.
    pub(super) errors: BTreeSet<String>,
    pub(super) drained: u64,
    pub(super) coalesced: u64,
    pub(super) conflicts: u64,
    pub(super) failures: u64,
    /// How many processes drained something.
    pub(super) drainers: usize,
    events: BTreeMap<String, u64>,
    /// What writers cost when they were warm, and when they were done.
    burdens: Vec<(Burden, Burden)>,
}

/// The writes of one id.
#[derive(Default)]
struct Writes {
    /// Version and value; a delete has none.
    acknowledged: BTreeMap<u64, Option<String>>,
    unknown: Vec<Option<String>>,
}

/// One change of a row, as the trigger saw it: the id, whether it was put, its value (of a delete: the
/// value before).
pub(super) type Audited = (i64, bool, String);

impl History {
    pub(super) fn new(logs: Vec<Vec<Line>>) -> Self {
        let mut history = Self::default();
        for log in logs {
            let (mut last, mut warm) = ((0, 0, 0, 0), None);
            for line in log {
                match line {
                    Line::Burden(burden) => match warm {
                        None => warm = Some(burden),
                        Some(warm) => history.burdens.push((warm, burden)),
                    },
                    Line::Counts { drained, coalesced, conflicts, failures } => {
                        last = (drained, coalesced, conflicts, failures);
                    }
                    line => history.add(line),
                }
            }
            history.drained += last.0;
            history.coalesced += last.1;
            history.conflicts += last.2;
            history.failures += last.3;
            history.drainers += usize::from(last.0 > 0);
        }
        history
    }

    fn add(&mut self, line: Line) {
        match line {
            Line::Acknowledged { id, name, version } => {
                self.acknowledged += 1;
                if let Some(name) = &name {
                    self.versions.insert(name.clone(), version);
                }
                let twin = self.ids.entry(id).or_default().acknowledged.insert(version, name);
                assert!(twin.is_none(), "two writes of {id} have version {version}");
            }
            Line::Failed { id, name, unknown, error } => {
                self.stored += u64::from(error == STORED);
                self.errors.insert(error.replace(&id.to_string(), "…"));
                if unknown {
                    self.unknown += 1;
                    self.ids.entry(id).or_default().unknown.push(name);
                } else {
                    self.failed += 1;
                }
            }
            Line::Event { name, .. } => *self.events.entry(name).or_default() += 1,
            Line::Ready
            | Line::Counts { .. }
            | Line::Began { .. }
            | Line::Ended { .. }
            | Line::Burden(_) => {}
        }
    }

    /// The ids that were written.
    pub(super) fn ids(&self) -> Vec<i64> {
        self.ids.keys().copied().collect()
    }

    /// How often an event happened, in all processes.
    pub(super) fn events(&self, name: &str) -> u64 {
        self.events.get(name).copied().unwrap_or(0)
    }

    /// What is wrong with what writers cost in the end: as much as when they were warm, but for some
    /// connections that come and go, and for what an allocator keeps.
    pub(super) fn judge_burdens(&self) -> Vec<String> {
        let grows = |(warm, end): &&(Burden, Burden)| {
            end.files > warm.files + FILES_MORE_MAX
                || end.tasks > warm.tasks + TASKS_MORE_MAX
                || end.memory_kib > warm.memory_kib * 3 / 2
        };
        self.burdens.iter().filter(grows).map(|(warm, end)| format!("{warm:?}, {end:?}")).collect()
    }

    /// How many acknowledged writes may be lost.
    pub(super) fn count(&self, may_be_lost: impl Fn(u64) -> bool) -> usize {
        let versions = self.ids.values().flat_map(|writes| writes.acknowledged.keys());
        versions.filter(|version| may_be_lost(**version)).count()
    }

    /// What is wrong with the rows: each must be what its last acknowledged write says that cannot be
    /// lost, or one above it that may be lost, or one of which nobody knows.
    pub(super) fn judge_rows(
        &self,
        rows: &HashMap<i64, String>,
        may_be_lost: impl Fn(u64) -> bool,
    ) -> Vec<String> {
        let mut offences = Vec::new();
        for (id, writes) in &self.ids {
            let row = rows.get(id);
            let floor = writes.acknowledged.iter().rfind(|(version, _)| !may_be_lost(**version));
            let from = floor.map_or(0, |(version, _)| *version);
            let mut allowed = writes.acknowledged.range(from..).map(|(_, name)| name.as_ref());
            let is_allowed = allowed.any(|name| name == row)
                || writes.unknown.iter().any(|name| name.as_ref() == row)
                || (floor.is_none() && row.is_none());
            if !is_allowed {
                offences.push(format!("row {id} is {row:?} and should be {floor:?}"));
            }
        }
        let strangers = rows.keys().filter(|id| !self.ids.contains_key(id));
        offences.extend(strangers.map(|id| format!("row {id} was never written")));
        offences
    }

    /// What is wrong with the changes of the rows: versions of an id must never go back, and nothing may
    /// be written that failed.
    pub(super) fn judge_trail(&self, trail: &[Audited]) -> Vec<String> {
        let (mut offences, mut floors) = (Vec::new(), HashMap::<i64, u64>::new());
        for (id, puts, name) in trail {
            let Some(writes) = self.ids.get(id) else {
                offences.push(format!("row {id} was written by nobody"));
                continue;
            };
            let floor = floors.entry(*id).or_default();
            let known = self.versions.get(name).copied();
            if *puts {
                match known {
                    Some(version) if version > *floor => *floor = version,
                    Some(version) => {
                        offences.push(format!("row {id} went back from {floor} to {version}"));
                    }
                    None if writes.unknown.iter().any(|n| n.as_ref() == Some(name)) => {}
                    None => offences.push(format!("{name} of row {id} was reported as failed")),
                }
                continue;
            }
            if writes.unknown.iter().any(Option::is_none) {
                continue;
            }
            // Which delete it was is not known; the first one that it can have been is a floor.
            let mut above = writes.acknowledged.range(*floor + 1..);
            match above.find(|(_, name)| name.is_none()) {
                Some((version, _)) => *floor = *version,
                None => offences.push(format!("row {id} was deleted at {floor} by nobody")),
            }
        }
        offences
    }
}

fn history() -> History {
    let write = |version, name: Option<&str>| {
        let name = name.map(str::to_owned);
        Line::Acknowledged { id: 1, name, version }
    };
    let unknown = Line::Failed { id: 2, name: None, unknown: true, error: String::new() };
    let other = Line::Acknowledged { id: 2, name: Some("x".to_owned()), version: 5 };
    History::new(vec![
        vec![write(1, Some("a")), write(3, Some("c"))],
        vec![write(2, None), unknown, other],
    ])
}

#[test]
fn a_row_that_is_older_than_its_last_write_is_found() {
    let judge = |one: Option<&str>, two: Option<&str>, lost: u64| {
        let rows = [(1, one), (2, two)];
        let rows = rows.into_iter().filter_map(|(id, name)| Some((id, name?.to_owned())));
        history().judge_rows(&rows.collect(), |version| version == lost).len()
    };
    assert_eq!(judge(Some("c"), Some("x"), 0), 0);
    assert_eq!(judge(Some("c"), None, 0), 0, "nobody knows");
    assert_eq!(judge(Some("a"), Some("x"), 0), 1);
    assert_eq!(judge(None, Some("x"), 0), 1);
    assert_eq!(judge(None, Some("x"), 3), 0, "the last one may be lost");
    assert_eq!(judge(Some("a"), Some("y"), 3), 2);
}

#[test]
fn a_value_that_comes_back_is_found() {
    let judge = |trail: &[(i64, bool, &str)]| {
        let trail = trail.iter().map(|(id, puts, name)| (*id, *puts, (*name).to_owned()));
        history().judge_trail(&trail.collect::<Vec<_>>()).len()
    };
    assert_eq!(judge(&[(1, true, "a"), (1, false, "a"), (1, true, "c")]), 0);
    assert_eq!(judge(&[(1, true, "a"), (1, true, "c")]), 0, "a delete was left out");
    assert_eq!(judge(&[(1, true, "c"), (1, true, "a")]), 1);
    assert_eq!(judge(&[(1, true, "a"), (1, false, "a"), (1, true, "a")]), 1);
    assert_eq!(judge(&[(1, true, "c"), (1, false, "c")]), 1, "a late delete");
    assert_eq!(judge(&[(1, true, "b"), (3, true, "z")]), 2);
}
