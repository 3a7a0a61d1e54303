//! `tapeflow demo`: the shipped candles job on simulated ticks, from nothing to a table.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use dataflows::driver::durable::Start;

use crate::cli::Session;
use crate::cli::drive::Drive;
use crate::cli::failure::Failure;
use crate::cli::load::JobArgument;
use crate::cli::report::{Output, summarise};

/// Run the shipped candles job on simulated ticks: no service, no network.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Worker threads
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
}

impl Demo {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
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
}

const NEXT: &str = r#"
Go on with:
  tapeflow query candles "SELECT * FROM candles WHERE timeframe = '1h' ORDER BY start LIMIT 10"
  tapeflow query candles "SELECT source, count(*) AS ticks FROM ticks_archive GROUP BY source"
  tapeflow graph candles --format svg > candles.svg      draw the job
  tapeflow backfill candles --from 2024-03-08 --to 2024-03-12
  cp jobs/candles/job.yaml my-job.yaml && tapeflow validate my-job.yaml
(`tapeflow` is ./target/release/tapeflow, or `cargo run --release --` in this folder)"#;
