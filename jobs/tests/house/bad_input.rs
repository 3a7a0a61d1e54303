//! Bad input: a clear error or a clean stop, a code that is not zero, nothing half-written.

use std::fs;

use crate::support::Desk;

fn job(source: &str, sink: &str) -> String {
    format!(
        r#"
job: bad
sources:
  ticks: {source}
operators:
  candles: {{ type: ohlcv, input: ticks, timeframes: [1m] }}
sinks:
  out: {sink}
"#
    )
}

const TABLE: &str = r#"{ type: table, input: candles.closed, url: "sqlite:out.db" }"#;
const ARCHIVE: &str = "{ type: archive, input: candles.closed, path: out }";
const CSV: &str = "{ type: file, path: ticks.csv, source: mt4, instrument: EURUSD }";

#[test]
fn five_mistakes_are_five_complaints_with_places_and_the_nearest_name() {
    let desk = Desk::new();
    let text = "job: five
sources:
  ticks: { type: simulatr, seed: 1 }
operators:
  candles:
    type: ohlcv
    input: tickz
    timeframes: [1m, 7x]
    latenes: 2s
sinks:
  table: { type: table, input: candles.close, url: 5 }
";
    desk.write("five.yaml", text);
    let said = desk.fail(2, &["validate", "five.yaml"]);
    for place in ["five.yaml:3:", "five.yaml:7:", "five.yaml:8:", "five.yaml:9:", "five.yaml:11:"] {
        assert!(said.contains(place), "{place} is missing in\n{said}");
    }
    for nearest in ["simulator", "ticks", "lateness", "closed"] {
        assert!(said.contains(nearest), "{nearest} is missing in\n{said}");
    }
    desk.fail(2, &["run", "five.yaml"]);
    assert_eq!(desk.files("").len(), 1, "nothing was written");
}

#[test]
fn every_wrong_value_of_one_component_is_told_at_once() {
    let desk = Desk::new();
    let text = "job: many
sources:
  ticks: { type: simulator }
operators:
  candles:
    type: ohlcv
    input: ticks
    timeframes: [1m, 7x, 5m, 8y]
    lateness: soon
    idle: later
    bassis: ask
sinks:
  out: { type: console, input: candles }
";
    desk.write("job.yaml", text);
    let said = desk.fail(2, &["validate", "job.yaml"]);
    for place in ["job.yaml:8:22: ", "job.yaml:8:30: ", "job.yaml:9:", "job.yaml:10:", ":11:5: "] {
        assert!(said.contains(place), "{place} is missing in\n{said}");
    }
    assert!(said.contains("5 mistakes"), "{said}");
}

#[test]
fn a_setting_that_says_nothing_of_what_comes_in_is_seen_before_the_run() {
    let desk = Desk::new();
    let text = "job: misplaced
sources:
  ticks: { type: simulator }
operators:
  some:
    type: filter
    input: ticks
    timeframes: [1m]
sinks:
  out:
    type: archive
    input: some
    path: out
    partition: [day, timeframe]
";
    desk.write("job.yaml", text);
    let said = desk.fail(2, &["validate", "job.yaml"]);
    for place in ["job.yaml:8:17: the input carries ticks", "job.yaml:14:22: ticks have no"] {
        assert!(said.contains(place), "{place} is missing in\n{said}");
    }
}

#[test]
fn a_missing_job_and_a_wrong_verb_are_usage_errors() {
    let desk = Desk::new();
    assert!(desk.fail(2, &["run", "nowhere.yaml"]).contains("nowhere.yaml"));
    desk.fail(2, &["rn"]);
    desk.fail(2, &["backfill", "candles", "--from", "2024-03-08", "--to", "2024-03-07"]);
}

#[test]
fn a_truncated_parquet_file_is_named() {
    let desk = Desk::new();
    desk.write(
        "made.yaml",
        &job(
            "{ type: simulator, seed: 1, from: 2024-03-07T12:00:00Z, duration: 10m }",
            "{ type: archive, input: ticks, path: lake, partition: [day] }",
        ),
    );
    desk.succeed(&["run", "made.yaml"]);
    let (name, bytes) = desk.files("lake").into_iter().next().unwrap();
    for length in [0, 3, bytes.len() / 2, bytes.len() - 1] {
        fs::write(desk.path().join(&name), &bytes[..length]).unwrap();
        let source = "{ type: archive, path: lake }";
        desk.write("read.yaml", &job(source, TABLE));
        let said = desk.fail(1, &["run", "read.yaml", "--fresh"]);
        assert!(said.contains("lake"), "{said}");
    }
}

