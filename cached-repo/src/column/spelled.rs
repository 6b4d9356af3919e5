//! What the types of dates and times have in common.

use super::ColumnError;
use crate::{record::Value, schema::Kind};

/// Reads a text of this kind; `None` from `make` says that the type has no such value.
pub(super) fn read<T>(
    kind: Kind,
    value: Value<'_>,
    make: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ColumnError> {
    match value {
        Value::Text(v) => make(&v).ok_or_else(|| {
            let expected = kind.spelled_as();
            ColumnError::new(format!("the text is not {expected}, or the type has no such value"))
        }),
        other => Err(ColumnError::unexpected(kind.spelled_as(), &other)),
    }
}
