//! Metrics and health of a running job, as a scraper sees them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Desk;

/// A job that runs until it is stopped: one source that has soon given all it has, one that goes on.
const JOB: &str = "
job: watched
sources:
  busy: { type: simulator, speed: 100, rate: 500, ticks: 700, instruments: [BTCUSD], bad: 20000 }
  slow: { type: simulator, speed: 1, rate: 1, duration: 1d, instruments: [BTCUSD] }
operators:
  clean: { type: clean, input: busy }
sinks:
  out: { type: file, input: clean, path: out.csv }
  dead: { type: file, input: [busy.dead, clean.dead], path: dead.csv }
  rest: { type: file, input: slow, path: rest.csv }
";

/// A running job with its HTTP server.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: String,
    said: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(desk: &Desk, job: &str, more: &[&str]) -> Self {
        let arguments = [&["run", job, "--http", "127.0.0.1:0", "--output", "json"], more].concat();
        let mut command = desk.command(&arguments);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process");
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let (_, address) = line.split_once("http://").unwrap_or_else(|| panic!("{line}"));
        let address = address.trim().trim_end_matches(|c: char| !c.is_ascii_digit()).to_owned();
        let address = address.split('"').next().unwrap().to_owned();
        Self { child, address, said }
    }

    /// Asks for a page; gives the code and the body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, body.to_owned())
    }

    /// Asks again and again until the answer is as wanted.
    pub(crate) fn wait(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let (code, body) = self.get(path);
            if wanted(code, &body) {
                return body;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{path}: {code} {body}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for the end; gives what was printed, too.
    pub(crate) fn end(mut self) -> Output {
        let mut stderr = Vec::new();
        self.said.read_to_end(&mut stderr).unwrap();
        let mut output = self.child.wait_with_output().unwrap();
        output.stderr = stderr;
        output
    }
}

/// Reads samples: names with their labels, as they stand.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn sample(samples: &BTreeMap<String, f64>, name: &str, component: &str) -> u64 {
    let wanted = format!("component=\"{component}\"");
    let found: Vec<(&String, &f64)> = samples
        .iter()
        .filter(|(key, _)| key.starts_with(&format!("tapeflow_{name}{{")) && key.contains(&wanted))
        .collect();
    assert!(!found.is_empty(), "no {name} of {component} in {samples:?}");
    found.iter().map(|(_, value)| **value as u64).sum()
}

