//! From the text of a job file to its plan, or to all of its mistakes at once.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::catalog::Catalog;
use crate::component::Definition;
use crate::job::conform::{self, Misfit};
use crate::job::edges;
use crate::job::mistake::{Mistake, Mistakes, short};
use crate::job::plan::{Plan, RunConfig};
use crate::job::read;
use crate::job::recheck;
use crate::job::run::RunFile;
use crate::job::state::StateConfig;
use crate::job::suggest;
use crate::job::tree::{Data, Entry, Node, Place};
use crate::job::variables::{self, Secrets, join};

/// The keys of a job file.
const KEYS: [&str; 7] = ["job", "description", "run", "sources", "operators", "sinks", "tests"];

/// A job may have so many components: their order is found by recursion.
const COMPONENTS_MAX: usize = 1_000;

/// So many mistakes are told at once.
const MISTAKES_MAX: usize = 500;

/// Longer lines are not shown.
const LINE_BYTES_MAX: usize = 4_096;

/// A name may have so many characters.
const NAME_CHARS_MAX: usize = 64;

/// Reads a job file and checks all of it.
///
/// `variables` answers for `${NAME}`; `file` is for messages only.
///
/// # Errors
/// Every mistake that can be told without running the job, in the order of the file.
pub fn check(
    text: &str,
    file: &Path,
    catalog: &Catalog,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Plan, Mistakes> {
    let (root, complaints) = read::read(text);
    let mut lint = Lint {
        file,
        lines: text.lines().collect(),
        catalog,
        variables,
        secrets: Secrets::default(),
        mistakes: Vec::new(),
    };
    for (place, message, hint) in complaints {
        lint.report(place, "", message, hint);
    }
    let is_empty = root.is_none() && lint.mistakes.is_empty();
    let root = if is_empty { Some(Node::new(Place::START, Data::Null, true)) } else { root };
    let plan = root.and_then(|root| lint.job(root));
    match plan {
        Some(plan) if lint.mistakes.is_empty() => Ok(plan),
        _ => Err(lint.into_mistakes()),
    }
}

/// Where a component may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    Sources,
    Operators,
    Sinks,
}

impl Room {
    pub(crate) const ALL: [Self; 3] = [Self::Sources, Self::Operators, Self::Sinks];

    /// The key in the job file.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Operators => "operators",
            Self::Sinks => "sinks",
        }
    }

    /// One of its components.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Sources => "source",
            Self::Operators => "operator",
            Self::Sinks => "sink",
        }
    }
}

/// A component as the file has it. Its type is missing when that is wrong.
pub(crate) struct Part {
    pub(crate) room: Room,
    pub(crate) id: String,
    /// Where the id stands.
    pub(crate) place: Place,
    pub(crate) name: Option<&'static str>,
    pub(crate) input: Option<Node>,
    pub(crate) config: Value,
    /// The configuration with its places, if it fits its schema.
    pub(crate) checked: Option<Node>,
}

impl Part {
    pub(crate) fn path(&self) -> String {
        join(self.room.key(), &self.id)
    }
}

pub(crate) struct Lint<'a> {
    file: &'a Path,
    lines: Vec<&'a str>,
    pub(crate) catalog: &'a Catalog,
    variables: &'a dyn Fn(&str) -> Option<String>,
    secrets: Secrets,
    mistakes: Vec<Mistake>,
}

impl<'a> Lint<'a> {
    fn into_mistakes(mut self) -> Mistakes {
        self.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        if self.mistakes.len() > MISTAKES_MAX {
            let more = self.mistakes.len() - MISTAKES_MAX;
            self.mistakes.truncate(MISTAKES_MAX);
            let place = self.mistakes.last().map(|m| Place { line: m.line, column: m.column });
            let message = format!("from here on there are {more} more mistakes");
            self.report(place.unwrap_or(Place::START), "", message, None);
        }
        Mistakes(self.mistakes)
    }

