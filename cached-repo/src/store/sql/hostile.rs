//! The statements that are made for a schema, and how many parameters each is sent: for fuzz targets.

use sqlx::{Arguments, Database};

use super::{Dialect, Statement, StoreError, Table, describe};
use crate::{change::EntityId, record::Record, schema::Schema};

/// Whose words it is in, what is sent to be prepared, and how many values go with it.
pub(crate) type Rendered = (&'static str, String, usize);

/// Every statement on rows of an entity, and the DDL of its table, in each dialect of this build.
pub(crate) fn rendered(
    schema: &Schema,
    rows: &[&Record<'_>],
    ids: &[&EntityId],
) -> Result<Vec<Rendered>, StoreError> {
    let mut all = Vec::new();
    #[cfg(feature = "postgres")]
    all.append(&mut in_dialect::<super::Postgres>(schema, rows, ids)?);
    #[cfg(feature = "mysql")]
    all.append(&mut in_dialect::<super::MySql>(schema, rows, ids)?);
    #[cfg(feature = "sqlite")]
    all.append(&mut in_dialect::<super::Sqlite>(schema, rows, ids)?);
    Ok(all)
}

fn in_dialect<D: Dialect>(
    schema: &Schema,
    rows: &[&Record<'_>],
    ids: &[&EntityId],
) -> Result<Vec<Rendered>, StoreError> {
    let table = Table::new::<D>(schema);
    let mut statements = D::upserts(&table, rows)?;
    statements.append(&mut D::deletes(&table, ids)?);
    statements.append(&mut D::selects(&table, ids)?);
    statements.push(D::page(&table, None, 10)?);
    statements.push(D::page(&table, ids.first().copied(), 10)?);
    let mut all: Vec<_> = statements.into_iter().map(without_values).collect();
    let sql = describe::create_table::<D>(&table);
    all.push((D::NAME, sql, 0));
    Ok(all)
}

fn without_values<D: Dialect>(Statement { sql, arguments }: Statement<D>) -> Rendered {
    let parameters = <<D::Database as Database>::Arguments as Arguments>::len(&arguments);
    (D::NAME, sql, parameters)
}
