//! The read path of the store-first strategies: entry, else single flight, lease, load, fill.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Parts;
use crate::{
    backend::Lease,
    cache::{Entries, Entry, Filling, Flights, Landing, Lead, Phase},
    change::EntityId,
    clock::Random,
    error::{Error, ErrorKind, Result},
    record::Record,
    store::{Query, SharedStore},
};

/// How long a filler that died is waited for by those who would fill.
const LEASE_HOLD: Duration = Duration::from_secs(3);
/// How often a reader whose flight brought nothing fresh tries another.
const FLIGHTS_MAX: usize = 4;
/// The waits between looks for what another process is filling: 50 ms together.
const HOLDER_WAITS_MS: [u64; 5] = [2, 4, 8, 16, 20];

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
    entries: Arc<Entries>,
    store: SharedStore,
    patience: Patience,
    flights: Arc<Flights>,
    random: Random,
    /// Shared by all repositories of the cache.
    outage_loads: Arc<Semaphore>,
    outage_wait: Duration,
    /// Whether rows may be read while Redis cannot be asked. Not where it may hold something newer.
    past_cache: bool,
}

type Found = Option<Record<'static>>;

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
        for _ in 0..FLIGHTS_MAX {
            self.look_up(ids, &mut missed, &mut found).await?;
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
            found[miss.index] = row;
        }
        Ok(found)
    }

    /// Takes from the cache what it has.
    async fn look_up(
        &self,
        ids: &[EntityId],
        missed: &mut Vec<Miss>,
        found: &mut [Found],
    ) -> Result<()> {
        let asked: Cow<'_, [EntityId]> = match missed.len() == ids.len() {
            true => Cow::Borrowed(ids),
            false => missed.iter().map(|miss| ids[miss.index].clone()).collect(),
        };
        // Before the entries are read: a debt that is settled in between has removed its entry.
        let owed = self.entries.owed(&asked);
        let answers = match self.entries.read(&asked).await {
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
            miss.past_cache = owed.contains(id);
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
            Entry::Hit(record) => {
                counters.hits.add(1);
                return Some(Some(record));
            }
            Entry::Absent => {
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

    /// Lands flights: under leases where they are granted.
    async fn fetch(&self, leads: Vec<Lead>) {
        let token = self.random.token();
        let asks: Vec<_> = leads.iter().map(|lead| (&lead.id, lead.replace)).collect();
        let leases = match self.entries.lease(&asks, &token, LEASE_HOLD).await {
            Ok(leases) => leases,
            Err(error) => {
                self.entries.counters.cache_failures.add(1);
                if !self.past_cache {
                    return land_failed(leads, error.into_error());
                }
                return self.fetch_past_cache(leads).await;
            }
        };
        let (mut ready, mut waiting) = (Vec::new(), Vec::new());
        for (lead, lease) in leads.into_iter().zip(leases) {
            match lease {
                Lease::Granted { generation } => ready.push((lead, Some(generation))),
                Lease::Blocked => ready.push((lead, None)),
                // Whoever sits in this flight looks into the cache again.
                Lease::Present => drop(lead),
                Lease::Held if self.patience == Patience::None => ready.push((lead, None)),
                Lease::Held => waiting.push(lead),
            }
        }
        self.load(ready, &token).await;
        let waiting = self.wait_for_holders(waiting).await;
        self.load(waiting.into_iter().map(|lead| (lead, None)).collect(), &token).await;
    }

    /// Gives other fillers a moment. Answers the flights whose entry did not come.
    async fn wait_for_holders(&self, mut waiting: Vec<Lead>) -> Vec<Lead> {
        for wait_ms in HOLDER_WAITS_MS {
            if waiting.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            let ids: Vec<_> = waiting.iter().map(|lead| lead.id.clone()).collect();
            let Ok(entries) = self.entries.read(&ids).await else { break };
            let mut there = entries.into_iter().map(|e| matches!(e, Entry::Hit(_) | Entry::Absent));
            // Dropping a lead sends its passengers into the cache, where the entry is.
            waiting.retain(|_| !there.next().unwrap_or(false));
        }
        waiting
    }

    /// Loads rows and fills those for which there is a lease (its generation).
    async fn load(&self, leads: Vec<(Lead, Option<u64>)>, token: &str) {
        if leads.is_empty() {
            return;
        }
        self.flights.advance(leads.iter().map(|(lead, _)| lead), Phase::Loading);
        let ids: Vec<_> = leads.iter().map(|(lead, _)| lead.id.clone()).collect();
        let rows = match self.query(&ids).await {
            Ok(rows) => rows,
            Err(error) => return land_failed(leads.into_iter().map(|(lead, _)| lead), error),
        };
        let rows: Vec<_> = rows.into_iter().map(|row| row.map(Arc::new)).collect();
        self.flights.advance(leads.iter().map(|(lead, _)| lead), Phase::Filling);
        let fillings: Vec<_> = leads
            .iter()
            .zip(&rows)
            .filter_map(|((lead, generation), row)| {
                Some(Filling { id: &lead.id, generation: (*generation)?, row: row.as_deref() })
            })
            .collect();
        let counters = &self.entries.counters;
        let filled = self.entries.fill(&fillings, token).await.unwrap_or_else(|_| {
            counters.cache_failures.add(1);
            vec![false; fillings.len()]
        });
        let accepted = filled.iter().filter(|filled| **filled).count();
        counters.fills.add(accepted);
        counters.fills_refused.add(filled.len() - accepted);
        let mut filled = filled.into_iter();
        for ((lead, generation), row) in leads.into_iter().zip(rows) {
            let confirmed = generation.is_some() && filled.next().unwrap_or(false);
            lead.land(Landing { row: Ok(row), confirmed });
        }
    }

    /// Lands flights while Redis cannot be asked: few at a time, and nothing is filled.
    async fn fetch_past_cache(&self, leads: Vec<Lead>) {
        match self.permit().await {
            Ok(_permit) => {
                self.load(leads.into_iter().map(|lead| (lead, None)).collect(), "").await
            }
            Err(error) => land_failed(leads, error),
        }
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout(self.outage_wait, self.outage_loads.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(
                ErrorKind::Overloaded,
                "Redis cannot be reached and too many reads wait for the store; `outage_loads_max` \
                 on the cache's builder says how many may run at a time",
            )),
        }
    }

    /// One query, its rows in the order of the ids.
    async fn query(&self, ids: &[EntityId]) -> Result<Vec<Found>> {
        let schema = &self.entries.schema;
        let counters = &self.entries.counters;
        counters.store_loads.add(1);
        let loading = self.store.load(schema, Query::Ids(ids)).await;
        let rows = loading.map_err(|error| error.into_error())?;
        counters.rows_loaded.add(rows.len());
        let by_id = |row| Some((self.entries.id_of(&row)?, row));
        let rows: HashMap<EntityId, _> = rows.into_iter().filter_map(by_id).collect();
        Ok(ids.iter().map(|id| rows.get(id).cloned()).collect())
    }
}

/// The entry holds a write that the store does not have: the row would be older.
fn unusable(id: &EntityId) -> Error {
    let message = "the entry holds a write that is not in the store yet, and cannot be decoded: it may be \
                   of a newer version of the struct";
    Error::new(ErrorKind::Undecodable, message).of(id)
}

fn land_failed(leads: impl IntoIterator<Item = Lead>, error: Error) {
    let error = Arc::new(error);
    for lead in leads {
        lead.land(Landing { row: Err(Arc::clone(&error)), confirmed: false });
    }
}
