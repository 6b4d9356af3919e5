//! What the settings and the server must be before a repository exists.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    backend::{CacheError, Documents, Server, Syncs, journal::Bound},
    cache::Entries,
    codec::{CAN_COMPRESS, Compression, Format},
    entity::Durability,
    error::{Error, Result},
    journal::{DurabilitySettings, Roster},
    layout::PARTITIONS_MAX,
    schema::Schema,
    strategy::Strategy,
    worker::{self, Evictions},
};

/// Eight times as much, which escapes may make of it, is what Redis can hold in one value.
const VALUE_MAX_BYTES_MAX: usize = 64 * 1024 * 1024;
const BATCH_MAX: usize = 10_000;
const SNAPSHOTS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 60 * 60);
const DURABILITY_TIMEOUT_MAX: Duration = Duration::from_secs(60);
const STORE_TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

pub(super) fn numbers(
    partitions: u32,
    store_timeout: Duration,
    intent_grace: Duration,
) -> Result<()> {
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        let message = format!("`partitions` is {partitions}: use 1 to {PARTITIONS_MAX}");
        return Err(Error::configuration(message));
    }
    if !(Duration::from_millis(1)..=STORE_TIMEOUT_MAX).contains(&store_timeout) {
        return Err(Error::configuration("`store_timeout` must be from 1 ms to 1 h"));
    }
    if intent_grace > STORE_TIMEOUT_MAX {
        return Err(Error::configuration("`intent_grace` must be at most 1 h"));
    }
    Ok(())
}

pub(super) fn journal(backlog: Bound, partitions: u32, batch: usize) -> Result<()> {
    if backlog.records < u64::from(partitions) || backlog.bytes < u64::from(partitions) {
        return Err(Error::configuration(format!(
            "`max_backlog` and `max_backlog_bytes` must be at least 1 for each of the {partitions} \
             partitions"
        )));
    }
    if !(1..=BATCH_MAX).contains(&batch) {
        let message = format!("`batch` is {batch}: use 1 to {BATCH_MAX}");
        return Err(Error::configuration(message));
    }
    Ok(())
}

pub(super) fn durability(durability: DurabilitySettings) -> Result<()> {
    let DurabilitySettings { level, longest, .. } = durability;
    if level == Durability::Replicated(0) {
        let message = "`durability` of replicated(0) waits for nobody: use 1 or more, or memory";
        return Err(Error::configuration(message));
    }
    if !(Duration::from_millis(1)..=DURABILITY_TIMEOUT_MAX).contains(&longest) {
        return Err(Error::configuration("`durability_timeout` must be from 1 ms to 1 min"));
    }
    Ok(())
}

/// Refuses strategies under which a read would show what was saved in place of what the database computes.
pub(super) fn generated(schema: &Schema, strategy: Strategy) -> Result<()> {
    let column = schema.columns().iter().find(|column| column.is_generated());
    match (column, strategy) {
        (Some(column), Strategy::WriteBehind | Strategy::RedisOnly) => {
            Err(Error::configuration(format!(
                "the field `{}` is `generated`: only the database knows its value, and under {strategy} \
                 reads show what was saved; use cache_aside, read_through or write_through, or leave the \
                 field out",
                column.name()
            )))
        }
        _ => Ok(()),
    }
}

/// Refuses a server that does not tell, or would not confirm, that a write is on its disk.
fn syncs(server: &Server, durability: DurabilitySettings) -> Result<()> {
    let DurabilitySettings { level, is_asserted, .. } = durability;
    if level != Durability::Fsync {
        return Ok(());
    }
    let version = &server.version;
    Err(Error::configuration(match server.syncs {
        Syncs::Told | Syncs::Always => return Ok(()),
        // What the server shows counts for more than what is said of it.
        Syncs::Unknown if is_asserted => return Ok(()),
        Syncs::Seldom if !server.aof => {
            "`durability` is fsync, and Redis has no append-only file: set \
                                         appendonly yes"
                .to_owned()
        }
        Syncs::Seldom => format!(
            "`durability` is fsync, and Redis {version} does not sync with every write: set appendfsync \
             always, or use 7.2 or newer, which tells when it has synced"
        ),
        Syncs::Unknown => format!(
            "`durability` is fsync, and this user may not ask Redis {version} whether it syncs with \
             every write: allow CONFIG GET, use 7.2 or newer, or say `fsync_asserted` on the builder if \
             you know that it does"
        ),
    }))
}

