//! Making one batch of journal records: what is written, what is left out, what cannot be read.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    backend::journal::JournalRecord,
    cache::Entries,
    change::{Change, EntityId},
    codec::Misread,
    column::ColumnError,
    record::Record,
    store::check_kinds,
};

/// A batch. Its records are a contiguous part of the journal.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    /// The index of the record that each change comes from.
    pub(super) sources: Vec<usize>,
    pub(super) unreadable: Vec<Unread>,
    pub(super) coalesced: u64,
    /// The version of the last record.
    pub(super) to: u64,
    /// Why the batch ends before a record that this version of the struct cannot write, if it does, and
    /// who can.
    pub(super) waits_for: Option<String>,
}

/// A record that no release could have written.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) index: usize,
    pub(super) deletes: bool,
    pub(super) error: String,
}

impl Plan {
    /// Takes records for as long as it can. With `coalesce`, of several records of one id only the last
    /// one is written; without, the batch ends before an id comes back.
    pub(super) fn new(entries: &Entries, records: &[JournalRecord], coalesce: bool) -> Self {
        let mut plan = Plan::default();
        let mut places: HashMap<EntityId, usize> = HashMap::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            let change = match read(entries, record) {
                Ok(change) => change,
                Err(Misread::Newer(what)) => {
                    plan.waits_for = Some(format!(
                        "a newer version of this struct journaled something that this one has no place \
                         for ({what}): it waits for a process that has that version. A column that was \
                         removed is to be named: `#[cache(removed = \"…\")]`"
                    ));
                    break;
                }
                Err(Misread::Older(column)) => {
                    plan.waits_for = Some(format!(
                        "an older version of this struct journaled a write without `{column}`, which \
                         has no default here: it waits for a process that has that version, or for \
                         `#[cache(default)]`"
                    ));
                    break;
                }
                Err(Misread::Unfit(why)) => {
                    plan.waits_for = Some(format!(
                        "another version of this struct journaled a write that this one cannot make \
                         ({why}): it waits for a process that has that version"
                    ));
                    break;
                }
                Err(Misread::Corrupt(error)) => {
                    let deletes = record.op == DELETE;
                    plan.unreadable.push(Unread { index, deletes, error: error.to_string() });
                    plan.to = record.version;
                    continue;
                }
            };
            match places.entry(change.id().clone()) {
                Entry::Vacant(place) => {
                    place.insert(plan.changes.len());
                    plan.changes.push(change);
                    plan.sources.push(index);
                }
                Entry::Occupied(_) if !coalesce => break,
                Entry::Occupied(place) => {
                    plan.changes[*place.get()] = change;
                    plan.sources[*place.get()] = index;
                    plan.coalesced += 1;
                }
            }
            plan.to = record.version;
        }
        plan
    }
}

/// The change that a record asks for.
fn read(entries: &Entries, record: &JournalRecord) -> Result<Change, Misread> {
    if record.op.is_empty() {
        return Err(Misread::Corrupt(ColumnError::new("the record is not of this library")));
    }
    if record.op != PUT && record.op != DELETE {
        return Err(Misread::Newer(format!("a write of the kind {:?}", record.op)));
    }
    let columns = entries.codec.decode_data(&record.data, &record.schema)?;
    let id = entries.id_of(&columns).ok_or_else(|| no_id(&columns))?;
    Ok(match record.op.as_str() {
        DELETE => Change::Delete { id },
        _ if record.schema != entries.codec.fingerprint_text() => {
            match missing(entries, &columns) {
                Some(column) => return Err(Misread::Older(column)),
                None => fitting(entries, Change::Put { id, record: columns })?,
            }
        }
        _ => Change::Put { id, record: columns },
    })
}

/// The column that a put must have and has not.
fn missing(entries: &Entries, record: &Record<'_>) -> Option<String> {
    let mut columns = entries.schema.columns().iter().enumerate();
    let missing = columns.find(|(i, column)| match record.get(*i) {
        _ if column.is_generated() => false,
        None => true,
        Some(value) => value.is_null() && !column.is_nullable(),
    });
    missing.map(|(_, column)| column.name().to_owned())
}

/// Another version of the struct may have had other kinds of columns under these names.
fn fitting(entries: &Entries, change: Change) -> Result<Change, Misread> {
    match check_kinds(&entries.schema, &change) {
        Ok(()) => Ok(change),
        Err(error) => Err(Misread::Unfit(error.to_string())),
    }
}

fn no_id(_: &Record<'_>) -> Misread {
    Misread::Corrupt(ColumnError::new("the record has no id"))
}

/// How the journal spells what a record does.
const PUT: &str = "p";
const DELETE: &str = "d";
