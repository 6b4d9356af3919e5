//! E7: the database is killed, stopped for a while, and set back to an older copy: writes go on, and it
//! gets everything by itself, as far as the journal has retained it.

use std::{collections::HashMap, time::Duration};

use tests::{
    PrivateDatabase,
    actor::{Item, PARTITIONS},
    private::Kind,
    servers::{PrivatePostgres, PrivateRedis},
};
use tokio::time::sleep;

use super::{Scene, pace, seed, sized, tell, turn, until};

#[tokio::test]
async fn a_database_that_is_killed_stopped_and_set_back_gets_everything() {
    let _turn = turn().await;
    seed();
    let (kills, copies) = sized((4, 1), (12, 3));
    let stop = Duration::from_secs(sized(5, 20));
    let postgres = PrivatePostgres::start_synced().await;
    let redis = PrivateRedis::start(&[]).await;
    let database = PrivateDatabase::Postgres(postgres);
    let mut scene = Scene::at(redis.url(), redis, database).await;
    scene.write([true, false], sized(1000, 5000), 5000);
    let worker = scene.worker();
    scene.is_open().await;
    let oldest = scene.database.server.postgres().copy("oldest").await;
    let oldest_has = scene.last_ids().await;
    scene.kill_database(kills, 3).await;
    let mut rewound = 0;
    for _ in 0..copies {
        rewound += scene.set_back().await;
    }
    let (before, behind) = scene.stop_database(stop).await;
    // What is retained for a minute or two is longer than the short form takes.
    let beyond = sized(false, true);
    if beyond {
        scene.progress().await;
        // In all partitions: any other one would be replayed.
        until("what the oldest copy lacks is trimmed", async || {
            let trimmed = scene.trimmed().await;
            trimmed.iter().all(|(p, at)| oldest_has.get(p).is_some_and(|has| at > has))
        })
        .await;
    }
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    assert_eq!((history.unknown, history.failed), (0, 0), "writes do not need the database");
    for event in ["DeadLettered", "JournalLost", "JournalGap"] {
        assert_eq!(history.events(event), 0, "{event}");
    }
    if beyond {
        scene.database.server.postgres().restore(&oldest).await;
        scene.is_stopped_by_a_gap().await;
    }
    drop(worker);
    tell(
        "E7",
        format_args!(
            "{kills} kills of PostgreSQL under load, set back {copies} times by {rewound} records and \
             replayed, stopped for {stop:?} ({before} records not drained before, {behind} after it); {} \
             writes and none lost; a copy from beyond the retention is a gap: {}",
            history.acknowledged,
            if beyond { "tested" } else { "in the long form" },
        ),
    );
    assert!(rewound > 0, "the copies were not older");
}

#[tokio::test]
async fn a_mariadb_that_is_killed_gets_everything() {
    kill_another(Kind::MariaDb).await;
}

#[tokio::test]
async fn a_mongodb_that_is_killed_gets_everything() {
    kill_another(Kind::MongoDb).await;
}

async fn kill_another(kind: Kind) {
    let _turn = turn().await;
    seed();
    let kills = sized(2, 12);
    let mut scene = Scene::over(kind, &[]).await;
    scene.write([true, false], sized(1000, 5000), 5000);
    let worker = scene.worker();
    scene.is_open().await;
    let behind = scene.kill_database(kills, usize::MAX).await;
    let history = scene.check(|_| false).await;
    scene.check_conservation(&history).await;
    drop(worker);
    tell(
        &format!("E7 {}", kind.name()),
        format_args!(
            "{kills} kills of {} under load, {behind} records not drained when it came back, {} writes and none \
             lost, {} drains failed",
            kind.name(),
            history.acknowledged,
            history.failures
        ),
    );
    assert_eq!((history.unknown, history.failed), (0, 0), "writes do not need the database");
    assert_eq!(history.events("DeadLettered") + history.events("JournalLost"), 0);
    // MongoDB's driver tries again until the server is back, and few drains hear of it.
    assert!(behind >= 50 * kills as u64, "nothing was written while it was away");
}

