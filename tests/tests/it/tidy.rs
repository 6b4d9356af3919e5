//! The rules that a machine can check: shape, floors, words, documents, and what stands where.

mod source;

mod shape;

mod floors;

mod words;

mod keys;

mod docs;

mod house;

/// Fails with the list of offences, if there are any.
#[track_caller]
fn none(rule: &str, offences: impl IntoIterator<Item = String>) {
    let offences: Vec<String> = offences.into_iter().collect();
    let list = offences.join("\n  ");
    assert!(offences.is_empty(), "{rule}. {} offences:\n  {list}\n", offences.len());
}
