//! What meets a transaction on MongoDB: recoveries, drains and writes of the same partition, deadlines.

use futures_util::future::join_all;
use mongodb::bson::doc;

use super::{
    commits::{Commits, through_proxy},
    journal::Drain,
    mongo::Mongo,
    mongo_faults::Failing,
    *,
};

#[tokio::test]
async fn an_epoch_is_not_raised_under_a_write_that_was_fenced_by_it() {
    let mongo = Mongo::installed().await;
    assert_eq!(raise(&mongo.store, "notes").await.unwrap(), 1);
    let hang = doc! {
        "failCommands": ["commitTransaction"], "blockConnection": true, "blockTimeMS": 300,
    };
    let failing = Failing::new(&mongo, 1, hang).await;
    let store = mongo.store.clone();
    let fence = Fence::new("notes", 0, 1);
    let writing = tokio::spawn(async move { write_fenced(&store, note(1, "x"), fence).await });
    failing.reached(1).await;
    assert_eq!(raise(&mongo.store, "notes").await.unwrap(), 2);
    let found = read(&mongo.store, 1).await;
    assert!(found.is_some(), "the epoch was raised before the write was over");
    writing.await.unwrap().unwrap();
    failing.stop().await;
    let late = write_fenced(&mongo.store, note(2, "late"), Fence::new("notes", 0, 1)).await;
    assert_eq!(class(&late), Class::Fenced);
}

/// Of two that recover at a time one raises the epoch. The other one does nothing, and is to be as late: a
/// write that was fenced before may be on its way still. Which of them it is nobody says: the one that is
/// held up is to be the second one, and on a busy machine may be the first one.
#[tokio::test]
async fn who_recovers_at_the_same_time_waits_for_writes_as_well() {
    let mongo = Mongo::installed().await;
    assert_eq!(raise(&mongo.store, "notes").await.unwrap(), 1);
    let client = mongo.database.client();
    let mut writer = client.start_session().await.unwrap();
    writer.start_transaction().await.unwrap();
    let fences = mongo.documents("cached_repo_fences");
    let hold = fences.update_one(doc! {}, doc! { "$inc": { "writes": 1 } }).session(&mut writer);
    assert_eq!(hold.await.unwrap().matched_count, 1);
    let url = mongo.url().replace("appName=", "appName=other_");
    let second = store::connect(&url).await.unwrap();
    // It has seen the epoch, and is about to raise it.
    let hang = doc! {
        "failCommands": ["findAndModify"], "blockConnection": true, "blockTimeMS": 500,
    };
    let failing = Failing::when(&mongo, doc! { "skip": 1 }, hang).await;
    let recover = |store: SharedStore| {
        tokio::spawn(async move {
            let (entity, partition, journal, home) = ("notes", 0, "journal", "home");
            let (epoch_min, seen) = (0, 1);
            store
                .ledger(Ledger::Recover { entity, partition, journal, home, epoch_min, seen })
                .await
        })
    };
    let late = recover(mongo.store.clone());
    failing.reached(1).await;
    let other = recover(second);
    let fences = format!("{}.cached_repo_fences", mongo.name);
    let waiting = doc! { "ns": fences, "active": true };
    let waiting = [doc! { "$currentOp": {} }, doc! { "$match": waiting }];
    loop {
        let is_done = late.is_finished() || other.is_finished();
        assert!(!is_done, "one is done, and the write is not");
        let list = doc! { "aggregate": 1, "pipeline": &waiting[..], "cursor": {} };
        let found = mongo.admin(list).await;
        let found = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap().len();
        if found == 2 {
            break;
        }
    }
    writer.commit_transaction().await.unwrap();
    let both = [other.await.unwrap().unwrap(), late.await.unwrap().unwrap()];
    let has_raised = |e: &&Entry| matches!(e, Entry::Offset(Some(Offset { epoch: 2, .. })));
    assert_eq!(both.iter().filter(has_raised).count(), 1, "{both:?}");
    assert!(both.contains(&Entry::Offset(None)), "{both:?}");
    failing.stop().await;
}

