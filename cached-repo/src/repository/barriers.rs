//! Waiting until the store has what was journaled.

use futures_util::future::try_join_all;
use tracing::Instrument;

use super::Repository;
use crate::{
    entity::{CachedEntity, IntoId},
    error::{Error, Result},
    journal::Receipt,
};

impl<E: CachedEntity> Repository<E> {
    /// Waits until the store has everything of this entity that was journaled before the call, by
    /// whatever process. At once where nothing is journaled, and under `redis_only`, which has no store.
    ///
    /// It waits for as long as it takes: wrap it in a timeout. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Recovered`](crate::ErrorKind::Recovered) if the journal was recovered meanwhile; `CacheUnavailable`.
    pub async fn flush(&self) -> Result<()> {
        let Some(journal) = &self.shared.journal else { return Ok(()) };
        let flushes = journal.partitions().map(|partition| journal.flush(partition, None));
        let flushed = try_join_all(flushes).instrument(self.span("flush")).await;
        flushed.map(drop).map_err(|e| self.name("flush", e))
    }

    /// As [`flush`](Self::flush), for one id (and what shares its partition).
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn flush_id(&self, id: impl IntoId<E::Id>) -> Result<()> {
        let ids = self.ids("flush_id", &[id.into_id()])?;
        let Some(journal) = &self.shared.journal else { return Ok(()) };
        for slot in self.shared.entries.slots(&ids) {
            let flushed = journal.flush(slot.partition, None).instrument(self.span("flush_id"));
            flushed.await.map_err(|e| self.name("flush_id", e))?;
        }
        Ok(())
    }

    /// Waits until a journaled write is in the store that another process made, or this one earlier:
    /// the token is what [`crate::Saved::token`] answered there.
    ///
    /// # Errors
    ///
    /// As [`crate::Saved::persisted`]; [`Invalid`](crate::ErrorKind::Invalid) for what is no token of this entity.
    pub async fn persisted(&self, token: &str) -> Result<()> {
        const OPERATION: &str = "persisted";
        let receipt: Receipt = token.parse().map_err(|e| self.name(OPERATION, e))?;
        let journal = self.shared.journal.as_ref().filter(|journal| {
            // Also of a partition from before their number was changed.
            receipt.prefix == journal.prefix() && receipt.partition < journal.partitions().end
        });
        let Some(journal) = journal else {
            let error = Error::invalid("the token is of another entity's journal");
            return Err(self.name(OPERATION, error));
        };
        let persisted = journal.persisted(&receipt).instrument(self.span(OPERATION)).await;
        persisted.map_err(|e| self.name(OPERATION, e))
    }
}
