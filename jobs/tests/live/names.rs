//! Instruments with names that are wildcards, paths, SQL, too long or no text, in messages and in
//! keys, through all three live jobs: each is refused with its reason, and touches nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Manner, Platform, Running};

const JOBS: [&str; 3] = ["bridge", "candles-live", "archive"];

/// What the independent side publishes as hostile, and by what a message with it is refused.
const REASONS: [&str; 12] = [
    "bad_name",  // EURUSD/#
    "bad_name",  // +
    "bad_name",  // ../../etc
    "bad_name",  // '); DROP TABLE candles;--
    "bad_name",  // NUL
    "malformed", // a lone surrogate is no UTF-8
    "bad_name",  // $SYS
    "bad_name",  // ..
    "bad_name",  // %2F..%2F
    "bad_name",  // a line break
    "bad_name",  // nothing
    "bad_name",  // 64 KiB
];

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn a_hostile_name_is_refused_with_its_reason_and_touches_no_topic_path_or_table() {
    let Some(platform) = Platform::new("names", &JOBS) else { return };
    for job in JOBS {
        // The ticks are of now.
        platform.rewrite(job, "clock: event", "clock: wall");
    }
    let running: Vec<Running> = JOBS.iter().map(|job| platform.start(job, 1)).collect();
    let mut client = platform.start_client("names.py", Manner::quiet());
    let told = client.next();
    assert_eq!(told["topics"], told["wanted"], "no other topic was published to");
    let by_message: BTreeMap<String, Value> =
        (0..).zip(REASONS).map(|(number, why)| (format!("message-{number}"), json!(why))).collect();
    let dead = told["dead"].as_object().unwrap();
    for (id, reason) in &by_message {
        assert_eq!(&dead[id], reason, "{id}: {told}");
    }
    let by_key: Vec<&Value> =
        dead.iter().filter(|(id, _)| id.starts_with("key-")).map(|(_, reason)| reason).collect();
    assert_eq!(by_key.len(), REASONS.len() - 2, "one is too long for a key, one no text: {told}");
    assert!(
        by_key.iter().all(|reason| ["bad_name", "bad_key"].contains(&reason.as_str().unwrap()))
    );
    // Once the window is over.
    let schema = platform.schema();
    let instruments = format!("SELECT DISTINCT instrument FROM {schema}.candles ORDER BY 1");
    let names: Vec<&str> =
        told["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut wanted: Vec<String> = names.iter().map(|name| csv(name)).collect();
    wanted.sort();
    crate::mosquitto::eventually("all candles are there", || {
        let found = platform.sql(&instruments);
        let mut found: Vec<String> = found.lines().skip(1).map(str::to_owned).collect();
        found.sort();
        found == wanted
    });
    for running in running {
        platform.stop(running);
    }
    let count = platform.sql(&format!("SELECT count(*) FROM {schema}.rejects"));
    assert_eq!(count.lines().nth(1), Some(REASONS.len().to_string().as_str()));
    client.say("compare");
    let told = client.next();
    assert_eq!(told["kept"], json!(names), "the archive");
    assert_eq!(told["refused"], json!(by_message), "what it refused");
    client.end();
    let mut found = Vec::new();
    files(platform.folder(), &mut found);
    for path in found {
        assert!(!path.contains("etc") && !path.contains("DROP"), "{path}");
    }
}

/// A field of CSV as `psql` writes it.
fn csv(field: &str) -> String {
    if field.contains([',', '"']) { format!("\"{field}\"") } else { field.to_owned() }
}
