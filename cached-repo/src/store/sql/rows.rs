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
        let width = table.columns.len();
        let head = format!("INSERT INTO {} ({}) VALUES", table.name, table.columns.join(", "));
        let mut statements = Vec::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let (chunk, behind_chunk) = rest.split_at(self.fitting(table, rest, width));
            let sql = format!("{head} {} {behind}", tuples(chunk.len(), width));
            let values = chunk.iter().flat_map(|row| row.iter().map(|(_, value)| value));
            statements.push(D::bind(sql, values)?);
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
        let (width, list) = (table.ids.len(), table.id_list());
        let most = self.most(width);
        ids.chunks(most)
            .map(|chunk| {
                // Filled up to a power of two with the last id: one statement, and few different ones.
                let len = chunk.len().next_power_of_two().min(most);
                let sql = match width {
                    1 => format!("{head} WHERE {list} IN {}", tuples(1, len)),
                    _ => format!("{head} WHERE ({list}) IN ({many_head}{})", tuples(len, width)),
                };
                let ids = chunk.iter().chain(chunk.last().into_iter().cycle()).take(len);
                D::bind(sql, ids.flat_map(|id| id.values()))
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

/// `(?, ?), (?, ?)`
pub(super) fn tuples(rows: usize, width: usize) -> String {
    let tuple = format!("({})", vec!["?"; width].join(", "));
    vec![tuple; rows].join(", ")
}

/// A statement of more bytes than this is not faster, and held in memory as a whole.
const BYTES_MAX: usize = 8 * 1024 * 1024;
