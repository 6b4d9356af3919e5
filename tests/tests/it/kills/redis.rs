//! E3: Redis is killed while it is written to, and replies are lost; with `appendfsync always` that loses
//! nothing, and writes nothing twice.

use std::collections::HashSet;

use tests::{
    Mode, PrivateDatabase, Proxy, actor::PARTITIONS, private::Kind, servers::PrivateRedis,
};

use super::{Scene, pace, scene::key, seed, sized, tell, turn};

/// After so many more bytes of replies the connection is cut that carries the next one.
const CUT_AFTER_MAX: u64 = 2000;
/// For so long Redis goes on while a sync holds its file up (µs).
const HELD_UP_MAX_US: u64 = 2_000_000;

#[tokio::test]
async fn a_redis_that_is_killed_loses_no_acknowledged_write() {
    let _turn = turn().await;
    seed();
    let (kills, writes) = sized((10, 4000), (30, 30_000));
    let redis = PrivateRedis::start(&["--appendfsync", "always"]).await;
    let proxy = Proxy::start(redis.url()).await;
    let database = PrivateDatabase::start(Kind::Postgres).await;
    let mut scene = Scene::at(proxy.url(), redis, database).await;
    scene.write([true, false], writes / 4, 2000);
    let worker = scene.worker();
    for kill in 0..kills {
        scene.progress().await;
        proxy.set(Mode::CutAfter(fastrand::u64(..CUT_AFTER_MAX)));
        scene.progress().await;
        pace(0..200).await;
        scene.redis.kill();
        // Now and then for longer than an append is tried again.
        pace(if kill % 5 == 2 { 2500..3000 } else { 0..300 }).await;
        scene.redis.restart().await;
        scene.at_home().await;
    }
    scene.progress().await;
    let again = scene.metas().await.iter().filter(|meta| meta.contains_key("tried_until")).count();
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    let retained = scene.no_record_is_there_twice().await;
    drop(worker);
    let (recovered, lost) = (history.events("Recovered"), history.events("JournalLost"));
    tell(
        "E3",
        format_args!(
            "{kills} kills of Redis and {} lost replies, {} writes acknowledged and none of them lost, \
             {} unknown, {} failed; {recovered} partitions recovered; {retained} records are retained, \
             none twice",
            proxy.cuts(),
            history.acknowledged,
            history.unknown,
            history.failed
        ),
    );
    assert_eq!(lost, 0);
    assert_eq!(recovered, kills * u64::from(PARTITIONS), "each kill is recovered from once");
    assert!(history.acknowledged + history.unknown + history.failed >= writes as u64);
    assert!(history.unknown + history.failed > 0, "no write was under way in an outage");
    assert!(proxy.cuts() >= kills && again > 0, "no write was tried again");
}

/// Redis answers when the file has the write, not when the disk has it: a kill alone loses nothing, but
/// where a sync holds the file up for two seconds Redis goes on without.
#[tokio::test]
async fn with_everysec_a_kill_loses_two_seconds_at_most() {
    let _turn = turn().await;
    seed();
    let kills = sized(3, 10);
    let mut scene = Scene::new(&["--appendfsync", "everysec"]).await;
    scene.write([true, false], sized(500, 3000), 2000);
    let worker = scene.worker();
    let mut killed_at = Vec::new();
    for _ in 0..kills {
        scene.progress().await;
        scene.at_home().await;
        pace(0..200).await;
        let (seconds, us): (u64, u64) =
            redis::cmd("TIME").query_async(&mut scene.redis().await).await.unwrap();
        killed_at.push(seconds * 1_000_000 + us);
        scene.redis.kill();
        scene.redis.restart().await;
        scene.at_home().await;
    }
    scene.progress().await;
    let is_late = |version: u64| {
        // What was acknowledged between this look at the clock and the kill is late as well.
        killed_at.iter().any(|at| (at - HELD_UP_MAX_US..at + HELD_UP_MAX_US).contains(&version))
    };
    let history = scene.check(is_late).await;
    drop(worker);
    let lost = history.acknowledged.saturating_sub(scene.records_drained().await);
    let recovered = history.events("Recovered");
    tell(
        "E3 everysec",
        format_args!(
            "{kills} kills of Redis, {lost} of {} acknowledged writes lost; {recovered} partitions recovered",
            history.acknowledged
        ),
    );
    assert!(lost <= history.count(is_late) as u64, "{lost} were lost");
    assert_eq!(recovered, kills * u64::from(PARTITIONS), "each kill is recovered from once");
}

impl Scene {
    /// A write that is tried again is journaled once: no two records are of one operation. Answers how
    /// many there are.
    async fn no_record_is_there_twice(&self) -> usize {
        let mut operations = HashSet::new();
        for partition in 0..PARTITIONS {
            let records: Vec<(String, Vec<String>)> = redis::cmd("XRANGE")
                .arg(key("journal", partition))
                .arg(&["-", "+"])
                .query_async(&mut self.redis().await)
                .await
                .unwrap();
            for (version, fields) in records {
                let field = fields.chunks_exact(2).find(|pair| pair[0] == "write");
                let operation = field.expect("a record names its operation")[1].clone();
                assert!(operations.insert(operation), "{version} of {partition} is there twice");
            }
        }
        assert!(!operations.is_empty(), "no record is retained");
        operations.len()
    }
}
