//! Draining one partition to its end without the loop of a worker, for who cannot go on before.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    drain::{REFERENCE_WAIT, Session},
    ending::{Ending, Kept, Trouble},
};
use crate::{
    backend::CacheError,
    error::{Error, ErrorKind, Result},
    journal::Journal,
    retry::Backoff,
};

/// Drains a partition to which nobody appends any more.
pub(super) async fn drained(journal: &Journal, partition: u32, token: &str) -> Result<()> {
    loop {
        let meta = journal.meta(partition).await.map_err(CacheError::into_error)?;
        if !meta.exists() || meta.backlog() == 0 {
            return Ok(());
        }
        match patient(journal, partition, token, |_| ()).await {
            Ending::Taken => sleep(TAKEN_WAIT).await,
            Ending::Failed(trouble) => {
                let reason = trouble.reason();
                let message = format!("journaled writes cannot be drained to the store: {reason}");
                return Err(Error::new(ErrorKind::Dirty, message).retryable());
            }
            _ => {}
        }
    }
}

/// Drains as a session does, and waits for parents and for rows in between, for as long as a write would
/// wait. Says meanwhile what is waited for.
pub(super) async fn patient(
    journal: &Journal,
    partition: u32,
    token: &str,
    told: impl Fn(&str),
) -> Ending {
    let (clock, settings) = (&journal.entries.clock, &journal.settings);
    let mut kept = Kept::default();
    let mut references = Backoff::new(REFERENCE_WAIT.0, REFERENCE_WAIT.1);
    let began = clock.now();
    loop {
        let session = Session::new(journal, partition, token.to_owned(), settings.batch);
        let ending;
        (ending, kept) = session.going_on(kept).run().await;
        match (ending, &kept.horizon) {
            (Ending::Waiting, Some(horizon)) => {
                let reason = horizon.reason(&journal.roster);
                told(&reason);
                if clock.now() - began >= settings.patience {
                    return Ending::Failed(Trouble::Passing(reason));
                }
                sleep(PARENTS_WAIT).await;
            }
            (Ending::Missing, _) => sleep(references.wait(&journal.entries.random)).await,
            (ending, _) => return ending,
        }
    }
}

/// How long another worker is waited for that is at it.
const TAKEN_WAIT: Duration = Duration::from_millis(50);
/// How long parents are waited for before they are looked at again.
const PARENTS_WAIT: Duration = Duration::from_millis(100);
