//! What a user of the server must be allowed, and nothing else.

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

/// Each once.
pub(super) fn commands(has_functions: bool, has_waitaof: bool) -> Vec<&'static str> {
    let functions = if has_functions { FUNCTIONS } else { &[] };
    let waitaof = if has_waitaof { WAITAOF } else { &[] };
    let mut commands = [SENT, functions, waitaof, CALLED].concat();
    commands.sort_unstable();
    commands.dedup();
    commands
}
