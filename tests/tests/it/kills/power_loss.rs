//! The power fails: the tail of Redis' file is gone, and the database is ahead of it.

use std::collections::{HashMap, HashSet};

use tests::{actor::Item, servers::PrivatePostgres};

use super::{Scene, aof::Aof, pace, sized, turn, until};

const CUT_MAX_BYTES: f64 = 64.0 * 1024.0;
/// How long the last command of a transaction is.
const EXEC_LEN: u64 = 14;

#[tokio::test]
async fn a_power_loss_loses_the_tail_and_nothing_else() {
    let _turn = turn().await;
    let cuts = sized(6, 40);
    // With `always` the file has everything that was acknowledged, so that the cut alone decides.
    let arguments = ["--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"];
    let mut scene = Scene::new(&arguments, PrivatePostgres::start().await).await;
    scene.write([true, false], sized(500, 3000), 2000);
    let worker = scene.worker();
    let (mut lost, mut ahead) = (HashSet::new(), 0);
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
        let drained = scene.positions().await;
        ahead += tail.iter().filter(|(partition, at)| drained[partition] >= *at).count();
        lost.extend(tail.into_iter().map(|(_, version)| version));
        scene.redis.restart().await;
        scene.at_home().await;
    }
    scene.progress().await;
    let history = scene.check(|version| lost.contains(&version)).await;
    drop(worker);
    let (recovered, gone) = (history.events("Recovered"), history.events("JournalLost"));
    let acknowledged = history.count(|version| lost.contains(&version));
    println!(
        "{cuts} cuts with {} writes ({acknowledged} acknowledged), {ahead} of them in the database; \
         {recovered} partitions recovered",
        lost.len()
    );
    assert_eq!(gone, 0, "every journal was there");
    assert!(recovered >= cuts, "each cut is recovered from");
    assert!(acknowledged > 0, "nothing was cut off");
    assert!(ahead > 0, "the database was never ahead");
}

/// A server that finds a transaction without its end forgets it, but keeps the beginning of it in its
/// file (Redis 7.0 does, see the pull request 4342 of Valkey): the next start finds it again.
#[tokio::test]
async fn what_was_cut_off_is_not_read_after_the_next_restart() {
    let _turn = turn().await;
    let arguments = ["--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"];
    let mut scene = Scene::new(&arguments, PrivatePostgres::start().await).await;
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

impl Scene {
    /// The version of the last record of each partition that the database has.
    async fn positions(&self) -> HashMap<u32, u64> {
        let sql = "SELECT partition::BIGINT, last_id FROM cached_repo_offsets";
        let positions: Vec<(i64, i64)> = sqlx::query_as(sql).fetch_all(&self.pool).await.unwrap();
        let number = |n: i64| u64::try_from(n).unwrap();
        let positions = positions.into_iter();
        positions.map(|(p, at)| (u32::try_from(p).unwrap(), number(at))).collect()
    }
}
