//! E2: a worker dies at each point of a drain and of a recovery, over each database; whoever comes next
//! takes over. That it fails, waits or panics there is tested in `failpoints.rs`.

use std::collections::HashMap;

use cached_repo::{Repository, failpoint::Point};
use tests::{
    actor::{Item, POINTS},
    private::Kind,
};

use super::{Scene, pace, scene::sum, seed, sized, tell, turn, until};

const WRITES: usize = 60;
const IDS: i64 = 20;
/// One write in so many is a delete.
const DELETE_EVERY: u8 = 4;
/// The name that the database refuses.
const POISON: &str = "poison";

/// What was written.
#[derive(Default)]
struct Model {
    rows: HashMap<i64, Option<String>>,
    poison: Vec<u64>,
    writes: u64,
}

impl Model {
    async fn write(&mut self, repo: &Repository<Item>, writes: usize) {
        for _ in 0..writes {
            let (id, is_put) = (fastrand::i64(..IDS), fastrand::u8(..DELETE_EVERY) > 0);
            self.writes += 1;
            let name = is_put.then(|| format!("value {}", self.writes));
            let written = match &name {
                Some(name) => repo.save(&Item { id, name: name.clone() }).await,
                None => repo.delete(id).await,
            };
            written.unwrap();
            self.rows.insert(id, name);
        }
        let id = IDS + self.poison.len() as i64;
        let poison = repo.save(&Item { id, name: POISON.to_owned() }).await.unwrap();
        self.writes += 1;
        self.poison.push(poison.version().unwrap());
        self.rows.insert(id, None);
    }
}

#[tokio::test]
async fn a_worker_that_dies_at_any_point_leaves_everything_to_the_next() {
    // With the other databases, and with the failures that are no deaths, more than PROTOCOL asks for.
    die("E2", Kind::Postgres, sized(1, 4)).await;
}

#[tokio::test]
async fn over_mariadb_it_leaves_everything_to_the_next() {
    die("E2 mariadb", Kind::MariaDb, 1).await;
}

#[tokio::test]
async fn over_mongodb_it_leaves_everything_to_the_next() {
    die("E2 mongodb", Kind::MongoDb, 1).await;
}

#[tokio::test]
async fn over_sqlite_it_leaves_everything_to_the_next() {
    die("E2 sqlite", Kind::Sqlite, 1).await;
}

async fn die(experiment: &str, kind: Kind, rounds: usize) {
    let _turn = turn().await;
    seed();
    let scene = Scene::over(kind, &[]).await;
    scene.database.refuse_poison().await;
    let (cache, repo) = scene.reader().await;
    let mut model = Model::default();
    for (turn, point) in POINTS.repeat(rounds).into_iter().enumerate() {
        model.write(&repo, WRITES / 2).await;
        if matches!(point, Point::TicketPlaced | Point::EpochRaised | Point::Repaired) {
            scene.database.raise_epochs().await;
        }
        let mut doomed = scene.doomed_worker(point);
        model.write(&repo, WRITES / 2).await;
        until("the worker died", async || !doomed.process.is_running()).await;
        assert!(!doomed.process.ends_well() && doomed.is_ready(), "it did not die at {point:?}");
        scene.forget_claims().await;
        // Another process, or this one.
        let next = (turn % 2 == 0).then(|| scene.worker());
        tokio::select! {
            () = cache.drain(), if next.is_none() => panic!("it stopped"),
            () = flushed(&repo) => {}
        }
        drop(next);
        scene.forget_claims().await;
        scene.holds(&repo, &model, point).await;
        let letters = cache.dead_letters().list("items").await.unwrap();
        let mut letters: Vec<u64> = letters.iter().map(|letter| letter.version).collect();
        letters.sort_unstable();
        assert_eq!(letters, model.poison, "the dead letters after a death at {point:?}");
    }
    let (deaths, writes) = (rounds * POINTS.len(), model.writes);
    tell(
        experiment,
        format_args!(
            "{deaths} deaths at {} points over {}, {writes} writes and none lost, {} dead letters, each of \
             them expected",
            POINTS.len(),
            kind.name(),
            model.poison.len()
        ),
    );
}

async fn flushed(repo: &Repository<Item>) {
    while repo.flush().await.is_err() {
        pace(5..20).await;
    }
}

impl Scene {
    /// Database = cache = model, and nothing twice.
    async fn holds(&self, repo: &Repository<Item>, model: &Model, point: Point) {
        let rows = self.rows().await;
        for (id, name) in &model.rows {
            assert_eq!(rows.get(id), name.as_ref(), "the row of {id} after a death at {point:?}");
            for when in ["drained", "evicted"] {
                let found = repo.get(*id).await.unwrap().map(|item| item.name);
                assert_eq!(found, *name, "{id} ({when}) after a death at {point:?}");
                assert!(repo.evict(*id).await.unwrap(), "{id} is dirty after {point:?}");
            }
        }
        let (metas, counted) = (self.metas().await, self.counted().await);
        assert_eq!(sum(&metas, "count"), model.writes, "journaled before a death at {point:?}");
        assert_eq!(sum(&metas, "acked_count"), model.writes, "drained after {point:?}");
        let all = counted.applied + counted.coalesced + counted.dead;
        assert_eq!(all, model.writes, "{counted:?} after a death at {point:?}");
        assert_eq!(counted.dead, model.poison.len() as u64);
    }
}
