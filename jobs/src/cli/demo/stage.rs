//! A shipped job that runs beside others in this process, with a stop of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use dataflows::driver::durable::Start;
use dataflows::driver::reading::Phase;
use dataflows::driver::status::Status;
use dataflows::driver::{Options, RunReport, run};
use dataflows::fault::Fault;
use dataflows::job::lint;
use dataflows::job::variables::Secrets;

use crate::catalog::CATALOG;
use crate::cli::drive::root_of;
use crate::cli::failure::Failure;
use crate::shipped;

/// A job on a thread.
pub(super) struct Stage {
    stop: Arc<AtomicBool>,
    status: Arc<Status>,
    secrets: Secrets,
    thread: JoinHandle<Result<RunReport, Fault>>,
}

impl Stage {
    /// Starts a shipped job from nothing, with the broker at `url` and, if given, so many workers.
    pub(super) fn start(name: &str, url: &str, workers: Option<u16>) -> Result<Self, Failure> {
        let job = shipped::find(name)
            .ok_or_else(|| Failure::Fault(format!("no job `{name}` ships with this binary")))?;
        let variable = |name: &str| (name == "TRADING_MQTT_URL").then(|| url.to_owned());
        let mut plan = lint::check(job.text, Path::new(job.file), &CATALOG, &variable)
            .map_err(Failure::Mistakes)?;
        if let Some(workers) = workers {
            plan.run.workers = usize::from(workers);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let status = Arc::new(Status::new(&plan));
        let options = Options {
            root: root_of(None)?,
            stop: stop.clone(),
            start: Start::Fresh,
            ..Options::default()
        };
        let (secrets, shared) = (plan.secrets.clone(), status.clone());
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&plan, options, shared))
            .map_err(|error| Failure::Fault(format!("a thread for {name}: {error}")))?;
        Ok(Self { stop, status, secrets, thread })
    }

    /// Tells whether it has ended, which it does by itself only when something has failed.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// How many records its sources have handed in.
    pub(super) fn records(&self) -> u64 {
        self.status.records()
    }

    /// Asks it to end: what was read goes through. Connections take a while to close, so that others
    /// are asked meanwhile.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Tells whether all that was read has gone through.
    pub(super) fn is_through(&self) -> bool {
        self.is_over() || self.status.reading().phase >= Phase::Closing
    }

    /// Waits for its end.
    pub(super) fn end(self) -> Result<RunReport, Failure> {
        self.stop();
        let outcome = self.thread.join();
        let outcome = outcome.unwrap_or_else(|_| Err(Fault::defect("the run", "a panic")));
        outcome.map_err(|fault| Failure::of(&fault, &self.secrets))
    }
}

/// How many rows a sink of the run has written.
pub(super) fn rows(report: &RunReport, sink: &str) -> u64 {
    report.sinks.iter().find(|(id, _)| id == sink).map_or(0, |(_, report)| report.rows)
}
