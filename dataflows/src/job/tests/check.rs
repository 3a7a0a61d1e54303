//! From the tree of `tests` to plans of tests, or to their mistakes.

use std::collections::BTreeMap;

use proto::event_time::EventTime;
use serde_json::{Map, Value};

use super::file::TestFile;
use super::{ExpectPlace, Step, StepPlan, TestPlan};
use crate::component::Output;
use crate::duration::Duration;
use crate::job::conform;
use crate::job::edges::{self, Edges};
use crate::job::lint::Lint;
use crate::job::mistake::short;
use crate::job::plan::Origin;
use crate::job::suggest;
use crate::job::tree::{Data, Entry, Node, Place};
use crate::job::variables::join;
use crate::kind::Kind;
use crate::verdict;

/// The keys of a step that say what it does.
const VERBS: [&str; 9] =
    ["feed", "epoch", "advance", "clock", "checkpoint", "crash", "restart", "end", "expect"];

/// The keys that belong to one of those.
const COMPANIONS: [(&str, &str); 5] = [
    ("records", "feed"),
    ("file", "feed"),
    ("with", "feed"),
    ("rows", "expect"),
    ("unordered", "expect"),
];

/// Holds `tests` against its schema; the tests that fit it are left.
pub(crate) fn shape(lint: &mut Lint<'_>, entry: Entry) -> Vec<Node> {
    let tests = match entry.value.data {
        Data::List(tests) => tests,
        Data::Null => return Vec::new(),
        _ => {
            let message = format!("expected a list of tests, found {}", entry.value.found());
            lint.report(entry.value.place, "tests", message, None);
            return Vec::new();
        }
    };
    let schema = schemars::schema_for!(TestFile);
    let mut fitting = Vec::new();
    for (number, mut test) in tests.into_iter().enumerate() {
        let misfits = conform::conform(schema.as_value(), &mut test);
        if misfits.is_empty() {
            fitting.push(test);
        } else {
            lint.report_all(&format!("tests[{number}]"), misfits);
        }
    }
    fitting
}

/// Makes plans of tests; reports what the job does not have, and what comes in a wrong order.
pub(crate) fn resolve(lint: &mut Lint<'_>, tests: &[Node], edges: &mut Edges) -> Vec<TestPlan> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut plans = Vec::new();
    for (number, test) in tests.iter().enumerate() {
        let path = format!("tests[{number}]");
        let name = test.get("name").and_then(Node::text).unwrap_or_default();
        let place = test.get("name").map_or(test.place, |name| name.place);
        if let Some(line) = names.insert(name, place.line) {
            let message = format!("the test in line {line} has this name, too");
            lint.report(place, &join(&path, "name"), message, None);
        }
        let steps = test.get("steps").map(|steps| &steps.data);
        let Some(Data::List(steps)) = steps else { continue };
        let mut run = Run { edges, path: String::new(), ended: None, clock: EventTime::MIN };
        let mut planned = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            run.path = format!("{path}.steps[{at}]");
            let Place { line, column } = step.place;
            let step = run.step(lint, step);
            planned.extend(step.map(|step| StepPlan { step, line, column }));
        }
        let expects = |step: &Node| step.get("expect").is_some();
        if !steps.iter().any(expects) {
            let message = format!("the test `{}` expects nothing", short(name));
            edges.warnings.push(lint.mistake(test.place, &path, message, None));
        }
        let workers = number_of(test.get("workers")).unwrap_or(1);
        let name = name.to_owned();
        plans.push(TestPlan { name, line: test.place.line, workers, steps: planned });
    }
    plans
}

/// Reads a whole number whose bounds the schema has checked.
fn number_of(node: Option<&Node>) -> Option<usize> {
    match &node?.data {
        Data::Number(number) => usize::try_from(number.as_u64()?).ok(),
        _ => None,
    }
}

