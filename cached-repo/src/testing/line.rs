//! The line between a process and a server: every call passes its points, and meets its faults.

use std::{sync::Arc, time::Duration};

use super::{
    Point, Step,
    process::Life,
    shared::{Call, Failure, Machine, Shared, Visit},
};

/// A process' line to Redis or to the database.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) shared: Arc<Shared>,
    pub(super) life: Arc<Life>,
}

/// What a call is about.
pub(super) struct About<'a> {
    pub(super) step: Step,
    /// The entity's prefix; empty where it is about none.
    pub(super) entity: &'a str,
    /// Keys, ids or partitions.
    pub(super) what: String,
}

/// Why a call has no answer.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) why: String,
    /// Whether it did all the same what it was to do.
    pub(super) happened: bool,
}

/// When the answer comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// The call comes late, and its own deadline decides.
    UntilItComes,
    /// The answer comes late, and who asked waits so long.
    For(Duration),
}

impl Line {
    /// Makes a call of a server. `go` does at its first poll what the call does.
    pub(super) async fn call<T, E: std::fmt::Display>(
        &self,
        machine: &Machine,
        patience: Patience,
        about: About<'_>,
        go: impl Future<Output = Result<T, E>>,
        cut: impl Fn(Cut) -> E,
    ) -> Result<T, E> {
        let About { step, entity, what } = about;
        let (life, what) = (Arc::clone(&self.life), format!("{entity}{what}"));
        let _entered = self.shared.enter(Call { life, step, what: what.clone() });
        let answer = tokio::select! {
            biased;
            () = self.life.ended() => Err(cut(crashed())),
            answer = self.perform(machine, patience, (step, entity), go, &cut) => answer,
        };
        self.tell(step, &what, answer.as_ref().err());
        answer
    }

    async fn perform<T, E>(
        &self,
        machine: &Machine,
        patience: Patience,
        (step, entity): (Step, &str),
        go: impl Future<Output = Result<T, E>>,
        cut: impl Fn(Cut) -> E,
    ) -> Result<T, E> {
        self.pass(Point::Before(step), entity).await.map_err(&cut)?;
        if matches!(patience, Patience::UntilItComes) {
            pause(machine.delay()).await;
        }
        reach(machine, false).map_err(&cut)?;
        let answer = go.await?;
        if let Patience::For(longest) = patience {
            pause(machine.delay().min(longest)).await;
            if machine.delay() > longest {
                let why = format!("no answer within {} ms", longest.as_millis());
                return Err(cut(Cut { why, happened: true }));
            }
        }
        self.pass(Point::After(step), entity).await.map_err(&cut)?;
        reach(machine, true).map_err(&cut)?;
        Ok(answer)
    }

    async fn pass(&self, point: Point, entity: &str) -> Result<(), Cut> {
        let visit = Visit { process: self.life.number, point, entity: entity.to_owned() };
        let happened = matches!(point, Point::After(_));
        match self.shared.gates.pass(&visit).await {
            Ok(()) => Ok(()),
            Err(Failure::Fail) => {
                self.shared.tell(format_args!("process {} fails {point}", self.life.number));
                let why = match happened {
                    false => "the test kit lets this call fail before anything is done",
                    true => "the test kit loses the answer of this call",
                };
                Err(Cut { why: why.to_owned(), happened })
            }
            Err(Failure::Crash) => {
                self.life.end();
                self.shared.tell(format_args!("process {} crashes {point}", self.life.number));
                Err(crashed())
            }
        }
    }

    /// What looks again and again whether there is something to do would bury the rest.
    fn tell(&self, step: Step, what: &str, error: Option<&impl std::fmt::Display>) {
        let process = self.life.number;
        match error {
            _ if step == Step::Other => {}
            None => self.shared.tell(format_args!("process {process}  {step:?} {what}")),
            Some(error) => {
                self.shared.tell(format_args!("process {process}  {step:?} {what}: {error}"));
            }
        }
    }
}

async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn reach(machine: &Machine, happened: bool) -> Result<(), Cut> {
    match machine.is_down() {
        true => Err(Cut { why: "the test kit has taken the server down".to_owned(), happened }),
        false => Ok(()),
    }
}

fn crashed() -> Cut {
    // What a process was told that is gone, nobody knows.
    let why = "this process of the test kit has crashed: start another one with `Kit::process`";
    Cut { why: why.to_owned(), happened: true }
}
