//! What the tests need: the services, the shipped jobs under names of their own, and the other side.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

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

/// A number from the environment, for runs by hand.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// What is missing for these tests, if anything is.
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

fn sql(statement: &str) -> Vec<u8> {
    let output = Command::new("psql").args([POSTGRES, "--csv", "-qc", statement]).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A platform of a test's own: exchanges, queues, topics and a schema that nobody else has.
pub(crate) struct Platform {
    name: String,
    folder: tempfile::TempDir,
    jobs: Vec<&'static str>,
}

impl Platform {
    /// Makes one for these shipped jobs; none: something is missing.
    pub(crate) fn new(what: &str, jobs: &[&'static str]) -> Option<Self> {
        if let Some(why) = missing() {
            skip(&why);
            return None;
        }
        let name = format!("{what}-{}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let platform = Self { name, folder, jobs: jobs.to_vec() };
        let schema = platform.schema();
        sql(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"));
        for job in jobs {
            std::fs::write(platform.file(job, "yaml"), platform.job(job)).unwrap();
        }
        Some(platform)
    }

    fn schema(&self) -> String {
        self.name.replace('-', "_")
    }

    fn file(&self, job: &str, kind: &str) -> PathBuf {
        self.folder.path().join(format!("{job}.{kind}"))
    }

    /// A job as it ships, with names of this platform; where windows close, with the clock on event
    /// time: the ticks are of 2014.
    fn job(&self, job: &str) -> String {
        let (name, schema) = (&self.name, self.schema());
        let text = shipped::find(job).unwrap().text;
        let text = text.split("\ntests:").next().unwrap();
        let clock = if job == "bridge" { "clock: wall" } else { "clock: event" };
        text.replace("clock: wall", clock)
            .replace("calendar: forex", "calendar: utc")
            .replace("exchange: market.", &format!("exchange: {name}.market."))
            .replace(&format!("job: {job}\n"), &format!("job: {name}-{job}\n"))
            // The last day is not over when the test is.
            .replace("    type: archive\n", "    type: archive\n    publish_partial: true\n")
            // Nothing is too old on a machine that does other things beside.
            .replace("max_age: 2s", "max_age: 1h")
            .replace("topic: market/", &format!("topic: {name}/"))
            .replace("    table: ", &format!("    table: {schema}."))
    }

    /// Starts a job, with so many workers.
    pub(crate) fn start(&self, job: &str, workers: u64) -> Child {
        let mut log = std::fs::File::options();
        let log = log.append(true).create(true).open(self.file(job, "log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
        command.args(["run", &format!("{job}.yaml"), "--output", "json"]);
        command.args(["--workers", &workers.to_string()]).current_dir(self.folder.path());
        command.env("TRADING_DB_URL", POSTGRES).env("TAPEFLOW_LOG", "info");
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// Ends a job in good order.
    pub(crate) fn stop(&self, job: &str, mut child: Child) {
        let id = child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(status.success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{}", self.said(job));
    }

    /// What a job has said.
    pub(crate) fn said(&self, job: &str) -> String {
        std::fs::read_to_string(self.file(job, "log")).unwrap()
    }

    /// Starts the independent side: it publishes so many ticks of each source.
    pub(crate) fn client(&self, ticks: u64, has_bridge: bool) -> Client {
        let (name, folder) = (&self.name, self.folder.path());
        let descriptor = folder.join("descriptor.bin");
        std::fs::write(&descriptor, proto::protobuf::DESCRIPTOR_SET).unwrap();
        let exchanges = ["ticks", "dead"].map(|what| format!("{name}.market.{what}"));
        let queues = self.jobs.iter().map(|job| format!("tapeflow.{name}-{job}.ticks"));
        let queues: Vec<String> = queues.collect();
        let settings = json!({
            "data": data(), "descriptor": descriptor, "prefix": name, "mqtt_port": 1883,
            "amqp": "amqp://guest:guest@127.0.0.1:5672/%2F", "exchange": exchanges[0],
            "exchanges": exchanges, "queues": queues, "sources": ["fxcm", "oanda"],
            "candles": self.file("candles", "csv"), "ticks": ticks,
            "archive": folder.join("tapeflow-data/archive/ticks"),
            "has_bridge": has_bridge, "confirms": number("TAPEFLOW_LIVE_CONFIRMS", 0) > 0,
        });
        let file = self.file("settings", "json");
        std::fs::write(&file, settings.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/client.py");
        let mut command = Command::new(python());
        command.arg(script).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Client { child, lines }
    }

    /// Hands the table of candles to the independent side.
    pub(crate) fn hand_over_candles(&self) {
        let candles = sql(&format!("SELECT * FROM {}.candles", self.schema()));
        std::fs::write(self.file("candles", "csv"), candles).unwrap();
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        sql(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema()));
    }
}

/// The independent side.
pub(crate) struct Client {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// What it says next.
    pub(crate) fn next(&mut self) -> Value {
        let line = self.lines.next().expect("the client ended too early").unwrap();
        println!("{line}");
        serde_json::from_str(&line).unwrap()
    }

    fn say(&mut self, word: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
    }

    /// Waits until no message waits in a queue, then ends the jobs; what they had been handed and had
    /// not taken in yet waits again then, and they are started again for it.
    pub(crate) fn drain(&mut self, platform: &Platform, mut running: Vec<Child>) {
        loop {
            self.say("empty");
            self.next();
            for (job, child) in platform.jobs.iter().zip(running) {
                platform.stop(job, child);
            }
            self.say("left");
            if self.next()["waiting"] == 0 {
                return;
            }
            running = platform.jobs.iter().map(|job| platform.start(job, 1)).collect();
        }
    }

    /// Lets it compare: candles are the publishers' bars, the archive is the input.
    pub(crate) fn compare(mut self) {
        self.say("compare");
        let results: Vec<Value> = (0..4).map(|_| self.next()).collect();
        assert!(self.child.wait().unwrap().success());
        for result in results {
            if result["what"] == "bars" {
                assert!(result["bars"].as_u64().unwrap() > 50, "{result}");
                assert_eq!(result["wrong"], 0, "{result}");
            } else {
                assert_eq!(result["same"], true, "{result}");
            }
        }
    }
}
