//! What the tests share: a machine with its outputs taken apart, ticks in one line, real data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::source::Range;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use operators::ohlcv::{CLOSED, DEAD, OPEN, Ohlcv, REVISED};
use proto::candle::Candle;
use proto::decimal::Price;
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::{SeriesId, SeriesTable};
use proto::tick::Tick;
use serde_json::Value;

/// Everything that a machine gave out.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) closed: Vec<Candle>,
    pub(crate) open: Vec<Candle>,
    pub(crate) revised: Vec<Candle>,
    pub(crate) dead: Vec<Reject>,
}

/// A key of a candle: series, seconds of the frame, start.
pub(crate) type Key = (SeriesId, u32, i64);

impl Output {
    /// What a table holds that keeps the greatest revision of each candle.
    pub(crate) fn table(&self) -> BTreeMap<Key, Candle> {
        let mut table: BTreeMap<Key, Candle> = BTreeMap::new();
        for candle in &self.closed {
            let key = (candle.series, candle.timeframe.seconds(), candle.start.ns());
            let is_older = table.get(&key).is_some_and(|known| known.revision > candle.revision);
            assert!(!is_older, "a revision went back: {candle:?}");
            table.insert(key, *candle);
        }
        table
    }

    /// The final candles of one frame, as `start open high low close ticks`.
    pub(crate) fn lines(&self, timeframe: &str) -> Vec<String> {
        let table = self.table();
        let of_frame = table.values().filter(|c| c.timeframe.to_string() == timeframe);
        of_frame
            .map(|c| {
                let p = &c.price;
                let (start, ticks) = (c.start, c.ticks);
                format!("{start} {} {} {} {} {ticks}", p.open, p.high, p.low, p.close)
            })
            .collect()
    }

    /// The candles of one frame as they came.
    pub(crate) fn frame(&self, timeframe: &str) -> Vec<Candle> {
        let of_frame = self.closed.iter().filter(|c| c.timeframe.to_string() == timeframe);
        of_frame.copied().collect()
    }

    pub(crate) fn reasons(&self) -> Vec<&str> {
        self.dead.iter().map(|reject| reject.reason.as_str()).collect()
    }
}

/// A machine under test.
pub(crate) struct Bench {
    pub(crate) table: SeriesTable,
    pub(crate) machine: Box<dyn Machine<Tick>>,
    pub(crate) output: Output,
    emit: Emit,
    /// Greatest event time of each feed, by number.
    pub(crate) watermarks: Vec<EventTime>,
    epoch: u64,
}

impl Bench {
    pub(crate) fn new(config: Value) -> Self {
        Self::with(config, SeriesTable::new(), None, Vec::new())
    }

    pub(crate) fn with(
        config: Value,
        table: SeriesTable,
        range: Option<Range>,
        used_outputs: Vec<bool>,
    ) -> Self {
        let context = OperatorContext {
            id: "candles".to_owned(),
            root: PathBuf::from("."),
            series: table.clone(),
            kind: Kind::Ticks,
            range,
            used_outputs,
        };
        let AnyMachine::Ticks(machine) = Ohlcv.build(&config, context).unwrap() else {
            panic!("ohlcv takes ticks");
        };
        let kinds: Vec<Kind> = Ohlcv.outputs().iter().map(|o| o.kind.unwrap()).collect();
        let emit = Emit::new(&kinds);
        let output = Output::default();
        Self { table, machine, output, emit, watermarks: Vec::new(), epoch: 0 }
    }

    /// Hands in ticks whose watermarks are set already.
    pub(crate) fn apply(&mut self, ticks: &[Tick]) {
        self.machine.apply(&mut ticks.to_vec(), &mut self.emit);
        self.take();
    }

    /// Puts the watermark on ticks of one feed or several, as the engine does, and hands them in.
    pub(crate) fn feed(&mut self, ticks: &[Tick]) {
        let mut ticks = ticks.to_vec();
        stamp(&self.table, &mut self.watermarks, &mut ticks);
        self.apply(&ticks);
    }

    /// Closes an epoch; the clock reads `clock`.
    pub(crate) fn seal(&mut self, clock: EventTime) {
        self.seal_as(clock, false);
    }

    /// Closes the last epoch, at the greatest event time of all.
    pub(crate) fn end(&mut self) {
        let clock = self.watermarks.iter().copied().max().unwrap_or(EventTime::MIN);
        self.seal_as(clock, true);
    }

    fn seal_as(&mut self, clock: EventTime, is_last: bool) {
        self.epoch += 1;
        let watermarks = self.watermarks.clone();
        self.seal_at(&Moment { epoch: self.epoch, clock, watermarks, is_last });
    }

    pub(crate) fn seal_at(&mut self, moment: &Moment) {
        self.machine.seal(moment, &mut self.emit);
        self.take();
    }

    fn take(&mut self) {
        self.output.closed.append(self.emit.candles(CLOSED));
        self.output.open.append(self.emit.candles(OPEN));
        self.output.revised.append(self.emit.candles(REVISED));
        self.output.dead.append(self.emit.rejects(DEAD));
    }

    /// A tick of source `a`, instrument `X`.
    pub(crate) fn tick(&self, time: &str, bid: &str) -> Tick {
        quote(self.table.intern("a", "X").unwrap(), at(time), bid)
    }
}

/// Sets on each tick how far its feed had come before it.
pub(crate) fn stamp(table: &SeriesTable, watermarks: &mut Vec<EventTime>, ticks: &mut [Tick]) {
    for tick in ticks {
        let feed = table.get(tick.series).unwrap().feed.index();
        if watermarks.len() <= feed {
            watermarks.resize(feed + 1, EventTime::MIN);
        }
        tick.watermark = watermarks[feed];
        watermarks[feed] = watermarks[feed].max(tick.time);
    }
}

pub(crate) fn at(time: &str) -> EventTime {
    time.parse().unwrap()
}

pub(crate) fn price(text: &str) -> Price {
    text.parse().unwrap()
}

pub(crate) fn quote(series: SeriesId, time: EventTime, bid: &str) -> Tick {
    Tick { series, time, bid: price(bid), ..Tick::default() }
}

/// Runs ticks of one series through one machine, in epochs of `size`, to the end.
pub(crate) fn run(config: Value, ticks: impl Fn(&SeriesTable) -> Vec<Tick>, size: usize) -> Output {
    let mut bench = Bench::with(config, SeriesTable::new(), None, vec![true, false, true, true]);
    let ticks = ticks(&bench.table);
    for chunk in ticks.chunks(size) {
        bench.feed(chunk);
        let clock = bench.watermarks.iter().copied().min().unwrap();
        bench.seal(clock);
    }
    bench.end();
    bench.output
}

/// The folder of real data, unless it is absent: then the test is skipped, loudly.
pub(crate) fn data(file: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TAPEFLOW_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let path = root.join(file);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("no {}; set TAPEFLOW_DATA", path.display()));
    None
}

/// Says that a test could not be run, or fails where that is not allowed.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_none(), "a test could not be run: {why}");
    eprintln!("SKIPPED: {why}");
}
