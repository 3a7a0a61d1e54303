//! Brokers that go away, come back empty, or refuse.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dataflows::batch::Rows;
use dataflows::clock::wall;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use serde_json::json;

use crate::mosquitto::{Mosquitto, free_port};
use crate::parts::{Stage, read};

#[test]
fn the_next_broker_takes_over_when_one_is_gone() {
    let (Some(mut first), Some(second)) = (Mosquitto::open(), Mosquitto::open()) else { return };
    let stage = Stage::new("over");
    let config = json!({ "url": [first.url(), second.url()], "topic": "{source}/{instrument}",
                         "qos": 1 });
    let mut play = stage.sink(Kind::Payloads, &config);
    let at_first = first.listen("#", &[]);
    let at_second = second.listen("#", &[]);
    play.apply(Rows::Payloads(vec![stage.payload("A", 1, b"one")])).unwrap();
    assert_eq!(at_first.next().text(), "one");
    first.kill();
    play.apply(Rows::Payloads(vec![stage.payload("A", 2, b"two")])).unwrap();
    assert_eq!(at_second.next().text(), "two");
    play.finish();
}

#[test]
fn nothing_is_lost_at_a_broker_that_is_killed_again_and_again() {
    let Some(mut broker) = Mosquitto::open() else { return };
    let stage = Stage::new("killed");
    let config = json!({ "url": broker.url(), "topic": "{source}/{instrument}", "qos": 1,
                         "retain": true });
    let mut play = stage.sink(Kind::Payloads, &config);
    for round in 0..4_u32 {
        let name = format!("S{round}");
        let payload = |number: i64| stage.payload(&name, number, number.to_string().as_bytes());
        play.apply(Rows::Payloads((0..500).map(payload).collect())).unwrap();
        if round % 2 == 0 {
            broker.kill();
            let mut away = None;
            // It is handed an epoch while there is no broker, and waits.
            std::thread::scope(|scope| {
                let epoch = Rows::Payloads((500..1_000).map(payload).collect());
                let play = &mut play;
                let waiting = scope.spawn(move || play.apply(epoch));
                assert!(!waiting.is_finished());
                broker.restart();
                away = Some(waiting.join().unwrap());
            });
            away.unwrap().unwrap();
        }
    }
    // The broker keeps nothing on disk: what it has it was given again.
    let listener = broker.listen("#", &[]);
    let mut seen: Vec<(String, String)> =
        listener.take(4).iter().map(|seen| (seen.topic.clone(), seen.text())).collect();
    seen.sort();
    let expected = [("mt4/S0", "999"), ("mt4/S1", "499"), ("mt4/S2", "999"), ("mt4/S3", "499")];
    let expected = expected.map(|(topic, text)| (topic.to_owned(), text.to_owned()));
    assert_eq!(seen, expected);
    play.finish();
}

#[test]
fn what_is_retained_comes_back_without_a_new_record_and_over_a_restart_of_the_job() {
    let Some(mut broker) = Mosquitto::open() else { return };
    for protocol in ["v5", "v3"] {
        let mut stage = Stage::new(&format!("last-{protocol}"));
        let config = json!({ "url": broker.url(), "topic": "last/{source}/{instrument}",
                             "retain": true, "protocol": protocol });
        let mut play = stage.sink(Kind::Payloads, &config);
        let payloads = [("A", b"old"), ("A", b"new"), ("B", b"one")];
        let payloads = payloads.map(|(name, bytes)| stage.payload(name, 1, bytes));
        play.apply(Rows::Payloads(payloads.to_vec())).unwrap();
        let text = |broker: &Mosquitto| {
            // Retained or just published: the client is there before or after.
            let listener = broker.listen("last/#", &[]);
            let mut seen: Vec<String> = listener.take(2).iter().map(|s| s.text()).collect();
            seen.sort();
            seen
        };
        assert_eq!(text(&broker), ["new", "one"]);
        broker.restart();
        assert_eq!(text(&broker), ["new", "one"], "{protocol}: without a new record");
        let state = play.sink.checkpoint().unwrap();
        play.finish();
        broker.restart();
        stage.restored = Some((1, state));
        let play = stage.sink(Kind::Payloads, &config);
        assert_eq!(text(&broker), ["new", "one"], "{protocol}: by another start of the job");
        play.finish();
        broker.restart();
    }
}

#[test]
fn while_no_broker_is_there_what_becomes_old_is_let_go_and_what_is_retained_is_kept() {
    let Some(mut broker) = Mosquitto::open() else { return };
    let (stage, other) = (Stage::new("let-go"), Stage::new("kept"));
    let config = json!({ "url": broker.url(), "topic": "{source}/{instrument}/tick",
                         "max_age": "200ms" });
    let mut prices = stage.sink(Kind::Payloads, &config);
    let config = json!({ "url": broker.url(), "topic": "{source}/{instrument}/last",
                         "retain": true });
    let mut last = other.sink(Kind::Payloads, &config);
    let payload = |stage: &Stage, text: &str| {
        Rows::Payloads(vec![stage.payload("A", wall().ns(), text.as_bytes())])
    };
    broker.kill();
    for text in ["0", "1", "2"] {
        // There is nobody to take them, and the sinks wait for nobody.
        prices.apply(payload(&stage, text)).unwrap();
        last.apply(payload(&other, text)).unwrap();
    }
    broker.restart();
    let listener = broker.listen("#", &[]);
    let seen = listener.next();
    assert_eq!((&*seen.topic, seen.text()), ("mt4/A/last", "2".to_owned()));
    std::thread::scope(|scope| {
        let next = scope.spawn(move || listener.next());
        while !next.is_finished() {
            // Until it is connected again, and one is new when it is its turn.
            prices.apply(payload(&stage, "new")).unwrap();
        }
        let seen = next.join().unwrap();
        assert_eq!((&*seen.topic, seen.text()), ("mt4/A/tick", "new".to_owned()));
    });
    prices.finish();
    last.finish();
}

