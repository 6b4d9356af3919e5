//! One transaction: begun, run again when another one was faster, committed or aborted.

use std::time::Duration;

use mongodb::{
    ClientSession, Database,
    bson::{Document, doc},
    error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT},
    options::{ReadConcern, WriteConcern},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    MongoStore, OFFSETS,
    error::{Again, Fault, check_reply, classify},
    write::Write,
};
use crate::{
    clock::{Clock, Random},
    retry::Backoff,
    store::{Applied, Class, StoreError},
};

/// A transaction. However it is dropped, it is aborted: the driver sees to that.
pub(super) struct Session {
    inner: ClientSession,
    database: Database,
    clock: Clock,
    random: Random,
    /// No statement runs for longer.
    end: Instant,
}

/// When a transaction must be over.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// After this the commit is not sent any more.
    pub(super) last_call: Instant,
    /// After this nobody waits for its answer.
    pub(super) deadline: Instant,
}

impl MongoStore {
    /// Writes something in a transaction, and again from the beginning when another transaction was
    /// faster or the primary has changed. MongoDB does not let transactions wait for each other's
    /// documents: the later one fails at once, so waiting is done here.
    pub(super) async fn transaction(
        &self,
        times: Times,
        write: &Write<'_>,
    ) -> Result<Vec<Applied>, Fault> {
        let mut backoff = Backoff::new(CONFLICT_WAIT, CONFLICT_WAIT_MAX);
        let mut lost = 0;
        loop {
            let attempt = match self.attempt(times, write).await {
                Ok((session, answer)) => session.commit(times).await.map(|()| answer),
                Err(fault) => Err(fault),
            };
            let fault = match attempt {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            lost += usize::from(fault.again == Again::Lost);
            let wait = backoff.wait(&self.random);
            let is_over = self.clock.now() + wait >= times.last_call;
            if fault.again == Again::No || lost > LOST_MAX || is_over {
                return Err(fault);
            }
            sleep(wait).await;
        }
    }

    async fn attempt(
        &self,
        times: Times,
        write: &Write<'_>,
    ) -> Result<(Session, Vec<Applied>), Fault> {
        let mut session = self.begin(times).await?;
        match timeout_at(times.last_call, write.run(&mut session)).await {
            Ok(Ok(answer)) => Ok((session, answer)),
            Ok(Err(fault)) => {
                if fault.again == Again::Conflict || fault.refused.is_some() {
                    // The server has aborted it. If there is no time left, the driver goes on with it.
                    drop(timeout_at(times.last_call, session.abort()).await);
                } else {
                    session.forestall();
                }
                Err(fault)
            }
            Err(_) => {
                session.forestall();
                Err(too_late().into())
            }
        }
    }

    async fn begin(&self, times: Times) -> Result<Session, Fault> {
        let fault = |e| Fault::new(e, "begin a transaction");
        let mut inner = self.client.start_session().await.map_err(fault)?;
        let left = times.deadline.saturating_duration_since(self.clock.now());
        let mut concern = WriteConcern::majority();
        concern.journal = Some(true);
        inner
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(concern)
            .selection_criteria(super::primary())
            .max_commit_time(left.max(Duration::from_millis(1)))
            .await
            .map_err(fault)?;
        let (database, random) = (self.database.clone(), self.random.clone());
        Ok(Session { inner, database, clock: self.clock, random, end: times.last_call })
    }
}

impl Session {
    /// Runs a command, which ends before the transaction must.
    pub(super) async fn run(
        &mut self,
        mut command: Document,
        doing: &str,
    ) -> Result<Document, Fault> {
        let left = self.end.saturating_duration_since(self.clock.now());
        command.insert("maxTimeMS", i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1));
        let reply = self.database.run_command(command).session(&mut self.inner).await;
        let reply = reply.map_err(|e| Fault::new(e, doing))?;
        check_reply(&reply)?;
        Ok(reply)
    }

    /// Runs a command that changes at most one document. What it was or is now, if it was found.
    pub(super) async fn find_and_modify(
        &mut self,
        collection: &str,
        (query, update): (Document, Document),
        doing: &str,
    ) -> Result<Option<Document>, Fault> {
        let command = doc! {
            "findAndModify": collection, "query": query, "update": update, "new": true,
        };
        Ok(self.run(command, doing).await?.get_document("value").ok().cloned())
    }

