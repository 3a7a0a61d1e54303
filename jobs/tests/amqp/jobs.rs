//! Whole jobs: in by AMQP, out by AMQP, with journal and checkpoints between.

use brokers::amqp::lapin::types::AMQPValue;
use proto::protobuf::decode_tick;

use crate::desk::Desk;
use crate::rabbit::{Rabbit, rabbit, ticks};

/// A job that passes ticks on from one exchange to another; gives it with its queue and the queue
/// behind it.
fn through(rabbit: &Rabbit, more: &str) -> (Desk, String, String, String) {
    let (from, to) = (rabbit.own("in"), rabbit.own("out"));
    let (queue, behind) = (rabbit.own("queue"), rabbit.own("behind"));
    rabbit.exchange(&from);
    rabbit.exchange(&to);
    rabbit.queue(&behind, Some(&to), &[]);
    let url = &rabbit.url;
    let job = format!(
        "job: through\nstate: {{ journal: {{ sync: 10ms }} }}\nsources:\n  ticks: {{ type: amqp, url: \"{url}\", exchange: {from}, queue: \
         {queue}, binding: \"market.#\"{more} }}\nsinks:\n  out: {{ type: amqp, input: ticks, \
         url: \"{url}\", exchange: {to} }}\n"
    );
    (Desk::new(&job), from, queue, behind)
}

#[test]
fn every_tick_goes_through_once_also_over_a_restart() {
    let Some(rabbit) = rabbit() else { return };
    let (desk, from, queue, behind) = through(&rabbit, "");
    rabbit.queue(&queue, Some(&from), &[]);
    let expected = ticks(0..600);
    rabbit.publish(&from, &expected[..300]);
    let run = desk.start();
    let mut found = rabbit.take(&behind, 300);
    run.stop();
    assert_eq!(rabbit.waiting(&queue), 0, "all were acknowledged");
    rabbit.publish(&from, &expected[300..]);
    let run = desk.start();
    found.extend(rabbit.take(&behind, 300));
    let (report, _) = run.stop();
    assert!(rabbit.get(&behind).is_none(), "none came twice: {report}");
    let sort = |mut all: Vec<(String, Vec<u8>)>| {
        all.sort_by_key(|(_, body)| decode_tick(body).unwrap().sequence);
        all
    };
    let expected = expected.iter().map(|(key, _, body)| (key.clone(), body.clone())).collect();
    let key = |key: &brokers::amqp::lapin::types::ShortString| key.as_str().to_owned();
    let found = found.iter().map(|m| (key(&m.routing_key), m.data.clone())).collect();
    assert_eq!(sort(found), sort(expected), "the same keys and the same bytes");
}

