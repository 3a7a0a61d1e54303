//! What a queue has lost comes from the archive: neither gap nor repeat at the seam, whatever is
//! killed meanwhile.

use std::collections::BTreeMap;
use std::time::Instant;

use brokers::amqp::lapin::BasicProperties;
use brokers::amqp::lapin::types::AMQPValue;
use dataflows::clock::wall;
use proto::decimal::Price;
use proto::event_time::EventTime;
use proto::protobuf::encode_tick;
use proto::tick_message::TickRef;

use crate::desk::{Desk, Running};
use crate::rabbit::{PATIENCE, Rabbit, rabbit, reference};

const SECOND: i64 = 1_000_000_000;
const INSTRUMENTS: [&str; 3] = ["EURUSD", "GBPUSD", "BRK.B"];

type Message = (String, BasicProperties, Vec<u8>);

/// One candle: open, high, low, close in units, and how many ticks.
type Bar = (i64, i64, i64, i64, i64);

/// A stream of ticks, twenty a second, without message ids. Half of them have no sequence either,
/// and every fifth of these comes twice, as venues do that send what did not change.
struct Stream {
    base: i64,
    bars: BTreeMap<(String, i64), Bar>,
}

impl Stream {
    fn new() -> Self {
        let base = (wall().ns() - 600 * SECOND) / SECOND * SECOND;
        Self { base, bars: BTreeMap::new() }
    }

    fn messages(&mut self, numbers: std::ops::Range<u64>) -> Vec<Message> {
        let mut messages = Vec::new();
        for number in numbers {
            let instrument = INSTRUMENTS[number as usize % 3];
            let is_numbered = number % 2 == 0;
            let bid = 1_100_000_000 + (number as i64 * 7_919) % 1_000;
            let time = self.base + number as i64 * SECOND / 20;
            let tick = TickRef {
                time: EventTime::from_ns(time),
                sequence: is_numbered.then_some(number),
                bid: Price::from_units(bid),
                ..reference("mt4", instrument, number)
            };
            let mut body = Vec::new();
            encode_tick(&tick, &mut body).unwrap();
            let times = if !is_numbered && number % 5 == 0 { 2 } else { 1 };
            for _ in 0..times {
                let key = (instrument.to_owned(), time / SECOND);
                let bar = self.bars.entry(key).or_insert((bid, bid, bid, bid, 0));
                *bar = (bar.0, bar.1.max(bid), bar.2.min(bid), bid, bar.4 + 1);
                let kind = "application/x-protobuf".into();
                let properties = BasicProperties::default().with_content_type(kind);
                messages.push((format!("market.mt4.{instrument}.tick"), properties, body.clone()));
            }
        }
        messages
    }

    fn ticks(&self) -> i64 {
        self.bars.values().map(|bar| bar.4).sum()
    }
}

struct World {
    rabbit: Rabbit,
    exchange: String,
    queue: String,
    archive: Desk,
    live: Desk,
    stream: Stream,
}

impl World {
    /// `more`: settings of the queue.
    fn new(rabbit: Rabbit, more: &str) -> Self {
        let (exchange, queue, other) =
            (rabbit.own("in"), rabbit.own("queue"), rabbit.own("archive"));
        rabbit.exchange(&exchange);
        rabbit.queue(&other, Some(&exchange), &[]);
        let url = &rabbit.url;
        let archive = Desk::new(&format!(
            "job: archive\nrun: {{ clock: wall }}\nstate: {{ journal: {{ sync: 10ms }} }}\n\
             sources:\n  ticks: {{ type: amqp, url: \"{url}\", exchange: {exchange}, queue: {other}, \
             binding: \"market.#\" }}\nsinks:\n  archive: {{ type: archive, input: ticks, path: ticks, \
             publish_every: 300ms }}\n"
        ));
        let path = archive.path().join("ticks");
        let live = Desk::new(&format!(
            "job: live\nrun: {{ clock: wall }}\nstate: {{ journal: {{ sync: 10ms }}, checkpoint: {{ \
             every: 200ms }} }}\nsources:\n  ticks:\n    type: amqp\n    url: \"{url}\"\n    exchange: \
             {exchange}\n    queue: {queue}\n    binding: \"market.#\"\n{more}    heal: {{ type: archive, \
             path: {path}, overlap: 500ms, wait: 60s }}\noperators:\n  candles: {{ type: ohlcv, input: \
             ticks, timeframes: [1s], calendar: utc, lateness: 1s }}\nsinks:\n  table: {{ type: table, \
             input: candles.closed, url: \"sqlite:candles.db\", table: candles, flush_every: 10ms }}\n",
            path = path.display()
        ));
        Self { rabbit, exchange, queue, archive, live, stream: Stream::new() }
    }

    fn start(&self) -> Running {
        self.live.start_with(&[("TAPEFLOW_LOG", "warn,lapin=off,dataflows=info,brokers=info")])
    }

    fn publish(&mut self, numbers: std::ops::Range<u64>) {
        let messages = self.stream.messages(numbers);
        self.rabbit.publish(&self.exchange, &messages);
    }

