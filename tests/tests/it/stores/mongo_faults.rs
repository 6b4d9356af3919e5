//! What MongoDB refuses, loses and makes wait, and what becomes of it.

use mongodb::bson::{Document, doc};
use tokio::sync::{Mutex, MutexGuard};

use super::{journal::Drain, mongo::Mongo, *};

/// A server has one such point, so one test at a time sets it.
static FAIL_POINT: Mutex<()> = Mutex::const_new(());

/// Commands of a store's connections that fail; those of other tests do not.
pub(super) struct Failing<'a> {
    mongo: &'a Mongo,
    entered: i64,
    _turn: MutexGuard<'static, ()>,
}

impl<'a> Failing<'a> {
    pub(super) async fn new(mongo: &'a Mongo, times: i32, data: Document) -> Self {
        Self::when(mongo, doc! { "times": times }, data).await
    }

    pub(super) async fn when(mongo: &'a Mongo, mode: Document, mut data: Document) -> Self {
        let turn = FAIL_POINT.lock().await;
        data.insert("appName", &mongo.name);
        let set = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
        let count = mongo.admin(set).await;
        let entered = count.get_i64("count").or(count.get_i32("count").map(i64::from));
        Self { mongo, entered: entered.unwrap(), _turn: turn }
    }

    /// Waits until so many commands have come to the point.
    pub(super) async fn reached(&self, times: i64) {
        let count = self.entered + times;
        let wait = doc! {
            "waitForFailPoint": "failCommand", "timesEntered": count, "maxTimeMS": 30_000,
        };
        self.mongo.admin(wait).await;
    }

    pub(super) async fn stop(self) {
        let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
        self.mongo.admin(off).await;
    }
}

async fn failing_with(mongo: &Mongo, code: i32, command: &str) -> Result<Vec<Applied>, StoreError> {
    let data = doc! { "failCommands": [command], "errorCode": code };
    let failing = Failing::new(mongo, 100_000, data).await;
    let written = write_within(&mongo.store, &[note(1, "x")], Duration::from_millis(300)).await;
    failing.stop().await;
    written
}

#[tokio::test]
async fn codes_that_servers_seldom_answer_fall_into_the_classes_that_decide_what_follows() {
    let mongo = Mongo::installed().await;
    for (code, command, expected) in [
        (6, "update", Class::Transient),
        (24, "update", Class::Transient),
        (50, "update", Class::Transient),
        (91, "update", Class::Transient),
        (112, "update", Class::Transient),
        (189, "update", Class::Transient),
        (239, "update", Class::Transient),
        (246, "update", Class::Transient),
        (251, "update", Class::Transient),
        (251, "commitTransaction", Class::Transient),
        (10107, "update", Class::Transient),
        (11600, "update", Class::Transient),
        (11602, "update", Class::Transient),
        (13435, "update", Class::Transient),
        (13, "update", Class::Systemic),
        (18, "update", Class::Transient),
        (26, "update", Class::Systemic),
        (59, "update", Class::Systemic),
        (73, "update", Class::Systemic),
        (14031, "update", Class::Systemic),
        (66, "update", Class::Record),
        (10334, "update", Class::Record),
        (17280, "update", Class::Record),
        (64, "commitTransaction", Class::Unknown),
        (91, "commitTransaction", Class::Unknown),
    ] {
        let failed = failing_with(&mongo, code, command).await;
        assert_eq!(class(&failed), expected, "{code} at {command}: {failed:?}");
        assert_eq!(read(&mongo.store, 1).await, None, "{code} at {command}");
    }
}

