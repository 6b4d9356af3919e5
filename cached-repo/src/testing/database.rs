//! The kit's database: what is in it, and what may happen to it.

use std::{sync::Arc, time::Duration};

use super::shared::Shared;
use crate::{
    change::Change,
    column::ColumnError,
    entity::{CachedEntity, Id},
    error::{Error, ErrorKind, Result},
    key::entity_id,
    record::Value,
    store::Store,
};

/// The database of a [`Kit`](super::Kit): what happens to it, happens to all processes.
#[derive(Clone, Debug)]
pub struct Database {
    pub(super) shared: Arc<Shared>,
}

impl Database {
    /// The rows of an entity, in the order of the texts of their ids.
    ///
    /// # Errors
    ///
    /// `Undecodable` where a row is no such entity.
    pub fn rows<E: CachedEntity>(&self) -> Result<Vec<E>> {
        self.rows_in::<E>(E::SCHEMA.table())
    }

    /// The same of another table, where a [`builder`](crate::RepositoryBuilder::table) names one.
    ///
    /// # Errors
    ///
    /// As [`rows`](Self::rows).
    pub fn rows_in<E: CachedEntity>(&self, table: &str) -> Result<Vec<E>> {
        let rows = self.shared.tables.rows(&E::SCHEMA.with_table(table.to_owned()));
        let rows = rows.into_iter().map(|mut row| E::from_record(&mut row));
        rows.collect::<Result<_, ColumnError>>().map_err(|error| {
            Error::new(ErrorKind::Undecodable, error.to_string()).during("rows", E::SCHEMA.prefix())
        })
    }

    /// Another program writes a row, of which nobody tells Redis.
    ///
    /// # Errors
    ///
    /// `Invalid` for an entity that cannot be stored.
    pub fn insert<E: CachedEntity>(&self, entity: &E) -> Result<()> {
        let schema = E::SCHEMA;
        let inserted = change(entity).and_then(|change| {
            let tables = &self.shared.tables;
            tables.check(&schema, &change).map_err(|error| Error::invalid(error.to_string()))?;
            tables.write(&schema, &change);
            Ok(())
        });
        inserted.map_err(|error| error.during("insert", schema.prefix()))
    }

    /// From now on rows of an entity for which this is true are refused, as a constraint of the table would
    /// refuse them, with this message: a store-first save is an error
    /// ([`Refused`](crate::ErrorKind::Refused)), a journaled one becomes a dead letter. The closure may
    /// look at [`rows`](Self::rows), which are those from before the transaction.
    pub fn refuse<E: CachedEntity>(
        &self,
        message: impl Into<String>,
        is_refused: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) {
        let message = message.into();
        self.shared.tables.refuse(E::SCHEMA.prefix(), move |record| {
            let entity = E::from_record(&mut record.clone());
            entity.is_ok_and(|entity| is_refused(&entity)).then(|| message.clone())
        });
    }

    /// Ends what [`refuse`](Self::refuse) began, for this entity.
    pub fn accept<E: CachedEntity>(&self) {
        self.shared.tables.accept(E::SCHEMA.prefix());
    }

    /// From now on nobody reaches it: every call fails before it does anything, and may succeed later.
    pub fn down(&self) {
        self.shared.database.set_down(true);
        self.shared.tell(format_args!("the database is down"));
    }

    /// Ends [`down`](Self::down) and [`broken`](Self::broken).
    pub fn up(&self) {
        self.shared.database.set_down(false);
        self.shared.database.set_broken(None);
        self.shared.tell(format_args!("the database is up"));
    }

    /// From now on every write is refused with this message, until a person mends it, such as that of a
    /// table that is missing: [`Class::Systemic`](crate::store::Class::Systemic).
    pub fn broken(&self, message: impl Into<String>) {
        let message = message.into();
        self.shared.tell(format_args!("the database is broken: {message}"));
        self.shared.database.set_broken(Some(message));
    }

    /// From now on every call comes so late; zero ends it. What a call's own deadline allows no more is
    /// not done.
    pub fn slow(&self, delay: Duration) {
        self.shared.database.set_delay(delay);
        self.shared.tell(format_args!("the database answers after {} ms", delay.as_millis()));
    }
}

fn change<E: CachedEntity>(entity: &E) -> Result<Change> {
    let id = entity_id(entity.id().values().into_iter().map(Value::into_owned).collect())?;
    let record = entity.to_record();
    let record =
        record.map_err(|cause| Error::invalid("the value cannot be written").caused_by(cause));
    Ok(Change::Put { id, record: record?.into_owned() })
}
