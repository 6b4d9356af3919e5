//! The servers of one kill test and its processes.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use cached_repo::{Cache, CachedEntity, Repository, failpoint::Point};
use tests::{
    PrivateDatabase, Process,
    actor::{Item, KILL_AT, Line, Log, NAMESPACE, Orders, PARTITIONS, Release, Role, connect},
    private::Kind,
    servers::PrivateRedis,
};

use super::{Database, until};

/// How many writes all processes have to acknowledge before something counts as "under load".
const PROGRESS: usize = 200;
/// So many bytes of a log are one write or more.
const LINE_LEN: u64 = 70;

/// Everything one test needs.
pub(super) struct Scene {
    pub(super) redis: PrivateRedis,
    pub(super) database: Database,
    /// What the processes are told in place of Redis' own address.
    address: String,
    /// How many replicas a write waits for.
    pub(super) replicas: u32,
    writers: Vec<Actor>,
    started: AtomicUsize,
    directory: tempfile::TempDir,
}

/// What a process writes: see [`Role::Writer`].
#[derive(Clone, Copy)]
pub(super) struct Writing {
    pub(super) embedded: bool,
    pub(super) tasks: usize,
    pub(super) writes: usize,
    pub(super) pace_us: u64,
}

/// A process of the test.
pub(super) struct Actor {
    pub(super) process: Process,
    pub(super) log: PathBuf,
}

impl Actor {
    /// Whether its repository is built.
    pub(super) fn is_ready(&self) -> bool {
        log_len(&self.log) > 0
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        Log::read(&self.log)
    }

    /// How many writes were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.lines().iter().filter(|line| matches!(line, Line::Acknowledged { .. })).count()
    }
}

impl Scene {
    /// Over PostgreSQL, and Redis with these arguments.
    pub(super) async fn new(redis: &[&str]) -> Self {
        Self::over(Kind::Postgres, redis).await
    }

    pub(super) async fn over(kind: Kind, redis: &[&str]) -> Self {
        let redis = PrivateRedis::start(redis).await;
        Self::at(redis.url(), redis, PrivateDatabase::start(kind).await).await
    }

    /// With another address, that leads to this Redis for now.
    pub(super) async fn at(
        address: String,
        redis: PrivateRedis,
        database: PrivateDatabase,
    ) -> Self {
        let database = Database::new(database).await;
        let (writers, started) = (Vec::new(), AtomicUsize::new(0));
        let directory = tempfile::tempdir().unwrap();
        Self { redis, database, address, replicas: 0, writers, started, directory }
    }

    /// Starts two processes that write with two tasks each: at least so many writes each task.
    pub(super) fn write(&mut self, embedded: [bool; 2], writes: usize, pace_us: u64) {
        for embedded in embedded {
            self.writer(Release::Old, Writing { embedded, tasks: 2, writes, pace_us });
        }
    }

    pub(super) fn writer(&mut self, release: Release, writing: Writing) {
        let Writing { embedded, tasks, writes, pace_us } = writing;
        let (number, seed) = (self.writers.len() as u64, fastrand::u64(..));
        let role = Role::Writer { number, embedded, seed, tasks, writes, pace_us };
        let orders = Orders { release, ..self.orders("writer", role) };
        self.writers.push(self.start(&orders, &[]));
    }

    /// Starts a process with this environment that writes and drains with so many tasks until it is told to
    /// end.
    pub(super) fn writer_until_told(
        &self,
        tasks: usize,
        pace_us: u64,
        environment: &[(&str, &str)],
    ) -> Actor {
        let (number, seed) = (self.started.load(Ordering::Relaxed) as u64, fastrand::u64(..));
        let (embedded, writes) = (true, usize::MAX);
        let role = Role::Writer { number, embedded, seed, tasks, writes, pace_us };
        self.start(&self.orders("writer", role), environment)
    }

    /// Starts a process with so many clients, that all append to one log.
    pub(super) fn clients(&mut self, tasks: u64, operations: usize, ids: i64) {
        let (number, seed) = (self.writers.len() as u64, fastrand::u64(..));
        let role = Role::Client { number, seed, tasks, operations, ids };
        let orders = Orders { log: self.clients_log(), ..self.orders("", role) };
        self.writers.push(self.start(&orders, &[]));
    }

    pub(super) fn clients_log(&self) -> PathBuf {
        self.directory.path().join("clients.log")
    }

    pub(super) fn worker(&self) -> Actor {
        self.start(&self.orders("worker", Role::Worker), &[])
    }

    /// A worker of this release.
    pub(super) fn worker_of(&self, release: Release) -> Actor {
        let orders = Orders { release, ..self.orders("worker", Role::Worker) };
        self.start(&orders, &[])
    }

