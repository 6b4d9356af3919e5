//! The tables as DDL, and what of them is missing.

use std::collections::BTreeMap;

use super::{Dialect, SqlStore, StoreError, Table, table::quote, tables};
use crate::{
    record::Value,
    schema::{ColumnSpec, Kind, Schema},
    store::Description,
};

impl<D: Dialect> SqlStore<D> {
    pub(super) async fn description(&self, schema: &Schema) -> Result<Description, StoreError> {
        let mut ddl = String::new();
        let (mut missing, mut privileges) = (Vec::new(), Vec::new());
        for (index, (schema, create)) in
            self.tables(&Table::new::<D>(schema)).into_iter().enumerate()
        {
            ddl.push_str(&create);
            let (table, is_library) = (Table::new::<D>(&schema).name, index > 0);
            privileges.extend(D::HAS_ROLES.then(|| privilege(&table, is_library)));
            missing.append(&mut self.missing(&schema, index > 0).await?);
        }
        Ok(Description::new(ddl, missing).journaling().computing().demanding(privileges))
    }

    /// Every table that a repository needs, with the DDL that creates it.
    pub(super) fn tables(&self, table: &Table<'_>) -> Vec<(Schema, String)> {
        let mut all = vec![(table.schema.clone(), create_table::<D>(table))];
        all.extend(tables::library::<D>());
        all
    }

    pub(super) async fn find(&self, table: &Table<'_>) -> Result<Found, StoreError> {
        Found::read::<D>(&self.read(|| Ok(vec![D::inspect(table)?])).await?)
    }

    async fn missing(&self, schema: &Schema, is_library: bool) -> Result<Vec<String>, StoreError> {
        let table = Table::new::<D>(schema);
        let name = schema.table();
        let found = self.find(&table).await?;
        self.tables.remember(schema, &found);
        if found.columns.is_empty() {
            return Ok(vec![format!("The table `{name}` does not exist.")]);
        }
        // The library reads times of its own nowhere.
        let checked = |c: &&ColumnSpec| !is_library || c.is_id() || !found.has(c);
        let mut missing: Vec<String> = schema
            .columns()
            .iter()
            .filter(checked)
            .filter_map(|c| found.lack::<D>(&table, c))
            .collect();
        if missing.is_empty() {
            missing
                .extend(found.sentences.iter().map(|flaw| format!("The table `{name}` {flaw}.")));
        }
        // A view has no index, and that is not what is wrong with it.
        if missing.is_empty() {
            missing.extend(found.flaw::<D>(&table));
        }
        Ok(missing)
    }
}

/// What a column that is added says of null, and what else is to be done: rows that are there already
/// have what journaled writes of older versions have in its place.
fn rule(column: &ColumnSpec) -> (String, &'static str) {
    let literal = match column.absent() {
        _ if column.is_nullable() => return (String::new(), ""),
        Some(Value::Bool(value)) => Some(value.to_string().to_uppercase()),
        Some(Value::I64(value)) => Some(value.to_string()),
        Some(Value::U64(value)) => Some(value.to_string()),
        Some(Value::F64(value)) if value.is_finite() => Some(format!("{value:?}")),
        // What databases read differently is left to a person.
        Some(Value::Text(text)) if !text.contains(['\\', '\0']) => {
            // In parentheses, without which MySQL gives no long text a default.
            Some(format!("('{}')", text.replace('\'', "''")))
        }
        _ => None,
    };
    match literal {
        Some(literal) => (format!(" NOT NULL DEFAULT {literal}"), ""),
        None => (String::new(), " Give each row a value then: the field is no `Option`."),
    }
}

/// What is done with a table. Rows of the library stay.
fn privilege(table: &str, is_library: bool) -> String {
    let delete = if is_library { "" } else { ", DELETE" };
    format!("SELECT, INSERT, UPDATE{delete} ON {table}")
}

/// What there is of a table.
pub(super) struct Found {
    /// Each with its declared type.
    pub(super) columns: Vec<(String, Option<String>)>,
    unique: Vec<Index>,
    /// What else is wrong.
    sentences: Vec<String>,
}

/// A unique index.
#[derive(Default)]
struct Index {
    /// Sorted. Each with the type or collation because of which it takes different texts for equal.
    columns: Vec<(String, Option<String>)>,
}

impl Index {
    fn is_on(&self, columns: &[&str]) -> bool {
        self.columns.iter().map(|(name, _)| name.as_str()).eq(columns.iter().copied())
    }

    /// Why two ids may be one row. Where a value has one spelling, no other is looked for.
    fn folds(&self, schema: &Schema) -> Option<&str> {
        let is_spelled = |name: &str| {
            schema.id_columns().any(|(_, c)| c.column() == name && c.kind().is_spelled())
        };
        let free = self.columns.iter().filter(|(name, _)| !is_spelled(name));
        free.filter_map(|(_, folds)| folds.as_deref()).next_back()
    }
}

impl Found {
    fn has(&self, column: &ColumnSpec) -> bool {
        self.columns.iter().any(|(found, _)| found == column.column())
    }

