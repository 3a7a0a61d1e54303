//! Hop 6, Apply: a thread per sink, which hands it the sealed epochs in order, each as soon as the
//! journal has it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use proto::event_time::EventTime;

use crate::batch::Rows;
use crate::checkpoint::gather::Part;
use crate::component::sink::{
    Durable, Ending, Guarantee, Sealed, Sink, SinkContext, SinkReport, Stop,
};
use crate::crash;
use crate::driver::resume::Resume;
use crate::driver::seal::Seal;
use crate::driver::spread::Tally;
use crate::driver::{Shared, guarded};
use crate::fault::Fault;
use crate::job::plan::SinkPlan;
use crate::moment::Epoch;

/// What a worker tells a sink's thread.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// Rows of an epoch.
    Rows(usize, Epoch, Rows),
    /// This worker will send nothing below this epoch any more.
    Frontier(usize, Epoch),
}

/// Opens a sink, by its number in the plan.
pub(crate) type Open<'a> =
    dyn FnMut(usize, &SinkPlan, SinkContext) -> Result<Box<dyn Sink>, Fault> + 'a;

/// Opens a sink as its definition does.
pub(crate) fn as_defined(
    _: usize,
    plan: &SinkPlan,
    context: SinkContext,
) -> Result<Box<dyn Sink>, Fault> {
    plan.definition.open(&plan.config, context)
}

/// How many messages may wait for a sink's thread; a worker waits when they are more.
const WAITING: usize = 1_024;

/// Opens every sink of the plan; if one cannot be, those before it take back what they have begun.
/// `last` is the last epoch that the journal has, `open` opens a sink by its number.
pub(crate) fn open(
    shared: &Shared,
    resume: &Resume,
    last: Epoch,
    open: &mut Open<'_>,
) -> Result<Vec<Box<dyn Sink>>, Fault> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    for (index, plan) in shared.plan.sinks.iter().enumerate() {
        match open_one(shared, resume, last, (index, plan), open) {
            Ok(sink) => sinks.push(sink),
            Err(fault) => {
                give_up(sinks);
                return Err(fault);
            }
        }
    }
    Ok(sinks)
}

/// Lets sinks that were opened in vain take back what they have begun.
pub(crate) fn give_up(sinks: Vec<Box<dyn Sink>>) {
    for mut sink in sinks {
        if let Err(fault) = sink.finish(Ending::Failed) {
            tracing::warn!(%fault, "a sink could not take back what it had begun");
        }
    }
}

fn open_one(
    shared: &Shared,
    resume: &Resume,
    last: Epoch,
    (index, plan): (usize, &SinkPlan),
    open: &mut Open<'_>,
) -> Result<Box<dyn Sink>, Fault> {
    let state = resume.sinks.get(index).cloned().flatten();
    // Also where the record of the start before is gone: the journal's epochs come again, and the
    // sink may have applied them.
    let is_forgotten = resume.base == 0 && last > 0 && !resume.has_begun;
    let nothing = is_forgotten.then(|| (0, Vec::new()));
    let restored = state.or(nothing);
    let behind = restored.as_ref().map(|(epoch, _)| *epoch);
    let context = SinkContext {
        job: shared.plan.name.clone(),
        id: plan.id.clone(),
        root: shared.options.root.clone(),
        series: shared.series.clone(),
        kind: plan.kind,
        replace: shared.options.range.clone(),
        stop: Stop::new(shared.options.stop.clone(), shared.status.clone()),
        durable: shared
            .durability
            .as_ref()
            .map(|durability| Durable { generation: durability.generation, restored }),
        health: shared.status.health(&plan.id),
    };
    let mut sink = open(index, plan, context)?;
    if let Some(applied) = behind.map(|_| sink.applied()).transpose()?.flatten()
        && !(behind.unwrap_or(0)..=last).contains(&applied)
    {
        let why = if applied < resume.base {
            format!(
                "it has epochs up to {applied}, the checkpoint says {}: what the job had written \
                 there is gone, or it is another place",
                resume.base
            )
        } else {
            format!(
                "it has epochs up to {applied}, the journal only up to {last}: the end of the \
                 journal is gone"
            )
        };
        if let Err(fault) = sink.finish(Ending::Failed) {
            tracing::warn!(%fault, "a sink could not be closed");
        }
        return Err(Fault::stop(
            format!("sinks.{}", plan.id),
            format!("{why}. Restore what is missing, or start over with --fresh"),
        ));
    }
    Ok(sink)
}

