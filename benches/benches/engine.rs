//! Ticks from memory through the running engine (epochs, exchange by key, state, six timeframes),
//! beside a plain loop over the same ticks.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::PoisonError;

use benches::components::{LOG, run};
use benches::market;
use benches::meter::{Meter, Reading, median};
use proto::series::SeriesTable;
use proto::tick::Tick;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TICKS: usize = 10_000_000;
const ROUNDS: usize = 3;

fn main() {
    println!("{TICKS} ticks, 600 series, six timeframes; medians of {ROUNDS}, contenders in turn");
    println!("{:<44} {:>10} {:>10} {:>12}", "", "ns/tick", "cpu ns", "M ticks/s");
    let mut loops = Vec::new();
    let mut engines = vec![Vec::new(); VARIANTS.len()];
    for _ in 0..ROUNDS {
        loops.push(plain());
        for (readings, (workers, epoch)) in engines.iter_mut().zip(VARIANTS) {
            readings.push(engine(*workers, *epoch));
        }
    }
    row("plain loop, 1m and roll-up on close", &loops);
    for (readings, (workers, epoch)) in engines.iter().zip(VARIANTS) {
        row(&format!("engine, workers {workers}, epochs of {epoch}"), readings);
    }
}

const VARIANTS: &[(usize, usize)] = &[(1, 4_096), (1, 16_384), (2, 16_384), (2, 65_536)];

fn row(name: &str, readings: &[Reading]) {
    let per_tick = |seconds: f64| seconds * 1e9 / TICKS as f64;
    let wall = median(readings.iter().map(|reading| reading.wall).collect());
    let cpu = median(readings.iter().map(|reading| reading.cpu).collect());
    let rate = TICKS as f64 / wall / 1e6;
    println!("{name:<44} {:>10.1} {:>10.1} {rate:>12.1}", per_tick(wall), per_tick(cpu));
}

fn engine(workers: usize, epoch: usize) -> Reading {
    let job = format!(
        r#"
job: engine
run: {{ workers: {workers}, epoch: {{ records: {epoch} }} }}
sources:
  ticks: {{ type: memory, ticks: {TICKS}, batch: {epoch} }}
operators:
  candles: {{ type: ohlcv, input: ticks, timeframes: [1m, 5m, 15m, 1h, 4h, 1d], calendar: utc }}
sinks:
  watch: {{ type: watch, input: candles.closed }}
"#
    );
    match run(&job) {
        Ok(report) => {
            assert!(report.complete && report.sinks.iter().all(|(_, sink)| sink.rows > 0))
        }
        Err(error) => println!("{error}"),
    }
    let started = LOG.started.lock().unwrap_or_else(PoisonError::into_inner);
    started.as_ref().map_or(Reading { wall: f64::NAN, cpu: f64::NAN }, |(_, meter)| meter.read())
}

#[derive(Clone, Copy, Default)]
struct Bar {
    window: i64,
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    volume: i64,
    ticks: u64,
}

/// The floor: no lateness, no sessions, no epochs, no threads; in the order of time only.
fn plain() -> Reading {
    const FRAMES: [i64; 6] = [60, 300, 900, 3_600, 14_400, 86_400];
    let batches = market::ticks(&SeriesTable::new(), TICKS, 16_384);
    let meter = Meter::start();
    let mut bars = vec![[Bar { window: -1, ..Bar::default() }; 6]; 600];
    let mut closed: Vec<Bar> = Vec::new();
    let fold = |bar: &mut Bar, from: &Bar| {
        if bar.ticks == 0 {
            *bar = Bar { window: bar.window, ..*from };
            return;
        }
        bar.high = bar.high.max(from.high);
        bar.low = bar.low.min(from.low);
        bar.close = from.close;
        bar.volume += from.volume;
        bar.ticks += from.ticks;
    };
    for tick in batches.iter().flatten() {
        let Some(bars) = bars.get_mut(tick.series.index()) else { continue };
        let minute = tick.time.ns() / (FRAMES[0] * 1_000_000_000);
        if bars[0].window != minute {
            roll(bars, minute, &FRAMES, &mut closed, fold);
        }
        let price = tick.bid.units();
        fold(&mut bars[0], &sample(tick, price));
    }
    let reading = meter.read();
    assert!(!closed.is_empty());
    assert!(closed.iter().all(|bar| bar.low <= bar.open && bar.open <= bar.high));
    reading
}

fn sample(tick: &Tick, price: i64) -> Bar {
    let volume = tick.volume.units();
    Bar { window: 0, open: price, high: price, low: price, close: price, volume, ticks: 1 }
}

#[inline(never)]
fn roll(
    bars: &mut [Bar; 6],
    minute: i64,
    frames: &[i64; 6],
    closed: &mut Vec<Bar>,
    fold: impl Fn(&mut Bar, &Bar),
) {
    if closed.len() > 1_000_000 {
        closed.clear();
    }
    for frame in 0..6 {
        let window = minute * frames[0] / frames[frame];
        let done = bars[frame];
        if done.window == window {
            break;
        }
        bars[frame] = Bar { window, ..Bar::default() };
        if done.ticks > 0 {
            closed.push(done);
            if let Some(next) = bars.get_mut(frame + 1) {
                if next.window < 0 {
                    next.window = done.window * frames[frame] / frames[frame + 1];
                }
                fold(next, &done);
            }
        }
    }
}
