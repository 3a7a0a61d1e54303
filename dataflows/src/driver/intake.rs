//! Hop 1, Intake: a thread per source, which hands its records over through a bounded channel.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::component::source::{Intake, Source};
use crate::driver::Shared;
use crate::fault::Fault;

/// How many intakes may wait for the coordinator, per source.
const WAITING: usize = 4;

/// Opens every source of the plan.
pub(crate) fn open(shared: &Shared) -> Result<Vec<Box<dyn Source>>, Fault> {
    let open = |plan: &crate::job::plan::SourcePlan| {
        plan.definition.open(&plan.config, None, shared.source_context(&plan.id))
    };
    shared.plan.sources.iter().map(open).collect()
}

/// Starts the threads; a source's channel closes when it has ended.
pub(crate) fn spawn(shared: &Arc<Shared>, sources: Vec<Box<dyn Source>>) -> Vec<Receiver<Intake>> {
    let start = |(index, source): (usize, Box<dyn Source>)| {
        let (sender, receiver) = bounded(WAITING);
        let (run, name) = (shared.clone(), format!("source-{index}"));
        let spawned =
            thread::Builder::new().name(name).spawn(move || pump(&run, index, source, &sender));
        if let Err(error) = spawned {
            shared.status.fail(Fault::stop("a thread for a source", error));
        }
        receiver
    };
    sources.into_iter().enumerate().map(start).collect()
}

fn pump(shared: &Shared, index: usize, mut source: Box<dyn Source>, to: &Sender<Intake>) {
    loop {
        if shared.is_stopping() {
            return;
        }
        let next = crate::driver::guarded("a source", || source.next(&shared.options.stop));
        match next.and_then(|next| next) {
            Ok(Some(intake)) => {
                shared.status.count_intake(index, intake.rows.len(), intake.rejects.len());
                shared.status.set_progress(index, source.progress());
                if to.send(intake).is_err() {
                    return;
                }
            }
            Ok(None) => {
                shared.status.set_progress(index, Some(1000));
                return;
            }
            Err(fault) => return shared.status.fail(fault),
        }
    }
}
