//! Stores over clients: those of the user, and those that we open.

use std::time::Duration;

use mongodb::{
    Client, Database,
    bson::{Document, doc},
    options::{ClientOptions, ServerAddress},
};
use tokio::time::timeout;

use super::{Mode, MongoStore, SharedStore, error::is_refused_login, primary};
use crate::error::{Error, ErrorKind, Result};

/// A store over a MongoDB client of your own, and the database of this name. The client must lead to a
/// replica set, which may have a single node: writes are transactions, confirmed by the majority's disks.
///
/// The id of an entity is `_id`; one of several columns is a document of them. A text that spells an
/// ObjectId (24 hexadecimal digits in small letters) or a UUID (with hyphens, in small letters) is held as
/// such. An id column with the attribute `column` is that field instead, and held as it is; a unique index
/// must be on it. `column = "_id"` keeps texts as texts.
///
/// `None` is an absent field. A column with the attribute `json` is a nested value and no text; dates,
/// decimals and other types of BSON are in it as MongoDB's Extended JSON spells them, which is what the
/// types of the crate `bson` do by themselves. Fields that an entity does not map stay as they are.
pub fn mongodb(client: Client, database: &str) -> SharedStore {
    MongoStore::shared(client, database, Mode::ReplicaSet)
}

/// A store over a client of your own that leads to a standalone MongoDB server, with weaker promises than
/// [`mongodb`](mongodb()): such a server has no transactions. Choose it only where a replica set of one
/// node is out of the question.
///
/// Each document is written once by its version, a field `_v`, and a deleted one leaves a document with
/// `_deleted` for an hour. What is weaker: a write of several entities may be written in part; a batch of a
/// journal may be written again, which changes nothing, before its position moves; a store-first write that
/// is under way during a loss of Redis may leave an old copy in the cache for its time to live; a worker that
/// sleeps for more than an hour can bring a deleted document back.
pub fn mongodb_standalone(client: Client, database: &str) -> SharedStore {
    MongoStore::shared(client, database, Mode::Standalone)
}

pub(in crate::store) async fn connect_mongodb(url: &str) -> Result<SharedStore> {
    let (client, database) = open(url).await?;
    let hello = greet(&client.database(&database)).await;
    let hello = hello.map_err(|why| why.at(&client, url))?;
    if !has_transactions(&hello) {
        return Err(Error::configuration(STANDALONE));
    }
    Ok(mongodb(client, &database))
}

/// A client for a URL, and the database that it names. Connects nowhere.
async fn open(url: &str) -> Result<(Client, String)> {
    if url.starts_with("mongodb+srv:") {
        return Err(Error::configuration(
            "the store's `mongodb+srv:` URL needs a lookup in the DNS, which is not built in: name the \
             servers in a `mongodb:` URL, or pass a client of your own to `store::mongodb`",
        ));
    }
    // What the driver says may repeat parts of the URL, and so of a password.
    let options = ClientOptions::parse(url).await.map_err(|_| {
        Error::configuration(
            "the store's `mongodb:` URL cannot be read: it is \
             mongodb://user:password@host:port/database?options, and `@`, `:`, `/`, `?`, `#` and `%` in \
             user and password are percent-encoded",
        )
    })?;
    let mut options = options;
    let Some(database) = options.default_database.clone() else {
        return Err(Error::configuration(
            "the store's `mongodb:` URL names no database: add it behind the servers, as in \
             mongodb://host/database",
        ));
    };
    options.server_selection_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.max_pool_size.get_or_insert(CONNECTIONS_MAX);
    options.app_name.get_or_insert_with(|| "cached-repo".to_owned());
    let client = Client::with_options(options);
    let client = client.map_err(|_| {
        Error::configuration("the options in the store's `mongodb:` URL contradict each other")
    })?;
    Ok((client, database))
}

/// What a server says about itself, or why it does not.
pub(super) async fn greet(database: &Database) -> std::result::Result<Document, Unreached> {
    // Run in the database: who may not log in for it hears so now.
    let hello = database.run_command(doc! { "hello": 1 }).selection_criteria(primary());
    match timeout(CONNECT_TIMEOUT + CONNECT_GRACE, async { hello.await }).await {
        Ok(Ok(hello)) => Ok(hello),
        Ok(Err(e)) => Err(Unreached::Failed(e)),
        Err(_) => Err(Unreached::Silent),
    }
}

/// Whether this is a member of a replica set, or a router to several.
pub(super) fn has_transactions(hello: &Document) -> bool {
    hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == ROUTER)
}

/// Why a server did not say anything about itself.
pub(super) enum Unreached {
    Failed(mongodb::error::Error),
    Silent,
}

impl Unreached {
    fn at(self, client: &Client, url: &str) -> Error {
        let place = servers(url).unwrap_or_else(|| {
            client.default_database().map_or_else(
                || "MongoDB".to_owned(),
                |database| format!("MongoDB with the database {}", database.name()),
            )
        });
        match self {
            Self::Silent => {
                let seconds = CONNECT_TIMEOUT.as_secs();
                let message = format!("{place} did not answer within {seconds} s");
                Error::new(ErrorKind::StoreUnavailable, message)
            }
            Self::Failed(error) => {
                let kind = match is_refused_login(&error) {
                    true => ErrorKind::Configuration,
                    false => ErrorKind::StoreUnavailable,
                };
                Error::new(kind, format!("cannot connect to {place}")).caused_by(error)
            }
        }
    }
}

/// The servers of a URL that was read, without user and password.
fn servers(url: &str) -> Option<String> {
    let authority = url.strip_prefix("mongodb://")?.split(['/', '?']).next()?;
    let hosts = authority.rsplit('@').next()?;
    let each = hosts.split(',').map(|host| ServerAddress::parse(host).map(|a| a.to_string()));
    let each = each.collect::<std::result::Result<Vec<_>, _>>().ok()?;
    Some(format!("MongoDB at {}", each.join(", ")))
}

/// What to do about a server without transactions.
pub(super) const STANDALONE: &str = "this MongoDB is a standalone server, which has no transactions: \
    make it a replica set, which may have a single node (start mongod with --replSet, then run \
    rs.initiate() once), or choose weaker promises with `store::mongodb_standalone`";

/// As a router to several replica sets introduces itself.
const ROUTER: &str = "isdbgrid";

/// How long to look for a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The driver gives up by itself, and says more.
const CONNECT_GRACE: Duration = Duration::from_secs(1);
/// Those of one process; a server takes thousands.
const CONNECTIONS_MAX: u32 = 32;
