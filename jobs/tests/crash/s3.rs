//! Checkpoints in an object store: against a server that speaks S3, of the Python package `moto`.
//! `TAPEFLOW_PYTHON` names a Python that has it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dataflows::store::{Objects, Store};
use serde_json::Value;

use crate::world::{World, job, reference, said};

/// Serves until its input ends; flips a byte of an object that it is told.
const SERVER: &str = r#"
import sys, logging
import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1",
                  aws_access_key_id="key", aws_secret_access_key="secret")
s3.create_bucket(Bucket="states")
print(url, flush=True)
for line in sys.stdin:
    prefix = line.strip()
    key = s3.list_objects_v2(Bucket="states", Prefix=prefix)["Contents"][0]["Key"]
    data = bytearray(s3.get_object(Bucket="states", Key=key)["Body"].read())
    data[len(data) // 2] ^= 1
    s3.put_object(Bucket="states", Key=key, Body=bytes(data))
    print(key, flush=True)
server.stop()
"#;

struct Server {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    url: String,
}

impl Server {
    /// Starts one; none, with a loud word, where there is no `moto`.
    fn start() -> Option<Self> {
        let python = std::env::var("TAPEFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let has_moto = Command::new(&python).args(["-c", "import boto3, moto.server"]).output();
        if !has_moto.is_ok_and(|output| output.status.success()) {
            let is_required = std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_some();
            assert!(!is_required, "`{python}` has no package `moto[server]`");
            eprintln!("SKIPPED: `{python}` has no package `moto[server]`; set TAPEFLOW_PYTHON");
            return None;
        }
        let mut command = Command::new(python);
        command.args(["-c", SERVER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { to: child.stdin.take(), child, from, url: String::new() };
        server.url = server.line();
        Some(server)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the server has died: {line}");
        line.trim().to_owned()
    }

    /// Damages the first object whose key begins so; gives its key.
    fn damage(&mut self, prefix: &str) -> String {
        writeln!(self.to.as_mut().unwrap(), "{prefix}").unwrap();
        self.line()
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        [
            ("AWS_ENDPOINT", self.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.to.take()); // the end of its input ends it
        if let Err(error) = self.child.wait() {
            eprintln!("the server: {error}");
        }
    }
}

#[test]
fn an_object_is_created_only_if_there_is_none() {
    let Some(server) = Server::start() else { return };
    let variables = server.variables();
    let variable =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    let store = Objects::s3("s3://states/a/b", &variable).unwrap();
    let other = Objects::s3("s3://states/a", &variable).unwrap();
    assert_eq!(store.get("records/1").unwrap(), None);
    assert!(store.put_new("records/1", b"one".to_vec()).unwrap());
    assert!(!store.put_new("records/1", b"two".to_vec()).unwrap());
    assert!(!other.put_new("b/records/1", b"three".to_vec()).unwrap());
    assert_eq!(store.get("records/1").unwrap(), Some(b"one".to_vec()));
    for name in ["records/3", "records/2", "packs/1"] {
        assert!(store.put_new(name, vec![7; 100_000]).unwrap());
    }
    assert_eq!(store.list("records").unwrap(), ["records/1", "records/2", "records/3"]);
    store.remove("records/1").unwrap();
    store.remove("records/1").unwrap();
    assert_eq!(store.list("records").unwrap(), ["records/2", "records/3"]);
    assert!(store.put_new("records/1", b"again".to_vec()).unwrap());
    let nowhere = Objects::s3("s3://nowhere/a", &variable).unwrap();
    let fault = nowhere.put_new("records/1", Vec::new()).unwrap_err().to_string();
    assert!(fault.contains("s3://nowhere/a/records/1"), "{fault}");
}

/// The job with its checkpoints in the store.
fn on_s3(name: &str) -> String {
    let checkpoints = format!("  path: state\n  checkpoints: s3://states/{name}\n");
    job().replace("  path: state\n", &checkpoints)
}

#[test]
fn a_killed_job_goes_on_from_checkpoints_in_an_object_store() {
    let Some(mut server) = Server::start() else { return };
    let points =
        ["checkpoint.after_snapshot", "checkpoint.before_record", "checkpoint.after_record"];
    for point in points {
        let world = World::with(&on_s3(point), server.variables());
        assert!(world.crash(1, point, 2), "{point} was not met");
        let summary = world.succeed(2, &[]);
        assert_ne!(summary["resumed"]["checkpoint"], 0, "{point}: {summary}");
        world.left().assert_is(reference(), point);
        assert!(
            !world.path().join("state/crash/checkpoints").exists(),
            "all of it is in the store"
        );
    }
    let world = World::with(&on_s3(points[2]), server.variables());
    world.succeed(1, &["--fresh"]);
    let checkpoint = |code: i32, arguments: &[&str]| {
        let output = world.call(&[&["checkpoint"], arguments].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        (String::from_utf8(output.stdout.clone()).unwrap(), said(&output))
    };
    let list = || -> Vec<Value> {
        serde_json::from_str(&checkpoint(0, &["list", "job.yaml", "--output", "json"]).0).unwrap()
    };
    let before = list();
    assert!(before.len() > 1 && before.iter().all(|found| found["good"] == true), "{before:?}");
    assert!(checkpoint(0, &["verify", "job.yaml"]).0.starts_with("good"));
    checkpoint(0, &["gc", "job.yaml", "--keep", "1", "--yes"]);
    assert_eq!(list(), before[..1]);
    assert!(checkpoint(0, &["verify", "job.yaml"]).0.starts_with("good"));
    let epochs = world.succeed(4, &[])["epochs"].clone();
    assert_eq!(epochs, before[0]["epoch"], "it was at its end");
    let key = server.damage(&format!("{}/crash/manifests", points[2]));
    let told = checkpoint(3, &["verify", "job.yaml"]).1;
    assert!(told.contains(&format!("s3://states/{key}")), "{told}");
}
