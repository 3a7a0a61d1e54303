//! Hop 6, Apply: a thread per sink, which hands it the sealed epochs in order.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::batch::Rows;
use crate::component::sink::{Ending, Sealed, Sink, SinkContext, SinkReport};
use crate::driver::seal::Seal;
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

/// How many messages may wait for a sink's thread; a worker waits when they are more.
const WAITING: usize = 1_024;

/// Opens every sink of the plan; if one cannot be, those before it take back what they have begun.
pub(crate) fn open(
    shared: &Shared,
    context: impl Fn(&SinkPlan) -> SinkContext,
) -> Result<Vec<Box<dyn Sink>>, Fault> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    for plan in &shared.plan.sinks {
        match plan.definition.open(&plan.config, context(plan)) {
            Ok(sink) => sinks.push(sink),
            Err(fault) => {
                for mut sink in sinks {
                    if let Err(fault) = sink.finish(Ending::Failed) {
                        tracing::warn!(%fault, "a sink could not take back what it had begun");
                    }
                }
                return Err(fault);
            }
        }
    }
    Ok(sinks)
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
        let run = shared.clone();
        let handle = thread::Builder::new()
            .name(format!("sink-{index}"))
            .spawn(move || drive(&run, index, sink, &receiver))
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

fn drive(
    shared: &Shared,
    index: usize,
    mut sink: Box<dyn Sink>,
    from: &Receiver<Outlet>,
) -> Result<SinkReport, Fault> {
    let mut seal = Seal::new(shared.plan.run.workers);
    let outcome = guarded("a sink", || drain(shared, index, sink.as_mut(), &mut seal, from));
    if let Err(fault) = outcome.and_then(|outcome| outcome) {
        shared.status.fail(fault);
        // Workers must not wait for a sink that takes no more.
        while from.recv().is_ok() {}
    }
    let ending = if shared.status.has_failed() {
        Ending::Failed
    } else if shared.options.stop.load(std::sync::atomic::Ordering::Relaxed) {
        Ending::Interrupted
    } else {
        Ending::Complete
    };
    let report = guarded("a sink", || sink.finish(ending)).and_then(|report| report);
    if let Err(fault) = &report {
        tracing::error!(%fault, "a sink could not finish");
    }
    report
}

fn drain(
    shared: &Shared,
    index: usize,
    sink: &mut dyn Sink,
    seal: &mut Seal,
    from: &Receiver<Outlet>,
) -> Result<(), Fault> {
    while let Ok(outlet) = from.recv() {
        match outlet {
            Outlet::Rows(worker, epoch, rows) => seal.add(worker, epoch, rows),
            Outlet::Frontier(worker, frontier) => seal.advance(worker, frontier),
        }
        while let Some((epoch, runs)) = seal.next(shared.status.epochs()) {
            let moment = shared
                .moments
                .get(epoch)
                .ok_or_else(|| Fault::defect("seal", format!("epoch {epoch} has no moment")))?;
            if shared.status.has_failed() {
                continue; // nothing more is applied, the sink will take back what is not whole
            }
            shared.status.count_sink(index, runs.iter().map(Rows::len).sum());
            sink.apply(Sealed { moment, runs })?;
            shared.gate.applied(index, epoch);
        }
    }
    Ok(())
}
