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

pub mod durable;
pub mod gate;
pub mod reading;
pub mod replay;
pub mod seal;
pub mod spread;
pub mod stamp;
pub mod status;

pub(crate) mod apply;
pub(crate) mod checkpointing;
pub(crate) mod feed;
pub(crate) mod intake;
pub(crate) mod journaling;
pub(crate) mod prepare;
pub(crate) mod wire;
pub(crate) mod worker;

mod again;
mod heal;
mod healed;
mod live;
mod mark;
mod operate;
mod resume;
mod seam;
mod seen;
mod settle;
mod supply;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use proto::columns::Names;
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::SeriesTable;

use crate::batch::Rows;
use crate::clock::{Clock, System};
use crate::component::sink::{Ending, SinkReport};
use crate::component::source::{Promise, Range, Source, SourceContext};
use crate::fault::Fault;
use crate::job::plan::Plan;
use crate::job::promise::Ack;
use crate::lease::Lease;
use crate::moment::{Epoch, Moments};

use durable::{Backing, Durability, Start};
use feed::Feed;
use gate::Gate;
use prepare::{Keepers, Run};
use reading::Phase;
use settle::Settle;
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
    /// Whether the run survives being killed, and what it goes on from.
    pub start: Start,
    /// Whether the journal keeps the records of every source: a recording, which can be replayed
    /// without the sources.
    pub is_recording: bool,
    /// The right to run the job, where processes wait for one another.
    pub lease: Option<Arc<dyn Lease>>,
    /// Answers for the variables of the environment that an object store is set up by.
    pub variable: fn(&str) -> Option<String>,
}

impl Default for Options {
    /// All input of a durable run, relative to the current folder, one thread a source.
    fn default() -> Self {
        Self {
            root: PathBuf::new(),
            range: None,
            read: None,
            enough: None,
            stop: Arc::default(),
            threads: 1,
            start: Start::default(),
            is_recording: false,
            lease: None,
            variable: |_| None,
        }
    }
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
    /// What the run went on from, if it is durable.
    pub resumed: Option<Resumed>,
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
    /// Messages that had been delivered before, and were dropped.
    pub redelivered: u64,
}

/// What a durable run went on from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Resumed {
    /// Counts the starts of the job.
    pub generation: u64,
    /// The epoch of the checkpoint; 0: there was none.
    pub checkpoint: Epoch,
    /// The last epoch that was minted again from the journal.
    pub journal: Epoch,
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
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) is_event_clock: bool,
    /// The epoch that the run goes on behind; 0: it starts from nothing.
    pub(crate) base: Epoch,
    pub(crate) settle: Settle,
    /// Of a durable run.
    pub(crate) durability: Option<Durability>,
    /// By source: what it had handed in when the journal was through.
    pub(crate) had: Vec<OnceLock<heal::Had>>,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed) || self.status.has_failed()
    }

    /// The coordinator is at work: for `/livez`.
    pub(crate) fn beat(&self) {
        self.status.turned();
        if self.is_stopping() {
            self.status.enter(Phase::Draining);
        }
    }

    pub(crate) fn source_context(&self, id: &str) -> SourceContext {
        SourceContext {
            job: self.plan.name.clone(),
            id: id.to_owned(),
            root: self.options.root.clone(),
            series: self.series.clone(),
            range: self.options.read.clone(),
            threads: self.options.threads,
            health: self.status.health(id),
            is_healed: self.plan.sources.iter().any(|s| s.id == id && s.heal.is_some()),
        }
    }

    /// Refuses to go on without the right to run the job.
    pub(crate) fn check_lease(&self) -> Result<(), Fault> {
        self.options.lease.as_ref().map_or(Ok(()), |lease| lease.check())
    }

    /// Lets go what waits for all sinks; of a durable run, what the journal has, too: a sink that
    /// promises nothing does not wait for it.
    pub(crate) fn release_applied(&self) {
        if self.settle.waits_for(Ack::Applied) {
            let journaled = self.durability.as_ref().map(|durability| durability.journaled.get());
            let applied = self.gate.least();
            self.settle.release(Ack::Applied, journaled.map_or(applied, |j| j.min(applied)));
        }
    }

    /// Tells whether the journal keeps the records of a source, because nobody could give them
    /// again.
    pub(crate) fn keeps_payload(&self, source: usize) -> bool {
        self.durability.is_some() && (self.options.is_recording || !self.replays(source))
    }

    /// Tells whether a source can be read again.
    pub(crate) fn replays(&self, source: usize) -> bool {
        let plan = self.plan.sources.get(source);
        plan.is_some_and(|s| s.definition.promise(&s.config) == Promise::Replays)
    }

    /// Encodes records for the journal, where it has to keep them.
    pub(crate) fn payload(
        &self,
        source: usize,
        rows: &Rows,
        rejects: &[Reject],
        names: &mut Names,
    ) -> Result<Option<Vec<u8>>, Fault> {
        if !self.keeps_payload(source) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        crate::codec::encode(rows, rejects, names, &mut bytes)?;
        Ok(Some(bytes))
    }
}

