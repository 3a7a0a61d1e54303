//! Whole jobs: in by MQTT, out by MQTT, with journal and checkpoints between.

use std::process::{Child, Command, Stdio};

use crate::mosquitto::{Mosquitto, PATIENCE};

/// A job that runs in a folder of its own; killed with the test.
struct Running(Option<Child>);

impl Running {
    fn start(folder: &std::path::Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
        command.current_dir(folder).args(["run", "job.yaml", "--output", "json"]);
        command.env_remove("TAPEFLOW_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    /// Asks it to end, and waits; gives its summary.
    fn stop(mut self) -> serde_json::Value {
        let child = self.0.take().unwrap();
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{said}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn bytes_pass_through_a_job_as_they_are_also_over_restarts_and_kills() {
    let Some(broker) = Mosquitto::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let url = broker.url();
    let job = format!(
        "job: bridge\nstate: {{ journal: {{ sync: 5ms }}, checkpoint: {{ every: 100ms }} }}\n\
         sources:\n  in: {{ type: mqtt, url: \"{url}\", topics: \"raw/#\", format: bytes, \
         template: \"raw/{{source}}/{{instrument}}\" }}\nsinks:\n  out: {{ type: mqtt, input: in, \
         url: \"{url}\", qos: 1, topic: \"market/{{source}}/{{instrument}}/tick\" }}\n"
    );
    std::fs::write(folder.path().join("job.yaml"), job).unwrap();
    let listener = broker.listen("market/#", &[]);
    // The first start subscribes; from then on the broker keeps what comes while it is away.
    broker.publish("raw/mt4/READY", b"ready", &["-r", "-q", "1"]);
    let running = Running::start(folder.path());
    assert_eq!(listener.next().topic, "market/mt4/READY/tick");
    running.stop();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..4_u8 {
        let payload = |number: u8| [0, 0xff, round, number];
        for number in 0..10 {
            let id = format!("{round}-{number}");
            let more = ["-q", "1", "-D", "publish", "user-property", "message-id", &id];
            broker.publish("raw/mt4/EURUSD", &payload(number), &more);
        }
        let running = Running::start(folder.path());
        let begun = std::time::Instant::now();
        while (0..10).any(|number| !seen.contains(&payload(number)[..])) {
            assert!(begun.elapsed() < PATIENCE);
            let message = listener.next();
            if message.topic == "market/mt4/EURUSD/tick" {
                seen.insert(message.payload);
            }
        }
        if round % 2 == 0 {
            running.stop();
        } else {
            drop(running); // killed
        }
    }
    assert_eq!(seen.len(), 40);
}
