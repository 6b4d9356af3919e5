//! Looking at the Redis server again and again: whether it may throw journaled writes away, and
//! whether it keeps anything on a disk.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    backend::{Backend, CacheError, Server},
    journal::Roster,
};

/// How often.
const INTERVAL: Duration = Duration::from_secs(30);

/// Why the server may throw away what has no time to live, if it may.
pub(crate) struct Evictions(pub(crate) Option<String>);

impl Evictions {
    pub(crate) fn of(server: &Server) -> Self {
        let policy = &server.eviction_policy;
        Self(policy.starts_with("allkeys-").then(|| {
            format!(
                "the Redis server has maxmemory-policy {policy}, which evicts journaled writes that are \
                 nowhere else: set it to noeviction or volatile-*"
            )
        }))
    }
}

/// Asks the server once, and tells the roster.
pub(crate) async fn probe(backend: &dyn Backend, roster: &Roster) -> Result<Server, CacheError> {
    let server = backend.server().await?;
    roster.suspend(Evictions::of(&server).0);
    roster.warn(warnings(&server));
    Ok(server)
}

/// Asks the server until the roster is stopped.
pub(crate) async fn watch(backend: Arc<dyn Backend>, roster: Arc<Roster>) {
    loop {
        tokio::select! {
            biased;
            () = roster.stopped() => return,
            () = sleep(INTERVAL) => {}
        }
        let suspended = roster.suspension();
        // A server that does not answer is noticed by whoever writes.
        if probe(&*backend, &roster).await.is_ok() && roster.suspension() != suspended {
            match roster.suspension() {
                Some(reason) => tracing::error!(reason, "nothing is journaled any more"),
                None => tracing::warn!("writes are journaled again"),
            }
        }
    }
}

fn warnings(server: &Server) -> Vec<String> {
    let mut warnings = Vec::new();
    match (server.aof, server.snapshots) {
        (true, _) => {}
        (false, true) => warnings.push(
            "Redis makes snapshots but has no append-only file: a restart loses the journaled writes \
             since the last snapshot (set appendonly yes)"
                .to_owned(),
        ),
        (false, false) => warnings.push(
            "Redis writes nothing to a disk: a restart loses the journaled writes that are not drained \
             (set appendonly yes)"
                .to_owned(),
        ),
    }
    warnings.extend(server.persistence_error.clone());
    if server.writes_alone {
        warnings.push(
            "Redis has replicas and takes writes that none of them may get: a failover loses those \
             (set min-replicas-to-write 1)"
                .to_owned(),
        );
    }
    warnings
}
