//! Single flight: of the callers in this process that miss one entry, one loads it.
//!
//! A caller that joins late may not take any value: the row may have been read before a write that
//! was acknowledged before the caller asked. It may take the value if it joined before the cache was
//! asked whether the row may be read, or if the cache accepted the value afterwards, which it does only
//! if nobody wrote meanwhile.
//! Whoever joins after the value was offered to the cache only waits, and then asks the cache.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::Notify;

use crate::{change::EntityId, error::Error, record::Record};

/// The loads that are under way.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    open: Mutex<HashMap<EntityId, Open>>,
}

#[derive(Debug)]
struct Open {
    landed: Arc<Landed>,
    phase: Phase,
}

/// How a load ended, once it has. Whoever waits goes on in the order in which they came, so that a run with
/// virtual time can be the same again.
#[derive(Debug, Default)]
struct Landed {
    /// `None`: the task that was to load is gone.
    landing: OnceLock<Option<Landing>>,
    told: Notify,
}

impl Landed {
    /// Tells everybody. The first one to tell counts.
    fn tell(&self, landing: Option<Landing>) {
        if self.landing.set(landing).is_ok() {
            self.told.notify_waiters();
        }
    }

    async fn wait(&self) -> Option<Landing> {
        // Whoever asks for it before looking is told.
        let told = self.told.notified();
        if self.landing.get().is_none() {
            told.await;
        }
        self.landing.get()?.clone()
    }
}

/// How far a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The cache was not asked yet whether the row may be read.
    Boarding,
    /// It may have been asked, and the row may have been read.
    Loading,
    /// The row may have been offered to the cache.
    Filling,
}

/// How a load ended.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    pub(crate) row: Result<Option<Arc<Record<'static>>>, Arc<Error>>,
    /// The value was still the newest when the load ended.
    pub(crate) confirmed: bool,
}

/// The duty to load one id. Dropping it unlanded sends the waiting callers to try again.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(crate) id: EntityId,
    /// The entry that is there cannot be used and may be replaced.
    pub(crate) replace: bool,
    flights: Arc<Flights>,
    landed: Arc<Landed>,
}

/// A caller's place in a flight.
#[derive(Debug)]
pub(crate) struct Seat {
    landed: Arc<Landed>,
    /// When the caller joined.
    since: Phase,
}

impl Flights {
    /// Finds a seat for an id, with the duty to load it where nobody has it yet.
    pub(crate) fn board(self: &Arc<Self>, id: &EntityId, replace: bool) -> (Seat, Option<Lead>) {
        let mut open = self.lock();
        if let Some(Open { landed, phase }) = open.get(id) {
            return (Seat { landed: Arc::clone(landed), since: *phase }, None);
        }
        let landed = Arc::new(Landed::default());
        open.insert(id.clone(), Open { landed: Arc::clone(&landed), phase: Phase::Boarding });
        let (flights, held) = (Arc::clone(self), Arc::clone(&landed));
        let lead = Lead { id: id.clone(), replace, flights, landed: held };
        (Seat { landed, since: Phase::Boarding }, Some(lead))
    }

    /// Says how far these flights are, before they get there.
    pub(crate) fn advance<'a>(&self, leads: impl IntoIterator<Item = &'a Lead>, phase: Phase) {
        let mut open = self.lock();
        for lead in leads {
            if let Some(flight) = open.get_mut(&lead.id) {
                flight.phase = phase;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EntityId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    pub(crate) fn land(self, landing: Landing) {
        // Nobody may board a flight that has landed.
        self.flights.lock().remove(&self.id);
        self.landed.tell(Some(landing));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut open = self.flights.lock();
        if open.get(&self.id).is_some_and(|flight| Arc::ptr_eq(&flight.landed, &self.landed)) {
            open.remove(&self.id);
        }
        drop(open);
        self.landed.tell(None);
    }
}

impl Seat {
    /// Waits for the flight's end. `None`: its value may be too old for this caller, or the task
    /// that was to load it is gone.
    ///
    /// `trusts_cache` is false for a caller that knows of a write that the cache does not know of:
    /// that nobody wrote meanwhile, as the cache says, is then no proof.
    pub(crate) async fn wait(self, trusts_cache: bool) -> Option<Landing> {
        let landing = self.landed.wait().await?;
        let fresh = match self.since {
            Phase::Boarding => true,
            Phase::Loading => trusts_cache && landing.confirmed,
            Phase::Filling => false,
        };
        fresh.then_some(landing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::entity_id, record::Value};

    fn id() -> EntityId {
        entity_id(vec![Value::I64(1)]).unwrap()
    }

    fn landing(confirmed: bool) -> Landing {
        Landing { row: Ok(None), confirmed }
    }

    #[tokio::test]
    async fn one_caller_loads_and_those_who_were_there_in_time_share_it() {
        let flights = Arc::new(Flights::default());
        let (first, lead) = flights.board(&id(), false);
        let (second, none) = flights.board(&id(), false);
        assert!(none.is_none());
        lead.unwrap().land(landing(false));
        assert!(first.wait(true).await.is_some() && second.wait(true).await.is_some());
    }

    #[tokio::test]
    async fn a_late_caller_takes_only_a_confirmed_value_and_a_later_one_none() {
        for confirmed in [false, true] {
            let flights = Arc::new(Flights::default());
            let lead = flights.board(&id(), false).1.unwrap();
            flights.advance([&lead], Phase::Loading);
            let (late, _) = flights.board(&id(), false);
            let (wary, _) = flights.board(&id(), false);
            flights.advance([&lead], Phase::Filling);
            let (later, _) = flights.board(&id(), false);
            lead.land(landing(confirmed));
            assert_eq!(late.wait(true).await.is_some(), confirmed);
            assert!(wary.wait(false).await.is_none());
            assert!(later.wait(true).await.is_none());
        }
    }

    #[tokio::test]
    async fn a_leader_that_is_gone_sends_its_followers_to_try_again() {
        let flights = Arc::new(Flights::default());
        let (_, lead) = flights.board(&id(), false);
        let (follower, _) = flights.board(&id(), false);
        drop(lead);
        assert!(follower.wait(true).await.is_none());
        assert!(flights.board(&id(), false).1.is_some());
    }
}
