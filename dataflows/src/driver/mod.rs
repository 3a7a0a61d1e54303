//! The driver: sources and sinks on threads of their own, one coordinator that mints epochs, timely
//! workers between them.
//!
//! ```text
//!  source threads        coordinator            workers               sink threads
//!  intake ──bounded──▶ feed (Stamp) ──bounded──▶ operate ──bounded──▶ seal ▶ apply
//!                        ▲                                              │
//!                        └──────────── gate: epochs in flight ◀─────────┘
//! ```
//!
//! Every queue is bounded, and no epoch is minted while a sink lags by more than
//! `epochs_in_flight`: a slow sink slows the sources down, memory does not grow.

pub mod gate;
pub mod seal;
pub mod stamp;
pub mod status;

mod apply;
mod feed;
mod intake;
mod operate;
mod wire;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::event_time::EventTime;
use proto::series::SeriesTable;

use crate::component::sink::{Ending, SinkContext, SinkReport};
use crate::component::source::{Range, SourceContext};
use crate::fault::Fault;
use crate::job::plan::{ClockSource, Plan};
use crate::moment::{Epoch, Moments};

use gate::Gate;
use status::Status;

/// What a run is given beside its plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where relative paths of the job start.
    pub root: PathBuf,
    /// A backfill: only results of this part of the past, replacing what sinks have of it.
    pub range: Option<Range>,
    /// What sources read for it: somewhat more on both sides, so that windows are whole.
    pub read: Option<Range>,
    /// With `read`: when every feed has come so far, the rest need not be read. Beyond it lie days in
    /// which the market may be closed, and only a tick behind them shows that a window before them
    /// is whole.
    pub enough: Option<EventTime>,
    /// Set by the user's interrupt: the run then ends in good order.
    pub stop: Arc<AtomicBool>,
    /// How many threads each source may keep busy with decoding.
    pub threads: usize,
}

/// How a run went.
#[derive(Debug, Clone, serde::Serialize)]
pub struct RunReport {
    /// Whether all input was read, or the user asked to stop.
    pub complete: bool,
    /// Epochs minted.
    pub epochs: Epoch,
    /// Per source: records handed in, and records that could not be decoded.
    pub sources: Vec<SourceReport>,
    /// Per output (`candles.closed`): records emitted.
    pub outputs: Vec<(String, u64)>,
    /// Per sink: what it wrote.
    pub sinks: Vec<(String, SinkReport)>,
}

/// How much a source handed in.
#[derive(Debug, Clone, serde::Serialize)]
pub struct SourceReport {
    /// Its id.
    pub id: String,
    /// Records.
    pub records: u64,
    /// Records that could not be decoded.
    pub rejects: u64,
}

/// What the threads of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) options: Options,
    pub(crate) series: SeriesTable,
    pub(crate) moments: Moments,
    pub(crate) gate: Gate,
    pub(crate) status: Arc<Status>,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed) || self.status.has_failed()
    }

    pub(crate) fn source_context(&self, id: &str) -> SourceContext {
        SourceContext {
            id: id.to_owned(),
            root: self.options.root.clone(),
            series: self.series.clone(),
            range: self.options.read.clone(),
            threads: self.options.threads,
        }
    }
}

/// Runs a plan until its input ends, the user stops it, or something fails.
///
/// # Errors
/// The first fault of any component. Sinks have then taken back what was not whole.
pub fn run(plan: &Plan, options: Options, status: Arc<Status>) -> Result<RunReport, Fault> {
    let sinks = plan.sinks.len();
    let shared = Arc::new(Shared {
        plan: plan.clone(),
        options,
        series: SeriesTable::new(),
        moments: Moments::new(),
        gate: Gate::new(sinks),
        status,
    });
    let sources = intake::open(&shared)?;
    let open_sinks = apply::open(&shared, |plan| SinkContext {
        job: shared.plan.name.clone(),
        id: plan.id.clone(),
        root: shared.options.root.clone(),
        series: shared.series.clone(),
        kind: plan.kind,
        replace: shared.options.range.clone(),
        durable: None,
    })?;
    let (appliers, outlets) = apply::spawn(&shared, open_sinks)?;
    let crew = worker::spawn(&shared, outlets);
    let ending = match crew {
        Ok(crew) => {
            let intakes = intake::spawn(&shared, sources);
            let event_clock = clock_is_event_time(plan);
            feed::coordinate(&shared, intakes, crew, event_clock)
        }
        Err(fault) => {
            shared.status.fail(fault);
            Ending::Failed
        }
    };
    let reports = apply::join(&shared, appliers);
    if let Some(fault) = shared.status.take_failure() {
        return Err(fault);
    }
    Ok(report(&shared, ending, reports))
}

fn clock_is_event_time(plan: &Plan) -> bool {
    match plan.run.clock {
        ClockSource::Event => true,
        ClockSource::Wall => false,
        ClockSource::Auto => plan.sources.iter().all(|s| s.definition.is_bounded(&s.config)),
    }
}

fn report(shared: &Shared, ending: Ending, sinks: Vec<(String, SinkReport)>) -> RunReport {
    RunReport {
        complete: ending == Ending::Complete,
        epochs: shared.status.epochs(),
        sources: shared.status.source_reports(),
        outputs: shared.status.output_counts(),
        sinks,
    }
}

/// Calls `work`; a panic in it becomes a fault, so that one thread's defect ends the run in good
/// order instead of leaving the others waiting.
pub(crate) fn guarded<R>(place: &str, work: impl FnOnce() -> R) -> Result<R, Fault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        Fault::defect(place, text.unwrap_or("a panic"))
    })
}
