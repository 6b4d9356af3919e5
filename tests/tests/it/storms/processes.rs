//! Real processes that write and drain, servers of their own, and what their logs say must be in the table.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    process::Command,
};

use cached_repo::{CachedEntity, Repository, store};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tests::{
    Process,
    actor::{Item, Line, Log, NAMESPACE, Orders, PARTITIONS, Release, Role, connect},
    servers::{PrivatePostgres, PrivateRedis},
};

use super::{none, until};

/// The servers, and the processes' logs.
pub(super) struct Scene {
    pub(super) redis: PrivateRedis,
    pub(super) postgres: PrivatePostgres,
    pool: PgPool,
    directory: tempfile::TempDir,
    started: u64,
}

/// A process.
pub(super) struct Actor {
    pub(super) process: Process,
    log: PathBuf,
}

impl Actor {
    pub(super) fn log(&self) -> Vec<Line> {
        Log::read(&self.log)
    }

    /// How many writes were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.log().iter().filter(|line| matches!(line, Line::Acknowledged { .. })).count()
    }
}

impl Scene {
    pub(super) async fn new() -> Self {
        let (redis, postgres) = (PrivateRedis::start(&[]).await, PrivatePostgres::start().await);
        let pool = PgPoolOptions::new().max_connections(2).connect(&postgres.url()).await.unwrap();
        let schema = &Item::SCHEMA;
        store::postgres(pool.clone()).ledger(store::Ledger::Install { schema }).await.unwrap();
        sqlx::raw_sql(AUDIT).execute(&pool).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        Self { redis, postgres, pool, directory, started: 0 }
    }

    fn orders(&mut self, role: Role) -> Orders {
        self.started += 1;
        Orders {
            role,
            redis: self.redis.url(),
            database: self.postgres.url(),
            release: Release::Old,
            replicas: 0,
            log: self.directory.path().join(format!("{}.log", self.started)),
            stop: self.directory.path().join("stop"),
        }
    }

    /// Starts a process that writes and drains until it is told to end, with this environment.
    pub(super) fn writer(
        &mut self,
        tasks: usize,
        pace_us: u64,
        environment: &[(&str, &str)],
    ) -> Actor {
        let (number, seed) = (self.started + 1, fastrand::u64(..));
        let role =
            Role::Writer { embedded: true, number, seed, tasks, writes: usize::MAX, pace_us };
        let orders = self.orders(role);
        let mut command = Command::new(env!("CARGO_BIN_EXE_actor"));
        command.arg(serde_json::to_string(&orders).unwrap()).envs(environment.iter().copied());
        let process = Process::start(command, &self.directory.path().join("output"));
        Actor { process, log: orders.log }
    }

    /// What each partition's journal has counted, and what of it was drained.
    async fn counted(&self) -> (u64, u64) {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut pipeline = redis::pipe();
        for partition in 0..PARTITIONS {
            let key = format!("{NAMESPACE}:{}:@meta:{partition}", Item::SCHEMA.prefix());
            pipeline.cmd("HMGET").arg(key).arg(&["count", "acked_count"]);
        }
        let counts: Vec<(Option<u64>, Option<u64>)> =
            pipeline.query_async(&mut connection).await.unwrap();
        let sum = |numbers: Vec<Option<u64>>| numbers.into_iter().flatten().sum::<u64>();
        let (counts, acked) = counts.into_iter().unzip();
        (sum(counts), sum(acked))
    }

    /// How many records are not drained.
    pub(super) async fn backlog(&self) -> u64 {
        let (count, acked) = self.counted().await;
        count - acked
    }