#[tokio::test]
async fn errors_that_a_server_answers_fall_into_the_classes_that_decide_what_follows() {
    let mongo = Mongo::installed().await;
    let (store, notes) = (&mongo.store, mongo.documents("notes"));
    let index = |keys: Document, unique: bool| {
        let index = doc! { "key": keys, "name": "one_body", "unique": unique };
        mongo.database.run_command(doc! { "createIndexes": "notes", "indexes": [index] })
    };
    write(store, &[note(1, "taken")]).await.unwrap();
    index(doc! { "body": 1 }, true).await.unwrap();
    let unique = write(store, &[note(3, "free"), note(2, "taken")]).await;
    assert_eq!(class(&unique), Class::Record, "11000: {unique:?}");
    assert!(unique.unwrap_err().to_string().contains("one_body"));
    assert_eq!(read(store, 3).await, None, "a batch is written as a whole or not at all");
    notes.drop_index("one_body").await.unwrap();

    let validator = doc! { "body": { "$ne": "bad" } };
    mongo.database.run_command(doc! { "collMod": "notes", "validator": validator }).await.unwrap();
    let invalid = write(store, &[note(2, "bad")]).await;
    assert_eq!(class(&invalid), Class::Record, "121: {invalid:?}");
    mongo.database.run_command(doc! { "collMod": "notes", "validator": {} }).await.unwrap();

    let big = "x".repeat(9 * 1024 * 1024);
    notes.update_one(doc! { "_id": 1 }, doc! { "$set": { "theirs": &big } }).await.unwrap();
    let large = write(store, &[note(1, &big)]).await;
    assert_eq!(class(&large), Class::Record, "17419: {large:?}");

    let lists = schema(
        "lists",
        [id_column("id", Kind::I64), column("a", Kind::Json), column("b", Kind::Json)],
    );
    store.ledger(Ledger::Install { schema: &lists }).await.unwrap();
    let both = doc! { "key": { "a": 1, "b": 1 }, "name": "both" };
    let both = doc! { "createIndexes": "lists", "indexes": [both] };
    mongo.database.run_command(both).await.unwrap();
    let list = || Value::Json(Cow::Borrowed("[1,2]"));
    let record = record(vec![Value::I64(1), list(), list()]);
    let changes = [Change::Put { id: note_id(1), record }];
    let batch = Batch::new(&changes, Instant::now() + Duration::from_secs(20));
    let parallel = store.apply(&lists, batch).await;
    assert_eq!(class(&parallel), Class::Record, "171: {parallel:?}");

    notes.drop().await.unwrap();
    let view = doc! { "create": "notes", "viewOn": "lists", "pipeline": [] };
    mongo.database.run_command(view).await.unwrap();
    let view = write(store, &[note(1, "x")]).await;
    assert_eq!(class(&view), Class::Systemic, "166: {view:?}");
}

#[tokio::test]
async fn a_server_without_transactions_is_said_before_and_while_it_is_used() {
    let url = tests::servers::mongodb_standalone_url();
    let client = mongodb::Client::with_uri_str(&url).await.unwrap();
    let name = tests::isolate::unique("stores");
    let store = store::mongodb(client.clone(), &name);
    store.ledger(Ledger::Install { schema: &NOTES }).await.unwrap();
    let missing = store.describe(&NOTES).await.unwrap().missing;
    assert!(missing.iter().any(|missing| missing.contains("--replSet")), "{missing:?}");
    let refused = write(&store, &[note(1, "x")]).await;
    assert_eq!(class(&refused), Class::Systemic, "20: {refused:?}");
    client.database(&name).drop().await.unwrap();
}

#[tokio::test]
async fn a_document_that_another_transaction_holds_is_waited_for_until_the_deadline() {
    let mongo = Mongo::installed().await;
    let mut other = mongo.database.client().start_session().await.unwrap();
    other.start_transaction().await.unwrap();
    let theirs = doc! { "_id": 1_i64, "body": "theirs" };
    mongo.documents("notes").insert_one(theirs).session(&mut other).await.unwrap();
    let late = write_within(&mongo.store, &[note(1, "late")], Duration::from_millis(200)).await;
    assert_eq!(class(&late), Class::Transient, "112: {late:?}");
    let changes = [note(1, "ours")];
    let waiting = write(&mongo.store, &changes);
    let commit = async { other.commit_transaction().await.unwrap() };
    let (written, ()) = tokio::join!(waiting, commit);
    written.unwrap();
    assert_eq!(read(&mongo.store, 1).await.unwrap().0, text("ours"));
}

#[tokio::test]
async fn a_lost_connection_or_primary_is_tried_again() {
    let mongo = Mongo::installed().await;
    for (id, command, fault) in [
        (1, "update", doc! { "closeConnection": true }),
        (2, "update", doc! { "errorCode": 10107 }),
        (3, "commitTransaction", doc! { "closeConnection": true }),
        (4, "commitTransaction", doc! { "errorCode": 11602 }),
        (5, "commitTransaction", doc! { "errorCode": 251 }),
        (6, "find", doc! { "closeConnection": true }),
    ] {
        let mut data = doc! { "failCommands": [command] };
        data.extend(fault);
        let failing = Failing::new(&mongo, 1, data).await;
        let written = write(&mongo.store, &[note(id, "x")]).await;
        assert!(written.is_ok(), "{command} {id}: {written:?}");
        assert!(read(&mongo.store, id).await.is_some(), "{command} {id}");
        failing.reached(1).await;
        failing.stop().await;
    }
}

