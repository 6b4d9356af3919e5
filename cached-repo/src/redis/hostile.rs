//! Answers that no Redis gives, read as those that are expected: for fuzz targets.

use std::fmt::Debug;

use redis::{FromRedisValue, Value};

use super::{answers, convert, entries, record};
use crate::backend::{CacheError, journal::JournalRecord};

/// What is read of an answer (as it comes over the connection) to one of [`STEPS`] that was asked for so
/// many items, in words. `None`: the bytes are no answer, which is the client library's business.
pub(crate) fn answer(step: &str, bytes: &[u8], count: usize) -> Option<Result<String, CacheError>> {
    let value = redis::parse_redis_value(bytes).ok()?;
    // What is an error in itself is not read any further.
    let value = value.extract_error().ok()?;
    Some(read(step, value, count))
}

/// What can be asked.
pub(crate) const STEPS: [&str; 22] = [
    "lease",
    "each",
    "begin",
    "put",
    "register",
    "append",
    "meta",
    "claim",
    "acknowledge",
    "repair",
    "seal",
    "turn",
    "changed",
    "survey",
    "count",
    "MGET",
    "HGETALL",
    "JSON.GET",
    "XRANGE",
    "ZRANGE",
    "SCAN",
    "INFO",
];

fn read(step: &str, value: Value, count: usize) -> Result<String, CacheError> {
    match step {
        "lease" => of(value, |answer: Vec<String>| answers::leases(&answer, count)),
        // Of `fill`, `end` and `evict`.
        "each" => of(value, |answer: Vec<bool>| answers::one_each(answer, count)),
        "begin" => of(value, |answer: Vec<String>| answers::begin(&answer)),
        "put" => of(value, |answer: Vec<String>| answers::put(&answer, count)),
        "register" => of(value, |answer: Vec<String>| answers::one_each(answer, count)),
        "append" => of(value, |answer: Vec<String>| answers::appended(&answer, count)),
        "meta" => of(value, record::meta),
        "claim" => of(value, |answer: Option<Vec<String>>| answer.map(record::meta)),
        "acknowledge" => of(value, |answer: String| answers::acknowledged(&answer)),
        "repair" => of(value, |answer: Vec<String>| answers::repaired(&answer)),
        "seal" => of(value, |answer: Option<String>| answer.map(|text| answers::version(&text))),
        "turn" => of(value, |answer: Vec<String>| answers::turned(&answer)),
        "changed" => of(value, |answer: Vec<String>| answers::changed(&answer)),
        "survey" => of(value, |answer: Option<String>| answer.map(|text| answers::survey(&text))),
        // Of `release`, `copied`, `free` and `confirm`.
        "count" => of(value, |answer: u64| Some(answer)),
        "MGET" => of(value, |answer: Vec<Option<Vec<u8>>>| answers::texts(answer, count, 1)),
        "HGETALL" => entries::hash(Ok(value)).map(|raw| format!("{raw:?}")),
        "JSON.GET" => entries::document(Ok(value)).map(|raw| format!("{raw:?}")),
        "XRANGE" => {
            let all = convert::<Vec<record::StreamEntry>>(value)?.into_iter().map(record::record);
            Ok(format!("{:?}", all.collect::<Result<Vec<JournalRecord>, _>>()?))
        }
        "ZRANGE" => of(value, |answer: Vec<(String, f64)>| Some(answer)),
        "SCAN" => of(value, |answer: (u64, Vec<Vec<u8>>)| Some(answer)),
        _ => of(value, |answer: String| Some(super::server::lines(&answer))),
    }
}

fn of<T: FromRedisValue, R: Debug>(
    value: Value,
    read: impl FnOnce(T) -> Option<R>,
) -> Result<String, CacheError> {
    let refused = || CacheError::answered("the step answered something unexpected");
    read(convert(value)?).map(|answer| format!("{answer:?}")).ok_or_else(refused)
}
