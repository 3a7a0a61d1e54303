//! WebSocket and TLS.

use std::process::Command;

use dataflows::batch::Rows;
use dataflows::kind::Kind;
use serde_json::json;

use crate::mosquitto::{Mosquitto, OPEN, free_port};
use crate::parts::{Stage, read};

#[test]
fn a_websocket_carries_both_protocols_both_ways() {
    let web = free_port();
    let config = format!("{OPEN}listener {web} 127.0.0.1\nprotocol websockets\n");
    let Some(broker) = Mosquitto::start(&config) else { return };
    let url = format!("ws://127.0.0.1:{web}/mqtt");
    for protocol in ["v5", "v3"] {
        let stage = Stage::new(&format!("web-{protocol}"));
        let topic = format!("web/{protocol}");
        let out = json!({ "url": url, "topic": format!("{topic}/{{instrument}}"),
                          "protocol": protocol, "qos": 1, "retain": true });
        let mut play = stage.sink(Kind::Payloads, &out);
        let large = vec![7; 200_000];
        play.apply(Rows::Payloads(vec![stage.payload("A", 1, &large)])).unwrap();
        assert_eq!(broker.listen(&format!("{topic}/#"), &[]).next().payload, large);
        let reader = Stage::new(&format!("web-in-{protocol}"));
        let from = json!({ "url": url, "topics": format!("{topic}/+"), "format": "bytes",
                           "protocol": protocol, "template": format!("{topic}/{{instrument}}"),
                           "source": "mt4" });
        let mut source = reader.source(&from);
        assert_eq!(read(source.as_mut(), 1).payloads[0].bytes, large);
        play.finish();
    }
}

/// Makes an authority, and a certificate for the server and one for the client.
fn certificates(folder: &std::path::Path) {
    let script = "
        set -e
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
        for name in server client; do
            openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
            printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\n' > $name.ext
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
                -out $name.pem -days 2 -extfile $name.ext
        done
        chmod a+r *
    ";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn tls_wants_an_authority_that_is_trusted_and_shows_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    assert!(Command::new("chmod").args(["a+rx"]).arg(folder.path()).status().unwrap().success());
    let at = folder.path().display();
    let (secure, web) = (free_port(), free_port());
    let keys = format!(
        "cafile {at}/ca.pem\ncertfile {at}/server.pem\nkeyfile {at}/server.key\n\
         require_certificate true\n"
    );
    let config = format!(
        "{OPEN}listener {secure} 127.0.0.1\n{keys}listener {web} 127.0.0.1\nprotocol websockets\n{}",
        keys.replace("require_certificate true\n", "")
    );
    let Some(broker) = Mosquitto::start(&config) else { return };
    let listener = broker.listen("#", &[]);
    let mut stage = Stage::new("tls");
    stage.root = folder.path().to_owned();
    let topic = "{source}/{instrument}";
    let payload = |stage: &Stage, text: &[u8]| Rows::Payloads(vec![stage.payload("A", 1, text)]);
    for (number, url) in
        [format!("mqtts://localhost:{secure}"), format!("wss://localhost:{web}/mqtt")]
            .iter()
            .enumerate()
    {
        for protocol in ["v5", "v3"] {
            let tls = json!({ "ca": "ca.pem", "certificate": "client.pem", "key": "client.key" });
            let config = json!({ "url": url, "topic": topic, "tls": tls, "protocol": protocol });
            let mut play = stage.sink(Kind::Payloads, &config);
            let text = format!("{number} {protocol}");
            play.apply(payload(&stage, text.as_bytes())).unwrap();
            assert_eq!(listener.next().text(), text);
            play.finish();
        }
    }
    let url = format!("mqtts://localhost:{secure}");
    let mut play = stage.sink(Kind::Payloads, &json!({ "url": url, "topic": topic }));
    let said = play.apply(payload(&stage, b"x")).unwrap_err().to_string();
    assert!(said.contains("not trusted") && said.contains("tls.ca"), "{said}");
}
