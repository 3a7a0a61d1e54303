//! Stopping a live job: what was read goes through, in bounded time, whoever hangs.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Desk;
use crate::watch::Running;

/// As much as the simulator gives, into a table and a file.
const LOAD: &str = "
job: load
sources:
  ticks: { type: simulator, speed: 1, rate: 20000, duration: 1d, instruments: [BTCUSD], outages: 0 }
operators:
  candles: { type: ohlcv, input: ticks, timeframes: [1s], lateness: 1s }
sinks:
  table: { type: table, input: candles.closed, url: \"sqlite:candles.db\", table: candles }
  out: { type: file, input: ticks, path: out.csv }
";

#[test]
fn a_stop_under_load_lets_everything_through_that_was_read_and_goes_on_where_it_was() {
    let desk = Desk::new();
    desk.write("job.yaml", LOAD);
    let (mut epoch, mut generation) = (0, 0);
    for round in 0..2 {
        let running = Running::start(&desk, "job.yaml", &[]);
        running.wait("/metrics", |_, body| {
            let mut lines = body.lines();
            let prefix = "tapeflow_records_out_total{job=\"load\",component=\"out\"";
            let line = lines.find(|line| line.starts_with(prefix)).unwrap_or("x 0");
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() > 5_000
        });
        let asked = Instant::now();
        running.signal("-TERM");
        let output = running.end();
        let took = asked.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(took < Duration::from_secs(10), "round {round}: {took:?}");
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        let stood = &summary["resumed"];
        assert_eq!(stood["checkpoint"], epoch, "the stop before took a checkpoint: {summary}");
        assert!(stood["generation"].as_u64().unwrap() > generation);
        generation = stood["generation"].as_u64().unwrap();
        epoch = summary["epochs"].as_u64().unwrap();
        assert!(epoch > 0);
    }
    // A last line of the checkpoint: it is of the last epoch.
    let shown = desk.succeed(&["checkpoint", "list", "job.yaml"]);
    assert!(shown.contains(&epoch.to_string()), "{shown} has no epoch {epoch}");
}

/// A console's sink waits as long as nobody reads what it prints.
const STUCK: &str = "
job: stuck
run: { drain: DRAIN }
sources:
  ticks: { type: simulator, speed: 1, rate: 20000, duration: 1d, instruments: [BTCUSD], outages: 0 }
sinks:
  out: { type: console, input: ticks }
";

fn stuck(desk: &Desk, drain: &str) -> Running {
    desk.write("job.yaml", &STUCK.replace("DRAIN", drain));
    let running = Running::start(desk, "job.yaml", &[]);
    // The pipe is full when the sink has taken more than it has applied, and stays so.
    running.wait("/metrics", |_, body| {
        let prefix = "tapeflow_backpressure_seconds_total{job=\"stuck\",component=\"out\"";
        let line = body.lines().find(|line| line.starts_with(prefix)).unwrap_or("x 0");
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 0.5
    });
    running
}

#[test]
fn a_second_signal_ends_at_once_what_a_sink_holds_up() {
    let desk = Desk::new();
    let mut running = stuck(&desk, "1h");
    running.signal("-TERM");
    let why = running.wait("/readyz", |code, _| code == 503);
    assert!(why.contains("the job is draining"), "{why}");
    assert_eq!(running.get("/livez").0, 200, "it waits, but it is alive");
    assert!(running.child.try_wait().unwrap().is_none());
    let asked = Instant::now();
    running.signal("-TERM");
    // Not read before, or the sink would go on.
    let status = running.child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[test]
fn a_stop_that_a_sink_holds_up_ends_when_its_time_is_over() {
    let desk = Desk::new();
    let mut running = stuck(&desk, "1s");
    let asked = Instant::now();
    running.signal("-TERM");
    let status = running.child.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let output = running.end();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("run.drain") && said.contains("sinks.out had not applied"), "{said}");
}
