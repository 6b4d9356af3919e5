//! The servers that `tests/run` starts for all tests, and servers of a test's own to be killed.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mongodb::bson::doc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    certificates::Certificates,
    process::{Directory, Process, free_port, unprivileged},
};

pub use crate::documents::redis_json_url;

mod copies;
pub use copies::Copied;

/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(30);
/// Between a look for a free port and its use somebody else may take it.
pub(crate) const START_ATTEMPTS: u32 = 5;

/// The URL of the Redis server that all tests share.
pub fn redis_url() -> String {
    from_environment("CACHED_REPO_TEST_REDIS")
}

/// The URL of the Redis server in cluster mode that all tests share. It owns every slot.
pub fn redis_cluster_url() -> String {
    from_environment("CACHED_REPO_TEST_REDIS_CLUSTER")
}

/// The URL of the PostgreSQL database that all tests share.
pub fn postgres_url() -> String {
    from_environment("CACHED_REPO_TEST_POSTGRES")
}

/// The URL of the MySQL or MariaDB database that all tests share.
pub fn mysql_url() -> String {
    from_environment("CACHED_REPO_TEST_MYSQL")
}

/// The URL of the MongoDB replica set that all tests share.
pub fn mongodb_url() -> String {
    from_environment("CACHED_REPO_TEST_MONGODB")
}

/// The URL of the standalone MongoDB server that all tests share.
pub fn mongodb_standalone_url() -> String {
    from_environment("CACHED_REPO_TEST_MONGODB_STANDALONE")
}

/// The URL of a database on one of these servers, and of connections with the same name.
pub fn mongodb_database(server: &str, name: &str) -> String {
    let (servers, options) = server.split_once('?').unwrap_or((server, ""));
    let authority = servers.find("//").map_or(0, |at| at + 2);
    let path = servers[authority..].find('/').map_or(servers.len(), |at| authority + at);
    let options = if options.is_empty() { String::new() } else { format!("&{options}") };
    format!("{}/{name}?appName={name}{options}", &servers[..path])
}

/// Makes a MongoDB server that listens here a replica set of one node, and waits until it is the
/// primary. Does no harm to one that is.
pub async fn initiate_replica_set(port: u16) {
    let url = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
    let admin = mongodb::Client::with_uri_str(url).await.unwrap().database("admin");
    let member = doc! { "_id": 0, "host": format!("127.0.0.1:{port}") };
    let settings = doc! { "replSetInitiate": { "_id": "rs0", "members": [member] } };
    // Refused if it was done before.
    let initiated = admin.run_command(settings).await;
    loop {
        let hello = admin.run_command(doc! { "hello": 1 }).await;
        let hello = hello.unwrap_or_else(|e| panic!("no answer: {e}, {initiated:?}"));
        if hello.get_bool("isWritablePrimary").unwrap_or_default() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn from_environment(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests through `tests/run`, which starts the servers")
    })
}

/// A redis-server of one test, to be killed, paused and configured. It ends with this value.
#[derive(Debug)]
pub struct PrivateRedis {
    // Ended before its directory is removed.
    process: Process,
    program: PathBuf,
    port: u16,
    arguments: Vec<String>,
    directory: Directory,
}

impl PrivateRedis {
    /// Starts one. Without further arguments it appends to a file and syncs it every second.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_program(PathBuf::from("redis-server"), arguments).await
    }

    /// The same with Valkey, which has the commands of newer versions.
    pub async fn start_valkey(arguments: &[&str]) -> Self {
        let program = PathBuf::from(from_environment("CACHED_REPO_TEST_VALKEY_SERVER"));
        Self::start_program(program, arguments).await
    }

    async fn start_program(program: PathBuf, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        for _ in 0..START_ATTEMPTS {
            let (directory, port) = (Directory::new("redis"), free_port());
            let process = redis_server(&program, directory.path(), port, &arguments);
            let (program, arguments) = (program.clone(), arguments.clone());
            let mut server = Self { process, program, port, arguments, directory };
            if server.is_ready().await {
                return server;
            }
        }
        panic!("{} does not start with {arguments:?}", program.display());
    }

    /// Starts one that listens with TLS on another port as well; answers that port. `clients` says
    /// whether they must show a certificate.
    pub async fn start_secured(certificates: &Certificates, clients: bool) -> (Self, u16) {
        let file = |name| certificates.file(name).to_str().unwrap().to_owned();
        for _ in 0..START_ATTEMPTS {
            let port = free_port();
            let arguments = [
                ("--tls-port", port.to_string()),
                ("--tls-ca-cert-file", file("root.pem")),
                ("--tls-cert-file", file("server.pem")),
                ("--tls-key-file", file("server.key")),
                ("--tls-auth-clients", if clients { "yes" } else { "no" }.to_owned()),
            ];
            let arguments: Vec<&str> =
                arguments.iter().flat_map(|(name, value)| [*name, value]).collect();
            let server = Self::start(&arguments).await;
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
                return (server, port);
            }
        }
        panic!("redis-server does not listen with TLS");
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port with the same files, killing it first if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        self.process =
            redis_server(&self.program, self.directory.path(), self.port, &self.arguments);
        assert!(self.is_ready().await, "redis-server does not start again");
    }

    /// Stops it in its tracks: connections stay open, and nobody answers.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    async fn is_ready(&mut self) -> bool {
        until_ready(&mut self.process, || redis_answers(self.port)).await
    }
}

