//! What those are promised who wait for a confirmation, over a server that answers when it is told to.

// A violated promise is a panic: this file is a test that other crates can call.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc::UnboundedReceiver};

use super::*;
use crate::{
    clock::{Clock, Random},
    key::Topology,
    redis::client::Dial,
};

const LONG: Duration = Duration::from_secs(30);

/// Runs the suite. The server says when it is asked to wait, and answers as often as it may.
pub(crate) async fn run(url: &str, came: UnboundedReceiver<()>, answers: Arc<Semaphore>) {
    let dial = Dial::new(url, None, None).unwrap();
    let connection = Connection::new(dial, LONG, LONG, Clock::new(), Random::seeded(1));
    let keys = Keyspace::new("", "todos", Topology::Standalone, 1).unwrap();
    let durable = Durable::new(connection, false);
    let waits = Waits { durable, scripts: Scripts::new(), keys };
    let mut server = Server { waits, came, answers };
    when_whoever_has_the_turn_is_dropped_the_next_one_asks(&mut server).await;
    who_was_asked_for_by_somebody_who_is_dropped_asks_for_himself_and_once(&mut server).await;
    who_waits_meanwhile_is_served_together(&mut server).await;
}

struct Server {
    waits: Waits,
    /// Something for each WAIT that has come.
    came: UnboundedReceiver<()>,
    /// So many of them may be answered.
    answers: Arc<Semaphore>,
}

struct Waits {
    durable: Durable,
    scripts: Scripts,
    keys: Keyspace,
}

impl Waits {
    async fn confirm(&self) -> Confirmed {
        let Self { durable, scripts, keys } = self;
        durable.confirm(scripts, keys, &[], Durability::Replicated(1), LONG).await.unwrap()
    }
}

/// Drives somebody until the server is asked.
macro_rules! until_asked {
    ($came:expr, $waiter:expr) => {
        tokio::select! {
            _ = &mut $waiter => panic!("the server has not answered"),
            asked = $came.recv() => asked.unwrap(),
        }
    };
}

const HERE: Confirmed = Confirmed::Here { fsynced: false, replicas: 1 };

async fn when_whoever_has_the_turn_is_dropped_the_next_one_asks(server: &mut Server) {
    let Server { waits, came, answers } = server;
    let (mut first, mut second) = (Box::pin(waits.confirm()), Box::pin(waits.confirm()));
    until_asked!(came, first);
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    answers.add_permits(2);
    assert_eq!(second.await, HERE);
    came.recv().await.unwrap();
}

async fn who_was_asked_for_by_somebody_who_is_dropped_asks_for_himself_and_once(
    server: &mut Server,
) {
    let Server { waits, came, answers } = server;
    let confirm = || Box::pin(waits.confirm());
    let (mut first, mut second, mut third) = (confirm(), confirm(), confirm());
    until_asked!(came, first);
    assert!((&mut second).now_or_never().is_none());
    assert!((&mut third).now_or_never().is_none());
    answers.add_permits(1);
    assert_eq!(first.await, HERE);
    // For both.
    until_asked!(came, second);
    drop(second);
    answers.add_permits(2);
    let mut times = 0;
    let served = loop {
        tokio::select! {
            served = &mut third => break served,
            asked = came.recv() => asked.unwrap(),
        }
        times += 1;
        answers.add_permits(times - 1);
    };
    while came.try_recv().is_ok() {
        times += 1;
    }
    assert_eq!((served, times), (HERE, 1), "the server was asked for nobody");
}

async fn who_waits_meanwhile_is_served_together(server: &mut Server) {
    let Server { waits, came, answers } = server;
    let mut first = Box::pin(waits.confirm());
    until_asked!(came, first);
    let mut others: Vec<_> = (0..5).map(|_| Box::pin(waits.confirm())).collect();
    for other in &mut others {
        assert!(other.now_or_never().is_none());
    }
    answers.add_permits(2);
    assert_eq!(first.await, HERE);
    for other in others {
        assert_eq!(other.await, HERE);
    }
    came.recv().await.unwrap();
    assert!(came.try_recv().is_err(), "one of them asks for all");
}
