//! What a user of the server must be allowed, and nothing else.

use super::server::Nature;

/// What is sent.
const SENT: &[&str] =
    &["select", "info", "mget", "hgetall", "xrange", "zrange", "wait", "evalsha", "script|load"];

/// What is sent where the server has functions. Without these permissions, scripts do the same.
const FUNCTIONS: &[&str] = &["fcall", "function|load"];

/// What is sent where the server has it.
const WAITAOF: &[&str] = &["waitaof"];

/// What the scripts call.
pub(super) const CALLED: &[&str] = &[
    "exists",
    "get",
    "getrange",
    "hdel",
    "hget",
    "hmget",
    "hset",
    "hsetnx",
    "info",
    "pexpire",
    "pexpireat",
    "set",
    "setrange",
    "time",
    "type",
    "unlink",
    "xadd",
    "xrange",
    "xrevrange",
    "xtrim",
    "zadd",
    "zcount",
    "zrem",
    "zremrangebyscore",
    "zrevrange",
    "zscore",
];

/// What is sent, and what the scripts call, where the server has documents. Elsewhere it knows no such
/// commands, and there are no such keys.
pub(super) const DOCUMENTS: &[&str] = &["json.get", "json.set"];

/// Each once.
pub(super) fn commands(nature: Nature) -> Vec<&'static str> {
    let functions = if nature.has_functions { FUNCTIONS } else { &[] };
    let waitaof = if nature.has_waitaof { WAITAOF } else { &[] };
    let documents = if nature.has_documents { DOCUMENTS } else { &[] };
    let mut commands = [SENT, functions, waitaof, CALLED, documents].concat();
    commands.sort_unstable();
    commands.dedup();
    commands
}
