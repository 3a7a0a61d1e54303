//! The JSON Schema of the job file, made from a catalog: for editors.

use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::component::Definition;
use crate::component::sink::Guarantee;
use crate::job::heal;
use crate::job::part::Room;
use crate::job::promise::Ack;
use crate::job::run::RunFile;
use crate::job::state::{OnChange, StateFile};
use crate::job::tests::file::TestFile;

/// Makes the schema of a job file that may name the components of a catalog.
pub fn schema(catalog: &Catalog) -> Value {
    let mut definitions = Map::new();
    let mut rooms = Map::new();
    for room in Room::ALL {
        let mut branches = Vec::new();
        for (key, definition) in catalog.all() {
            if key == room.key() {
                let name = format!("{}.{}", room.noun(), definition.name());
                definitions.insert(name.clone(), component(room, definition, &mut branches));
            }
        }
        rooms.insert(room.key().to_owned(), json!({
            "description": format!("The {} of the job, each under an id of its own.", room.key()),
            "type": "object",
            "propertyNames": { "pattern": NAME_PATTERN, "maxLength": 64 },
            "additionalProperties": { "type": "object", "required": ["type"], "oneOf": branches },
        }));
    }
    let mut properties = Map::new();
    properties.insert(
        "job".to_owned(),
        json!({
            "description": "The name of the job.",
            "type": "string",
            "pattern": NAME_PATTERN,
            "maxLength": 64,
        }),
    );
    properties.insert(
        "description".to_owned(),
        json!({
            "description": "What the job is for.",
            "type": "string",
        }),
    );
    let placed = |schema: schemars::Schema, base: &str| {
        let mut schema = schema.to_value();
        rebase(&mut schema, base);
        take_root_keys(&mut schema);
        schema
    };
    let run = placed(schemars::schema_for!(RunFile), "#/properties/run");
    properties.insert("run".to_owned(), run);
    let state = placed(schemars::schema_for!(StateFile), "#/properties/state");
    properties.insert("state".to_owned(), state);
    properties.extend(rooms);
    properties.insert(
        "tests".to_owned(),
        json!({
            "description": "Tests of the job: what is fed, what happens, what is expected.",
            "type": "array",
            "items": placed(schemars::schema_for!(TestFile), "#/properties/tests/items"),
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tapeflow job",
        "description": "A tapeflow job: sources, operators and sinks, and how they are run.",
        "type": "object",
        "properties": properties,
        "required": ["job", "sources", "sinks"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// What ids and names of jobs look like.
const NAME_PATTERN: &str = "^[a-z][a-z0-9_-]*$";

/// Makes the schema of one component with the keys `type` and `input`, and adds a reference to
/// it to the branches of its room.
fn component(room: Room, definition: &dyn Definition, branches: &mut Vec<Value>) -> Value {
    let name = format!("{}.{}", room.noun(), definition.name());
    branches.push(json!({ "$ref": format!("#/$defs/{name}") }));
    let mut schema = definition.config().to_value();
    rebase(&mut schema, &format!("#/$defs/{name}"));
    take_root_keys(&mut schema);
    let Some(object) = schema.as_object_mut() else { return schema };
    object.insert("title".to_owned(), definition.name().into());
    object.insert("description".to_owned(), definition.summary().into());
    object.insert("type".to_owned(), "object".into());
    let mut keys = vec![("type", json!({ "const": definition.name() }))];
    if room != Room::Sources {
        keys.push(("input", input()));
    }
    for (key, value) in keys.iter().cloned().chain(engine_keys(room)) {
        if let Some(properties) =
            object.entry("properties").or_insert_with(|| json!({})).as_object_mut()
        {
            properties.insert(key.to_owned(), value);
        }
    }
    for (key, _) in keys {
        if let Some(required) = object.entry("required").or_insert_with(|| json!([])).as_array_mut()
        {
            required.push(key.into());
        }
    }
    schema
}

/// The keys of a component that the engine reads and that may be left out.
fn engine_keys(room: Room) -> Vec<(&'static str, Value)> {
    let mut keys = vec![(
        "on_change",
        json!({
            "description": "What happens when it has changed since the checkpoint; else what \
                            `state.on_change` says.",
            "enum": OnChange::ALL.map(OnChange::name),
        }),
    )];
    match room {
        Room::Sources => keys.extend([
            (
                "ack",
                json!({
                    "description": "When what was delivered is acknowledged: when it is in the \
                                    journal, when a checkpoint covers it, or at once.",
                    "enum": Ack::ALL.map(Ack::name),
                    "default": Ack::default().name(),
                }),
            ),
            ("heal", heal()),
        ]),
        Room::Operators => {}
        Room::Sinks => keys.push((
            "guarantee",
            json!({
                "description": "How often its effects happen, whatever is killed: the job is \
                                refused where that cannot be kept. Else as often as can be \
                                promised.",
                "enum": Guarantee::ALL.map(Guarantee::word),
            }),
        )),
    }
    keys
}

/// The schema of `heal`.
fn heal() -> Value {
    json!({
        "description": "The archive from which it gets what its queue has lost: a source with its \
                        settings.",
        "type": "object",
        "properties": {
            "type": { "description": "A source that reads an archive of ticks.", "type": "string" },
            "overlap": {
                "description": "So much may ticks of one feed be out of order.",
                "type": "string",
                "default": heal::OVERLAP.to_string(),
            },
            "wait": {
                "description": "So long the job waits for the archive to have what is missing.",
                "type": "string",
                "default": heal::WAIT.to_string(),
            },
        },
        "required": ["type"],
    })
}

/// The schema of `input`.
fn input() -> Value {
    let one = json!({ "type": "string", "pattern": "^[a-z][a-z0-9_-]*(\\.[a-z][a-z0-9_-]*)?$" });
    json!({
        "description": "What it reads: the id of a source or operator, `id.port`, or a list.",
        "anyOf": [one, { "type": "array", "items": one, "minItems": 1, "uniqueItems": true }],
    })
}

/// Lets references lead to where the schema will stand.
fn rebase(schema: &mut Value, base: &str) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(rest) = target.strip_prefix('#') {
                            *target = format!("{base}{rest}");
                        }
                    }
                    _ => rebase(value, base),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rebase(value, base)),
        _ => {}
    }
}

/// Takes away what only the root of a schema says.
fn take_root_keys(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
    }
}