#[test]
fn what_was_journaled_and_not_acknowledged_when_it_was_killed_counts_once() {
    let Some(rabbit) = rabbit() else { return };
    let (from, queue) = (rabbit.own("in"), rabbit.own("queue"));
    rabbit.exchange(&from);
    rabbit.queue(&queue, Some(&from), &[]);
    let url = &rabbit.url;
    let desk = Desk::new(&format!(
        "job: killed\nsources:\n  ticks: {{ type: amqp, url: \"{url}\", exchange: {from}, queue: \
         {queue} }}\nsinks:\n  table: {{ type: table, input: ticks, url: \"sqlite:ticks.db\", table: seen, \
         flush_every: 10ms }}\n"
    ));
    rabbit.publish(&from, &ticks(0..500));
    let output = desk.start_with(&[("TAPEFLOW_CRASH", "source.before_ack:1")]).end();
    assert!(output.status.code().is_none(), "it did not die: {output:?}");
    // The broker needs a moment to see that nobody is there any more.
    let begun = std::time::Instant::now();
    while rabbit.waiting(&queue) < 500 {
        assert!(begun.elapsed() < crate::rabbit::PATIENCE, "acknowledged");
    }
    rabbit.publish(&from, &ticks(500..501));
    let run = desk.start();
    let begun = std::time::Instant::now();
    while desk.count("ticks.db") < 501 {
        assert!(begun.elapsed() < crate::rabbit::PATIENCE, "only {}", desk.count("ticks.db"));
    }
    let (report, said) = run.stop();
    assert_eq!(desk.count("ticks.db"), 501, "{said}");
    // As many as were in the journal when it died: it may have taken them out in parts.
    assert!(report["sources"][0]["redelivered"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(rabbit.waiting(&queue), 0, "acknowledged now");
}

#[test]
fn without_a_journal_a_source_is_acknowledged_when_its_sinks_have_applied_it() {
    let Some(rabbit) = rabbit() else { return };
    let (desk, from, queue, behind) = through(&rabbit, ", prefetch: 10");
    let job = std::fs::read_to_string(desk.path().join("job.yaml")).unwrap();
    let job = job.replace("journal: { sync: 10ms }", "durable: false");
    let desk = Desk::new(&job);
    rabbit.queue(&queue, Some(&from), &[]);
    rabbit.publish(&from, &ticks(0..200));
    let run = desk.start();
    rabbit.take(&behind, 200);
    run.stop();
    assert_eq!(rabbit.waiting(&queue), 0);
}

#[test]
fn a_bridge_passes_bytes_on_and_dead_letters_beside_them() {
    let Some(rabbit) = rabbit() else { return };
    let (from, to, dead) = (rabbit.own("in"), rabbit.own("out"), rabbit.own("dead"));
    let (queue, behind, buried) = (rabbit.own("queue"), rabbit.own("behind"), rabbit.own("buried"));
    for exchange in [&from, &to, &dead] {
        rabbit.exchange(exchange);
    }
    rabbit.queue(&queue, Some(&from), &[]);
    rabbit.queue(&behind, Some(&to), &[]);
    rabbit.queue(&buried, Some(&dead), &[]);
    let url = &rabbit.url;
    let desk = Desk::new(&format!(
        "job: bridge\nsources:\n  ticks: {{ type: amqp, url: \"{url}\", exchange: {from}, queue: \
         {queue}, format: bytes }}\nsinks:\n  out: {{ type: amqp, input: ticks, url: \"{url}\", \
         exchange: {to}, key: \"forex.{{source}}.{{instrument}}\" }}\n  dead: {{ type: amqp, input: \
         ticks.dead, url: \"{url}\", exchange: {dead} }}\n"
    ));
    let bytes: Vec<u8> = (0..=255).collect();
    rabbit.publish_one(&from, "market.mt4.EURUSD.tick", "application/odd", &bytes);
    rabbit.publish_one(&from, "nonsense", "application/odd", &bytes);
    let run = desk.start();
    let out = rabbit.take(&behind, 1).remove(0);
    let dead = rabbit.take(&buried, 1).remove(0);
    run.stop();
    assert_eq!(out.routing_key.as_str(), "forex.mt4.EURUSD");
    assert_eq!(out.data, bytes);
    assert_eq!(dead.routing_key.as_str(), "dead.ticks.bad_key");
}

#[test]
fn a_job_over_a_stream_that_is_killed_reads_again_what_its_journal_names() {
    let Some(rabbit) = rabbit() else { return };
    let (from, queue) = (rabbit.own("in"), rabbit.own("queue"));
    let url = &rabbit.url;
    let desk = Desk::new(&format!(
        "job: stream\nsources:\n  ticks: {{ type: amqp, url: \"{url}\", exchange: {from}, queue: \
         {queue}, queue_type: stream }}\nsinks:\n  table: {{ type: table, input: ticks, url: \
         \"sqlite:ticks.db\", table: seen, flush_every: 10ms }}\n"
    ));
    rabbit.exchange(&from);
    let stream = AMQPValue::LongString("stream".into());
    rabbit.queue(&queue, Some(&from), &[("x-queue-type", stream)]);
    rabbit.publish(&from, &ticks(0..500));
    let output = desk.start_with(&[("TAPEFLOW_CRASH", "sink.after_apply:1")]).end();
    assert!(output.status.code().is_none(), "it did not die: {output:?}");
    rabbit.publish(&from, &ticks(500..600));
    let run = desk.start();
    let begun = std::time::Instant::now();
    while desk.count("ticks.db") < 600 {
        assert!(begun.elapsed() < crate::rabbit::PATIENCE, "only {}", desk.count("ticks.db"));
    }
    let (report, said) = run.stop();
    assert_eq!(desk.count("ticks.db"), 600, "{said}");
    assert!(report["resumed"]["journal"].as_u64() > Some(0), "{report}");
}
