//! An entity's table, as SQL spells it.

use std::collections::HashMap;

use super::{Declared, Dialect, Row, Shape, StoreError};
use crate::{
    change::EntityId,
    record::{Record, Value},
    schema::{ColumnSpec, Schema},
    store::{self, RowError, check::refused, row},
};

/// A table with all its names quoted.
pub(in crate::store) struct Table<'a> {
    pub(super) schema: &'a Schema,
    pub(super) name: String,
    /// In the schema's order.
    pub(super) columns: Vec<String>,
    /// The type of each: as the library would declare it, until the database was asked.
    pub(super) declared: Vec<Declared>,
    /// The indices of the id columns.
    pub(super) ids: Vec<usize>,
    /// The indices of the columns that are written: all but those that the database computes.
    pub(super) written: Vec<usize>,
    /// So many bytes fit one statement.
    pub(super) bytes_max: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new<D: Dialect>(schema: &'a Schema) -> Self {
        let name = match split(schema.table()) {
            (Some(namespace), table) => format!("{}.{}", quote::<D>(namespace), quote::<D>(table)),
            (None, table) => quote::<D>(table),
        };
        let columns = schema.columns().iter().map(|c| quote::<D>(c.column())).collect();
        let ids = schema.id_columns().map(|(index, _)| index).collect();
        let all = schema.columns().iter().enumerate();
        let written = all.filter(|(_, c)| !c.is_generated()).map(|(index, _)| index).collect();
        // Of other kinds it is not looked at.
        let declared = schema.columns().iter().map(|c| match c.kind().is_spelled() {
            true => Declared::parse(D::column_type(c.kind(), c.is_id())),
            false => Declared::default(),
        });
        let declared = declared.collect();
        Self { schema, name, columns, declared, ids, written, bytes_max: usize::MAX }
    }

    /// The table with these types, by the names of the columns.
    pub(super) fn of(mut self, known: &HashMap<String, Declared>) -> Self {
        for (column, declared) in self.schema.columns().iter().zip(&mut self.declared) {
            if let Some(found) = known.get(column.column()) {
                declared.clone_from(found);
            }
        }
        self
    }

    /// A column's kind and type.
    pub(super) fn shape(&self, index: usize) -> Shape<'_> {
        let column = &self.schema.columns()[index];
        let declared = &self.declared[index];
        Shape { kind: column.kind(), is_id: column.is_id(), declared }
    }

    /// The names of the columns that have a field, as a JSON array.
    pub(super) fn mapped(&self) -> String {
        let names: Vec<_> = self.schema.columns().iter().map(|column| column.column()).collect();
        serde_json::json!(names).to_string()
    }

    pub(super) fn id_list(&self) -> String {
        let names: Vec<_> = self.ids.iter().map(|&i| self.columns[i].as_str()).collect();
        names.join(", ")
    }

    /// The columns that are written, as a list.
    pub(super) fn written_list(&self) -> String {
        let names: Vec<_> = self.written.iter().map(|&i| self.columns[i].as_str()).collect();
        names.join(", ")
    }

    /// The columns that are written to a row that is there.
    pub(super) fn assigned(&self) -> impl Iterator<Item = &str> {
        let others = self.written.iter().filter(|i| !self.ids.contains(i));
        others.map(|&i| self.columns[i].as_str())
    }

    /// Overwrites the mapped columns of a row that is there, and no others.
    #[cfg_attr(not(any(feature = "postgres", feature = "sqlite")), allow(dead_code))]
    pub(super) fn on_conflict(&self) -> String {
        let assigned = self.assigned().map(|column| format!("{column} = excluded.{column}"));
        let assigned: Vec<_> = assigned.collect();
        let action = match assigned.is_empty() {
            true => "NOTHING".to_owned(),
            false => format!("UPDATE SET {}", assigned.join(", ")),
        };
        format!("ON CONFLICT ({}) DO {action}", self.id_list())
    }

    /// Why the database cannot hold this id, if it cannot.
    pub(super) fn refusal<D: Dialect>(&self, id: &EntityId) -> Option<String> {
        let parts = self.ids.iter().zip(id.values());
        parts.into_iter().find_map(|(&index, value)| refusal::<D>(value, self.shape(index)))
    }

    /// Refuses a record with a value that the database cannot hold exactly.
    pub(super) fn check<D: Dialect>(&self, record: &Record<'_>) -> Result<(), StoreError> {
        for (index, value) in record.iter().filter(|(index, _)| self.written.contains(index)) {
            let column = &self.schema.columns()[index];
            if let Some(why) = refusal::<D>(value, self.shape(index)) {
                return Err(refused(column, format!("{} cannot hold {why}", D::NAME)));
            }
        }
        match row_bytes(record) {
            bytes if bytes > self.bytes_max => Err(StoreError::record(format!(
                "a row of {bytes} bytes: the server takes statements of {} bytes at most",
                self.bytes_max
            ))),
            _ => Ok(()),
        }
    }

    /// A row as a record, or why it is none.
    pub(super) fn loaded<D: Dialect>(&self, row: &Row<D>) -> store::Row {
        self.record::<D>(row).map_err(|e| {
            let read = |index, column: &ColumnSpec| D::value(row, index, column.kind()).ok();
            RowError::new(row::id_of(self.schema, read), e)
        })
    }

    pub(super) fn record<D: Dialect>(&self, row: &Row<D>) -> Result<Record<'static>, StoreError> {
        let columns = self.schema.columns();
        let mut record = Record::absent(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let value = match D::value(row, index, column.kind()) {
                Ok(Value::Null) if !row::may_be_null(column) => Err(row::NULL.to_owned()),
                value => value,
            };
            let value = value.map_err(|why| {
                refused(column, format!("a row of table `{}`: {why}", self.schema.table()))
            })?;
            record.set(index, value);
        }
        Ok(record)
    }
}

/// The namespace, if the name has one, and the table's name in it.
pub(super) fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once('.') {
        Some((namespace, table)) => (Some(namespace), table),
        None => (None, name),
    }
}

pub(super) fn quote<D: Dialect>(name: &str) -> String {
    let quote = D::QUOTE;
    let inner = name.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{inner}{quote}")
}

fn refusal<D: Dialect>(value: &Value<'_>, column: Shape<'_>) -> Option<String> {
    match value {
        Value::U64(v) if *v > D::U64_MAX => Some(format!("integers above {}", D::U64_MAX)),
        value => D::refusal(value, column),
    }
}

/// About how many bytes a row takes in a statement, rather more than less.
pub(super) fn row_bytes(row: &Record<'_>) -> usize {
    row.iter().map(|(_, value)| VALUE_BYTES + content_bytes(value)).sum()
}

fn content_bytes(value: &Value<'_>) -> usize {
    match value {
        Value::Text(v) | Value::Json(v) => v.len(),
        Value::Bytes(v) => v.len(),
        _ => 0,
    }
}

/// A number, its type, its bit among the nulls; or the length of a text.
const VALUE_BYTES: usize = 16;
