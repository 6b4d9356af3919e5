//! What must hold when the faults are over: database = cache = model, nothing twice, nothing in between.

use std::collections::HashMap;

use cached_repo::Repository;
use futures_util::{StreamExt, TryStreamExt, stream};
use tests::actor::{COLD, HOT, Item};
use tokio::time::timeout;

use super::{HANG, History, Scene, database::Position, none, scene::sum};

/// What the database has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) applied: u64,
    pub(super) coalesced: u64,
    pub(super) dead: u64,
}

impl Scene {
    /// Waits until everything is drained, and checks everything that must hold whatever happened; the
    /// writes with these versions may be lost.
    pub(super) async fn check(&mut self, may_be_lost: impl Fn(u64) -> bool) -> History {
        self.stop_writing().await;
        let (cache, reader) = self.reader().await;
        self.drained(&reader).await;
        let history = History::new(self.logs());
        let rows = self.rows().await;
        let ids = history.ids();
        assert!(ids.len() as i64 <= HOT + COLD, "ids are written again and again");
        none("rows", history.judge_rows(&rows, may_be_lost));
        none("burdens of writers", history.judge_burdens());
        self.reads_are(&reader, &ids, &rows, "flushed").await;
        let evicting = stream::iter(ids.clone()).map(|id| reader.evict(id)).buffer_unordered(16);
        let evicted: Vec<bool> = evicting.try_collect().await.unwrap();
        assert!(evicted.iter().all(|evicted| *evicted), "an entry of a drained journal stayed");
        self.reads_are(&reader, &ids, &rows, "evicted").await;
        let trail = self.database.trail().await;
        none("changes of rows", history.judge_trail(&trail));
        let counted = self.counted().await;
        let stored = counted.applied + history.stored;
        assert!(trail.len() as u64 <= stored, "rows were written behind the position");
        assert_eq!(counted.dead, 0, "the database refused nothing");
        assert_eq!(self.backlog().await, 0);
        println!(
            "{} writes acknowledged, {} unknown, {} failed; {} ids; {} changes of rows; {counted:?}; \
             drained by {} processes with {} conflicts and {} failures; health {:?}",
            history.acknowledged,
            history.unknown,
            history.failed,
            ids.len(),
            trail.len(),
            history.drainers,
            history.conflicts,
            history.failures,
            cache.health().await,
        );
        for error in history.errors.iter().take(5) {
            println!("a write failed: {error}");
        }
        history
    }

    /// Where no journal was lost: what was journaled is what was acknowledged, and is in the database
    /// once.
    pub(super) async fn check_conservation(&self, history: &History) {
        let (metas, counted) = (self.metas().await, self.counted().await);
        let count = sum(&metas, "count");
        assert_eq!(count, counted.applied + counted.coalesced + counted.dead, "{metas:?}");
        let most = history.acknowledged + history.unknown;
        assert!(
            (history.acknowledged..=most).contains(&count),
            "{count} records were journaled, {} writes acknowledged, {} unknown",
            history.acknowledged,
            history.unknown
        );
    }

    async fn drained(&self, reader: &Repository<Item>) {
        let flushing = async {
            // Not before the journals stay where they are.
            while let Err(error) = reader.flush().await {
                println!("not flushed: {error}");
                super::pace(10..100).await;
            }
        };
        if timeout(HANG, flushing).await.is_err() {
            panic!("it does not drain: {:?} {:?}", self.metas().await, self.counted().await);
        }
    }

    async fn reads_are(
        &self,
        reader: &Repository<Item>,
        ids: &[i64],
        rows: &HashMap<i64, String>,
        when: &str,
    ) {
        let found = reader.get_many(ids.iter().copied()).await.unwrap();
        let mut offences = Vec::new();
        for (id, found) in ids.iter().zip(found) {
            let (found, row) = (found.map(|item| item.name), rows.get(id));
            if found.as_ref() != row {
                let entry: Option<String> = redis::cmd("GET")
                    .arg(reader.key(*id).unwrap())
                    .query_async(&mut self.redis().await)
                    .await
                    .unwrap();
                offences.push(format!("{id} is {found:?}, in the database {row:?}: {entry:?}"));
            }
        }
        none(&format!("reads ({when})"), offences);
    }

    pub(super) async fn rows(&self) -> HashMap<i64, String> {
        self.database.rows().await
    }

    pub(super) async fn counted(&self) -> Counted {
        let positions = self.database.positions().await;
        let sum = |of: fn(&Position) -> u64| positions.iter().map(of).sum();
        Counted {
            applied: sum(|p| p.applied),
            coalesced: sum(|p| p.coalesced),
            dead: sum(|p| p.dead),
        }
    }
}