impl Scene {
    /// Waits until every partition was written to: its first write needs the database.
    async fn is_open(&self) {
        until("every partition was written to", async || {
            let positions = self.database.positions().await;
            positions.iter().filter(|position| position.last_id > 0).count() == PARTITIONS as usize
        })
        .await;
        self.drains().await;
    }

    /// Waits until something more was drained.
    pub(super) async fn drains(&self) {
        let before = self.counted().await;
        until("something is drained", async || self.counted().await != before).await;
    }

    /// Under load so many times; one time in so many it ends as `pg_ctl stop -m immediate` ends it. Answers
    /// how many records were not drained when it came back, all times together.
    async fn kill_database(&mut self, kills: usize, quit_every: usize) -> u64 {
        let mut behind = 0;
        for kill in 0..kills {
            self.progress().await;
            self.drains().await;
            pace(0..300).await;
            match kill % quit_every == quit_every - 1 {
                true => self.database.server.postgres().quit(),
                false => self.database.server.kill(),
            }
            self.progress().await;
            behind += self.backlog().await;
            self.database.server.restart().await;
        }
        until("everything is drained", async || self.backlog().await < 20).await;
        behind
    }

    /// To a copy from a moment ago; answers how many records that takes away, when they are back.
    async fn set_back(&mut self) -> u64 {
        let copied = self.database.server.postgres().copy("copy").await;
        for _ in 0..2 {
            self.progress().await;
            self.drains().await;
        }
        let (had, drained) = (self.last_ids().await, self.records_drained().await);
        self.database.server.postgres().restore(&copied).await;
        let left = self.records_drained().await;
        until("what was lost is replayed", async || {
            let has = self.last_ids().await;
            had.iter().all(|(partition, at)| has.get(partition).is_some_and(|has| has >= at))
        })
        .await;
        drained.saturating_sub(left)
    }

    /// Answers how many records were not drained before and after it.
    async fn stop_database(&mut self, stop: Duration) -> (u64, u64) {
        until("everything is drained", async || self.backlog().await < 20).await;
        let before = self.backlog().await;
        self.database.server.stop();
        sleep(stop).await;
        until("the journal is under load", async || self.backlog().await > before + 1000).await;
        let behind = self.backlog().await;
        self.database.server.restart().await;
        // The writers go on all the while.
        until("the drain catches up", async || self.backlog().await < behind / 10).await;
        (before, behind)
    }

    /// Draining stops and says so, until somebody goes on without what is missing.
    async fn is_stopped_by_a_gap(&self) {
        until("the gap is reported", async || {
            super::History::new(self.logs()).events("JournalGap") > 0
        })
        .await;
        let (cache, items) = self.reader().await;
        let before = self.last_ids().await;
        let later = items.save(&Item { id: -1, name: "behind the gap".to_owned() }).await.unwrap();
        assert_eq!(self.last_ids().await, before, "it was drained past the gap");
        until("it goes on", async || {
            cache.skip_gap("items").await.unwrap();
            self.rows().await.get(&-1).is_some_and(|name| name == "behind the gap")
        })
        .await;
        assert!(later.version().is_some());
    }

    /// The version of the last record of each partition that the database has.
    pub(super) async fn last_ids(&self) -> HashMap<u32, u64> {
        let positions = self.database.positions().await;
        positions.iter().map(|position| (position.partition, position.last_id)).collect()
    }

    pub(super) async fn records_drained(&self) -> u64 {
        let counted = self.counted().await;
        counted.applied + counted.coalesced
    }

    /// Up to which version each partition's journal is trimmed.
    async fn trimmed(&self) -> Vec<(u32, u64)> {
        let metas = self.metas().await.into_iter();
        let trimmed = metas.map(|meta| meta.get("trimmed").map_or(0, |at| at.parse().unwrap()));
        (0..).zip(trimmed).collect()
    }
}
