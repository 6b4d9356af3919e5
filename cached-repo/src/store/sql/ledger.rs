//! The library's own two tables: who this database is, and in which epoch each partition is.

use super::{Begin, Dialect, Lock, Session, SqlStore, StoreError, Table, classify, write};
use crate::{
    record::Value,
    schema::{Kind, Schema},
    store::Fence,
};

impl<D: Dialect> SqlStore<D> {
    pub(super) async fn install(&self, schema: &Schema) -> Result<(), StoreError> {
        self.exclusively(INSTALL, async |session| {
            for (table, ddl) in self.tables(&Table::new::<D>(schema)) {
                // Looked up first: a role that may not create tables may still find them all there.
                let found = session.run(D::inspect(&Table::new::<D>(&table))?).await;
                if found.map_err(|e| classify::<D>(e, "be inspected"))?.is_empty() {
                    let created = session.script(ddl).await;
                    created.map_err(|e| classify::<D>(e, "create a table"))?;
                }
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn identity(&self) -> Result<String, StoreError> {
        let sql = format!("SELECT value FROM {META} WHERE key = {}", D::parameter(1));
        let key = [text(STORE_ID)];
        let found = self.read(|| Ok(vec![D::bind(sql.clone(), &key)?])).await?;
        if let Some(Value::Text(id)) = first::<D>(&found, Kind::Text)? {
            return Ok(id.into_owned());
        }
        let token = self.random.token();
        self.exclusively(IDENTITY, async |session| {
            let found = session.run(D::bind(sql.clone(), &key)?).await;
            let found = found.map_err(|e| classify::<D>(e, "tell its identity"))?;
            if let Some(Value::Text(id)) = first::<D>(&found, Kind::Text)? {
                return Ok(id.into_owned());
            }
            let (key, value) = (D::parameter(1), D::parameter(2));
            let insert = format!("INSERT INTO {META} (key, value) VALUES ({key}, {value})");
            let insert = D::bind(insert, &[text(STORE_ID), text(&token)])?;
            session.run(insert).await.map_err(|e| classify::<D>(e, "keep its identity"))?;
            Ok(token.clone())
        })
        .await
    }

    pub(super) async fn raise_epoch(
        &self,
        entity: &str,
        partition: u32,
    ) -> Result<u64, StoreError> {
        let row = [text(entity), Value::I64(i64::from(partition))];
        let mine = format!("entity = {} AND partition = {}", D::parameter(1), D::parameter(2));
        let select = format!("SELECT epoch FROM {OFFSETS} WHERE {mine}");
        let insert = format!(
            "INSERT INTO {OFFSETS} (entity, partition, epoch) VALUES ({}, {}, 1)",
            D::parameter(1),
            D::parameter(2)
        );
        let update = format!(
            "UPDATE {OFFSETS} SET epoch = epoch + 1, updated_at = CURRENT_TIMESTAMP WHERE {mine}"
        );
        let fence = Fence::new(entity, partition, 0);
        self.exclusively(write::lock_of(&fence), async |session| {
            let failed = |e| classify::<D>(e, "raise an epoch");
            let found = session.run(D::bind(select.clone(), &row)?).await.map_err(failed)?;
            let (sql, epoch) = match first::<D>(&found, Kind::I64)? {
                Some(Value::I64(epoch)) => (&update, epoch.saturating_add(1)),
                _ => (&insert, 1),
            };
            session.run(D::bind(sql.clone(), &row)?).await.map_err(failed)?;
            u64::try_from(epoch).map_err(|_| StoreError::systemic("an epoch is negative"))
        })
        .await
    }

    /// Runs something that no other process may run at the same time, in a transaction.
    async fn exclusively<T>(
        &self,
        lock: i64,
        work: impl AsyncFnOnce(&mut Session<D>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let end = self.call_end();
        let begin = Begin {
            left: super::CALL_TIMEOUT,
            idle: write::idle(super::CALL_TIMEOUT),
            locks: vec![Lock::Exclusive(lock)],
            immediate: false,
        };
        let (session, answer) = self
            .bounded(async {
                let _turn = self.writers.acquire().await;
                let mut session = Session::<D>::begin(&self.pool, &begin).await?;
                match work(&mut session).await {
                    Ok(answer) => Ok((session, answer)),
                    Err(e) => {
                        session.rollback().await;
                        Err(e)
                    }
                }
            })
            .await?;
        write::commit(session, end).await?;
        Ok(answer)
    }
}

fn text(value: &str) -> Value<'_> {
    Value::Text(value.into())
}

fn first<D: Dialect>(
    rows: &[super::Row<D>],
    kind: Kind,
) -> Result<Option<Value<'static>>, StoreError> {
    rows.first().map(|row| D::value(row, 0, kind)).transpose().map_err(StoreError::systemic)
}

pub(super) const META: &str = "cached_repo_meta";
pub(super) const OFFSETS: &str = "cached_repo_offsets";
const STORE_ID: &str = "store_id";
/// The numbers of the locks for what is done once per database.
const INSTALL: i64 = 0x6361_6368_6564_0001;
const IDENTITY: i64 = 0x6361_6368_6564_0002;
