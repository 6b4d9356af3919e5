//! `sql_render`: the statements for any schema: names are quoted, and there is a value for each parameter.

use std::collections::HashSet;

use cached_repo::{ColumnSpec, Kind, Record, Schema, Value, decoders};
use sqlparser::{
    dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect},
    parser::Parser,
    tokenizer::{Token, Tokenizer},
};

use super::{Outcome, Probe, Target, pairs};

pub(super) const TARGET: Target = Target {
    name: "sql_render",
    seeds,
    words: &[
        "\"",
        "\"\"",
        "`",
        "``",
        "'",
        "--",
        "/*",
        "*/",
        ";",
        "$1",
        "?",
        "select",
        "a.b",
        ".",
        "\\",
        "\u{1e}x\u{1f}",
        "DROP TABLE x",
        "\n",
        "E'",
        "$$",
        "#",
    ],
    run,
};

/// The first byte says the number of rows; the first pair is the table, and the others are columns by name
/// and kind.
fn run(input: &[u8], _: &Probe) -> Outcome {
    let Some((rows, input)) = input.split_first() else {
        return Outcome::Refused("nothing".to_owned());
    };
    let Some(shape) = Shape::read(input) else { return Outcome::Refused("no names".to_owned()) };
    let rows = usize::from(rows % 5) + 1;
    let hostile = shape.statements(rows);
    let plain = shape.with_plain_names().statements(rows);
    let (hostile, plain) = match (hostile, plain) {
        (Some(hostile), Some(plain)) => (hostile, plain),
        (None, None) => return Outcome::Refused("no schema".to_owned()),
        _ => panic!("whether there are statements depends on names"),
    };
    assert_eq!(hostile.len(), plain.len());
    for ((database, sql, parameters), (_, with_plain_names, _)) in hostile.iter().zip(&plain) {
        let dialect = dialect(database);
        let tokens = tokens(dialect, sql, |name| name);
        let expected = self::tokens(dialect, with_plain_names, |name| shape.named_so(name));
        assert_eq!(tokens, expected, "{sql}");
        let parsed = Parser::parse_sql(dialect, sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
        assert_eq!(parsed.len(), 1, "{sql}");
        assert_eq!(places(&tokens), *parameters, "{database}: {sql}");
    }
    let kinds: Vec<_> = shape.columns.iter().map(|column| (column.kind, column.is_id)).collect();
    Outcome::Accepted(format!("{kinds:?}"))
}

struct Shape {
    table: String,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    kind: Kind,
    is_id: bool,
    is_nullable: bool,
    is_generated: bool,
}

impl Shape {
    /// What the derive would take.
    fn read(input: &[u8]) -> Option<Self> {
        let mut pairs = pairs(input).into_iter();
        let (table, _) = pairs.next()?;
        let columns = pairs.take(COLUMNS_MAX).map(|(name, shape)| {
            let shape = shape.first().copied().unwrap_or(0);
            let kind = KINDS[usize::from(shape & 31) % KINDS.len()];
            let is_id = shape & 32 != 0 && kind.is_id();
            let name = String::from_utf8(name).ok().filter(|name| is_sound(name))?;
            let (is_nullable, is_generated) =
                (shape & 64 != 0 && !is_id, shape & 128 != 0 && !is_id);
            Some(Column { name, kind, is_id, is_nullable, is_generated })
        });
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let table = String::from_utf8(table).ok()?;
        let is_table = table.split('.').count() <= 2 && table.split('.').all(is_sound);
        let ids = columns.iter().filter(|column| column.is_id).count();
        let different: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let is_table = is_table && different.len() == columns.len();
        (is_table && (1..=4).contains(&ids)).then_some(Self { table, columns })
    }

    /// The same with names that need no quotes.
    fn with_plain_names(&self) -> Self {
        let table = if self.table.contains('.') { "t0.t1" } else { "t0" };
        let name = |(i, column): (usize, &Column)| Column { name: format!("x{i}"), ..*column };
        let columns = self.columns.iter().enumerate().map(name).collect();
        Self { table: table.to_owned(), columns }
    }

    /// The name that has a plain one in its place.
    fn named_so(&self, plain: String) -> String {
        let number = |head: char| plain.strip_prefix(head)?.parse::<usize>().ok();
        let column = number('x').and_then(|i| Some(self.columns.get(i)?.name.clone()));
        let table = number('t').and_then(|i| Some(self.table.split('.').nth(i)?.to_owned()));
        column.or(table).unwrap_or(plain)
    }

    fn statements(&self, rows: usize) -> Option<Vec<(&'static str, String, usize)>> {
        let of = |column: &Column| {
            let name: &'static str = column.name.clone().leak();
            let spec =
                ColumnSpec::new(name, name, &[], column.kind, column.is_nullable, column.is_id);
            if column.is_generated { spec.generated() } else { spec }
        };
        let columns: Vec<_> = self.columns.iter().map(of).collect();
        let table: &'static str = self.table.clone().leak();
        let schema = Schema::new("shape", table, 1, columns.leak());
        let (mut records, mut ids) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let mut record = Record::absent(self.columns.len());
            let mut parts = Vec::new();
            for (i, column) in self.columns.iter().enumerate() {
                let value = value(column.kind, row);
                if column.is_id {
                    parts.push(value.clone());
                }
                record.set(i, value);
            }
            ids.push(decoders::id(parts).ok()?);
            records.push(record);
        }
        let (records, ids): (Vec<_>, Vec<_>) = (records.iter().collect(), ids.iter().collect());
        decoders::statements(&schema, &records, &ids).ok()
    }
}

