//! Model of the store-first strategies alone: fill and invalidate, leases, write intents.

use stateright::{Model, Property};

mod cases;
pub(crate) use cases::cases;

/// How writers and readers keep the cache in step with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// Write, then delete the key; a reader sets what it loaded.
    WriteThenDelete,
    DeleteThenWrite,
    /// Delete, write, and delete again later.
    DeleteTwice,
    /// A reader sets only what is newer than the entry; a writer deletes.
    NewerWins,
    /// The same, and the deletion leaves the version behind.
    Tombstone,
    /// A reader sets only under the lease that it took at the miss; a writer deletes both.
    Lease,
    /// A lease, and an intent in the one slot for all writers.
    OneIntent,
    /// A lease, and an intent for each writer.
    Intents,
}
use Scheme::{
    DeleteThenWrite, DeleteTwice, Intents, Lease, NewerWins, OneIntent, Tombstone, WriteThenDelete,
};

/// A scheme, who uses it, and what may go wrong.
#[derive(Debug)]
pub(crate) struct StoreFirst {
    scheme: Scheme,
    writers: usize,
    /// A writer may die between its steps.
    may_crash: bool,
    /// An intent may expire while its writer's statement can still take effect.
    may_expire_early: bool,
}

const READERS: usize = 2;
/// The row and the entry are the number of the write that made them; this one was before all.
const FIRST: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Cache {
    entry: Option<u8>,
    tombstone: u8,
    lease: Option<u8>,
    /// By writer.
    intents: [bool; 2],
    /// The writer whose intent stands in the only slot.
    one_intent: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
enum Reading {
    #[default]
    Before,
    /// It missed.
    Loading {
        lease: Option<u8>,
        acknowledged: u8,
    },
    Filling {
        lease: Option<u8>,
        value: u8,
    },
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct Writer {
    steps: usize,
    is_dead: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    row: u8,
    cache: Cache,
    readers: [Reading; READERS],
    writers: Vec<Writer>,
    leases: u8,
    /// The newest write that was acknowledged.
    acknowledged: u8,
    has_crashed: bool,
    has_read_stale: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Read { reader: usize },
    Write { writer: usize },
    Crash { writer: usize },
    Expire { writer: usize },
}

/// A step of a writer.
#[derive(Clone, Copy, Debug)]
enum Step {
    Commit,
    /// The entry.
    Delete,
    /// The entry and the lease.
    DeleteBoth,
    DeleteLeavingTombstone,
    Intend,
    EndIntent,
}

impl Scheme {
    fn steps(self) -> &'static [Step] {
        use Step::{Commit, Delete, DeleteBoth, DeleteLeavingTombstone, EndIntent, Intend};
        match self {
            WriteThenDelete | NewerWins => &[Commit, Delete],
            DeleteThenWrite => &[Delete, Commit],
            DeleteTwice => &[Delete, Commit, Delete],
            Tombstone => &[Commit, DeleteLeavingTombstone],
            Lease => &[Commit, DeleteBoth],
            OneIntent | Intents => &[Intend, Commit, EndIntent],
        }
    }

    fn has_leases(self) -> bool {
        matches!(self, Lease | OneIntent | Intents)
    }
}

impl Cache {
    fn is_intended(&self) -> bool {
        self.one_intent.is_some() || self.intents.contains(&true)
    }

    fn is_intended_by(&self, writer: usize) -> bool {
        self.one_intent == Some(writer) || self.intents[writer]
    }

    fn end_intent(&mut self, writer: usize) {
        self.intents[writer] = false;
        self.one_intent = self.one_intent.filter(|owner| *owner != writer);
    }

    fn delete_both(&mut self) {
        (self.entry, self.lease) = (None, None);
    }
}

impl StoreFirst {
    fn is_active(&self, writer: Writer) -> bool {
        !writer.is_dead && writer.steps < self.scheme.steps().len()
    }

    fn read(&self, state: &mut State, reader: usize) {
        state.readers[reader] = match state.readers[reader] {
            Reading::Before => match state.cache.entry {
                Some(value) => {
                    state.has_read_stale |= value < state.acknowledged;
                    Reading::Done
                }
                None => Reading::Loading {
                    lease: self.take_lease(state),
                    acknowledged: state.acknowledged,
                },
            },
            Reading::Loading { lease, acknowledged } => {
                state.has_read_stale |= state.row < acknowledged;
                Reading::Filling { lease, value: state.row }
            }
            Reading::Filling { lease, value } => {
                self.fill(&mut state.cache, lease, value);
                Reading::Done
            }
            Reading::Done => Reading::Done,
        };
    }

    fn take_lease(&self, state: &mut State) -> Option<u8> {
        let is_free = state.cache.lease.is_none() && !state.cache.is_intended();
        if !self.scheme.has_leases() || !is_free {
            return None;
        }
        state.leases += 1;
        state.cache.lease = Some(state.leases);
        state.cache.lease
    }

    fn fill(&self, cache: &mut Cache, lease: Option<u8>, value: u8) {
        let is_newer = cache.entry.is_none_or(|entry| entry < value);
        let is_allowed = match self.scheme {
            WriteThenDelete | DeleteThenWrite | DeleteTwice => true,
            NewerWins => is_newer,
            Tombstone => is_newer && value >= cache.tombstone,
            Lease | OneIntent | Intents => lease.is_some() && cache.lease == lease,
        };
        if is_allowed {
            (cache.entry, cache.lease) = (Some(value), None);
        }
    }

    fn write(&self, state: &mut State, writer: usize) {
        let steps = self.scheme.steps();
        let cache = &mut state.cache;
        match steps[state.writers[writer].steps] {
            Step::Commit => state.row += 1,
            Step::Delete => cache.entry = None,
            Step::DeleteBoth => cache.delete_both(),
            Step::DeleteLeavingTombstone => {
                cache.tombstone = cache.tombstone.max(state.row);
                cache.entry = cache.entry.filter(|entry| *entry >= cache.tombstone);
            }
            Step::Intend => {
                cache.delete_both();
                if self.scheme == OneIntent {
                    cache.one_intent = Some(writer);
                } else {
                    cache.intents[writer] = true;
                }
            }
            Step::EndIntent => {
                cache.end_intent(writer);
                cache.delete_both();
            }
        }
        state.writers[writer].steps += 1;
        if state.writers[writer].steps == steps.len() {
            state.acknowledged = state.row;
        }
    }

    fn is_over(&self, state: &State) -> bool {
        state.readers.iter().all(|reader| *reader == Reading::Done)
            && state.writers.iter().all(|writer| !self.is_active(*writer))
            && !state.cache.is_intended()
    }
}

impl Model for StoreFirst {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let start = |entry| State {
            row: FIRST,
            cache: Cache { entry, ..Cache::default() },
            readers: [Reading::Before; READERS],
            writers: vec![Writer::default(); self.writers],
            leases: 0,
            acknowledged: FIRST,
            has_crashed: false,
            has_read_stale: false,
        };
        vec![start(None), start(Some(FIRST))]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let reading = (0..READERS).filter(|i| state.readers[*i] != Reading::Done);
        actions.extend(reading.map(|reader| Action::Read { reader }));
        for (writer, progress) in state.writers.iter().enumerate() {
            if self.is_active(*progress) {
                actions.push(Action::Write { writer });
                if self.may_crash && !state.has_crashed && progress.steps > 0 {
                    actions.push(Action::Crash { writer });
                }
            }
            // The deadline lies after the last moment at which the statement can take effect.
            let is_late = progress.is_dead || self.may_expire_early;
            if state.cache.is_intended_by(writer) && is_late {
                actions.push(Action::Expire { writer });
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Read { reader } => self.read(&mut state, reader),
            Action::Write { writer } => self.write(&mut state, writer),
            Action::Crash { writer } => {
                state.has_crashed = true;
                state.writers[writer].is_dead = true;
            }
            Action::Expire { writer } => state.cache.end_intent(writer),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "S1 at rest an entry is absent or equals the row",
                |model: &Self, state: &State| {
                    !model.is_over(state)
                        || state.cache.entry.is_none_or(|entry| entry == state.row)
                },
            ),
            Property::always(
                "S2 no read is older than a write acknowledged before",
                |_, state: &State| !state.has_read_stale,
            ),
        ]
    }
}
