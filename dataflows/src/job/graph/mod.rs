//! Pictures of a job: what is drawn, whatever the format.
//!
//! They show configurations as the file has them, so never what a variable holds, and no
//! password that stands in a URL.

pub mod dot;
mod layout;
pub mod mermaid;
pub mod svg;

use serde_json::Value;

use crate::component::Output;
use crate::job::mistake::short;
use crate::job::part::Room;
use crate::job::plan::{Origin, Plan};
use crate::job::variables::without_password;
use crate::kind::Kind;

/// So many settings of a component are shown.
const SETTINGS_MAX: usize = 3;
/// A setting is cut to so many characters.
const SETTING_CHARS_MAX: usize = 34;

/// What is drawn.
struct Picture {
    /// The name of the job.
    title: String,
    /// Sources, operators in their order, sinks.
    boxes: Vec<Component>,
    arrows: Vec<Arrow>,
}

/// A component.
struct Component {
    room: Room,
    id: String,
    /// The word after `type:`.
    name: &'static str,
    /// `key: value`, the most telling first; of a sink, last, what it promises.
    settings: Vec<String>,
}

/// An edge between two boxes, by their numbers.
struct Arrow {
    from: usize,
    to: usize,
    /// The name of the port, where it is not the first one.
    port: Option<&'static str>,
    kind: Kind,
}

impl Arrow {
    /// The words on it: `closed · candles`.
    fn label(&self) -> String {
        match self.port {
            Some(port) if port != self.kind.name() => format!("{port} · {}", self.kind),
            _ => self.kind.name().to_owned(),
        }
    }
}

impl Picture {
    fn new(plan: &Plan) -> Self {
        let mut boxes = Vec::new();
        let mut add = |room, id: &str, name, schema: &Value| {
            let settings = settings(plan.written.get(id), schema);
            boxes.push(Component { room, id: id.to_owned(), name, settings });
        };
        for source in &plan.sources {
            let definition = source.definition;
            let schema = definition.config().to_value();
            add(Room::Sources, &source.id, definition.name(), &schema);
        }
        for operator in &plan.operators {
            let definition = operator.definition;
            let schema = definition.config().to_value();
            add(Room::Operators, &operator.id, definition.name(), &schema);
        }
        for sink in &plan.sinks {
            let definition = sink.definition;
            add(Room::Sinks, &sink.id, definition.name(), &definition.config().to_value());
        }
        let sinks = boxes.iter_mut().filter(|component| component.room == Room::Sinks);
        for (component, sink) in sinks.zip(&plan.sinks) {
            component.settings.push(sink.guarantee.name().to_owned());
        }
        let at = |id: &str| boxes.iter().position(|component| component.id == id);
        let operators = plan.operators.iter().map(|o| (&o.id, &o.inputs, o.kind));
        let sinks = plan.sinks.iter().map(|s| (&s.id, &s.inputs, s.kind));
        let mut arrows = Vec::new();
        for (id, inputs, kind) in operators.chain(sinks) {
            for origin in inputs {
                if let (Some(from), Some(to)) = (at(&origin.id), at(id)) {
                    arrows.push(Arrow { from, to, port: port(plan, origin), kind });
                }
            }
        }
        Self { title: plan.name.clone(), boxes, arrows }
    }
}

/// Gives the name of a port if its component has several.
fn port(plan: &Plan, origin: &Origin) -> Option<&'static str> {
    let of_sources = plan.sources.iter().map(|s| (&s.id, s.outputs()));
    let of_operators = plan.operators.iter().map(|o| (&o.id, o.definition.outputs()));
    let outputs: Option<&'static [Output]> =
        of_sources.chain(of_operators).find(|(id, _)| **id == origin.id).map(|(_, o)| o);
    outputs.filter(|outputs| outputs.len() > 1).map(|_| origin.port)
}

/// Picks the settings to show: those that have to be given first, and only what fits a line.
fn settings(config: Option<&Value>, schema: &Value) -> Vec<String> {
    let Some(config) = config.and_then(Value::as_object) else { return Vec::new() };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |key: &str| required.is_some_and(|names| names.iter().any(|name| name == key));
    let (first, last): (Vec<_>, Vec<_>) = config.iter().partition(|(key, _)| is_required(key));
    first
        .into_iter()
        .chain(last)
        .filter_map(|(key, value)| Some(cut(&format!("{key}: {}", setting(value)?))))
        .take(SETTINGS_MAX)
        .collect()
}

/// Writes a value in one line; mappings are no line.
fn setting(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(without_password(text)),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(values) => {
            let parts: Option<Vec<_>> = values.iter().map(setting).collect();
            Some(parts?.join(" "))
        }
        Value::Null | Value::Object(_) => None,
    }
}

fn cut(text: &str) -> String {
    let text = short(text);
    if text.chars().count() <= SETTING_CHARS_MAX {
        return text;
    }
    let kept: String = text.chars().take(SETTING_CHARS_MAX - 1).collect();
    format!("{}…", kept.trim_end())
}
