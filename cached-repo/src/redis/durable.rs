//! Waiting until what the server has accepted is on a disk, or on replicas.
//!
//! WAIT and WAITAOF hold up everything else on their connection, so they have one of their own. What
//! one of them confirms is everything that the server did before, on whatever connection: whoever
//! comes while one is under way is served by the next one, together with all others that came.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;
use redis::{RedisResult, aio::MultiplexedConnection};
use tokio::sync::{
    Mutex as Turn,
    oneshot::{self, error::TryRecvError},
};

use super::{
    call::Call,
    connection::Connection,
    scripts::{Scripts, Step},
};
use crate::{
    backend::{
        CacheError,
        journal::{Confirmed, Mark},
    },
    entity::Durability,
    key::Keyspace,
};

#[cfg(feature = "conformance")]
pub(super) mod conformance;

/// A partition's meta key; the server, if it is beside all journals; journal and epoch.
type Place = (String, String, String, u64);

/// The connection that waits.
#[derive(Debug)]
pub(super) struct Durable {
    connection: Connection,
    /// Whether the server can be asked to wait for its disk.
    pub(super) has_waitaof: bool,
    waiting: Mutex<Vec<Waiter>>,
    turn: Turn<()>,
}

/// Somebody who wants to know.
#[derive(Debug)]
struct Waiter {
    durability: Durability,
    places: Vec<Place>,
    answer: oneshot::Sender<Result<Confirmed, CacheError>>,
}

impl Durable {
    pub(super) fn new(connection: Connection, has_waitaof: bool) -> Self {
        Self { connection, has_waitaof, waiting: Mutex::default(), turn: Turn::new(()) }
    }

    pub(super) async fn confirm(
        &self,
        scripts: &Scripts,
        keys: &Keyspace,
        marks: &[Mark<'_>],
        durability: Durability,
        longest: Duration,
    ) -> Result<Confirmed, CacheError> {
        let place = |mark: &Mark<'_>| match *mark {
            Mark::Journal { partition, journal, epoch } => {
                (keys.meta(partition), String::new(), journal.to_owned(), epoch)
            }
            Mark::Server { partition, server } => {
                (keys.meta(partition), server.to_owned(), String::new(), 0)
            }
        };
        let places: Vec<Place> = marks.iter().map(place).collect();
        loop {
            let (answer, mut answered) = oneshot::channel();
            let waiter = Waiter { durability, places: places.clone(), answer };
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waiter);
            let turn = tokio::select! {
                biased;
                Ok(answer) = &mut answered => return answer,
                turn = self.turn.lock() => turn,
            };
            match answered.try_recv() {
                Ok(answer) => return answer,
                // Whoever had the turn before was dropped, with all that waited.
                Err(TryRecvError::Closed) => continue,
                Err(TryRecvError::Empty) => {}
            }
            self.serve(scripts, durability, longest).await;
            drop(turn);
            if let Ok(answer) = answered.await {
                return answer;
            }
        }
    }

    /// Asks the server once, for all that wait for the same.
    async fn serve(&self, scripts: &Scripts, durability: Durability, longest: Duration) {
        let mut group = Vec::new();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let (same, others) = std::mem::take(&mut *waiting)
                .into_iter()
                .partition::<Vec<_>, _>(|waiter| waiter.durability == durability);
            group.extend(same);
            *waiting = others;
        }
        let mut places: BTreeMap<Place, bool> = BTreeMap::new();
        for waiter in &group {
            places.extend(waiter.places.iter().map(|place| (place.clone(), false)));
        }
        let asked = self.connection.call_for(longest, async |connection| {
            let looks = places.keys().map(|place| is_at_home(scripts, connection.clone(), place));
            let here = try_join_all(looks).await?;
            places.values_mut().zip(here).for_each(|(place, is_here)| *place = is_here);
            self.wait(connection, durability, longest).await
        });
        let reached = asked.await;
        for Waiter { places: of, answer, .. } in group {
            let is_here = of.iter().all(|place| places.get(place).is_some_and(|here| *here));
            // Who does not wait any more need not know.
            drop(answer.send(match &reached {
                Ok(confirmed) if is_here => Ok(*confirmed),
                Ok(_) => Ok(Confirmed::Elsewhere),
                Err(error) => Err(error.clone()),
            }));
        }
    }

    async fn wait(
        &self,
        mut connection: MultiplexedConnection,
        durability: Durability,
        longest: Duration,
    ) -> RedisResult<Confirmed> {
        let longest_ms = longest.as_millis().max(1);
        let (mut fsynced, mut replicas) = (false, 0);
        match durability {
            Durability::Memory => {}
            Durability::Replicated(count) => {
                let mut command = redis::cmd("WAIT");
                command.arg(count).arg(longest_ms);
                replicas = command.query_async(&mut connection).await?;
            }
            Durability::Fsync if self.has_waitaof => {
                let mut command = redis::cmd("WAITAOF");
                command.arg(1).arg(0).arg(longest_ms);
                let (local, _): (u64, u64) = command.query_async(&mut connection).await?;
                fsynced = local >= 1;
            }
            // Such a server syncs before it answers, if it is set to: it has answered already.
            Durability::Fsync => fsynced = syncs_always(&mut connection).await?,
        }
        Ok(Confirmed::Here { fsynced, replicas })
    }
}

async fn is_at_home(
    scripts: &Scripts,
    mut connection: MultiplexedConnection,
    (meta, server, journal, epoch): &Place,
) -> RedisResult<bool> {
    let mut call = Call::default();
    call.key(meta).argument(server).argument(journal).argument(epoch);
    let answer: u64 = scripts.run_on(&mut connection, Step::Confirm, &call).await?;
    Ok(answer == 1)
}

/// Whether the server syncs its append-only file with every write.
pub(super) async fn syncs_always(connection: &mut MultiplexedConnection) -> RedisResult<bool> {
    let mut asking = redis::cmd("CONFIG");
    asking.arg("GET").arg("append*");
    let settings: BTreeMap<String, String> = asking.query_async(connection).await?;
    let is = |name: &str, value: &str| settings.get(name).is_some_and(|found| found == value);
    Ok(is("appendonly", "yes") && is("appendfsync", "always"))
}