pub(crate) type Applier = (String, JoinHandle<Result<SinkReport, Fault>>);

/// Starts the threads.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    sinks: Vec<Box<dyn Sink>>,
) -> Result<(Vec<Applier>, Vec<Sender<Outlet>>), Fault> {
    let mut appliers = Vec::new();
    let mut outlets = Vec::new();
    for (index, sink) in sinks.into_iter().enumerate() {
        let (sender, receiver) = bounded(WAITING);
        let apply = Apply::new(shared.clone(), index, sink);
        let handle = thread::Builder::new()
            .name(format!("sink-{index}"))
            .spawn(move || drive(apply, &receiver))
            .map_err(|error| Fault::stop("a thread for a sink", error))?;
        let id = shared.plan.sinks.get(index).map(|plan| plan.id.clone()).unwrap_or_default();
        appliers.push((id, handle));
        outlets.push(sender);
    }
    Ok((appliers, outlets))
}

/// Waits for the threads; a fault of theirs becomes the run's.
pub(crate) fn join(shared: &Shared, appliers: Vec<Applier>) -> Vec<(String, SinkReport)> {
    let mut reports = Vec::new();
    for (id, handle) in appliers {
        match handle.join() {
            Ok(Ok(report)) => reports.push((id, report)),
            Ok(Err(fault)) => shared.status.fail(fault),
            Err(_) => shared.status.fail(Fault::defect(id, "the sink's thread panicked")),
        }
    }
    reports
}

fn drive(mut apply: Apply, from: &Receiver<Outlet>) -> Result<SinkReport, Fault> {
    let shared = apply.shared.clone();
    let outcome = guarded("a sink", || {
        while let Ok(outlet) = from.recv() {
            apply.take(outlet);
            while let Some(epoch) = apply.sealed() {
                if let Some(durability) = shared.durability.as_ref().filter(|_| apply.waits) {
                    durability.journaled.wait_for(epoch, || shared.status.has_failed());
                }
                apply.apply()?;
            }
        }
        Ok(())
    });
    if let Err(fault) = outcome.and_then(|outcome| outcome) {
        shared.status.fail(fault);
        // Workers must not wait for a sink that takes no more.
        while from.recv().is_ok() {}
    }
    if let Some(durability) = &shared.durability {
        // What it publishes at the end, a restart must not find without the checkpoint before it.
        let last = apply.checkpointed;
        durability.checkpointed.wait_for(last, || shared.status.has_failed());
    }
    apply.finish()
}

/// A sink with the epochs that are on their way to it.
pub(crate) struct Apply {
    shared: Arc<Shared>,
    index: usize,
    sink: Box<dyn Sink>,
    seal: Seal,
    next: Option<(Epoch, Vec<Rows>)>,
    /// Whether it may be handed an epoch only when the journal has it.
    waits: bool,
    /// When the records of the epoch under way happened.
    times: Vec<EventTime>,
    /// The epoch after which it last gave its part of a checkpoint.
    pub(crate) checkpointed: Epoch,
}

impl Apply {
    pub(crate) fn new(shared: Arc<Shared>, index: usize, sink: Box<dyn Sink>) -> Self {
        let plan = shared.plan.sinks.get(index);
        let waits = plan.is_some_and(|plan| {
            plan.definition.guarantee(&plan.config, plan.kind) > Guarantee::BestEffort
        });
        let seal = Seal::new(shared.plan.run.workers, shared.base);
        Self { shared, index, sink, seal, next: None, waits, times: Vec::new(), checkpointed: 0 }
    }

