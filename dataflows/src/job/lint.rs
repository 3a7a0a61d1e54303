//! From the text of a job file to its plan, or to all of its mistakes at once.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::catalog::Catalog;
use crate::job::conform::{self, Misfit};
use crate::job::edges;
use crate::job::mistake::{Mistake, Mistakes, short};
use crate::job::part::{Part, Room};
use crate::job::plan::{Plan, RunConfig};
use crate::job::read;
use crate::job::run::RunFile;
use crate::job::state::{StateConfig, StateFile};
use crate::job::suggest;
use crate::job::tests::check;
use crate::job::tree::{Data, Entry, Node, Place};
use crate::job::variables::{self, Secrets};

/// The keys of a job file.
const KEYS: [&str; 8] =
    ["job", "description", "run", "state", "sources", "operators", "sinks", "tests"];

/// A job may have so many components: their order is found by recursion.
pub(crate) const COMPONENTS_MAX: usize = 1_000;

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

pub(crate) struct Lint<'a> {
    file: &'a Path,
    lines: Vec<&'a str>,
    pub(crate) catalog: &'a Catalog,
    variables: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) secrets: Secrets,
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
        self.add(mistake);
    }

    pub(crate) fn add(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    pub(crate) fn report_all(&mut self, path: &str, misfits: Vec<Misfit>) {
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
        let (mut name, mut description, mut tests) = (None, None, None);
        let (mut run, mut state) = (RunConfig::default(), StateConfig::default());
        let mut parts = Vec::new();
        let mut written = BTreeMap::new();
        let mut rooms = BTreeMap::new();
        for entry in entries {
            match entry.key.as_str() {
                "job" => name = self.name(&entry),
                "description" => description = self.description(&entry),
                "run" => {
                    let read = self.section(entry, RunFile::check);
                    run = read.map(|file| file.config()).unwrap_or_default();
                }
                "state" => {
                    let read = self.section(entry, StateFile::check);
                    state = read.map(|file| file.config()).unwrap_or_default();
                }
                "tests" => tests = Some(entry),
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
        let tests = tests.map(|entry| check::shape(self, entry));
        let mut edges = edges::wire(self, parts, &state)?;
        if run.clock.is_event_time(&edges.sources) {
            let windows = std::mem::take(&mut edges.windows);
            edges.warnings.extend(windows.iter().filter_map(|window| window.check(self, &run)));
        }
        let tests = tests.map(|tests| check::resolve(self, &tests, &mut edges)).unwrap_or_default();
        let file = self.file.to_owned();
        let (sources, operators, sinks) = (edges.sources, edges.operators, edges.sinks);
        let (secrets, warnings) = (self.secrets.clone(), edges.warnings);
        let name = name?;
        Some(Plan {
            name,
            description,
            file,
            run,
            state,
            tests,
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
        let hint = suggest::hint(&entry.key, KEYS);
        let message = format!("unknown key `{shown}`; expected one of {}", suggest::list(KEYS));
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

    /// Reads a key that holds settings of the run; none if they are missing or wrong.
    fn section<T: JsonSchema + DeserializeOwned>(
        &mut self,
        entry: Entry,
        check: impl FnOnce(&T) -> Vec<(String, String)>,
    ) -> Option<T> {
        let key = entry.key;
        let mut node = Node { place: entry.place, ..entry.value };
        if matches!(node.data, Data::Null) || !self.fill(&mut node, &key) {
            return None;
        }
        let schema = schemars::schema_for!(T);
        let misfits = conform::conform(schema.as_value(), &mut node);
        if !misfits.is_empty() {
            self.report_all(&key, misfits);
            return None;
        }
        let value = node.to_value();
        let found = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(read) => {
                let found = check(&read);
                if found.is_empty() {
                    return Some(read);
                }
                found
            }
            Err(error) => vec![(error.path().to_string(), error.into_inner().to_string())],
        };
        self.report_found(found, &node, &key);
        None
    }

    /// Reports what a component has found in its configuration.
    pub(crate) fn report_found(&mut self, found: Vec<(String, String)>, config: &Node, path: &str) {
        for (inner, message) in found {
            let message = self.secrets.redact(&message);
            self.report(config.place_of(&inner), &under(path, &inner), message, None);
        }
    }

    /// Fills variables in; gives whether all were there.
    pub(crate) fn fill(&mut self, node: &mut Node, path: &str) -> bool {
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
}

/// What a name looks like.
pub(crate) const NAME_RULE: &str =
    "a lower-case letter, then lower-case letters, digits, `_` and `-`, 64 at most";

pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_CHARS_MAX
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}

/// Puts a path below another.
pub(crate) fn under(path: &str, inner: &str) -> String {
    match inner {
        "" | "." => path.to_owned(),
        _ if inner.starts_with('[') => format!("{path}{inner}"),
        _ => format!("{path}.{inner}"),
    }
}
