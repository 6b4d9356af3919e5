//! Draining one partition to its end without the loop of a worker, for who cannot go on before.

use std::time::Duration;

use tokio::time::sleep;

use super::{drain::Session, ending::Ending};
use crate::{
    backend::CacheError,
    error::{Error, ErrorKind, Result},
    journal::Journal,
};

/// Drains a partition to which nobody appends any more.
pub(super) async fn drained(journal: &Journal, partition: u32, token: &str) -> Result<()> {
    loop {
        let meta = journal.meta(partition).await.map_err(CacheError::into_error)?;
        if !meta.exists() || meta.backlog() == 0 {
            return Ok(());
        }
        match patient(journal, partition, token).await {
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

/// A session at a partition that waits for parents for as long as it takes.
pub(super) async fn patient(journal: &Journal, partition: u32, token: &str) -> Ending {
    let mut horizon = None;
    loop {
        let (batch, token) = (journal.settings.batch, token.to_owned());
        let session = Session::new(journal, partition, token, batch).waited(horizon.take());
        match session.run().await {
            Ending::Waiting(until) => horizon = Some(until),
            ending => return ending,
        }
        sleep(PARENTS_WAIT).await;
    }
}

/// How long another worker is waited for that is at it.
const TAKEN_WAIT: Duration = Duration::from_millis(50);
/// How long parents are waited for before they are looked at again.
const PARENTS_WAIT: Duration = Duration::from_millis(100);
