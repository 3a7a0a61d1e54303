//! Holds a part of a job file against a JSON Schema and finds every misfit, each at its place.
//!
//! Knows the part of JSON Schema that schemars makes of a configuration type; what it does not
//! know (formats, patterns) it leaves to the type itself.

use serde_json::{Map, Value};

use crate::job::suggest;
use crate::job::tree::{Data, Entry, Node, Place};
use crate::job::variables::join;

/// Where a part does not fit.
pub(crate) struct Misfit {
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Holds a node against a schema. A variable's value that YAML took for a number is turned back
/// into text where the schema wants text.
pub(crate) fn conform(schema: &Value, node: &mut Node) -> Vec<Misfit> {
    Walk { root: schema }.check(schema, node, "", 0)
}

/// References may lead so deep; a schema that refers to itself is followed no further.
const REFERENCES_MAX: usize = 64;

pub(crate) struct Walk<'a> {
    /// Where `$ref` starts.
    pub(crate) root: &'a Value,
}

impl<'a> Walk<'a> {
    fn check(&self, schema: &'a Value, node: &mut Node, path: &str, depth: usize) -> Vec<Misfit> {
        if matches!(node.data, Data::Unknown) || depth > REFERENCES_MAX {
            return Vec::new();
        }
        let Some(object) = schema.as_object() else { return Vec::new() };
        if let Some(target) = self.target(object) {
            return self.check(target, node, path, depth + 1);
        }
        if let Some(choices) = self.choices(schema, 0) {
            return self.choose(&choices, node, path);
        }
        if !self.accepts(schema, node, 0) && !self.reread_as_text(schema, node) {
            return vec![self.wrong_type(schema, node, path)];
        }
        let mut misfits = Vec::new();
        for part in array(object, "allOf") {
            misfits.extend(self.check(part, node, path, depth + 1));
        }
        for key in ["oneOf", "anyOf"] {
            let branches: Vec<_> = array(object, key).iter().collect();
            if !branches.is_empty() {
                misfits.extend(self.branch(&branches, node, path, depth + 1));
            }
        }
        misfits.extend(self.bounds(object, node, path));
        let at = node.place;
        match &mut node.data {
            Data::Map(entries) => {
                misfits.extend(self.fields(schema, entries, at, path, depth));
            }
            Data::List(items) => {
                if let Some(schema) = object.get("items") {
                    for (number, item) in items.iter_mut().enumerate() {
                        let path = format!("{path}[{number}]");
                        misfits.extend(self.check(schema, item, &path, depth + 1));
                    }
                }
            }
            _ => {}
        }
        misfits
    }