/// Runs a plan until its input ends, the user stops it, or something fails.
///
/// # Errors
/// The first fault of any component. Sinks have then taken back what was not whole.
pub fn run(plan: &Plan, options: Options, status: Arc<Status>) -> Result<RunReport, Fault> {
    let is_durable = plan.state.durable && options.range.is_none();
    let backing = match options.start {
        Start::Resume | Start::Fresh if is_durable => {
            let is_leased = options.lease.is_some();
            Some(Backing::open(plan, &options.root, is_leased, &options.variable)?)
        }
        Start::Forgetful | Start::Resume | Start::Fresh => None,
    };
    run_in(plan, options, backing, status)
}

/// Runs a plan as [`run`] does, but keeps what makes it durable where it is told.
///
/// # Errors
/// The first fault of any component.
pub fn run_in(
    plan: &Plan,
    options: Options,
    backing: Option<Backing>,
    status: Arc<Status>,
) -> Result<RunReport, Fault> {
    status.enter(Phase::Opening);
    let is_fresh = options.start == Start::Fresh;
    let is_leased = options.lease.is_some();
    let opened =
        backing.map(|backing| durable::open(plan, backing, is_fresh, is_leased)).transpose()?;
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    let (run, keepers) = Run::prepare(plan, options, opened, status, clock)?;
    let sources = intake::open(&run.shared, &run.resume)?;
    drive(run, keepers, sources)
}

/// Starts the threads of a run that was prepared, and waits for its end.
fn drive(
    run: Run,
    mut keepers: Keepers,
    sources: Vec<Box<dyn Source>>,
) -> Result<RunReport, Fault> {
    let Run { shared, resume, again } = run;
    let machines = wire::machines(&shared, &resume)?;
    let sinks = apply::open(&shared, &resume, keepers.last, &mut apply::as_defined)?;
    if let Err(fault) = keepers.begin(&shared) {
        apply::give_up(sinks);
        return Err(fault);
    }
    let keepers = keepers.spawn(&shared)?;
    let (appliers, outlets) = apply::spawn(&shared, sinks)?;
    let mut pumps = Vec::new();
    let ending = match worker::spawn(&shared, machines, outlets) {
        Ok(crew) => {
            let (intakes, started) = intake::spawn(&shared, sources);
            pumps = started;
            feed::coordinate(Feed::new(shared.clone(), intakes, crew, resume, again))
        }
        Err(fault) => {
            shared.status.fail(fault);
            Ending::Failed
        }
    };
    let reports = apply::join(&shared, appliers);
    keepers.join(&shared);
    intake::join(&shared, pumps);
    if let Some(fault) = shared.status.take_failure() {
        return Err(fault);
    }
    Ok(report(&shared, ending, reports))
}

fn report(shared: &Shared, ending: Ending, sinks: Vec<(String, SinkReport)>) -> RunReport {
    RunReport {
        complete: ending == Ending::Complete,
        epochs: shared.status.epochs(),
        sources: shared.status.source_reports(),
        resumed: shared.durability.as_ref().map(|durability| durability.resumed.clone()),
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
