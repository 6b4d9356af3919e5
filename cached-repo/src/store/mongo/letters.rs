//! Dead letters: made, listed, decided.

use mongodb::bson::{Bson, Document, doc};

use super::{
    Fault, LETTERS, MongoStore, Session, StoreError,
    ledger::{number, of},
    write::by_key,
};
use crate::store::{Batch, DeadLetter, LetterKey, LetterState, Supersedes};

impl MongoStore {
    pub(super) async fn letters(
        &self,
        entity: &str,
        after: Option<(u32, u64)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut filter = doc! { "entity": entity, "state": WAITING };
        if let Some((partition, version)) = after {
            let partition = i64::from(partition);
            let behind = doc! { "partition": partition, "version": { "$gt": number(version) } };
            filter.insert("$or", [behind, doc! { "partition": { "$gt": partition } }]);
        }
        let sort = doc! { "partition": 1, "version": 1 };
        let found = self.find_all(LETTERS, filter, sort, limit).await?;
        found.iter().map(letter).collect()
    }

    pub(super) async fn letter(&self, key: LetterKey<'_>) -> Result<Vec<DeadLetter>, StoreError> {
        let found = self.find_one(LETTERS, by_key(document_key(&key))).await?;
        found.iter().map(letter).collect()
    }

    pub(super) async fn edit(&self, key: LetterKey<'_>, data: &str) -> Result<bool, StoreError> {
        let edited = doc! { "data": data, "fingerprint": "" };
        self.change(LETTERS, waiting(&key), edited).await
    }

    pub(super) async fn discard(&self, key: LetterKey<'_>) -> Result<bool, StoreError> {
        let state = LetterState::Discarded.name();
        self.change(LETTERS, waiting(&key), doc! { "state": state }).await
    }
}

/// Marks a letter as replayed if it waits. Nobody else can until the transaction ends.
pub(super) async fn replay(session: &mut Session, key: &LetterKey<'_>) -> Result<(), Fault> {
    match session.find_and_modify(LETTERS, replaying(key), "replay a dead letter").await? {
        Some(_) => Ok(()),
        None => Err(key.refused().into()),
    }
}

pub(super) async fn keep(
    session: &mut Session,
    letters: impl Iterator<Item = DeadLetter>,
) -> Result<(), Fault> {
    for letter in letters {
        // The letter is not what is refused: that it cannot be kept is no fault of a change.
        session.run(keeping(&letter), "keep a dead letter").await.map_err(unrefused)?;
    }
    Ok(())
}

/// Marks the letters that a batch makes obsolete.
pub(super) async fn supersede(
    session: &mut Session,
    batch: &Batch<'_>,
    is_written: impl Fn(usize) -> bool,
) -> Result<(), Fault> {
    for superseded in batch.supersedes(is_written) {
        let fields = doc! { "id": 1, "version": 1 };
        let look = (waiting_of(&superseded), fields);
        let found = session.find(LETTERS, look, "look for dead letters").await?;
        if let Some(command) = superseding(&superseded, &found) {
            session.run(command, "mark dead letters").await.map_err(unrefused)?;
        }
    }
    Ok(())
}

/// The change that replays a letter that waits.
pub(super) fn replaying(key: &LetterKey<'_>) -> (Document, Document) {
    (waiting(key), doc! { "$set": { "state": LetterState::Replayed.name() } })
}

/// The command that keeps a letter. A record that is journaled once is buried once. Should a lost
/// journal's version come again, the letter that is there must not stop the new journal.
pub(super) fn keeping(letter: &DeadLetter) -> Document {
    let key = letter.key();
    let update = doc! {
        "$set": {
            "entity": key.entity, "partition": i64::from(key.partition),
            "version": number(key.version), "id": &letter.id,
            "op": if letter.deletes { DELETE } else { PUT }, "data": &letter.data,
            "fingerprint": &letter.schema, "error": &letter.error, "state": WAITING,
        },
        "$currentDate": { "first_seen": true },
    };
    let statement = doc! { "q": by_key(document_key(&key)), "u": update, "upsert": true };
    doc! { "update": LETTERS, "updates": [statement] }
}

/// The letters of these ids that wait, of whatever version.
pub(super) fn waiting_of(superseded: &Supersedes<'_>) -> Document {
    let ids: Vec<_> = superseded.ids.iter().map(|(id, _)| *id).collect();
    doc! {
        "entity": superseded.entity, "state": WAITING, "id": { "$in": ids },
    }
}

/// The command that marks those of these letters that are older than what was written.
pub(super) fn superseding(superseded: &Supersedes<'_>, found: &[Document]) -> Option<Document> {
    let is_older = |letter: &&Document| {
        let (id, version) = (letter.get_str("id").unwrap_or_default(), of(letter, "version"));
        superseded.ids.iter().any(|(of, before)| *of == id && version < *before)
    };
    let older = found.iter().filter(is_older).filter_map(|letter| letter.get("_id").cloned());
    let older: Vec<Bson> = older.collect();
    if older.is_empty() {
        return None;
    }
    let update = doc! { "$set": { "state": LetterState::Superseded.name() } };
    // One that was decided meanwhile stays so.
    let query = doc! { "_id": { "$in": older }, "state": WAITING };
    let statement = doc! { "q": query, "u": update, "multi": true };
    Some(doc! { "update": LETTERS, "updates": [statement] })
}

fn unrefused(fault: Fault) -> Fault {
    Fault { refused: None, ..fault }
}

fn document_key(key: &LetterKey<'_>) -> Document {
    doc! {
        "entity": key.entity, "partition": i64::from(key.partition), "version": number(key.version),
    }
}

fn waiting(key: &LetterKey<'_>) -> Document {
    let mut query = by_key(document_key(key));
    query.insert("state", WAITING);
    query
}

fn letter(document: &Document) -> Result<DeadLetter, StoreError> {
    let text = |field| document.get_str(field).unwrap_or_default().to_owned();
    let entity = text("entity");
    let partition = u32::try_from(of(document, "partition")).unwrap_or(u32::MAX);
    let key = LetterKey { entity: &entity, partition, version: of(document, "version") };
    Ok(DeadLetter {
        deletes: text("op") == DELETE,
        data: text("data"),
        schema: text("fingerprint"),
        state: state(&text("state"))?,
        ..DeadLetter::new(key, text("id"), text("error"))
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

const WAITING: &str = LetterState::Waiting.name();
const PUT: &str = "put";
const DELETE: &str = "delete";
