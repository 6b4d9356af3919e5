//! What Redis answers of a journal: its records, and what is known of it.

use crate::backend::{
    CacheError, Side, Standing,
    journal::{JournalRecord, Meta, News},
};

/// A stream's entry: id, fields.
pub(super) type StreamEntry = (String, Vec<(String, Vec<u8>)>);

pub(super) fn record((id, fields): StreamEntry) -> Result<JournalRecord, CacheError> {
    let (mut op, mut data, mut schema, mut entry) = (None, None, None, None);
    for (name, value) in fields {
        match name.as_str() {
            "op" => op = String::from_utf8(value).ok(),
            "data" => data = Some(value),
            "schema" => schema = String::from_utf8(value).ok(),
            "entry" => entry = String::from_utf8(value).ok(),
            _ => {}
        }
    }
    let version = id.strip_suffix("-0").and_then(|version| version.parse().ok());
    let version = version.ok_or_else(|| {
        CacheError::answered(format!(
            "the journal's record {id} is not of this library: remove it (XDEL)"
        ))
    })?;
    // What somebody else added has none of them, and becomes a dead letter.
    let (entry, op) = (entry.unwrap_or_default(), op.unwrap_or_default());
    let (data, schema) = (data.unwrap_or_default(), schema.unwrap_or_default());
    Ok(JournalRecord { version, entry, op, data, schema })
}

/// What `shown_meta` of the prelude answers.
pub(super) fn meta(answer: Vec<String>) -> Option<Meta> {
    let [
        home,
        journal,
        epoch,
        clock,
        acked,
        trimmed_to,
        count,
        bytes,
        acked_count,
        acked_bytes,
        sealed,
        news,
        side,
        turned_by,
        copies_epoch,
        server,
    ]: [String; 16] = answer.try_into().ok()?;
    let number = |text: String| if text.is_empty() { Some(0) } else { text.parse().ok() };
    Some(Meta {
        server,
        home,
        journal,
        epoch: number(epoch)?,
        clock: number(clock)?,
        acked: number(acked)?,
        trimmed_to: number(trimmed_to)?,
        count: number(count)?,
        bytes: number(bytes)?,
        acked_count: number(acked_count)?,
        acked_bytes: number(acked_bytes)?,
        sealed: !sealed.is_empty(),
        news: news_of(&news)?,
        standing: Standing { side: Side::parse(&side)?, turned_by },
        copies_epoch: number(copies_epoch)?,
    })
}

fn news_of(text: &str) -> Option<News> {
    match text.split_once(' ') {
        None if text.is_empty() => Some(News::None),
        Some(("recovered", left)) => Some(News::Recovered { left: left.parse().ok()? }),
        Some(("lost", discarded)) => Some(News::Lost { discarded: discarded.parse().ok()? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(id: &str, names: &[&str]) -> Result<JournalRecord, CacheError> {
        let fields = names.iter().map(|name| ((*name).to_owned(), b"x".to_vec())).collect();
        record((id.to_owned(), fields))
    }

    #[test]
    fn a_record_that_is_none_of_ours_says_nothing_or_is_an_error() {
        let all = ["op", "data", "schema", "entry", "write", "of a newer release"];
        assert_eq!(read("7-0", &all).unwrap().op, "x");
        assert_eq!(read("7-0", &all[1..]).unwrap().op, "");
        let invalid = vec![("op".to_owned(), vec![0xff]), ("data".to_owned(), vec![])];
        assert_eq!(record(("7-0".to_owned(), invalid)).unwrap().op, "");
        for id in ["7-1", "x"] {
            assert!(read(id, &all).is_err_and(|error| !error.is_ambiguous()), "{id}");
        }
    }
}