fn summary(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_is_scraped_is_what_the_summary_says() {
    let desk = Desk::new();
    desk.write("job.yaml", JOB);
    let running = Running::start(&desk, "job.yaml", &[]);
    let ready = running.wait("/readyz", |code, _| code == 200);
    assert_eq!(ready.trim(), r#"{"phase":"running","ready":true,"reasons":[]}"#);
    let text = running.wait("/metrics", |_, body| {
        let found = samples(body);
        let all = sample(&found, "records_in_total", "busy")
            + sample(&found, "records_undecoded_total", "busy");
        let given = sample(&found, "records_out_total", "clean.ticks");
        all == 700 && given > 0 && given == sample(&found, "records_out_total", "out")
    });
    assert_eq!(running.get("/livez").0, 200);
    assert_eq!(running.get("/").0, 404);
    running.signal("-TERM");
    let output = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let (found, summary) = (samples(&text), summary(&output));
    let count = |name: &str, component: &str| sample(&found, name, component);
    let busy = &summary["sources"][0];
    assert_eq!(busy["records"], count("records_in_total", "busy"));
    assert_eq!(busy["rejects"], count("records_undecoded_total", "busy"));
    for (place, output) in ["clean.ticks", "clean.dead"].iter().enumerate() {
        assert_eq!(summary["outputs"][place][0], *output);
        assert_eq!(summary["outputs"][place][1], count("records_out_total", output));
    }
    let dead = count("dead_letters_total", "busy") + count("dead_letters_total", "clean");
    assert_eq!(dead, count("records_out_total", "dead"));
    assert_eq!(
        dead,
        count("records_undecoded_total", "busy") + count("records_out_total", "clean.dead")
    );
    assert!(dead > 0, "bad: 20000 gives some");
    assert_eq!(count("record_age_seconds_count", "out"), count("records_out_total", "out"));
    for component in ["busy", "slow", "out", "dead", "rest"] {
        assert_eq!(count("connector_up", component), 1, "{component}");
    }
    assert!(found["tapeflow_journal_written_bytes_total{job=\"watched\"}"] > 0.0);
    check_by_another(&text);
}

/// Has the page read by the strict parser of another maker, which shares no line with ours.
fn check_by_another(text: &str) {
    let must = std::env::var("TAPEFLOW_REQUIRE_ALL").is_ok();
    let python = std::env::var("TAPEFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = "
import sys
try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
except ImportError:
    sys.exit(77)
families = list(read(sys.stdin.read()))
assert len(families) >= 20, families
assert all(family.documentation for family in families)
labels = {key for family in families for sample in family.samples for key in sample.labels}
assert labels <= {'job', 'component', 'kind', 'reason', 'feed', 'le', 'version'}, labels
";
    let code = feed(Command::new(&python).args(["-c", script]), text);
    match code {
        Some(0) => {}
        None | Some(77) => {
            let words = format!("SKIPPED: `{python}` has no package `prometheus_client`");
            assert!(!must, "{words}");
            eprintln!("{words}");
        }
        Some(code) => panic!("the independent parser refuses the page ({code}): {text}"),
    }
}

/// Runs a command on a text; none: there is no such program.
fn feed(command: &mut Command, text: &str) -> Option<i32> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    child.wait().ok()?.code()
}

#[test]
fn a_port_that_is_taken_is_named_before_anything_runs() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let desk = Desk::new();
    desk.write("job.yaml", JOB);
    let said = desk.fail(1, &["run", "job.yaml", "--http", &address]);
    assert!(said.contains(&address) && said.contains("give another --http"), "{said}");
    let said = desk.fail(2, &["run", "job.yaml", "--http", "nowhere"]);
    assert!(said.contains("expected a port such as `9464`"), "{said}");
    desk.write("job.yaml", &JOB.replace("sources:", "run: { http: nowhere }\nsources:"));
    let said = desk.fail(2, &["validate", "job.yaml"]);
    assert!(said.contains("job.yaml:3:14") && said.contains("such as `9464`"), "{said}");
}

#[test]
fn with_json_logs_every_line_on_stderr_is_an_object_and_holds_no_secret() {
    let desk = Desk::new();
    let job = JOB.replace(
        "  rest: { type: file, input: slow, path: rest.csv }",
        "  rest: { type: table, input: slow, url: \"${DATABASE}\", table: rest }",
    );
    desk.write("job.yaml", &job);
    let mut command = desk.command(&["run", "job.yaml", "--log-format", "json", "-vv"]);
    command.env("DATABASE", "postgres://someone:s3cr3t-pa55@127.0.0.1:1/none");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().count() > 0 && !said.contains("s3cr3t"), "{said}");
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {said}"));
        let is_whole = line["timestamp"].is_string() && line["level"].is_string();
        assert!(is_whole && line["fields"]["message"].is_string(), "{line}");
    }
    assert!(said.contains("\"level\":\"ERROR\""), "{said}");
}

#[test]
fn a_broker_that_is_away_makes_a_job_not_ready_and_leaves_it_alive() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let desk = Desk::new();
    desk.write(
        "job.yaml",
        &format!(
            "
job: away
run: {{ drain: 5s }}
sources:
  ticks: {{ type: simulator, speed: live, rate: 100, always_open: true }}
sinks:
  bridge: {{ type: amqp, input: ticks, url: \"amqp://guest:guest@{gone}/%2F\", exchange: x }}
"
        ),
    );
    let running = Running::start(&desk, "job.yaml", &[]);
    let why = running.wait("/readyz", |code, body| code == 503 && body.contains("sinks.bridge"));
    assert!(!why.contains("guest"), "{why}");
    let text = running.wait("/metrics", |_, body| {
        let retries = "tapeflow_sink_retries_total{job=\"away\",component=\"bridge\"";
        let line = body.lines().find(|line| line.starts_with(retries)).unwrap_or("x 0");
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() > 1
    });
    assert_eq!(sample(&samples(&text), "connector_up", "bridge"), 0);
    assert_eq!(sample(&samples(&text), "connector_up", "ticks"), 1);
    assert_eq!(running.get("/livez").0, 200);
    let asked = Instant::now();
    running.signal("-TERM");
    let output = running.end();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 130)), "{said}");
}