    /// Follows `$ref`.
    fn target(&self, object: &Map<String, Value>) -> Option<&'a Value> {
        let reference = object.get("$ref")?.as_str()?;
        self.root.pointer(reference.strip_prefix('#')?)
    }

    /// Follows `$ref` to its end.
    pub(crate) fn follow(&self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..REFERENCES_MAX {
            match schema.as_object().and_then(|object| self.target(object)) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    /// Gives the values of a schema that only lists values.
    pub(crate) fn choices(&self, schema: &'a Value, depth: usize) -> Option<Vec<&'a Value>> {
        if depth > REFERENCES_MAX {
            return None;
        }
        let object = self.follow(schema).as_object()?;
        if let Some(value) = object.get("const") {
            return Some(vec![value]);
        }
        if let Some(values) = object.get("enum") {
            return Some(values.as_array()?.iter().collect());
        }
        if is_null(schema) {
            return Some(vec![&Value::Null]);
        }
        let branches = ["oneOf", "anyOf"].iter().find_map(|key| object.get(*key))?.as_array()?;
        let mut values = Vec::new();
        for branch in branches {
            values.extend(self.choices(branch, depth + 1)?);
        }
        Some(values)
    }

    fn choose(&self, choices: &[&Value], node: &mut Node, path: &str) -> Vec<Misfit> {
        let value = node.to_value();
        if choices.contains(&&value) {
            return Vec::new();
        }
        if let Some(filled) = &node.filled {
            let text = Value::String(filled.text.clone());
            if choices.contains(&&text) {
                node.data = Data::Text(filled.text.clone());
                return Vec::new();
            }
        }
        let words: Vec<_> = choices.iter().filter_map(|choice| choice.as_str()).collect();
        let shown = self.words(choices);
        let hint = match (&node.filled, node.text()) {
            (None, Some(text)) => suggest::hint(text, words),
            _ => None,
        };
        let message = format!("{} is not possible here; expected {shown}", node.found());
        vec![Misfit { place: node.place, path: path.to_owned(), message, hint }]
    }

    fn words(&self, choices: &[&Value]) -> String {
        let shown: Vec<_> = choices
            .iter()
            .filter(|choice| !choice.is_null())
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
            .collect();
        let list = suggest::list(shown.iter().map(String::as_str));
        if shown.len() == 1 { list } else { format!("one of {list}") }
    }

    /// Tells whether the node's type is one that the schema takes.
    fn accepts(&self, schema: &'a Value, node: &Node, depth: usize) -> bool {
        if depth > REFERENCES_MAX {
            return true;
        }
        let Some(object) = self.follow(schema).as_object() else {
            return schema.as_bool() != Some(false);
        };
        let by_type = types(object).is_none_or(|types| types.iter().any(|t| is_of(node, t)));
        let by_value = [object.get("const")]
            .into_iter()
            .flatten()
            .chain(array(object, "enum"))
            .collect::<Vec<_>>();
        let by_value = by_value.is_empty() || by_value.iter().any(|v| is_like(node, v));
        let by_branch = ["oneOf", "anyOf"].iter().all(|key| {
            let branches = array(object, key);
            branches.is_empty() || branches.iter().any(|b| self.accepts(b, node, depth + 1))
        });
        by_type && by_value && by_branch
    }

    /// Takes a variable's value as text where that is what the schema wants.
    fn reread_as_text(&self, schema: &'a Value, node: &mut Node) -> bool {
        let Some(filled) = &node.filled else { return false };
        let mut text = node.clone();
        text.data = Data::Text(filled.text.clone());
        let fits = self.accepts(schema, &text, 0);
        if fits {
            *node = text;
        }
        fits
    }

    fn wrong_type(&self, schema: &'a Value, node: &Node, path: &str) -> Misfit {
        let accepts = |data| self.accepts(schema, &Node::new(node.place, data, true), 0);
        let hint = match &node.data {
            Data::Text(text) if matches!(text.as_str(), "yes" | "no" | "on" | "off") => {
                accepts(Data::Bool(true)).then(|| "write true or false".to_owned())
            }
            Data::Text(text) if node.filled.is_none() && !node.plain => {
                crate::job::tree::resolve(text)
                    .filter(|data| !matches!(data, Data::Text(_) | Data::Null))
                    .and_then(|data| accepts(data).then(|| "take it out of its quotes".to_owned()))
            }
            Data::Number(_) | Data::Bool(_) if self.expected(schema) == "text" => {
                Some("put it in quotes".to_owned())
            }
            Data::Text(_) | Data::Number(_) if accepts(Data::List(Vec::new())) => {
                Some(format!("a list of one is written [{}]", node.shown()))
            }
            _ => None,
        };
        let message = format!("expected {}, found {}", self.expected(schema), node.found());
        Misfit { place: node.place, path: path.to_owned(), message, hint }
    }

    /// Says in words what a schema takes.
    pub(crate) fn expected(&self, schema: &'a Value) -> String {
        let schema = self.follow(schema);
        if let Some(choices) = self.choices(schema, 0) {
            return self.words(&choices);
        }
        let Some(object) = schema.as_object() else { return "nothing at all".to_owned() };
        let branches = array(object, "oneOf").iter().chain(array(object, "anyOf"));
        let mut words: Vec<String> =
            branches.filter(|b| !is_null(b)).map(|branch| self.expected(branch)).collect();
        for name in types(object).unwrap_or_default() {
            match name {
                "null" => {}
                "string" => words.push(text_words(object)),
                _ => words.push(type_words(name).to_owned()),
            }
        }
        words.dedup();
        if words.is_empty() { "something else".to_owned() } else { words.join(" or ") }
    }

    /// Picks the alternative that was meant and reports what is wrong with that one.
    fn branch(
        &self,
        branches: &[&'a Value],
        node: &mut Node,
        path: &str,
        depth: usize,
    ) -> Vec<Misfit> {
        if let Some(tagged) = self.tagged(branches, node, path) {
            return match tagged {
                Ok(branch) => self.check(branch, node, path, depth),
                Err(misfit) => vec![misfit],
            };
        }
        let fitting = || branches.iter().filter(|branch| self.accepts(branch, node, 0));
        let choices: Option<Vec<_>> = fitting().map(|b| self.choices(b, 0)).collect();
        if let Some(choices) = choices {
            let choices: Vec<_> = choices.into_iter().flatten().collect();
            return self.choose(&choices, node, path);
        }
        let mut best: Option<(Vec<Misfit>, Node)> = None;
        for branch in fitting() {
            let mut trial = node.clone();
            let misfits = self.check(branch, &mut trial, path, depth);
            if best.as_ref().is_none_or(|(least, _)| misfits.len() < least.len()) {
                best = Some((misfits, trial));
            }
        }
        match best {
            Some((misfits, trial)) => {
                *node = trial;
                misfits
            }
            None => Vec::new(),
        }
    }

    /// Of alternatives told apart by a tag (a field with a fixed word, or the only key), finds
    /// the one that the node names.
    fn tagged(
        &self,
        branches: &[&'a Value],
        node: &Node,
        path: &str,
    ) -> Option<Result<&'a Value, Misfit>> {
        let Data::Map(entries) = &node.data else { return None };
        let maps: Vec<&'a Value> = branches
            .iter()
            .map(|branch| self.follow(branch))
            .filter(|branch| branch.get("properties").is_some())
            .collect();
        let first = maps.first()?.get("properties")?.as_object()?;
        let word = |branch: &'a Value, tag: &str| {
            branch.get("properties")?.get(tag)?.get("const")?.as_str()
        };
        let inner = first.keys().find(|tag| maps.iter().all(|b| word(b, tag).is_some()));
        let misfit = |place, path, message, hint| Some(Err(Misfit { place, path, message, hint }));
        if let Some(tag) = inner {
            let words: Vec<_> = maps.iter().filter_map(|branch| word(branch, tag)).collect();
            let Some(value) = node.get(tag) else {
                let message =
                    format!("missing field `{tag}`; expected one of {}", suggest::list(words));
                return misfit(node.place, path.to_owned(), message, None);
            };
            let named = value.text().unwrap_or_default();
            if let Some(branch) = maps.iter().find(|branch| word(branch, tag) == Some(named)) {
                return Some(Ok(branch));
            }
            let hint = suggest::hint(named, words.iter().copied());
            let message = format!(
                "{} is not possible here; expected one of {}",
                value.found(),
                suggest::list(words)
            );
            return misfit(value.place, join(path, tag), message, hint);
        }
        let only = |branch: &'a Value| {
            let properties = branch.get("properties")?.as_object()?;
            let is_required = branch.get("required")?.as_array()?.len() == 1;
            (properties.len() == 1 && is_required).then(|| properties.keys().next())?
        };
        let names: Option<Vec<_>> = maps.iter().map(|branch| only(branch)).collect();
        let names = names.filter(|names| names.len() > 1)?;
        let key = entries.first()?;
        if let Some(at) = names.iter().position(|name| **name == key.key) {
            return maps.get(at).map(|branch| Ok(*branch));
        }
        let names = names.iter().map(|name| name.as_str());
        let hint = suggest::hint(&key.key, names.clone());
        let shown = crate::job::mistake::short(&key.key);
        let message = format!("unknown key `{shown}`; expected one of {}", suggest::list(names));
        misfit(key.place, join(path, &key.key), message, hint)
    }

    fn fields(
        &self,
        schema: &'a Value,
        entries: &mut [Entry],
        at: Place,
        path: &str,
        depth: usize,
    ) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        let Some(object) = schema.as_object() else { return misfits };
        let own = object.get("properties").and_then(Value::as_object);
        let closed =
            is_false(object, "additionalProperties") || is_false(object, "unevaluatedProperties");
        let known = self.known(schema, 0);
        let mut meant = Vec::new();
        for entry in entries.iter_mut() {
            let path = join(path, &entry.key);
            if let Some(field) = own.and_then(|own| own.get(&entry.key)) {
                misfits.extend(self.check(field, &mut entry.value, &path, depth + 1));
            } else if closed && !known.contains(&entry.key.as_str()) {
                let names = known.iter().copied();
                let nearest = suggest::nearest(&entry.key, names.clone());
                meant.extend(nearest);
                let shown = crate::job::mistake::short(&entry.key);
                let message = match known.as_slice() {
                    [] => format!("unknown field `{shown}`; expected no field at all"),
                    _ => {
                        format!("unknown field `{shown}`; expected one of {}", suggest::list(names))
                    }
                };
                let hint = nearest.map(|name| format!("did you mean `{name}`?"));
                misfits.push(Misfit { place: entry.place, path, message, hint });
            } else if let Some(other) =
                object.get("additionalProperties").filter(|_| !known.contains(&&*entry.key))
            {
                misfits.extend(self.check(other, &mut entry.value, &path, depth + 1));
            }
        }
        for name in array(object, "required").iter().filter_map(Value::as_str) {
            // Whoever misspelt a field has not forgotten it.
            if entries.iter().any(|entry| entry.key == name) || meant.contains(&name) {
                continue;
            }
            let expected = own
                .and_then(|own| own.get(name))
                .map(|field| format!("; expected {}", self.expected(field)))
                .unwrap_or_default();
            let message = format!("missing field `{name}`{expected}");
            misfits.push(Misfit { place: at, path: path.to_owned(), message, hint: None });
        }
        misfits
    }

    /// Lists the fields of a schema and of all its parts.
    fn known(&self, schema: &'a Value, depth: usize) -> Vec<&'a str> {
        let Some(object) = self.follow(schema).as_object() else { return Vec::new() };
        let own = object.get("properties").and_then(Value::as_object);
        let mut names: Vec<_> = own.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        if depth < REFERENCES_MAX {
            for part in ["allOf", "oneOf", "anyOf"].iter().flat_map(|key| array(object, key)) {
                names.extend(self.known(part, depth + 1));
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Checks lengths and sizes.
    fn bounds(&self, object: &Map<String, Value>, node: &Node, path: &str) -> Vec<Misfit> {
        let limit = |key: &str| object.get(key).and_then(Value::as_f64);
        let mut messages = Vec::new();
        let mut hold = |size: f64, least: &str, most: &str, what: &str| {
            let found = node.found();
            match (limit(least), limit(most)) {
                (Some(least), Some(most)) if size < least || size > most => {
                    messages.push(format!("expected {what} {least} to {most}, found {found}"));
                }
                (Some(least), None) if size < least => {
                    messages.push(format!("expected {what} at least {least}, found {found}"));
                }
                (None, Some(most)) if size > most => {
                    messages.push(format!("expected {what} at most {most}, found {found}"));
                }
                _ => {}
            }
        };
        #[expect(clippy::cast_precision_loss, reason = "a length of a bounded file")]
        match &node.data {
            Data::Number(number) => {
                let size = number.as_f64().unwrap_or_default();
                hold(size, "minimum", "maximum", "a number:");
                if limit("exclusiveMinimum").is_some_and(|least| size <= least) {
                    let least = limit("exclusiveMinimum").unwrap_or_default();
                    messages.push(format!("expected more than {least}, found {}", node.found()));
                }
            }
            Data::Text(text) => {
                let size = text.chars().count() as f64;
                hold(size, "minLength", "maxLength", "text with a number of characters:");
            }
            Data::List(items) => {
                hold(items.len() as f64, "minItems", "maxItems", "a list with a number of items:");
            }
            _ => {}
        }
        let misfit =
            |message| Misfit { place: node.place, path: path.to_owned(), message, hint: None };
        messages.into_iter().map(misfit).collect()
    }
}

fn array<'a>(object: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_false(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool) == Some(false)
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// Gives the names under `type`.
pub(crate) fn types(object: &Map<String, Value>) -> Option<Vec<&str>> {
    match object.get("type")? {
        Value::String(name) => Some(vec![name]),
        Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn is_of(node: &Node, name: &str) -> bool {
    match &node.data {
        Data::Null => name == "null",
        Data::Bool(_) => name == "boolean",
        Data::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
        Data::Text(_) => name == "string",
        Data::List(_) => name == "array",
        Data::Map(_) => name == "object",
        Data::Unknown => true,
    }
}

fn is_like(node: &Node, value: &Value) -> bool {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    is_of(node, name)
}

fn type_words(name: &str) -> &str {
    match name {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

/// Says what text is meant: `a duration such as 2s`.
fn text_words(object: &Map<String, Value>) -> String {
    let title = object.get("title").and_then(Value::as_str);
    let examples: Vec<_> = array(object, "examples").iter().filter_map(Value::as_str).collect();
    let name = match title {
        Some(title) if title.starts_with(|c: char| c.is_ascii_lowercase()) => format!("a {title}"),
        _ => "text".to_owned(),
    };
    if examples.is_empty() { name } else { format!("{name} such as {}", suggest::list(examples)) }
}
