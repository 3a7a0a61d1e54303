//! How long a tick that arrives alone takes through the graph: from the source's thread through clean,
//! dedupe and ohlcv to the sink's thread.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::PoisonError;

use benches::components::{LOG, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    println!("{:<28} {:>9} {:>9} {:>9} {:>9}", "", "p50 us", "p99 us", "p99.9 us", "ticks");
    for (pause, ticks) in [(5_000, 2_000), (500, 10_000)] {
        for workers in [1, 2] {
            measure(pause, ticks, workers);
        }
    }
}

fn measure(pause: u64, ticks: usize, workers: usize) {
    let job = format!(
        r#"
job: latency
run: {{ workers: {workers}, clock: event, epoch: {{ records: 1 }} }}
sources:
  ticks: {{ type: memory, ticks: {ticks}, pause_us: {pause} }}
operators:
  clean: {{ type: clean, input: ticks }}
  unique: {{ type: dedupe, input: clean }}
  candles: {{ type: ohlcv, input: unique, calendar: utc }}
sinks:
  watch: {{ type: watch, input: candles.open }}
"#
    );
    if let Err(error) = run(&job) {
        return println!("{error}");
    }
    let went_in = LOG.went_in.lock().unwrap_or_else(PoisonError::into_inner);
    let came_out = LOG.came_out.lock().unwrap_or_else(PoisonError::into_inner);
    let mut micros: Vec<f64> = came_out
        .iter()
        .filter_map(|(sequence, out)| {
            let went_in = went_in.get(usize::try_from(*sequence).ok()?)?;
            Some(out.duration_since(*went_in).as_secs_f64() * 1e6)
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| {
        micros.get(((micros.len() as f64 * share) as usize).min(micros.len().saturating_sub(1)))
    };
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| at(share).copied().unwrap_or(f64::NAN));
    let rate = 1_000_000 / pause;
    let name = format!("{rate} ticks/s, workers {workers}");
    println!("{name:<28} {p50:>9.0} {p99:>9.0} {p999:>9.0} {:>9}", micros.len());
}
