//! The key `run` of a job file: how a job is run, no part of what it computes.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::job::plan::{ClockSource, LeaseConfig, RunConfig};

/// How a job is run. Nothing here changes what it computes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RunFile {
    /// Worker threads.
    #[schemars(range(min = 1, max = 256))]
    workers: usize,
    /// When an epoch, the unit of progress, closes.
    epoch: EpochFile,
    /// How many epochs may be on their way from source to sink at once; bounds the memory.
    #[schemars(range(min = 1, max = 4096))]
    epochs_in_flight: u64,
    /// Where the job clock comes from.
    clock: ClockFile,
    /// Serve `/metrics`, `/livez` and `/readyz` at this address: `127.0.0.1:9464`, or a port alone,
    /// which is then open to this machine only. If it is not given, nothing is served; `--http` of
    /// the command line goes first.
    http: Option<String>,
    /// When the run is asked to stop it takes no more input, lets what was read go through, and
    /// ends. If that takes longer than this, because a sink cannot be reached, say, the process ends
    /// all the same; the next start goes on from the journal.
    drain: Duration,
    /// A lease on running the job: one process has it, others wait for it with `--standby`.
    lease: Option<LeaseFile>,
}

/// A lease on running a job. Whoever has it renews it three times within its time; when it has
/// run out, a process that waits takes over from the last checkpoint and the journal, and whatever the
/// old one still writes is refused.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LeaseFile {
    /// The server that keeps it: `postgres://user@host/database` (table `_tapeflow_leases`) or
    /// `redis://host`.
    url: String,
    /// After so long without a sign of life another process takes over.
    #[serde(default = "five_seconds")]
    ttl: Duration,
}

const fn five_seconds() -> Duration {
    Duration::from_seconds(5)
}

/// When an epoch closes: at whichever comes first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct EpochFile {
    /// At so many records.
    #[schemars(range(min = 1, max = 16_777_216))]
    records: usize,
    /// At this age, if records arrive slowly.
    every: Duration,
}

/// Where the job clock comes from.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ClockFile {
    /// Event time if every source ends by itself, else the wall clock.
    #[default]
    Auto,
    /// The least event time that all sources have reached.
    Event,
    /// The wall clock.
    Wall,
}

impl Default for RunFile {
    fn default() -> Self {
        let plan = RunConfig::default();
        Self {
            workers: plan.workers,
            epoch: EpochFile::default(),
            epochs_in_flight: plan.epochs_in_flight_max,
            clock: ClockFile::Auto,
            http: None,
            drain: to_file(plan.drain_within),
            lease: None,
        }
    }
}

fn to_file(duration: std::time::Duration) -> Duration {
    i64::try_from(duration.as_nanos()).ok().and_then(Duration::from_ns).unwrap_or_default()
}

impl Default for EpochFile {
    fn default() -> Self {
        let plan = RunConfig::default();
        Self { records: plan.epoch_records_max, every: to_file(plan.epoch_every) }
    }
}

impl RunFile {
    /// Gives what the engine reads.
    pub(crate) fn config(&self) -> RunConfig {
        RunConfig {
            workers: self.workers,
            epoch_records_max: self.epoch.records,
            epoch_every: self.epoch.every.into(),
            epochs_in_flight_max: self.epochs_in_flight,
            clock: match self.clock {
                ClockFile::Auto => ClockSource::Auto,
                ClockFile::Event => ClockSource::Event,
                ClockFile::Wall => ClockSource::Wall,
            },
            lease: self
                .lease
                .as_ref()
                .map(|lease| LeaseConfig { url: lease.url.clone(), ttl: lease.ttl.into() }),
            drain_within: self.drain.into(),
            http: self.http.as_deref().and_then(|text| address(text).ok()),
        }
    }

    /// Says what the schema cannot: (path, message) pairs.
    pub(crate) fn check(&self) -> Vec<(String, String)> {
        let problem = self.http.as_deref().and_then(|text| address(text).err());
        problem.map(|message| ("http".to_owned(), message)).into_iter().collect()
    }
}

/// Reads an address to listen at: `9464` (of this machine only), `127.0.0.1:9464`, `[::1]:9464`,
/// `0.0.0.0:9464`.
///
/// # Errors
/// Says what was expected.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse::<u16>().map(|port| (Ipv4Addr::LOCALHOST, port).into());
    port.or_else(|_| text.parse()).map_err(|_| {
        format!(
            "`{}` is no address to listen at; expected a port such as `9464`, or an address with \
             one such as `127.0.0.1:9464`",
            crate::job::mistake::short(text)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_bare_port_is_of_this_machine_only() {
        assert_eq!(address("9464").unwrap().to_string(), "127.0.0.1:9464");
        assert_eq!(address("[::1]:1").unwrap().to_string(), "[::1]:1");
        assert_eq!(address("0.0.0.0:80").unwrap().to_string(), "0.0.0.0:80");
        for text in ["", "host", "localhost:80", "99999", "127.0.0.1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