fn is_sound(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && !name.contains('\0')
}

fn value(kind: Kind, n: usize) -> Value<'static> {
    let text = |text: &str| Value::Text(text.to_owned().into());
    match kind {
        Kind::Bool => Value::Bool(n == 0),
        Kind::I16 | Kind::I32 | Kind::I64 => Value::I64(n as i64),
        Kind::U64 => Value::U64(n as u64),
        Kind::F32 | Kind::F64 => Value::F64(n as f64),
        Kind::Bytes => Value::Bytes(vec![n as u8].into()),
        Kind::Json => Value::Json(n.to_string().into()),
        Kind::Uuid => text("01234567-89ab-cdef-0123-456789abcdef"),
        Kind::Timestamp => text("2026-01-02T03:04:05Z"),
        Kind::DateTime => text("2026-01-02T03:04:05"),
        Kind::Date => text("2026-01-02"),
        Kind::Time => text("03:04:05"),
        Kind::ObjectId => text("0123456789abcdef01234567"),
        _ => text(&n.to_string()),
    }
}

fn dialect(database: &str) -> &'static dyn Dialect {
    match database {
        "PostgreSQL" => &PostgreSqlDialect {},
        "MySQL" => &MySqlDialect {},
        _ => &SQLiteDialect {},
    }
}

/// The statement word by word. What a quoted name says is told from a word.
fn tokens(
    dialect: &dyn Dialect,
    sql: &str,
    name: impl Fn(String) -> String,
) -> Vec<Result<String, String>> {
    let tokens = Tokenizer::new(dialect, sql).tokenize();
    let tokens = tokens.unwrap_or_else(|e| panic!("{e}: {sql}"));
    let said = |token: Token| match token {
        Token::Word(word) if word.quote_style.is_some() => Ok(name(word.value)),
        other => Err(other.to_string()),
    };
    tokens.into_iter().map(said).collect()
}

/// For how many values there is a place.
fn places(tokens: &[Result<String, String>]) -> usize {
    let words = || tokens.iter().filter_map(|token| token.as_ref().err());
    let numbered = words().filter_map(|word| word.strip_prefix('$')?.parse().ok());
    let plain = words().filter(|word| *word == "?").count();
    plain.max(numbered.max().unwrap_or(0))
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for first in 0..KINDS.len() as u8 {
        for (table, name) in [("todos", "id"), ("app.Todo \"s\"", "a`b\"c"), ("select", "order")] {
            let id = if KINDS[usize::from(first)].is_id() { first | 32 } else { 32 | TEXT };
            let mut seed = vec![first];
            seed.extend(format!("{table}\u{1e}{name}\u{1f}").bytes());
            seed.push(id);
            seed.extend(b"\x1eother\x1f");
            seed.push(first | 64);
            seed.extend(b"\x1ecomputed\x1f");
            seed.push(first | 128);
            seed.extend(b"\x1esecond part\x1f");
            seed.push(32 | TEXT);
            seeds.push(seed);
        }
    }
    seeds
}

const KINDS: [Kind; 17] = [
    Kind::Text,
    Kind::I64,
    Kind::Bool,
    Kind::I16,
    Kind::I32,
    Kind::U64,
    Kind::F32,
    Kind::F64,
    Kind::Bytes,
    Kind::Json,
    Kind::Uuid,
    Kind::Decimal,
    Kind::Timestamp,
    Kind::DateTime,
    Kind::Date,
    Kind::Time,
    Kind::ObjectId,
];
/// The number of [`Kind::Text`].
const TEXT: u8 = 0;
/// As the derive takes them.
const NAME_MAX: usize = 63;
const COLUMNS_MAX: usize = 12;
