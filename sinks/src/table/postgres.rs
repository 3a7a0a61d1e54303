//! Rows into PostgreSQL: arrays unnested for small batches, COPY for big ones.
//!
//! A small COPY stalls some 40 ms in Nagle's algorithm, which the driver leaves on; one statement
//! with arrays is one round trip.

use proto::row::{Column, ColumnType, Values, write_number, write_time};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Error, Executor};

use super::layout::{Dialect, Layout, type_name};

/// From so many rows on COPY is quicker.
const COPY_ROWS_MIN: usize = 5_000;
/// COPY is fed in pieces of about so many bytes.
const COPY_BYTES: usize = 1 << 20;

pub(super) async fn insert(
    connection: &mut PgConnection,
    layout: &Layout,
    target: &str,
    values: &[Values],
) -> Result<(), Error> {
    match values.first().map_or(0, Values::len) {
        0 => Ok(()),
        rows if rows < COPY_ROWS_MIN => unnest(connection, layout, target, values).await,
        rows => copy(connection, layout, target, values, rows).await,
    }
}

async fn unnest(
    connection: &mut PgConnection,
    layout: &Layout,
    target: &str,
    values: &[Values],
) -> Result<(), Error> {
    let (mut arrays, mut names, mut selected) = (String::new(), String::new(), String::new());
    for (index, column) in layout.columns.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let array = match column.kind {
            ColumnType::Text => "text[]",
            ColumnType::Bytes => "bytea[]",
            _ => "bigint[]",
        };
        arrays.push_str(&format!("{comma}${}::{array}", index + 1));
        names.push_str(&format!("{comma}c{index}"));
        selected.push_str(&format!("{comma}{}", converted(column, index)));
    }
    let sql = format!(
        "INSERT INTO {target} AS t ({}) SELECT {selected} FROM UNNEST({arrays}) AS u({names}) {}",
        layout.column_list(),
        layout.on_conflict()
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (column, values) in layout.columns.iter().zip(values) {
        query = match values {
            Values::Text(values) => {
                query.bind(values.iter().map(Option::as_deref).collect::<Vec<Option<&str>>>())
            }
            Values::Bytes(values) => {
                query.bind(values.iter().map(Option::as_deref).collect::<Vec<Option<&[u8]>>>())
            }
            Values::Numbers(values) => match column.kind {
                ColumnType::Second | ColumnType::Time => query.bind(
                    values.iter().map(|ns| ns.map(|ns| ns.div_euclid(1_000))).collect::<Vec<_>>(),
                ),
                _ => query.bind(values),
            },
        };
    }
    query.execute(connection).await.map(|_| ())
}

/// The SQL that makes a column's value of the number that was sent.
fn converted(column: &Column, index: usize) -> String {
    match column.kind {
        ColumnType::Price => format!("u.c{index} * 0.000000001"),
        ColumnType::Quantity => format!("u.c{index} * 0.00000001"),
        ColumnType::Second | ColumnType::Time => {
            format!("timestamptz 'epoch' + u.c{index} * interval '1 microsecond'")
        }
        ColumnType::Date => format!("date 'epoch' + u.c{index}::integer"),
        _ => format!("u.c{index}"),
    }
}

async fn copy(
    connection: &mut PgConnection,
    layout: &Layout,
    target: &str,
    values: &[Values],
    rows: usize,
) -> Result<(), Error> {
    let mut columns = String::new();
    for column in &layout.columns {
        let comma = if columns.is_empty() { "" } else { ", " };
        let kind = type_name(column.kind, Dialect::Postgres);
        columns.push_str(&format!("{comma}\"{}\" {kind}", column.name));
    }
    connection
        .execute(AssertSqlSafe(format!(
            "CREATE TEMPORARY TABLE IF NOT EXISTS _tapeflow_load ({columns}) ON COMMIT DELETE ROWS"
        )))
        .await?;
    connection.execute("TRUNCATE pg_temp._tapeflow_load").await?;
    let mut feed = connection.copy_in_raw("COPY pg_temp._tapeflow_load FROM STDIN").await?;
    let mut text = String::with_capacity(COPY_BYTES + 4_096);
    for row in 0..rows {
        for (index, (column, values)) in layout.columns.iter().zip(values).enumerate() {
            text.push_str(if index == 0 { "" } else { "\t" });
            write_field(column, values, row, &mut text);
        }
        text.push('\n');
        if text.len() >= COPY_BYTES {
            feed.send(text.as_bytes()).await?;
            text.clear();
        }
    }
    feed.send(text.as_bytes()).await?;
    feed.finish().await?;
    let names = layout.column_list();
    let sql = format!(
        "INSERT INTO {target} AS t ({names}) SELECT {names} FROM pg_temp._tapeflow_load {}",
        layout.on_conflict()
    );
    connection.execute(AssertSqlSafe(sql)).await.map(|_| ())
}

/// Appends a value in COPY's text format.
fn write_field(column: &Column, values: &Values, row: usize, out: &mut String) {
    match values {
        Values::Text(values) => match values.get(row).and_then(Option::as_deref) {
            None => out.push_str("\\N"),
            Some(text) => {
                for character in text.chars() {
                    match character {
                        '\\' => out.push_str("\\\\"),
                        '\t' => out.push_str("\\t"),
                        '\n' => out.push_str("\\n"),
                        '\r' => out.push_str("\\r"),
                        '\0' => {} // PostgreSQL's text cannot hold it
                        other => out.push(other),
                    }
                }
            }
        },
        Values::Bytes(values) => match values.get(row).and_then(Option::as_deref) {
            None => out.push_str("\\N"),
            Some(bytes) => {
                out.push_str("\\\\x");
                for byte in bytes {
                    out.push_str(&format!("{byte:02x}"));
                }
            }
        },
        Values::Numbers(values) => match values.get(row).copied().flatten() {
            None => out.push_str("\\N"),
            Some(ns) if matches!(column.kind, ColumnType::Second | ColumnType::Time) => {
                write_time(ns, 6, out);
            }
            Some(value) => write_number(value, column.kind, out),
        },
    }
}
