//! The read path of the strategies with a store: entry, else single flight.

use std::{borrow::Cow, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::Parts;
use crate::{
    cache::{Entries, Entry, Flights, Landing},
    change::EntityId,
    clock::Random,
    error::{Error, ErrorKind, Result},
    record::Record,
    store::SharedStore,
};

/// How often a reader whose flight brought nothing fresh tries another.
const FLIGHTS_MAX: usize = 4;

/// What a reader does when another process is filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It loads for itself and does not fill.
    None,
    /// It waits up to 50 ms, and then does the same.
    ForHolder,
}

/// Loads what the cache does not hold.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) entries: Arc<Entries>,
    pub(super) store: SharedStore,
    pub(super) patience: Patience,
    pub(super) flights: Arc<Flights>,
    pub(super) random: Random,
    /// Shared by all repositories of the cache.
    pub(super) outage_loads: Arc<Semaphore>,
    pub(super) outage_wait: Duration,
    /// Whether rows may be read while Redis cannot be asked. Not where it may hold something newer.
    pub(super) past_cache: bool,
}

pub(super) type Found = Option<Record<'static>>;

/// An id that was not found in the cache, and its place in the answer.
struct Miss {
    index: usize,
    /// There is an entry that cannot be used.
    replace: bool,
    /// The cache could not be asked, or must not be believed: another process' write is in the store
    /// that it was not told of.
    past_cache: bool,
}

impl Loader {
    pub(super) fn new(parts: &Parts, store: SharedStore, patience: Patience) -> Self {
        Self {
            entries: Arc::clone(&parts.entries),
            store,
            patience,
            flights: Arc::default(),
            random: parts.entries.random.clone(),
            outage_loads: Arc::clone(&parts.outage_loads),
            outage_wait: parts.store_timeout,
            past_cache: parts.allow_stale_reads,
        }
    }

    pub(super) async fn read(self: &Arc<Self>, ids: &[EntityId]) -> Result<Vec<Found>> {
        let mut found: Vec<Found> = (0..ids.len()).map(|_| None).collect();
        let mut missed: Vec<Miss> =
            (0..ids.len()).map(|index| Miss { index, replace: false, past_cache: false }).collect();
        for flight in 0..FLIGHTS_MAX {
            // A flight brings nothing where the entry is in a format that the first look passes over.
            self.look_up(ids, &mut missed, &mut found, flight > 0).await?;
            if missed.is_empty() {
                return Ok(found);
            }
            self.fly(ids, &mut missed, &mut found).await?;
            if missed.is_empty() {
                return Ok(found);
            }
        }
        // Writers keep writing these ids: every value was too old by the time it was there.
        let ids_left: Vec<_> = missed.iter().map(|miss| ids[miss.index].clone()).collect();
        let past_cache = missed.iter().any(|miss| miss.past_cache);
        let _permit = if past_cache { Some(self.permit().await?) } else { None };
        for (miss, row) in missed.iter().zip(self.query(&ids_left).await?) {
            found[miss.index] = row.map_err(|error| error.share())?;
        }
        Ok(found)
    }

    /// Takes from the cache what it has.
    async fn look_up(
        &self,
        ids: &[EntityId],
        missed: &mut Vec<Miss>,
        found: &mut [Found],
        closely: bool,
    ) -> Result<()> {
        let asked: Cow<'_, [EntityId]> = match missed.len() == ids.len() {
            true => Cow::Borrowed(ids),
            false => missed.iter().map(|miss| ids[miss.index].clone()).collect(),
        };
        // Before the entries are read: a debt that is settled in between has removed its entry.
        let owed = self.entries.owed(&asked);
        // Where the entry is not believed, the store is, which does not have what is journaled.
        let read = match closely || !owed.is_empty() {
            true => self.entries.read_closely(&asked).await,
            false => self.entries.read(&asked).await,
        };
        let answers = match read {
            Ok(answers) => answers,
            Err(error) => {
                self.entries.counters.cache_failures.add(1);
                if !self.past_cache {
                    return Err(error.into_error());
                }
                tracing::debug!(%error, "reading from the store, as the cache cannot be asked");
                missed.iter_mut().for_each(|miss| miss.past_cache = true);
                return Ok(());
            }
        };
        let mut answers = answers.into_iter().zip(&*asked);
        let mut failed = None;
        missed.retain_mut(|miss| {
            let Some((entry, id)) = answers.next() else { return true };
            if let Entry::Unusable(error) = entry {
                failed = Some(unusable(id).caused_by(error));
                return true;
            }
            // A journaled write is later than the one whose invalidation is owed.
            miss.past_cache = owed.contains(id) && !matches!(entry, Entry::Unstored(_));
            let taken = if miss.past_cache { None } else { self.take(entry, miss) };
            match taken {
                Some(record) => found[miss.index] = record,
                None => return true,
            }
            false
        });
        failed.map_or(Ok(()), Err)
    }

    /// What an entry says, or `None` if it says nothing.
    fn take(&self, entry: Entry, miss: &mut Miss) -> Option<Found> {
        let counters = &self.entries.counters;
        match entry {
            Entry::Hit(record) | Entry::Unstored(Some(record)) => {
                counters.hits.add(1);
                return Some(Some(record));
            }
            Entry::Absent | Entry::Unstored(None) => {
                counters.negative_hits.add(1);
                return Some(None);
            }
            Entry::Outdated(_) => {
                counters.outdated.add(1);
                miss.replace = true;
            }
            Entry::Undecodable(error) | Entry::Unusable(error) => {
                tracing::warn!(%error, "an entry cannot be decoded and is loaded anew");
                counters.undecodable.add(1);
                miss.replace = true;
            }
            Entry::Nothing => {}
        }
        counters.misses.add(1);
        None
    }

    /// Boards a flight for each missed id and starts the tasks that load. What brings no fresh value
    /// stays missed.
    async fn fly(
        self: &Arc<Self>,
        ids: &[EntityId],
        missed: &mut Vec<Miss>,
        found: &mut [Found],
    ) -> Result<()> {
        let (mut leads, mut leads_past_cache) = (Vec::new(), Vec::new());
        let mut seats = Vec::with_capacity(missed.len());
        for miss in missed.iter() {
            let (seat, lead) = self.flights.board(&ids[miss.index], miss.replace);
            seats.push(seat.wait(!miss.past_cache));
            let leads = if miss.past_cache { &mut leads_past_cache } else { &mut leads };
            leads.extend(lead);
        }
        // Tasks of their own: a flight must land also when this caller is gone.
        if !leads.is_empty() {
            let loader = Arc::clone(self);
            tokio::spawn(async move { loader.fetch(leads).await });
        }
        if !leads_past_cache.is_empty() {
            let loader = Arc::clone(self);
            tokio::spawn(async move { loader.fetch_past_cache(leads_past_cache).await });
        }
        let landings = join_all(seats).await;
        let mut left = Vec::new();
        for (miss, landing) in missed.drain(..).zip(landings) {
            match landing {
                None => left.push(miss),
                Some(Landing { row: Ok(row), .. }) => {
                    found[miss.index] = row.map(Arc::unwrap_or_clone);
                }
                Some(Landing { row: Err(error), .. }) => return Err(error.share()),
            }
        }
        *missed = left;
        Ok(())
    }
}

/// The entry holds a write that the store does not have: the row would be older.
fn unusable(id: &EntityId) -> Error {
    let message = "the entry holds a write that is not in the store yet, and cannot be decoded: it may be \
                   of a newer version of the struct";
    Error::new(ErrorKind::Undecodable, message).of(id)
}
