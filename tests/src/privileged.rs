//! A store that may not make tables: another one makes them, and grants what the library says it needs.

use std::fmt;

use cached_repo::{
    Change, Schema,
    store::{
        Applied, Batch, BoxFuture, Description, Entry, Ledger, Query, Row, SharedStore, Store,
        StoreError,
    },
};

/// A role without DDL rights, and the owner of the tables, who is asked for nothing but to make them.
pub struct Privileged {
    role: SharedStore,
    owner: SharedStore,
    grant: Box<dyn Fn(Vec<String>) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Privileged {
    /// A store of the role. `grant` grants it privileges.
    pub fn new(
        role: SharedStore,
        owner: SharedStore,
        grant: impl Fn(Vec<String>) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { role, owner, grant: Box::new(grant) }
    }
}

impl Store for Privileged {
    fn load<'a>(
        &'a self,
        schema: &'a Schema,
        query: Query<'a>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        self.role.load(schema, query)
    }

    fn check(&self, schema: &Schema, change: &Change) -> Result<(), StoreError> {
        self.role.check(schema, change)
    }

    fn apply<'a>(
        &'a self,
        schema: &'a Schema,
        batch: Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Applied>, StoreError>> {
        self.role.apply(schema, batch)
    }

    fn ledger<'a>(&'a self, operation: Ledger<'a>) -> BoxFuture<'a, Result<Entry, StoreError>> {
        let Ledger::Install { schema } = operation else { return self.role.ledger(operation) };
        Box::pin(async move {
            let installed = self.owner.ledger(operation).await?;
            (self.grant)(self.owner.describe(schema).await?.privileges).await;
            Ok(installed)
        })
    }

    fn describe<'a>(
        &'a self,
        schema: &'a Schema,
    ) -> BoxFuture<'a, Result<Description, StoreError>> {
        self.role.describe(schema)
    }
}

impl fmt::Debug for Privileged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.role.fmt(f)
    }
}
