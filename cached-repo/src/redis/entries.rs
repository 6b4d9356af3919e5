//! Reading entries: one round trip for any number of them, in any format.

use redis::{RedisError, RedisResult, Value};

use super::{
    answers,
    call::Call,
    connection::Connection,
    convert,
    fault::{describe, is_wrong_type, says},
};
use crate::{
    backend::{CacheError, Put, Seen},
    codec::{Format, Raw},
    key::{Keyspace, Slot},
};

/// Reads entries and the generations of their partitions.
pub(super) async fn read(
    connection: &Connection,
    keys: &Keyspace,
    format: Format,
    slots: &[Slot],
) -> Result<Vec<Seen>, CacheError> {
    let mut partitions: Vec<u32> = slots.iter().map(|slot| slot.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let (raws, generations) = match format {
        Format::Json | Format::Msgpack => read_texts(connection, keys, slots, &partitions).await?,
        Format::Hash => read_each(connection, keys, slots, &partitions, ("HGETALL", hash)).await?,
        Format::JsonDoc => {
            read_each(connection, keys, slots, &partitions, ("JSON.GET", document)).await?
        }
    };
    let generation = |slot: &Slot| {
        let found = partitions.binary_search(&slot.partition).ok().and_then(|i| generations.get(i));
        found.copied().unwrap_or(0)
    };
    let see = |(slot, raw)| Seen { raw, generation: generation(slot) };
    Ok(slots.iter().zip(raws).map(see).collect())
}

type Read = (Vec<Option<Raw>>, Vec<u64>);

/// One `MGET`. A key that is no string is nothing to it.
async fn read_texts(
    connection: &Connection,
    keys: &Keyspace,
    slots: &[Slot],
    partitions: &[u32],
) -> Result<Read, CacheError> {
    let mut command = redis::cmd("MGET");
    for slot in slots {
        command.arg(&slot.entry);
    }
    for &partition in partitions {
        command.arg(keys.generation(partition));
    }
    let texts: Vec<Option<Vec<u8>>> = connection.command(&command).await?;
    answers::texts(texts, slots.len(), partitions.len()).ok_or_else(miscounted)
}

/// One pipeline of a command for each entry, and one `MGET`.
async fn read_each(
    connection: &Connection,
    keys: &Keyspace,
    slots: &[Slot],
    partitions: &[u32],
    (name, read): (&str, impl Fn(RedisResult<Value>) -> Result<Option<Raw>, CacheError>),
) -> Result<Read, CacheError> {
    let mut pipeline = redis::Pipeline::with_capacity(slots.len() + 1);
    for slot in slots {
        pipeline.cmd(name).arg(&slot.entry);
    }
    pipeline.cmd("MGET");
    for &partition in partitions {
        pipeline.arg(keys.generation(partition));
    }
    // A key of another type must not fail the others.
    let mut answers: Vec<RedisResult<Value>> =
        connection.pipeline(pipeline.ignore_errors()).await?;
    let generations = match answers.pop() {
        Some(Ok(value)) => convert::<Vec<Option<Vec<u8>>>>(value)?,
        _ => return Err(CacheError::answered("Redis refused MGET")),
    };
    let (_, generations) =
        answers::texts(generations, 0, partitions.len()).ok_or_else(miscounted)?;
    let raws = answers.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok((answers::one_each(raws, slots.len()).ok_or_else(miscounted)?, generations))
}

fn miscounted() -> CacheError {
    CacheError::answered("Redis answered for another number of keys than it was asked for")
}

pub(super) fn hash(answer: RedisResult<Value>) -> Result<Option<Raw>, CacheError> {
    match answer {
        Ok(value) => {
            let fields: Vec<(Vec<u8>, Vec<u8>)> = convert(value)?;
            Ok((!fields.is_empty()).then_some(Raw::Fields(fields)))
        }
        Err(error) => of_another_type("HGETALL", &error),
    }
}

pub(super) fn document(answer: RedisResult<Value>) -> Result<Option<Raw>, CacheError> {
    match answer {
        Ok(value) => Ok(convert::<Option<Vec<u8>>>(value)?.map(Raw::Document)),
        // A server without documents: whatever is there is something else.
        Err(error) if says(&error, "unknown command") => Ok(Some(Raw::WrongType)),
        Err(error) => of_another_type("JSON.GET", &error),
    }
}

fn of_another_type(command: &str, error: &RedisError) -> Result<Option<Raw>, CacheError> {
    if is_wrong_type(error) {
        return Ok(Some(Raw::WrongType));
    }
    Err(CacheError::answered(format!("Redis refused {command}: {}", describe(error))))
}

/// What `put.lua` is given; `None` where there is nothing to write.
pub(super) fn put(keys: &Keyspace, puts: &[Put<'_>], asks_server: bool) -> Option<Call> {
    let partition = puts.first()?.slot.partition;
    let mut call = Call::default();
    call.key(keys.meta(partition)).key(keys.generation(partition)).key(keys.changed(partition));
    call.key(keys.expiring(partition)).key(keys.refused(partition));
    call.argument(u8::from(asks_server));
    for Put { slot, id, content } in puts {
        call.key(&slot.entry).key(keys.lease(slot));
        call.argument(id).content(content.as_ref());
    }
    Some(call)
}
