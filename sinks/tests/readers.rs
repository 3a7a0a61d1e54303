//! DuckDB, Polars and pyarrow read the archive without help.
//!
//! They are asked for with the Python that TAPEFLOW_PYTHON names, else `python3`.

use std::process::Command;

use dataflows::batch::Rows;
use proto::candle::Candle;
use serde_json::json;

use super::support::{Run, World, skipped};

const SCRIPT: &str = r#"
import sys, datetime, decimal
root = sys.argv[1]
import duckdb, polars, pyarrow.parquet as pq

# DuckDB: the whole dataset with its folders, and one file alone.
rows = duckdb.sql(f"""
    SELECT source, instrument, timeframe, day, epoch_us(start), close, volume, flags, trading_date
    FROM read_parquet('{root}/candles/**/*.parquet', hive_partitioning = true)
    ORDER BY start, instrument""").fetchall()
assert len(rows) == 2, rows
one = rows[0]
assert one[0:3] == ('mt4', 'EURUSD', '1m'), one
assert one[3] == datetime.date(2014, 5, 1), one
assert one[4] == 1398938400000000, one
assert one[5] == decimal.Decimal('1.234567891'), one
assert one[6] == decimal.Decimal('0.50000000'), one
assert one[7] == 'gap' and rows[1][7] is None, rows
assert rows[1][1] == 'S&P 500', rows
assert one[8] == datetime.date(2014, 5, 1), one
types = dict(duckdb.sql(f"DESCRIBE SELECT * FROM '{root}/candles/timeframe=1m/day=2014-05-01/candles.parquet'")
             .project('column_name, column_type').fetchall())
assert types['start'] == 'TIMESTAMP WITH TIME ZONE', types
assert types['close'] == 'DECIMAL(18,9)' and types['source'] == 'VARCHAR', types
ticks = duckdb.sql(f"SELECT instrument, nanos, sequence FROM read_parquet('{root}/ticks/**/*.parquet', hive_partitioning = true)").fetchall()
assert ticks == [('S&P 500', 789, 5)], ticks

# Polars: the folder as a hive.
frame = polars.scan_parquet(f'{root}/candles', hive_partitioning=True).sort('start').collect()
assert frame.height == 2, frame
assert frame['close'][0] == decimal.Decimal('1.234567891'), frame
assert frame['start'].dtype == polars.Datetime('us', 'UTC'), frame.schema
assert frame['day'][0] == datetime.date(2014, 5, 1), frame
only = polars.scan_parquet(f'{root}/candles', hive_partitioning=True).filter(polars.col('timeframe') == '1h').collect()
assert only['instrument'].to_list() == ['S&P 500'], only
ticks = polars.scan_parquet(f'{root}/ticks', hive_partitioning=True).collect()
assert ticks['instrument'].to_list() == ['S&P 500'], ticks

# pyarrow, and what Spark needs of the types: no nanoseconds, no dictionaries, no Arrow schema.
file = pq.ParquetFile(f'{root}/candles/timeframe=1m/day=2014-05-01/candles.parquet')
assert file.metadata.created_by == 'tapeflow', file.metadata
assert not file.schema_arrow.metadata, file.schema_arrow.metadata
for column in file.schema:
    assert column.physical_type in ('INT32', 'INT64', 'BYTE_ARRAY', 'BOOLEAN'), column
    assert 'nanoseconds' not in str(column.logical_type), column
assert pq.read_table(f'{root}/candles', partitioning=None).num_rows == 2
print('read')
"#;

#[test]
fn duckdb_polars_and_pyarrow_read_the_archive_without_help() {
    let python = std::env::var("TAPEFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", "import duckdb, polars, pyarrow"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return skipped(&format!("{python} has no duckdb, polars and pyarrow"));
    }
    let world = World::new();
    let rows = vec![
        Candle {
            flags: Candle::HAS_VOLUME | Candle::GAP,
            volume: "0.5".parse().unwrap(),
            ..world.candle("EURUSD", "1m", "2014-05-01T10:00:00", "1.234567891")
        },
        world.candle("S&P 500", "1h", "2014-05-02T10:00:00", "2"),
    ];
    world.run(Run::of("archive", json!({ "path": "candles" }), Rows::Candles(rows))).unwrap();
    let tick = world.tick("S&P 500", "2014-05-01T10:00:00.123456789Z", Some(5));
    world.run(Run::of("archive", json!({ "path": "ticks" }), Rows::Ticks(vec![tick]))).unwrap();
    let output = Command::new(&python).args(["-c", SCRIPT]).arg(world.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
