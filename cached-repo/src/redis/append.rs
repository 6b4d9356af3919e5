//! How an append is spelled for its script.

use super::call::Call;
use crate::{
    backend::{CacheError, journal::Append},
    codec::Body,
    key::Keyspace,
};

pub(super) fn append_call(keys: &Keyspace, append: &Append<'_>) -> Result<Call, CacheError> {
    let partition = append.partition;
    let mut call = Call::default();
    call.key(keys.meta(partition)).key(keys.journal(partition)).key(keys.backlog(partition));
    call.key(keys.op(partition, append.op_id)).argument(append.op_id);
    call.argument(append.tried_above.map_or_else(String::new, |version| version.to_string()));
    call.argument(append.bound.records).argument(append.bound.bytes);
    call.argument(append.schema).argument(keys.member(partition));
    for write in append.writes {
        let slot = write.slot;
        call.key(&slot.entry).key(keys.intents(slot)).key(keys.lease(slot));
        call.argument(if write.deletes { 'd' } else { 'p' });
        match (write.data, write.content.body) {
            // The script takes it from the body, which then is sent once.
            (None, Body::Text(_)) => call.argument(""),
            _ => call.argument(write.data_or_body()?),
        };
        call.content(Some(&write.content));
    }
    Ok(call)
}
