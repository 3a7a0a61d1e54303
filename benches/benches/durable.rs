//! What it costs to survive being killed: ticks through the engine with a journal and checkpoints,
//! beside the same without, in turn.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::Path;
use std::sync::PoisonError;

use benches::components::{LOG, run_durably};
use benches::meter::{Reading, median};
use dataflows::driver::durable::Start;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TICKS: usize = 10_000_000;
const ROUNDS: usize = 3;

/// Name, whether it is durable, whether the journal keeps the records, pause between checkpoints.
const VARIANTS: &[(&str, Start, bool, &str)] = &[
    ("forgetful", Start::Forgetful, false, "10s"),
    ("durable, a checkpoint every 10 s", Start::Fresh, false, "10s"),
    ("durable, a checkpoint every second", Start::Fresh, false, "1s"),
    ("recording, a checkpoint every 10 s", Start::Fresh, true, "10s"),
    ("recording, a checkpoint every second", Start::Fresh, true, "1s"),
];

fn main() {
    println!("{TICKS} ticks, 600 series, six timeframes, two workers, journal synced in 100 ms");
    println!("medians of {ROUNDS}, contenders in turn");
    println!("{:<40} {:>10} {:>10} {:>12} {:>6}", "", "wall s", "cpu s", "M ticks/s", "%");
    let folder = std::env::temp_dir().join(format!("tapeflow-durable-{}", std::process::id()));
    let mut readings = vec![Vec::new(); VARIANTS.len()];
    for _ in 0..ROUNDS {
        for (readings, (_, start, is_recording, every)) in readings.iter_mut().zip(VARIANTS) {
            readings.push(engine(&folder, *start, *is_recording, every));
            // What one contender has written is no burden of the next one.
            drop(std::fs::remove_dir_all(&folder));
        }
    }
    let wall = |readings: &[Reading]| median(readings.iter().map(|r| r.wall).collect());
    let bare = readings.first().map_or(f64::NAN, |readings| wall(readings));
    for (readings, (name, ..)) in readings.iter().zip(VARIANTS) {
        let cpu = median(readings.iter().map(|reading| reading.cpu).collect());
        let wall = wall(readings);
        let rate = TICKS as f64 / wall / 1e6;
        println!("{name:<40} {wall:>10.2} {cpu:>10.2} {rate:>12.1} {:>6.0}", bare / wall * 100.0);
    }
}

fn engine(folder: &Path, start: Start, is_recording: bool, every: &str) -> Reading {
    let folder = folder.display();
    let job = format!(
        r#"
job: durable
run: {{ workers: 2, epoch: {{ records: 16384 }} }}
state: {{ path: "{folder}", checkpoint: {{ every: {every} }}, journal: {{ sync: 100ms }} }}
sources:
  ticks: {{ type: memory, ticks: {TICKS}, batch: 16384 }}
operators:
  candles: {{ type: ohlcv, input: ticks, timeframes: [1m, 5m, 15m, 1h, 4h, 1d], calendar: utc }}
sinks:
  watch: {{ type: watch, input: candles.closed }}
"#
    );
    match run_durably(&job, start, is_recording) {
        Ok(report) => assert!(report.complete && report.sinks.iter().all(|(_, s)| s.rows > 0)),
        Err(error) => println!("{error}"),
    }
    let started = LOG.started.lock().unwrap_or_else(PoisonError::into_inner);
    started.as_ref().map_or(Reading { wall: f64::NAN, cpu: f64::NAN }, |(_, meter)| meter.read())
}
