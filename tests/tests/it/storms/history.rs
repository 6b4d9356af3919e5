//! What clients did and what came of it, and what must follow from it for reads and rows.
//!
//! Strategies order writes by different means, so that what counts here is time: of two writes one is
//! later if it began when the other one had been acknowledged.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use cached_repo::{CacheStep, Outcome, Result, Saved};

use super::Audited;

/// The writes of all clients.
#[derive(Default)]
pub(super) struct History {
    ticks: AtomicU64,
    /// By id, in the order in which they began.
    ids: Mutex<BTreeMap<i64, Vec<Write>>>,
}

/// One write. Without a name it is a delete.
struct Write {
    name: Option<String>,
    began: u64,
    /// Of one of which nobody knows: never.
    ended: u64,
    fate: Fate,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Acknowledged,
    /// Acknowledged, and other processes may not know of it yet.
    Pending,
    /// Its client is gone or knows nothing: it may take effect at any time, or never.
    Unknown,
    /// It was said to have had no effect.
    Failed,
}

/// A write that was begun.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    id: i64,
    index: usize,
}

impl Fate {
    pub(super) fn of(written: &Result<Saved>) -> Self {
        match written {
            Ok(saved) if saved.cache() == CacheStep::Done => Self::Acknowledged,
            Ok(_) => Self::Pending,
            Err(error) if error.outcome() == Outcome::NotApplied => Self::Failed,
            Err(_) => Self::Unknown,
        }
    }

    fn is_acknowledged(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Pending)
    }
}

impl Write {
    fn is_before(&self, other: &Write) -> bool {
        self.ended < other.began
    }
}

impl History {
    /// The time.
    pub(super) fn now(&self) -> u64 {
        self.ticks.fetch_add(1, SeqCst)
    }

    /// A write begins. If it never ends, nobody knows what becomes of it.
    pub(super) fn begin(&self, id: i64, name: Option<&str>) -> Ticket {
        let mut ids = self.ids.lock().unwrap();
        let writes = ids.entry(id).or_default();
        let (name, began) = (name.map(str::to_owned), self.now());
        writes.push(Write { name, began, ended: u64::MAX, fate: Fate::Unknown });
        Ticket { id, index: writes.len() - 1 }
    }

    pub(super) fn end(&self, ticket: Ticket, fate: Fate) {
        let mut ids = self.ids.lock().unwrap();
        let write = &mut ids.get_mut(&ticket.id).unwrap()[ticket.index];
        write.fate = fate;
        if fate != Fate::Unknown {
            write.ended = self.now();
        }
    }

    /// How many writes have this fate.
    pub(super) fn count(&self, fate: Fate) -> usize {
        let ids = self.ids.lock().unwrap();
        ids.values().flatten().filter(|write| write.fate == fate).count()
    }

    /// The ids that were written.
    pub(super) fn ids(&self) -> Vec<i64> {
        self.ids.lock().unwrap().keys().copied().collect()
    }

    /// What is wrong with a read that began at this time: nothing may be older than what was acknowledged
    /// by then, for all processes.
    pub(super) fn judge_read(&self, id: i64, began: u64, found: Option<&str>) -> Option<String> {
        self.judge(id, found, |floor| floor.fate == Fate::Acknowledged && floor.ended < began)
    }

    /// What is wrong with the rows when everything has come to its end.
    pub(super) fn judge_rows(&self, rows: &HashMap<i64, String>) -> Vec<String> {
        let judge = |id| self.judge(id, rows.get(&id).map(String::as_str), |_| true);
        let mut offences: Vec<String> = self.ids().into_iter().filter_map(judge).collect();
        let ids: HashSet<i64> = self.ids().into_iter().collect();
        let strangers = rows.keys().filter(|id| !ids.contains(id));
        offences.extend(strangers.map(|id| format!("row {id} was never written")));
        offences
    }

