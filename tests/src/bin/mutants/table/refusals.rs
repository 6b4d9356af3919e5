//! Mutants of whom a failure is told to belong to: a row, a record, a connection or a table.

use crate::mutant::{Mutant, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("stale-statements-stay": "a table that was changed fails reads for as long as the process runs",
        "cached-repo/src/store/sql/session.rs",
        "self.lost |= self.stale || answer" => "self.lost |= answer",
        "stores::changed_tables::"),
    mutant!("a-policy-pauses": "one row that a policy refuses stops its partition",
        "cached-repo/src/store/sql/postgres/codes.rs",
        "        (\"42501\", Some(\"ExecWithCheckOptions\")) => Class::Record,\n" => "",
        "write_behind::refused::"),
    mutant!("unmapped-columns-bury": "a column that no record has makes dead letters of all records",
        "cached-repo/src/store/sql/error.rs",
        "columns.iter().all(|c| c.column() != column)" => "columns.is_empty()",
        "stores::journal::a_column_that_no_record_has"),
    mutant!("a-bad-row-is-absent": "a row that cannot be read is taken for none",
        "cached-repo/src/strategy/fetch.rs",
        "drop(found.insert(id, Err(Arc::new(error.into_error()))))" => "drop((id, error))",
        "bad_rows::a_row_that_cannot_be_read"),
    mutant!("null-is-read-for-anything": "a row with null where none may be is cached, and decoded in vain",
        "cached-repo/src/store/sql/table.rs",
        "Ok(Value::Null) if !row::may_be_null(column)" => "Ok(Value::Null) if false && !row::may_be_null(column)",
        "bad_rows::", "stores::computed::a_column_that_is_missing"),
    mutant!("an-import-looks-too-late": "a row that cannot be read leaves the entity refused to everybody",
        "cached-repo/src/worker/import.rs",
        "        all_can_be_read(copying).await?;\n" => "",
        "bad_rows::an_import"),
];
