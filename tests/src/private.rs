//! Databases of one test that can be killed, of each kind one, in one shape.

use crate::servers::PrivatePostgres;

mod mariadb;
pub use mariadb::PrivateMariaDb;
pub(crate) use mariadb::install_mariadb;

mod mongodb;
pub use mongodb::PrivateMongoDb;
pub(crate) use mongodb::{mongod_answers, mongod_of};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// MongoDB, a replica set of one node.
    MongoDb,
    /// SQLite: a file, and no server that could be killed.
    Sqlite,
}

impl Kind {
    /// As the campaign's summary calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
            Self::MongoDb => "mongodb",
            Self::Sqlite => "sqlite",
        }
    }
}

/// A database of one test. It ends with this value.
#[derive(Debug)]
pub enum PrivateDatabase {
    /// See [`PrivatePostgres`].
    Postgres(PrivatePostgres),
    /// See [`PrivateMariaDb`].
    MariaDb(PrivateMariaDb),
    /// See [`PrivateMongoDb`].
    MongoDb(PrivateMongoDb),
    /// A file in a directory.
    Sqlite(tempfile::TempDir),
}

impl PrivateDatabase {
    /// Starts one that is empty. It survives a kill, not a power loss.
    pub async fn start(kind: Kind) -> Self {
        match kind {
            Kind::Postgres => Self::Postgres(PrivatePostgres::start().await),
            Kind::MariaDb => Self::MariaDb(PrivateMariaDb::start().await),
            Kind::MongoDb => Self::MongoDb(PrivateMongoDb::start().await),
            Kind::Sqlite => Self::Sqlite(tempfile::tempdir().unwrap()),
        }
    }

    /// Which one it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Postgres(_) => Kind::Postgres,
            Self::MariaDb(_) => Kind::MariaDb,
            Self::MongoDb(_) => Kind::MongoDb,
            Self::Sqlite(_) => Kind::Sqlite,
        }
    }

    /// Where it is, for [`cached_repo::store::connect`].
    pub fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::MariaDb(server) => server.url(),
            Self::MongoDb(server) => server.url(),
            Self::Sqlite(directory) => {
                format!("sqlite://{}?mode=rwc", directory.path().join("items.db").display())
            }
        }
    }

    /// Ends its server by SIGKILL.
    pub fn kill(&mut self) {
        match self {
            Self::Postgres(server) => server.kill(),
            Self::MariaDb(server) => server.kill(),
            Self::MongoDb(server) => server.kill(),
            Self::Sqlite(_) => panic!("SQLite has no server"),
        }
    }

    /// Ends it as an administrator does: sessions are cut off, and nobody can connect.
    pub fn stop(&mut self) {
        match self {
            Self::Postgres(server) => server.stop(),
            other => panic!("{:?} is killed and not stopped", other.kind()),
        }
    }

    /// Starts it again on the same port with the same files, killing it first if it runs.
    pub async fn restart(&mut self) {
        match self {
            Self::Postgres(server) => server.restart().await,
            Self::MariaDb(server) => server.restart().await,
            Self::MongoDb(server) => server.restart().await,
            Self::Sqlite(_) => panic!("SQLite has no server"),
        }
    }

    /// PostgreSQL's own.
    pub fn postgres(&mut self) -> &mut PrivatePostgres {
        match self {
            Self::Postgres(server) => server,
            other => panic!("{:?} is no PostgreSQL", other.kind()),
        }
    }
}
