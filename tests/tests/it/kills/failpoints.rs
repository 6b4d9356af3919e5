//! A worker dies at each point of a drain and of a recovery; whoever comes next takes over.

use std::collections::HashMap;

use cached_repo::{Repository, failpoint::Point};
use tests::{
    actor::{Item, POINTS},
    servers::PrivatePostgres,
};

use super::{Scene, pace, scene::sum, turn, until};

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
    let _turn = turn().await;
    let scene = Scene::new(&[], PrivatePostgres::start().await).await;
    scene.sql("ALTER TABLE items ADD CHECK (name <> 'poison')").await;
    let (cache, repo) = scene.reader().await;
    let mut model = Model::default();
    for (turn, point) in POINTS.into_iter().enumerate() {
        model.write(&repo, WRITES / 2).await;
        if matches!(point, Point::TicketPlaced | Point::EpochRaised | Point::Repaired) {
            scene.sql("UPDATE cached_repo_offsets SET epoch = epoch + 1").await;
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
}

async fn flushed(repo: &Repository<Item>) {
    while repo.flush().await.is_err() {
        pace(5..20).await;
    }
}

impl Scene {
    async fn sql(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }

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
