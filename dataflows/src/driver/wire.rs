//! Wiring: a plan becomes a timely dataflow on one worker. The same on every worker.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::Sender;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Concatenate, Exchange, Input};

use proto::series::worker_of;

use crate::batch::{Batch, Record, Rows};
use crate::component::operator::OperatorContext;
use crate::driver::Shared;
use crate::driver::apply::Outlet;
use crate::driver::operate::{Place, operate};
use crate::driver::resume::Resume;
use crate::fault::Fault;
use crate::job::plan::{OperatorPlan, Origin, Plan};
use crate::kind::{Kind, each_kind};
use crate::machine::AnyMachine;
use crate::moment::Epoch;
use crate::port::{Edge, Port};

type Handle<T> = InputHandle<Epoch, CapacityContainerBuilder<Vec<Batch<T>>>>;

macro_rules! per_kind {
    ($($kind:ident: $type:ty,)*) => {
        /// The worker's end of one output of a source.
        pub(crate) enum Inlet {
            $($kind(Handle<$type>),)*
        }

        impl Inlet {
            /// Sends rows into the epoch under way.
            pub(crate) fn send(&mut self, worker: u32, rows: Rows) {
                match (self, rows) {
                    $((Self::$kind(handle), Rows::$kind(rows)) => {
                        handle.send_batch(&mut vec![Batch { worker, rows }]);
                    })*
                    // A source's intake is checked by the coordinator.
                    _ => debug_assert!(false, "rows of another kind"),
                }
            }

            /// Closes all epochs below `epoch`.
            pub(crate) fn advance_to(&mut self, epoch: Epoch) {
                match self {
                    $(Self::$kind(handle) => handle.advance_to(epoch),)*
                }
            }
        }

        fn inlet(scope: Scope<'_, Epoch>, kind: Kind) -> (Inlet, Port<'_>) {
            match kind {
                $(Kind::$kind => {
                    let (handle, stream) = scope.new_input();
                    (Inlet::$kind(handle), Port::$kind(exchange(scope, stream)))
                })*
            }
        }

        /// Wraps a machine of any kind into an operator of the scope; gives its outputs.
        fn operate_any<'scope>(
            scope: Scope<'scope, Epoch>,
            inputs: Vec<Port<'scope>>,
            machine: AnyMachine,
            place: Place,
            shared: &Arc<Shared>,
        ) -> Vec<Port<'scope>> {
            match machine {
                $(AnyMachine::$kind(machine) => {
                    operate(scope, merge(scope, inputs), machine, place, shared.clone())
                })*
            }
        }

        /// The end of all edges that a sink reads.
        fn drain_any<'scope>(
            scope: Scope<'scope, Epoch>,
            inputs: Vec<Port<'scope>>,
            kind: Kind,
            to: (usize, Sender<Outlet>),
        ) {
            match kind {
                $(Kind::$kind => drain::<$type>(scope, merge(scope, inputs), to),)*
            }
        }
    };
}

each_kind!(per_kind);

/// Which outputs are read by something that leads to a sink: (component, output).
pub(crate) fn reached(plan: &Plan) -> BTreeMap<(String, usize), bool> {
    let mut reached = BTreeMap::new();
    let mark = |origins: &[Origin], reached: &mut BTreeMap<(String, usize), bool>| {
        for origin in origins {
            reached.insert((origin.id.clone(), origin.output), true);
        }
    };
    for sink in &plan.sinks {
        mark(&sink.inputs, &mut reached);
    }
    for operator in plan.operators.iter().rev() {
        if is_reached(operator, &reached) {
            mark(&operator.inputs, &mut reached);
        }
    }
    reached
}

fn is_reached(operator: &OperatorPlan, reached: &BTreeMap<(String, usize), bool>) -> bool {
    let outputs = operator.definition.outputs().len();
    (0..outputs).any(|number| reached.contains_key(&(operator.id.clone(), number)))
}

/// Which operators run: those whose output leads to a sink.
pub(crate) fn running(plan: &Plan) -> Vec<bool> {
    let reached = reached(plan);
    plan.operators.iter().map(|operator| is_reached(operator, &reached)).collect()
}

/// Builds the machines of every worker before any dataflow exists, so that a fault stays a fault;
/// each takes over the key groups that it owns.
pub(crate) fn machines(shared: &Shared, resume: &Resume) -> Result<Vec<Vec<AnyMachine>>, Fault> {
    let workers = shared.plan.run.workers;
    let reached = reached(&shared.plan);
    let build = |worker: usize| {
        let build = |(index, operator): (usize, &OperatorPlan)| {
            let outputs = operator.definition.outputs().len();
            let used = |number| reached.contains_key(&(operator.id.clone(), number));
            let context = OperatorContext {
                id: operator.id.clone(),
                root: shared.options.root.clone(),
                series: shared.series.clone(),
                kind: operator.kind,
                range: shared.options.range.clone(),
                used_outputs: (0..outputs).map(used).collect(),
            };
            let mut machine = operator.definition.build(&operator.config, context)?;
            if let Some(Some((version, groups))) = resume.operators.get(index) {
                for (group, state) in groups {
                    if worker_of(*group, workers) == worker {
                        machine
                            .restore(*group, *version, state)
                            .map_err(|fault| in_operator(&operator.id, &fault))?;
                    }
                }
            }
            Ok(machine)
        };
        shared.plan.operators.iter().enumerate().map(build).collect()
    };
    (0..workers).map(build).collect()
}

