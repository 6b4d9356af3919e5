//! A MongoDB server of one test, to be killed.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use mongodb::{Client, bson::doc};

use crate::{
    process::{Directory, Process, free_port, unprivileged},
    servers::{START_ATTEMPTS, initiate_replica_set, until_ready},
};

/// A replica set of one node, whose database of the test is `app`. It ends with this value.
#[derive(Debug)]
pub struct PrivateMongoDb {
    // Ended before its directory is removed.
    process: Process,
    program: PathBuf,
    port: u16,
    directory: Directory,
}

impl PrivateMongoDb {
    /// Starts one. It syncs what it confirms.
    pub async fn start() -> Self {
        for _ in 0..START_ATTEMPTS {
            let (directory, port) = (Directory::new("mongodb"), free_port());
            let program = mongod_of(&directory);
            let process = mongod(&program, directory.path(), port);
            let mut server = Self { process, program, port, directory };
            if server.is_ready().await {
                return server;
            }
        }
        panic!("mongod does not start");
    }

    /// Where it listens, and its database.
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/app?directConnection=true", self.port)
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port with the same files, killing it first if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = mongod(&self.program, self.directory.path(), self.port);
        assert!(self.is_ready().await, "mongod does not start again");
    }

    /// Whether it is a primary.
    async fn is_ready(&mut self) -> bool {
        let port = self.port;
        let answers = until_ready(&mut self.process, || mongod_answers(port)).await;
        if answers {
            initiate_replica_set(port).await;
        }
        answers
    }
}

fn mongod(program: &Path, directory: &Path, port: u16) -> Process {
    let mut command = unprivileged(program);
    command.args(["--port", &port.to_string(), "--bind_ip", "127.0.0.1", "--nounixsocket"]);
    command.args(["--wiredTigerCacheSizeGB", "0.25", "--replSet", "rs0"]);
    // All changes of a test are read from it afterwards.
    command.args(["--oplogSize", "1024"]);
    command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
    // The server keeps the transaction of a process that died, and what it has written to waits for that.
    // By default a minute, in which a test would do nothing.
    command.args(["--setParameter", "transactionLifetimeLimitSeconds=2"]);
    command.arg("--dbpath").arg(directory).current_dir("/");
    Process::start(command, &directory.join("log"))
}

/// The server's program by itself in a directory, because the build directory may be closed to others.
pub(crate) fn mongod_of(directory: &Directory) -> PathBuf {
    let program = directory.path().join("mongod");
    fs::copy(mongod_path(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Whether the server that listens here answers.
pub(crate) async fn mongod_answers(port: u16) -> bool {
    let url =
        format!("mongodb://127.0.0.1:{port}/?directConnection=true&serverSelectionTimeoutMS=100");
    let client = Client::with_uri_str(url).await.unwrap();
    client.database("admin").run_command(doc! { "ping": 1 }).await.is_ok()
}

/// Where `tests/run` has it, or in the path.
fn mongod_path() -> PathBuf {
    let named = env::var_os("CACHED_REPO_TEST_MONGOD").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|place| place.join("mongod"));
    named.or_else(|| found.find(|program| program.exists())).unwrap_or_else(|| {
        panic!(
            "mongod is not in the path: set CACHED_REPO_TEST_MONGOD, or run the tests through \
             `tests/run`, which fetches it"
        )
    })
}
