//! Entries that somebody else wrote, as far as a decoder looks at them: for fuzz targets.

use super::{
    body::{ENVELOPE_END, PACKED_HEAD, TEXT_HEAD},
    compress, msgpack,
};

/// The same entry with a check that fits its row, so that what is behind the check is looked at.
pub(crate) fn checked(entry: Vec<u8>) -> Vec<u8> {
    // Before the row stand `sum` and `row`, with the check between them.
    let row_at = ENVELOPE_END + msgpack::checked(b"").len();
    match entry.split_at_checked(row_at) {
        Some((head, row)) if head.starts_with(&PACKED_HEAD) => {
            [&head[..ENVELOPE_END], &msgpack::checked(row)].concat()
        }
        _ => entry,
    }
}

/// The same entry, compressed whether or not that makes it smaller.
pub(crate) fn compressed(entry: Vec<u8>) -> Vec<u8> {
    let at = match () {
        () if entry.starts_with(&TEXT_HEAD) => ENVELOPE_END + 1,
        () if entry.starts_with(&PACKED_HEAD) => ENVELOPE_END,
        () => return entry,
    };
    let frame = entry.split_at_checked(at).and_then(|(_, rest)| compress::frame(rest));
    match frame {
        Some(frame) => [&entry[..at], &frame].concat(),
        None => entry,
    }
}