#[tokio::test]
async fn a_transaction_whose_abort_is_not_answered_leaves_no_document_locked() {
    let mongo = Mongo::installed().await;
    let mut drain = Drain::new(&mongo.store).await;
    drain.write(&[note(1, "old")]).await.unwrap();
    // The statement, and both times that the driver sends the abort.
    let lost = doc! { "failCommands": ["update", "abortTransaction"], "closeConnection": true };
    let failing = Failing::new(&mongo, 3, lost).await;
    drain.write(&[note(1, "new")]).await.unwrap();
    failing.reached(3).await;
    failing.stop().await;
    assert_eq!(read(&mongo.store, 1).await.unwrap().0, text("new"));
}

#[tokio::test]
async fn a_commit_that_is_not_answered_is_unknown_and_sent_again() {
    let mongo = Mongo::installed().await;
    // The commit takes place, and is not confirmed.
    let concern = doc! { "code": 64, "errmsg": "waiting for replication timed out" };
    let data = doc! { "failCommands": ["commitTransaction"], "writeConcernError": concern };
    let failing = Failing::new(&mongo, 100_000, data.clone()).await;
    let unknown = write_within(&mongo.store, &[note(1, "x")], Duration::from_millis(300)).await;
    failing.stop().await;
    assert_eq!(class(&unknown), Class::Unknown, "{unknown:?}");
    assert!(read(&mongo.store, 1).await.is_some(), "it happened");
    // Twice: once the driver tries again by itself.
    let failing = Failing::new(&mongo, 3, data).await;
    write(&mongo.store, &[note(2, "x")]).await.unwrap();
    failing.reached(3).await;
    failing.stop().await;
}

#[tokio::test]
async fn a_commit_that_arrives_after_the_deadline_takes_no_effect() {
    let mongo = Mongo::installed().await;
    let hang = doc! {
        "failCommands": ["commitTransaction"], "blockConnection": true, "blockTimeMS": 2_000,
    };
    let failing = Failing::new(&mongo, 1, hang).await;
    let changes = [note(1, "given up")];
    let unknown = write_within(&mongo.store, &changes, Duration::from_millis(300)).await;
    assert_eq!(class(&unknown), Class::Unknown, "{unknown:?}");
    // Waits until nothing hangs there any more. The server has stopped it by its `maxTimeMS`.
    failing.stop().await;
    write(&mongo.store, &[note(2, "x")]).await.unwrap();
    assert_eq!(read(&mongo.store, 1).await, None, "the commit took effect after its deadline");
}

#[tokio::test]
async fn what_is_refused_of_a_journal_is_buried_and_everything_else_written() {
    let mongo = Mongo::installed().await;
    let index = doc! { "key": { "body": 1 }, "name": "one_body", "unique": true };
    let index = doc! { "createIndexes": "notes", "indexes": [index] };
    mongo.database.run_command(index).await.unwrap();
    write(&mongo.store, &[note(1, "taken"), note(2, "moves"), note(3, "goes")]).await.unwrap();
    let mut drain = Drain::new(&mongo.store).await;
    let applied = drain
        .write(&[
            note(10, "new"),
            note(11, "taken"), // Taken by somebody who stays.
            note(12, "moves"), // Free once the next one is written.
            note(2, "moved"),
            note(13, "new"),  // Excluded by the first.
            note(14, "goes"), // Free once the next one is written.
            Change::Delete { id: note_id(3) },
        ])
        .await
        .unwrap();
    let buried: Vec<_> = applied.iter().map(|a| matches!(a, Applied::Buried { .. })).collect();
    assert_eq!(buried, [false, true, false, false, true, false, false], "{applied:?}");
    assert_eq!(drain.letters().await, [2, 5]);
    let offset = drain.offset().await;
    assert_eq!((offset.last_id, offset.applied, offset.dead_lettered), (7, 5, 2));
    assert_eq!(read(&mongo.store, 12).await.unwrap().0, text("moves"));
    assert_eq!(read(&mongo.store, 13).await, None);

    let mut most: Vec<_> = (20..320).map(|id| note(id, "taken")).collect();
    most[250] = note(270, "fine");
    let applied = drain.write(&most).await.unwrap();
    let buried = applied.iter().filter(|a| matches!(a, Applied::Buried { .. })).count();
    assert_eq!(buried, 299, "however many are refused");
    assert_eq!(read(&mongo.store, 270).await.unwrap().0, text("fine"));
}
