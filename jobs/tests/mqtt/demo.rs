//! `tapeflow demo --live`, as a newcomer calls it, with clients that are not ours looking on.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// Says loudly that there is no Python with what the other side needs.
fn python() -> Option<String> {
    let python = std::env::var("TAPEFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = ["-c", "import paho.mqtt, google.protobuf"];
    let probe = Command::new(&python).args(probe).output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_none(), "{python} lacks paho or protobuf");
    eprintln!("SKIPPED: {python} lacks paho-mqtt or protobuf");
    None
}

fn demo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
    command.current_dir(folder).args(["demo", "--live"]).args(arguments);
    command.env_remove("TAPEFLOW_LOG").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads on until a line has the addresses of the broker; gives the ports for TCP and WebSockets.
fn ports(child: &mut Child, said: &mut Vec<String>) -> (u16, u16, BufReader<impl Read + use<>>) {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "{said:?}");
        said.push(line.clone());
        let port = |scheme: &str| {
            let at = line.split(&format!("{scheme}://127.0.0.1:")).nth(1)?;
            at.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        if let (Some(tcp), Some(web)) = (port("mqtt"), port("ws")) {
            return (tcp, web, stderr);
        }
    }
}

/// The number in the line of the summary that has `what`.
fn told(said: &str, what: &str) -> u64 {
    let line = said.lines().find(|line| line.contains(what));
    let line = line.unwrap_or_else(|| panic!("no `{what}`: {said}"));
    let number = line.split(what).nth(1).unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn the_live_demo_is_what_clients_over_tcp_and_websocket_see() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--for", "40s", "--mqtt-port", "0", "--ws-port", "0"];
    let mut child = demo(folder.path(), &arguments).spawn().unwrap();
    let mut said = Vec::new();
    let (tcp, ws, mut stderr) = ports(&mut child, &mut said);

    let descriptor = folder.path().join("descriptor.bin");
    std::fs::write(&descriptor, proto::protobuf::DESCRIPTOR_SET).unwrap();
    let database = folder.path().join("tapeflow-data/live.db");
    let settings = json!({ "tcp": tcp, "ws": ws, "descriptor": descriptor, "database": database });
    std::fs::write(folder.path().join("settings.json"), settings.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mqtt/demo_client.py");
    let mut client = Command::new(python)
        .arg(script)
        .arg(folder.path().join("settings.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut results = BufReader::new(client.stdout.take().unwrap()).lines();
    let ready = results.next().expect("the client is ready").unwrap();
    assert_eq!(ready, r#"{"ready": true}"#);

    let printed = {
        let mut stdout = child.stdout.take().unwrap();
        let rest = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        said.push(rest.join().unwrap());
        text
    };
    let said = said.concat();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    drop(client.stdin.take());
    let result: Value = serde_json::from_str(&results.next().unwrap().unwrap()).unwrap();
    assert!(client.wait().unwrap().success());

    assert_eq!(result["not_from_a_gateway"], 0, "{result}");
    assert_eq!(result["market_series"], 9, "{result}");
    assert_eq!(result["chart_series"], 9, "{result}");
    assert_eq!(result["chart_timeframes"], json!(["10s", "1m", "5m"]), "{result}");
    assert_eq!((&result["wrong"], &result["row_series"]), (&json!(0), &json!(9)), "{result}");
    assert!(result["closed"].as_u64() >= result["rows"].as_u64(), "{result}");

    // What it prints and what it counts at the end is the same.
    let published = told(&said, "published by the gateways");
    assert!(published >= result["gateway"].as_u64().unwrap(), "{said}");
    assert!(told(&said, "through the bridge") <= published, "{said}");
    let closed = printed.lines().filter(|line| line.contains("  closed  ")).count() as u64;
    assert_eq!(closed, told(&said, "candles closed"), "{said}");
    for word in ["  price   mt4 EURUSD  bid ", "  open    ib  XAUUSD "] {
        assert!(printed.contains(word), "{printed}");
    }
}

#[test]
fn the_live_demo_ends_in_good_order_when_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = demo(folder.path(), &["--mqtt-port", "0", "--ws-port", "0"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    stdout.next().expect("it prints something").unwrap();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    for line in stdout {
        line.unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(told(&said, "published by the gateways") >= told(&said, "through the bridge"));
    assert!(said.contains("interrupted: nothing is half-written"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_named_and_without_a_wish_another_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = demo(folder.path(), &["--mqtt-port", &port]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("give another port"));

    // Whoever has the usual ports, this test or a broker: they are taken.
    let usual = [1_883, 8_083].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let mut child = demo(folder.path(), &["--for", "1s"]).spawn().unwrap();
    let (tcp, web, stderr) = ports(&mut child, &mut Vec::new());
    assert!(tcp != 1_883 && web != 8_083);
    drop(usual);
    std::io::copy(&mut stderr.take(u64::MAX), &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
