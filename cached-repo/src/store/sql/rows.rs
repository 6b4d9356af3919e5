//! Statements of many rows, cut so that each is short enough and few different ones occur.

use super::{Dialect, Statement, StoreError, Table, table::row_bytes};
use crate::{change::EntityId, record::Record};

/// How a database whose parameters are all written as `?` cuts statements.
pub(super) struct Cut {
    /// How many parameters a statement may have.
    pub(super) parameters_max: usize,
    /// Longer statements are not faster.
    pub(super) rows_max: usize,
}

impl Cut {
    /// Inserts: `INSERT INTO … VALUES (…), (…)` and what is to stand behind.
    pub(super) fn inserts<D: Dialect>(
        &self,
        table: &Table<'_>,
        rows: &[&Record<'_>],
        behind: &str,
    ) -> Result<Vec<Statement<D>>, StoreError> {
        let width = table.written.len();
        let head = format!("INSERT INTO {} ({}) VALUES", table.name, table.written_list());
        let mut statements = Vec::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let (chunk, behind_chunk) = rest.split_at(self.fitting(table, rest, width));
            let sql = format!("{head} {} {behind}", tuples(chunk.len(), width));
            let cells = chunk.iter().flat_map(|row| table.written.iter().map(|&i| (i, row.get(i))));
            let held = |(index, value)| D::held(value, table.shape(index));
            let cells = cells.filter_map(|(index, value)| Some((index, value?)));
            let values: Vec<_> = cells.map(held).collect();
            statements.push(D::bind(sql, values.iter())?);
            rest = behind_chunk;
        }
        Ok(statements)
    }

    /// Statements on rows with these ids: of several parts an id is found in `(many_head (…), (…))`.
    pub(super) fn by_id<D: Dialect>(
        &self,
        head: &str,
        table: &Table<'_>,
        ids: &[&EntityId],
        many_head: &str,
    ) -> Result<Vec<Statement<D>>, StoreError> {
        let list = table.id_list();
        let places: Vec<_> = table.ids.iter().map(|&i| D::place(table.shape(i))).collect();
        let most = self.most(places.len());
        ids.chunks(most)
            .map(|chunk| {
                // Filled up to a power of two with the last id: one statement, and few different ones.
                let len = chunk.len().next_power_of_two().min(most);
                let sql = match places.as_slice() {
                    [place] => {
                        format!("{head} WHERE {list} IN ({})", vec![*place; len].join(", "))
                    }
                    places => {
                        let tuples = vec![format!("({})", places.join(", ")); len].join(", ");
                        format!("{head} WHERE ({list}) IN ({many_head}{tuples})")
                    }
                };
                let ids = chunk.iter().chain(chunk.last().into_iter().cycle()).take(len);
                let parts = ids.flat_map(|id| std::iter::zip(&table.ids, id.values()));
                let values: Vec<_> =
                    parts.map(|(&index, value)| D::held(value, table.shape(index))).collect();
                D::bind(sql, values.iter())
            })
            .collect()
    }

    /// How many of these rows the next statement takes: a power of two, so that few statements occur
    /// and stay prepared.
    fn fitting(&self, table: &Table<'_>, rows: &[&Record<'_>], width: usize) -> usize {
        let mut bytes = 0_usize;
        let fits = rows.iter().take(self.most(width)).take_while(|row| {
            bytes = bytes.saturating_add(row_bytes(row));
            bytes <= table.bytes_max.min(BYTES_MAX)
        });
        1 << fits.count().checked_ilog2().unwrap_or(0)
    }

    fn most(&self, width: usize) -> usize {
        (self.parameters_max / width.max(1)).clamp(1, self.rows_max)
    }
}

/// A page of rows, in the order of their ids.
pub(super) fn page<D: Dialect>(
    table: &Table<'_>,
    after: Option<&EntityId>,
    limit: u32,
) -> Result<Statement<D>, StoreError> {
    let (list, columns, name) = (table.id_list(), table.columns.join(", "), &table.name);
    let places: Vec<_> = table.ids.iter().map(|&i| D::place(table.shape(i))).collect();
    let behind = match after {
        Some(_) => format!(" WHERE ({list}) > ({})", places.join(", ")),
        None => String::new(),
    };
    let sql = format!("SELECT {columns} FROM {name}{behind} ORDER BY {list} LIMIT {limit}");
    let parts = after.into_iter().flat_map(|id| std::iter::zip(&table.ids, id.values()));
    let values: Vec<_> = parts.map(|(&i, value)| D::held(value, table.shape(i))).collect();
    D::bind(sql, values.iter())
}

/// `(?, ?), (?, ?)`
pub(super) fn tuples(rows: usize, width: usize) -> String {
    let tuple = format!("({})", vec!["?"; width].join(", "));
    vec![tuple; rows].join(", ")
}

/// A statement of more bytes than this is not faster, and held in memory as a whole.
const BYTES_MAX: usize = 8 * 1024 * 1024;
