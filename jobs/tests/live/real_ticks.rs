//! Real ticks of two brokers, published as gateways do, through all three live jobs at once.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jobs::shipped;
use serde_json::{Value, json};

const POSTGRES: &str = "postgres://postgres@127.0.0.1:5432/test";

/// Says loudly that something is missing.
fn skip(why: &str) {
    assert!(std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_none(), "a test could not be run: {why}");
    eprintln!("SKIPPED: {why}");
}

fn data() -> PathBuf {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("TAPEFLOW_DATA").map_or(shared, PathBuf::from)
}

fn python() -> String {
    std::env::var("TAPEFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// What is missing for this test, if anything is.
fn missing() -> Option<String> {
    for (name, port) in [("RabbitMQ", 5672), ("Mosquitto", 1883), ("PostgreSQL", 5432)] {
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return Some(format!("no {name} on 127.0.0.1:{port}"));
        }
    }
    if !data().join("ticks").is_dir() {
        return Some(format!("no real ticks at {}", data().display()));
    }
    let probe = ["-c", "import pika, paho.mqtt, duckdb, google.protobuf, pytz"];
    let probe = Command::new(python()).args(probe).output();
    let has_all = probe.is_ok_and(|output| output.status.success());
    (!has_all).then(|| format!("{} lacks pika, paho-mqtt, duckdb or protobuf", python()))
}

/// A job of the platform as it ships, with names of this test's own; where windows close, with the
/// clock on event time: the ticks are of 2014.
fn job(name: &str, test: &str) -> String {
    let text = shipped::find(name).unwrap().text;
    let text = text.split("\ntests:").next().unwrap();
    let clock = if name == "bridge" { "clock: wall" } else { "clock: event" };
    text.replace("clock: wall", clock)
        .replace("calendar: forex", "calendar: utc")
        .replace("exchange: market.", &format!("exchange: {test}.market."))
        .replace(&format!("job: {name}\n"), &format!("job: {test}-{name}\n"))
        // The last day is not over when the test is.
        .replace("    type: archive\n", "    type: archive\n    publish_partial: true\n")
        .replace("topic: market/", &format!("topic: {test}/"))
        .replace("    table: ", &format!("    table: {}.", test.replace('-', "_")))
}

fn start(folder: &Path, name: &str, text: &str) -> Child {
    std::fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
    let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
    command.args(["run", &format!("{name}.yaml"), "--output", "json"]).current_dir(folder);
    command.env("TRADING_DB_URL", POSTGRES).env_remove("TAPEFLOW_LOG");
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Ends a job in good order.
fn stop(mut child: Child, log: &Path) {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let status = child.wait().unwrap();
    let said = std::fs::read_to_string(log).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
}

fn sql(statement: &str) {
    let status = Command::new("psql").args([POSTGRES, "-qc", statement]).status().unwrap();
    assert!(status.success(), "{statement}");
}

#[test]
fn candles_are_the_publishers_bars_payloads_pass_untouched_and_the_archive_is_the_input() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let test = format!("live-{}", std::process::id());
    let schema = test.replace('-', "_");
    sql(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"));
    let folder = tempfile::tempdir().unwrap();
    let names = ["bridge", "candles-live", "archive"];
    let running: Vec<Child> =
        names.iter().map(|name| start(folder.path(), name, &job(name, &test))).collect();

    let descriptor = folder.path().join("descriptor.bin");
    std::fs::write(&descriptor, proto::protobuf::DESCRIPTOR_SET).unwrap();
    let candles = folder.path().join("candles.csv");
    let exchanges = ["ticks", "dead"].map(|name| format!("{test}.market.{name}"));
    let queues = names.map(|name| format!("tapeflow.{test}-{name}.ticks"));
    let settings = json!({
        "data": data(), "descriptor": descriptor, "prefix": test, "mqtt_port": 1883,
        "amqp": "amqp://guest:guest@127.0.0.1:5672/%2F", "exchange": format!("{test}.market.ticks"),
        "exchanges": exchanges,
        "queues": queues,
        "sources": ["fxcm", "oanda"], "candles": candles,
        "archive": folder.path().join("tapeflow-data/archive/ticks"),
        "ticks": std::env::var("TAPEFLOW_LIVE_TICKS").map_or(20_000, |text| text.parse().unwrap()),
    });
    let file = folder.path().join("settings.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/client.py");
    let mut client = Command::new(python())
        .arg(script)
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("the client ended too early").unwrap();
        println!("{line}");
        serde_json::from_str(&line).unwrap()
    };
    let bridge = next();
    for (child, name) in running.into_iter().zip(names) {
        stop(child, &folder.path().join(format!("{name}.log")));
    }
    let query = Command::new("psql")
        .args([POSTGRES, "--csv", "-c", &format!("SELECT * FROM {schema}.candles")])
        .output()
        .unwrap();
    std::fs::write(&candles, query.stdout).unwrap();
    client.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let results: Vec<Value> = (0..4).map(|_| next()).collect();
    assert!(client.wait().unwrap().success());
    sql(&format!("DROP SCHEMA {schema} CASCADE"));

    assert_eq!((&bridge["missing"], &bridge["extra"]), (&json!(0), &json!(0)), "{bridge}");
    assert_eq!(bridge["last"], 2, "{bridge}");
    for result in results {
        if result["what"] == "bars" {
            assert!(result["bars"].as_u64().unwrap() > 100, "{result}");
            assert_eq!(result["wrong"], 0, "{result}");
        } else {
            assert_eq!(result["same"], true, "{result}");
        }
    }
}
