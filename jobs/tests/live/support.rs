//! What the tests need: the services, the shipped jobs under names of their own, and the other side.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use jobs::shipped;
use serde_json::{Value, json};

/// Says loudly that something is missing.
pub(crate) fn skip(why: &str) {
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

/// An epoch closes when it has so many records, and what is in an open one counts as not taken in:
/// few enough for a job that is killed every few seconds on a busy machine to come on.
const EVENT_CLOCK: &str = "clock: event, epoch: { records: 1000 }";

/// Where the brokers and the database are, each as `host:port`.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) rabbitmq: String,
    pub(crate) mosquitto: String,
    pub(crate) postgres: String,
    pub(crate) database: &'static str,
}

impl Places {
    /// Those of this machine, which others use, too.
    pub(crate) fn shared() -> Self {
        let at = |port: u16| format!("127.0.0.1:{port}");
        Self { rabbitmq: at(5672), mosquitto: at(1883), postgres: at(5432), database: "test" }
    }

    pub(crate) fn amqp(&self) -> String {
        format!("amqp://guest:guest@{}/%2F", self.rabbitmq)
    }

    fn database(&self) -> String {
        format!("postgres://postgres@{}/{}", self.postgres, self.database)
    }
}

/// What is missing for these tests, if anything is.
fn missing() -> Option<String> {
    let places = Places::shared();
    for (name, place) in [
        ("RabbitMQ", places.rabbitmq),
        ("Mosquitto", places.mosquitto),
        ("PostgreSQL", places.postgres),
    ] {
        if TcpStream::connect(&place).is_err() {
            return Some(format!("no {name} on {place}"));
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

/// A platform of a test's own: exchanges, queues, topics and a schema that nobody else has.
pub(crate) struct Platform {
    name: String,
    folder: tempfile::TempDir,
    jobs: Vec<&'static str>,
    /// As everybody reaches them.
    places: Places,
    /// As the jobs reach them.
    ways: Places,
}

impl Platform {
    /// Makes one for these shipped jobs; none: something is missing.
    pub(crate) fn new(what: &str, jobs: &[&'static str]) -> Option<Self> {
        Self::on(what, jobs, Places::shared(), Places::shared())
    }

    /// Makes one on these servers, which the jobs reach by ways of their own.
    pub(crate) fn on(
        what: &str,
        jobs: &[&'static str],
        places: Places,
        ways: Places,
    ) -> Option<Self> {
        if let Some(why) = missing() {
            skip(&why);
            return None;
        }
        let name = format!("{what}-{}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let platform = Self { name, folder, jobs: jobs.to_vec(), places, ways };
        let schema = platform.schema();
        platform.sql(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"));
        for job in jobs {
            std::fs::write(platform.file(job, "yaml"), platform.job(job)).unwrap();
        }
        Some(platform)
    }

    /// What a statement gives, as CSV.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let url = self.places.database();
        let output = Command::new("psql").args([&url, "--csv", "-qc", statement]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// For ticks and for dead letters.
    fn exchanges(&self) -> [String; 2] {
        ["ticks", "dead"].map(|what| format!("{}.market.{what}", self.name))
    }

    fn queues(&self) -> Vec<String> {
        let name = &self.name;
        self.jobs.iter().map(|job| format!("tapeflow.{name}-{job}.ticks")).collect()
    }

    /// The folder that the jobs run in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn schema(&self) -> String {
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
        let clock = if job == "bridge" { "clock: wall" } else { EVENT_CLOCK };
        text.replace("clock: wall", clock)
            .replace("calendar: forex", "calendar: utc")
            .replace("exchange: market.", &format!("exchange: {name}.market."))
            .replace(&format!("job: {job}\n"), &format!("job: {name}-{job}\n"))
            // The last day is not over when the test is.
            .replace("\n    type: archive\n", "\n    type: archive\n    publish_partial: true\n")
            // A broker that others use is to forget what it was told.
            .replace("/status\n    qos: 1\n    retain: true\n", "/status\n    qos: 1\n")
            // Nothing is too old on a machine that does other things beside.
            .replace("max_age: 2s", "max_age: 1h")
            .replace("topic: market/", &format!("topic: {name}/"))
            .replace("    table: ", &format!("    table: {schema}."))
    }

    /// Starts a job, with so many workers.
    pub(crate) fn start(&self, job: &'static str, workers: u64) -> Running {
        let mut log = std::fs::File::options();
        let log = log.append(true).create(true).open(self.file(job, "log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
        command.args(["run", &format!("{job}.yaml"), "--output", "json"]);
        command.args(["--workers", &workers.to_string()]).current_dir(self.folder.path());
        command.env("TRADING_DB_URL", self.ways.database());
        command.env("TRADING_AMQP_URL", self.ways.amqp());
        command.env("TRADING_MQTT_URL", format!("mqtt://{}", self.ways.mosquitto));
        command.env("TAPEFLOW_LOG", "info").stdout(Stdio::null()).stderr(log);
        Running { job, child: command.spawn().unwrap() }
    }

    /// Kills a job as a failing machine would, and starts it again.
    pub(crate) fn kill(&self, running: &mut Running, workers: u64) {
        let status = running.child.try_wait().unwrap();
        assert!(status.is_none(), "{}: {status:?}\n{}", running.job, self.said(running.job));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        *running = self.start(running.job, workers);
    }

    /// Ends a job in good order.
    pub(crate) fn stop(&self, mut running: Running) {
        running.signal("-TERM");
        let status = running.child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{}", self.said(running.job));
    }

    /// What a job has said.
    pub(crate) fn said(&self, job: &str) -> String {
        std::fs::read_to_string(self.file(job, "log")).unwrap()
    }

    /// Changes the file of a job that was not started yet.
    pub(crate) fn rewrite(&self, job: &str, from: &str, to: &str) {
        let file = self.file(job, "yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, text.replacen(from, to, 1)).unwrap();
    }

    /// Starts the independent side.
    pub(crate) fn client(&self, manner: Manner) -> Client {
        self.start_client("client.py", manner)
    }

    /// Starts another independent side, which is told the same.
    pub(crate) fn start_client(&self, script: &str, manner: Manner) -> Client {
        let Manner { ticks, rate, hold, confirms, paced } = manner;
        let has_bridge = self.jobs.contains(&"bridge");
        let mqtt_port = self.places.mosquitto.rsplit_once(':').unwrap().1;
        let (name, folder) = (&self.name, self.folder.path());
        let descriptor = folder.join("descriptor.bin");
        std::fs::write(&descriptor, proto::protobuf::DESCRIPTOR_SET).unwrap();
        let (exchanges, queues) = (self.exchanges(), self.queues());
        let settings = json!({
            "data": data(), "descriptor": descriptor, "prefix": name, "mqtt_port": mqtt_port.parse::<u16>().unwrap(),
            "amqp": self.places.amqp(), "exchange": exchanges[0],
            "exchanges": exchanges, "queues": queues, "sources": ["fxcm", "oanda"],
            "candles": self.file("candles", "csv"), "ticks": ticks,
            "archive": folder.join("tapeflow-data/archive/ticks"),
            "has_bridge": has_bridge, "rate": rate, "hold": hold, "confirms": confirms,
            "paced": paced,
        });
        let file = self.file("settings", "json");
        std::fs::write(&file, settings.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live").join(script);
        let mut command = Command::new(python());
        command.arg(script).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Client { child, lines }
    }

    /// Hands the table of candles to the independent side, and gives all tables as text: without
    /// the columns that name this platform.
    pub(crate) fn hand_over_tables(&self) -> Tables {
        let schema = self.schema();
        let candles =
            format!("SELECT * FROM {schema}.candles ORDER BY source, instrument, timeframe, start");
        let rejects = format!(
            "SELECT clock, component, reason, detail, source, instrument, time, nanos, sequence, \
             bid, ask FROM {schema}.rejects ORDER BY source, sequence, component, reason"
        );
        let tables = Tables { candles: self.sql(&candles), rejects: self.sql(&rejects) };
        std::fs::write(self.file("candles", "csv"), &tables.candles).unwrap();
        tables
    }
}

/// What the independent side has seen of the bridge.
pub(crate) struct Bridged(Value);

impl Bridged {
    /// After faults: nothing came that was not published, everything came that was published since,
    /// and the last prices are the newest.
    pub(crate) fn assert_is_right_again(&self) {
        for what in ["unknown", "wrong", "held"] {
            assert_eq!(self.0[what], 0, "{what}: {}", self.0);
        }
    }
}

/// The tables of `candles-live`, row by row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    candles: String,
    rejects: String,
}

impl Tables {
    /// Wants the same as of another run, to the byte, and says where they differ first.
    pub(crate) fn assert_are(&self, expected: &Self) {
        for (name, is, wanted) in [
            ("candles", &self.candles, &expected.candles),
            ("rejects", &self.rejects, &expected.rejects),
        ] {
            let differs = is.lines().zip(wanted.lines()).find(|(is, wanted)| is != wanted);
            let (is, wanted) = (is.lines().count(), wanted.lines().count());
            assert!(differs.is_none() && is == wanted, "{name}: {is} of {wanted}: {differs:?}");
        }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // A server of the test's own may be gone.
        if TcpStream::connect(&self.places.postgres).is_ok() {
            self.sql(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema()));
        }
        if std::thread::panicking() {
            // Else the independent side does it.
            let delete = "import pika, sys\n\
                channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()\n\
                for name in sys.argv[2:]:\n    channel.queue_delete(name)\n    channel.exchange_delete(name)";
            let names = self.queues().into_iter().chain(self.exchanges());
            let mut command = Command::new(python());
            command.args(["-c", delete, &self.places.amqp()]).args(names);
            command.output().unwrap();
        }
    }
}

/// A job that runs; killed with the test.
pub(crate) struct Running {
    pub(crate) job: &'static str,
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have been waited for.
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// How the independent side goes about it.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// How many ticks of each source it publishes,
    pub(crate) ticks: u64,
    /// how many messages a second; 0: as fast as it can,
    pub(crate) rate: u64,
    /// and how many of them only when it is told to.
    pub(crate) hold: u64,
    /// Every message is confirmed by the broker, or published again.
    pub(crate) confirms: bool,
    /// It is no faster than its own subscriber.
    pub(crate) paced: bool,
}

impl Manner {
    /// In peace.
    pub(crate) fn quiet() -> Self {
        let confirms = number("TAPEFLOW_LIVE_CONFIRMS", 0) > 0;
        Self { ticks: ticks(), rate: 0, hold: 0, confirms, paced: true }
    }

    /// While faults happen: spread over their time, and the last ones when they are over.
    pub(crate) fn disturbed() -> Self {
        let rate = number("TAPEFLOW_LIVE_RATE", 1_000);
        Self { ticks: ticks(), rate, hold: 1_000, confirms: true, paced: false }
    }
}

/// How many ticks of each source are published.
fn ticks() -> u64 {
    number("TAPEFLOW_LIVE_TICKS", 10_000)
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// The independent side; killed with the test.
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

    pub(crate) fn say(&mut self, word: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
    }

    /// Waits until the jobs have declared their queues, and it publishes.
    pub(crate) fn begin(&mut self) {
        assert_eq!(self.next()["what"], "begun");
    }

    /// Waits until it holds the rest back, and lets it go on to the end; gives what it says then.
    pub(crate) fn go_on(&mut self) -> Bridged {
        assert_eq!(self.next()["what"], "held");
        self.say("go on");
        Bridged(self.next())
    }

    /// Waits until no message waits in a queue, then ends the jobs; what they had been handed and had
    /// not taken in yet waits again then, and they are started again for it.
    pub(crate) fn drain(&mut self, platform: &Platform, mut running: Vec<Running>) {
        loop {
            self.say("empty");
            self.next();
            for running in running {
                platform.stop(running);
            }
            self.say("left");
            if self.next()["waiting"] == 0 {
                return;
            }
            running = platform.jobs.iter().map(|job| platform.start(job, 1)).collect();
        }
    }

    /// Waits until it has ended.
    pub(crate) fn end(mut self) {
        assert!(self.child.wait().unwrap().success());
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
