//! Hop 4, Operate: the adapter from a pure machine to a timely operator.
//!
//! Batches wait until the frontier has passed their epoch, then epochs are applied one after the
//! other, each closed with its moment. So a machine sees the same calls whatever the interleaving
//! of workers and channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use proto::series::{KEY_GROUPS, worker_of};

use crate::batch::{Batch, Record, Rows};
use crate::checkpoint::gather::Part;
use crate::driver::Shared;
use crate::kind::{Kind, each_kind};
use crate::machine::{Emit, Machine};
use crate::moment::Epoch;
use crate::port::{Edge, Port};

type Out<T> = OutputBuilder<Epoch, CapacityContainerBuilder<Vec<Batch<T>>>>;

macro_rules! any_out {
    ($($kind:ident: $type:ty,)*) => {
        enum AnyOut {
            $($kind(Out<$type>),)*
        }

        impl AnyOut {
            fn new<'scope>(
                builder: &mut OperatorBuilder<'scope, Epoch>,
                kind: Kind,
            ) -> (Self, Port<'scope>) {
                match kind {
                    $(Kind::$kind => {
                        let (output, stream) = builder.new_output();
                        (Self::$kind(Out::from(output)), Port::$kind(stream))
                    })*
                }
            }

            fn give(&mut self, capability: &Capability<Epoch>, worker: u32, rows: Rows) {
                match (self, rows) {
                    $((Self::$kind(out), Rows::$kind(rows)) => {
                        out.activate().session(capability).give(Batch { worker, rows });
                    })*
                    // Emit and outputs are made of the same list of kinds.
                    _ => debug_assert!(false, "an output of another kind"),
                }
            }
        }
    };
}

each_kind!(any_out);

/// What the adapter knows of the operator beside its machine.
pub(crate) struct Place {
    pub(crate) id: String,
    /// Its number in the plan.
    pub(crate) number: usize,
    /// The worker that it runs on.
    pub(crate) worker: usize,
    pub(crate) kinds: Vec<Kind>,
    /// Whether anything reads the output; what nobody reads is counted and dropped here.
    pub(crate) used: Vec<bool>,
    /// The number of its first output in the run's counters.
    pub(crate) counter: usize,
}

/// Wraps a machine into an operator of the scope; gives its outputs.
pub(crate) fn operate<'scope, T: Record>(
    scope: Scope<'scope, Epoch>,
    input: Edge<'scope, T>,
    mut machine: Box<dyn Machine<T>>,
    place: Place,
    shared: Arc<Shared>,
) -> Vec<Port<'scope>> {
    let worker = u32::try_from(place.worker).unwrap_or(0);
    let mut builder = OperatorBuilder::new(place.id.clone(), scope);
    let mut input = builder.new_input(input, Pipeline);
    let mut outs = Vec::new();
    let mut ports = Vec::new();
    for kind in &place.kinds {
        let (out, port) = AnyOut::new(&mut builder, *kind);
        outs.push(out);
        ports.push(port);
    }
    builder.build(move |mut capabilities| {
        let mut waiting: BTreeMap<Epoch, Vec<Vec<T>>> = BTreeMap::new();
        let mut emit = Emit::new(&place.kinds);
        let mut next: Epoch = shared.base + 1;
        for capability in &mut capabilities {
            capability.downgrade(&next);
        }
        move |frontiers| {
            input.for_each(|time, batches: &mut Vec<Batch<T>>| {
                let runs = batches.drain(..).map(|batch| batch.rows);
                waiting.entry(*time.time()).or_default().extend(runs);
            });
            let frontier = frontiers.first().and_then(|f| f.frontier().first().copied());
            while frontier.is_none_or(|frontier| next < frontier) {
                // A closed input lets the frontier jump to the end: the moments say how far.
                let Some(moment) = shared.moments.get(next) else { break };
                for mut rows in waiting.remove(&next).into_iter().flatten() {
                    machine.apply(&mut rows, &mut emit);
                    T::spare().give(rows);
                }
                machine.seal(&moment, &mut emit);
                remember(machine.as_ref(), &place, worker as usize, next, &shared);
                for (number, capability) in capabilities.iter_mut().enumerate() {
                    let rows = emit.take(number);
                    if rows.is_empty() {
                        continue;
                    }
                    shared.status.count_output(place.counter + number, rows.len());
                    if let Rows::Rejects(rejects) = &rows {
                        shared.status.count_rejects(&place.id, rejects);
                    }
                    if place.used.get(number).copied().unwrap_or(false) {
                        capability.downgrade(&next);
                        if let Some(out) = outs.get_mut(number) {
                            out.give(capability, worker, rows);
                        }
                    }
                }
                next += 1;
            }
            if frontier.is_none() {
                capabilities.clear();
            }
            for capability in &mut capabilities {
                if *capability.time() < next {
                    capability.downgrade(&next);
                }
            }
        }
    });
    ports
}

/// Where a checkpoint is taken after this epoch: sends the state of the key groups that the worker
/// owns.
fn remember<T: Record>(
    machine: &dyn Machine<T>,
    place: &Place,
    worker: usize,
    epoch: Epoch,
    shared: &Shared,
) {
    let Some(durability) = shared.durability.as_ref().filter(|d| d.cuts.is_at(epoch)) else {
        return;
    };
    let mut groups = Vec::new();
    for group in 0..KEY_GROUPS {
        if worker_of(group, shared.plan.run.workers) != worker {
            continue;
        }
        let mut state = Vec::new();
        if let Err(fault) = machine.snapshot(group, &mut state) {
            return shared.status.fail(fault);
        }
        if !state.is_empty() {
            groups.push((group, state));
        }
    }
    let (operator, version) = (place.number, machine.state_version());
    durability.part(epoch, Part::Operator { operator, worker, version, groups });
}
