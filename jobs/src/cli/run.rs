//! `tapeflow run`: a job until its input ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use dataflows::driver::durable::Start;
use dataflows::job::run::address;

use crate::cli::Session;
use crate::cli::drive::Drive;
use crate::cli::failure::Failure;
use crate::cli::load::JobArgument;
use crate::cli::report::{Output, summarise};

/// Run a job until its input ends or it is interrupted.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    job: JobArgument,
    /// Worker threads, instead of what the job says
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Where relative paths of the job start [default: the current folder]
    #[arg(long)]
    root: Option<PathBuf>,
    /// Start from nothing, instead of going on where the job stood: what is kept of runs before is
    /// removed
    #[arg(long)]
    fresh: bool,
    /// Wait until no other process runs the job, then take over; the job names a `lease`
    #[arg(long)]
    standby: bool,
    /// Serve /metrics, /livez and /readyz at this address; a port alone is open to this machine
    /// only
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    http: Option<SocketAddr>,
    /// How the summary looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Run {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        let mut plan = self.job.load()?;
        if let Some(workers) = self.workers {
            plan.run.workers = usize::from(workers);
        }
        if self.standby && plan.run.lease.is_none() {
            let text = "--standby: the job names no lease to wait for; give it `run: { lease: \
                        { url: … } }`";
            return Err(Failure::Usage(text.to_owned()));
        }
        let started = Instant::now();
        let drive = Drive {
            root: self.root,
            start: start(self.fresh),
            drain_within: Some(plan.run.drain_within),
            lease: Some(self.standby),
            http: self.http.or(plan.run.http),
            ..Drive::default()
        };
        let report = drive.run(&plan, session)?;
        summarise(report, started.elapsed(), self.output, &plan.secrets, session)
    }
}

/// What `--fresh` asks for.
pub(crate) const fn start(is_fresh: bool) -> Start {
    if is_fresh { Start::Fresh } else { Start::Resume }
}