    /// A worker that dies when it comes by this point.
    pub(super) fn doomed_worker(&self, point: Point) -> Actor {
        self.start(&self.orders("doomed", Role::Worker), &[(KILL_AT, &format!("{point:?}"))])
    }

    fn orders(&self, name: &str, role: Role) -> Orders {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        Orders {
            role,
            redis: self.address.clone(),
            database: self.database.server.url(),
            release: Release::Old,
            replicas: self.replicas,
            log: self.directory.path().join(format!("{name}-{number}.log")),
            stop: self.directory.path().join("stop"),
        }
    }

    fn start(&self, orders: &Orders, environment: &[(&str, &str)]) -> Actor {
        let mut command = Command::new(env!("CARGO_BIN_EXE_actor"));
        command.arg(serde_json::to_string(orders).unwrap());
        command.envs(environment.iter().copied());
        let process = Process::start(command, &self.directory.path().join("output"));
        Actor { process, log: orders.log.clone() }
    }

    /// A process that only reads.
    pub(super) async fn reader(&self) -> (Cache, Repository<Item>) {
        let orders = self.orders("reader", Role::Reader);
        connect(&orders, &Log::new(&orders.log)).await.unwrap()
    }

    /// Waits until every writer has written some more.
    pub(super) async fn progress(&mut self) {
        let begin: Vec<u64> = self.writers.iter().map(|writer| log_len(&writer.log)).collect();
        let wanted = PROGRESS as u64 * LINE_LEN / begin.len() as u64;
        until("the writers get on", async || {
            for writer in &mut self.writers {
                assert!(writer.process.is_running(), "a writer ended");
            }
            let lens = self.writers.iter().map(|writer| log_len(&writer.log));
            lens.zip(&begin).all(|(now, then)| now >= then + wanted)
        })
        .await;
    }

    /// Tells the writers to stop, and waits until they have.
    pub(super) async fn stop_writing(&mut self) {
        fs::write(self.directory.path().join("stop"), "").unwrap();
        until("the writers end", async || {
            self.writers.iter_mut().all(|writer| !writer.process.is_running())
        })
        .await;
        for writer in &mut self.writers {
            assert!(
                writer.process.ends_well(),
                "a writer failed: {}",
                self.directory.path().display()
            );
        }
    }

    /// The lines of all logs, by process.
    pub(super) fn logs(&self) -> Vec<Vec<Line>> {
        let files = fs::read_dir(self.directory.path()).unwrap().flatten().map(|file| file.path());
        let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| Log::read(&path)).collect()
    }

    pub(super) async fn redis(&self) -> redis::aio::MultiplexedConnection {
        connection(&self.redis).await
    }

    /// What Redis knows of each partition.
    pub(super) async fn metas(&self) -> Vec<HashMap<String, String>> {
        let mut connection = self.redis().await;
        let mut pipeline = redis::pipe();
        for partition in 0..PARTITIONS {
            pipeline.cmd("HGETALL").arg(key("meta", partition));
        }
        pipeline.query_async(&mut connection).await.unwrap()
    }

    /// How many records are not drained.
    pub(super) async fn backlog(&self) -> u64 {
        let metas = self.metas().await;
        sum(&metas, "count") - sum(&metas, "acked_count")
    }

    /// Waits until every partition is at home on the server that runs now: each was recovered.
    pub(super) async fn at_home(&mut self) {
        let mut connection = self.redis().await;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await.unwrap();
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let home = format!("{}/{}", field("run_id:"), field("master_replid:"));
        until("every partition was recovered", async || {
            self.metas().await.iter().all(|meta| meta.get("home") == Some(&home))
        })
        .await;
    }

    /// Takes the workers' rights to drain away, so that they get in each other's way.
    pub(super) async fn forget_claims(&self) -> usize {
        let claims: Vec<String> = (0..PARTITIONS).map(|p| key("worker", p)).collect();
        redis::cmd("DEL").arg(claims).query_async(&mut self.redis().await).await.unwrap()
    }
}

pub(super) async fn connection(redis: &PrivateRedis) -> redis::aio::MultiplexedConnection {
    tests::raw(redis.url()).await
}

pub(super) fn key(what: &str, partition: u32) -> String {
    format!("{NAMESPACE}:{}:@{what}:{partition}", Item::SCHEMA.prefix())
}

pub(super) fn sum(metas: &[HashMap<String, String>], field: &str) -> u64 {
    metas.iter().filter_map(|meta| meta.get(field)).map(|text| text.parse::<u64>().unwrap()).sum()
}

fn log_len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
