//! The JSON Schema of the job file, made from a catalog: for editors.

use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::component::Definition;
use crate::job::part::Room;
use crate::job::run::RunFile;

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
    let mut run = schemars::schema_for!(RunFile).to_value();
    rebase(&mut run, "#/properties/run");
    take_root_keys(&mut run);
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
    properties.insert("run".to_owned(), run);
    properties.extend(rooms);
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
    for (key, value) in keys {
        if let Some(properties) =
            object.entry("properties").or_insert_with(|| json!({})).as_object_mut()
        {
            properties.insert(key.to_owned(), value);
        }
        if let Some(required) = object.entry("required").or_insert_with(|| json!([])).as_array_mut()
        {
            required.push(key.into());
        }
    }
    schema
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
