//! Fake components: a source of given ticks, a machine that counts, a sink that remembers.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use dataflows::batch::Rows;
use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::sink::{
    Ending, Guarantee, Sealed, Sink, SinkContext, SinkDefinition, SinkReport,
};
use dataflows::component::source::{
    Intake, Position, Promise, Source, SourceContext, SourceDefinition,
};
use dataflows::component::{Definition, Output};
use dataflows::driver::status::Status;
use dataflows::driver::{Options, RunReport, run};
use dataflows::fault::Fault;
use dataflows::job::plan::{OperatorPlan, Origin, Plan, RunConfig, SinkPlan, SourcePlan};
use dataflows::job::promise::Ack;
use dataflows::job::state::OnChange;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::{Epoch, Moment};
use dataflows::state::Keyed;
use proto::event_time::EventTime;
use proto::series::{KeyGroup, SeriesId, SeriesTable};
use proto::tick::Tick;
use serde_json::{Value, json};

pub(crate) const BASE: i64 = 1_700_000_000_000_000_000;

macro_rules! definition {
    ($type:ty, $name:literal) => {
        impl Definition for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn summary(&self) -> &'static str {
                "A fake."
            }
            fn config(&self) -> schemars::Schema {
                schemars::Schema::default()
            }
            fn check(&self, _: &Value) -> Vec<(String, String)> {
                Vec::new()
            }
        }
    };
}

/// Ticks of `series` instruments over `count` steps, in batches of `batch`; may fail or panic at one.
#[derive(Debug)]
pub(crate) struct FakeSource;
definition!(FakeSource, "fake_source");

const TICKS: Output = Output { name: "ticks", kind: Some(Kind::Ticks), about: "" };
const DEAD: Output = Output { name: "dead", kind: Some(Kind::Rejects), about: "" };

impl SourceDefinition for FakeSource {
    fn outputs(&self) -> &'static [Output] {
        &[TICKS, DEAD]
    }
    fn is_bounded(&self, config: &Value) -> bool {
        config["live"].is_null()
    }

    fn promise(&self, _: &Value) -> Promise {
        Promise::Replays
    }
    fn open(
        &self,
        config: &Value,
        _: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        Ok(Box::new(Running { config: config.clone(), table: context.series, at: 0 }))
    }
}

struct Running {
    config: Value,
    table: SeriesTable,
    at: u64,
}

impl Source for Running {
    fn next(&mut self, _: &AtomicBool) -> Result<Option<Intake>, Fault> {
        let get = |key: &str| self.config[key].as_u64();
        if get("fail_at").is_some_and(|at| self.at >= at) {
            return Err(Fault::stop("ticks.csv:7", "planted"));
        }
        let end = get("count").unwrap_or(0);
        if self.at >= end {
            return Ok(None);
        }
        let upto = end.min(self.at + get("batch").unwrap_or(10));
        let mut ticks = Vec::new();
        for step in self.at..upto {
            let instrument = format!("I{}", step % get("series").unwrap_or(5));
            let series = self.table.intern("fake", &instrument).unwrap();
            let time = EventTime::from_ns(BASE + step as i64);
            ticks.push(Tick { series, time, sequence: step, ..Tick::default() });
        }
        self.at = upto;
        let position = Position(upto.to_le_bytes().to_vec());
        Ok(Some(Intake {
            rows: Rows::Ticks(ticks),
            rejects: Vec::new(),
            position,
            deliveries: Vec::new(),
        }))
    }
    fn settle(&mut self, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

/// Passes every tick on with `volume` set to how many of its series came before it.
#[derive(Debug)]
pub(crate) struct FakeCount;
definition!(FakeCount, "fake_count");

impl OperatorDefinition for FakeCount {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks]
    }
    fn outputs(&self) -> &'static [Output] {
        &[TICKS]
    }
    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let panic_at = config["panic_at"].as_u64();
        Ok(AnyMachine::Ticks(Box::new(Count { seen: Keyed::new(context.series), panic_at })))
    }
}

struct Count {
    seen: Keyed<i64>,
    panic_at: Option<u64>,
}

impl Machine<Tick> for Count {
    fn apply(&mut self, rows: &mut Vec<Tick>, emit: &mut Emit) {
        for tick in rows {
            assert!(Some(tick.sequence) != self.panic_at, "planted panic");
            let seen = self.seen.get(tick.series).copied().unwrap_or(0);
            self.seen.insert(tick.series, seen + 1);
            let volume = proto::decimal::Quantity::from_units(seen);
            emit.ticks(0).push(Tick { volume, ..*tick });
        }
    }
    fn seal(&mut self, _: &Moment, _: &mut Emit) {}
    fn state_version(&self) -> u16 {
        1
    }
    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.seen.snapshot(group, out)
    }
    fn restore(&mut self, group: KeyGroup, _: u16, bytes: &[u8]) -> Result<(), Fault> {
        self.seen.restore(group, bytes)
    }
}

