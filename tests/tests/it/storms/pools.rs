//! E19: a pool that the application shares with the store, while others lock, kill, alter and fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use cached_repo::{Cache, ErrorKind, Format, Repository, Strategy};
use sqlx::Error;
use tests::{actor::Item, isolate};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Fate, History, given_pool::Given, none, seed, sized, tell, turn, until};
use crate::databases::On;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_gives_back_what_it_was_given() {
    storm("E19", On::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_gives_back_what_it_was_given() {
    storm("E19 mariadb", On::MySql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_gives_back_what_it_was_given() {
    storm("E19 sqlite", On::Sqlite).await;
}

async fn storm(experiment: &str, on: On) {
    let _turn = turn().await;
    seed();
    let behind = [(1, Strategy::WriteBehind), (2, Strategy::WriteBehind)];
    let first = [(2, Strategy::WriteThrough), (1, Strategy::WriteThrough)];
    let mut totals = [0; 5];
    for (size, strategy) in
        behind.into_iter().zip(first).flat_map(|(a, b)| [a, b]).take(sized(2, 4))
    {
        let scene = Arc::new(Scene::new(on, size, strategy).await);
        let counts = scene.run().await;
        totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
    }
    let [shocks, acknowledged, failed, unknown, persisted] = totals;
    tell(
        experiment,
        format_args!(
            "{shocks} shocks; of the writes {acknowledged} acknowledged, {failed} failed, \
             {unknown} of which nobody knows; {persisted} seen by others once they were persisted"
        ),
    );
    assert!(shocks > 5 && acknowledged > 50 && persisted > 5, "too little happened: {totals:?}");
}

struct Scene {
    given: Given,
    strategy: Strategy,
    repo: Repository<Item>,
    cache: Cache,
    history: History,
    /// What the application sees on every connection.
    state: String,
    is_over: AtomicBool,
    shocks: AtomicUsize,
    persisted: AtomicUsize,
    bad: AtomicUsize,
}

impl Scene {
    async fn new(on: On, size: u32, strategy: Strategy) -> Self {
        let (given, store) = Given::new(on, size).await;
        let cache = Cache::builder().namespace(isolate::unique("pools")).in_memory();
        let repo = Repository::builder(&cache)
            .store(&store)
            .strategy(strategy)
            .format(Format::Json)
            .table(&*given.table)
            .partitions(2)
            .store_timeout(STORE_TIMEOUT)
            .build()
            .await
            .unwrap();
        let state = given.state().await.unwrap();
        Self {
            given,
            strategy,
            repo,
            cache,
            history: History::default(),
            state,
            is_over: AtomicBool::new(false),
            shocks: AtomicUsize::new(0),
            persisted: AtomicUsize::new(0),
            bad: AtomicUsize::new(0),
        }
    }

    async fn run(self: Arc<Self>) -> [usize; 5] {
        let mut tasks = JoinSet::new();
        for client in 0..5 {
            let scene = self.clone();
            tasks.spawn(async move { scene.write(client).await });
        }
        for task in 0..4 {
            let scene = self.clone();
            tasks.spawn(async move {
                match task {
                    0 => scene.persist().await,
                    1 => scene.read().await,
                    2 => scene.look().await,
                    _ => scene.count().await,
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(sized(6, 60));
        // Each kind comes in every storm.
        let mut kind = 0;
        while Instant::now() < end {
            self.shock(kind).await;
            kind += 1;
        }
        self.is_over.store(true, SeqCst);
        let healthy = timeout(HEALTHY, async {
            while self.repo.save(&item(90, "calm")).await.is_err() {}
            while self.repo.get(1).await.is_err() {}
            self.repo.flush().await.unwrap();
        });
        healthy.await.expect("it is not healthy again");
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        self.history.end(self.history.begin(90, Some("calm")), Fate::Pending);
        self.check().await;
        let count = |fate| self.history.count(fate);
        [
            self.shocks.load(SeqCst),
            count(Fate::Acknowledged) + count(Fate::Pending),
            count(Fate::Failed),
            count(Fate::Unknown),
            self.persisted.load(SeqCst),
        ]
    }

    async fn check(&self) {
        self.repo.flush().await.unwrap();
        let what =
            format!("{:?}, {}, a pool of {}", self.given.on, self.strategy, self.given.size());
        // What was given up may be on its way still.
        until("all of the pool is as it was", async || {
            let states = self.given.states().await;
            states == vec![self.state.clone(); self.given.size()]
        })
        .await;
        none(&format!("rows on {what}"), self.history.judge_rows(&self.given.rows().await));
        none(&format!("changes on {what}"), self.history.judge_trail(&self.given.trail().await));
        let letters = self.cache.dead_letters().list("items").await.unwrap();
        assert_eq!(letters.len(), self.bad.load(SeqCst), "dead letters on {what}");
    }

    fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    /// Writes, and drops one call in three before or behind its answer.
    async fn write(&self, client: usize) {
        for n in 0.. {
            if self.is_over() {
                return;
            }
            let (id, name) = (fastrand::i64(1..=6), format!("{client}-{n}"));
            let ticket = self.history.begin(id, Some(&name));
            let patience = if n % 3 == 0 { fastrand::u64(0..1500) } else { 60_000 };
            let saving = async { self.repo.save(&item(id, &name)).await };
            if let Ok(written) = timeout(Duration::from_millis(patience), saving).await {
                self.history.end(ticket, Fate::of(&written));
            }
            sleep(Duration::from_millis(fastrand::u64(5..40))).await;
        }
    }

    /// What is persisted is seen on any other connection, and what the database refuses is not.
    async fn persist(&self) {
        for n in 0.. {
            if self.is_over() {
                return;
            }
            let is_bad = n % 5 == 4;
            let (id, name) = (1000 + n, if is_bad { "bad".to_owned() } else { format!("p-{n}") });
            let ticket = self.history.begin(id, Some(&name));
            let fate = match self.repo.save(&item(id, &name)).await {
                Ok(saved) => match saved.persisted().await {
                    Ok(()) => {
                        let seen = self.given.rows().await.remove(&id);
                        assert_eq!(seen, Some(name), "what others see of {id}");
                        self.persisted.fetch_add(1, SeqCst);
                        Fate::Pending
                    }
                    Err(error) if is_bad && error.kind() == ErrorKind::DeadLettered => {
                        self.bad.fetch_add(1, SeqCst);
                        Fate::Failed
                    }
                    Err(error) => panic!("{name} was not persisted: {error}"),
                },
                written => Fate::of(&written),
            };
            self.history.end(ticket, fate);
        }
    }

    /// Reads from the store, and goes away before the answer one time in two.
    async fn read(&self) {
        while !self.is_over() {
            let id = fastrand::i64(1..=6);
            let patience = Duration::from_millis(fastrand::u64(0..2000));
            let _ = timeout(patience, async {
                let _ = self.repo.evict(id).await;
                let _ = self.repo.get(id).await;
            })
            .await;
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The application's own use of its pool.
    async fn look(&self) {
        while !self.is_over() {
            match self.given.state().await {
                Ok(state) => assert_eq!(state, self.state, "on a connection of the application"),
                Err(Error::Database(e)) => {
                    let code = e.code().unwrap_or_default().into_owned();
                    // SQLite's is the one of BEGIN in a transaction.
                    assert!(!["25P02", "1"].contains(&&*code), "the application is told: {e}");
                }
                Err(e @ Error::Protocol(_)) => panic!("the application is told: {e}"),
                Err(_) => {}
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A connection that is about to end is one for a moment.
    async fn count(&self) {
        let mut within = Instant::now();
        while !self.is_over() {
            let connections = self.given.connections().await;
            if connections <= self.given.size() {
                within = Instant::now();
            }
            let size = self.given.size();
            assert!(within.elapsed() < ENDING, "{connections} connections of a pool of {size}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn shock(&self, kind: usize) {
        let given = &self.given;
        let long = STORE_TIMEOUT.as_millis() as u64 * 3 / 2;
        // Some of these are victims of deadlocks, or too late themselves.
        let _ = match (given.on, kind % 8) {
            (_, 0) => self.hold("SELECT id FROM {table} WHERE id = 1 FOR UPDATE", long).await,
            (_, 1) => self.hold("SELECT id FROM {table} WHERE id < 4 FOR UPDATE", 300).await,
            (On::Postgres, 2) => self.hold("LOCK TABLE {table}", long).await,
            (On::MySql, 2) => {
                self.hold("LOCK TABLES {table} WRITE, audit_{table} WRITE", long).await
            }
            (_, 3) => {
                let first = "SELECT id FROM {table} WHERE id = 2 FOR UPDATE";
                let other = "SELECT id FROM {table} WHERE id = 1 FOR UPDATE";
                let both = format!("{first}; {}; {other}", self.pause(200));
                self.hold(&both, 50).await
            }
            (_, at @ (4 | 5)) => {
                given.kill(at == 5).await;
                Ok(())
            }
            (_, 6) => given.sql("ALTER TABLE {table} ADD extra INT").await,
            (_, 7) => given.sql("ALTER TABLE {table} DROP COLUMN extra").await,
            _ => self.hold("SELECT 1", long).await,
        };
        self.shocks.fetch_add(1, SeqCst);
        sleep(Duration::from_millis(300)).await;
    }

    /// Does this in a transaction, and holds it for so many milliseconds.
    async fn hold(&self, sql: &str, milliseconds: u64) -> Result<(), Error> {
        let pause = self.pause(milliseconds);
        let script = match self.given.on {
            On::Postgres => format!("BEGIN; {sql}; {pause}; COMMIT"),
            On::MySql => format!("START TRANSACTION; {sql}; {pause}; COMMIT; UNLOCK TABLES"),
            // It locks the whole, whatever is locked elsewhere.
            _ => format!("BEGIN IMMEDIATE; {pause}; COMMIT"),
        };
        self.given.sql(&script).await
    }

    fn pause(&self, milliseconds: u64) -> String {
        match self.given.on {
            On::Postgres => format!("SELECT pg_sleep({milliseconds} / 1000.0)"),
            On::MySql => format!("DO SLEEP({milliseconds} / 1000.0)"),
            // So many rows are counted in a millisecond, or more.
            _ => format!(
                "WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n \
                 WHERE n < {milliseconds} * 3000) SELECT count(*) FROM n"
            ),
        }
    }
}

fn item(id: i64, name: &str) -> Item {
    Item { id, name: name.to_owned() }
}

const STORE_TIMEOUT: Duration = Duration::from_secs(1);
const HEALTHY: Duration = Duration::from_secs(30);
const ENDING: Duration = Duration::from_secs(3);
