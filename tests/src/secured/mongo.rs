//! A MongoDB server of one test that asks everybody who they are.

use mongodb::{
    Client,
    bson::{Bson, Document, doc},
};

use crate::{
    private::{mongod_answers, mongod_of},
    process::{Directory, Process, free_port, unprivileged},
    servers::{START_ATTEMPTS, initiate_replica_set, until_ready},
};

/// Its database of the tests is `app`; it ends with this value.
#[derive(Debug)]
pub struct SecuredMongoDb {
    // Ended before its directory is removed.
    _process: Process,
    port: u16,
    _directory: Directory,
}

impl SecuredMongoDb {
    /// Starts one: a replica set of one node, or standalone.
    pub async fn start(is_replica_set: bool) -> Self {
        for _ in 0..START_ATTEMPTS {
            let (directory, port) = (Directory::new("mongodb"), free_port());
            let mut command = unprivileged(&mongod_of(&directory));
            command.args(["--port", &port.to_string(), "--bind_ip", "127.0.0.1", "--nounixsocket"]);
            command.args(["--wiredTigerCacheSizeGB", "0.25"]);
            command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
            command.args(["--setParameter", "enableTestCommands=1"]);
            command.arg("--dbpath").arg(directory.path()).current_dir("/");
            if is_replica_set {
                // Members of a set prove to each other who they are, and then everybody must.
                let key = directory.write("key", "akeyofonetest");
                command.args(["--replSet", "rs0", "--oplogSize", "64", "--keyFile"]).arg(key);
            } else {
                command.arg("--auth");
            }
            let mut process = Process::start(command, &directory.path().join("log"));
            if until_ready(&mut process, || mongod_answers(port)).await {
                if is_replica_set {
                    initiate_replica_set(port).await;
                }
                let server = Self { _process: process, port, _directory: directory };
                server.make_administrator().await;
                return server;
            }
        }
        panic!("mongod does not start with authentication");
    }

    /// Where it listens, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of its database for a login, `user:password` or nobody's.
    pub fn url(&self, login: &str) -> String {
        let at = if login.is_empty() { "" } else { "@" };
        format!("mongodb://{login}{at}127.0.0.1:{}/app?directConnection=true", self.port)
    }

    /// The URL of its database for somebody who may do everything.
    pub fn administrator(&self) -> String {
        format!("{}&authSource=admin", self.url(&format!("root:{ROOT}")))
    }

    /// Runs a command in its database as somebody who may do everything.
    pub async fn run(&self, command: Document) -> Document {
        let client = Client::with_uri_str(self.administrator()).await.unwrap();
        client.database("app").run_command(command).await.unwrap()
    }

    /// The first user of a server may be made by everybody on its machine.
    async fn make_administrator(&self) {
        let client = Client::with_uri_str(self.url("")).await.unwrap();
        let role = Bson::from("root");
        let command = doc! { "createUser": "root", "pwd": ROOT, "roles": [role] };
        client.database("admin").run_command(command).await.unwrap();
    }
}

const ROOT: &str = "root-of-one-test";
