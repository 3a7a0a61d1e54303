//! The job that is simulated: definitions for its job file, and the world that opens them.

use std::sync::atomic::AtomicBool;

use dataflows::batch::Rows;
use dataflows::catalog::Catalog;
use dataflows::component::sink::{Guarantee, Sink, SinkContext, SinkDefinition};
use dataflows::component::source::{
    Delivery, Intake, Position, Promise, Source, SourceContext, SourceDefinition,
};
use dataflows::component::{Definition, Output};
use dataflows::fault::Fault;
use dataflows::job::plan::{Plan, SinkPlan, SourcePlan};
use dataflows::kind::Kind;
use dataflows::simulate::stepped::World;
use serde_json::Value;

use crate::broker::Broker;
use crate::market::{Random, Record, decode};
use crate::tables::{Log, Store, Table};

macro_rules! definition {
    ($type:ident, $name:literal) => {
        #[derive(Debug)]
        pub(crate) struct $type;
        impl Definition for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn summary(&self) -> &'static str {
                "Simulated."
            }
            fn config(&self) -> schemars::Schema {
                schemars::json_schema!({ "type": "object", "properties": {} })
            }
            fn check(&self, _: &Value) -> Vec<(String, String)> {
                Vec::new()
            }
        }
    };
}

definition!(ListSource, "list");
definition!(QueueSource, "queue");
definition!(TableSink, "memory_table");
definition!(LogSink, "memory_log");

const OUTPUTS: &[Output] = &[
    Output { name: "ticks", kind: Some(Kind::Ticks), about: "" },
    Output { name: "dead", kind: Some(Kind::Rejects), about: "" },
];

macro_rules! source {
    ($type:ident, $promise:expr) => {
        impl SourceDefinition for $type {
            fn outputs(&self) -> &'static [Output] {
                OUTPUTS
            }
            fn is_bounded(&self, _: &Value) -> bool {
                true
            }
            fn promise(&self, _: &Value) -> Promise {
                $promise
            }
            fn open(
                &self,
                _: &Value,
                _: Option<Position>,
                _: SourceContext,
            ) -> Result<Box<dyn Source>, Fault> {
                Err(Fault::defect("a simulated source", "the world opens it"))
            }
        }
    };
}

source!(ListSource, Promise::Replays);
source!(QueueSource, Promise::Redelivers);

macro_rules! sink {
    ($type:ident) => {
        impl SinkDefinition for $type {
            fn takes(&self) -> &'static [Kind] {
                Kind::ALL
            }
            fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
                Guarantee::ExactlyOnce
            }
            fn open(&self, _: &Value, _: SinkContext) -> Result<Box<dyn Sink>, Fault> {
                Err(Fault::defect("a simulated sink", "the world opens it"))
            }
        }
    };
}

sink!(TableSink);
sink!(LogSink);

