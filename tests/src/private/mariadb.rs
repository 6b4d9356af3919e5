//! A MariaDB server of one test, to be killed.

use std::path::Path;

use sqlx::{Connection, MySqlConnection, raw_sql};

use crate::{
    process::{Directory, Process, free_port, unprivileged},
    servers::{START_ATTEMPTS, until_ready},
};

/// It has a database `app`, whose user `root` needs no password. It ends with this value.
#[derive(Debug)]
pub struct PrivateMariaDb {
    // Ended before its directory is removed.
    process: Process,
    port: u16,
    directory: Directory,
}

impl PrivateMariaDb {
    /// Starts one with an empty database. It does not sync: it survives a kill, not a power loss.
    pub async fn start() -> Self {
        for _ in 0..START_ATTEMPTS {
            let (directory, port) = (Directory::new("mariadb"), free_port());
            install_mariadb(directory.path());
            let process = mariadb(directory.path(), port);
            let mut server = Self { process, port, directory };
            if server.is_ready().await {
                let mut connection =
                    MySqlConnection::connect(&server.place("mysql")).await.unwrap();
                raw_sql("CREATE DATABASE app").execute(&mut connection).await.unwrap();
                return server;
            }
        }
        panic!("mariadbd does not start");
    }

    /// Where it listens, and its database.
    pub fn url(&self) -> String {
        self.place("app")
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port with the same files, killing it first if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = mariadb(self.directory.path(), self.port);
        assert!(self.is_ready().await, "mariadbd does not start again");
    }

    fn place(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    async fn is_ready(&mut self) -> bool {
        let url = self.place("mysql");
        let answers = || async { MySqlConnection::connect(&url).await.is_ok() };
        until_ready(&mut self.process, answers).await
    }
}

/// Makes the files of an empty server in `data` below a directory.
pub(crate) fn install_mariadb(directory: &Path) {
    let mut install = unprivileged(Path::new("mariadb-install-db"));
    install.args(["--no-defaults", &data(directory), "--auth-root-authentication-method=normal"]);
    install.args(["--skip-test-db", "--skip-name-resolve"]).current_dir("/");
    // Two at a time would take each other's temporary tables away.
    install.env("TMPDIR", directory);
    let made = install.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Each commit is in the file when it is answered, which a kill cannot undo.
fn mariadb(directory: &Path, port: u16) -> Process {
    let place = |name| directory.join(name).display().to_string();
    let mut command = unprivileged(Path::new("mariadbd"));
    command.args(["--no-defaults", &data(directory), "--bind-address=127.0.0.1"]);
    command.args(["--skip-log-bin", "--skip-name-resolve", "--max-connections=500"]);
    command.args(["--innodb-flush-log-at-trx-commit=1", "--debug-no-sync"]);
    command.args(["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M"]);
    command.args([
        format!("--port={port}"),
        format!("--tmpdir={}", directory.display()),
        format!("--socket={}", place("socket")),
        format!("--pid-file={}", place("pid")),
    ]);
    command.current_dir("/");
    Process::start(command, &directory.join("log"))
}

fn data(directory: &Path) -> String {
    format!("--datadir={}", directory.join("data").display())
}