    fn judge(
        &self,
        id: i64,
        found: Option<&str>,
        is_floor: impl Fn(&Write) -> bool,
    ) -> Option<String> {
        let ids = self.ids.lock().unwrap();
        let writes = ids.get(&id).map_or(&[][..], Vec::as_slice);
        let floors: Vec<&Write> =
            writes.iter().filter(|w| w.fate.is_acknowledged() && is_floor(w)).collect();
        let is_allowed = |write: &Write| match write.fate {
            Fate::Failed => false,
            Fate::Unknown => true,
            _ => !floors.iter().any(|floor| write.is_before(floor)),
        };
        let mut meant = writes.iter().filter(|write| write.name.as_deref() == found);
        if meant.any(is_allowed) || (found.is_none() && floors.is_empty()) {
            return None;
        }
        let last = floors.iter().max_by_key(|floor| floor.began)?;
        Some(format!("{id} is {found:?}, and {:?} was acknowledged", last.name))
    }

    /// What is wrong with the changes of the rows, in order: nothing may come behind what is later,
    /// nothing twice, and nothing that was said to have failed.
    pub(super) fn judge_trail(&self, trail: &[Audited]) -> Vec<String> {
        let ids = self.ids.lock().unwrap();
        let (mut offences, mut latest, mut seen) = (Vec::new(), HashMap::new(), HashSet::new());
        for Audited { id, puts, name } in trail {
            let writes = ids.get(id).map_or(&[][..], Vec::as_slice);
            let latest = latest.entry(*id).or_insert(0);
            let is_late = |w: &Write| w.fate.is_acknowledged() && w.ended < *latest;
            if !puts {
                let mut deletes =
                    writes.iter().filter(|w| w.name.is_none() && w.fate != Fate::Failed);
                if !deletes.any(|delete| !is_late(delete)) {
                    offences.push(format!("row {id} was deleted by nobody when it was {name}"));
                }
                continue;
            }
            let Some(write) = writes.iter().find(|w| w.name.as_ref() == Some(name)) else {
                offences.push(format!("{name} of row {id} was written by nobody"));
                continue;
            };
            if write.fate == Fate::Failed {
                offences.push(format!("{name} of row {id} was said to have failed"));
            } else if !seen.insert((*id, name)) {
                offences.push(format!("{name} of row {id} was written twice"));
            } else if is_late(write) {
                offences.push(format!("row {id} went back to {name}"));
            }
            *latest = write.began.max(*latest);
        }
        offences
    }
}

/// Two writes of id 1 that were acknowledged, a delete of it of which nobody knows, a write that failed.
fn history() -> History {
    let history = History::default();
    let write = |name, fate| history.end(history.begin(1, name), fate);
    write(Some("a"), Fate::Acknowledged);
    write(Some("failed"), Fate::Failed);
    write(Some("b"), Fate::Acknowledged);
    history
}

#[test]
fn a_row_and_a_read_that_are_older_than_an_acknowledged_write_are_found() {
    let history = history();
    let rows = |name: Option<&str>| name.map(|name| (1, name.to_owned())).into_iter().collect();
    for (name, expected) in [(Some("b"), 0), (Some("a"), 1), (Some("failed"), 1), (None, 1)] {
        assert_eq!(history.judge_rows(&rows(name)).len(), expected, "{name:?}");
        let read = history.judge_read(1, history.now(), name);
        assert_eq!(usize::from(read.is_some()), expected, "{name:?}");
    }
    assert!(history.judge_read(1, 2, Some("a")).is_none(), "it began before the other write");
    history.begin(1, None);
    assert!(history.judge_rows(&rows(None)).is_empty(), "nobody knows");
    assert_eq!(history.judge_rows(&rows(Some("a"))).len(), 1);
    assert_eq!(history.judge_rows(&[(2, "b".to_owned())].into()).len(), 1);
}

#[test]
fn changes_in_the_wrong_order_are_found() {
    let judge = |history: &History, trail: &[(bool, &str)]| {
        let audited =
            |(puts, name): &(bool, &str)| Audited { id: 1, puts: *puts, name: (*name).into() };
        history.judge_trail(&trail.iter().map(audited).collect::<Vec<_>>()).len()
    };
    let history = history();
    assert_eq!(judge(&history, &[(true, "a"), (true, "b")]), 0);
    assert_eq!(judge(&history, &[(true, "b"), (true, "a")]), 1);
    assert_eq!(judge(&history, &[(true, "a"), (true, "a")]), 1);
    assert_eq!(judge(&history, &[(true, "failed")]), 1);
    assert_eq!(judge(&history, &[(true, "a"), (false, "a")]), 1);
    history.begin(1, None);
    assert_eq!(judge(&history, &[(true, "a"), (false, "a"), (true, "b"), (false, "b")]), 0);
}