/// The job; `clock` is `event` or `wall`, `ack` the queue's.
pub(crate) fn plan(clock: &str, ack: &str, workers: usize) -> Plan {
    let text = format!(
        "
job: simulated
run: {{ workers: {workers}, epoch: {{ records: 12 }}, epochs_in_flight: 4, clock: {clock} }}
state: {{ checkpoint: {{ every: 40ms, keep: 2 }}, journal: {{ segment_mb: 1 }} }}
sources:
  files: {{ type: list }}
  queue: {{ type: queue, ack: {ack} }}
operators:
  unique: {{ type: dedupe, input: [files, queue] }}
  candles: {{ type: ohlcv, input: unique, timeframes: [1m, 5m], calendar: utc, lateness: 10s }}
sinks:
  candles_table: {{ type: memory_table, input: candles.closed }}
  ticks_table: {{ type: memory_table, input: unique }}
  log: {{ type: memory_log, input: candles.closed }}
  rejects: {{ type: memory_table, input: [files.dead, queue.dead] }}
"
    );
    let catalog = Catalog {
        sources: &[&ListSource, &QueueSource],
        operators: operators::OPERATORS,
        sinks: &[&TableSink, &LogSink],
    };
    dataflows::job::lint::check(&text, std::path::Path::new("simulated"), &catalog, &|_| None)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// What outlives every crash: the input, the broker, the tables.
pub(crate) struct Outside {
    pub(crate) records: Vec<Record>,
    pub(crate) broker: Broker,
    pub(crate) stores: Vec<Store>,
    /// Draws anew for each start.
    pub(crate) seed: u64,
}

impl World for Outside {
    fn source(
        &self,
        number: usize,
        _: &SourcePlan,
        behind: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        let random = Random::new(self.seed ^ number as u64);
        if number == 1 {
            let (broker, connection) = (self.broker.clone(), self.broker.connect());
            return Ok(Box::new(Queue { broker, connection, context, random }));
        }
        let next = behind.map_or(0, |position| {
            let bytes: [u8; 8] = position.0.as_slice().try_into().unwrap();
            usize::try_from(u64::from_le_bytes(bytes)).unwrap()
        });
        Ok(Box::new(List { records: self.records.clone(), next, context, random }))
    }

    fn sink(
        &self,
        number: usize,
        plan: &SinkPlan,
        context: SinkContext,
    ) -> Result<Box<dyn Sink>, Fault> {
        let store = self.stores[number].clone();
        if plan.definition.name() == "memory_log" {
            return Ok(Box::new(Log::open(store, context)?));
        }
        Ok(Box::new(Table::open(store, context, self.seed)?))
    }
}

struct List {
    records: Vec<Record>,
    next: usize,
    context: SourceContext,
    random: Random,
}

impl Source for List {
    fn next(&mut self, _: &AtomicBool) -> Result<Option<Intake>, Fault> {
        if self.next == self.records.len() {
            return Ok(None);
        }
        let count = usize::try_from(self.random.below(9)).unwrap();
        let end = (self.next + count).min(self.records.len());
        let (ticks, rejects) = decode(&self.records[self.next..end], "files", &self.context.series);
        self.next = end;
        let position = Position((end as u64).to_le_bytes().to_vec());
        Ok(Some(Intake { rows: Rows::Ticks(ticks), rejects, position, deliveries: Vec::new() }))
    }

    fn settle(&mut self, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

struct Queue {
    broker: Broker,
    connection: u64,
    context: SourceContext,
    random: Random,
}

impl Source for Queue {
    fn next(&mut self, _: &AtomicBool) -> Result<Option<Intake>, Fault> {
        if self.broker.is_drained() {
            return Ok(None);
        }
        let (mut ticks, mut rejects, mut deliveries) = (Vec::new(), Vec::new(), Vec::new());
        let mut position = Vec::new();
        for _ in 0..self.random.below(4) {
            let Some((tag, message)) = self.broker.deliver() else { break };
            let (rows, dead) = decode(&message.records, "queue", &self.context.series);
            deliveries.push(Delivery {
                id: Some(message.id),
                rows: u32::try_from(rows.len()).unwrap(),
                rejects: u32::try_from(dead.len()).unwrap(),
            });
            ticks.extend(rows);
            rejects.extend(dead);
            position = [self.connection, tag].iter().flat_map(|n| n.to_le_bytes()).collect();
        }
        let position = Position(position);
        Ok(Some(Intake { rows: Rows::Ticks(ticks), rejects, position, deliveries }))
    }

    fn settle(&mut self, position: &Position) -> Result<(), Fault> {
        let (words, _) = position.0.as_chunks::<8>();
        let [connection, tag] = words else { return Ok(()) };
        let (connection, tag) = (u64::from_le_bytes(*connection), u64::from_le_bytes(*tag));
        self.broker
            .acknowledge(connection, tag)
            .map_err(|why| Fault::stop("the broker closed the channel", why))
    }
}