#[test]
fn a_broken_line_is_rejected_with_its_place_and_the_rest_goes_on() {
    let desk = Desk::new();
    desk.write(
        "ticks.csv",
        "time,bid\n2024-03-07T12:00:00Z,1.1\n2024-03-07T12:00:01Z,abc\n2024-03-07T12:00:02Z,1.2\n",
    );
    let sinks = r#"{ type: file, input: ticks.dead, path: dead.jsonl }
  table: { type: table, input: candles.closed, url: "sqlite:out.db", table: candles }"#;
    desk.write("job.yaml", &job(CSV, sinks));
    desk.succeed(&["run", "job.yaml"]);
    let dead = fs::read_to_string(desk.path().join("dead.jsonl")).unwrap();
    assert!(dead.contains("ticks.csv:3"), "{dead}");
    assert_eq!(desk.rows("out.db", "SELECT ticks FROM candles"), ["Integer(2)"]);
}

#[test]
fn an_unknown_column_is_named_with_what_there_is() {
    let desk = Desk::new();
    desk.write("ticks.csv", "when,bid\n2024-03-07T12:00:00Z,1.1\n");
    let source =
        "{ type: file, path: ticks.csv, source: a, instrument: b, columns: { time: wen } }";
    desk.write("job.yaml", &job(source, ARCHIVE));
    let said = desk.fail(1, &["run", "job.yaml"]);
    assert!(said.contains("wen") && said.contains("when"), "{said}");
    assert!(desk.files("out").is_empty());
}

#[test]
fn an_unwritable_place_is_named() {
    let desk = Desk::new();
    desk.write("ticks.csv", "time,bid\n2024-03-07T12:00:00Z,1.1\n");
    desk.write("out", "a file where a folder should be");
    desk.write("job.yaml", &job(CSV, ARCHIVE));
    let said = desk.fail(1, &["run", "job.yaml"]);
    assert!(said.contains("out"), "{said}");
    let table = r#"{ type: table, input: candles.closed, url: "sqlite:out/x.db" }"#;
    desk.write("job.yaml", &job(CSV, table));
    let said = desk.fail(1, &["run", "job.yaml"]);
    assert!(said.contains("out: cannot be made"), "the folder is named: {said}");
}

#[test]
fn two_sinks_never_mix_their_rows_in_one_file() {
    let desk = Desk::new();
    desk.write("ticks.csv", "time,bid\n2024-03-07T12:00:00Z,1.1\n");
    let sinks = "{ type: file, input: candles.closed, path: out.csv }
  other: { type: file, input: ticks, path: out.csv }";
    desk.write("job.yaml", &job(CSV, sinks));
    let said = desk.fail(1, &["run", "job.yaml"]);
    assert!(said.contains("out.csv") && said.contains("another run or sink"), "{said}");
    let files = desk.files("").into_keys();
    // What is hidden is the first sink's, who may go on with it.
    let is_seen = |name: &std::path::PathBuf| {
        !name.starts_with("tapeflow-data/state") && !name.to_string_lossy().starts_with('.')
    };
    let left: Vec<_> = files.filter(is_seen).collect();
    assert_eq!(left.len(), 2, "the job and its ticks: {left:?}");
}

#[test]
fn a_full_disk_ends_the_run_with_nothing_half_written() {
    // A file size limit stands in for the full disk: writing beyond it fails in the same places.
    let desk = Desk::new();
    let source = "{ type: simulator, seed: 1, from: 2024-03-07T12:00:00Z, duration: 4h }";
    // Without a journal, which would be the first to meet the limit.
    let job = format!("{}state: {{ durable: false }}\n", job(source, ARCHIVE));
    desk.write("job.yaml", &job);
    let binary = env!("CARGO_BIN_EXE_tapeflow");
    let script = format!("trap '' XFSZ; ulimit -f 8; exec {binary} run job.yaml");
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(desk.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("out"), "{said}");
    let left: Vec<_> = desk.files("out").into_keys().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_in_good_order_with_code_130() {
    let desk = Desk::new();
    let source = "{ type: simulator, seed: 1, from: 2024-03-07T12:00:00Z, duration: 300d }";
    desk.write("job.yaml", &job(source, ARCHIVE));
    let mut child =
        desk.command(&["run", "job.yaml"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // The archive's first whole day is the sign that the run is well under way.
    while desk.files("out").is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    for name in desk.files("out").keys() {
        assert!(name.extension().is_some_and(|extension| extension == "parquet"), "{name:?}");
    }
}
