//! A store of your own in one file: here a JSON file that every write replaces.

use std::{collections::BTreeSet, env, fs, io, path::PathBuf, process, sync::Arc};

use cached_repo::{Change, EntityId, Schema, store::*};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

type Checked<T> = Result<T, StoreError>;
type Answer<'a, T> = BoxFuture<'a, Checked<T>>;
#[derive(Debug)]
struct FileStore(PathBuf, Mutex<Json>);

impl FileStore {
    /// Changes a copy, which counts once it has replaced the file. (It blocks and does not sync.)
    async fn write<T>(&self, change: impl FnOnce(&mut Json) -> Checked<T>) -> Checked<T> {
        let mut current = self.1.lock().await;
        let mut copy = current.clone();
        let answer = change(&mut copy)?;
        let (new, path) = (self.0.with_extension("new"), &self.0);
        let replaced = fs::write(&new, copy.to_string()).and_then(|()| fs::rename(new, path));
        replaced.map_err(|e| StoreError::transient("the file was not replaced").caused_by(e))?;
        *current = copy;
        Ok(answer)
    }
}

impl Store for FileStore {
    fn load<'a>(&'a self, schema: &'a Schema, q: Query<'a>) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let Query::Ids(ids) = q else { return Err(StoreError::systemic("unknown query")) };
            let rows = &self.1.lock().await["tables"][schema.table()];
            let ids: BTreeSet<_> = ids.iter().map(EntityId::text).collect();
            let found = ids.into_iter().map(|id| &rows[id]).filter(|row| row.is_object());
            let read = |row| from_json(schema, row).map_err(|e| RowError::new(None, e));
            Ok(found.map(read).collect())
        })
    }
    fn check(&self, schema: &Schema, change: &Change) -> Checked<()> {
        check_kinds(schema, change)
    }
    fn apply<'a>(&'a self, schema: &'a Schema, batch: Batch<'a>) -> Answer<'a, Vec<Applied>> {
        Box::pin(self.write(move |state| {
            // It takes no journals, so it has no offsets.
            batch.check(schema, |_| None)?;
            for change in batch.changes {
                let row = &mut state["tables"][schema.table()][change.id().text()];
                match change.record() {
                    Some(record) => to_json(schema, record, row)?,
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
            _ => Err(StoreError::systemic("this store takes no journals")),
        }))
    }
    fn describe<'a>(&'a self, _: &'a Schema) -> Answer<'a, Description> {
        Box::pin(async { Ok(Description::default()) })
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let path = env::temp_dir().join(format!("custom-store-{}.json", process::id()));
    let new = Mutex::new(json!({ "identity": path.display().to_string() }));
    let store: SharedStore = Arc::new(FileStore(path.clone(), new));
    conformance::run(&store, "example").await; // Panics where the contract is broken.
    println!("the file store keeps the contract");
    fs::remove_file(path)
}