fn in_operator(id: &str, fault: &Fault) -> Fault {
    Fault::stop(
        format!("operators.{id}"),
        format!(
            "its state in the checkpoint cannot be taken over: {fault}; give it `on_change: reset`, \
             use the tapeflow that wrote it, or start over with --fresh"
        ),
    )
}

/// Wires the plan on a worker; gives the inlets, in the order of (source, output).
pub(crate) fn wire(
    scope: Scope<'_, Epoch>,
    shared: &Arc<Shared>,
    worker: usize,
    machines: Vec<AnyMachine>,
    outlets: &[Sender<Outlet>],
) -> Vec<Vec<Inlet>> {
    let plan = &shared.plan;
    let reached = reached(plan);
    let mut ports: BTreeMap<(String, usize), Port<'_>> = BTreeMap::new();
    let mut inlets = Vec::new();
    for source in &plan.sources {
        let mut row = Vec::new();
        for (number, output) in source.outputs().iter().enumerate() {
            let (inlet, port) = inlet(scope, output.kind.unwrap_or(Kind::Ticks));
            ports.insert((source.id.clone(), number), port);
            row.push(inlet);
        }
        inlets.push(row);
    }
    let mut counter = 0;
    for (index, (operator, machine)) in plan.operators.iter().zip(machines).enumerate() {
        let outputs = operator.definition.outputs().len();
        let first = counter;
        counter += outputs;
        if !is_reached(operator, &reached) {
            continue; // nothing would ever read it, and so nothing would let it finish an epoch
        }
        let place = Place {
            id: operator.id.clone(),
            number: index,
            worker,
            kinds: operator.output_kinds(),
            used: (0..outputs)
                .map(|number| reached.contains_key(&(operator.id.clone(), number)))
                .collect(),
            counter: first,
        };
        let inputs = operator.inputs.iter();
        let inputs: Vec<Port<'_>> = inputs.filter_map(|o| find(&ports, o)).collect();
        let made = operate_any(scope, inputs, machine, place, shared);
        for (number, port) in made.into_iter().enumerate() {
            ports.insert((operator.id.clone(), number), port);
        }
    }
    for (sink, outlet) in plan.sinks.iter().zip(outlets) {
        let inputs: Vec<Port<'_>> = sink.inputs.iter().filter_map(|o| find(&ports, o)).collect();
        drain_any(scope, inputs, sink.kind, (worker, outlet.clone()));
    }
    inlets
}

fn find<'scope>(
    ports: &BTreeMap<(String, usize), Port<'scope>>,
    origin: &Origin,
) -> Option<Port<'scope>> {
    ports.get(&(origin.id.clone(), origin.output)).cloned()
}

/// Sends every batch to the worker that it is bound for. All that follows stays on that worker: every
/// operator is keyed by series, and a series lives where its key group does.
fn exchange<'scope, T: Record>(
    scope: Scope<'scope, Epoch>,
    stream: Edge<'scope, T>,
) -> Edge<'scope, T> {
    if scope.peers() == 1 { stream } else { stream.exchange(|batch| u64::from(batch.worker)) }
}

/// Opens the ports (lint has checked their kinds) and merges them into one edge.
fn merge<'scope, T: Record>(
    scope: Scope<'scope, Epoch>,
    ports: Vec<Port<'scope>>,
) -> Edge<'scope, T>
where
    Edge<'scope, T>: TryFrom<Port<'scope>>,
{
    let mut edges: Vec<Edge<'scope, T>> =
        ports.into_iter().filter_map(|port| port.try_into().ok()).collect();
    match edges.pop() {
        Some(only) if edges.is_empty() => only,
        last => scope.concatenate(edges.into_iter().chain(last)),
    }
}

/// The end of an edge: everything goes to the sink's thread, with the frontier.
fn drain<'scope, T: Record>(
    scope: Scope<'scope, Epoch>,
    edge: Edge<'scope, T>,
    (worker, to): (usize, Sender<Outlet>),
) {
    let mut builder = OperatorBuilder::new("sink".to_owned(), scope);
    let mut input = builder.new_input(edge, Pipeline);
    builder.build(move |_| {
        let mut told: Epoch = 0;
        move |frontiers| {
            input.for_each(|time, batches: &mut Vec<Batch<T>>| {
                for batch in batches.drain(..) {
                    // A closed channel is a sink that failed; the run is ending.
                    drop(to.send(Outlet::Rows(worker, *time.time(), T::wrap(batch.rows))));
                }
            });
            let frontier = frontiers.first().and_then(|f| f.frontier().first().copied());
            let frontier = frontier.unwrap_or(Epoch::MAX);
            if frontier > told {
                told = frontier;
                drop(to.send(Outlet::Frontier(worker, frontier)));
            }
        }
    });
}
