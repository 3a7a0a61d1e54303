//! The reference of the components, made from their definitions: a page for people to read, and
//! the answer to `tapeflow components NAME`.

use serde_json::Value;

use crate::catalog::Catalog;
use crate::component::{Definition, Output};
use crate::job::conform::Walk;
use crate::job::part::Room;
use crate::job::words::{add, add_line};
use crate::kind::Kind;

/// Makes the page of all components, in Markdown.
pub fn markdown(catalog: &Catalog) -> String {
    let mut page = String::from(
        "# Components\n\nWhat a job file may name after `type:`, made from the definitions in \
         the code. A field without a default has to be given, unless it is marked optional.\n\n\
         The keys that the engine reads (`type`, `input`, `on_change`, `ack` of sources, \
         `guarantee` of sinks) stand beside these fields; \
         [the job file](job-file.md#components) has them.\n",
    );
    for room in Room::ALL {
        let sheets: Vec<_> = sheets(catalog).into_iter().filter(|s| s.room == room).collect();
        let links: Vec<_> = sheets.iter().map(|s| format!("[`{0}`](#{0})", s.name)).collect();
        let title = room.key();
        let title =
            title.get(..1).unwrap_or_default().to_uppercase() + title.get(1..).unwrap_or("");
        add!(page, "\n## {title}\n\n{}\n", links.join(" · "));
        for sheet in &sheets {
            page.push('\n');
            page.push_str(&sheet.markdown());
        }
    }
    page
}

/// Describes the components of one name, as plain text; none if there is none.
pub fn text(catalog: &Catalog, name: &str) -> Option<String> {
    let sheets = sheets(catalog).into_iter().filter(|sheet| sheet.name == name);
    let texts: Vec<_> = sheets.map(|sheet| sheet.text()).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// What a reader is told of one component.
struct Sheet {
    room: Room,
    name: &'static str,
    summary: &'static str,
    takes: Vec<Kind>,
    outputs: Vec<Output>,
    about: String,
    fields: Vec<Field>,
}

/// One field of a configuration; nested ones by their path.
struct Field {
    path: String,
    words: String,
    default: Standard,
    about: String,
}

/// What stands for a field that is not given.
enum Standard {
    Required,
    Optional,
    Value(String),
}

fn sheets(catalog: &Catalog) -> Vec<Sheet> {
    let sources = catalog
        .sources
        .iter()
        .map(|d| Sheet::new(Room::Sources, *d as &dyn Definition, &[], d.outputs()));
    let operators = catalog
        .operators
        .iter()
        .map(|d| Sheet::new(Room::Operators, *d as &dyn Definition, d.takes(), d.outputs()));
    let sinks = catalog
        .sinks
        .iter()
        .map(|d| Sheet::new(Room::Sinks, *d as &dyn Definition, d.takes(), &[]));
    sources.chain(operators).chain(sinks).collect()
}

impl Sheet {
    fn new(room: Room, definition: &dyn Definition, takes: &[Kind], outputs: &[Output]) -> Self {
        let schema = definition.config().to_value();
        let walk = Walk { root: &schema };
        let mut fields = Vec::new();
        collect(&walk, &schema, "", 0, &mut fields);
        // What has to be given comes first; nested fields stay below theirs.
        let required: Vec<String> =
            list(&schema, "required").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        fields.sort_by_key(|field| {
            let first = field.path.split('.').next().unwrap_or_default();
            !required.iter().any(|name| name == first)
        });
        Self {
            room,
            name: definition.name(),
            summary: definition.summary(),
            takes: takes.to_vec(),
            outputs: outputs.to_vec(),
            about: about(&schema),
            fields,
        }
    }

    fn takes(&self) -> String {
        self.takes.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ")
    }

    fn markdown(&self) -> String {
        let mut page = format!("### {}\n\n{}\n", self.name, self.summary);
        if !self.about.is_empty() && self.about != self.summary {
            add!(page, "\n{}\n", self.about);
        }
        if !self.takes.is_empty() {
            add!(page, "\nTakes {}.\n", self.takes());
        }
        if !self.outputs.is_empty() {
            page.push_str("\n| port | carries | |\n| --- | --- | --- |\n");
            for output in &self.outputs {
                let (name, carries) = (output.name, carries(output));
                add_line!(page, "| `{name}` | {carries} | {} |", cell(output.about));
            }
        }
        if self.fields.is_empty() {
            page.push_str("\nIt has no fields.\n");
            return page;
        }
        page.push_str("\n| field | type | default | |\n| --- | --- | --- | --- |\n");
        for field in &self.fields {
            let default = match &field.default {
                Standard::Required => "required".to_owned(),
                Standard::Optional => "optional".to_owned(),
                Standard::Value(value) => format!("`{value}`"),
            };
            let (words, about) = (cell(&field.words), cell(&field.about));
            add_line!(page, "| `{}` | {words} | {default} | {about} |", field.path);
        }
        page
    }

    fn text(&self) -> String {
        let mut text = format!("{} ({})\n  {}\n", self.name, self.room.noun(), self.summary);
        if !self.takes.is_empty() {
            add!(text, "\ntakes {}\n", self.takes());
        }
        let wide = |names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| name.chars().count()).max().unwrap_or_default()
        };
        if !self.outputs.is_empty() {
            let width = wide(&mut self.outputs.iter().map(|output| output.name));
            text.push_str("\nports\n");
            for output in &self.outputs {
                let (name, carries) = (output.name, carries(output));
                add_line!(text, "  {name:width$}  {carries}: {}", output.about);
            }
        }
        if !self.fields.is_empty() {
            text.push_str("\nfields\n");
            for field in &self.fields {
                let default = match &field.default {
                    Standard::Required => "required".to_owned(),
                    Standard::Optional => "optional".to_owned(),
                    Standard::Value(value) => format!("default {value}"),
                };
                let words = field.words.replace('`', "");
                add_line!(text, "  {}: {words} ({default})", field.path);
                for line in field.about.lines() {
                    add_line!(text, "      {line}");
                }
            }
        }
        text
    }
}

