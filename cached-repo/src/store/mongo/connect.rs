//! Stores over clients: those of the user, and those that we open.

use std::{sync::Arc, time::Duration};

use mongodb::{
    Client, Database,
    bson::{Document, doc},
    options::{ClientOptions, ServerAddress, Tls, TlsOptions},
};
use tokio::time::timeout;

use super::{
    Mode, MongoStore, SharedStore,
    error::is_refused_login,
    primary,
    renewed::{Logins, Renewed},
};
use crate::{
    credentials::Login,
    error::{Error, ErrorKind, Result},
    store::{
        StoreBuilder,
        security::{Said, Way, is_secured, two_passwords},
    },
};

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

pub(in crate::store) async fn connect_mongodb(
    url: &str,
    settings: &StoreBuilder,
) -> Result<SharedStore> {
    let (options, database) = options(url, settings).await?;
    let Some(provider) = settings.credentials.clone() else {
        let client = Client::with_options(options).map_err(|_| contradiction())?;
        let hello = greet(&client.database(&database)).await;
        suffices(&hello.map_err(|why| why.at(&client, url))?)?;
        return Ok(mongodb(client, &database));
    };
    let logins = Logins::new(provider, options, &database);
    let (mut client, mut login) = log_in(&logins, url).await?;
    let mut hello = greet(&client.database(&database)).await;
    if matches!(&hello, Err(Unreached::Failed(e)) if is_refused_login(e)) {
        // It may have changed in between.
        (client, login) = log_in(&logins, url).await?;
        hello = greet(&client.database(&database)).await;
    }
    suffices(&hello.map_err(|why| why.at(&client, url))?)?;
    Ok(Arc::new(Renewed::new(logins, client, login)))
}

async fn log_in(logins: &Logins, url: &str) -> Result<(Client, Login)> {
    let login = logins.ask().await.map_err(|why| {
        let place = servers(url).unwrap_or_else(|| "MongoDB".to_owned());
        Error::new(ErrorKind::StoreUnavailable, format!("there is no login for {place}: {why}"))
    })?;
    let client = logins.client(&login).map_err(|_| contradiction())?;
    Ok((client, login))
}

fn suffices(hello: &Document) -> Result<()> {
    has_transactions(hello).then_some(()).ok_or_else(|| Error::configuration(STANDALONE))
}

fn contradiction() -> Error {
    Error::configuration("the options in the store's `mongodb:` URL contradict each other")
}

/// What a URL says, and the database that it names. Connects nowhere.
async fn options(url: &str, settings: &StoreBuilder) -> Result<(ClientOptions, String)> {
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
    secure(&mut options, settings)?;
    options.server_selection_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.max_pool_size.get_or_insert(CONNECTIONS_MAX);
    options.app_name.get_or_insert_with(|| "cached-repo".to_owned());
    Ok((options, database))
}

/// Decides about TLS.
fn secure(options: &mut ClientOptions, settings: &StoreBuilder) -> Result<()> {
    if settings.tls.is_some() {
        return Err(Error::configuration(
            "MongoDB's driver reads certificates from files only: name them in the store's URL by \
             `tlsCAFile` and `tlsCertificateKeyFile`, in place of `StoreBuilder::tls`",
        ));
    }
    let has_password = options.credential.as_ref().is_some_and(|c| c.password.is_some());
    if settings.credentials.is_some() && has_password {
        return Err(two_passwords());
    }
    let said = match &options.tls {
        None => Said::Nothing,
        Some(Tls::Disabled) => Said::Never,
        Some(Tls::Enabled(TlsOptions { allow_invalid_certificates: Some(true), .. })) => {
            return Err(Error::configuration(
                "the store's `mongodb:` URL accepts invalid certificates, and servers are always \
                 verified: trust the server's own certificate by `tlsCAFile`",
            ));
        }
        Some(_) => Said::Always,
    };
    let ways = options.hosts.iter().map(|server| match server {
        ServerAddress::Tcp { host, .. } => Way::to(host),
        ServerAddress::Unix { .. } => Way::Socket,
        // What is not known yet is not this machine.
        _ => Way::Network,
    });
    // The farthest decides for all.
    let way = ways.max().unwrap_or(Way::Network);
    if is_secured(said, way, None)? {
        options.tls.get_or_insert_with(|| Tls::Enabled(TlsOptions::default()));
    }
    Ok(())
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
