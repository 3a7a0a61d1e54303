//! `tapeflow demo`: the shipped candles job on simulated ticks, from nothing to a table; with
//! `--live` the live path, from gateways to a chart, over a broker inside this process.

#[cfg(feature = "embedded-broker")]
mod board;
#[cfg(feature = "embedded-broker")]
mod live;
#[cfg(feature = "embedded-broker")]
mod stage;
#[cfg(feature = "embedded-broker")]
mod viewer;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use dataflows::driver::durable::Start;
use dataflows::duration::Duration;

use crate::cli::Session;
use crate::cli::drive::Drive;
use crate::cli::failure::Failure;
use crate::cli::load::JobArgument;
use crate::cli::report::{Output, summarise};

/// Run the shipped candles job on simulated ticks: no service, no network.
#[derive(Debug, Args)]
#[cfg_attr(
    not(feature = "embedded-broker"),
    expect(dead_code, reason = "what only `--live` reads is accepted all the same, and explained")
)]
pub(crate) struct Demo {
    /// Worker threads
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// The live path instead: gateways, bridge and candles over a broker of MQTT in this process,
    /// and what comes of them, printed
    #[arg(long)]
    live: bool,
    /// With --live: end after so long, such as 30s [default: when it is interrupted]
    #[arg(long = "for", value_name = "DURATION", requires = "live")]
    duration: Option<Duration>,
    /// With --live: where the broker listens [default: 1883, or a free one where that is taken]
    #[arg(long, value_name = "PORT", requires = "live")]
    mqtt_port: Option<u16>,
    /// With --live: where it listens for WebSockets [default: 8083, or a free one]
    #[arg(long, value_name = "PORT", requires = "live")]
    ws_port: Option<u16>,
}

impl Demo {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        if self.live {
            return self.live(session);
        }
        let mut plan = JobArgument { job: PathBuf::from("candles") }.load()?;
        if let Some(workers) = self.workers {
            plan.run.workers = usize::from(workers);
        }
        session.say(
            "demo: three simulated sources (mt4, mt5, ib) → clean → dedupe → candles → SQLite and \
             Parquet in ./tapeflow-data",
        );
        let started = Instant::now();
        let report = Drive { start: Start::Fresh, ..Drive::default() }.run(&plan, session)?;
        summarise(report, started.elapsed(), Output::Table, &plan.secrets, session)?;
        session.say(NEXT);
        Ok(())
    }

    #[cfg(not(feature = "embedded-broker"))]
    fn live(self, _: &Session) -> Result<(), Failure> {
        Err(Failure::Usage(
            "this tapeflow was built without a broker, which `demo --live` needs; build it with\n  \
             cargo run --release --features embedded-broker -- demo --live"
                .to_owned(),
        ))
    }
}

const NEXT: &str = r#"
Go on with:
  tapeflow query candles "SELECT * FROM candles WHERE timeframe = '1h' ORDER BY start LIMIT 10"
  tapeflow query candles "SELECT source, count(*) AS ticks FROM ticks_archive GROUP BY source"
  tapeflow graph candles --format svg > candles.svg      draw the job
  tapeflow backfill candles --from 2024-03-08 --to 2024-03-12
  cp jobs/candles/job.yaml my-job.yaml && tapeflow validate my-job.yaml
  tapeflow demo --live                                   prices and candles as they come, over MQTT
(`tapeflow` is ./target/release/tapeflow, or `cargo run --release --` in this folder)"#;
