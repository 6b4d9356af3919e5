//! What a standalone MongoDB server keeps without transactions, and what it does not.

use cached_repo::store::Refused;
use mongodb::{
    Client,
    bson::{Document, doc},
};
use tests::{isolate, servers};

use super::{journal::Drain, *};

/// A database of its own on the standalone server under test.
struct Standalone {
    store: SharedStore,
    database: mongodb::Database,
}

impl Standalone {
    async fn new() -> Self {
        let name = isolate::unique("stores");
        let url = servers::mongodb_database(&servers::mongodb_standalone_url(), &name);
        let client = Client::with_uri_str(&url).await.unwrap();
        let store = store::mongodb_standalone(client.clone(), &name);
        store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
        Self { store, database: client.database(&name) }
    }

    async fn found(&self, id: i64) -> Option<Document> {
        let notes = self.database.collection::<Document>("notes");
        notes.find_one(doc! { "_id": id }).await.unwrap()
    }

    async fn body(&self, id: i64) -> Option<Value<'static>> {
        read(&self.store, id).await.map(|(body, _)| body)
    }

    async fn command(&self, command: Document) {
        self.database.run_command(command).await.unwrap();
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let database = self.database.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // A run leaves many databases else. One that is left does no harm.
            runtime.spawn(async move { database.drop().await });
        }
    }
}

fn delete(id: i64) -> Change {
    Change::Delete { id: note_id(id) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_mongodb_keeps_what_the_suite_asks_for() {
    let standalone = Standalone::new().await;
    conformance::run(&standalone.store, "contract").await;
    conformance::run(&standalone.store, "contract").await;
}

#[tokio::test]
async fn a_batch_that_is_written_again_changes_nothing() {
    let standalone = Standalone::new().await;
    let mut first = Drain::new(&standalone.store).await;
    let mut zombie = first.clone();
    first.write(&[note(1, "old"), note(2, "old"), note(3, "old")]).await.unwrap();
    first.write(&[note(1, "new"), delete(2), delete(9)]).await.unwrap();
    // A crash before the position moved, as the next one sees it.
    let before = doc! { "$set": { "last_id": 0_i64 } };
    let offsets = standalone.database.collection::<Document>("cached_repo_offsets");
    offsets.update_one(doc! {}, before).await.unwrap();
    // What is newer does not stop what was not written yet.
    let notes = standalone.database.collection::<Document>("notes");
    notes.delete_one(doc! { "_id": 3_i64 }).await.unwrap();
    zombie.refused = Refused::Fail;
    zombie.write(&[note(1, "old"), note(2, "old"), note(3, "old")]).await.unwrap();
    assert_eq!(standalone.body(1).await, Some(text("new")), "an older record was written over it");
    assert_eq!(standalone.body(2).await, None, "a deleted document came back");
    assert_eq!(standalone.body(3).await, Some(text("old")));
    // Records 4 and 5, which came before the delete of 9 was record 6.
    zombie.write(&[note(2, "late"), note(9, "late")]).await.unwrap();
    assert_eq!(standalone.body(2).await, None, "a late record of a deleted id was written");
    assert_eq!(standalone.body(9).await, None, "a late record of a deleted id was written");
    assert!(standalone.found(2).await.unwrap().get_bool("_deleted").unwrap());
    let kept = doc! { "listIndexes": "notes" };
    let indexes = standalone.database.run_command(kept).await.unwrap().to_string();
    assert!(indexes.contains("expireAfterSeconds") && indexes.contains("_deleted_at"), "{indexes}");
}

#[tokio::test]
async fn a_store_first_write_keeps_the_version_and_a_zombie_does_not_undo_it() {
    let standalone = Standalone::new().await;
    let mut drain = Drain::new(&standalone.store).await;
    let mut zombie = drain.clone();
    drain.write(&[note(1, "journaled"), note(2, "journaled")]).await.unwrap();
    write(&standalone.store, &[note(1, "first"), delete(2)]).await.unwrap();
    let offsets = standalone.database.collection::<Document>("cached_repo_offsets");
    offsets.update_one(doc! {}, doc! { "$set": { "last_id": 0_i64 } }).await.unwrap();
    zombie.write(&[note(1, "journaled"), note(2, "journaled")]).await.unwrap();
    assert_eq!(standalone.body(1).await, Some(text("first")));
    assert_eq!(standalone.body(2).await, None);
    write(&standalone.store, &[note(2, "back")]).await.unwrap();
    assert_eq!(standalone.body(2).await, Some(text("back")), "a later write may bring it back");
    assert!(!standalone.found(2).await.unwrap().contains_key("_deleted_at"));
    // What was never journaled is not remembered.
    write(&standalone.store, &[note(3, "x")]).await.unwrap();
    write(&standalone.store, &[delete(3)]).await.unwrap();
    assert_eq!(standalone.found(3).await, None);
}

#[tokio::test]
async fn what_is_refused_is_buried_or_said_to_be_written_in_part() {
    let standalone = Standalone::new().await;
    let validator = doc! { "body": { "$ne": "bad" } };
    standalone.command(doc! { "collMod": "notes", "validator": validator }).await;
    let mut drain = Drain::new(&standalone.store).await;
    let applied = drain.write(&[note(1, "x"), note(2, "bad"), note(3, "x")]).await.unwrap();
    assert!(matches!(applied[1], Applied::Buried { .. }), "{applied:?}");
    assert_eq!(drain.letters().await, [2]);
    let offset = drain.offset().await;
    assert_eq!((offset.last_id, offset.applied, offset.dead_lettered), (3, 2, 1));
    drain.refused = Refused::Fail;
    let failed = drain.write(&[note(4, "x"), note(5, "bad")]).await;
    assert_eq!(class(&failed), Class::Record, "{failed:?}");
    assert_eq!(drain.offset().await, offset, "a batch that failed moved the position");

    let refused = write(&standalone.store, &[note(6, "bad")]).await;
    assert_eq!(class(&refused), Class::Record, "{refused:?}");
    let in_part = write(&standalone.store, &[note(7, "x"), note(8, "bad")]).await;
    assert_eq!(class(&in_part), Class::Unknown, "one of two was written: {in_part:?}");
}

#[tokio::test]
async fn the_fields_of_its_own_are_not_to_be_columns() {
    let standalone = Standalone::new().await;
    let taken = schema("taken", [id_column("id", Kind::I64), column("_v", Kind::I64)]);
    let refused = standalone.store.describe(&taken).await.unwrap_err();
    assert_eq!(refused.class(), Class::Systemic);
    assert!(refused.to_string().contains("`_v`"), "{refused}");
}