fn redis_server(program: &Path, directory: &Path, port: u16, arguments: &[String]) -> Process {
    let mut command = unprivileged(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", "yes", "--appendfsync", "everysec"]);
    command.arg("--dir").arg(directory).args(arguments);
    Process::start(command, &directory.join("log"))
}

/// Whether PING is answered; while files are loaded the answer is an error.
async fn redis_answers(port: u16) -> bool {
    talk(port, b"PING\r\n").await.is_some_and(|reply| reply.starts_with(b"+PONG"))
}

/// A PostgreSQL server of one test, to be killed and paused. It ends with this value.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Ended before its directory is removed.
    process: Process,
    port: u16,
    fsync: &'static str,
    directory: Directory,
}

impl PrivatePostgres {
    /// Starts one with an empty database. It does not sync: it survives a kill, not a power loss.
    pub async fn start() -> Self {
        Self::start_with("fsync=off").await
    }

    /// Starts one with an empty database that syncs.
    pub async fn start_synced() -> Self {
        Self::start_with("fsync=on").await
    }

    async fn start_with(fsync: &'static str) -> Self {
        for _ in 0..START_ATTEMPTS {
            let (directory, port) = (Directory::new("postgres"), free_port());
            let mut initdb = unprivileged(&postgres_program("initdb"));
            initdb.args(["-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions"]);
            initdb.args(["-E", "UTF8", "--locale=C", "-D"]).arg(directory.path().join("data"));
            let made = initdb.current_dir("/").output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let process = postgres(directory.path(), port, fsync);
            let mut server = Self { process, port, fsync, directory };
            if server.is_ready().await {
                return server;
            }
        }
        panic!("postgres does not start");
    }

    /// Where it listens, and its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends it as an administrator does: sessions are cut off, and nobody can connect.
    pub fn stop(&mut self) {
        self.process.interrupt();
    }

    /// Ends it and all its backends by SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port with the same files, killing it first if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        for _ in 0..START_ATTEMPTS {
            self.process = postgres(self.directory.path(), self.port, self.fsync);
            if self.is_ready().await {
                return;
            }
            // A backend of the killed server may hold its shared memory a moment longer.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("postgres does not start again");
    }

    /// Stops it and its backends in their tracks: connections stay open, and nobody answers.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    async fn is_ready(&mut self) -> bool {
        until_ready(&mut self.process, || postgres_answers(self.port)).await
    }
}

fn postgres(directory: &Path, port: u16, fsync: &str) -> Process {
    let mut command = unprivileged(&postgres_program("postgres"));
    command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "unix_socket_directories=", "-c", fsync]);
    command.arg("-D").arg(directory.join("data")).current_dir("/");
    Process::start(command, &directory.join("log"))
}

/// Whether a session can be opened; while the server starts or recovers the answer is an error.
pub(crate) async fn postgres_answers(port: u16) -> bool {
    // Its length (itself included), the version 3.0 of the protocol, the parameters.
    const STARTUP: &[u8; 23] = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";
    const AUTHENTICATION: u8 = b'R';
    talk(port, STARTUP).await.is_some_and(|reply| reply.first() == Some(&AUTHENTICATION))
}

/// In the path, or where Debian puts it: the highest version.
pub(crate) fn postgres_program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        versions.push((version, entry.path().join("bin")));
    }
    versions.sort();
    places.extend(versions.into_iter().rev().map(|(_, place)| place));
    let found = places.into_iter().map(|place| place.join(name)).find(|program| program.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: `tests/run` installs it"))
}

/// Asks until the answer is yes; no if the process ended before that.
pub(crate) async fn until_ready<F: Future<Output = bool>>(
    process: &mut Process,
    mut answers: impl FnMut() -> F,
) -> bool {
    // The system's clock: a test may have paused that of tokio.
    let deadline = Instant::now() + START_MAX;
    while Instant::now() < deadline && process.is_running() {
        if answers().await {
            // Somebody else may answer on the port, and ours end because of it.
            return process.is_running();
        }
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10)))
            .await
            .unwrap();
    }
    false
}

pub(crate) async fn talk(port: u16, message: &[u8]) -> Option<Vec<u8>> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    connection.write_all(message).await.ok()?;
    let mut reply = vec![0; 64];
    let read = connection.read(&mut reply).await.ok()?;
    reply.truncate(read);
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_private_redis_answers_dies_and_comes_back() {
        let mut redis = PrivateRedis::start(&["--maxmemory-policy", "allkeys-lru"]).await;
        let policy = talk(redis.port, b"CONFIG GET maxmemory-policy\r\n").await.unwrap();
        assert!(String::from_utf8(policy).unwrap().contains("allkeys-lru"));
        redis.kill();
        assert!(!redis_answers(redis.port).await);
        redis.restart().await;
        redis.pause();
        let answer = tokio::time::timeout(Duration::from_millis(50), redis_answers(redis.port));
        assert!(answer.await.is_err(), "a paused server answered");
        redis.resume();
        assert!(redis_answers(redis.port).await);
    }

    #[tokio::test]
    async fn a_private_postgres_answers_dies_and_comes_back() {
        let mut postgres = PrivatePostgres::start().await;
        postgres.kill();
        assert!(!postgres_answers(postgres.port).await);
        postgres.restart().await;
        assert!(postgres_answers(postgres.port).await);
        let directory = postgres.directory.path().to_owned();
        drop(postgres);
        assert!(!directory.exists());
    }
}
