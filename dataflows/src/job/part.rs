//! Components as a job file has them: their keys, their type and their configuration.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::component::Definition;
use crate::component::sink::Guarantee;
use crate::job::conform;
use crate::job::heal::HealPlan;
use crate::job::lint::{COMPONENTS_MAX, Lint, NAME_RULE, is_name};
use crate::job::mistake::short;
use crate::job::promise::Ack;
use crate::job::recheck;
use crate::job::state::OnChange;
use crate::job::suggest;
use crate::job::tree::{Data, Entry, Node, Place};
use crate::job::variables::join;

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

/// The keys of a component that the engine reads, beside `type` and `input`.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) ack: Option<(Ack, Place)>,
    pub(crate) on_change: Option<OnChange>,
    pub(crate) guarantee: Option<(Guarantee, Place)>,
    pub(crate) heal: Option<(HealPlan, Place)>,
}

/// A component as the file has it. Its type is missing when that is wrong.
pub(crate) struct Part {
    pub(crate) room: Room,
    pub(crate) id: String,
    /// Where the id stands.
    pub(crate) place: Place,
    pub(crate) name: Option<&'static str>,
    pub(crate) input: Option<Node>,
    pub(crate) keys: Keys,
    pub(crate) config: Value,
    /// The configuration with its places, if it fits its schema.
    pub(crate) checked: Option<Node>,
}

impl Part {
    pub(crate) fn path(&self) -> String {
        join(self.room.key(), &self.id)
    }
}

impl Lint<'_> {
    pub(crate) fn room(
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
        let keys = Keys::default();
        let mut part = Part { room, id, place, name, input, keys, config, checked: None };
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
                _ if self.key(room, &entry, &path, &mut part.keys) => {}
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
    pub(crate) fn configuration(
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

    /// Finds what `type` names.
    pub(crate) fn definition(
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
    pub(crate) fn unique(&mut self, parts: &[Part]) {
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
    /// Takes a key that is the engine's; gives whether it is one.
    fn key(&mut self, room: Room, entry: &Entry, path: &str, keys: &mut Keys) -> bool {
        let (value, path) = (&entry.value, join(path, &entry.key));
        match (entry.key.as_str(), room) {
            ("on_change", _) => {
                keys.on_change = self.word(value, &path, &OnChange::ALL, OnChange::name);
            }
            ("ack", Room::Sources) => {
                let ack = self.word(value, &path, &Ack::ALL, Ack::name);
                keys.ack = ack.map(|ack| (ack, value.place));
            }
            ("heal", Room::Sources) => {
                keys.heal = self.heal(value, &path).map(|heal| (heal, entry.place));
            }
            ("guarantee", Room::Sinks) => {
                let guarantee = self.word(value, &path, &Guarantee::ALL, Guarantee::word);
                keys.guarantee = guarantee.map(|guarantee| (guarantee, value.place));
            }
            _ => return false,
        }
        true
    }

    /// Reads one of several words.
    fn word<T: Copy>(
        &mut self,
        node: &Node,
        path: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let found = all.iter().copied().find(|word| node.text() == Some(name(*word)));
        if found.is_none() {
            let names = || all.iter().map(|word| name(*word));
            let hint = node.text().and_then(|text| suggest::hint(text, names()));
            let (found, list) = (node.found(), suggest::list(names()));
            let message = format!("{found} is not possible here; expected one of {list}");
            self.report(node.place, path, message, hint);
        }
        found
    }
}
