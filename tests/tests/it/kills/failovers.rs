//! A replica that lags takes over from its master: what it did not have is lost, and nothing else.

use std::collections::HashSet;

use redis::aio::MultiplexedConnection;
use tests::{
    Proxy,
    actor::PARTITIONS,
    servers::{PrivatePostgres, PrivateRedis},
};

use super::{
    Scene, pace,
    scene::{connection, key},
    sized, turn, until,
};

/// For so long before a replica is cut off everything has reached it (µs).
const REACHED_US: u64 = 5_000_000;

/// The writes that a failover may lose: those of a time that the new master does not have.
struct Lost {
    from: u64,
    to: u64,
    kept: HashSet<u64>,
}

#[tokio::test]
async fn a_failover_to_a_replica_that_lags_loses_the_gap_and_nothing_else() {
    let _turn = turn().await;
    let failovers = sized(2, 12);
    let master = PrivateRedis::start(&[]).await;
    let proxy = Proxy::start(master.url()).await;
    let mut scene = Scene::at(proxy.url(), master, PrivatePostgres::start().await).await;
    scene.write([true, false], sized(500, 3000), 2000);
    let worker = scene.worker();
    let (mut losses, mut ahead) = (Vec::new(), 0);
    for _ in 0..failovers {
        let replica = replica_of(&scene.redis).await;
        let mut there = connection(&replica).await;
        scene.progress().await;
        scene.at_home().await;
        // From now on it gets nothing, and does not know that it is alone.
        let from = now_us(&mut there).await - REACHED_US;
        order(&mut there, &["REPLICAOF", "127.0.0.1", "1"]).await;
        scene.progress().await;
        pace(0..300).await;
        let drained: Vec<u64> = acked(&mut scene.redis().await).await;
        scene.redis.kill();
        order(&mut there, &["REPLICAOF", "NO", "ONE"]).await;
        ahead += drained.iter().zip(clocks(&mut there).await).filter(|(at, has)| *at > has).count();
        let (to, kept) = (now_us(&mut there).await, versions(&mut there).await);
        losses.push(Lost { from, to, kept });
        proxy.lead_to(&replica.url());
        scene.redis = replica;
        scene.at_home().await;
    }
    scene.progress().await;
    let is_lost =
        |v: u64| losses.iter().any(|l| (l.from..=l.to).contains(&v) && !l.kept.contains(&v));
    let history = scene.check(is_lost).await;
    drop(worker);
    let (recovered, gone) = (history.events("Recovered"), history.events("JournalLost"));
    let lost = history.count(is_lost);
    println!(
        "{failovers} failovers lost {lost} acknowledged writes; {ahead} times the database had writes of a \
         partition that the new master never saw; {recovered} partitions recovered"
    );
    assert_eq!(gone, 0, "every journal was there");
    assert!(recovered >= failovers, "each failover is recovered from");
    assert!(lost > 0, "the replica did not lag");
    assert!(ahead > 0, "the database was never ahead");
}

/// In contrast to the other test the replica is cut off at any time and not told apart: a write that
/// was acknowledged had reached it.
#[tokio::test]
async fn a_failover_loses_no_write_that_a_replica_confirmed() {
    let _turn = turn().await;
    let failovers = sized(2, 12);
    let master = PrivateRedis::start(&["--repl-diskless-sync-delay", "0"]).await;
    let proxy = Proxy::start(master.url()).await;
    let mut scene = Scene::at(proxy.url(), master, PrivatePostgres::start().await).await;
    scene.replicas = 1;
    scene.write([true, false], sized(200, 1000), 2000);
    let worker = scene.worker();
    for _ in 0..failovers {
        let replica = replica_of(&scene.redis).await;
        let mut there = connection(&replica).await;
        scene.progress().await;
        scene.at_home().await;
        order(&mut there, &["REPLICAOF", "127.0.0.1", "1"]).await;
        // These are journaled where they are about to be lost, and not acknowledged.
        scene.progress().await;
        scene.redis.kill();
        order(&mut there, &["REPLICAOF", "NO", "ONE"]).await;
        proxy.lead_to(&replica.url());
        scene.redis = replica;
        scene.at_home().await;
    }
    let last = replica_of(&scene.redis).await;
    scene.progress().await;
    let history = scene.check(|_| false).await;
    drop((worker, last));
    let unconfirmed = history.errors.iter().any(|error| error.contains("0 of 1 replicas"));
    println!(
        "{failovers} failovers lost none of {} confirmed writes; {} were not confirmed",
        history.acknowledged, history.unknown
    );
    assert!(history.events("Recovered") >= failovers, "each failover is recovered from");
    assert!(unconfirmed, "no write was refused its confirmation");
}

async fn replica_of(master: &PrivateRedis) -> PrivateRedis {
    let url = master.url();
    let port = url.rsplit_once(':').unwrap().1;
    let arguments = ["--replicaof", "127.0.0.1", port, "--repl-diskless-sync-delay", "0"];
    let replica = PrivateRedis::start(&arguments).await;
    let mut there = connection(&replica).await;
    until("the replica has everything", async || {
        let info: String =
            redis::cmd("INFO").arg("replication").query_async(&mut there).await.unwrap();
        info.contains("master_link_status:up")
    })
    .await;
    replica
}

async fn order(server: &mut MultiplexedConnection, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    let _: redis::Value = command.arg(&words[1..]).query_async(server).await.unwrap();
}

async fn now_us(server: &mut MultiplexedConnection) -> u64 {
    let (seconds, us): (u64, u64) = redis::cmd("TIME").query_async(server).await.unwrap();
    seconds * 1_000_000 + us
}

async fn acked(server: &mut MultiplexedConnection) -> Vec<u64> {
    numbers(server, "acked").await
}

async fn clocks(server: &mut MultiplexedConnection) -> Vec<u64> {
    numbers(server, "clk").await
}

async fn numbers(server: &mut MultiplexedConnection, field: &str) -> Vec<u64> {
    let mut pipeline = redis::pipe();
    for partition in 0..PARTITIONS {
        pipeline.cmd("HGET").arg(key("meta", partition)).arg(field);
    }
    let found: Vec<Option<u64>> = pipeline.query_async(server).await.unwrap();
    found.into_iter().map(Option::unwrap_or_default).collect()
}

/// Those of all records of all journals.
async fn versions(server: &mut MultiplexedConnection) -> HashSet<u64> {
    let mut all = HashSet::new();
    for partition in 0..PARTITIONS {
        let mut command = redis::cmd("XRANGE");
        let records: Vec<(String, Vec<String>)> = command
            .arg(key("journal", partition))
            .arg("-")
            .arg("+")
            .query_async(server)
            .await
            .unwrap();
        let versions = records.iter().map(|(id, _)| id.strip_suffix("-0").unwrap().parse::<u64>());
        all.extend(versions.map(Result::unwrap));
    }
    all
}