/// What a remembering sink has seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Memory {
    pub(crate) rows: Vec<(u64, String, u64, i64)>,
    pub(crate) moments: Vec<Moment>,
    pub(crate) endings: Vec<Ending>,
}

/// Remembers everything under `key`; may fail at an epoch, or wait for a signal first.
#[derive(Debug)]
pub(crate) struct FakeSink(pub(crate) Mutex<Option<Arc<Mutex<Memory>>>>);
definition!(FakeSink, "fake_sink");

impl SinkDefinition for FakeSink {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks]
    }

    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::AtLeastOnce
    }
    fn open(&self, config: &Value, context: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        let memory = self.0.lock().unwrap().clone().unwrap_or_default();
        Ok(Box::new(Remember {
            memory,
            table: context.series,
            fail_at: config["fail_at"].as_u64(),
        }))
    }
}

struct Remember {
    memory: Arc<Mutex<Memory>>,
    table: SeriesTable,
    fail_at: Option<u64>,
}

impl Sink for Remember {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(None)
    }
    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        if self.fail_at == Some(sealed.moment.epoch) {
            return Err(Fault::stop("fake.db", "disk full"));
        }
        let mut memory = self.memory.lock().unwrap();
        memory.moments.push((*sealed.moment).clone());
        for rows in sealed.runs {
            let Rows::Ticks(ticks) = rows else { panic!("ticks only") };
            for tick in ticks {
                let name = self.name(tick.series);
                memory.rows.push((sealed.moment.epoch, name, tick.sequence, tick.volume.units()));
            }
        }
        Ok(())
    }
    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault> {
        self.memory.lock().unwrap().endings.push(ending);
        Ok(SinkReport::default())
    }
}

impl Remember {
    fn name(&self, id: SeriesId) -> String {
        self.table.get(id).unwrap().instrument.to_string()
    }
}

/// A run of `sources` through one counting operator into one remembering sink.
pub(crate) struct Rig {
    pub(crate) sources: Vec<Value>,
    pub(crate) operator: Value,
    pub(crate) sink: Value,
    pub(crate) run: RunConfig,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Rig {
    pub(crate) fn new(source: Value) -> Self {
        Self {
            sources: vec![source],
            operator: json!({}),
            sink: json!({}),
            run: RunConfig { epoch_records_max: 7, ..RunConfig::default() },
            stop: Arc::default(),
        }
    }

    pub(crate) fn run(self) -> (Result<RunReport, Fault>, Memory) {
        let memory = Arc::new(Mutex::new(Memory::default()));
        let sink: &'static FakeSink =
            Box::leak(Box::new(FakeSink(Mutex::new(Some(memory.clone())))));
        let origin = |id: String| Origin { id, output: 0, port: "ticks" };
        let ids: Vec<String> = (0..self.sources.len()).map(|i| format!("source{i}")).collect();
        let source = |(config, id): (Value, &String)| SourcePlan {
            id: id.clone(),
            definition: &FakeSource,
            config,
            ack: Ack::default(),
            on_change: OnChange::default(),
            heal: None,
        };
        let plan = Plan {
            name: "fake".to_owned(),
            run: self.run,
            sources: self.sources.into_iter().zip(&ids).map(source).collect(),
            operators: vec![OperatorPlan {
                id: "count".to_owned(),
                definition: &FakeCount,
                config: self.operator,
                inputs: ids.into_iter().map(origin).collect(),
                kind: Kind::Ticks,
                on_change: OnChange::default(),
            }],
            sinks: vec![SinkPlan {
                id: "sink".to_owned(),
                definition: sink,
                config: self.sink,
                inputs: vec![origin("count".to_owned())],
                kind: Kind::Ticks,
                on_change: OnChange::default(),
                guarantee: Guarantee::ExactlyOnce,
                is_promised: false,
            }],
            ..Plan::default()
        };
        let status = Arc::new(Status::new(&plan));
        let start = dataflows::driver::durable::Start::Forgetful;
        let options = Options { stop: self.stop, start, ..Options::default() };
        let outcome = run(&plan, options, status);
        let seen = memory.lock().unwrap().clone();
        (outcome, seen)
    }
}
