//! Mutants that inputs of the fuzz targets notice.

use crate::mutant::{Edit, Mutant, mutant};

const DECIMAL: &str = "cached-repo/src/spelling/decimal.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("names-end-their-quotes": "a column's name becomes a part of the statement",
        "cached-repo/src/store/sql/table.rs",
        "let inner = name.replace(quote, &format!(\"{quote}{quote}\"));" => "let inner = name.to_owned();",
        "fuzz::sql_render"),
    mutant!("answers-not-counted": "an answer is taken for that of another entity",
        "cached-repo/src/redis/answers.rs",
        "(answers.len() == count).then_some(answers)" => "(answers.len() <= count.max(9)).then_some(answers)",
        "fuzz::resp_script_reply"),
    mutant!("packed-entries-of-any-depth": "an entry ends the process",
        "cached-repo/src/codec/msgpack.rs",
        "reader.set_max_depth(DEPTH_MAX);" => "reader.set_max_depth(usize::MAX - DEPTH_MAX);",
        "fuzz::envelope_decode"),
    mutant!("commas-in-ids-as-they-are": "two ids have one key",
        "cached-repo/src/key/id.rs",
        "matches!(byte, b'_' | b'.' | b'~' | b'-')" => "matches!(byte, b'_' | b'.' | b'~' | b'-' | b',')",
        "fuzz::id_encode"),
    Mutant {
        name: "decimals-longer-than-what-is-read",
        breaks: "a decimal is spelled so that nobody can read it",
        edits: &[
            Edit {
                file: DECIMAL,
                from: "exponent.unsigned_abs() <= EXPONENT_MAX;",
                to: "exponent.unsigned_abs() <= 30 * EXPONENT_MAX;",
            },
            Edit {
                file: DECIMAL,
                from: "(spelled <= DIGITS_MAX).then_some(read)",
                to: "(spelled <= 3 * DIGITS_MAX).then_some(read)",
            },
        ],
        tests: &["fuzz::spelling_decode"],
    },
];
