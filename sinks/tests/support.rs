//! Worlds to run sinks in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataflows::batch::Rows;
use dataflows::component::sink::{Ending, Sealed, SinkContext, SinkReport};
use dataflows::component::source::Range;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::Moment;
use proto::candle::{Basis, Candle, Ohlc, Reason};
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::SeriesTable;
use proto::tick::Tick;
use serde_json::Value;

/// A folder and the series that are known in it.
pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) series: SeriesTable,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), series: SeriesTable::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a sink over epochs, each of a clock and its runs.
    pub(crate) fn run(&self, run: Run<'_>) -> Result<SinkReport, Fault> {
        let definition = sinks::SINKS.iter().find(|sink| sink.name() == run.sink).unwrap();
        assert_eq!(definition.check(&run.config), Vec::new());
        let context = SinkContext {
            stop: dataflows::component::sink::Stop::default(),
            job: "job".to_owned(),
            id: "rows".to_owned(),
            root: self.path().to_owned(),
            series: self.series.clone(),
            kind: run.kind,
            replace: run.replace,
            durable: None,
            health: Arc::default(),
        };
        let mut sink = definition.open(&run.config, context)?;
        for (epoch, (clock, runs)) in run.epochs.into_iter().enumerate() {
            let epoch = epoch as u64 + 1;
            let moment = Moment { epoch, clock, watermarks: Vec::new(), is_last: false };
            sink.apply(Sealed { moment: Arc::new(moment), runs })?;
        }
        sink.finish(run.ending)
    }

    pub(crate) fn candle(&self, instrument: &str, frame: &str, start: &str, close: &str) -> Candle {
        let start: EventTime = start.parse().unwrap();
        let timeframe: proto::timeframe::Timeframe = frame.parse().unwrap();
        let price: Price = close.parse().unwrap();
        let ohlc = Ohlc { open: price, high: price, low: price, close: price };
        Candle {
            series: self.series.intern("mt4", instrument).unwrap(),
            timeframe,
            start,
            end: EventTime::from_ns(start.ns() + timeframe.ns()),
            trading_date: i32::try_from(start.ns().div_euclid(86_400_000_000_000)).unwrap(),
            price: ohlc,
            ask: Ohlc::default(),
            volume: Quantity::ZERO,
            ticks: 1,
            first_time: EventTime::from_ns(start.ns() + 1_234_567_890),
            last_time: EventTime::from_ns(start.ns() + 1_234_567_890),
            first_sequence: 7,
            last_sequence: 7,
            revision: 0,
            flags: 0,
            basis: Basis::Bid,
            reason: Reason::Closed,
        }
    }

    pub(crate) fn tick(&self, instrument: &str, time: &str, sequence: Option<u64>) -> Tick {
        Tick {
            series: self.series.intern("mt4", instrument).unwrap(),
            time: time.parse().unwrap(),
            sequence: sequence.unwrap_or(0),
            flags: if sequence.is_some() { Tick::HAS_SEQUENCE } else { 0 },
            bid: "1.38684".parse().unwrap(),
            ask: "1.38686".parse().unwrap(),
            ..Tick::default()
        }
    }
}

/// One run of a sink.
pub(crate) struct Run<'a> {
    pub(crate) sink: &'a str,
    pub(crate) config: Value,
    pub(crate) kind: Kind,
    pub(crate) epochs: Vec<(EventTime, Vec<Rows>)>,
    pub(crate) replace: Option<Range>,
    pub(crate) ending: Ending,
}

impl<'a> Run<'a> {
    /// A complete run of one epoch.
    pub(crate) fn of(sink: &'a str, config: Value, rows: Rows) -> Self {
        Self {
            sink,
            config,
            kind: rows.kind(),
            epochs: vec![(EventTime::default(), vec![rows])],
            replace: None,
            ending: Ending::Complete,
        }
    }

    pub(crate) fn replacing(mut self, from: &str, to: &str, instruments: &[&str]) -> Self {
        self.replace = Some(Range {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            instruments: instruments.iter().map(|name| (*name).to_owned()).collect(),
        });
        self
    }

    pub(crate) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

/// All files under a folder with their bytes.
pub(crate) fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

/// Says that a test has not run, or fails where it must.
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_none(), "cannot be skipped: {why}");
    eprintln!("SKIPPED: {why}");
}
