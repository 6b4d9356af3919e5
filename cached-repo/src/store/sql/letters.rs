//! Dead letters: made, listed, decided.

use serde_json::json;

use super::{
    Dialect, Row, Session, SqlStore, StoreError,
    ledger::{bound, number, number_of, text, text_of},
    offsets::Waiting,
};
use crate::{
    record::Value,
    store::{Batch, DeadLetter, LetterKey, LetterState},
};

impl<D: Dialect> SqlStore<D> {
    pub(super) async fn letters(
        &self,
        entity: &str,
        after: Option<(u32, u64)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (partition, version) = match after {
            Some((partition, version)) => (number(partition.into()), number(version)),
            None => (Value::I64(-1), Value::I64(-1)),
        };
        let values = [text(entity), partition, version, number(limit.into())];
        let rows = self.read(|| Ok(vec![bound(LIST, &values)?])).await?;
        rows.iter().map(letter::<D>).collect()
    }

    pub(super) async fn letter(&self, key: LetterKey<'_>) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = self.read(|| Ok(vec![bound(FIND, &key_values(&key))?])).await?;
        rows.iter().map(letter::<D>).collect()
    }

    pub(super) async fn edit(&self, key: LetterKey<'_>, data: &str) -> Result<bool, StoreError> {
        let data = without_nul(data);
        let [entity, partition, version] = key_values(&key);
        self.change(EDIT, &[text(&data), entity, partition, version]).await
    }

    pub(super) async fn discard(&self, key: LetterKey<'_>) -> Result<bool, StoreError> {
        self.change(DISCARD, &key_values(&key)).await
    }
}

/// Marks a letter as replayed if it waits. Nobody else can until the transaction ends.
pub(super) async fn replay<D: Dialect>(
    session: &mut Session<D>,
    key: &LetterKey<'_>,
) -> Result<(), StoreError> {
    match session.change_text(REPLAY, &key_values(key), "replay a dead letter").await? {
        true => Ok(()),
        false => Err(key.refused()),
    }
}

pub(super) async fn keep<D: Dialect>(
    session: &mut Session<D>,
    letters: impl Iterator<Item = DeadLetter>,
) -> Result<(), StoreError> {
    for letter in letters {
        let (data, error) = (without_nul(&letter.data), without_nul(&letter.error));
        let [entity, partition, version] = key_values(&LetterKey {
            entity: &letter.entity,
            partition: letter.partition,
            version: letter.version,
        });
        let op = if letter.deletes { DELETE } else { PUT };
        let id = text(&letter.id);
        let (data, schema, error) = (text(&data), text(&letter.schema), text(&error));
        let values = [entity, partition, version, id, text(op), data, schema, error];
        session.run_text(KEEP, &values, "keep a dead letter").await?;
    }
    Ok(())
}

/// Marks the letters that a batch makes obsolete, of the entities of which any wait.
pub(super) async fn supersede<D: Dialect>(
    session: &mut Session<D>,
    batch: &Batch<'_>,
    waiting: &Waiting,
    is_written: impl Fn(usize) -> bool,
) -> Result<(), StoreError> {
    if waiting.is_empty() {
        return Ok(());
    }
    let sql = D::SUPERSEDE.unwrap_or(SUPERSEDE).replace("ELEMENTS", D::ELEMENTS);
    for superseded in batch.supersedes(is_written) {
        if waiting.contains(superseded.entity) {
            let ids = json!(superseded.ids).to_string();
            let values = [text(&ids), text(superseded.entity)];
            session.run_text(&sql, &values, "mark a dead letter").await?;
        }
    }
    Ok(())
}

fn letter<D: Dialect>(row: &Row<D>) -> Result<DeadLetter, StoreError> {
    let (entity, version) = (text_of::<D>(row, 0)?, number_of::<D>(row, 2)?);
    let partition = u32::try_from(number_of::<D>(row, 1)?).unwrap_or(u32::MAX);
    let key = LetterKey { entity: &entity, partition, version };
    Ok(DeadLetter {
        deletes: text_of::<D>(row, 4)? == DELETE,
        data: text_of::<D>(row, 5)?,
        schema: text_of::<D>(row, 6)?,
        state: state(&text_of::<D>(row, 8)?)?,
        ..DeadLetter::new(key, text_of::<D>(row, 3)?, text_of::<D>(row, 7)?)
    })
}

fn state(name: &str) -> Result<LetterState, StoreError> {
    let all = [
        LetterState::Waiting,
        LetterState::Superseded,
        LetterState::Replayed,
        LetterState::Discarded,
    ];
    let state = all.into_iter().find(|state| state.name() == name);
    state.ok_or_else(|| StoreError::systemic(format!("a dead letter is in the state `{name}`")))
}

fn key_values<'a>(key: &LetterKey<'a>) -> [Value<'a>; 3] {
    [text(key.entity), number(key.partition.into()), number(key.version)]
}

/// What cannot be read may hold anything, and PostgreSQL holds no NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

const PUT: &str = "put";
const DELETE: &str = "delete";

const LIST: &str = "SELECT entity, CAST(partition AS BIGINT), version, id, op, data, fingerprint, \
    error, state FROM cached_repo_dead_letters \
    WHERE entity = ? AND state = 'waiting' AND (partition, version) > (?, ?) \
    ORDER BY partition, version LIMIT ?";

const FIND: &str = "SELECT entity, CAST(partition AS BIGINT), version, id, op, data, fingerprint, \
    error, state FROM cached_repo_dead_letters WHERE entity = ? AND partition = ? AND version = ?";

const EDIT: &str = "UPDATE cached_repo_dead_letters SET data = ?, fingerprint = '' \
    WHERE entity = ? AND partition = ? AND version = ? AND state = 'waiting' RETURNING 1";

const DISCARD: &str = "UPDATE cached_repo_dead_letters SET state = 'discarded' \
    WHERE entity = ? AND partition = ? AND version = ? AND state = 'waiting' RETURNING 1";

const REPLAY: &str = "UPDATE cached_repo_dead_letters SET state = 'replayed' \
    WHERE entity = ? AND partition = ? AND version = ? AND state = 'waiting' RETURNING 1";

// A record that is journaled once is buried once. Should a lost journal's version come again, the
// letter that is there must not stop the new journal.
const KEEP: &str = "INSERT INTO cached_repo_dead_letters \
    (entity, partition, version, id, op, data, fingerprint, error) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (entity, partition, version) DO UPDATE SET \
    id = excluded.id, op = excluded.op, data = excluded.data, \
    fingerprint = excluded.fingerprint, error = excluded.error, state = 'waiting', \
    first_seen = CURRENT_TIMESTAMP";

// CROSS JOIN and the plus make SQLite begin with the ids and look each up in the index of waiting
// letters; PostgreSQL finds that by itself.
const SUPERSEDE: &str = "UPDATE cached_repo_dead_letters SET state = 'superseded' \
    WHERE state = 'waiting' AND (entity, partition, version) IN \
    (SELECT l.entity, l.partition, l.version FROM ELEMENTS \
    CROSS JOIN cached_repo_dead_letters AS l \
    WHERE l.state = 'waiting' AND l.entity = ? \
    AND l.id = e.value->>0 AND +l.version < CAST(e.value->>1 AS BIGINT))";
