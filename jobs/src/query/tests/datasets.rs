//! Parquet datasets: what is seen of them, and how little is read.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Int64Array,
    ListArray, StringArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{Int32Type, Int64Type};

use super::{MAY, ask, counted, reals, refusal, tick_columns, write_parquet, write_ticks, written};
use crate::query::{Format, Table};

/// Two instruments times two days in folders; two row groups a file, an hour each.
fn archive() -> (tempfile::TempDir, Vec<Table>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, folder_name) in [("EUR/USD", "EUR%2FUSD"), ("GBPUSD", "GBPUSD")] {
        for day in 0..2_i64 {
            let start = MAY + day * 86_400_000_000;
            let rows: Vec<_> = (0..4)
                .map(|n| (name, start + n * 1_800_000_000, Some(1_384_100_000 + n), Some(n)))
                .collect();
            let path = format!("day=2014-05-0{}/instrument={folder_name}/0.parquet", day + 1);
            // As other writers do: the folder's key is in no column of the file.
            let mut columns = tick_columns(&rows);
            columns.remove(0);
            write_parquet(&folder.path().join(path), columns, 2);
        }
    }
    let tables = vec![Table::parquet("my-ticks", ".", folder.path())];
    (folder, tables)
}

#[test]
fn a_dataset_answers_to_its_name_quoted_or_with_underscores() {
    let (_folder, tables) = archive();
    assert_eq!(ask(&tables, "SELECT count(*) FROM \"my-ticks\"").unwrap(), "16\n");
    assert_eq!(ask(&tables, "SELECT count(*) FROM My_Ticks").unwrap(), "16\n");
    let both = "SELECT count(*) FROM my_ticks a, \"my-ticks\" b WHERE a.time = b.time";
    assert_eq!(ask(&tables, both).unwrap(), "32\n");
    let message = refusal(&tables, "SELECT * FROM my-ticks");
    assert!(message.contains("put a name with a dash in double quotes"), "{message}");
}

#[test]
fn columns_come_from_files_and_from_the_names_of_folders() {
    let (_folder, tables) = archive();
    let sql = "SELECT * FROM my_ticks ORDER BY time, instrument DESC LIMIT 2";
    assert_eq!(
        written(&tables, sql, Format::Csv).unwrap(),
        "time,bid,volume,day,instrument\n\
         2014-05-01T00:00:00.000000Z,1.3841,0,2014-05-01,GBPUSD\n\
         2014-05-01T00:00:00.000000Z,1.3841,0,2014-05-01,EUR/USD\n"
    );
}

#[test]
fn only_files_row_groups_and_columns_that_a_query_needs_are_read() {
    let (_folder, tables) = archive();
    // Nothing but footers for a count; files by folder; row groups by time; columns as named.
    let cases = [
        ("SELECT count(*) FROM my_ticks", "16\n", [4, 8, 0]),
        ("SELECT sum(volume) FROM my_ticks", "24\n", [4, 8, 8]),
        ("SELECT count(*) FROM my_ticks WHERE day = '2014-05-02'", "8\n", [2, 4, 0]),
        ("SELECT count(*) FROM my_ticks WHERE day < '2014-05-02'", "8\n", [2, 4, 0]),
        ("SELECT sum(volume) FROM my_ticks WHERE instrument = 'EUR/USD'", "12\n", [2, 4, 4]),
        ("SELECT count(*) FROM my_ticks WHERE instrument IN ('GBPUSD', 'x')", "8\n", [2, 4, 0]),
        ("SELECT count(*) FROM my_ticks WHERE instrument > 'F'", "8\n", [2, 4, 0]),
        ("SELECT count(*) FROM my_ticks WHERE time >= '2014-05-02'", "8\n", [2, 4, 4]),
        ("SELECT count(*) FROM my_ticks WHERE time < '2014-05-01T01'", "4\n", [2, 2, 2]),
        (
            "SELECT count(*) FROM my_ticks WHERE time BETWEEN '2014-05-01T01' AND '2014-05-02'",
            "4\n",
            [2, 2, 2],
        ),
        ("SELECT count(*) FROM my_ticks WHERE volume > 1", "8\n", [4, 4, 4]),
        ("SELECT count(*) FROM my_ticks WHERE volume IN (0, 7)", "4\n", [4, 4, 4]),
        ("SELECT count(*) FROM my_ticks WHERE bid = 1.384100003", "4\n", [4, 4, 4]),
        ("SELECT count(*) FROM my_ticks WHERE bid > 2", "0\n", [0, 0, 0]),
        // What cannot be told from bounds is read, and right.
        ("SELECT count(*) FROM my_ticks WHERE volume > '1'", "8\n", [4, 8, 8]),
        (
            "SELECT count(*) FROM my_ticks WHERE instrument = 'gbpusd' COLLATE NOCASE",
            "8\n",
            [4, 8, 0],
        ),
        ("SELECT count(*) FROM my_ticks WHERE volume = 1 OR volume = 2", "8\n", [4, 8, 8]),
    ];
    for (sql, rows, read) in cases {
        let found = counted(&tables, sql);
        // OR of one column becomes IN: fewer row groups are right, too.
        let is_read = found.1 == read || (sql.contains(" OR ") && found.1[1] <= read[1]);
        assert!(found.0 == rows && is_read, "{sql}: {found:?}, expected {rows:?} {read:?}");
    }
}