    fn bars(&self) -> BTreeMap<(String, i64), Bar> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let path = self.live.path().join("candles.db");
        let Ok(database) = rusqlite::Connection::open_with_flags(path, flags) else {
            return BTreeMap::new();
        };
        let sql = "SELECT instrument, start, open, high, low, close, ticks FROM candles";
        let Ok(mut rows) = database.prepare(sql) else { return BTreeMap::new() };
        let units = |price: f64| (price * 1e9).round() as i64;
        let bar = |row: &rusqlite::Row<'_>| {
            let start: String = row.get(1)?;
            let start = start.parse::<EventTime>().unwrap().ns() / SECOND;
            let price = |at: usize| row.get::<_, f64>(at).map(units);
            let bar = (price(2)?, price(3)?, price(4)?, price(5)?, row.get(6)?);
            Ok(((row.get(0)?, start), bar))
        };
        let found = rows.query_map([], bar).and_then(Iterator::collect);
        found.unwrap_or_default()
    }

    /// Waits until the table has as many ticks as were published, then compares all of it.
    fn check(&self, run: Running, what: &str) {
        let begun = Instant::now();
        let all = self.stream.ticks();
        loop {
            let ticks: i64 = self.bars().values().map(|bar| bar.4).sum();
            if ticks >= all {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {ticks} of {all} ticks are in candles");
            std::thread::yield_now();
        }
        run.stop();
        assert_eq!(self.bars(), self.stream.bars, "{what}");
    }

    /// Waits until the queue has handed out all it had, and candles have come of some of it.
    fn drain(&self) {
        let begun = Instant::now();
        while self.rabbit.waiting(&self.queue) > 0 || self.bars().is_empty() {
            assert!(begun.elapsed() < PATIENCE, "it is not read");
        }
    }
}

const MISSING: &str = "its queue may have lost messages";
const READ: &str = "the archive is read";

#[test]
fn a_queue_that_is_gone_after_an_outage_is_made_good_for_by_the_archive() {
    let Some(rabbit) = rabbit() else { return };
    let mut world = World::new(rabbit, "");
    let archive = world.archive.start();
    let mut run = world.start();
    run.says("connected");
    world.publish(0..600);
    world.drain();
    let (report, said) = run.stop();
    assert!(!said.contains(MISSING), "nothing was missing: {said}");
    assert!(report["sources"][0]["records"].as_u64().unwrap() > 0, "{report}");
    world.rabbit.delete_queue(&world.queue);
    world.publish(600..1_200);
    let mut run = world.start();
    run.says(MISSING);
    world.publish(1_200..1_800);
    run.says(READ);
    world.publish(1_800..2_400);
    world.check(run, "after an outage");
    // A start after that finds nothing missing, and waits for nothing.
    let run = world.start();
    world.rabbit.publish(&world.exchange, &world.stream.messages(2_400..2_401));
    world.drain();
    let (_, said) = run.stop();
    assert!(!said.contains(MISSING), "{said}");
    archive.stop();
}

#[test]
fn killed_again_and_again_while_it_heals_it_has_every_tick_once() {
    let Some(rabbit) = rabbit() else { return };
    let mut world = World::new(rabbit, "");
    let _archive = world.archive.start();
    let mut run = world.start();
    run.says("connected");
    world.publish(0..400);
    world.drain();
    drop(run);
    let mut at = 400;
    // The second start finds the queue that the first has made, and knows that it did not get far.
    for (word, is_deleted) in [(MISSING, true), (READ, false), (MISSING, true)] {
        if is_deleted {
            world.rabbit.delete_queue(&world.queue);
        }
        world.publish(at..at + 200);
        let mut run = world.start();
        run.says(word);
        world.publish(at + 200..at + 400);
        at += 400;
        drop(run); // killed
    }
    let run = world.start();
    world.publish(at..at + 200);
    world.check(run, "killed while it healed");
}

#[test]
fn a_queue_that_is_deleted_under_a_running_job_is_healed_as_well() {
    let Some(rabbit) = rabbit() else { return };
    let mut world = World::new(rabbit, "");
    let _archive = world.archive.start();
    let mut run = world.start();
    run.says("connected");
    world.publish(0..400);
    world.drain();
    world.rabbit.delete_queue(&world.queue);
    world.publish(400..800);
    run.says(READ);
    world.publish(800..1_000);
    world.check(run, "deleted under it");
}

#[test]
fn a_queue_that_drops_its_oldest_is_healed_up_to_what_it_kept() {
    let Some(rabbit) = rabbit() else { return };
    let limit = [("x-max-length", AMQPValue::LongLongInt(150))];
    let mut world = World::new(rabbit, "    max_length: 150\n");
    world.rabbit.queue(&world.queue, Some(&world.exchange), &limit);
    let _archive = world.archive.start();
    let mut run = world.start();
    run.says("connected");
    world.publish(0..100);
    world.drain();
    run.stop();
    world.publish(100..800);
    let mut run = world.start();
    run.says(READ);
    world.publish(800..900);
    world.check(run, "the oldest dropped");
}
