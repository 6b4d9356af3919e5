//! Databases of one test that ask for passwords, and take connections with TLS and by a unix socket.

use std::{fs, path::Path};

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, raw_sql};

use crate::{
    certificates::Certificates,
    private::install_mariadb,
    process::{Directory, Process, free_port, unprivileged},
    servers::{START_ATTEMPTS, postgres_answers, postgres_program, until_ready},
};

mod mongo;
pub use mongo::SecuredMongoDb;

/// A PostgreSQL server whose user `postgres` needs no password over TCP. Everybody else does; `secured`
/// comes in with TLS only, and `wary` with a certificate of its own as well.
#[derive(Debug)]
pub struct SecuredPostgres {
    // Ended before its directory is removed.
    _process: Process,
    port: u16,
    directory: Directory,
}

impl SecuredPostgres {
    /// Starts one with an empty database.
    pub async fn start(certificates: &Certificates) -> Self {
        for _ in 0..START_ATTEMPTS {
            let (directory, port) = (Directory::new("postgres"), free_port());
            let data = directory.path().join("data");
            let mut initdb = unprivileged(&postgres_program("initdb"));
            initdb.args(["-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions"]);
            initdb.args(["-E", "UTF8", "--locale=C", "-D"]).arg(&data);
            let made = initdb.current_dir("/").output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            fs::write(data.join("pg_hba.conf"), POSTGRES_ACCESS).unwrap();
            let key = fs::read_to_string(certificates.file("server.key")).unwrap();
            // It takes no key that others may read.
            let key = directory.write("server.key", &key);
            let file = |name| certificates.file(name).display().to_string();
            let mut command = unprivileged(&postgres_program("postgres"));
            command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            command.args(["-c", "fsync=off", "-c", "ssl=on"]);
            command
                .args(["-c", &format!("unix_socket_directories={}", directory.path().display())]);
            command.args(["-c", &format!("ssl_key_file={}", key.display())]);
            command.args(["-c", &format!("ssl_cert_file={}", file("server.pem"))]);
            command.args(["-c", &format!("ssl_ca_file={}", file("root.pem"))]);
            command.arg("-D").arg(data).current_dir("/");
            let mut process = Process::start(command, &directory.path().join("log"));
            if until_ready(&mut process, || postgres_answers(port)).await {
                return Self { _process: process, port, directory };
            }
        }
        panic!("postgres does not start with TLS");
    }

    /// Where it listens, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The directory of its unix socket, and its port, which is a part of the socket's name.
    pub fn socket(&self) -> (&Path, u16) {
        (self.directory.path(), self.port)
    }

    /// Runs SQL as the administrator.
    pub async fn sql(&self, sql: &str) {
        let url = format!("postgres://postgres@{}/postgres?sslmode=disable", self.address());
        let mut connection = PgConnection::connect(&url).await.unwrap();
        raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }
}

const POSTGRES_ACCESS: &str = "\
hostnossl all postgres 127.0.0.1/32 trust
hostssl all wary 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
hostssl all secured 127.0.0.1/32 scram-sha-256
hostnossl all wary,secured 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
local all all scram-sha-256
";

/// A MariaDB server with a database `app`, whose user `root` needs no password over TCP.
#[derive(Debug)]
pub struct SecuredMariaDb {
    // Ended before its directory is removed.
    _process: Process,
    port: u16,
    directory: Directory,
}

impl SecuredMariaDb {
    /// Starts one.
    pub async fn start(certificates: &Certificates) -> Self {
        for _ in 0..START_ATTEMPTS {
            let (directory, port) = (Directory::new("mariadb"), free_port());
            let path = directory.path();
            let data = format!("--datadir={}", path.join("data").display());
            install_mariadb(path);
            let file = |name| certificates.file(name).display().to_string();
            let place = |name| path.join(name).display().to_string();
            let mut command = unprivileged(Path::new("mariadbd"));
            command.args(["--no-defaults", &data, "--bind-address=127.0.0.1"]);
            command.args(["--skip-log-bin", "--skip-name-resolve", "--debug-no-sync"]);
            command.args(["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M"]);
            command.args([
                format!("--port={port}"),
                format!("--tmpdir={}", path.display()),
                format!("--socket={}", place("socket")),
                format!("--pid-file={}", place("pid")),
                format!("--ssl-ca={}", file("root.pem")),
                format!("--ssl-cert={}", file("server.pem")),
                format!("--ssl-key={}", file("server.key")),
            ]);
            command.current_dir("/");
            let mut process = Process::start(command, &path.join("log"));
            let url = format!("mysql://root@127.0.0.1:{port}/mysql?ssl-mode=DISABLED");
            let answers = || async { MySqlConnection::connect(&url).await.is_ok() };
            if until_ready(&mut process, answers).await {
                let server = Self { _process: process, port, directory };
                server.sql("CREATE DATABASE app").await;
                return server;
            }
        }
        panic!("mariadbd does not start with TLS");
    }

    /// Where it listens, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its unix socket.
    pub fn socket(&self) -> String {
        self.directory.path().join("socket").display().to_string()
    }

    /// Runs SQL as the administrator.
    pub async fn sql(&self, sql: &str) {
        let url = format!("mysql://root@{}/mysql?ssl-mode=DISABLED", self.address());
        let mut connection = MySqlConnection::connect(&url).await.unwrap();
        raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }
}