#[test]
fn folders_in_order_make_groups_without_sorting() {
    let (_folder, tables) = archive();
    let sql = "SELECT instrument, count(*), max(bid) FROM my_ticks GROUP BY 1";
    let plan = ask(&tables, &format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    assert_eq!(ask(&tables, sql).unwrap(), "EUR/USD,8,1.384100003\nGBPUSD,8,1.384100003\n");
    let sql = "SELECT DISTINCT day FROM my_ticks ORDER BY day DESC";
    assert_eq!(ask(&tables, sql).unwrap(), "2014-05-02\n2014-05-01\n");
}

#[test]
fn types_become_what_people_expect() {
    let folder = tempfile::tempdir().unwrap();
    let big = Decimal128Array::from(vec![123_456_789_012_345_678_901_i128]);
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), Some(2)])]);
    let dictionary: DictionaryArray<Int32Type> = ["x"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("flag", Arc::new(BooleanArray::from(vec![true]))),
        ("small", Arc::new(arrow::array::Int16Array::from(vec![-7]))),
        ("real", reals(&[0.1])),
        ("big", Arc::new(big.with_precision_and_scale(30, 3).unwrap())),
        ("second", Arc::new(TimestampMillisecondArray::from(vec![MAY / 1_000 + 5]))),
        ("date", Arc::new(Date32Array::from(vec![16_191]))),
        ("word", Arc::new(dictionary)),
        ("bytes", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
        ("list", Arc::new(list)),
        ("none", Arc::new(Int64Array::from(vec![None]))),
    ];
    write_parquet(&folder.path().join("a.parquet"), columns, 10);
    let tables = [Table::parquet("t", "a.parquet", folder.path())];
    assert_eq!(
        ask(&tables, "SELECT * FROM t").unwrap(),
        "1,-7,0.1,123456789012345678.901,2014-05-01T00:00:00.005Z,2014-05-01,x,00ff,\"[1, 2]\",\n"
    );
    let sql = "SELECT typeof(flag), typeof(big), typeof(bytes), typeof(none) FROM t";
    assert_eq!(ask(&tables, sql).unwrap(), "integer,text,blob,null\n");
}

#[test]
fn the_start_of_a_candle_is_written_as_table_sinks_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, seconds: Vec<i64>| {
        let frames = vec!["1m"; seconds.len()];
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("timeframe", Arc::new(StringArray::from(frames))),
            ("start", Arc::new(TimestampMillisecondArray::from(seconds))),
        ];
        write_parquet(&folder.path().join(name), columns, 1);
    };
    write("a.parquet", vec![MAY / 1_000, MAY / 1_000 + 60_000]);
    let tables = [Table::parquet("candles", ".", folder.path())];
    let all = "SELECT start FROM candles ORDER BY 1";
    assert_eq!(ask(&tables, all).unwrap(), "2014-05-01T00:00:00Z\n2014-05-01T00:01:00Z\n");
    let (rows, read) =
        counted(&tables, "SELECT start FROM candles WHERE start = '2014-05-01T00:01:00Z'");
    assert_eq!((rows.as_str(), read[1]), ("2014-05-01T00:01:00Z\n", 1));
    // Foreign files may have fractions: none is lost, none is pruned by mistake.
    write("b.parquet", vec![MAY / 1_000 + 500]);
    let sql = "SELECT count(*) FROM candles WHERE start = '2014-05-01T00:00:00.500Z'";
    assert_eq!(ask(&tables, sql).unwrap(), "1\n");
}

