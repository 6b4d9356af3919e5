//! A store of your own in one file: here a JSON file that every write replaces.

use std::{collections::BTreeSet, env, fs, io, path::PathBuf, process, sync::Arc};

use cached_repo::{Change, EntityId, Record, Schema, store::*};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

#[derive(Debug)]
struct FileStore(PathBuf, Mutex<Json>);

impl FileStore {
    fn open(path: PathBuf) -> io::Result<SharedStore> {
        let new = json!({ "identity": format!("{path:?} of process {}", process::id()) });
        let state = if path.exists() { serde_json::from_slice(&fs::read(&path)?)? } else { new };
        Ok(Arc::new(Self(path, Mutex::new(state))))
    }

    /// Changes a copy, which counts once it has replaced the file. (Blocks and does not sync.)
    async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut Json) -> Result<T, StoreError>,
    {
        let mut current = self.1.lock().await;
        let mut copy = current.clone();
        let answer = change(&mut copy)?;
        let next = self.0.with_extension("next");
        let replaced = fs::write(&next, copy.to_string()).and_then(|()| fs::rename(next, &self.0));
        replaced.map_err(|e| StoreError::transient("the file was not replaced").caused_by(e))?;
        *current = copy;
        Ok(answer)
    }
}

impl Store for FileStore {
    fn load<'a>(&'a self, table: &'a Schema, query: Query<'a>) -> Answer<'a, Vec<Record<'static>>> {
        Box::pin(async move {
            let Query::Ids(ids) = query else { return Err(StoreError::systemic("unknown query")) };
            let rows = &self.1.lock().await["tables"][table.table()];
            let ids: BTreeSet<_> = ids.iter().map(EntityId::text).collect();
            let found = ids.into_iter().map(|id| &rows[id]).filter(|row| row.is_object());
            found.map(|row| from_json(table, row)).collect()
        })
    }

    fn check(&self, table: &Schema, change: &Change) -> Result<(), StoreError> {
        check(table, change)
    }

    fn apply<'a>(&'a self, table: &'a Schema, batch: Batch<'a>) -> Answer<'a, Vec<Applied>> {
        Box::pin(self.write(move |state| {
            let epochs = &state["epochs"];
            batch.check(table, |fence| {
                epochs[&fence.entity][fence.partition.to_string()].as_u64().unwrap_or(0)
            })?;
            let rows = &mut state["tables"][table.table()];
            for change in batch.changes {
                let row = &mut rows[change.id().text()];
                match change.record() {
                    Some(record) => to_json(table, record, row)?,
                    None => *row = Json::Null,
                }
            }
            Ok(batch.applied())
        }))
    }

    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> Answer<'a, Entry> {
        Box::pin(self.write(move |state| match operation {
            Ledger::Install { .. } => Ok(Entry::Done),
            Ledger::Identity => Ok(Entry::Identity(state["identity"].to_string())),
            Ledger::RaiseEpoch { entity, partition } => {
                let epoch = &mut state["epochs"][entity][partition.to_string()];
                *epoch = json!(epoch.as_u64().unwrap_or(0) + 1);
                Ok(Entry::Epoch(epoch.as_u64().unwrap_or(0)))
            }
            _ => Err(StoreError::systemic("unknown operation")),
        }))
    }

    fn describe<'a>(&'a self, _: &'a Schema) -> Answer<'a, Description> {
        Box::pin(async { Ok(Description::default()) })
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let path = env::temp_dir().join(format!("custom-store-{}.json", process::id()));
    conformance::run(&FileStore::open(path.clone())?, "example").await; // Panics where it is broken.
    fs::remove_file(path)?;
    println!("the file store keeps the contract");
    Ok(())
}
