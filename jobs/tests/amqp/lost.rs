//! Connections that are lost: they come back, nothing is lost, and no old tag is acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use dataflows::batch::Rows;
use dataflows::component::sink::Ending;
use dataflows::kind::Kind;
use proto::protobuf::decode_tick;
use proto::series::SeriesTable;
use serde_json::json;

use crate::parts::{ID, open, open_sink, sealed};
use crate::rabbit::{PATIENCE, close_connections, link, rabbit, reference, ticks};

#[test]
fn a_tag_of_a_connection_that_is_gone_is_never_acknowledged() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, queue) = (rabbit.own("in"), rabbit.own("queue"));
    let (link, url) = link(&rabbit);
    let config = json!({ "url": url, "exchange": exchange, "queue": queue });
    let job = "stale";
    let mut reading = open(job, &config, None).unwrap();
    rabbit.publish(&exchange, &ticks(0..100));
    reading.until(100, 0, 0);
    let old = reading.position.clone();
    assert!(link.cut() > 0, "nobody is connected");
    // All come again on the next connection, with tags from 1: the old position covers them by
    // number, and must not cover them.
    let seen = reading.ticks.len();
    let begun = Instant::now();
    while reading.ticks.len() < seen + 100 {
        reading.turn().unwrap();
        assert!(begun.elapsed() < PATIENCE, "it does not come back");
    }
    assert_ne!(reading.position, old);
    reading.source.settle(&old).unwrap();
    reading.turn().unwrap();
    let new = reading.position.clone();
    drop(reading);
    assert_eq!(rabbit.waiting(&queue), 100, "nothing was acknowledged");

    // And behind the new position of a run that is over, neither.
    let mut reading = open(job, &config, Some(new.clone())).unwrap();
    reading.until(100, 0, 0);
    reading.source.settle(&new).unwrap();
    drop(reading);
    assert_eq!(rabbit.waiting(&queue), 100, "of an earlier run");
    let mut reading = open(job, &config, Some(new)).unwrap();
    reading.until(100, 0, 0);
    reading.settle();
    drop(reading);
    assert_eq!(rabbit.waiting(&queue), 0);
}

#[test]
fn a_queue_that_was_deleted_is_declared_again() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, queue) = (rabbit.own("in"), rabbit.own("queue"));
    let config = json!({ "url": rabbit.url, "exchange": exchange, "queue": queue });
    let mut reading = open("deleted", &config, None).unwrap();
    rabbit.publish(&exchange, &ticks(0..1));
    reading.until(1, 0, 0);
    rabbit.delete_queue(&queue);
    let begun = Instant::now();
    let mut number = 1;
    while reading.ticks.len() < 2 {
        // Until it is bound again, the broker drops what nobody wants.
        rabbit.publish(&exchange, &ticks(number..number + 1));
        number += 1;
        reading.turn().unwrap();
        assert!(begun.elapsed() < PATIENCE, "it does not come back");
    }
}

#[test]
fn a_stream_goes_on_where_the_connection_was_lost() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, queue) = (rabbit.own("in"), rabbit.own("queue"));
    let config = json!({
        "url": rabbit.url, "exchange": exchange, "queue": queue, "queue_type": "stream",
        "prefetch": 100
    });
    let job = format!("{}-stream", rabbit.name);
    let mut reading = open(&job, &config, None).unwrap();
    rabbit.publish(&exchange, &ticks(0..2_000));
    while reading.ticks.len() < 500 {
        reading.turn().unwrap();
    }
    match close_connections(&format!("tapeflow {job}.{ID}")) {
        None => return,
        Some(closed) => assert_eq!(closed, 1),
    }
    reading.until(2_000, 0, 0);
    assert_eq!(reading.sequences(), (0..2_000).collect::<Vec<u64>>(), "neither gap nor repeat");
}

#[test]
fn what_a_sink_had_not_confirmed_is_published_again() {
    let Some(rabbit) = rabbit() else { return };
    let (exchange, behind) = (rabbit.own("out"), rabbit.own("behind"));
    rabbit.exchange(&exchange);
    rabbit.queue(&behind, Some(&exchange), &[]);
    let series = SeriesTable::new();
    let (link, url) = link(&rabbit);
    let config = json!({ "url": url, "exchange": exchange, "window": 50 });
    let mut sink = open_sink("sink", &config, Kind::Ticks, &series, None).unwrap();
    let epoch = |epoch: u64| {
        let numbers = epoch * 500..(epoch + 1) * 500;
        let ticks =
            numbers.map(|number| reference("mt4", "EURUSD", number).intern(&series).unwrap());
        sealed(epoch + 1, Rows::Ticks(ticks.collect()))
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Whenever some have gone through, in the middle of others.
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let now = rabbit.waiting(&behind);
                if now >= seen + 300 && !done.load(Ordering::Relaxed) {
                    seen = now;
                    link.cut();
                }
            }
        });
        let outcome = (0..4).try_for_each(|number| sink.apply(epoch(number)));
        done.store(true, Ordering::Relaxed);
        outcome
    })
    .unwrap();
    sink.finish(Ending::Complete).unwrap();
    let mut found = std::collections::BTreeMap::new();
    let mut ids = std::collections::BTreeSet::new();
    while let Some(message) = rabbit.get(&behind) {
        *found.entry(decode_tick(&message.data).unwrap().sequence.unwrap()).or_insert(0) += 1;
        ids.insert(message.properties.message_id().clone().unwrap().as_str().to_owned());
    }
    assert_eq!(found.len(), 2_000, "every tick is there");
    assert_eq!(ids.len(), 2_000, "and one that is there twice has one name");
}