    /// These fields of all documents that a query finds; there must not be many.
    pub(super) async fn find(
        &mut self,
        collection: &str,
        (filter, fields): (Document, Document),
        doing: &str,
    ) -> Result<Vec<Document>, Fault> {
        let command = doc! {
            "find": collection, "filter": filter, "projection": fields,
            "batchSize": FOUND_MAX, "singleBatch": true,
        };
        let reply = self.run(command, doing).await?;
        let found = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        let found = found.map_err(|_| StoreError::systemic("MongoDB's answer has no documents"))?;
        Ok(found.iter().filter_map(|found| found.as_document().cloned()).collect())
    }

    /// Commits. Only here an error may mean that nobody knows what happened: then the commit, which
    /// has no effect but once, is sent again until the deadline.
    async fn commit(mut self, times: Times) -> Result<(), Fault> {
        if self.clock.now() > times.last_call {
            self.forestall();
            return Err(too_late().into());
        }
        let mut backoff = Backoff::new(CONFLICT_WAIT, CONFLICT_WAIT_MAX);
        loop {
            let ended = timeout_at(times.deadline, self.inner.commit_transaction()).await;
            let error = match ended {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(e)) => e,
                Err(_) => {
                    self.forestall();
                    let message = "MongoDB did not answer the commit before the deadline";
                    return Err(StoreError::unknown(message).into());
                }
            };
            if error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                return Err(Fault::new(error, "commit"));
            }
            let wait = backoff.wait(&self.random);
            if !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
                || self.clock.now() + wait >= times.deadline
            {
                self.forestall();
                let message = "MongoDB did not confirm the commit";
                return Err(StoreError::unknown(message).caused_by(error).into());
            }
            sleep(wait).await;
        }
    }

    async fn abort(mut self) {
        // One that cannot be aborted ends by itself, or with its connection.
        let _ = timeout(LEAVE_TIMEOUT, self.inner.abort_transaction()).await;
    }

    /// Begins another transaction on the same session, until the server answers it. Then the earlier one is
    /// gone: a commit does not take effect long after its deadline, a statement that arrives behind the abort
    /// begins no transaction, and an abort that was not answered leaves no document locked.
    fn forestall(mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let mut backoff = Backoff::new(CONFLICT_WAIT, LEAVE_WAIT_MAX);
            let end = self.clock.now() + SERVER_LIFETIME;
            while self.clock.now() < end {
                match timeout(LEAVE_TIMEOUT, self.supersede()).await {
                    Ok(Ok(())) => return,
                    // The server has answered, and will answer the same again.
                    Ok(Err(ref e)) if classify(e.clone(), "abort").class() != Class::Transient => {
                        return;
                    }
                    _ => sleep(backoff.wait(&self.random)).await,
                }
            }
        });
    }

    async fn supersede(&mut self) -> mongodb::error::Result<()> {
        // The driver does not tell whether the server has answered.
        drop(self.inner.abort_transaction().await);
        self.inner.start_transaction().await?;
        let command = doc! { "find": OFFSETS, "limit": 1, "singleBatch": true };
        self.database.run_command(command).session(&mut self.inner).await?;
        self.inner.abort_transaction().await
    }
}

pub(super) fn too_late() -> StoreError {
    StoreError::transient("MongoDB did not get to write before the deadline")
}

/// How long to wait for a transaction that was faster, at first and at most.
const CONFLICT_WAIT: Duration = Duration::from_millis(1);
const CONFLICT_WAIT_MAX: Duration = Duration::from_millis(50);
/// So many connections and primaries may be lost in one call.
const LOST_MAX: usize = 2;
/// A server that does not even abort in this time is given up.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait at most until a transaction that may be open is ended again.
const LEAVE_WAIT_MAX: Duration = Duration::from_secs(1);
/// The server ends a transaction by itself after this time (`transactionLifetimeLimitSeconds`).
const SERVER_LIFETIME: Duration = Duration::from_secs(60);
/// More than is asked for anywhere.
const FOUND_MAX: i32 = 1_000_000;
