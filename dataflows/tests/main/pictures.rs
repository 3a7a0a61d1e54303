//! Pictures, schema and reference of a job: true to it, valid, and silent about secrets.

use std::path::Path;

use dataflows::job::graph::{dot, mermaid, svg};
use dataflows::job::lint::check;
use dataflows::job::plan::Plan;
use dataflows::job::{reference, schema};
use serde_json::{Value, json};

use crate::fakes::CATALOG;

const CANARY: &str = "canary-s3cr3t";

fn plan() -> Plan {
    let variables = |name: &str| name.starts_with("TRADING").then(|| CANARY.to_owned());
    let text = include_str!("../good/candles.yaml").replace("ticks/*.csv", "http://me:inline@h/x");
    check(&text, Path::new("job.yaml"), &CATALOG, &variables)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Keeps a picture where somebody can look at it, if asked to.
fn keep(name: &str, text: &str) {
    if let Ok(folder) = std::env::var("TAPEFLOW_PICTURES") {
        std::fs::write(Path::new(&folder).join(name), text).unwrap();
    }
}

#[test]
fn a_picture_shows_every_component_and_no_secret() {
    let plan = plan();
    let pictures = [
        ("job.mmd", mermaid::draw(&plan)),
        ("job.dot", dot::draw(&plan)),
        ("job.svg", svg::draw(&plan)),
    ];
    for (name, picture) in pictures {
        keep(name, &picture);
        for id in ["history", "ticks", "candles", "live", "table", "chart", "rejects"] {
            assert!(picture.contains(id), "{name} has no {id}");
        }
        assert!(picture.contains("revised · candles"), "{name} has no ports");
        assert!(!picture.contains(CANARY), "{name} gives a secret away");
        assert!(!picture.contains("inline"), "{name} gives a password away");
    }
}

#[test]
fn a_picture_is_the_same_every_time() {
    assert_eq!(svg::draw(&plan()), svg::draw(&plan()));
}

#[test]
fn the_words_of_a_setting_cannot_break_a_picture() {
    let text =
        include_str!("../good/candles.yaml").replace("ticks/*.csv", "'\"]--><script>&amp;</svg>'");
    let variables = |name: &str| name.starts_with("TRADING").then(|| "x".to_owned());
    let plan = check(&text, Path::new("job.yaml"), &CATALOG, &variables).unwrap();
    assert!(!svg::draw(&plan).contains("<script>"));
    assert!(!mermaid::draw(&plan).contains("<script>"));
    assert!(dot::draw(&plan).contains("\\\"]--><script>"));
}

/// Gives the targets of all references of a schema.
fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value.as_str() {
                    Some(target) if key == "$ref" => found.push(target.to_owned()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_schema_of_the_job_file_knows_every_component_and_leads_nowhere_wrong() {
    let schema = schema::schema(&CATALOG);
    keep("job.schema.json", &serde_json::to_string_pretty(&schema).unwrap());
    let mut targets = Vec::new();
    references(&schema, &mut targets);
    assert!(targets.len() >= 10, "{targets:?}");
    for target in targets {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(schema.pointer(pointer).is_some(), "{target} leads nowhere");
    }
    let ohlcv = &schema["$defs"]["operator.ohlcv"];
    assert_eq!(ohlcv["properties"]["type"], json!({ "const": "ohlcv" }));
    assert_eq!(ohlcv["required"], json!(["timeframes", "type", "input"]));
    assert_eq!(ohlcv["additionalProperties"], false);
    assert!(schema["$defs"]["source.file"]["properties"].get("input").is_none());
}

#[test]
fn the_reference_tells_fields_ports_and_defaults() {
    let page = reference::markdown(&CATALOG);
    keep("components.md", &page);
    for part in [
        "## Sources",
        "### ohlcv",
        "| `closed` | candles | Candles that are final. |",
        "| `timeframes` | a list, each text | required | The lengths of the candles. |",
        "| `columns.time` | text | required | The event time. |",
        "| `rows` | a whole number, 1 to 65536 | `8192` | Read so many rows at once. |",
        "| `latest` | what comes in |",
        "Takes ticks or candles.",
        "It has no fields.",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    let text = reference::text(&CATALOG, "throttle").unwrap();
    assert!(text.starts_with("throttle (operator)\n"), "{text}");
    assert!(text.contains("every: a duration such as 500ms, 2s, 1h (required)"), "{text}");
    assert!(reference::text(&CATALOG, "nothing").is_none());
}
