//! Checkpoints, recordings, replays and proofs, as a user calls them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Desk, real_data};

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
  lines: { type: file, input: candles.closed, path: data/candles.csv }
"#;

const STATE: &str = "tapeflow-data/state/small";

fn small() -> Desk {
    let desk = Desk::new();
    desk.write("small.yaml", SMALL);
    desk
}

/// The only file whose path ends so.
fn file(desk: &Desk, folder: &str, end: &str) -> PathBuf {
    let all = desk.files(folder);
    let mut fitting = all.keys().filter(|path| path.to_string_lossy().ends_with(end));
    desk.path().join(fitting.next().unwrap())
}

fn flip(path: &PathBuf, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

#[test]
fn checkpoints_are_listed_shown_and_good() {
    let desk = small();
    let said = desk.fail(1, &["checkpoint", "list", "small.yaml"]);
    assert!(said.contains("no checkpoints"), "{said}");
    desk.succeed(&["run", "small.yaml"]);
    let list = desk.succeed(&["checkpoint", "list", "small.yaml", "--output", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let newest = &list[0];
    assert_eq!((&newest["good"], &newest["is_last"]), (&Value::Bool(true), &Value::Bool(true)));
    let epoch = newest["epoch"].to_string();
    assert!(desk.succeed(&["checkpoint", "list", "small.yaml"]).contains(&epoch));

    let shown = desk.succeed(&["checkpoint", "show", "small.yaml", &epoch, "--output", "json"]);
    let manifest: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(manifest["sources"][0]["id"], "ticks");
    let shown = desk.succeed(&["checkpoint", "show", "small.yaml"]);
    assert!(shown.contains("candles (ohlcv)") && shown.contains("ticks-archive"), "{shown}");
    desk.fail(1, &["checkpoint", "show", "small.yaml", "999999"]);
    assert!(desk.succeed(&["checkpoint", "verify", "small.yaml"]).starts_with("good"));
}

#[test]
fn what_is_damaged_is_named_and_left_as_it_is() {
    let desk = small();
    desk.succeed(&["run", "small.yaml"]);
    let journal = file(&desk, STATE, ".journal");
    let whole = fs::read(&journal).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(&[7; 40]);
    fs::write(&journal, &torn).unwrap();
    desk.succeed(&["checkpoint", "verify", "small.yaml"]);
    assert!(fs::read(&journal).unwrap() == torn, "a torn end is for the next start to cut");
    fs::write(&journal, &whole).unwrap();

    let pack = file(&desk, &format!("{STATE}/checkpoints/packs"), ".pack");
    flip(&pack, 0);
    let before = desk.files(STATE);
    let said = desk.fail(3, &["checkpoint", "verify", "small.yaml"]);
    assert!(said.contains(pack.file_name().unwrap().to_str().unwrap()), "{said}");
    let list = desk.succeed(&["checkpoint", "list", "small.yaml", "--output", "json"]);
    assert!(list.contains("\"good\": false"), "{list}");
    assert!(desk.files(STATE) == before, "nothing was changed");
}

#[test]
fn a_record_that_is_damaged_is_named() {
    let desk = small();
    desk.succeed(&["run", "small.yaml"]);
    let record = file(&desk, &format!("{STATE}/checkpoints/records"), ".json");
    flip(&record, 3);
    let said = desk.fail(3, &["checkpoint", "verify", "small.yaml"]);
    assert!(said.contains(record.file_name().unwrap().to_str().unwrap()), "{said}");
}

const LIVE: &str = r#"
job: live
state: { checkpoint: { every: 1h } }
sources:
  ticks: { type: simulator, seed: 5, speed: 1 }
operators:
  candles: { type: ohlcv, input: ticks }
sinks:
  table: { type: table, input: candles.closed, url: "sqlite:live.db", table: candles }
"#;

#[test]
fn a_running_job_takes_a_checkpoint_when_asked_and_keeps_others_out() {
    let desk = Desk::new();
    desk.write("live.yaml", LIVE);
    let trigger = ["checkpoint", "trigger", "live.yaml", "--output", "json"];
    desk.fail(1, &trigger);
    let mut child = desk.command(&["run", "live.yaml", "--quiet"]).spawn().unwrap();
    let begun = Instant::now();
    let said = loop {
        let output = desk.call(&trigger);
        if output.status.success() {
            break String::from_utf8(output.stdout).unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the job does not start");
    };
    let epoch = serde_json::from_str::<Value>(&said).unwrap()["epoch"].as_u64().unwrap();
    assert!(epoch > 0);
    let said = desk.fail(1, &["checkpoint", "gc", "live.yaml", "--yes"]);
    assert!(said.contains("another process runs job live"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    let list = desk.succeed(&["checkpoint", "list", "live.yaml", "--output", "json"]);
    assert!(list.contains(&format!("\"epoch\": {epoch}")), "{list}");
    desk.succeed(&["checkpoint", "verify", "live.yaml"]);
    desk.succeed(&["checkpoint", "gc", "live.yaml", "--yes"]);
}

#[test]
fn checkpoints_that_are_not_kept_are_removed_only_when_that_is_said() {
    let desk = small();
    desk.succeed(&["run", "small.yaml"]);
    desk.fail(2, &["checkpoint", "gc", "small.yaml"]);
    let before = desk.files(STATE);
    desk.succeed(&["checkpoint", "gc", "small.yaml", "--keep", "1", "--dry-run"]);
    assert!(desk.files(STATE) == before);
    let stray = format!("{STATE}/checkpoints/packs/00000000000000000001-0-0.pack");
    desk.write(&stray, "left by a crash");
    let said = desk.succeed(&["checkpoint", "gc", "small.yaml", "--keep", "1", "--yes"]);
    assert!(said.contains("-0-0.pack"), "{said}");
    assert!(!desk.path().join(&stray).exists());
    desk.succeed(&["checkpoint", "verify", "small.yaml"]);
}

#[test]
fn a_recording_gives_the_same_results_as_the_job_and_as_itself() {
    let desk = small();
    desk.succeed(&["run", "small.yaml"]);
    desk.succeed(&["record", "small.yaml", "--recording", "tape"]);
    let production = desk.files("data");
    desk.succeed(&["replay", "small.yaml", "--recording", "tape", "--out", "one"]);
    assert!(desk.files("data") == production, "the job's own results are not touched");
    assert!(desk.files("one/data/candles").values().eq(desk.files("data/candles").values()));
    assert!(desk.files("one/data/ticks").values().eq(desk.files("data/ticks").values()));
    let replay = ["replay", "small.yaml", "--recording", "tape", "--expect", "one"];
    let said = desk.succeed(&[&replay[..], &["--workers", "3"]].concat());
    assert!(said.starts_with("identical: "), "{said}");
    assert!(said.contains("1 table"), "{said}");
}

#[test]
fn a_replay_that_differs_says_where() {
    let desk = small();
    desk.succeed(&["record", "small.yaml", "--recording", "tape"]);
    desk.succeed(&["replay", "small.yaml", "--recording", "tape", "--out", "one"]);
    let database = rusqlite::Connection::open(desk.path().join("one/data/small.db")).unwrap();
    let harm = "UPDATE candles SET high = 9 WHERE timeframe = '1h' AND instrument = \
                (SELECT min(instrument) FROM candles)";
    assert!(database.execute(harm, []).unwrap() > 0);
    drop(database);
    let lines = desk.path().join("one/data/candles.csv");
    let text = fs::read_to_string(&lines).unwrap();
    fs::write(&lines, text.replacen(",1m,", ",1h,", 1)).unwrap();
    let said = desk.fail(3, &["replay", "small.yaml", "--recording", "tape", "--expect", "one"]);
    assert!(said.contains("high: found "), "{said}");
    assert!(said.contains("expected 9"), "{said}");
    assert!(said.contains("candles.csv: row 2"), "{said}");
}

#[test]
fn a_recording_is_not_written_over_and_fits_only_its_job() {
    let desk = small();
    desk.fail(2, &["record", "small.yaml", "--recording", "tape", "--continue"]);
    desk.succeed(&["record", "small.yaml", "--recording", "tape"]);
    desk.fail(2, &["record", "small.yaml", "--recording", "tape"]);
    desk.succeed(&["record", "small.yaml", "--recording", "tape", "--continue"]);
    desk.write(
        "other.yaml",
        &SMALL.replace("ticks: {", "quotes: {").replace("input: ticks", "input: quotes"),
    );
    let said = desk.fail(2, &["replay", "other.yaml", "--recording", "tape"]);
    assert!(said.contains("`ticks`"), "{said}");
    desk.fail(2, &["replay", "small.yaml", "--recording", "data"]);
    desk.write("full/file", "x");
    desk.fail(2, &["replay", "small.yaml", "--recording", "tape", "--out", "full"]);
}

#[test]
fn a_live_recording_ends_when_its_time_is_up_and_is_replayed_at_its_own_pace() {
    let desk = Desk::new();
    desk.write("live.yaml", LIVE);
    desk.succeed(&["record", "live.yaml", "--recording", "tape", "--for", "1s"]);
    let replay = ["replay", "live.yaml", "--recording", "tape"];
    desk.succeed(&[&replay[..], &["--out", "one"]].concat());
    let begun = Instant::now();
    desk.succeed(&[&replay[..], &["--expect", "one", "--speed", "1"]].concat());
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    desk.fail(2, &[&replay[..], &["--speed", "0"]].concat());
}

#[test]
fn real_ticks_of_two_sources_are_replayed_to_the_same_bytes_with_any_number_of_workers() {
    let Some(data) = real_data() else { return };
    let source = |name: &str| {
        let path = data.join(format!("ticks/{name}-EURUSD-2014-05.parquet"));
        format!(
            "{{ type: file, path: {}, source: {name}, instrument: EURUSD, columns: {{ time: ts }} }}",
            path.display()
        )
    };
    let desk = Desk::new();
    let job = format!(
        "job: real\nsources:\n  fxcm: {}\n  oanda: {}\noperators:\n  clean: {{ type: clean, input: \
         [fxcm, oanda] }}\n  unique: {{ type: dedupe, input: clean }}\n  candles: {{ type: ohlcv, \
         input: unique }}\nsinks:\n  table: {{ type: table, input: candles.closed, url: \
         \"sqlite:real.db\", table: candles }}\n  candle-archive: {{ type: archive, input: \
         candles.closed, path: candles }}\n",
        source("fxcm"),
        source("oanda")
    );
    desk.write("real.yaml", &job);
    desk.succeed(&["record", "real.yaml", "--recording", "tape"]);
    let replay = ["replay", "real.yaml", "--recording", "tape"];
    desk.succeed(&[&replay[..], &["--out", "one", "--workers", "1"]].concat());
    for workers in ["2", "4", "8"] {
        let more = ["--expect", "one", "--workers", workers];
        let said = desk.succeed(&[&replay[..], &more].concat());
        assert!(said.starts_with("identical: "), "{said}");
    }
}

#[test]
fn tables_that_are_what_the_input_gives_are_proved_and_others_are_not() {
    let desk = small();
    desk.fail(1, &["verify", "small.yaml"]);
    desk.succeed(&["run", "small.yaml"]);
    // What SQLite keeps beside a database comes and goes with its readers.
    let data = || {
        let files = desk.files("data").into_iter();
        let is_beside = |path: &PathBuf| path.to_string_lossy().contains(".db-");
        files.filter(|(path, _)| !is_beside(path)).collect::<BTreeMap<_, _>>()
    };
    let before = data();
    let said = desk.succeed(&["verify", "small.yaml", "--workers", "2"]);
    assert!(said.starts_with("identical: 1 table, "), "{said}");
    assert!(data() == before, "nothing was changed");

    let database = rusqlite::Connection::open(desk.path().join("data/small.db")).unwrap();
    let harm = "UPDATE candles SET low = 1 WHERE timeframe = '15m'";
    assert!(database.execute(harm, []).unwrap() > 0);
    assert!(database.execute("DELETE FROM candles WHERE timeframe = '1h'", []).unwrap() > 0);
    drop(database);
    let said = desk.fail(3, &["verify", "small.yaml"]);
    assert!(said.contains("timeframe 15m, start ") && said.contains("low: found 1, "), "{said}");
    assert!(said.contains("timeframe 1h") && said.contains(": missing"), "{said}");
}

#[test]
fn a_job_that_was_killed_is_verified_up_to_its_checkpoint() {
    let desk = Desk::new();
    let long = SMALL.replace("duration: 2h", "duration: 300d");
    desk.write(
        "small.yaml",
        &long.replace("job: small", "job: small\nstate: { checkpoint: { every: 1h } }"),
    );
    let mut child = desk.command(&["run", "small.yaml", "--quiet"]).spawn().unwrap();
    let begun = Instant::now();
    while !desk.call(&["checkpoint", "trigger", "small.yaml"]).status.success() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the job does not start");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let output = desk.call(&["verify", "small.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let proved = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("not at its end") && said.contains("what lies before"), "{said}");
    assert!(proved.starts_with("identical: 1 table") && !proved.contains(" 0 rows"), "{proved}");
}

#[test]
fn tables_of_sources_that_cannot_be_read_again_are_verified_from_the_archive_of_their_ticks() {
    let desk = small();
    desk.succeed(&["run", "small.yaml"]);
    desk.write("live.yaml", &SMALL.replace("duration: 2h", "speed: 1"));
    let verify = ["verify", "live.yaml"];
    let said = desk.succeed(&verify);
    assert!(said.starts_with("identical: 1 table") && !said.contains(" 0 rows"), "{said}");
    let database = rusqlite::Connection::open(desk.path().join("data/small.db")).unwrap();
    let harm = "UPDATE candles SET close = 1 WHERE start = '2024-03-07T12:30:00Z'";
    assert!(database.execute(harm, []).unwrap() > 0);
    drop(database);
    desk.fail(3, &verify);
}
