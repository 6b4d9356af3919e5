//! E5: a replica that lags takes over from its master: what it did not have is lost, and nothing else.

use std::collections::HashSet;

use redis::aio::MultiplexedConnection;
use tests::{PrivateDatabase, Proxy, actor::PARTITIONS, private::Kind, servers::PrivateRedis};

use super::{
    Scene, pace,
    scene::{connection, key},
    seed, sized, tell, turn, until,
};

/// The clock of a replica that is promoted is so much behind that of its master.
const BEHIND_US: u64 = 3_600_000_000;
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
    seed();
    let failovers = sized(2, 10);
    let master = PrivateRedis::start(&[]).await;
    let proxy = Proxy::start(master.url()).await;
    let mut scene =
        Scene::at(proxy.url(), master, PrivateDatabase::start(Kind::Postgres).await).await;
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
    let drained = scene.records_drained().await;
    tell(
        "E5",
        format_args!(
            "{failovers} failovers to a replica that lags lost {} of {} acknowledged writes, at most those of \
             the gap ({lost}); {ahead} times the database had writes of a partition that the new master never \
             saw; {recovered} partitions recovered",
            history.acknowledged.saturating_sub(drained),
            history.acknowledged
        ),
    );
    assert!(history.acknowledged <= drained + lost as u64, "more was lost than the gap");
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
    seed();
    let failovers = sized(2, 10);
    let master = PrivateRedis::start(&["--repl-diskless-sync-delay", "0"]).await;
    let proxy = Proxy::start(master.url()).await;
    let mut scene =
        Scene::at(proxy.url(), master, PrivateDatabase::start(Kind::Postgres).await).await;
    scene.replicas = 1;
    scene.write([true, false], sized(200, 1000), 2000);
    let worker = scene.worker();
    let mut behind = 0;
    for turn in 0..failovers {
        let replica = replica_of(&scene.redis).await;
        let mut there = connection(&replica).await;
        scene.progress().await;
        scene.at_home().await;
        order(&mut there, &["REPLICAOF", "127.0.0.1", "1"]).await;
        // These are journaled where they are about to be lost, and not acknowledged.
        scene.progress().await;
        if turn % 2 == 1 {
            scene.set_clock_ahead().await;
            behind += scene.partitions_ahead(&mut there).await;
        }
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
    tell(
        "E5 WAIT",
        format_args!(
            "{failovers} failovers lost none of {} confirmed writes; {} were not confirmed; the clock of the \
             new master was an hour behind the database in {behind} partitions",
            history.acknowledged, history.unknown
        ),
    );
    assert!(history.events("Recovered") >= failovers, "each failover is recovered from");
    assert!(unconfirmed, "no write was refused its confirmation");
    assert!(behind > 0, "no clock was behind");
}

impl Scene {
    /// Makes the master's clock go an hour ahead, as far as versions follow from it: those of the server
    /// that takes over begin an hour earlier than those that the database has.
    async fn set_clock_ahead(&mut self) {
        let mut here = self.redis().await;
        let ahead = now_us(&mut here).await + BEHIND_US;
        let mut pipeline = redis::pipe();
        for partition in 0..PARTITIONS {
            pipeline.cmd("HSET").arg(key("meta", partition)).arg("clk").arg(ahead).ignore();
        }
        let _: () = pipeline.query_async(&mut here).await.unwrap();
        until("the database has versions of that time", async || {
            let last_ids = self.last_ids().await;
            last_ids.values().filter(|at| **at >= ahead).count() > PARTITIONS as usize / 2
        })
        .await;
    }

    /// In how many partitions the database is ahead of that server's clock.
    async fn partitions_ahead(&self, there: &mut MultiplexedConnection) -> usize {
        let now = now_us(there).await;
        let clocks = clocks(there).await;
        let last_ids = self.last_ids().await;
        let is_ahead =
            |(p, at): (&u32, &u64)| *at > now + BEHIND_US / 2 && *at > clocks[*p as usize];
        last_ids.iter().filter(|(p, at)| is_ahead((p, at))).count()
    }
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
