//! The server-side steps, run as functions of a library or as scripts, whichever the server allows.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Script, aio::MultiplexedConnection};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    call::Call,
    connection::{ARGUMENT, Connection},
    fault::{is_response, says},
};
use crate::backend::CacheError;

/// One atomic step on the server; the header of its file says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Lease,
    Fill,
    Begin,
    End,
    Put,
    Evict,
    Register,
    Amend,
    Append,
    Meta,
    Claim,
    Release,
    Acknowledge,
    Ticket,
    Repair,
    Seal,
    Sweep,
    Retire,
    Confirm,
    Turn,
    Changed,
    Copied,
    Mark,
    Survey,
    Keep,
    Free,
    Hold,
}

/// What a function may do, as the server is told.
const READS: &str = "{ 'no-writes' }";
/// Steps that make room, or recover, run where memory is used up. A script may do so because its first
/// command needs none.
const MAKES_ROOM: &str = "{ 'allow-oom' }";
const WRITES: &str = "{}";

/// Between the prelude and a step.
const START: &str = "start(ARGV)";

impl Step {
    const ALL: [Step; 27] = [
        Step::Lease,
        Step::Fill,
        Step::Begin,
        Step::End,
        Step::Put,
        Step::Evict,
        Step::Register,
        Step::Amend,
        Step::Append,
        Step::Meta,
        Step::Claim,
        Step::Release,
        Step::Acknowledge,
        Step::Ticket,
        Step::Repair,
        Step::Seal,
        Step::Sweep,
        Step::Retire,
        Step::Confirm,
        Step::Turn,
        Step::Changed,
        Step::Copied,
        Step::Mark,
        Step::Survey,
        Step::Keep,
        Step::Free,
        Step::Hold,
    ];

    /// Name, text, flags.
    fn source(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Step::Lease => ("lease", include_str!("scripts/lease.lua"), WRITES),
            Step::Fill => ("fill", include_str!("scripts/fill.lua"), WRITES),
            Step::Begin => ("begin", include_str!("scripts/begin.lua"), MAKES_ROOM),
            Step::End => ("end", include_str!("scripts/end.lua"), MAKES_ROOM),
            Step::Put => ("put", include_str!("scripts/put.lua"), WRITES),
            Step::Evict => ("evict", include_str!("scripts/evict.lua"), MAKES_ROOM),
            Step::Register => ("register", include_str!("scripts/register.lua"), WRITES),
            Step::Amend => ("amend", include_str!("scripts/amend.lua"), WRITES),
            Step::Append => ("append", include_str!("scripts/append.lua"), WRITES),
            Step::Meta => ("meta", include_str!("scripts/meta.lua"), READS),
            Step::Claim => ("claim", include_str!("scripts/claim.lua"), MAKES_ROOM),
            Step::Release => ("release", include_str!("scripts/release.lua"), MAKES_ROOM),
            Step::Acknowledge => {
                ("acknowledge", include_str!("scripts/acknowledge.lua"), MAKES_ROOM)
            }
            Step::Ticket => ("ticket", include_str!("scripts/ticket.lua"), MAKES_ROOM),
            Step::Repair => ("repair", include_str!("scripts/repair.lua"), MAKES_ROOM),
            Step::Seal => ("seal", include_str!("scripts/seal.lua"), WRITES),
            Step::Sweep => ("sweep", include_str!("scripts/sweep.lua"), MAKES_ROOM),
            Step::Retire => ("retire", include_str!("scripts/retire.lua"), MAKES_ROOM),
            Step::Confirm => ("confirm", include_str!("scripts/confirm.lua"), MAKES_ROOM),
            Step::Turn => ("turn", include_str!("scripts/turn.lua"), MAKES_ROOM),
            Step::Changed => ("changed", include_str!("scripts/changed.lua"), MAKES_ROOM),
            Step::Copied => ("copied", include_str!("scripts/copied.lua"), MAKES_ROOM),
            Step::Mark => ("mark", include_str!("scripts/mark.lua"), WRITES),
            Step::Survey => ("survey", include_str!("scripts/survey.lua"), MAKES_ROOM),
            Step::Keep => ("keep", include_str!("scripts/keep.lua"), WRITES),
            Step::Free => ("free", include_str!("scripts/free.lua"), MAKES_ROOM),
            Step::Hold => ("hold", include_str!("scripts/hold.lua"), MAKES_ROOM),
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.source().0
    }
}

/// How much longer a call with many writes may take than one with few.
fn longer(call: &Call) -> Duration {
    ARGUMENT * u32::try_from(call.keys.len() + call.arguments.len()).unwrap_or(u32::MAX)
}

/// What is in front of each step.
fn prelude() -> &'static str {
    include_str!("scripts/prelude.lua")
}

