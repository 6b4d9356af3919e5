//! What an answer that is an error says about the server and about the command.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What an error says about the server and about the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The command did not run, and the server is no master.
    Elsewhere,
    /// The connection is of no use any more; the command may have run.
    Lost,
    /// The command did not run, and may soon.
    Later,
    /// The command did not run: the server takes no writes, until a person or a delete makes room.
    Full,
    /// The command did not run.
    Answered,
}

pub(super) fn fault(error: &RedisError) -> Fault {
    match code(error) {
        code if ELSEWHERE.contains(&code) => Fault::Elsewhere,
        code if LATER.contains(&code) => Fault::Later,
        code if FULL.contains(&code) => Fault::Full,
        _ if error.is_io_error() || error.is_unrecoverable_error() => Fault::Lost,
        _ => Fault::Answered,
    }
}

/// The first word of the server's answer. Redis 6.2 puts words of its own in front of what a command
/// in a script answered: `… @user_script: 7: -READONLY You …`.
fn code(error: &RedisError) -> &str {
    let inner = error.detail().and_then(|detail| detail.split_once(": -"));
    let inner = inner.and_then(|(_, answer)| answer.split_once(' ')).map(|(code, _)| code);
    inner.or_else(|| error.code()).unwrap_or_default()
}

/// Whether a server that was connected to does not like the password or the database.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    let is_heard = !error.is_io_error() && !error.is_timeout();
    is_heard && matches!(fault(error), Fault::Answered | Fault::Lost)
}

/// Whether a server does not take the user and the password.
pub(super) fn is_refused_login(error: &RedisError) -> bool {
    let is_code = matches!(error.code(), Some("WRONGPASS" | "NOAUTH"));
    is_code || error.kind() == ErrorKind::AuthenticationFailed
}

/// Whether the server's answer begins with a plain `ERR`, and has these words in it.
pub(super) fn says(error: &RedisError, words: &str) -> bool {
    is_response(error) && error.detail().is_some_and(|detail| detail.contains(words))
}

/// Whether the server's answer begins with a plain `ERR`.
pub(super) fn is_response(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError)
}

/// Whether a command met a key of another type. RedisJSON 2.8 has words of its own for it.
pub(super) fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE") || describe(error).contains("wrong Redis type")
}

/// The error without what may be a secret: servers do not repeat passwords, URLs do.
pub(super) fn describe(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

/// Answers of a server that is no master any more: another one may be behind the same address.
const ELSEWHERE: [&str; 2] = ["READONLY", "MASTERDOWN"];
/// Answers of a server that cannot do anything now, and will soon.
const LATER: [&str; 5] = ["LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "UNBLOCKED"];

/// Answers of a server that reads and takes no writes: it has no memory left, cannot save to its disk, or
/// has too few replicas.
const FULL: [&str; 3] = ["OOM", "MISCONF", "NOREPLICAS"];

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(answer: &str) -> Fault {
        let answer = redis::parse_redis_value(format!("-{answer}\r\n").as_bytes());
        fault(&answer.and_then(redis::Value::extract_error).unwrap_err())
    }

    #[test]
    fn answers_say_whether_to_try_again_and_where() {
        assert_eq!(
            fault_of("READONLY You can't write against a read only replica."),
            Fault::Elsewhere
        );
        assert_eq!(fault_of("MASTERDOWN Link with MASTER is down"), Fault::Elsewhere);
        assert_eq!(fault_of("LOADING Redis is loading the dataset in memory"), Fault::Later);
        assert_eq!(fault_of("BUSY Redis is busy running a script."), Fault::Later);
        assert_eq!(fault_of("CLUSTERDOWN The cluster is down"), Fault::Later);
        assert_eq!(
            fault_of("TRYAGAIN Multiple keys request during rehashing of slot"),
            Fault::Later
        );
        assert_eq!(fault_of("OOM command not allowed"), Fault::Full);
        assert_eq!(fault_of("MISCONF Errors writing to the AOF file"), Fault::Full);
        assert_eq!(fault_of("ERR something: -else"), Fault::Answered);
        // As Redis 6.2 tells what a command in a script answered.
        assert_eq!(
            fault_of(
                "ERR Error running script (call to f_0): @user_script:7: @user_script: 7: \
                      -READONLY You can't write against a read only replica."
            ),
            Fault::Elsewhere
        );
    }
}
