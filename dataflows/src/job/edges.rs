//! The edges of a job: what `input` names, whether its kind fits, and in which order to wire.

use std::collections::BTreeMap;

use crate::component::{Definition, Output};
use crate::job::heal;
use crate::job::lint::Lint;
use crate::job::mistake::{Mistake, short};
use crate::job::part::{Part, Room};
use crate::job::plan::{OperatorPlan, Origin, SinkPlan, SourcePlan};
use crate::job::promise;
use crate::job::state::StateConfig;
use crate::job::suggest;
use crate::job::tree::{Data, Node, Place};
use crate::job::variables::join;
use crate::kind::Kind;

/// The components of a plan, wired.
#[derive(Default)]
pub(crate) struct Edges {
    pub(crate) sources: Vec<SourcePlan>,
    pub(crate) operators: Vec<OperatorPlan>,
    pub(crate) sinks: Vec<SinkPlan>,
    pub(crate) warnings: Vec<Mistake>,
    /// Of sources that wait for an acknowledgement after so many messages.
    pub(crate) windows: Vec<promise::Window>,
}

/// An input with its place.
struct Input {
    origin: Origin,
    place: Place,
}

/// What is known of the outputs of a component.
enum Known {
    /// The kind of each, none where it follows from a mistake.
    Kinds(Vec<Option<Kind>>),
    /// It is being asked for right now: a cycle.
    Open,
}

/// Resolves the inputs of all parts. The plan is missing where mistakes forbid one.
pub(crate) fn wire(lint: &mut Lint<'_>, parts: Vec<Part>, state: &StateConfig) -> Option<Edges> {
    let inputs: Vec<Vec<Input>> = parts.iter().map(|part| inputs(lint, &parts, part)).collect();
    let mut order = Order { parts: &parts, inputs: &inputs, known: BTreeMap::new() };
    let mut sorted = Vec::new();
    for at in 0..parts.len() {
        order.visit(lint, at, &mut Vec::new(), &mut sorted);
    }
    let kinds: Vec<Option<Kind>> = (0..parts.len()).map(|at| order.kind(lint, at)).collect();
    for (part, kind) in parts.iter().zip(&kinds) {
        if let (Some(kind), Some(config)) = (kind, &part.checked) {
            let found = definition(lint, part).map(|d| d.check_input(&part.config, *kind));
            lint.report_found(found.unwrap_or_default(), config, &part.path());
        }
    }
    let warnings = unread(lint, &parts, &inputs);
    let mut edges = Edges { warnings, ..Edges::default() };
    let mut is_whole = true;
    // Sources and sinks in the order of the file, operators in that of their edges.
    let mut in_order: Vec<usize> = Vec::new();
    in_order.extend((0..parts.len()).filter(|at| is_in(&parts, *at, Room::Sources)));
    in_order.extend(sorted.iter().filter(|at| is_in(&parts, **at, Room::Operators)));
    in_order.extend((0..parts.len()).filter(|at| is_in(&parts, *at, Room::Sinks)));
    for at in in_order {
        let (Some(part), Some(inputs)) = (parts.get(at), inputs.get(at)) else { continue };
        let kind = kinds.get(at).copied().flatten();
        is_whole &= push(lint, &mut edges, part, (inputs, kind), state).is_some();
    }
    is_whole.then_some(edges)
}

fn is_in(parts: &[Part], at: usize, room: Room) -> bool {
    parts.get(at).is_some_and(|part| part.room == room)
}