pub(super) fn value_max(bytes: usize) -> Result<()> {
    if !(1..=VALUE_MAX_BYTES_MAX).contains(&bytes) {
        return Err(Error::configuration("`value_max_bytes` must be from 1 byte to 64 MiB"));
    }
    Ok(())
}

pub(super) fn compression(format: Format, compression: Option<Compression>) -> Result<()> {
    let Some(compression) = compression else { return Ok(()) };
    if matches!(format, Format::Hash | Format::JsonDoc) {
        let message = format!(
            "`compress` does not go with the format {format}, whose columns other programs read: \
             leave it out, or choose the format json or msgpack"
        );
        return Err(Error::configuration(message));
    }
    if !CAN_COMPRESS {
        let message = format!("`compress` needs the feature `{compression}` of cached-repo");
        return Err(Error::configuration(message));
    }
    Ok(())
}

/// Refuses a server that cannot hold entries in the format.
pub(super) async fn format(entries: &Entries) -> Result<()> {
    if entries.codec.format() != Format::JsonDoc {
        return Ok(());
    }
    match entries.backend.documents().await.map_err(CacheError::into_error)? {
        Documents::Held => Ok(()),
        Documents::Lacking => Err(Error::configuration(
            "the format json_doc needs the commands JSON.GET and JSON.SET, which this Redis server \
             does not have: load RedisJSON into it, or choose the format json",
        )),
        Documents::Refused => Err(Error::configuration(
            "the format json_doc needs the commands JSON.GET and JSON.SET, which the user of Redis may \
             not use: let it (`Cache::acl_setuser` prints all that it needs), or choose the format json",
        )),
    }
}

/// Refuses snapshots that cannot be.
pub(super) fn snapshot(strategy: Strategy, every: Option<Duration>, has_store: bool) -> Result<()> {
    let Some(interval) = every else { return Ok(()) };
    if strategy != Strategy::RedisOnly {
        return Err(Error::configuration(format!(
            "`snapshot` copies what `redis_only` keeps, and the strategy is `{strategy}`, whose entities \
             are in the store anyway: leave it out (`.snapshot(None)` turns the attribute off)"
        )));
    }
    if !has_store {
        return Err(Error::configuration(
            "`snapshot` needs a store to copy to: call `.store(&db)` on the builder, with a `db` from \
             `store::connect(url)`",
        ));
    }
    if !SNAPSHOTS.contains(&interval) {
        return Err(Error::configuration("`snapshot` must be from 1 s to 30 days"));
    }
    Ok(())
}

/// Refuses snapshots to a store that does not keep positions.
pub(super) fn copies(every: Option<Duration>, journals: bool) -> Result<()> {
    if every.is_some() && !journals {
        return Err(Error::configuration(
            "the store takes no journals, which `snapshot` needs to copy each change once and in order: \
             use one that does",
        ));
    }
    Ok(())
}

/// Refuses a server that may throw the only copy away.
pub(super) async fn server(
    entries: &Entries,
    strategy: Strategy,
    durability: DurabilitySettings,
    roster: &Roster,
) -> Result<()> {
    let server = worker::probe(&*entries.backend, roster).await.map_err(CacheError::into_error)?;
    if matches!(strategy, Strategy::WriteBehind | Strategy::RedisOnly) {
        syncs(&server, durability)?;
    }
    if strategy == Strategy::WriteBehind {
        if let Some(reason) = Evictions::of(&server).0 {
            return Err(Error::configuration(reason));
        }
        for warning in roster.warnings() {
            tracing::warn!(
                entity = entries.schema.prefix(),
                warning,
                "journaled writes are at risk"
            );
        }
    }
    let policy = &server.eviction_policy;
    let evicts = policy.starts_with("allkeys-")
        || (policy.starts_with("volatile-") && entries.lifetimes.kept_ttl.is_some());
    if strategy == Strategy::RedisOnly && evicts {
        return Err(Error::configuration(format!(
            "the Redis server (version {}) has maxmemory-policy {policy}, which evicts entities that \
             are nowhere else: set it to noeviction (volatile-* is fine for entities without a `ttl`), \
             or choose another strategy",
            server.version
        )));
    }
    Ok(())
}