    /// Why a column of the schema cannot be kept in the table.
    fn lack<D: Dialect>(&self, table: &Table<'_>, column: &ColumnSpec) -> Option<String> {
        let (kind, name) = (column.kind(), table.schema.table());
        let wanted = D::column_type(kind, column.is_id());
        let (spec, column) = (column, column.column());
        let Some((_, declared)) = self.columns.iter().find(|(found, _)| found == column) else {
            if spec.is_generated() {
                return Some(format!(
                    "The table `{name}` has no column `{column}`, which the database is to compute: ALTER \
                     TABLE {} ADD COLUMN {} {wanted} GENERATED ALWAYS AS (…), with the expression.",
                    table.name,
                    quote::<D>(column)
                ));
            }
            let (rule, besides) = rule(spec);
            return Some(format!(
                "The table `{name}` has no column `{column}`: ALTER TABLE {} ADD COLUMN {} \
                 {wanted}{rule}.{besides}",
                table.name,
                quote::<D>(column)
            ));
        };
        let declared = declared.as_deref()?;
        match (declared == COMPUTED, spec.is_generated()) {
            (true, true) => return None,
            (false, false) => {}
            (true, false) => {
                return Some(format!(
                    "The column `{column}` of the table `{name}` is computed by the database, which lets \
                     nobody write it: say `#[cache(generated)]` on its field, which is then only read."
                ));
            }
            (false, true) => {
                return Some(format!(
                    "The column `{column}` of the table `{name}` is not computed by the database, and its \
                     field is `generated`, so that nobody would write it: take the attribute out."
                ));
            }
        }
        let wanted = D::misfit(kind, declared)?;
        let quoted = quote::<D>(column);
        Some(format!(
            "The column `{column}` of the table `{name}` is declared {declared}, which would change \
             values: it must be {wanted}{}.",
            remedy(D::retype(table, &quoted, wanted))
        ))
    }

    /// Why writes could hit another row than they mean.
    fn flaw<D: Dialect>(&self, table: &Table<'_>) -> Option<String> {
        let name = table.schema.table();
        let mut ids: Vec<_> = table.schema.id_columns().map(|(_, c)| c.column()).collect();
        ids.sort_unstable();
        let keys: Vec<_> = self.unique.iter().filter(|index| index.is_on(&ids)).collect();
        let ids = ids.join(", ");
        if keys.is_empty() {
            return Some(format!(
                "The table `{name}` has no primary key or unique index on exactly ({ids}): a write \
                 cannot tell which row to overwrite."
            ));
        }
        let folds = keys.iter().find_map(|index| index.folds(table.schema))?;
        let texts = table.schema.id_columns().filter(|(_, column)| column.kind() == Kind::Text);
        let retyped = texts.filter_map(|(index, column)| {
            let declared = self.columns.iter().find(|(name, _)| name == column.column());
            let declared = declared.and_then(|(_, declared)| declared.as_deref());
            let wanted =
                of_length(D::column_type(column.kind(), true), declared.unwrap_or_default());
            D::retype(table, &table.columns[index], &wanted)
        });
        let retyped = retyped.reduce(|all, next| format!("{all}; {next}"));
        Some(format!(
            "The key ({ids}) of the table `{name}` takes different ids for equal ({folds}), so that \
             one entity would overwrite another: give it a binary collation{}.",
            remedy(retyped)
        ))
    }

    fn read<D: Dialect>(rows: &[super::Row<D>]) -> Result<Self, StoreError> {
        let (mut columns, mut sentences) = (Vec::new(), Vec::new());
        let mut unique = BTreeMap::<i64, Index>::new();
        for row in rows {
            let index = D::value(row, 0, Kind::I64).map_err(StoreError::systemic)?;
            // An expression in an index has no name and makes the index another one.
            let name = text::<D>(row, 1)?.unwrap_or_default();
            match index {
                Value::I64(index) => {
                    let index = unique.entry(index).or_default();
                    index.columns.push((name, text::<D>(row, 2)?));
                }
                _ if name.is_empty() => sentences.extend(text::<D>(row, 2)?),
                _ => columns.push((name, text::<D>(row, 2)?)),
            }
        }
        unique.values_mut().for_each(|index| index.columns.sort_unstable());
        Ok(Self { columns, unique: unique.into_values().collect(), sentences })
    }
}

fn text<D: Dialect>(row: &super::Row<D>, index: usize) -> Result<Option<String>, StoreError> {
    match D::value(row, index, Kind::Text).map_err(StoreError::systemic)? {
        Value::Text(text) => Ok(Some(text.into_owned())),
        _ => Ok(None),
    }
}

pub(super) fn create_table<D: Dialect>(table: &Table<'_>) -> String {
    let mut lines: Vec<_> = std::iter::zip(table.schema.columns(), &table.columns)
        .filter(|(column, _)| !column.is_generated())
        .map(|(column, name)| {
            let null = if column.is_nullable() { "" } else { " NOT NULL" };
            format!("{name} {}{null}", D::column_type(column.kind(), column.is_id()))
        })
        .collect();
    lines.push(format!("PRIMARY KEY ({})", table.id_list()));
    create::<D>(&table.name, &lines)
}

pub(super) fn create<D: Dialect>(table: &str, lines: &[String]) -> String {
    let (lines, options) = (lines.join(",\n    "), D::TABLE_OPTIONS);
    format!("CREATE TABLE IF NOT EXISTS {table} (\n    {lines}\n){options};\n")
}

/// A type of the library with the length that a column has: rows and keys are made for it.
fn of_length(wanted: &str, declared: &str) -> String {
    match (wanted.strip_prefix("VARCHAR(255)"), declared.strip_prefix("varchar(")) {
        (Some(rest), Some(length)) => format!("VARCHAR({length}{rest}"),
        _ => wanted.to_owned(),
    }
}

fn remedy(sql: Option<String>) -> String {
    sql.map(|sql| format!(" ({sql})")).unwrap_or_default()
}

/// The type that a dialect declares a generated column to be of.
pub(super) const COMPUTED: &str = "computed";
