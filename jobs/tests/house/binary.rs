//! The binary as a user calls it.

use crate::support::Desk;

const SMALL: &str = r#"
job: small
sources:
  ticks: { type: simulator, seed: 5, from: 2024-03-07T12:00:00Z, duration: 2h }
operators:
  clean: { type: clean, input: ticks }
  unique: { type: dedupe, input: clean }
  candles: { type: ohlcv, input: unique }
sinks:
  table: { type: table, input: candles.closed, url: "sqlite:data/small.db", table: candles }
  candle-archive: { type: archive, input: candles.closed, path: data/candles }
  ticks-archive: { type: archive, input: unique, path: data/ticks }
"#;

const CANDLES: &str = "SELECT * FROM candles ORDER BY source, instrument, timeframe, start";

/// Says the first row that differs, not thousands.
fn assert_rows(found: &[String], expected: &[String]) {
    let differs = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert_eq!(differs, None, "a row found, and what was expected");
    assert_eq!(found.len(), expected.len(), "number of rows");
}

#[test]
fn a_job_runs_and_its_table_can_be_asked() {
    let desk = Desk::new();
    desk.write("small.yaml", SMALL);
    desk.succeed(&["run", "small.yaml"]);
    let sql = "SELECT count(*) AS n, min(low) > 0 AS positive FROM candles WHERE timeframe = '1m'";
    let said = desk.succeed(&["query", "small.yaml", sql, "--output", "csv"]);
    let cells: Vec<&str> = said.lines().nth(1).unwrap().split(',').collect();
    assert!(cells[0].parse::<u64>().unwrap() > 100, "{said}");
    assert_eq!(cells[1], "1");
}

#[test]
fn the_summary_is_json_on_stdout_when_asked() {
    let desk = Desk::new();
    desk.write("small.yaml", SMALL);
    let said = desk.succeed(&["run", "small.yaml", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["complete"], true);
    assert!(report["sources"][0]["records"].as_u64().unwrap() > 1_000);
}

#[test]
fn running_twice_gives_the_same_table_and_the_same_files() {
    let desk = Desk::new();
    desk.write("small.yaml", SMALL);
    desk.succeed(&["run", "small.yaml"]);
    let (rows, files) = (desk.rows("data/small.db", CANDLES), desk.files("data/candles"));
    let ticks = desk.files("data/ticks");
    desk.succeed(&["run", "small.yaml"]);
    assert_rows(&desk.rows("data/small.db", CANDLES), &rows);
    assert!(desk.files("data/candles") == files);
    assert!(desk.files("data/ticks") == ticks);
}

#[test]
fn a_backfill_of_what_is_there_changes_nothing_and_mends_what_was_broken() {
    let desk = Desk::new();
    desk.write("small.yaml", SMALL);
    desk.succeed(&["run", "small.yaml"]);
    let rows = desk.rows("data/small.db", CANDLES);
    let files = desk.files("data/candles");
    let range = ["--from", "2024-03-07T12:30:00Z", "--to", "2024-03-07T13:15:00Z"];
    let backfill = |more: &[&str]| {
        desk.succeed(&[&["backfill", "small.yaml"], &range[..], more].concat());
    };
    backfill(&[]);
    assert_rows(&desk.rows("data/small.db", CANDLES), &rows);
    assert!(desk.files("data/candles") == files, "the same bytes");

    let connection = rusqlite::Connection::open(desk.path().join("data/small.db")).unwrap();
    let within = "start >= '2024-03-07T12:30:00Z' AND start < '2024-03-07T13:15:00Z'";
    let harm = format!("UPDATE candles SET high = 9 WHERE {within}");
    assert!(connection.execute(&harm, []).unwrap() > 0);
    backfill(&["--dry-run"]);
    let broken: i64 = connection
        .query_row("SELECT count(*) FROM candles WHERE high = 9", [], |row| row.get(0))
        .unwrap();
    assert!(broken > 0, "a dry run changes nothing");
    backfill(&[]);
    let prices = "SELECT source, instrument, timeframe, start, open, high, low, close, ticks \
                  FROM candles ORDER BY 1, 2, 3, 4";
    let mended = desk.rows("data/small.db", prices);
    let again = Desk::new();
    again.write("small.yaml", SMALL);
    again.succeed(&["run", "small.yaml"]);
    assert_rows(&mended, &again.rows("data/small.db", prices));
}

#[test]
fn a_backfill_of_a_range_without_ticks_changes_nothing_and_says_so() {
    let desk = Desk::new();
    desk.write("small.yaml", SMALL);
    desk.succeed(&["run", "small.yaml"]);
    let (rows, files) = (desk.rows("data/small.db", CANDLES), desk.files("data/candles"));

    let range = ["--from", "2024-03-07T18:00:00Z", "--to", "2024-03-07T19:00:00Z"];
    let said = desk.fail(1, &[&["backfill", "small.yaml"], &range[..]].concat());
    assert!(said.contains("no ticks"), "{said}");
    assert_eq!(desk.rows("data/small.db", CANDLES), rows);
    assert!(desk.files("data/candles") == files);
}

#[test]
fn a_job_is_drawn_three_ways() {
    let desk = Desk::new();
    assert!(desk.succeed(&["graph", "candles"]).contains("\nflowchart LR\n"));
    assert!(desk.succeed(&["graph", "candles", "--format", "dot"]).contains("digraph"));
    assert!(desk.succeed(&["graph", "candles", "--format", "svg"]).contains("<svg"));
}

#[test]
fn components_explain_themselves() {
    let desk = Desk::new();
    let list = desk.succeed(&["components"]);
    for name in ["archive", "simulator", "ohlcv", "dedupe", "table", "console"] {
        assert!(list.contains(name), "{name}");
        assert!(desk.succeed(&["components", name]).contains(name));
    }
    desk.fail(2, &["components", "ohlc"]);
    assert!(desk.succeed(&["schema"]).contains("\"ohlcv\""));
    assert!(desk.succeed(&["completions", "bash"]).contains("tapeflow"));
}

#[test]
fn foreign_files_become_an_archive() {
    let desk = Desk::new();
    desk.write(
        "ticks.csv",
        "Date,Bid,Ask\n2024-03-07 12:00:00.100,1.1,1.2\n2024-03-07 12:00:01,oops,1.2\n\
         2024-03-07 12:00:02,1.3,1.4\n",
    );
    let from = ["--columns", "time=Date,bid=Bid,ask=Ask", "--source", "mt4"];
    let to = ["--instrument", "EURUSD", "--to", "lake"];
    desk.succeed(&[&["import", "ticks.csv"], &from[..], &to[..]].concat());
    assert_eq!(desk.files("lake").len(), 1);
    let rejects = std::fs::read_to_string(desk.path().join("lake-rejects.jsonl")).unwrap();
    assert!(rejects.contains("ticks.csv:3"), "{rejects}");
}
