//! CPU and wall time of this process.

use std::time::Instant;

/// A running measurement.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    cpu: f64,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of CPU, user and system, all threads.
    pub cpu: f64,
}

impl Meter {
    /// Starts measuring.
    pub fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu_seconds() }
    }

    /// Reads what has passed.
    pub fn read(&self) -> Reading {
        Reading { wall: self.started.elapsed().as_secs_f64(), cpu: cpu_seconds() - self.cpu }
    }
}

fn cpu_seconds() -> f64 {
    cpu_seconds_of(std::process::id())
}

/// CPU seconds that a process has used: fields 14 and 15 of `/proc/PID/stat`, in hundredths.
pub fn cpu_seconds_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// Gives the median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