#[test]
fn a_source_subscribes_again_at_a_broker_that_has_forgotten_it() {
    let Some(mut broker) = Mosquitto::open() else { return };
    let stage = Stage::new("forgotten");
    let config = json!({ "url": broker.url(), "topics": "t/#", "format": "bytes", "source": "s",
                         "instrument": "i" });
    broker.publish("t/1", b"1", &["-r", "-q", "1"]);
    let mut source = stage.source(&config);
    assert_eq!(read(source.as_mut(), 1).payloads[0].bytes, b"1");
    broker.restart();
    broker.publish("t/2", b"2", &["-r", "-q", "1"]);
    let given = read(source.as_mut(), 1);
    assert_eq!(given.payloads[0].bytes, b"2");
    // A receipt of the connection before is not one of this.
    source.settle(&given.last.unwrap().position).unwrap();
}

#[test]
fn a_run_that_is_to_end_does_not_wait_for_a_broker_that_is_away() {
    let stage = Stage::new("away");
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    let mut play =
        stage.sink(Kind::Payloads, &json!({ "url": url, "topic": "{source}/{instrument}" }));
    stage.stop.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let fault = play.apply(Rows::Payloads(vec![stage.payload("A", 1, b"x")])).unwrap_err();
    assert!(matches!(fault, Fault::Interrupted), "{fault}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_broker_that_refuses_ends_the_job_and_the_password_is_not_told() {
    let config = "listener PORT 127.0.0.1\nallow_anonymous false\npassword_file FOLDER/users\n\
                  acl_file FOLDER/rights\n";
    let prepare = |folder: &std::path::Path| {
        let mut command = std::process::Command::new("mosquitto_passwd");
        command.args(["-b", "-c"]).arg(folder.join("users")).args(["job", "right"]);
        assert!(command.status().unwrap().success());
        let rights = "user job\ntopic readwrite allowed/#\n";
        std::fs::write(folder.join("rights"), rights).unwrap();
    };
    let Some(broker) = Mosquitto::start_with(config, prepare) else { return };
    let port = broker.port;
    for protocol in ["v5", "v3"] {
        let stage = Stage::new(&format!("refused-{protocol}"));
        let wrong = format!("mqtt://job:wr0ng@127.0.0.1:{port}");
        let topic = "allowed/{source}/{instrument}";
        let config = json!({ "url": wrong, "topic": topic, "protocol": protocol });
        let mut play = stage.sink(Kind::Payloads, &config);
        let said = play.apply(Rows::Payloads(vec![stage.payload("A", 1, b"x")])).unwrap_err();
        let said = said.to_string();
        assert!(said.contains("password") && said.contains("sinks.refused"), "{said}");
        assert!(!said.contains("wr0ng"), "{said}");
        let right = format!("mqtt://job:right@127.0.0.1:{port}");
        let config = json!({ "url": right, "topic": topic, "protocol": protocol, "qos": 1 });
        let mut play = stage.sink(Kind::Payloads, &config);
        play.apply(Rows::Payloads(vec![stage.payload("A", 1, b"x")])).unwrap();
        play.finish();
    }
    let stage = Stage::new("no-right");
    let right = format!("mqtt://job:right@127.0.0.1:{port}");
    let config = json!({ "url": right, "topic": "other/{source}/{instrument}", "qos": 1 });
    let mut play = stage.sink(Kind::Payloads, &config);
    let said = play.apply(Rows::Payloads(vec![stage.payload("A", 1, b"x")])).unwrap_err();
    assert!(said.to_string().contains("rights"), "{said}");
}

#[test]
fn the_will_is_published_for_a_job_that_is_killed_and_not_for_one_that_ends() {
    let Some(broker) = Mosquitto::open() else { return };
    let listener = broker.listen("status/#", &[]);
    let stage = Stage::new("will");
    let config = json!({ "url": broker.url(), "topic": "status/{instrument}", "qos": 1,
        "will": { "topic": "status/job", "payload": "gone", "qos": 1 } });
    let mut play = stage.sink(Kind::Payloads, &config);
    play.apply(Rows::Payloads(vec![stage.payload("A", 1, b"one")])).unwrap();
    assert_eq!(listener.next().text(), "one");
    play.finish();
    // Another client with the same id takes the place of one that does not end.
    let mut play = stage.sink(Kind::Payloads, &config);
    play.apply(Rows::Payloads(vec![stage.payload("A", 1, b"two")])).unwrap();
    let port = broker.port.to_string();
    let thief = std::process::Command::new("mosquitto_pub")
        .args(["-p", &port, "-i", "tapeflow-test-will", "-t", "other", "-m", "x"])
        .status();
    assert!(thief.unwrap().success());
    assert_eq!(listener.next().text(), "two");
    assert_eq!(listener.next().text(), "gone");
}