/// All steps, ready to run.
pub(super) struct Scripts {
    /// In the order of [`Step::ALL`]: the function's name, and the script.
    steps: Vec<(String, Script)>,
    library: String,
    /// Whether the server takes functions, as far as is known.
    functions: AtomicBool,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let prelude = prelude();
        let bodies: String = Step::ALL.iter().map(|step| step.source().1).collect();
        // Libraries and functions of several releases stand side by side on a server.
        let release = format!("{:08x}", xxh3_64((prelude.to_owned() + &bodies).as_bytes()) as u32);
        let mut library = format!("#!lua name=cached_repo_{release}\n{prelude}\n");
        let mut steps = Vec::with_capacity(Step::ALL.len());
        for step in Step::ALL {
            let (name, body, flags) = step.source();
            let function = format!("{name}_{release}");
            library += &format!(
                "redis.register_function{{ function_name = '{function}', flags = {flags},\n\
                 callback = function(KEYS, ARGV)\n{START}\n{body}\nend }}\n"
            );
            let script = Script::new(&format!("{prelude}\n{START}\n{body}"));
            steps.push((function, script));
        }
        Self { steps, library, functions: AtomicBool::new(false) }
    }

    /// Uses functions until the server refuses them.
    pub(super) fn use_functions(&self) {
        self.functions.store(true, Ordering::Relaxed);
    }

    pub(super) async fn run<T: FromRedisValue>(
        &self,
        connection: &Connection,
        step: Step,
        call: &Call,
    ) -> Result<T, CacheError> {
        let longer = longer(call);
        connection
            .call_for(longer, async |mut connection| self.run_on(&mut connection, step, call).await)
            .await
    }

    /// Runs a step over this connection, and over no other one.
    pub(super) async fn run_on<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        step: Step,
        call: &Call,
    ) -> RedisResult<T> {
        let (function, script) = &self.steps[step as usize];
        if self.functions.load(Ordering::Relaxed)
            && let Some(answer) = self.function(connection, function, call).await
        {
            return answer;
        }
        invocation(script, call).invoke_async(connection).await
    }

    /// Runs a step as a script. It goes as far as it can where a function is refused for what it might
    /// do.
    pub(super) async fn run_script<T: FromRedisValue>(
        &self,
        connection: &Connection,
        step: Step,
        call: &Call,
    ) -> Result<T, CacheError> {
        let invocation = invocation(&self.steps[step as usize].1, call);
        let run = async |mut connection| invocation.invoke_async(&mut connection).await;
        connection.call_for(longer(call), run).await
    }

    /// Runs a function, and loads the library where the server does not know it. Answers nothing where
    /// the script has to be run instead.
    async fn function<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        function: &str,
        call: &Call,
    ) -> Option<RedisResult<T>> {
        let command = fcall(function, call);
        match command.query_async(connection).await {
            Err(error) if says(&error, "Function not found") => {}
            Err(error) if is_refusal(&error) => return self.give_up(),
            answer => return Some(answer),
        }
        let loading = redis::cmd("FUNCTION").arg("LOAD").arg(&self.library).clone();
        match loading.query_async::<()>(connection).await {
            Ok(()) => Some(command.query_async(connection).await),
            // Another client was faster.
            Err(error) if says(&error, "already exists") => {
                Some(command.query_async(connection).await)
            }
            Err(error) if is_refusal(&error) || is_response(&error) => self.give_up(),
            // Loading needs memory or a disk, running may not.
            Err(error) if ["OOM", "MISCONF"].contains(&error.code().unwrap_or_default()) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Runs scripts from now on.
    fn give_up<T>(&self) -> Option<T> {
        self.functions.store(false, Ordering::Relaxed);
        None
    }
}

fn fcall(function: &str, call: &Call) -> Cmd {
    let mut command = redis::cmd("FCALL");
    command.arg(function).arg(call.keys.len()).arg(&call.keys);
    for argument in &call.arguments {
        command.arg(argument);
    }
    command
}

fn invocation<'a>(script: &'a Script, call: &Call) -> redis::ScriptInvocation<'a> {
    let mut invocation = script.prepare_invoke();
    for key in &call.keys {
        invocation.key(key);
    }
    for argument in &call.arguments {
        invocation.arg(argument);
    }
    invocation
}

/// Whether the server does not let this client use functions: it has none, or permission is lacking.
fn is_refusal(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || says(error, "unknown command")
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the text of all the scripts.
        f.write_str("Scripts")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::acl, *};

    #[test]
    fn steps_stand_where_they_are_looked_up() {
        for (i, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, i, "{}", step.name());
        }
    }

    #[test]
    fn a_user_is_allowed_what_the_scripts_call_and_nothing_else() {
        let library = Scripts::new().library;
        let calls = library.split("call(").skip(1);
        let called = calls.map(|rest| rest.strip_prefix('\'').and_then(|r| r.split('\'').next()));
        let called: Option<BTreeSet<String>> =
            called.map(|name| name.map(str::to_lowercase)).collect();
        let allowed =
            acl::CALLED.iter().chain(acl::DOCUMENTS).map(|&name| name.to_owned()).collect();
        assert_eq!(called, Some(allowed), "every call names its command");
    }

    #[test]
    fn a_release_has_names_of_its_own() {
        let scripts = Scripts::new();
        let name = scripts.library.lines().next().unwrap();
        let release = name.strip_prefix("#!lua name=cached_repo_").unwrap();
        assert_eq!(release.len(), 8);
        assert!(scripts.steps.iter().all(|(function, _)| function.ends_with(release)));
    }
}