#[tokio::test]
async fn an_epoch_is_raised_while_many_write() {
    let mongo = Mongo::installed().await;
    let mut epoch = raise(&mongo.store, "notes").await.unwrap();
    for round in 0..5 {
        let writers: Vec<_> = (0..12)
            .map(|writer| {
                let (store, fence) = (mongo.store.clone(), Fence::new("notes", 0, epoch));
                tokio::spawn(async move {
                    let mut written = 0;
                    loop {
                        match write_fenced(&store, note(writer, "x"), fence.clone()).await {
                            Ok(()) => written += 1,
                            Err(e) if e.class() == Class::Fenced => return written,
                            Err(e) => panic!("{e:?}"),
                        }
                    }
                })
            })
            .collect();
        epoch = raise(&mongo.store, "notes").await.unwrap();
        for writer in writers {
            let _: i32 = writer.await.unwrap();
        }
        assert_eq!(epoch, round + 2);
    }
}

#[tokio::test]
async fn a_batch_that_moves_the_position_is_waited_for_by_a_recovery() {
    let mongo = Mongo::installed().await;
    let mut drain = Drain::new(&mongo.store).await;
    let hang = doc! {
        "failCommands": ["commitTransaction"], "blockConnection": true, "blockTimeMS": 300,
    };
    let failing = Failing::new(&mongo, 1, hang).await;
    let other = store::connect(&mongo.url().replace("appName=", "appName=other_")).await.unwrap();
    let changes = [note(1, "x")];
    let writing = drain.write(&changes);
    let recovery = async {
        failing.reached(1).await;
        let (entity, partition, journal, home) = ("notes", 0, "journal", "home");
        let recover = Ledger::Recover { entity, partition, journal, home, epoch_min: 0, seen: 1 };
        match other.ledger(recover).await.unwrap() {
            Entry::Offset(Some(offset)) => offset,
            answer => panic!("{answer:?}"),
        }
    };
    let (written, offset) = tokio::join!(writing, recovery);
    written.unwrap();
    assert_eq!((offset.epoch, offset.last_id), (2, 1), "what the batch moved the position to");
    failing.stop().await;
}

#[tokio::test]
async fn a_commit_that_is_on_its_way_at_the_deadline_takes_no_effect() {
    let mongo = Mongo::installed().await;
    // A driver that looked for the other members would pass the proxy by.
    let url = format!("{}&directConnection=true", mongo.url());
    let (store, release) = through_proxy(&url, Commits::Wait).await;
    let time = Duration::from_secs(3);
    let late = tokio::spawn(async move { write_within(&store, &[note(1, "late")], time).await });
    transactions(&mongo, 1).await;
    let unknown = late.await.unwrap();
    assert_eq!(class(&unknown), Class::Unknown, "{unknown:?}");
    transactions(&mongo, 0).await;
    release.notify_one();
    write(&mongo.store, &[note(2, "x")]).await.unwrap();
    assert_eq!(read(&mongo.store, 1).await, None, "the commit took effect after its deadline");
}

/// It would begin a transaction that nobody ends. Whether the abort comes first is luck, so there are many.
#[tokio::test]
async fn an_update_that_is_on_its_way_at_the_deadline_keeps_nobody_waiting() {
    let mongo = Mongo::installed().await;
    let url = format!("{}&directConnection=true", mongo.url());
    let round = async |id| {
        let (store, release) = through_proxy(&url, Commits::FollowAHeldUpdate).await;
        let late = write_within(&store, &[note(id, "late")], Duration::from_millis(500)).await;
        assert_eq!(class(&late), Class::Transient, "{late:?}");
        assert_eq!(read(&store, id).await, None);
        release.notify_one();
        for body in ["a", "b", "c"] {
            write(&mongo.store, &[note(id, body)]).await.unwrap();
        }
        assert_eq!(read(&mongo.store, id).await.unwrap().0, text("c"));
    };
    join_all((0..16).map(round)).await;
}

/// Waits until the store has this many transactions.
async fn transactions(mongo: &Mongo, count: usize) {
    let of_store = doc! { "appName": &mongo.name, "transaction": { "$exists": true } };
    let sessions = doc! { "$currentOp": { "idleSessions": true } };
    let list = [sessions, doc! { "$match": of_store }];
    let list = doc! { "aggregate": 1, "pipeline": &list[..], "cursor": {} };
    let end = Instant::now() + HANG;
    loop {
        let found = mongo.admin(list.clone()).await;
        let found = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        if found.len() == count {
            return;
        }
        assert!(Instant::now() < end, "there never were {count} transactions: {found:?}");
    }
}
