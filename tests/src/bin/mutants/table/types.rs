//! Mutants of the types: values that come back as others.

use super::{MEMORY, SQLITE};
use crate::mutant::{Mutant, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("other-spellings-written": "equal values are not equal texts",
        "cached-repo/src/store/check.rs",
        "if kind.is_spelled() && !kind.is_canonical(v) =>" => "if kind.is_spelled() && v.is_empty() =>",
        MEMORY, SQLITE),
    mutant!("finer-times-rounded": "a time comes back as another one",
        "cached-repo/src/store/sql/declared.rs",
        ".is_ok_and(|digits| needed > digits)" => ".is_ok_and(|digits| needed > digits + 9)",
        "types::declared::what_a_column_is_too_short_for"),
    mutant!("longer-decimals-rounded": "a decimal comes back as another one",
        "cached-repo/src/store/sql/declared.rs",
        "|| !fits(fraction, scale)" => "|| !fits(fraction, scale + 9)",
        "types::declared::what_a_column_is_too_short_for"),
    mutant!("milliseconds-rounded": "the same on MongoDB",
        "cached-repo/src/store/mongo/types.rs",
        "if needed > FRACTION_DIGITS {" => "if needed > FRACTION_DIGITS + 9 {",
        "types::write_through_json_mongo"),
    mutant!("decimals-compared-as-floats": "one id finds the row of another on MySQL",
        "cached-repo/src/store/sql/mysql/types.rs",
        "=> \"CAST(? AS DECIMAL(65, 30))\"" => "=> \"?\"",
        "types::ids::decimals_that_are_one"),
    mutant!("decimals-looked-for-as-a-list": "several entities with such ids are never found on MongoDB",
        "cached-repo/src/store/mongo/collection.rs",
        "any(|(_, id)| id.kind() == Kind::Decimal)" => "any(|(_, id)| id.kind() == Kind::Decimal && id.is_nullable())",
        "stores::mongo_types::several_ids_with_decimals"),
    mutant!("tables-looked-at-once": "a table that was changed fails until the process starts anew",
        "cached-repo/src/store/sql/mod.rs",
        "            self.tables.forget(schema);\n" => "",
        "types::declared::a_table_that_was_changed"),
    mutant!("zones-dropped": "an instant of another zone is another instant",
        "cached-repo/src/spelling/time.rs",
        "- sign * zone.nanoseconds()" => "- 0 * sign * zone.nanoseconds()",
        "types::declared::a_table_may_have"),
];
