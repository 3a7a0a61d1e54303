//! The same candles, byte for byte: whatever the workers, the epochs, the order of files, ticks shuffled
//! within the lateness, duplicates added.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use crate::support::{Desk, real_data};

/// What a run left: the candles table, and the candle archive's files.
type Left = (Vec<String>, BTreeMap<PathBuf, Vec<u8>>);

const CANDLES: &str = "SELECT * FROM candles ORDER BY source, instrument, timeframe, start";

fn job(source: &str, epoch: usize) -> String {
    format!(
        r#"
job: same
run: {{ epoch: {{ records: {epoch} }} }}
sources:
  ticks: {source}
operators:
  clean: {{ type: clean, input: ticks }}
  unique: {{ type: dedupe, input: clean }}
  candles: {{ type: ohlcv, input: unique, timeframes: [1m, 5m, 15m, 1h, 4h, 1d], lateness: 5s }}
sinks:
  table: {{ type: table, input: candles.closed, url: "sqlite:candles.db", table: candles }}
  candle-archive: {{ type: archive, input: candles.closed, path: candles }}
"#
    )
}

fn run(source: &str, epoch: usize, workers: usize, files: &[(&str, String)]) -> Left {
    let desk = Desk::new();
    for (name, text) in files {
        desk.write(name, text);
    }
    let file = desk.write("job.yaml", &job(source, epoch));
    desk.succeed(&["run", file, "--workers", &workers.to_string()]);
    (desk.rows("candles.db", CANDLES), desk.files("candles"))
}

fn assert_same(found: &Left, expected: &Left, what: &str) {
    let first = found.0.iter().zip(&expected.0).find(|(found, expected)| found != expected);
    assert!(first.is_none(), "{what}: {first:?}");
    assert_eq!(found.0.len(), expected.0.len(), "{what}: number of candles");
    assert!(found.1.keys().eq(expected.1.keys()), "{what}: names of the archive's files");
    for (name, bytes) in &found.1 {
        assert!(expected.1.get(name) == Some(bytes), "{what}: bytes of {}", name.display());
    }
}

#[test]
fn workers_and_epochs_change_no_byte() {
    let simulated = "{ type: simulator, seed: 3, from: 2024-03-07T20:00:00Z, duration: 6h }";
    let expected = run(simulated, 16_384, 1, &[]);
    assert!(expected.0.len() > 1_000 && !expected.1.is_empty());
    for (epoch, workers) in [(16_384, 2), (16_384, 4), (100, 1), (1_000_000, 2)] {
        let what = format!("{workers} workers, epochs of {epoch}");
        assert_same(&run(simulated, epoch, workers, &[]), &expected, &what);
    }
}

/// One tick of a made-up market.
#[derive(Clone)]
struct Line {
    ns: i64,
    sequence: u64,
    text: String,
}

/// Two instruments, a tick a second and more, with ties in time.
fn lines() -> Vec<Line> {
    let start = 1_709_820_000_000_000_000_i64; // 2024-03-07T14:00:00Z
    let mut price = 108_000_i64;
    let mut random = 12_345_u64;
    let mut lines = Vec::new();
    for sequence in 0..20_000_u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        price += (random >> 40) as i64 % 7 - 3;
        let ns = start + (sequence / 2) as i64 * 700_000_000;
        let instrument = if random >> 63 == 0 { "EURUSD" } else { "GBPUSD" };
        let (bid, ask) = (price as f64 / 1e5, (price + 2) as f64 / 1e5);
        let text = format!("mt5,{instrument},{ns},{sequence},{bid:.5},{ask:.5}");
        lines.push(Line { ns, sequence, text });
    }
    lines
}

fn csv(lines: &[Line]) -> String {
    let mut text = String::from("source,instrument,time,sequence,bid,ask\n");
    for line in lines {
        writeln!(text, "{}", line.text).unwrap();
    }
    text
}

#[test]
fn shuffling_within_the_lateness_and_duplicates_change_no_byte() {
    let ordered = lines();
    let source = r#"{ type: file, path: "*.csv", columns: { time: time }, time_unit: ns }"#;
    let expected = run(source, 4_096, 1, &[("ticks.csv", csv(&ordered))]);
    assert!(expected.0.len() > 100);

    // Each tick moves by less than four seconds; the lateness is five.
    let mut shuffled = ordered.clone();
    shuffled.sort_by_key(|line| {
        let mixed = line.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        line.ns + (mixed % 4_000_000_000) as i64
    });
    let moved = shuffled.iter().zip(&ordered).filter(|(a, b)| a.sequence != b.sequence).count();
    assert!(moved > ordered.len() / 2, "it was shuffled");
    let doubled: Vec<Line> = shuffled
        .iter()
        .flat_map(|line| vec![line.clone(); 1 + (line.sequence % 5 == 0) as usize])
        .collect();
    for (epoch, workers) in [(4_096, 1), (97, 2), (100_000, 4)] {
        let what = format!("shuffled and doubled, {workers} workers, epochs of {epoch}");
        assert_same(
            &run(source, epoch, workers, &[("ticks.csv", csv(&doubled))]),
            &expected,
            &what,
        );
    }
}

#[test]
fn real_ticks_give_the_same_bytes_with_any_number_of_workers() {
    let Some(data) = real_data() else { return };
    let file = data.join("ticks/oanda-EURUSD-2014-05.parquet");
    let source = format!(
        "{{ type: file, path: {}, source: oanda, instrument: EURUSD, columns: {{ time: ts }} }}",
        file.display()
    );
    let expected = run(&source, 16_384, 1, &[]);
    assert!(expected.0.len() > 10_000);
    for (epoch, workers) in [(16_384, 4), (777, 2)] {
        let what = format!("{workers} workers, epochs of {epoch}");
        assert_same(&run(&source, epoch, workers, &[]), &expected, &what);
    }
}
