//! Hop 1, Intake: a thread per source, which hands its records over through a bounded channel, and
//! acknowledges what has become durable.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use proto::columns::Names;

use crate::component::source::{Intake, Source};
use crate::crash;
use crate::driver::heal::{Healer, Way};
use crate::driver::resume::Resume;
use crate::driver::{Shared, guarded};
use crate::fault::Fault;

/// How many intakes may wait for the coordinator, per source.
pub(crate) const WAITING: usize = 4;

/// What a source handed in, and its payload for the journal where that has to keep it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) intake: Intake,
    pub(crate) way: Way,
    pub(crate) payload: Option<Vec<u8>>,
}

/// Opens every source of the plan, behind where it stood.
pub(crate) fn open(shared: &Shared, resume: &Resume) -> Result<Vec<Box<dyn Source>>, Fault> {
    let open = |(index, plan): (usize, &crate::job::plan::SourcePlan)| {
        let behind = resume.sources.get(index).and_then(|source| source.position.clone());
        plan.definition.open(&plan.config, behind, shared.source_context(&plan.id))
    };
    shared.plan.sources.iter().enumerate().map(open).collect()
}

/// A thread that gives its source back when the source has ended.
pub(crate) type Pump = JoinHandle<Option<Box<dyn Source>>>;

/// Starts the threads; a source's channel closes when it has ended.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    sources: Vec<Box<dyn Source>>,
) -> (Vec<Receiver<Taken>>, Vec<Pump>) {
    let mut pumps = Vec::new();
    let mut start = |(index, source): (usize, Box<dyn Source>)| {
        let (sender, receiver) = bounded(WAITING);
        let (run, name) = (shared.clone(), format!("source-{index}"));
        let spawned =
            thread::Builder::new().name(name).spawn(move || pump(&run, index, source, &sender));
        match spawned {
            Ok(pump) => pumps.push(pump),
            Err(error) => shared.status.fail(Fault::stop("a thread for a source", error)),
        }
        receiver
    };
    let receivers = sources.into_iter().enumerate().map(&mut start).collect();
    (receivers, pumps)
}

/// Waits for the threads, and lets each source acknowledge what has become durable since.
pub(crate) fn join(shared: &Shared, pumps: Vec<Pump>) {
    for (index, pump) in pumps.into_iter().enumerate() {
        if let Ok(Some(mut source)) = pump.join()
            && !shared.status.has_failed()
            && let Err(fault) = settle(shared, index, source.as_mut())
        {
            shared.status.fail(fault);
        }
    }
}

fn pump(
    shared: &Arc<Shared>,
    index: usize,
    mut source: Box<dyn Source>,
    to: &Sender<Taken>,
) -> Option<Box<dyn Source>> {
    let mut healer = Healer::new(shared, index);
    let mut names = Names::new(shared.series.clone());
    loop {
        if shared.is_stopping() {
            return Some(source);
        }
        let (from, healer) = (source.as_mut(), healer.as_mut());
        let turn = guarded("a source", || turn(shared, index, from, healer, &mut names));
        match turn.and_then(|turn| turn) {
            Ok(Some(taken)) if taken.intake.is_empty() && taken.way == Way::Live => {}
            Ok(Some(taken)) => {
                if !hand_over(shared, index, to, taken) {
                    return Some(source);
                }
            }
            Ok(None) => {
                shared.status.set_progress(index, Some(1000));
                return Some(source);
            }
            Err(fault) => {
                shared.status.fail(fault);
                return None;
            }
        }
    }
}

/// Hands over what was taken, and counts how long that had to wait; false: nobody takes it any more.
fn hand_over(shared: &Shared, index: usize, to: &Sender<Taken>, taken: Taken) -> bool {
    let taken = match to.try_send(taken) {
        Ok(()) => return true,
        Err(TrySendError::Disconnected(_)) => return false,
        Err(TrySendError::Full(taken)) => taken,
    };
    let begun = shared.clock.monotonic();
    let is_sent = to.send(taken).is_ok();
    let waited = shared.clock.monotonic().saturating_sub(begun);
    shared.status.count_blocked_source(index, waited);
    is_sent
}

/// Acknowledges what is due, then takes what the source has; none: it has ended.
pub(crate) fn turn(
    shared: &Shared,
    index: usize,
    source: &mut dyn Source,
    healer: Option<&mut Healer>,
    names: &mut Names,
) -> Result<Option<Taken>, Fault> {
    settle(shared, index, source)?;
    let next = match healer {
        Some(healer) => healer.next(source)?,
        None => source.next(&shared.options.stop)?.map(|intake| (intake, Way::Live)),
    };
    let Some((intake, way)) = next else { return Ok(None) };
    shared.status.count_intake(index, intake.rows.len(), &intake.rejects);
    shared.status.set_progress(index, source.progress());
    let payload = shared.payload(index, &intake.rows, &intake.rejects, names)?;
    Ok(Some(Taken { intake, way, payload }))
}

/// Acknowledges what is due.
pub(crate) fn settle(shared: &Shared, index: usize, source: &mut dyn Source) -> Result<(), Fault> {
    let Some(due) = shared.settle.take(index) else { return Ok(()) };
    crash::point("source.before_ack");
    source.settle(&due.position)?;
    shared.status.count_acked(index, due.records);
    crash::point("source.after_ack");
    Ok(())
}
