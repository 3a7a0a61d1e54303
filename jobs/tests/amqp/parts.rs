//! A source and a sink by themselves, without a job around them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use dataflows::batch::Rows;
use dataflows::component::sink::{Durable, Sealed, Sink, SinkContext, Stop};
use dataflows::component::source::{Delivery, Position, Source, SourceContext};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::Moment;
use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::reject::Reject;
use proto::series::SeriesTable;
use proto::tick::Tick;
use serde_json::Value;

use crate::rabbit::PATIENCE;

/// The id of the part under test, and of its job.
pub(crate) const ID: &str = "part";

/// A source that is read by hand.
pub(crate) struct Reading {
    pub(crate) source: Box<dyn Source>,
    pub(crate) series: SeriesTable,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) position: Position,
}

/// Opens the source of the job `job`.
pub(crate) fn open(job: &str, config: &Value, behind: Option<Position>) -> Result<Reading, Fault> {
    let definition = sources::SOURCES.iter().find(|source| source.name() == "amqp").unwrap();
    assert_eq!(definition.check(config), Vec::new());
    let series = SeriesTable::new();
    let context = SourceContext {
        job: job.to_owned(),
        id: ID.to_owned(),
        root: ".".into(),
        series: series.clone(),
        range: None,
        threads: 1,
        health: Arc::default(),
        is_healed: false,
    };
    Ok(Reading {
        source: definition.open(config, behind, context)?,
        series,
        ticks: Vec::new(),
        payloads: Vec::new(),
        rejects: Vec::new(),
        deliveries: Vec::new(),
        position: Position::default(),
    })
}

impl Reading {
    pub(crate) fn turn(&mut self) -> Result<(), Fault> {
        let intake = self.source.next(&AtomicBool::new(false))?.unwrap();
        match intake.rows {
            Rows::Ticks(ticks) => self.ticks.extend(ticks),
            Rows::Payloads(payloads) => self.payloads.extend(payloads),
            other => panic!("{}", other.kind()),
        }
        self.rejects.extend(intake.rejects);
        self.deliveries.extend(intake.deliveries);
        self.position = intake.position;
        Ok(())
    }

    /// Reads until so much has come.
    pub(crate) fn until(&mut self, ticks: usize, payloads: usize, rejects: usize) {
        let begun = Instant::now();
        let found =
            |reading: &Self| (reading.ticks.len(), reading.payloads.len(), reading.rejects.len());
        while found(self).0 < ticks || found(self).1 < payloads || found(self).2 < rejects {
            self.turn().unwrap();
            assert!(begun.elapsed() < PATIENCE, "only {:?} came", found(self));
        }
        assert_eq!(found(self), (ticks, payloads, rejects));
    }

    /// Acknowledges all that has come.
    pub(crate) fn settle(&mut self) {
        self.source.settle(&self.position.clone()).unwrap();
    }

    pub(crate) fn sequences(&self) -> Vec<u64> {
        self.ticks.iter().map(|tick| tick.sequence).collect()
    }
}

/// Opens the sink of the job `job`.
pub(crate) fn open_sink(
    job: &str,
    config: &Value,
    kind: Kind,
    series: &SeriesTable,
    durable: Option<Durable>,
) -> Result<Box<dyn Sink>, Fault> {
    let definition = sinks::SINKS.iter().find(|sink| sink.name() == "amqp").unwrap();
    assert_eq!(definition.check(config), Vec::new());
    assert_eq!(definition.check_input(config, kind), Vec::new());
    let context = SinkContext {
        job: job.to_owned(),
        id: ID.to_owned(),
        root: ".".into(),
        series: series.clone(),
        kind,
        replace: None,
        stop: Stop::default(),
        durable,
        health: Arc::default(),
    };
    definition.open(config, context)
}

/// An epoch.
pub(crate) fn sealed(epoch: u64, rows: Rows) -> Sealed {
    let moment =
        Moment { epoch, clock: EventTime::default(), watermarks: Vec::new(), is_last: false };
    Sealed { moment: Arc::new(moment), runs: vec![rows] }
}
