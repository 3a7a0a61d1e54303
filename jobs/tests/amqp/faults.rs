//! What no waiting helps against ends the run and says what to do; a broker that is away does not.

use std::time::{Duration, Instant};

use brokers::amqp::lapin::types::AMQPValue;
use dataflows::kind::Kind;
use proto::series::SeriesTable;
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::parts::{open, open_sink};
use crate::rabbit::{evaluate, rabbit};

/// Why the source cannot be opened.
fn refused(config: &Value) -> String {
    let said = open("faults", config, None).err().expect("it was opened").to_string();
    assert!(!said.contains("secret"), "{said}");
    said
}

#[test]
fn a_wrong_password_vhost_or_permission_is_named_with_what_to_do() {
    let Some(rabbit) = rabbit() else { return };
    let place = rabbit.url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
    let queue = rabbit.own("queue");
    let said = refused(&json!({ "url": format!("amqp://guest:secret@{place}"), "queue": queue }));
    assert!(said.contains("check the name and the password of the user `guest`"), "{said}");
    let said = refused(&json!({
        "url": format!("amqp://guest:guest@{place}/%2Fnot-there"), "queue": queue
    }));
    assert!(said.contains("the vhost `/not-there` must be there"), "{said}");

    // One user without a vhost, and one who may nothing in his.
    let user = rabbit.name.replace('.', "-");
    let made = evaluate(&format!(
        "[ok = rabbit_auth_backend_internal:add_user(U, <<\"secret\">>, <<\"test\">>) || U <- \
         [<<\"{user}-a\">>, <<\"{user}-b\">>]], rabbit_auth_backend_internal:set_permissions(\
         <<\"{user}-b\">>, <<\"/\">>, <<\"^$\">>, <<\"^$\">>, <<\"^$\">>, <<\"test\">>)."
    ));
    if made.is_none() {
        return;
    }
    let url = |which: &str| format!("amqp://{user}-{which}:secret@{place}");
    let without = refused(&json!({ "url": url("a"), "queue": queue }));
    let may_nothing = refused(&json!({ "url": url("b"), "queue": queue }));
    let sink = json!({ "url": url("b"), "exchange": rabbit.own("out") });
    let sink = open_sink("faults", &sink, Kind::Ticks, &SeriesTable::new(), None);
    evaluate(&format!(
        "[rabbit_auth_backend_internal:delete_user(U, <<\"test\">>) || U <- [<<\"{user}-a\">>, \
         <<\"{user}-b\">>]]."
    ));
    assert!(without.contains("have permissions in it"), "{without}");
    assert!(may_nothing.contains(&format!("access to queue '{queue}'")), "{may_nothing}");
    assert!(may_nothing.contains("rabbitmqctl set_permissions"), "{may_nothing}");
    let said = sink.err().expect("it was opened").to_string();
    assert!(said.contains("rabbitmqctl set_permissions"), "{said}");
}

#[test]
fn a_queue_or_exchange_that_is_there_with_other_settings_is_refused() {
    let Some(rabbit) = rabbit() else { return };
    let queue = rabbit.own("queue");
    rabbit.queue(&queue, None, &[("x-max-length", AMQPValue::LongLongInt(5))]);
    let url = &rabbit.url;
    let said = refused(&json!({ "url": url, "queue": queue }));
    assert!(said.contains("x-max-length") && said.contains("other settings"), "{said}");
    let exchange = rabbit.own("in");
    rabbit.exchange(&exchange);
    let config = json!({
        "url": url, "queue": rabbit.own("other"), "exchange": exchange, "exchange_type": "fanout"
    });
    let said = refused(&config);
    assert!(said.contains("other settings"), "{said}");
    let config = json!({ "url": url, "queue": rabbit.own("not-there"), "declare": "nothing" });
    let said = refused(&config);
    assert!(said.contains("declare: all"), "{said}");
}

/// An address at which nobody answers.
const AWAY: &str = "amqp://user:secret@127.0.0.1:9/v";

#[test]
fn a_job_waits_for_a_broker_that_is_away_and_ends_when_it_is_asked_to() {
    let job = |parts: &str| format!("job: waits\n{parts}");
    let source = format!(
        "sources:\n  ticks: {{ type: amqp, url: \"{AWAY}\", queue: q }}\nsinks:\n  out: {{ type: \
         console, input: ticks }}\n"
    );
    let sink = format!(
        "sources:\n  ticks: {{ type: simulator, seed: 1, speed: 1 }}\nsinks:\n  out: {{ type: \
         amqp, input: ticks, url: \"{AWAY}\", exchange: x }}\n"
    );
    for parts in [source, sink] {
        let desk = Desk::new(&job(&parts));
        let mut run = desk.start();
        run.says("no connection; trying again");
        let begun = Instant::now();
        let (_, said) = run.stop();
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_job_that_is_refused_ends_with_its_reason() {
    let Some(rabbit) = rabbit() else { return };
    let url = rabbit.url.rsplit_once('/').unwrap().0;
    let desk = Desk::new(&format!(
        "job: refused\nsources:\n  ticks: {{ type: amqp, url: \"{url}/not-there\", queue: q \
         }}\nsinks:\n  out: {{ type: console, input: ticks }}\n"
    ));
    let output = desk.start().end();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("not-there") && said.contains("%2F"), "{said}");
}
