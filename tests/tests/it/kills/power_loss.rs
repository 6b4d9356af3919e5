//! E4: the power fails: the tail of Redis' file is gone, and the database is ahead of it.

use std::collections::HashSet;

use tests::actor::{Item, PARTITIONS};

use super::{Scene, aof::Aof, pace, seed, sized, tell, turn, until};

const CUT_MAX_BYTES: f64 = 64.0 * 1024.0;
/// How long the last command of a transaction is.
const EXEC_LEN: u64 = 14;

#[tokio::test]
async fn a_power_loss_loses_the_tail_and_nothing_else() {
    let _turn = turn().await;
    seed();
    let cuts = sized(6, 40);
    // With `always` the file has everything that was acknowledged, so that the cut alone decides.
    let arguments = ["--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"];
    let mut scene = Scene::new(&arguments).await;
    scene.write([true, false], sized(500, 3000), 2000);
    let worker = scene.worker();
    let (mut tails, mut ahead) = (Tails::default(), 0);
    for cut in 0..cuts {
        scene.progress().await;
        scene.at_home().await;
        scene.drains().await;
        if cut % 2 == 1 {
            // The tail is in the database.
            until("the drain catches up", async || scene.backlog().await < 20).await;
        }
        pace(0..200).await;
        scene.redis.kill();
        // From 1 byte to 64 KiB; the last one is the longest.
        let bytes = CUT_MAX_BYTES.powf(if cut + 1 == cuts { 1.0 } else { fastrand::f64() });
        let tail = Aof::of(&scene.redis).cut(bytes as u64);
        let drained = scene.last_ids().await;
        ahead += tail.iter().filter(|(partition, at)| drained[partition] >= *at).count();
        tails.all.extend(tail.iter().map(|(_, at)| at));
        tails.at_most.extend(tail.iter().filter(|(p, at)| drained[p] < *at).map(|(_, at)| at));
        scene.redis.restart().await;
        scene.at_home().await;
        // What the database does not have when the journal is recovered it never gets.
        let drained = scene.last_ids().await;
        tails.at_least.extend(tail.iter().filter(|(p, at)| drained[p] < *at).map(|(_, at)| at));
    }
    scene.progress().await;
    let history = scene.check(|version| tails.all.contains(&version)).await;
    drop(worker);
    let (recovered, gone) = (history.events("Recovered"), history.events("JournalLost"));
    let of = |set: &HashSet<u64>| history.count(|version| set.contains(&version)) as u64;
    let (cut_off, most, least) = (of(&tails.all), of(&tails.at_most), of(&tails.at_least));
    let drained = scene.records_drained().await;
    let lost = history.acknowledged.saturating_sub(drained);
    tell(
        "E4",
        format_args!(
            "{cuts} cuts with {cut_off} acknowledged writes, {ahead} of them in the database; {lost} of {} \
             writes lost, all of them cut off; {recovered} partitions recovered",
            history.acknowledged
        ),
    );
    assert_eq!(gone, 0, "every journal was there");
    assert_eq!(recovered, cuts * u64::from(PARTITIONS), "each cut is recovered from once");
    assert!(cut_off > 0 && lost > 0, "nothing was cut off");
    assert!(ahead > 0, "the database was never ahead");
    assert!(lost <= most, "{lost} lost, {most} cut off and not drained");
    assert!(lost + history.unknown >= least, "{lost} lost, at least {least} could not be drained");
}

/// The versions of the writes that were cut off.
#[derive(Default)]
struct Tails {
    all: HashSet<u64>,
    /// Those that the database did not have when Redis died: what it had read may have come later.
    at_most: HashSet<u64>,
    /// Those that it did not have when the journal was recovered either.
    at_least: HashSet<u64>,
}

/// A server that finds a transaction without its end forgets it, but keeps the beginning of it in its
/// file (Redis 7.0 does, see the pull request 4342 of Valkey): the next start finds it again.
#[tokio::test]
async fn what_was_cut_off_is_not_read_after_the_next_restart() {
    let _turn = turn().await;
    let arguments = ["--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"];
    let mut scene = Scene::new(&arguments).await;
    let (cache, items) = scene.reader().await;
    let save = async |id: i64, name: &str| {
        let item = Item { id, name: name.to_owned() };
        until("Redis takes writes", async || items.save(&item).await.is_ok()).await;
    };
    // Some of them are in the partition of the first one.
    let save_others = async |name: &str| {
        for id in 2..100 {
            save(id, name).await;
        }
        let draining = tokio::spawn(cache.drain());
        until("it is drained", async || items.flush().await.is_ok()).await;
        draining.abort();
        drop(draining.await);
    };
    save(1, "kept").await;
    save_others("one").await;
    save(1, "cut off").await;
    scene.redis.kill();
    assert_eq!(Aof::of(&scene.redis).cut(EXEC_LEN / 2).len(), 1);
    scene.redis.restart().await;
    save_others("two").await;
    scene.redis.kill();
    scene.redis.restart().await;
    let key = items.key(1).unwrap();
    let found: String =
        redis::cmd("GET").arg(&key).query_async(&mut scene.redis().await).await.unwrap();
    println!("behind a cut and two restarts Redis has {found}");
    save_others("three").await;
    assert_eq!(items.get(1).await.unwrap().unwrap().name, "kept");
    assert!(items.evict(1).await.unwrap());
}
