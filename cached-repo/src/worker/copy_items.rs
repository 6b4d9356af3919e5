//! What is to be copied: changes, as their entries are now.

use super::copy::Copier;
use crate::{
    backend::CacheError,
    cache::Only,
    change::{Change, EntityId},
    error::Result,
    key,
    record::{Record, Value},
};

/// A batch ends when its values have so many bytes.
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// So many entries are read at a time, as nobody knows how large they are.
const READ: usize = 50;

/// A change to copy.
pub(super) struct Item {
    pub(super) text: String,
    pub(super) version: u64,
    /// `None`: there is nothing to do. An error: it cannot be copied.
    pub(super) change: Result<Option<Change>, String>,
}

impl Copier<'_> {
    /// The entries of some of these ids, the first ones, as they are now.
    pub(super) async fn read(&self, ids: Vec<(String, u64)>) -> Result<Vec<Item>> {
        let entries = self.entries();
        let kinds: Vec<_> = entries.schema.id_columns().map(|(_, column)| column.kind()).collect();
        let (mut items, mut bytes) = (Vec::with_capacity(ids.len()), 0);
        for some in ids.chunks(READ) {
            let parsed: Vec<_> = some.iter().map(|(text, _)| key::parse_id(&kinds, text)).collect();
            let known: Vec<EntityId> = parsed.iter().flatten().cloned().collect();
            let mut found = entries.only(&known).await.map_err(CacheError::into_error)?.into_iter();
            for ((text, version), id) in some.iter().zip(parsed) {
                let change = match (&id, id.as_ref().and_then(|_| found.next())) {
                    (Some(id), Some(only)) => self.change(id, only),
                    _ => Err("no id of this struct is spelled like that".to_owned()),
                };
                if let Ok(Some(change)) = &change {
                    bytes += change.record().map_or(0, Record::size);
                }
                items.push(Item { text: text.clone(), version: *version, change });
            }
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        Ok(items)
    }

    fn change(&self, id: &EntityId, only: Only) -> Result<Option<Change>, String> {
        let id = id.clone();
        let change = match only {
            Only::Kept { record, is_of_other: false } => Change::Put { id, record },
            Only::Kept { record, is_of_other: true } => {
                Change::Put { id, record: self.complete(record)? }
            }
            Only::Nothing => Change::Delete { id },
            // It reaches the store by itself.
            Only::Journaled => return Ok(None),
            Only::Undecodable(error) => return Err(format!("it cannot be decoded: {error}")),
        };
        let journal = &self.copying.journal;
        let checked = journal.store.check(&journal.entries.schema, &change);
        checked.map(|()| Some(change)).map_err(|error| error.to_string())
    }

    /// A record of another version of the struct, with what stands for the columns that it lacks.
    fn complete(&self, mut record: Record<'static>) -> Result<Record<'static>, String> {
        for (index, column) in self.entries().schema.columns().iter().enumerate() {
            let lacks = record.get(index).is_none_or(Value::is_null) && !column.is_nullable();
            if !lacks && record.get(index).is_some() {
                continue;
            }
            let absent = column.absent().ok_or_else(|| {
                let name = column.name();
                format!(
                    "an older version of the struct wrote it without `{name}`, which has no default"
                )
            })?;
            record.set(index, absent);
        }
        Ok(record)
    }
}