    /// Gives a line of the file, if it can be shown.
    fn line(&self, line: usize) -> Option<&'a str> {
        let line = self.lines.get(line.checked_sub(1)?).copied()?;
        (line.len() <= LINE_BYTES_MAX).then_some(line)
    }

    /// Makes a mistake of it.
    pub(crate) fn mistake(
        &self,
        place: Place,
        path: &str,
        message: String,
        hint: Option<String>,
    ) -> Mistake {
        let Place { line, column } = place;
        let source = self.line(line).unwrap_or_default().to_owned();
        let file = self.file.to_owned();
        Mistake { file, line, column, path: path.to_owned(), message, hint, source }
    }

    pub(crate) fn report(
        &mut self,
        place: Place,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let mistake = self.mistake(place, path, message.into(), hint);
        self.mistakes.push(mistake);
    }

    fn report_all(&mut self, path: &str, misfits: Vec<Misfit>) {
        for misfit in misfits {
            let path = under(path, &misfit.path);
            self.report(misfit.place, &path, misfit.message, misfit.hint);
        }
    }

    /// Checks the whole of it.
    fn job(&mut self, root: Node) -> Option<Plan> {
        let Data::Map(entries) = root.data else {
            if matches!(root.data, Data::Null) {
                self.report(Place::START, "", "the file is empty; expected a job", None);
                return None;
            }
            let message = format!("expected a mapping with the key `job`, found {}", root.noun());
            self.report(root.place, "", message, None);
            return None;
        };
        let (mut name, mut description, mut run) = (None, None, RunConfig::default());
        let mut parts = Vec::new();
        let mut written = BTreeMap::new();
        let mut rooms = BTreeMap::new();
        for entry in entries {
            match entry.key.as_str() {
                "job" => name = self.name(&entry),
                "description" => description = self.description(&entry),
                "run" => run = self.run(entry),
                "tests" => {
                    let message = "`tests` is reserved for a later version and cannot be used yet";
                    self.report(entry.place, "tests", message, None);
                }
                key => match Room::ALL.into_iter().find(|room| room.key() == key) {
                    Some(room) => {
                        rooms.insert(room, entry.place);
                        self.room(room, entry.value, &mut parts, &mut written);
                    }
                    None => self.unknown_key(&entry),
                },
            }
        }
        if name.is_none() && !self.mistakes.iter().any(|mistake| mistake.path == "job") {
            let message = "missing key `job`; expected the name of the job";
            self.report(Place::START, "job", message, Some("add `job: my-job`".to_owned()));
        }
        for room in [Room::Sources, Room::Sinks] {
            if !parts.iter().any(|part: &Part| part.room == room) {
                let message = format!("the job has no {}; it needs at least one", room.noun());
                let place = rooms.get(&room).copied().unwrap_or(Place::START);
                self.report(place, room.key(), message, None);
            }
        }
        self.unique(&parts);
        if parts.len() > COMPONENTS_MAX {
            let message = format!("a job may have {COMPONENTS_MAX} components; this has more");
            self.report(Place::START, "", message, None);
            return None;
        }
        let edges = edges::wire(self, parts)?;
        let file = self.file.to_owned();
        let (sources, operators, sinks) = (edges.sources, edges.operators, edges.sinks);
        let (secrets, warnings) = (self.secrets.clone(), edges.warnings);
        let name = name?;
        Some(Plan {
            name,
            description,
            file,
            run,
            state: StateConfig::default(),
            tests: Vec::new(),
            sources,
            operators,
            sinks,
            written,
            secrets,
            warnings,
        })
    }

    fn unknown_key(&mut self, entry: &Entry) {
        let shown = short(&entry.key);
        let names = || KEYS.into_iter().filter(|key| *key != "tests");
        let hint = suggest::hint(&entry.key, names());
        let message = format!("unknown key `{shown}`; expected one of {}", suggest::list(names()));
        self.report(entry.place, &entry.key, message, hint);
    }

    fn name(&mut self, entry: &Entry) -> Option<String> {
        let Some(name) = entry.value.text() else {
            let message = format!("expected the name of the job, found {}", entry.value.found());
            self.report(entry.value.place, "job", message, None);
            return None;
        };
        if !is_name(name) {
            let (place, shown) = (entry.value.place, short(name));
            let message = format!("`{shown}` is no name for a job; expected {NAME_RULE}");
            self.report(place, "job", message, None);
        }
        Some(name.to_owned())
    }

    fn description(&mut self, entry: &Entry) -> Option<String> {
        if entry.value.text().is_none() {
            let message = format!("expected text, found {}", entry.value.found());
            self.report(entry.value.place, "description", message, None);
        }
        entry.value.text().map(|text| text.trim().to_owned())
    }

    fn run(&mut self, entry: Entry) -> RunConfig {
        let mut node = Node { place: entry.place, ..entry.value };
        if matches!(node.data, Data::Null) {
            return RunConfig::default();
        }
        if !self.fill(&mut node, "run") {
            return RunConfig::default();
        }
        let schema = schemars::schema_for!(RunFile);
        let misfits = conform::conform(schema.as_value(), &mut node);
        if !misfits.is_empty() {
            self.report_all("run", misfits);
            return RunConfig::default();
        }
        let value = node.to_value();
        match serde_path_to_error::deserialize::<_, RunFile>(&value) {
            Ok(run) => run.config(),
            Err(error) => {
                let path = error.path().to_string();
                let message = self.secrets.redact(&error.into_inner().to_string());
                self.report(node.place_of(&path), &under("run", &path), message, None);
                RunConfig::default()
            }
        }
    }

    /// Fills variables in; gives whether all were there.
    fn fill(&mut self, node: &mut Node, path: &str) -> bool {
        let unfilled = variables::fill(node, self.variables, &mut self.secrets);
        let is_full = unfilled.is_empty() && !node.has_unknown();
        for missing in unfilled {
            let at = node.place_of(&missing.path);
            let place = self.place_in_line(at, &missing.written);
            self.report(place, &under(path, &missing.path), missing.message, missing.hint);
        }
        is_full
    }

    /// Finds a text in the rest of a line, to point at it rather than at the value it is in.
    fn place_in_line(&self, at: Place, text: &str) -> Place {
        let rest = self.line(at.line).map(|line| line.chars().skip(at.column - 1));
        let rest: String = rest.into_iter().flatten().collect();
        let before = rest.split_once(text).map_or(0, |(before, _)| before.chars().count());
        Place { line: at.line, column: at.column + before }
    }

    fn room(
        &mut self,
        room: Room,
        node: Node,
        parts: &mut Vec<Part>,
        written: &mut BTreeMap<String, Value>,
    ) {
        let entries = match node.data {
            Data::Map(entries) => entries,
            Data::Null => return,
            _ => {
                let noun = room.noun();
                let message = format!(
                    "expected a mapping from the id of each {noun} to its settings, found {}",
                    node.noun()
                );
                self.report(node.place, room.key(), message, None);
                return;
            }
        };
        for entry in entries {
            if parts.len() > COMPONENTS_MAX {
                return;
            }
            if !is_name(&entry.key) {
                let shown = short(&entry.key);
                let message = format!("`{shown}` is no id; expected {NAME_RULE}");
                self.report(entry.place, &join(room.key(), &entry.key), message, None);
            }
            let id = entry.key.clone();
            let (part, shown) = self.part(room, entry);
            parts.push(part);
            written.entry(id).or_insert(shown);
        }
    }

    fn part(&mut self, room: Room, entry: Entry) -> (Part, Value) {
        let Entry { key: id, place, value } = entry;
        let path = join(room.key(), &id);
        let (name, input, config) = (None, None, Value::Null);
        let mut part = Part { room, id, place, name, input, config, checked: None };
        let Data::Map(entries) = value.data else {
            let message = format!(
                "expected the settings of a {} with the key `type`, found {}",
                room.noun(),
                value.found()
            );
            self.report(value.place, &path, message, None);
            return (part, Value::Null);
        };
        let (mut kind, mut rest) = (None, Vec::new());
        for entry in entries {
            match entry.key.as_str() {
                "type" => kind = Some(entry.value),
                "input" if room != Room::Sources => part.input = Some(entry.value),
                _ => rest.push(entry),
            }
        }
        let mut config = Node::new(place, Data::Map(rest), false);
        let is_full = self.fill(&mut config, &path);
        let definition = self.definition(room, kind.as_ref(), place, &path);
        let mut fits = false;
        if let Some(definition) = definition {
            part.name = Some(definition.name());
            fits = self.configuration(definition, &mut config, &path, is_full);
        }
        part.config = config.to_value();
        let written = config.to_written();
        part.checked = fits.then_some(config);
        (part, written)
    }

    /// Holds a configuration against its schema, then against its component; gives whether it
    /// fits the schema.
    fn configuration(
        &mut self,
        definition: &dyn Definition,
        config: &mut Node,
        path: &str,
        is_full: bool,
    ) -> bool {
        let schema = definition.config();
        let misfits = conform::conform(schema.as_value(), config);
        let wrong: Vec<String> = misfits.iter().map(|misfit| misfit.path.clone()).collect();
        self.report_all(path, misfits);
        if is_full {
            let found = recheck::check(definition, config.to_value(), &wrong);
            self.report_found(found, config, path);
        }
        wrong.is_empty() && is_full
    }

    /// Reports what a component has found in its configuration.
    pub(crate) fn report_found(&mut self, found: Vec<(String, String)>, config: &Node, path: &str) {
        for (inner, message) in found {
            let message = self.secrets.redact(&message);
            self.report(config.place_of(&inner), &under(path, &inner), message, None);
        }
    }

    /// Finds what `type` names.
    fn definition(
        &mut self,
        room: Room,
        kind: Option<&Node>,
        place: Place,
        path: &str,
    ) -> Option<&'static dyn Definition> {
        let all = self.catalog.all();
        let here = || all.iter().filter(|(key, _)| *key == room.key());
        let names = || here().map(|(_, definition)| definition.name());
        let Some(kind) = kind else {
            let message = format!("missing key `type`; expected one of {}", suggest::list(names()));
            self.report(place, path, message, None);
            return None;
        };
        let found = kind.text().unwrap_or_default();
        let definition = here().find(|(_, d)| d.name() == found).map(|(_, d)| *d);
        if definition.is_none() {
            let elsewhere = all.iter().find(|(_, definition)| definition.name() == found);
            let hint = match elsewhere {
                Some((key, _)) => Some(format!("`{found}` belongs under `{key}:`")),
                None => suggest::hint(found, names()),
            };
            let message = if kind.text().is_some() {
                let shown = short(found);
                let (noun, names) = (room.noun(), suggest::list(names()));
                format!("unknown {noun} type `{shown}`; expected one of {names}")
            } else {
                format!("expected the type of a {}, found {}", room.noun(), kind.found())
            };
            self.report(kind.place, &join(path, "type"), message, hint);
        }
        definition
    }

    /// Ids are one name space: `input: id` says nothing of a room.
    fn unique(&mut self, parts: &[Part]) {
        let mut seen: BTreeMap<&str, &Part> = BTreeMap::new();
        for part in parts {
            if let Some(first) = seen.get(part.id.as_str()) {
                let message = format!(
                    "the id `{}` is taken by the {} in line {}",
                    short(&part.id),
                    first.room.noun(),
                    first.place.line
                );
                let hint = "ids are unique in a job".to_owned();
                self.report(part.place, &part.path(), message, Some(hint));
            } else {
                seen.insert(&part.id, part);
            }
        }
    }
}

/// What a name looks like.
const NAME_RULE: &str =
    "a lower-case letter, then lower-case letters, digits, `_` and `-`, 64 at most";

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_CHARS_MAX
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}

/// Puts a path below another.
fn under(path: &str, inner: &str) -> String {
    match inner {
        "" | "." => path.to_owned(),
        _ if inner.starts_with('[') => format!("{path}{inner}"),
        _ => format!("{path}.{inner}"),
    }
}
