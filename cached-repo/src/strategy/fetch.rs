//! Landing flights: lease, load, fill.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::SemaphorePermit;

use super::loader::{Found, Loader, Patience};
use crate::{
    backend::Lease,
    cache::{Entry, Filling, Landing, Lead, Phase},
    change::EntityId,
    error::{Error, ErrorKind, Result},
    store::Query,
};

/// How long a filler that died is waited for by those who would fill.
const LEASE_HOLD: Duration = Duration::from_secs(3);
/// The waits between looks for what another process is filling: 50 ms together.
const HOLDER_WAITS_MS: [u64; 5] = [2, 4, 8, 16, 20];

impl Loader {
    /// Lands flights: under leases where they are granted.
    pub(super) async fn fetch(&self, leads: Vec<Lead>) {
        // Only the lease knows of journaled entries in a format that a first look passes over: whoever
        // joins from now on may have passed over one that was not there yet when it was asked for.
        self.flights.advance(&leads, Phase::Loading);
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
            let is_there = |e| matches!(e, Entry::Hit(_) | Entry::Absent | Entry::Unstored(_));
            let mut there = entries.into_iter().map(is_there);
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
        let rows: Vec<_> = rows.into_iter().map(|row| row.map(|row| row.map(Arc::new))).collect();
        self.flights.advance(leads.iter().map(|(lead, _)| lead), Phase::Filling);
        let fillings: Vec<_> = leads
            .iter()
            .zip(&rows)
            .filter_map(|((lead, generation), row)| {
                let row = row.as_ref().ok()?.as_deref();
                Some(Filling { id: &lead.id, generation: (*generation)?, row })
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
            let is_offered = generation.is_some() && row.is_ok();
            let confirmed = is_offered && filled.next().unwrap_or(false);
            lead.land(Landing { row, confirmed });
        }
    }

    /// Lands flights while Redis cannot be asked: few at a time, and nothing is filled.
    pub(super) async fn fetch_past_cache(&self, leads: Vec<Lead>) {
        match self.permit().await {
            Ok(_permit) => {
                self.load(leads.into_iter().map(|lead| (lead, None)).collect(), "").await
            }
            Err(error) => land_failed(leads, error),
        }
    }

    pub(super) async fn permit(&self) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout(self.outage_wait, self.outage_loads.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(
                ErrorKind::Overloaded,
                "Redis cannot be reached and too many reads wait for the store; `outage_loads_max` \
                 on the cache's builder says how many may run at a time",
            )),
        }
    }

    /// One query, its rows in the order of the ids. A row that cannot be read is the error of its id.
    pub(super) async fn query(&self, ids: &[EntityId]) -> Result<Vec<Result<Found, Arc<Error>>>> {
        let schema = &self.entries.schema;
        let counters = &self.entries.counters;
        counters.store_loads.add(1);
        let loading = self.store.load(schema, Query::Ids(ids)).await;
        let rows = loading.map_err(|error| error.into_error())?;
        counters.rows_loaded.add(rows.len());
        let (mut found, mut stray) = (HashMap::with_capacity(rows.len()), None);
        for row in rows {
            match row {
                Ok(row) => drop(self.entries.id_of(&row).map(|id| found.insert(id, Ok(row)))),
                Err(error) => match error.id().cloned() {
                    Some(id) => drop(found.insert(id, Err(Arc::new(error.into_error())))),
                    None => stray = Some(error.into_error()),
                },
            }
        }
        let row = |id: &EntityId| match (found.get(id), &stray) {
            (Some(row), _) => row.clone().map(Some),
            (None, Some(error)) => Err(Arc::new(error.share().of(id))),
            (None, None) => Ok(None),
        };
        Ok(ids.iter().map(row).collect())
    }
}

fn land_failed(leads: impl IntoIterator<Item = Lead>, error: Error) {
    let error = Arc::new(error);
    for lead in leads {
        lead.land(Landing { row: Err(Arc::clone(&error)), confirmed: false });
    }
}
