//! The read path of the store-first strategies: entry, else single flight, lease, load, fill.

use std::{collections::HashMap, sync::Arc, time::Duration};

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
    /// Loads while Redis cannot be reached: without it a dead cache would be a stampede.
    outage: Semaphore,
    outage_wait: Duration,
}

type Found = Option<Record<'static>>;

/// An id that was not found in the cache, and its place in the answer.
struct Miss {
    index: usize,
    replace: bool,
}

impl Loader {
    pub(super) fn new(parts: &Parts, store: SharedStore, patience: Patience) -> Self {
        Self {
            entries: Arc::clone(&parts.entries),
            store,
            patience,
            flights: Arc::default(),
            random: parts.entries.random.clone(),
            outage: Semaphore::new(parts.outage_loads_max),
            outage_wait: parts.store_timeout,
        }
    }

    pub(super) async fn read(self: &Arc<Self>, ids: Vec<EntityId>) -> Result<Vec<Found>> {
        let mut found: Vec<Found> = (0..ids.len()).map(|_| None).collect();
        let mut missed: Vec<Miss> =
            (0..ids.len()).map(|index| Miss { index, replace: false }).collect();
        let mut reachable = true;
        for _ in 0..FLIGHTS_MAX {
            reachable = self.look_up(&ids, &mut missed, &mut found).await;
            if missed.is_empty() {
                return Ok(found);
            }
            self.fly(&ids, &mut missed, &mut found, reachable).await?;
            if missed.is_empty() {
                return Ok(found);
            }
        }
        // Writers keep writing these ids: every value was too old by the time it was there.
        let ids_left: Vec<_> = missed.iter().map(|miss| ids[miss.index].clone()).collect();
        let _permit = if reachable { None } else { Some(self.permit().await?) };
        for (miss, row) in missed.iter().zip(self.query(&ids_left).await?) {
            found[miss.index] = row;
        }
        Ok(found)
    }

    /// Takes from the cache what it has. Answers whether the cache could be asked.
    async fn look_up(&self, ids: &[EntityId], missed: &mut Vec<Miss>, found: &mut [Found]) -> bool {
        let counters = &self.entries.counters;
        let asked: Vec<_> = missed.iter().map(|miss| ids[miss.index].clone()).collect();
        let slots = self.entries.slots(&asked);
        let owed = slots.iter().any(|slot| self.entries.owed.contains(slot));
        let answers = match self.entries.read(&asked).await {
            // An entry that should be gone by now must not be believed.
            Ok(_) if owed => return false,
            Ok(answers) => answers,
            Err(error) => {
                counters.cache_failures.add(1);
                tracing::debug!(%error, "reading from the store, as the cache cannot be asked");
                return false;
            }
        };
        let mut answers = answers.into_iter();
        missed.retain_mut(|miss| {
            let (replace, record) = match answers.next() {
                Some(Entry::Hit(record)) => (None, Some(record)),
                Some(Entry::Absent) => (None, None),
                Some(Entry::Outdated(_)) => (Some(&counters.outdated), None),
                Some(Entry::Undecodable(error)) => {
                    tracing::warn!(%error, "an entry cannot be decoded and is loaded anew");
                    (Some(&counters.undecodable), None)
                }
                Some(Entry::Nothing) | None => {
                    counters.misses.add(1);
                    return true;
                }
            };
            if let Some(counter) = replace {
                counter.add(1);
                counters.misses.add(1);
                miss.replace = true;
                return true;
            }
            let hit = if record.is_some() { &counters.hits } else { &counters.negative_hits };
            hit.add(1);
            found[miss.index] = record;
            false
        });
        true
    }

    /// Boards a flight for each missed id and starts the tasks that load. What brings no fresh value
    /// stays missed.
    async fn fly(
        self: &Arc<Self>,
        ids: &[EntityId],
        missed: &mut Vec<Miss>,
        found: &mut [Found],
        reachable: bool,
    ) -> Result<()> {
        let board = |miss: &Miss| self.flights.board(&ids[miss.index], miss.replace);
        let (seats, leads): (Vec<_>, Vec<_>) = missed.iter().map(board).unzip();
        let leads: Vec<Lead> = leads.into_iter().flatten().collect();
        if !leads.is_empty() {
            // A task of its own: the flight must land also when this caller is gone.
            let loader = Arc::clone(self);
            tokio::spawn(async move {
                if reachable {
                    loader.fetch(leads).await;
                } else {
                    loader.fetch_past_cache(leads).await;
                }
            });
        }
        let landings = join_all(seats.into_iter().map(|seat| seat.wait())).await;
        let mut left = Vec::new();
        for (miss, landing) in missed.drain(..).zip(landings) {
            match landing {
                None => left.push(miss),
                Some(Landing { row: Ok(row), .. }) => {
                    found[miss.index] = row.map(Arc::unwrap_or_clone)
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
        let Ok(leases) = self.entries.lease(&asks, &token, LEASE_HOLD).await else {
            self.entries.counters.cache_failures.add(1);
            return self.fetch_past_cache(leads).await;
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
        match tokio::time::timeout(self.outage_wait, self.outage.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(
                ErrorKind::Overloaded,
                "Redis cannot be reached and too many reads wait for the store; `outage_loads_max` \
                 on the builder says how many may run at a time",
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
        let mut rows: HashMap<EntityId, _> = rows.into_iter().filter_map(by_id).collect();
        Ok(ids.iter().map(|id| rows.remove(id)).collect())
    }
}

fn land_failed(leads: impl IntoIterator<Item = Lead>, error: Error) {
    let error = Arc::new(error);
    for lead in leads {
        lead.land(Landing { row: Err(Arc::clone(&error)), confirmed: false });
    }
}
