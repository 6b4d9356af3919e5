//! What tests do to a server behind the back of this crate.

use redis::Value;

use super::connection::Connection;
use crate::{
    backend::{CacheError, Incident, Meta},
    codec::Raw,
    key::Keyspace,
};

/// Puts bytes where an entry should be.
pub(super) async fn entry(connection: &Connection, key: &str, raw: Raw) -> Result<(), CacheError> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("DEL").arg(key);
    match raw {
        Raw::Text(text) => pipeline.cmd("SET").arg(key).arg(text),
        Raw::Fields(fields) if fields.is_empty() => &mut pipeline,
        Raw::Fields(fields) => {
            let flat: Vec<_> = fields.into_iter().flat_map(|(name, value)| [name, value]).collect();
            pipeline.cmd("HSET").arg(key).arg(flat)
        }
        Raw::Document(text) => pipeline.cmd("JSON.SET").arg(key).arg("$").arg(text),
        Raw::WrongType => pipeline.cmd("LPUSH").arg(key).arg("x"),
    };
    let _: Value = connection.pipeline(&pipeline).await?;
    Ok(())
}

pub(super) async fn meta(
    connection: &Connection,
    keys: &Keyspace,
    partition: u32,
    meta: Meta,
) -> Result<(), CacheError> {
    let mut command = match meta {
        Meta::Generation(_) => redis::cmd("SET"),
        Meta::Home(_) | Meta::Epoch(_) | Meta::Ticket(..) => redis::cmd("HSET"),
    };
    match meta {
        Meta::Home(home) => command.arg(keys.meta(partition)).arg("home").arg(home),
        Meta::Epoch(epoch) => command.arg(keys.meta(partition)).arg("epoch").arg(epoch),
        Meta::Ticket(ticket, server) => {
            command.arg(keys.meta(partition)).arg("ticket").arg(format!("{ticket} {server}"))
        }
        Meta::Generation(generation) => command.arg(keys.generation(partition)).arg(generation),
    };
    let _: Value = connection.command(&command).await?;
    Ok(())
}

pub(super) async fn incident(
    connection: &Connection,
    keys: &Keyspace,
    incident: Incident,
) -> Result<(), CacheError> {
    match incident {
        Incident::Wipe => wipe(connection, keys).await,
        Incident::NoMemory => limit_memory(connection, "1").await,
        Incident::Memory => limit_memory(connection, "0").await,
        Incident::Restart | Incident::Replicate | Incident::FailOver => {
            Err(CacheError::answered("this happens to the in-process backend only"))
        }
    }
}

async fn limit_memory(connection: &Connection, bytes: &str) -> Result<(), CacheError> {
    let setting = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).clone();
    connection.command(&setting).await
}

async fn wipe(connection: &Connection, keys: &Keyspace) -> Result<(), CacheError> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(keys.pattern()).arg("COUNT").arg(1000);
        let (next, found): (u64, Vec<String>) = connection.command(&scan).await?;
        for key in found {
            let _: Value = connection.command(redis::cmd("UNLINK").arg(key)).await?;
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    for partition in keys.layout().range() {
        let mut leave = redis::cmd("ZREM");
        leave.arg(keys.backlog(partition)).arg(keys.member(partition));
        let _: Value = connection.command(&leave).await?;
    }
    Ok(())
}
