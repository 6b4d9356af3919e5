//! What a server says of itself.

use std::collections::HashMap;

use redis::{RedisResult, Value};

use super::{
    acl,
    connection::Connection,
    durable::syncs_always,
    fault::{describe, says},
};
use crate::{
    backend::{CacheError, Documents, Server, Syncs},
    error::{Error, Result},
    key::Topology,
};

/// Older servers lack commands that the scripts use.
const VERSION_MIN: (u32, u32) = (6, 2);
/// From here on there are functions.
const FUNCTIONS_SINCE: (u32, u32) = (7, 0);
/// From here on a client can wait for the disk. (Valkey calls its first version 7.2.4.)
const WAITAOF_SINCE: (u32, u32) = (7, 2);

/// What the server is, for as long as it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    pub(super) topology: Topology,
    pub(super) has_functions: bool,
    pub(super) has_documents: bool,
    pub(super) has_waitaof: bool,
}

/// Looks whether the server is one that this crate can use.
pub(super) async fn nature(connection: &Connection, accept_cluster: bool) -> Result<Nature> {
    let facts = info(connection).await.map_err(CacheError::into_error)?;
    let text = facts.get("redis_version").map_or("", String::as_str);
    let version = parse_version(text);
    if version.is_some_and(|found| found < VERSION_MIN) {
        return Err(Error::configuration(format!("Redis {text} is too old: use 6.2 or newer")));
    }
    let has_functions = version.is_some_and(|found| found >= FUNCTIONS_SINCE);
    let has_waitaof = version.is_some_and(|found| found >= WAITAOF_SINCE);
    let topology = match facts.get("cluster_enabled").map(String::as_str) {
        Some("1") if accept_cluster => Topology::Cluster,
        Some("1") => {
            return Err(Error::configuration(
                "this server is in cluster mode, which is not built yet: use a standalone one",
            ));
        }
        _ => Topology::Standalone,
    };
    let has_documents = match documents(connection).await {
        Ok(documents) => documents != Documents::Lacking,
        Err(error) if error.is_retryable() => return Err(error.into_error()),
        // Only who needs them is refused, by `build`.
        Err(_) => false,
    };
    Ok(Nature { topology, has_functions, has_documents, has_waitaof })
}

/// Whether the server has the commands for documents, and this client may use them. Asked without the
/// arguments that they need: which error comes says it, and nothing is done.
pub(super) async fn documents(connection: &Connection) -> Result<Documents, CacheError> {
    let mut pipeline = redis::pipe();
    for command in acl::DOCUMENTS {
        pipeline.cmd(command);
    }
    let answers: Vec<RedisResult<Value>> = connection.pipeline(pipeline.ignore_errors()).await?;
    let errors: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    if errors.iter().any(|error| says(error, "unknown command")) {
        return Ok(Documents::Lacking);
    }
    if errors.iter().any(|error| error.code() == Some("NOPERM")) {
        return Ok(Documents::Refused);
    }
    match errors.iter().find(|error| !says(error, "wrong number of arguments")) {
        Some(error) => Err(CacheError::answered(format!("Redis refused: {}", describe(error)))),
        None => Ok(Documents::Held),
    }
}

/// The facts that decide whether a repository may be built on it.
pub(super) async fn facts(connection: &Connection) -> Result<Server, CacheError> {
    let mut facts = info(connection).await?;
    let failed = FAILURES.iter().find(|(name, _)| facts.get(*name).is_some_and(|v| v != "ok"));
    let persistence_error = failed.map(|(_, what)| (*what).to_owned());
    let aof = facts.get("aof_enabled").is_some_and(|enabled| enabled == "1");
    let snapshots = makes_snapshots(connection).await?;
    let version = facts.get("redis_version").and_then(|text| parse_version(text));
    let syncs = syncs(connection, aof, version).await?;
    // The second one is there if `min-replicas-to-write` is set.
    let has_replicas = facts.get("connected_slaves").is_some_and(|count| count != "0");
    let writes_alone = has_replicas && !facts.contains_key("min_slaves_good_slaves");
    let mut take = |name: &str| facts.remove(name).unwrap_or_default();
    let (version, eviction_policy) = (take("redis_version"), take("maxmemory_policy"));
    Ok(Server { version, eviction_policy, aof, snapshots, persistence_error, syncs, writes_alone })
}

/// What is not `ok` has failed, and what that means.
const FAILURES: [(&str, &str); 3] = [
    ("aof_last_write_status", "the last write to the append-only file failed"),
    ("aof_last_bgrewrite_status", "the last rewrite of the append-only file failed"),
    ("rdb_last_bgsave_status", "the last snapshot failed"),
];

/// Whether there are times at which the server makes snapshots. `INFO` does not tell, and not everybody
/// may ask for it otherwise.
async fn makes_snapshots(connection: &Connection) -> Result<bool, CacheError> {
    let asking = redis::cmd("CONFIG").arg("GET").arg("save").clone();
    match connection.command::<HashMap<String, String>>(&asking).await {
        Ok(settings) => Ok(settings.get("save").is_some_and(|times| !times.is_empty())),
        Err(error) if error.is_retryable() => Err(error),
        Err(_) => Ok(false),
    }
}

/// When the server syncs its append-only file.
async fn syncs(
    connection: &Connection,
    aof: bool,
    version: Option<(u32, u32)>,
) -> Result<Syncs, CacheError> {
    match (aof, version) {
        (false, _) => return Ok(Syncs::Seldom),
        (true, Some(found)) if found >= WAITAOF_SINCE => return Ok(Syncs::Told),
        (true, _) => {}
    }
    let asked = connection.call(async |mut connection| syncs_always(&mut connection).await).await;
    match asked {
        Ok(true) => Ok(Syncs::Always),
        Ok(false) => Ok(Syncs::Seldom),
        Err(error) if error.is_retryable() => Err(error),
        Err(_) => Ok(Syncs::Unknown),
    }
}

/// The server's own description of itself.
async fn info(connection: &Connection) -> Result<HashMap<String, String>, CacheError> {
    let text: String = connection.command(&redis::cmd("INFO")).await?;
    Ok(lines(&text))
}

pub(super) fn lines(text: &str) -> HashMap<String, String> {
    let line = |line: &str| {
        line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// Major and minor version, where the text has them.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