/// Adds a component to the plan, if it is whole.
fn push(
    lint: &mut Lint<'_>,
    edges: &mut Edges,
    part: &Part,
    (inputs, kind): (&[Input], Option<Kind>),
    state: &StateConfig,
) -> Option<()> {
    let (id, config, name) = (part.id.clone(), part.config.clone(), part.name?);
    let inputs: Vec<Origin> = inputs.iter().map(|input| input.origin.clone()).collect();
    let on_change = part.keys.on_change.unwrap_or(state.on_change);
    match part.room {
        Room::Sources => {
            let definition = lint.catalog.source(name)?;
            let ack = part.keys.ack.map(|(ack, _)| ack).unwrap_or_default();
            let heal = part.keys.heal.as_ref().map(|(heal, _)| heal.clone());
            let source = SourcePlan { id, definition, config, ack, on_change, heal };
            // What does not fit its schema promises nothing that is worth a message.
            if part.checked.is_some() {
                if let Some(mistake) = heal::check(lint, part, &source, state) {
                    lint.add(mistake);
                }
                edges.warnings.extend(promise::check_source(lint, part, &source, state));
                edges.windows.extend(promise::Window::of(part, &source));
            }
            edges.sources.push(source);
        }
        Room::Operators => {
            let (definition, kind) = (lint.catalog.operator(name)?, kind?);
            edges.operators.push(OperatorPlan { id, definition, config, inputs, kind, on_change });
        }
        Room::Sinks => {
            let (definition, kind) = (lint.catalog.sink(name)?, kind?);
            let gives = definition.guarantee(&config, kind);
            let bounds = promise::bounds(edges, &inputs, gives, state);
            let guarantee = promise::check_sink(lint, part, &bounds);
            let is_promised = part.keys.guarantee.is_some();
            edges.sinks.push(SinkPlan {
                id,
                definition,
                config,
                inputs,
                kind,
                on_change,
                guarantee,
                is_promised,
            });
        }
    }
    Some(())
}