fn carries(output: &Output) -> &'static str {
    output.kind.map_or("what comes in", Kind::name)
}

/// Nested mappings are listed so deep.
const DEPTH_MAX: usize = 6;

/// Lists the fields of a mapping, and below each the fields of the mappings in it.
fn collect<'a>(
    walk: &Walk<'a>,
    schema: &'a Value,
    path: &str,
    depth: usize,
    fields: &mut Vec<Field>,
) {
    let schema = walk.follow(schema);
    if depth > DEPTH_MAX {
        return;
    }
    let required: Vec<_> = list(schema, "required").iter().filter_map(Value::as_str).collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, field) in properties.into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let default = match field.get("default") {
            Some(Value::Null) => Standard::Optional,
            Some(value @ Value::Object(_)) if value.as_object().is_some_and(|o| o.is_empty()) => {
                Standard::Optional
            }
            Some(value) => Standard::Value(shown(value)),
            None if required.contains(&name.as_str()) => Standard::Required,
            None => Standard::Optional,
        };
        let nested = fields.len();
        collect(walk, field, &path, depth + 1, fields);
        let has_nested = fields.len() > nested;
        let default = match default {
            Standard::Value(_) if has_nested => Standard::Optional,
            other => other,
        };
        let own = field.get("description").and_then(Value::as_str);
        let about = own.map_or_else(|| about(walk.follow(field)), str::to_owned);
        let words = words(walk, field);
        fields.insert(nested, Field { path, words, default, about });
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        let all =
            list(schema, key).iter().filter(|branch| branch.get("type") != Some(&"null".into()));
        let branches: Vec<_> = all.collect();
        match branches.as_slice() {
            // A mapping that may be left out.
            [only] => collect(walk, only, path, depth + 1, fields),
            _ => branches.iter().for_each(|b| collect_branch(walk, b, path, depth, fields)),
        }
    }
}

/// Lists the fields of one of several alternatives, each once.
fn collect_branch<'a>(
    walk: &Walk<'a>,
    branch: &'a Value,
    path: &str,
    depth: usize,
    fields: &mut Vec<Field>,
) {
    let mut inner = Vec::new();
    collect(walk, branch, path, depth + 1, &mut inner);
    for mut field in inner {
        // It is required in this alternative only.
        let known = fields.iter_mut().find(|known| known.path == field.path);
        match known {
            Some(known) if known.words != field.words => {
                known.words = format!("{} or {}", known.words, field.words);
            }
            Some(_) => {}
            None => {
                if matches!(field.default, Standard::Required) {
                    field.default = Standard::Optional;
                }
                fields.push(field);
            }
        }
    }
}

/// Says in words what a field takes, with the bounds of numbers and the items of lists.
fn words<'a>(walk: &Walk<'a>, field: &'a Value) -> String {
    let target = walk.follow(field);
    let mut words = walk.expected(field);
    if let Some(items) = target.get("items") {
        words = format!("{words}, each {}", walk.expected(items));
    }
    match (target.get("minimum"), target.get("maximum")) {
        (Some(least), Some(most)) => format!("{words}, {least} to {most}"),
        (Some(least), None) if least.as_f64() != Some(0.0) => format!("{words}, {least} or more"),
        _ => words,
    }
}

fn about(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Shows a default as one would write it in a job file.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}

/// Makes one line of it that does not end a cell of a table.
fn cell(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").replace('|', "\\|")
}
