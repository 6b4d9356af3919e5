//! The DDL of the library's own tables.

use super::{Dialect, describe::create, locks::LOCKS};
use crate::schema::{ColumnSpec, Kind, Schema};

/// Each with the DDL that creates it. An older one may lack columns.
pub(super) fn library<D: Dialect>() -> Vec<(Schema, String)> {
    let mut all = vec![
        (Schema::new(META, META, 1, META_COLUMNS), create_meta::<D>()),
        (Schema::new(OFFSETS, OFFSETS, 1, OFFSETS_COLUMNS), create_offsets::<D>()),
        (Schema::new(LETTERS, LETTERS, 1, LETTERS_COLUMNS), create_letters::<D>()),
    ];
    if D::LOCKS_ARE_ROWS {
        all.push((Schema::new(LOCKS, LOCKS, 1, LOCKS_COLUMNS), create_locks::<D>()));
    }
    for (_, ddl) in &mut all {
        *ddl = D::spell(ddl).into_owned();
    }
    all
}

fn create_meta<D: Dialect>() -> String {
    let (key, value) = (D::column_type(Kind::Text, true), D::column_type(Kind::Text, false));
    create::<D>(
        META,
        &[format!("key {key} PRIMARY KEY NOT NULL"), format!("value {value} NOT NULL")],
    )
}

fn create_offsets<D: Dialect>() -> String {
    let text = D::column_type(Kind::Text, false);
    let big = D::column_type(Kind::I64, false);
    create::<D>(
        OFFSETS,
        &[
            format!("entity {} NOT NULL", D::column_type(Kind::Text, true)),
            format!("partition {} NOT NULL", D::column_type(Kind::I32, true)),
            format!("epoch {big} NOT NULL"),
            format!("settled {big} NOT NULL DEFAULT 0"),
            format!("journal_id {text}"),
            format!("last_id {big} NOT NULL DEFAULT 0"),
            format!("home {text}"),
            format!("state {} NOT NULL DEFAULT 'open'", D::WORD),
            format!("applied {big} NOT NULL DEFAULT 0"),
            format!("coalesced {big} NOT NULL DEFAULT 0"),
            format!("dead_lettered {big} NOT NULL DEFAULT 0"),
            format!("updated_at {} NOT NULL DEFAULT (CURRENT_TIMESTAMP)", D::TIMESTAMP),
            "PRIMARY KEY (entity, partition)".to_owned(),
        ],
    )
}

fn create_letters<D: Dialect>() -> String {
    let text = D::column_type(Kind::Text, false);
    let mut lines = vec![
        format!("entity {} NOT NULL", D::column_type(Kind::Text, true)),
        format!("partition {} NOT NULL", D::column_type(Kind::I32, true)),
        format!("version {} NOT NULL", D::column_type(Kind::I64, true)),
        format!("id {text} NOT NULL"),
        format!("op {text} NOT NULL"),
        format!("data {text} NOT NULL"),
        format!("fingerprint {text} NOT NULL"),
        format!("error {text} NOT NULL"),
        format!("state {} NOT NULL DEFAULT 'waiting'", D::WORD),
        format!("first_seen {} NOT NULL DEFAULT (CURRENT_TIMESTAMP)", D::TIMESTAMP),
        "PRIMARY KEY (entity, partition, version)".to_owned(),
    ];
    // Every journaled write asks whether letters wait: mostly none do. Without the id, which may be
    // longer than an index takes.
    if D::PARTIAL_INDEXES {
        let table = create::<D>(LETTERS, &lines);
        return format!(
            "{table}CREATE INDEX IF NOT EXISTS {LETTERS}_waiting ON {LETTERS} (entity, partition) \
             WHERE state = 'waiting';\n"
        );
    }
    lines.push(format!("INDEX {LETTERS}_waiting (entity, state)"));
    create::<D>(LETTERS, &lines)
}

fn create_locks<D: Dialect>() -> String {
    let big = D::column_type(Kind::I64, true);
    create::<D>(LOCKS, &[format!("number {big} PRIMARY KEY NOT NULL")])
}

const fn column(name: &'static str, kind: Kind) -> ColumnSpec {
    ColumnSpec::new(name, name, &[], kind, false, false)
}

const fn key(name: &'static str, kind: Kind) -> ColumnSpec {
    ColumnSpec::new(name, name, &[], kind, false, true)
}

/// The tables' names, which stand in the statements too.
const META: &str = "cached_repo_meta";
const OFFSETS: &str = "cached_repo_offsets";
const LETTERS: &str = "cached_repo_dead_letters";

const META_COLUMNS: &[ColumnSpec] = &[key("key", Kind::Text), column("value", Kind::Text)];
const OFFSETS_COLUMNS: &[ColumnSpec] = &[
    key("entity", Kind::Text),
    key("partition", Kind::I32),
    column("epoch", Kind::I64),
    column("settled", Kind::I64),
    column("journal_id", Kind::Text),
    column("last_id", Kind::I64),
    column("home", Kind::Text),
    column("state", Kind::Text),
    column("applied", Kind::I64),
    column("coalesced", Kind::I64),
    column("dead_lettered", Kind::I64),
    column("updated_at", Kind::Text),
];
const LETTERS_COLUMNS: &[ColumnSpec] = &[
    key("entity", Kind::Text),
    key("partition", Kind::I32),
    key("version", Kind::I64),
    column("id", Kind::Text),
    column("op", Kind::Text),
    column("data", Kind::Text),
    column("fingerprint", Kind::Text),
    column("error", Kind::Text),
    column("state", Kind::Text),
    column("first_seen", Kind::Text),
];
const LOCKS_COLUMNS: &[ColumnSpec] = &[key("number", Kind::I64)];
