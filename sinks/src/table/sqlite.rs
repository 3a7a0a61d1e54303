//! Rows into SQLite: many rows a statement, times as RFC 3339 text, prices as REAL.
//!
//! A REAL holds fifteen significant digits of a decimal exactly, which is more than any venue
//! quotes.

use std::sync::Arc;

use proto::decimal::{Price, Quantity};
use proto::row::{Column, ColumnType, Values, write_date, write_time};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Error};

use super::layout::Layout;

/// The most values that one statement may bind.
const BINDS_MAX: usize = 32_766;

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    layout: &Layout,
    target: &str,
    values: &[Values],
) -> Result<(), Error> {
    let rows = values.first().map_or(0, Values::len);
    let chunk = BINDS_MAX / layout.columns.len().max(1);
    let full: Arc<str> = statement(layout, target, chunk.min(rows)).into();
    let mut start = 0;
    while start < rows {
        let count = chunk.min(rows - start);
        let is_full = count == chunk;
        let sql = if count == chunk.min(rows) {
            full.clone()
        } else {
            statement(layout, target, count).into()
        };
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(is_full);
        for row in start..start + count {
            for (column, values) in layout.columns.iter().zip(values) {
                query = bind(query, column, values, row);
            }
        }
        query.execute(&mut *connection).await?;
        start += count;
    }
    Ok(())
}

fn statement(layout: &Layout, target: &str, rows: usize) -> String {
    let width = layout.columns.len();
    let row = format!("({})", vec!["?"; width].join(","));
    let mut sql = format!("INSERT INTO {target} AS t ({}) VALUES ", layout.column_list());
    for index in 0..rows {
        sql.push_str(if index == 0 { "" } else { "," });
        sql.push_str(&row);
    }
    sql.push_str(&format!(" {}", layout.on_conflict()));
    sql
}

type Bound = Query<'static, Sqlite, SqliteArguments>;

fn bind(query: Bound, column: &Column, values: &Values, row: usize) -> Bound {
    match values {
        Values::Text(values) => query.bind(values.get(row).cloned().flatten()),
        Values::Bytes(values) => query.bind(values.get(row).cloned().flatten()),
        Values::Numbers(values) => {
            let value = values.get(row).copied().flatten();
            match column.kind {
                ColumnType::Price => query.bind(value.map(|v| Price::from_units(v).to_f64())),
                ColumnType::Quantity => query.bind(value.map(|v| Quantity::from_units(v).to_f64())),
                ColumnType::Second | ColumnType::Time => {
                    query.bind(value.map(|ns| time_text(ns, column.kind)))
                }
                ColumnType::Date => query.bind(value.map(|days| {
                    let mut text = String::with_capacity(10);
                    write_date(days, &mut text);
                    text
                })),
                _ => query.bind(value),
            }
        }
    }
}

/// A time as it stands in a column; texts of one column sort as the times do.
pub(super) fn time_text(ns: i64, kind: ColumnType) -> String {
    let mut text = String::with_capacity(27);
    write_time(ns, if kind == ColumnType::Second { 0 } else { 6 }, &mut text);
    text
}
