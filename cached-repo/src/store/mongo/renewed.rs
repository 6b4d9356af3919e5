//! A store whose user and password change: when the server refuses them, the provider is asked, and a
//! client made of what it says.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use futures_util::future::BoxFuture;
use mongodb::{Client, options::ClientOptions};
use tokio::sync::Mutex;

use super::{
    Mode, MongoStore,
    error::{RefusedLogin, refused_login},
};
use crate::{
    change::Change,
    credentials::{Login, Provider},
    schema::Schema,
    store::{Applied, Batch, Description, Entry, Ledger, Query, Row, Store, StoreError},
};

/// Over a client of the login that was given last: the driver has no hook for each connection.
pub(super) struct Renewed {
    current: RwLock<Arc<MongoStore>>,
    logins: Logins,
    /// The current one's login. One asks at a time: an older answer never comes after a newer one.
    given: Mutex<Login>,
}

/// Who is asked for a login, and what a client of it is made with.
pub(super) struct Logins {
    provider: Provider,
    options: ClientOptions,
    pub(super) database: String,
}

impl Logins {
    pub(super) fn new(provider: Provider, options: ClientOptions, database: &str) -> Self {
        Self { provider, options, database: database.to_owned() }
    }

    /// What the provider says now, or why it says nothing.
    pub(super) async fn ask(&self) -> Result<Login, String> {
        self.provider.login().await
    }

    /// A client whose connections log in so. Connects nowhere yet.
    pub(super) fn client(&self, login: &Login) -> mongodb::error::Result<Client> {
        let mut options = self.options.clone();
        let credential = options.credential.get_or_insert_default();
        credential.username = Some(login.user.clone());
        credential.password = Some(login.password.clone());
        credential.source.get_or_insert_with(|| self.database.clone());
        Client::with_options(options)
    }
}

impl Renewed {
    pub(super) fn new(logins: Logins, client: Client, given: Login) -> Self {
        let store = MongoStore::new(client, &logins.database, Mode::ReplicaSet);
        Self { current: RwLock::new(Arc::new(store)), logins, given: Mutex::new(given) }
    }

    fn current(&self) -> Arc<MongoStore> {
        // It is replaced as a whole, so a panic leaves nothing half done.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a call that changes nothing if the server refuses the login, and makes it again with what
    /// the provider says then, and says once more.
    async fn call<T, F>(&self, call: impl Fn(Arc<MongoStore>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut store = self.current();
        for _ in 0..QUESTIONS_MAX {
            let answer = call(store.clone()).await;
            let refused = answer.as_ref().err().and_then(refused_login);
            let Some(refused) = refused else { return answer };
            match (self.renew(&store).await?, refused) {
                // It is not the login.
                (None, RefusedLogin::Rights) => return answer,
                // It may be valid by now.
                (None, RefusedLogin::Password) => {}
                (Some(renewed), _) => store = renewed,
            }
        }
        call(store).await
    }

    /// A store with another login than that of the refused one, if there is one.
    async fn renew(
        &self,
        refused: &Arc<MongoStore>,
    ) -> Result<Option<Arc<MongoStore>>, StoreError> {
        let mut given = self.given.lock().await;
        let current = self.current();
        if !Arc::ptr_eq(&current, refused) {
            return Ok(Some(current));
        }
        let no_login = |why| StoreError::transient(format!("no login for MongoDB: {why}"));
        let login = self.logins.ask().await.map_err(no_login)?;
        if login == *given {
            return Ok(None);
        }
        let client = self.logins.client(&login).map_err(|e| {
            StoreError::systemic("MongoDB's driver takes no such login").caused_by(e)
        })?;
        let store = Arc::new(MongoStore::new(client, &self.logins.database, current.mode));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = store.clone();
        *given = login;
        Ok(Some(store))
    }

    /// As [`Self::call`], but a change is left to whoever asked for it: the driver sends a write of one
    /// document a second time by itself, so that the first may have taken place when this is refused.
    async fn operate(&self, operation: Ledger<'_>) -> Result<Entry, StoreError> {
        match operation {
            Ledger::Install { .. }
            | Ledger::Identity
            | Ledger::Offset { .. }
            | Ledger::Letters { .. }
            | Ledger::Letter(_) => {
                self.call(move |store| async move { store.operate(operation).await }).await
            }
            _ => {
                let store = self.current();
                let answer = store.operate(operation).await;
                match answer {
                    Err(error) if refused_login(&error).is_some() => {
                        match self.renew(&store).await? {
                            None => Err(error),
                            Some(_) => Err(StoreError::transient(RENEWED).caused_by(error)),
                        }
                    }
                    answer => answer,
                }
            }
        }
    }
}

impl Store for Renewed {
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(self.call(move |store| async move { store.load(schema, query).await }))
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        self.current().check(schema, change)
    }

    fn apply<'a>(
        &'a self,
        schema: &'a Schema,
        batch: Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Applied>, StoreError>> {
        Box::pin(self.call(move |store| async move { store.apply_batch(schema, batch).await }))
    }

    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> BoxFuture<'a, Result<Entry, StoreError>> {
        Box::pin(self.operate(operation))
    }

    fn describe<'a>(
        &'a self,
        schema: &'a Schema,
    ) -> BoxFuture<'a, Result<Description, StoreError>> {
        Box::pin(self.call(move |store| async move { store.description(schema).await }))
    }
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().fmt(f)
    }
}

/// Once for what the provider says when a login is refused, and once more when that is refused as well.
const QUESTIONS_MAX: usize = 2;
const RENEWED: &str = "MongoDB refused a user and a password that have changed since; try again";
