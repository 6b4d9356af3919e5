//! The library's own records: who answers which operation, and what they have in common.

use super::{
    Begin, Dialect, Lock, Row, Session, SqlStore, Statement, StoreError, Table, classify, write,
};
use crate::{
    record::Value,
    schema::{Kind, Schema},
    store::{Entry, Ledger},
};

impl<D: Dialect> SqlStore<D> {
    /// Does what [`Ledger`] asks for.
    pub(super) async fn operate(&self, operation: Ledger<'_>) -> Result<Entry, StoreError> {
        Ok(match operation {
            Ledger::Install { schema } => {
                self.install(schema).await?;
                Entry::Done
            }
            Ledger::Identity => Entry::Identity(self.identity().await?),
            Ledger::Offset { entity, partition } => {
                Entry::Offset(self.offset(entity, partition).await?)
            }
            Ledger::Recover { entity, partition, journal, home, epoch_min, seen } => {
                let epochs = (seen, epoch_min);
                Entry::Offset(self.recover(entity, partition, journal, home, epochs).await?)
            }
            Ledger::Settle { entity, partition, epoch } => {
                Entry::Changed(self.settle(entity, partition, epoch).await?)
            }
            Ledger::Seal { entity, partition, epoch, last_id } => {
                Entry::Changed(self.seal(entity, partition, epoch, last_id).await?)
            }
            Ledger::Letters { entity, after, limit } => {
                Entry::Letters(self.letters(entity, after, limit).await?)
            }
            Ledger::Letter(letter) => Entry::Letters(self.letter(letter).await?),
            Ledger::Edit { letter, data } => Entry::Changed(self.edit(letter, data).await?),
            Ledger::Discard(letter) => Entry::Changed(self.discard(letter).await?),
        })
    }

    async fn install(&self, schema: &Schema) -> Result<(), StoreError> {
        // Where tables are made outside of transactions, the database orders those who make them.
        let lock = D::TRANSACTIONAL_DDL.then_some(Lock::Exclusive(INSTALL));
        self.transaction(lock.into_iter().collect(), async |session| {
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

    async fn identity(&self) -> Result<String, StoreError> {
        let find = || bound::<D>(FIND_IDENTITY, &[text(STORE_ID)]);
        if let Some(row) = self.read(|| Ok(vec![find()?])).await?.first() {
            return text_of::<D>(row, 0);
        }
        let token = self.random.token();
        self.transaction(vec![Lock::Exclusive(IDENTITY)], async |session| {
            let key = [text(STORE_ID)];
            let found = session.run_text(FIND_IDENTITY, &key, "tell its identity").await?;
            if let Some(row) = found.first() {
                return text_of::<D>(row, 0);
            }
            let values = [text(STORE_ID), text(&token)];
            session.run_text(KEEP_IDENTITY, &values, "keep its identity").await?;
            Ok(token)
        })
        .await
    }

    /// Runs a statement that changes rows. Whether there was one.
    pub(super) async fn change(&self, sql: &str, values: &[Value<'_>]) -> Result<bool, StoreError> {
        self.transaction(Vec::new(), async |session| {
            session.change_text(sql, values, "keep its records").await
        })
        .await
    }

    /// Runs something behind these locks in a transaction.
    pub(super) async fn transaction<T>(
        &self,
        locks: Vec<Lock>,
        work: impl AsyncFnOnce(&mut Session<D>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let end = self.call_end();
        let begin = Begin {
            left: super::CALL_TIMEOUT,
            idle: write::idle(super::CALL_TIMEOUT),
            locks,
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

/// Makes a statement of a text whose parameters are written as question marks.
pub(super) fn bound<D: Dialect>(
    sql: &str,
    values: &[Value<'_>],
) -> Result<Statement<D>, StoreError> {
    let sql = D::spell(sql);
    let mut pieces = sql.split('?');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (index, piece) in pieces.enumerate() {
        text.push_str(&D::parameter(index + 1));
        text.push_str(piece);
    }
    D::bind(text, values.iter())
}

pub(super) fn text(value: &str) -> Value<'_> {
    Value::Text(value.into())
}

/// Versions and epochs stay far below the greatest integer of a database.
pub(super) fn number(value: u64) -> Value<'static> {
    Value::I64(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A text in a row; empty if it is null.
pub(super) fn text_of<D: Dialect>(row: &Row<D>, index: usize) -> Result<String, StoreError> {
    match D::value(row, index, Kind::Text).map_err(StoreError::systemic)? {
        Value::Text(text) => Ok(text.into_owned()),
        _ => Ok(String::new()),
    }
}

/// A number in a row; 0 if it is null.
pub(super) fn number_of<D: Dialect>(row: &Row<D>, index: usize) -> Result<u64, StoreError> {
    match D::value(row, index, Kind::U64).map_err(StoreError::systemic)? {
        Value::U64(number) => Ok(number),
        _ => Ok(0),
    }
}

const FIND_IDENTITY: &str = "SELECT value FROM cached_repo_meta WHERE key = ?";
const KEEP_IDENTITY: &str = "INSERT INTO cached_repo_meta (key, value) VALUES (?, ?)";
const STORE_ID: &str = "store_id";
/// The numbers of the locks for what is done once per database.
const INSTALL: i64 = 0x6361_6368_6564_0001;
const IDENTITY: i64 = 0x6361_6368_6564_0002;