    /// Takes what a worker says.
    pub(crate) fn take(&mut self, outlet: Outlet) {
        match outlet {
            Outlet::Rows(worker, epoch, rows) => self.seal.add(worker, epoch, rows),
            Outlet::Frontier(worker, frontier) => self.seal.advance(worker, frontier),
        }
    }

    /// Gives the next epoch that is whole.
    pub(crate) fn sealed(&mut self) -> Option<Epoch> {
        if self.next.is_none() {
            self.next = self.seal.next(self.shared.status.epochs());
        }
        self.next.as_ref().map(|(epoch, _)| *epoch)
    }

    /// Tells whether the next epoch may be handed to the sink.
    pub(crate) fn may_apply(&mut self) -> bool {
        let Some(epoch) = self.sealed() else { return false };
        let durability = self.shared.durability.as_ref().filter(|_| self.waits);
        durability.is_none_or(|durability| durability.journaled.get() >= epoch)
    }

    /// Hands the next epoch to the sink, and takes the sink's part of a checkpoint after it.
    pub(crate) fn apply(&mut self) -> Result<(), Fault> {
        let Some((epoch, runs)) = self.next.take() else { return Ok(()) };
        let moment = self
            .shared
            .moments
            .get(epoch)
            .ok_or_else(|| Fault::defect("seal", format!("epoch {epoch} has no moment")))?;
        if self.shared.status.has_failed() {
            return Ok(()); // nothing more is applied, the sink will take back what is not whole
        }
        let records = runs.iter().map(Rows::len).sum();
        self.shared.status.count_taken(self.index, records);
        self.note_times(&runs);
        self.shared.check_lease()?;
        crash::point("sink.before_apply");
        self.sink.apply(Sealed { moment, runs })?;
        crash::point("sink.after_apply");
        self.shared.status.count_applied(self.index, epoch, records, &self.ages());
        if let Some(durability) = self.shared.durability.as_ref().filter(|d| d.cuts.is_at(epoch)) {
            crash::point("sink.before_checkpoint");
            let state = self.sink.checkpoint()?;
            crash::point("sink.after_checkpoint");
            durability.part(epoch, Part::Sink { sink: self.index, state });
            self.checkpointed = epoch;
        }
        self.shared.gate.applied(self.index, epoch);
        self.shared.release_applied();
        Ok(())
    }

    /// Notes when what the sink is handed happened. Only of a live job, and if somebody wants to
    /// know.
    fn note_times(&mut self, runs: &[Rows]) {
        self.times.clear();
        if !self.shared.is_event_clock && self.shared.status.is_watched() {
            runs.iter().for_each(|rows| rows.for_each_time(|time| self.times.push(time)));
        }
    }

    /// How old is what the sink has just applied.
    fn ages(&self) -> Tally {
        let mut ages = Tally::default();
        if !self.times.is_empty() {
            let now = self.shared.clock.wall();
            let age = |time: &EventTime| u64::try_from(now.ns().saturating_sub(time.ns()));
            let ages_ns = self.times.iter().map(|time| age(time).unwrap_or(0));
            ages_ns.for_each(|ns| ages.add(Duration::from_nanos(ns)));
        }
        ages
    }

    /// Ends the sink as the run has ended.
    pub(crate) fn finish(mut self) -> Result<SinkReport, Fault> {
        let ending = if self.shared.status.has_failed() {
            Ending::Failed
        } else if self.shared.options.stop.load(std::sync::atomic::Ordering::Relaxed) {
            Ending::Interrupted
        } else {
            Ending::Complete
        };
        let report = guarded("a sink", || self.sink.finish(ending)).and_then(|report| report);
        if let Err(fault) = &report {
            tracing::error!(%fault, "a sink could not finish");
        }
        report
    }
}