#[test]
fn files_with_different_columns_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let times = TimestampMillisecondArray::from(vec![MAY / 1_000]);
    write_parquet(&folder.path().join("a.parquet"), vec![("x", reals(&[1.5]))], 1);
    write_parquet(
        &folder.path().join("b.parquet"),
        vec![("X", Arc::new(Int64Array::from(vec![2])) as ArrayRef), ("time", Arc::new(times))],
        1,
    );
    let tables = [Table::parquet("t", "*.parquet", folder.path())];
    assert_eq!(ask(&tables, "SELECT * FROM t").unwrap(), "1.5,\n2,2014-05-01T00:00:00.000Z\n");
    assert_eq!(ask(&tables, "SELECT sum(x), count(time) FROM t").unwrap(), "3.5,1\n");
}

#[test]
fn numbers_that_are_shown_as_text_are_not_pruned_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let big = Decimal128Array::from(vec![9_000_i128, 9_500, 10_000]);
    let big: ArrayRef = Arc::new(big.with_precision_and_scale(30, 3).unwrap());
    write_parquet(&folder.path().join("a.parquet"), vec![("x", big)], 3);
    let tables = [Table::parquet("t", ".", folder.path())];
    assert_eq!(ask(&tables, "SELECT count(*) FROM t WHERE x = '9.500'").unwrap(), "1\n");

    // Two files that disagree: the column is text in both.
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![9, 95, 10]));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["95", "z"]));
    write_parquet(&folder.path().join("b/a.parquet"), vec![("x", numbers)], 3);
    write_parquet(&folder.path().join("b/b.parquet"), vec![("x", words)], 3);
    let tables = [Table::parquet("t", "b", folder.path())];
    assert_eq!(ask(&tables, "SELECT count(*) FROM t WHERE x = 95").unwrap(), "2\n");
    assert_eq!(ask(&tables, "SELECT max(x), count(DISTINCT typeof(x)) FROM t").unwrap(), "z,1\n");
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.parquet");
    let tables = [Table::parquet("t", ".", folder.path())];
    std::fs::write(&path, "PAR1 this is not Parquet PAR1").unwrap();
    let message = refusal(&tables, "SELECT * FROM t");
    assert!(message.contains("bad.parquet: cannot be read as Parquet"), "{message}");

    let rows: Vec<_> = (0..1_000).map(|n| ("EURUSD", MAY + n * 7_919, Some(n), Some(n))).collect();
    write_ticks(&path, &rows, 1_000);
    let good = std::fs::read(&path).unwrap();
    // A page in the middle is overwritten; the footer is whole.
    let mut bad = good.clone();
    bad[20..4_000].fill(0xa5);
    std::fs::write(&path, bad).unwrap();
    let message = refusal(&tables, "SELECT max(instrument), max(time), max(bid) FROM t");
    assert!(message.contains("bad.parquet: cannot be read as Parquet"), "{message}");
}

#[test]
fn a_number_that_sql_cannot_hold_is_an_error_and_not_a_null() {
    let folder = tempfile::tempdir().unwrap();
    let huge: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    write_parquet(&folder.path().join("a.parquet"), vec![("x", huge)], 1);
    let tables = [Table::parquet("t", ".", folder.path())];
    let message = refusal(&tables, "SELECT * FROM t");
    assert!(message.contains("a.parquet: column \"x\""), "{message}");
}

#[test]
fn a_dataset_that_is_not_there_yet_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let tables = [Table::parquet("t", "nothing", folder.path())];
    let message = refusal(&tables, "SELECT * FROM t");
    assert!(message.contains("nothing: there are no Parquet files here (yet)"), "{message}");
}
