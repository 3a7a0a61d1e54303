//! Sinks and sources outside of a job.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dataflows::batch::Rows;
use dataflows::component::sink::{Durable, Ending, Sealed, Sink, SinkContext, Stop};
use dataflows::component::source::{Intake, Source, SourceContext};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::{Epoch, Moment};
use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::reject::Reject;
use proto::series::SeriesTable;
use proto::tick::Tick;
use serde_json::Value;

/// What a sink is opened in.
pub(crate) struct Stage {
    pub(crate) series: SeriesTable,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) restored: Option<(Epoch, Vec<u8>)>,
    pub(crate) root: std::path::PathBuf,
    id: String,
}

impl Stage {
    /// Of a component with this id, which no other test uses.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            series: SeriesTable::new(),
            stop: Arc::default(),
            restored: None,
            root: ".".into(),
            id: id.to_owned(),
        }
    }

    pub(crate) fn sink(&self, kind: Kind, config: &Value) -> Play {
        let definition = sinks::SINKS.iter().find(|sink| sink.name() == "mqtt").unwrap();
        assert_eq!(definition.check(config), Vec::new());
        assert_eq!(definition.check_input(config, kind), Vec::new());
        let context = SinkContext {
            job: "test".to_owned(),
            id: self.id.clone(),
            root: self.root.clone(),
            series: self.series.clone(),
            kind,
            replace: None,
            stop: Stop::of(self.stop.clone()),
            durable: Some(Durable { generation: 1, restored: self.restored.clone() }),
            health: Arc::default(),
        };
        Play { sink: definition.open(config, context).unwrap(), epoch: 0 }
    }

    pub(crate) fn source(&self, config: &Value) -> Box<dyn Source> {
        let definition = sources::SOURCES.iter().find(|source| source.name() == "mqtt").unwrap();
        assert_eq!(definition.check(config), Vec::new());
        let context = SourceContext {
            job: "test".to_owned(),
            id: self.id.clone(),
            root: self.root.clone(),
            series: self.series.clone(),
            range: None,
            threads: 1,
            health: Arc::default(),
            is_healed: false,
        };
        definition.open(config, None, context).unwrap()
    }

    pub(crate) fn tick(&self, instrument: &str, ns: i64, bid: &str) -> Tick {
        Tick {
            series: self.series.intern("mt4", instrument).unwrap(),
            time: EventTime::from_ns(ns),
            sequence: ns.unsigned_abs(),
            flags: Tick::HAS_SEQUENCE,
            bid: bid.parse().unwrap(),
            ..Tick::default()
        }
    }

    pub(crate) fn payload(&self, instrument: &str, ns: i64, bytes: &[u8]) -> Payload {
        Payload {
            series: self.series.intern("mt4", instrument).unwrap(),
            time: EventTime::from_ns(ns),
            content_type: Some("application/x-protobuf".into()),
            traceparent: None,
            bytes: bytes.to_vec(),
        }
    }
}

/// A sink that is handed epochs.
pub(crate) struct Play {
    pub(crate) sink: Box<dyn Sink>,
    epoch: Epoch,
}

impl Play {
    pub(crate) fn apply(&mut self, rows: Rows) -> Result<(), Fault> {
        self.epoch += 1;
        let clock = EventTime::default();
        let moment = Moment { epoch: self.epoch, clock, watermarks: Vec::new(), is_last: false };
        self.sink.apply(Sealed { moment: Arc::new(moment), runs: vec![rows] })
    }

    /// Ends it; how many records it has published.
    pub(crate) fn finish(mut self) -> u64 {
        self.sink.finish(Ending::Complete).unwrap().rows
    }
}

/// What a source has given.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) ticks: Vec<Tick>,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) ids: Vec<Option<u128>>,
    /// The last intake, to be settled.
    pub(crate) last: Option<Intake>,
}

impl Given {
    fn messages(&self) -> usize {
        self.ticks.len() + self.payloads.len() + self.rejects.len()
    }
}

/// Reads until there are so many records.
pub(crate) fn read(source: &mut dyn Source, count: usize) -> Given {
    let mut given = Given::default();
    let stop = AtomicBool::new(false);
    crate::mosquitto::eventually("records come", || {
        let Some(mut intake) = source.next(&stop).unwrap() else { return true };
        match std::mem::replace(&mut intake.rows, Rows::Ticks(Vec::new())) {
            Rows::Ticks(ticks) => given.ticks.extend(ticks),
            Rows::Payloads(payloads) => given.payloads.extend(payloads),
            _ => unreachable!("neither ticks nor payloads"),
        }
        given.rejects.append(&mut intake.rejects);
        given.ids.extend(intake.deliveries.iter().map(|delivery| delivery.id));
        given.last = Some(intake);
        given.messages() >= count
    });
    given
}