    /// Waits until everything is drained, and judges rows, their changes, and counts.
    pub(super) async fn check(&mut self, lines: Vec<Line>) -> Judged {
        let orders = self.orders(Role::Reader);
        let (cache, reader) = connect(&orders, &Log::new(&orders.log)).await.unwrap();
        let draining = tokio::spawn(cache.drain());
        until("everything is drained", async || reader.flush().await.is_ok()).await;
        draining.abort();
        let judged = Judged::new(lines);
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT id, name FROM items").fetch_all(&self.pool).await.unwrap();
        let rows: HashMap<i64, String> = rows.into_iter().collect();
        none("rows", judged.rows(&rows));
        none("reads", judged.reads(&reader, &rows).await);
        let trail: Vec<(i64, bool, String)> =
            sqlx::query_as("SELECT id, puts, name FROM audit ORDER BY seq")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        none("changes of rows", judged.trail(&trail));
        let sql = "SELECT COALESCE(SUM(applied + coalesced + dead_lettered), 0)::BIGINT FROM \
                   cached_repo_offsets";
        let (drained,): (i64,) = sqlx::query_as(sql).fetch_one(&self.pool).await.unwrap();
        let (count, acked) = self.counted().await;
        assert_eq!((count, drained as u64), (acked, count), "each record is drained once");
        let acknowledged = judged.acknowledged as u64;
        let most = acknowledged + judged.unknown.len() as u64;
        assert!((acknowledged..=most).contains(&count), "{count} records of {acknowledged} writes");
        judged
    }
}

/// What the processes know of their writes.
#[derive(Default)]
pub(super) struct Judged {
    /// By id, version and value; a delete has none.
    ids: BTreeMap<i64, BTreeMap<u64, Option<String>>>,
    versions: HashMap<String, u64>,
    unknown: Vec<(i64, Option<String>)>,
    pub(super) acknowledged: usize,
    /// The errors of writes without effect.
    pub(super) failed: Vec<String>,
}

impl Judged {
    fn new(lines: Vec<Line>) -> Self {
        let mut judged = Self::default();
        for line in lines {
            match line {
                Line::Acknowledged { id, name, version } => {
                    judged.acknowledged += 1;
                    judged.versions.extend(name.clone().map(|name| (name, version)));
                    judged.ids.entry(id).or_default().insert(version, name);
                }
                Line::Failed { id, name, unknown: true, .. } => judged.unknown.push((id, name)),
                Line::Failed { error, .. } => judged.failed.push(error),
                _ => {}
            }
        }
        judged
    }

    fn may_be(&self, id: i64, name: Option<&String>) -> bool {
        self.unknown.iter().any(|(of, unknown)| *of == id && unknown.as_ref() == name)
    }

    fn rows(&self, rows: &HashMap<i64, String>) -> Vec<String> {
        let last = self.ids.iter().map(|(id, writes)| (*id, writes.values().next_back().unwrap()));
        let is_wrong = |(id, last): &(i64, &Option<String>)| {
            let row = rows.get(id);
            row != last.as_ref() && !self.may_be(*id, row)
        };
        let wrong = last.filter(is_wrong);
        wrong
            .map(|(id, last)| format!("{id} is {:?}, and {last:?} was last", rows.get(&id)))
            .collect()
    }

    async fn reads(&self, reader: &Repository<Item>, rows: &HashMap<i64, String>) -> Vec<String> {
        let ids: Vec<i64> = self.ids.keys().copied().collect();
        let found = reader.get_many(ids.iter().copied()).await.unwrap();
        let found = ids.iter().zip(found).map(|(id, found)| (id, found.map(|item| item.name)));
        let wrong = found.filter(|(id, found)| found.as_ref() != rows.get(id));
        wrong.map(|(id, found)| format!("{id} is {found:?}, its row {:?}", rows.get(id))).collect()
    }

    /// Versions of an id must not go back, and nothing may be written that failed.
    fn trail(&self, trail: &[(i64, bool, String)]) -> Vec<String> {
        let (mut floors, mut offences) = (HashMap::<i64, u64>::new(), Vec::new());
        for (id, _, name) in trail.iter().filter(|(_, puts, _)| *puts) {
            let floor = floors.entry(*id).or_default();
            match self.versions.get(name) {
                Some(version) if version > floor => *floor = *version,
                Some(version) => offences.push(format!("{id} went back from {floor} to {version}")),
                None if self.may_be(*id, Some(name)) => {}
                None => offences.push(format!("{name} of {id} was said to have failed")),
            }
        }
        offences
    }
}

const AUDIT: &str = "
CREATE TABLE audit (seq BIGSERIAL PRIMARY KEY, id BIGINT, puts BOOLEAN, name TEXT);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO audit (id, puts, name) VALUES (OLD.id, false, OLD.name);
    ELSE
        INSERT INTO audit (id, puts, name) VALUES (NEW.id, true, NEW.name);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON items
    FOR EACH ROW EXECUTE FUNCTION audit();";
