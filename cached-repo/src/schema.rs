//! What an entity looks like: its name, its columns, and which of them are the id.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use crate::record::Value;

mod kind;
pub use kind::Kind;

/// One column of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    name: Cow<'static, str>,
    column: Cow<'static, str>,
    aliases: Cow<'static, [&'static str]>,
    kind: Kind,
    nullable: bool,
    id: bool,
    generated: bool,
    absent: Option<Absent>,
}

/// Makes the value of a column that an older version of the struct did not have.
#[derive(Clone, Copy, Debug)]
struct Absent(fn() -> Option<Value<'static>>);

/// Functions are not compared: the same one may have two addresses.
impl PartialEq for Absent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Absent {}

impl ColumnSpec {
    /// A column. `name` is what entries call it, `column` what the store calls it, `aliases` are
    /// older names under which entries may still hold it.
    #[track_caller] // The derive's call stands at the field.
    pub const fn new(
        name: &'static str,
        column: &'static str,
        aliases: &'static [&'static str],
        kind: Kind,
        nullable: bool,
        id: bool,
    ) -> Self {
        assert!(!id || (kind.is_id() && !nullable), "floats, JSON and Option cannot be an id");
        Self {
            name: Cow::Borrowed(name),
            column: Cow::Borrowed(column),
            aliases: Cow::Borrowed(aliases),
            kind,
            nullable,
            id,
            generated: false,
            absent: None,
        }
    }

    /// With what it is in journaled writes of an older version of the struct, which did not have the
    /// column: a value, or `None` where nothing can stand for it.
    #[must_use]
    pub const fn when_absent(mut self, absent: fn() -> Option<Value<'static>>) -> Self {
        self.absent = Some(Absent(absent));
        self
    }

    /// As a column that the database computes: it is read and never written.
    #[must_use]
    #[track_caller]
    pub const fn generated(mut self) -> Self {
        assert!(!self.id, "an id is written, and cannot be computed by the database");
        self.generated = true;
        self
    }

    /// The name in an entry (JSON field, hash field).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name in the store.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Older names in entries.
    pub fn aliases(&self) -> &[&'static str] {
        &self.aliases
    }

    /// The type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the column may be null.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What it is in a journaled write of a version of the struct that did not have it: what
    /// [`when_absent`](Self::when_absent) says, else null if it can be.
    pub fn absent(&self) -> Option<Value<'static>> {
        match self.absent {
            Some(Absent(absent)) => absent(),
            None => self.nullable.then_some(Value::Null),
        }
    }

    /// Whether the database computes the column, so that it is never written.
    pub fn is_generated(&self) -> bool {
        self.generated
    }

    /// Whether the column is the id, or a part of it.
    pub fn is_id(&self) -> bool {
        self.id
    }
}

/// The shape of an entity: what the derive found, with what the builder changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    prefix: Cow<'static, str>,
    table: Cow<'static, str>,
    version: u32,
    columns: Cow<'static, [ColumnSpec]>,
    removed: &'static [&'static str],
}

impl Schema {
    /// A schema. `prefix` starts every key, `table` is its name in the store, `version` is raised for
    /// a change that names and types do not show.
    pub const fn new(
        prefix: &'static str,
        table: &'static str,
        version: u32,
        columns: &'static [ColumnSpec],
    ) -> Self {
        Self {
            prefix: Cow::Borrowed(prefix),
            table: Cow::Borrowed(table),
            version,
            columns: Cow::Borrowed(columns),
            removed: &[],
        }
    }

    /// With the names of columns that older versions of the struct had. Without that, a journaled write
    /// that has them is taken for one of a newer version, and waits for it.
    #[must_use]
    pub const fn with_removed(mut self, names: &'static [&'static str]) -> Self {
        self.removed = names;
        self
    }

    /// The first part of every key, and the entity's name in messages.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The table in the store.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The version that the `schema` attribute names.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The columns, in the order in which the struct declares them.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.columns
    }

    /// The names of columns that older versions of the struct had.
    pub fn removed(&self) -> &[&'static str] {
        self.removed
    }

    /// The columns that make up the id, with their indices.
    pub fn id_columns(&self) -> impl Iterator<Item = (usize, &ColumnSpec)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.id)
    }

    /// The same schema under another prefix.
    #[must_use]
    pub fn with_prefix(self, prefix: String) -> Self {
        Self { prefix: Cow::Owned(prefix), ..self }
    }

    /// The same schema in another table.
    #[must_use]
    pub fn with_table(self, table: String) -> Self {
        Self { table: Cow::Owned(table), ..self }
    }

    /// The same schema as another version.
    #[must_use]
    pub fn with_version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// A hash of everything that decides how an entry reads: names, types, version.
    pub fn fingerprint(&self) -> u64 {
        let mut text = format!("1;{}", self.version);
        for column in self.columns() {
            let null = if column.nullable { "?" } else { "" };
            text.push_str(&format!(";{}:{}{null}", column.name, column.kind.name()));
        }
        xxh3_64(text.as_bytes())
    }
}