/// Gives the definition of a component that has an input.
fn definition(lint: &Lint<'_>, part: &Part) -> Option<&'static dyn Definition> {
    match part.room {
        Room::Sources => None,
        Room::Operators => Some(lint.catalog.operator(part.name?)?),
        Room::Sinks => Some(lint.catalog.sink(part.name?)?),
    }
}

/// Gives the outputs of a component whose type is known.
fn outputs(lint: &Lint<'_>, part: &Part) -> Option<&'static [Output]> {
    match part.room {
        Room::Sources => Some(lint.catalog.source(part.name?)?.outputs_of(&part.config)),
        Room::Operators => Some(lint.catalog.operator(part.name?)?.outputs()),
        Room::Sinks => None,
    }
}

/// Gives the kinds that a component takes.
fn takes(lint: &Lint<'_>, part: &Part) -> Option<&'static [Kind]> {
    match part.room {
        Room::Sources => None,
        Room::Operators => Some(lint.catalog.operator(part.name?)?.takes()),
        Room::Sinks => Some(lint.catalog.sink(part.name?)?.takes()),
    }
}

/// Reads `input`: an id, `id.port`, or a list of those.
fn inputs(lint: &mut Lint<'_>, parts: &[Part], part: &Part) -> Vec<Input> {
    if part.room == Room::Sources {
        return Vec::new();
    }
    let path = join(&part.path(), "input");
    let Some(node) = &part.input else {
        let message = "missing key `input`; expected the id of a source or operator, `id.port`, \
                       or a list of those";
        lint.report(part.place, &part.path(), message, None);
        return Vec::new();
    };
    let nodes: Vec<&Node> = match &node.data {
        Data::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if nodes.is_empty() {
        lint.report(node.place, &path, "expected at least one input, found an empty list", None);
    }
    let mut inputs: Vec<Input> = Vec::new();
    for node in nodes {
        let Some(text) = node.text() else {
            let message = format!(
                "expected the id of a source or operator, or `id.port`, found {}",
                node.found()
            );
            lint.report(node.place, &path, message, None);
            continue;
        };
        let Some(origin) = origin(lint, parts, text, node.place, &path) else { continue };
        if inputs.iter().any(|other| other.origin == origin) {
            let message = format!("the input `{text}` is listed twice");
            lint.report(node.place, &path, message, None);
        } else {
            inputs.push(Input { origin, place: node.place });
        }
    }
    inputs
}

/// Finds the output that a text names.
fn origin(
    lint: &mut Lint<'_>,
    parts: &[Part],
    text: &str,
    place: Place,
    path: &str,
) -> Option<Origin> {
    let (id, port) = match text.split_once('.') {
        Some((id, port)) => (id, Some(port)),
        None => (text, None),
    };
    let readable = || parts.iter().filter(|part| part.room != Room::Sinks);
    let Some(part) = readable().find(|part| part.id == id) else {
        let ids = || readable().map(|part| part.id.as_str());
        let is_sink = parts.iter().any(|part| part.id == id);
        let message = if is_sink {
            format!("`{}` is a sink, which has no output", short(id))
        } else if readable().next().is_none() {
            format!("unknown input `{}`; the job has no source or operator", short(id))
        } else {
            format!("unknown input `{}`; expected one of {}", short(id), suggest::list(ids()))
        };
        let hint = if is_sink { None } else { suggest::hint(id, ids()) };
        lint.report(place, path, message, hint);
        return None;
    };
    let outputs = outputs(lint, part)?;
    let Some((output, found)) = find_port(outputs, port) else {
        let (message, hint) = no_port(id, port.unwrap_or_default(), outputs);
        lint.report(place, path, message, hint);
        return None;
    };
    Some(Origin { id: id.to_owned(), output, port: found.name })
}

/// Finds an output by its name; the first one if there is no name.
pub(crate) fn find_port<'o>(
    outputs: &'o [Output],
    port: Option<&str>,
) -> Option<(usize, &'o Output)> {
    let named = |output: &Output| port.is_none_or(|port| output.name == port);
    outputs.iter().enumerate().find(|(_, output)| named(output))
}

/// Says that a component has no such port, and which one may have been meant.
pub(crate) fn no_port(id: &str, port: &str, outputs: &[Output]) -> (String, Option<String>) {
    let ports: Vec<_> = outputs.iter().map(port_words).collect();
    let (shown, ports) = (short(port), ports.join(", "));
    let message = format!("`{id}` has no port `{shown}`; expected one of {ports}");
    let nearest = suggest::nearest(port, outputs.iter().map(|output| output.name));
    (message, nearest.map(|name| format!("did you mean `{id}.{name}`?")))
}

/// Says what a port carries: `` `closed` (candles) ``.
fn port_words(output: &Output) -> String {
    match output.kind {
        Some(kind) => format!("`{}` ({kind})", output.name),
        None => format!("`{}` (what comes in)", output.name),
    }
}

/// Sorts components behind what they read from, and finds their kinds on the way.
struct Order<'a> {
    parts: &'a [Part],
    inputs: &'a [Vec<Input>],
    known: BTreeMap<usize, Known>,
}

impl Order<'_> {
    fn at(&self, id: &str) -> Option<usize> {
        self.parts.iter().position(|part| part.id == id && part.room != Room::Sinks)
    }

    /// Visits what a component reads from, then the component. `way` holds those between.
    fn visit(
        &mut self,
        lint: &mut Lint<'_>,
        at: usize,
        way: &mut Vec<usize>,
        sorted: &mut Vec<usize>,
    ) {
        if self.known.contains_key(&at) {
            return;
        }
        self.known.insert(at, Known::Open);
        way.push(at);
        let (parts, inputs) = (self.parts, self.inputs);
        for input in inputs.get(at).into_iter().flatten() {
            let Some(from) = self.at(&input.origin.id) else { continue };
            if matches!(self.known.get(&from), Some(Known::Open)) {
                cycle(lint, parts, way, from, input.place);
            } else {
                self.visit(lint, from, way, sorted);
            }
        }
        way.pop();
        let kind = self.kind_quietly(at);
        let kinds = parts
            .get(at)
            .and_then(|part| outputs(lint, part))
            .unwrap_or_default()
            .iter()
            .map(|output| output.kind.or(kind))
            .collect();
        self.known.insert(at, Known::Kinds(kinds));
        sorted.push(at);
    }

    /// Gives what an input carries.
    fn carries(&self, input: &Input) -> Option<Kind> {
        match self.known.get(&self.at(&input.origin.id)?)? {
            Known::Kinds(kinds) => kinds.get(input.origin.output).copied().flatten(),
            Known::Open => None,
        }
    }

    fn kind_quietly(&self, at: usize) -> Option<Kind> {
        self.inputs.get(at)?.iter().find_map(|input| self.carries(input))
    }

    /// Gives the one kind of a component's inputs, and reports those that do not fit.
    fn kind(&self, lint: &mut Lint<'_>, at: usize) -> Option<Kind> {
        let (part, inputs) = (self.parts.get(at)?, self.inputs.get(at)?);
        let path = join(&part.path(), "input");
        let kind = self.kind_quietly(at);
        for input in inputs {
            let Some(found) = self.carries(input) else { continue };
            let port = format!("{}.{}", input.origin.id, input.origin.port);
            if let Some(takes) = takes(lint, part)
                && !takes.contains(&found)
            {
                let wanted: Vec<_> = takes.iter().map(|kind| kind.name()).collect();
                let message = format!(
                    "`{}` takes {}, but `{port}` carries {found}",
                    part.name.unwrap_or_default(),
                    wanted.join(" or ")
                );
                let hint = self.fitting(lint, takes);
                lint.report(input.place, &path, message, hint);
            } else if let Some(kind) = kind
                && kind != found
            {
                let first = inputs.first().map(|input| input.origin.id.as_str());
                let message = format!(
                    "inputs that are merged carry one kind; `{}` carries {kind}, but `{port}` \
                     carries {found}",
                    first.unwrap_or_default()
                );
                lint.report(input.place, &path, message, None);
            }
        }
        kind
    }

    /// Lists the outputs of the job that would fit.
    fn fitting(&self, lint: &Lint<'_>, takes: &[Kind]) -> Option<String> {
        let mut ports = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let Some(Known::Kinds(kinds)) = self.known.get(&at) else { continue };
            let outputs = outputs(lint, part).unwrap_or_default();
            for (output, kind) in outputs.iter().zip(kinds) {
                if kind.is_some_and(|kind| takes.contains(&kind)) {
                    ports.push(format!("{}.{}", part.id, output.name));
                }
            }
        }
        let list = suggest::list(ports.iter().map(String::as_str));
        (!ports.is_empty()).then(|| format!("these would fit: {list}"))
    }
}

fn cycle(lint: &mut Lint<'_>, parts: &[Part], way: &[usize], from: usize, place: Place) {
    let start = way.iter().position(|at| *at == from).unwrap_or_default();
    let round = way.iter().skip(start).rev();
    let mut ids: Vec<_> = round.filter_map(|at| parts.get(*at)).map(|p| p.id.as_str()).collect();
    if let Some(last) = ids.first().copied() {
        ids.push(last);
    }
    let path = way.last().and_then(|at| parts.get(*at)).map(Part::path).unwrap_or_default();
    let message = format!("the inputs run in a circle: {}", ids.join(" -> "));
    lint.report(place, &join(&path, "input"), message, None);
}

/// Warns of components that nobody reads from.
fn unread(lint: &Lint<'_>, parts: &[Part], inputs: &[Vec<Input>]) -> Vec<Mistake> {
    let is_read = |id: &str| inputs.iter().flatten().any(|input| input.origin.id == id);
    parts
        .iter()
        .filter(|part| part.room != Room::Sinks && !is_read(&part.id))
        .map(|part| {
            let message = format!("nothing reads from the {} `{}`", part.room.noun(), part.id);
            lint.mistake(part.place, &part.path(), message, None)
        })
        .collect()
}
