//! Mutants of the formats, and of changing them.

use super::REDIS;
use crate::mutant::{Mutant, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant!("no-second-look": "a journaled write in another format is passed over",
        "cached-repo/src/cache/entries.rs",
        "None => closely && format != Format::Hash," => "None => false,",
        "formats::changed::journaled", "formats::changed::the_only_copies"),
    mutant!("late-reader-shares-an-unleased-row": "a reader gets a row from before a journaled hash",
        "cached-repo/src/strategy/fetch.rs",
        "        self.flights.advance(&leads, Phase::Loading);\n" => "",
        "formats::changed::a_reader_that_joins"),
    mutant!("other-formats-are-hits": "a copy in another format is taken, and stays",
        "cached-repo/src/cache/entries.rs",
        "|| (in_format\n" => "|| (true\n",
        "formats::changed::copies"),
    mutant!("packed-heads-unknown": "scripts take a dirty entry in MessagePack for a copy",
        "cached-repo/src/redis/scripts/prelude.lua",
        "(head == HEADS.text or head == HEADS.packed)" => "(head == HEADS.text)",
        REDIS),
    mutant!("packed-sum-ignored": "damaged MessagePack is believed",
        "cached-repo/src/codec/msgpack.rs",
        "if u64::from_be_bytes(*sum) != xxh3_64(row) {" => "if false {",
        "formats::damaged::one_changed_letter"),
    mutant!("frames-unbounded": "a small entry takes all memory",
        "cached-repo/src/codec/compress.rs",
        "Some(len) if len <= max_bytes =>" => "Some(len) if len <= usize::MAX / 4 =>",
        "formats::damaged::a_compressed_entry"),
];