/// Gives what stands after a key; nothing at all is none.
fn given<'n>(step: &'n Node, key: &str) -> Option<&'n Node> {
    step.get(key).filter(|node| !matches!(node.data, Data::Null))
}

/// A test on its way through its steps.
struct Run<'a> {
    edges: &'a Edges,
    /// Of the step under way.
    path: String,
    /// The line in which the input ended.
    ended: Option<usize>,
    /// The last time that the test set the clock to.
    clock: EventTime,
}

impl Run<'_> {
    fn report(
        &self,
        lint: &mut Lint<'_>,
        at: (&str, Place),
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        lint.report(at.1, &join(&self.path, at.0), message, hint);
    }

    /// Finds the one key that says what a step does.
    fn verb<'n>(&self, lint: &mut Lint<'_>, step: &'n Node) -> Option<(&'n str, &'n Node)> {
        let Data::Map(entries) = &step.data else { return None };
        let mut verbs = entries.iter().filter(|entry| VERBS.contains(&entry.key.as_str()));
        let Some(verb) = verbs.next() else {
            let list = suggest::list(VERBS);
            let message = format!("the step does not say what happens; expected one of {list}");
            self.report(lint, ("", step.place), message, None);
            return None;
        };
        if let Some(second) = verbs.next() {
            let message =
                format!("a step does one thing; this one has `{}` and `{}`", verb.key, second.key);
            let hint = "begin a new step with `- `".to_owned();
            self.report(lint, (&second.key, second.place), message, Some(hint));
            return None;
        }
        let mut fits = true;
        for entry in entries {
            let owner = COMPANIONS.iter().find(|(key, _)| *key == entry.key).map(|(_, verb)| *verb);
            if let Some(owner) = owner.filter(|owner| *owner != verb.key) {
                let message = format!("`{}` goes with `{owner}`, not `{}`", entry.key, verb.key);
                self.report(lint, (&entry.key, entry.place), message, None);
                fits = false;
            }
        }
        fits.then_some((&verb.key, &verb.value))
    }

    fn step(&mut self, lint: &mut Lint<'_>, step: &Node) -> Option<Step> {
        let (verb, value) = self.verb(lint, step)?;
        if let Some(line) = self.ended.filter(|_| verb != "expect") {
            let message = format!("the input ended in line {line}; only `expect` can follow");
            self.report(lint, (verb, step.place), message, None);
        }
        Some(match verb {
            "feed" => return self.feed(lint, step, value),
            "epoch" => Step::Epoch,
            "advance" => {
                let duration: Option<Duration> = value.text().and_then(|text| text.parse().ok());
                let Some(duration) = duration else {
                    let message =
                        format!("expected a duration such as `5s`, found {}", value.found());
                    self.report(lint, (verb, value.place), message, None);
                    return None;
                };
                Step::Advance(duration.into())
            }
            "clock" => Step::Clock(self.clock(lint, value)?),
            "checkpoint" => Step::Checkpoint,
            "crash" => Step::Crash,
            "restart" => Step::Restart { workers: number_of(value.get("workers")) },
            "end" => {
                self.ended = Some(step.place.line);
                Step::End
            }
            _ => return self.expect(lint, step, value),
        })
    }

    fn clock(&mut self, lint: &mut Lint<'_>, value: &Node) -> Option<EventTime> {
        let time: Option<EventTime> = value.text().and_then(|text| text.parse().ok());
        let Some(time) = time else {
            let message =
                format!("expected a time such as `2024-01-02T10:05:00Z`, found {}", value.found());
            self.report(lint, ("clock", value.place), message, None);
            return None;
        };
        if time < self.clock {
            let message = format!("the clock stands at {} and never goes back", self.clock);
            self.report(lint, ("clock", value.place), message, None);
        }
        self.clock = self.clock.max(time);
        Some(time)
    }

    fn feed(&self, lint: &mut Lint<'_>, step: &Node, value: &Node) -> Option<Step> {
        let id = value.text().unwrap_or_default();
        let sources = || self.edges.sources.iter();
        let Some((source, plan)) = sources().enumerate().find(|(_, source)| source.id == id) else {
            let ids = || sources().map(|source| source.id.as_str());
            let list = suggest::list(ids());
            let message = format!("unknown source {}; expected one of {list}", quoted(value));
            self.report(lint, ("feed", value.place), message, suggest::hint(id, ids()));
            return None;
        };
        let kind = plan.outputs().first().and_then(|output| output.kind);
        match (given(step, "records"), given(step, "file")) {
            (Some(records), None) => {
                if let Some(with) = step.get("with") {
                    let message = "`with` says how a `file` is read; there is none here";
                    self.report(lint, ("with", with.place), message, None);
                }
                let records = self.rows(lint, ("records", records), kind?, Use::Fed);
                Some(Step::Feed { source, records })
            }
            (None, Some(file)) => {
                let with = self.file(lint, file, step.get("with"), kind?)?;
                let path = file.text().unwrap_or_default().to_owned();
                Some(Step::FeedFile { source, path, with })
            }
            (Some(_), Some(file)) => {
                let message = "a step feeds `records` or a `file`, not both";
                self.report(lint, ("file", file.place), message, None);
                None
            }
            (None, None) => {
                let message = "`feed` needs `records` or a `file`";
                self.report(lint, ("feed", step.place), message, None);
                None
            }
        }
    }

    /// Checks what the source `file` needs to read a file.
    fn file(
        &self,
        lint: &mut Lint<'_>,
        file: &Node,
        with: Option<&Node>,
        kind: Kind,
    ) -> Option<Value> {
        let Some(definition) = lint.catalog.source("file") else {
            let message = "there is no source `file` that could read it";
            self.report(lint, ("file", file.place), message, None);
            return None;
        };
        let carries = definition.outputs().first().and_then(|output| output.kind);
        if carries != Some(kind) {
            let carries = carries.map_or("nothing", Kind::name);
            let message = format!("a file holds {carries}, and the source brings in {kind}");
            self.report(lint, ("file", file.place), message, None);
            return None;
        }
        let mut entries = match with.map(|with| &with.data) {
            Some(Data::Map(entries)) => entries.clone(),
            _ => Vec::new(),
        };
        if let Some(second) = entries.iter().find(|entry| entry.key == "path") {
            let message = "`file` is the path already";
            self.report(lint, ("with.path", second.place), message, None);
            return None;
        }
        let value = file.clone();
        entries.push(Entry { key: "path".to_owned(), place: file.place, value });
        let place = with.map_or(file.place, |with| with.place);
        let mut config = Node::new(place, Data::Map(entries), false);
        let path = join(&self.path, "with");
        let fits = lint.configuration(definition, &mut config, &path, true);
        fits.then(|| config.to_value())
    }

    fn expect(&self, lint: &mut Lint<'_>, step: &Node, value: &Node) -> Option<Step> {
        let (place, kind) = self.place(lint, value)?;
        let Some(rows) = given(step, "rows") else {
            let message = "`expect` needs `rows`; `[]` means that nothing came";
            self.report(lint, ("expect", step.place), message, None);
            return None;
        };
        let rows = self.rows(lint, ("rows", rows), kind, Use::Expected);
        let unordered = step.get("unordered").map(|node| &node.data);
        let unordered = matches!(unordered, Some(Data::Bool(true)));
        Some(Step::Expect { place, rows, unordered })
    }

    /// Finds the port or sink that a text names, and what comes there.
    fn place(&self, lint: &mut Lint<'_>, value: &Node) -> Option<(ExpectPlace, Kind)> {
        let Edges { sources, operators, sinks, .. } = self.edges;
        let text = value.text().unwrap_or_default();
        let (id, port) = text.split_once('.').map_or((text, None), |(id, port)| (id, Some(port)));
        if let Some((at, sink)) = sinks.iter().enumerate().find(|(_, sink)| sink.id == id) {
            if port.is_some() {
                let message = format!("`{id}` is a sink, which has no port; expected `{id}`");
                self.report(lint, ("expect", value.place), message, None);
                return None;
            }
            return Some((ExpectPlace::Sink(at), sink.kind));
        }
        let of_source = sources.iter().find(|source| source.id == id);
        let of_source = of_source.map(|source| (source.outputs(), None));
        let of_operator = operators.iter().find(|operator| operator.id == id);
        let of_operator = of_operator.map(|o| (o.definition.outputs(), Some(o.kind)));
        let Some((outputs, input)) = of_source.or(of_operator) else {
            let ids = || {
                let sources = sources.iter().map(|source| source.id.as_str());
                let operators = operators.iter().map(|operator| operator.id.as_str());
                sources.chain(operators).chain(sinks.iter().map(|sink| sink.id.as_str()))
            };
            let list = suggest::list(ids());
            let message =
                format!("unknown place {}; expected a port of, or one of, {list}", quoted(value));
            self.report(lint, ("expect", value.place), message, suggest::hint(id, ids()));
            return None;
        };
        let (output, found) = self.port(lint, id, port, (outputs, value.place))?;
        let kind = found.kind.or(input)?;
        let origin = Origin { id: id.to_owned(), output, port: found.name };
        Some((ExpectPlace::Port(origin), kind))
    }

    fn port<'o>(
        &self,
        lint: &mut Lint<'_>,
        id: &str,
        port: Option<&str>,
        (outputs, place): (&'o [Output], Place),
    ) -> Option<(usize, &'o Output)> {
        let found = edges::find_port(outputs, port);
        if found.is_none() {
            let (message, hint) = edges::no_port(id, port.unwrap_or_default(), outputs);
            self.report(lint, ("expect", place), message, hint);
        }
        found
    }

    /// Brings rows into canonical form.
    fn rows(
        &self,
        lint: &mut Lint<'_>,
        (key, list): (&str, &Node),
        kind: Kind,
        usage: Use,
    ) -> Vec<Value> {
        let Data::List(rows) = &list.data else { return Vec::new() };
        let mut values = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let path = format!("{key}[{at}]");
            values.push(Value::Object(self.row(lint, &path, row, kind)));
            let required = if usage == Use::Fed { verdict::required(kind) } else { &[] };
            for name in required.iter().filter(|name| row.get(name).is_none()) {
                let message = format!("missing key `{name}`; a record of {kind} needs it");
                self.report(lint, (&path, row.place), message, None);
            }
        }
        values
    }

    fn row(&self, lint: &mut Lint<'_>, path: &str, row: &Node, kind: Kind) -> Map<String, Value> {
        let mut object = Map::new();
        let Data::Map(entries) = &row.data else { return object };
        for entry in entries {
            let path = join(path, &entry.key);
            let names = || verdict::columns(kind).map(|column| column.name);
            let column = verdict::columns(kind).find(|column| column.name == entry.key);
            let Some(column) = column else {
                let (shown, list) = (short(&entry.key), suggest::list(names()));
                let message = format!("{kind} have no `{shown}`; expected one of {list}");
                let hint = suggest::hint(&entry.key, names());
                self.report(lint, (&path, entry.place), message, hint);
                continue;
            };
            if matches!(entry.value.data, Data::Unknown) {
                continue; // told already
            }
            // Digit by digit: a decimal that went through a float would not be what stands there.
            let value = match &entry.value.digits {
                Some(digits) => Value::String(digits.clone()),
                None => entry.value.to_value(),
            };
            match verdict::canonical(column, &value) {
                Ok(value) => {
                    object.insert(entry.key.clone(), value);
                }
                Err(message) => self.report(lint, (&path, entry.value.place), message, None),
            }
        }
        object
    }
}

/// What rows are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Fed,
    Expected,
}

fn quoted(node: &Node) -> String {
    node.text().map_or_else(|| node.found(), |text| format!("`{}`", short(text)))
}
