//! A source of ticks that are in memory already, and a sink that only looks: so that a run through the
//! engine measures the engine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataflows::batch::Rows;
use dataflows::component::sink::{
    Ending, Guarantee, Sealed, Sink, SinkContext, SinkDefinition, SinkReport,
};
use dataflows::component::source::{
    Intake, Position, Promise, Source, SourceContext, SourceDefinition,
};
use dataflows::component::{Definition, Output};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::Epoch;
use serde_json::Value;

use crate::market;

/// Gives ticks from memory; with `pause_us` one at a time, with a pause before each.
#[derive(Debug)]
pub struct Memory;

/// Counts, and notes when the newest tick of each epoch had come through.
#[derive(Debug)]
pub struct Watch;

/// When the ticks of a run went in and came out, by sequence; shared by all runs of the process.
#[derive(Debug, Default)]
pub struct Log {
    /// When each tick was handed in.
    pub went_in: Mutex<Vec<Instant>>,
    /// (sequence, when it had come through).
    pub came_out: Mutex<Vec<(u64, Instant)>>,
    /// When the first batch was asked for: what came before was making the ticks.
    pub started: Mutex<Option<(Instant, crate::meter::Meter)>>,
}

/// The log of the run under way.
pub static LOG: std::sync::LazyLock<Log> = std::sync::LazyLock::new(Log::default);

macro_rules! definition {
    ($type:ty, $name:literal) => {
        impl Definition for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn summary(&self) -> &'static str {
                "For benchmarks."
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
definition!(Memory, "memory");
definition!(Watch, "watch");

const OUTPUTS: &[Output] = &[Output { name: "ticks", kind: Some(Kind::Ticks), about: "" }];

impl SourceDefinition for Memory {
    fn outputs(&self) -> &'static [Output] {
        OUTPUTS
    }

    fn is_bounded(&self, config: &Value) -> bool {
        config.get("pause_us").is_none()
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
        let get = |key| config.get(key).and_then(Value::as_u64);
        let number =
            |key, default| get(key).and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
        let pause = get("pause_us").map(Duration::from_micros);
        let batch = if pause.is_some() { 1 } else { number("batch", 16_384) };
        let mut batches = market::ticks(&context.series, number("ticks", 1_000_000), batch);
        batches.reverse();
        Ok(Box::new(Running { batches, pause }))
    }
}

struct Running {
    batches: Vec<Vec<proto::tick::Tick>>,
    pause: Option<Duration>,
}

impl Source for Running {
    fn next(&mut self, _: &AtomicBool) -> Result<Option<Intake>, Fault> {
        let mut started = LOG.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.get_or_insert_with(|| (Instant::now(), crate::meter::Meter::start()));
        drop(started);
        if let Some(pause) = self.pause {
            std::thread::sleep(pause);
            LOG.went_in.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
        let intake = |ticks| Intake {
            rows: Rows::Ticks(ticks),
            rejects: Vec::new(),
            position: Position::default(),
            deliveries: Vec::new(),
        };
        Ok(self.batches.pop().map(intake))
    }

    fn settle(&mut self, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

impl SinkDefinition for Watch {
    fn takes(&self) -> &'static [Kind] {
        Kind::ALL
    }

    fn guarantee(&self, _: &Value, _: Kind) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn open(&self, _: &Value, _: SinkContext) -> Result<Box<dyn Sink>, Fault> {
        Ok(Box::new(Watching(Arc::default())))
    }
}

struct Watching(Arc<AtomicU64>);

impl Sink for Watching {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(None)
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        for rows in &sealed.runs {
            self.0.fetch_add(rows.len() as u64, Ordering::Relaxed);
            if let Rows::Candles(candles) = rows
                && let Some(newest) = candles.iter().map(|candle| candle.last_sequence).max()
                && candles.len() < 16
            {
                let mut log = LOG.came_out.lock().unwrap_or_else(PoisonError::into_inner);
                log.push((newest, Instant::now()));
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn finish(&mut self, _: Ending) -> Result<SinkReport, Fault> {
        Ok(SinkReport { rows: self.0.load(Ordering::Relaxed), ..SinkReport::default() })
    }
}

/// Checks and runs a job made of these components and the operators.
///
/// # Errors
/// What the job's checks or the run have to say.
pub fn run(job: &str) -> Result<dataflows::driver::RunReport, String> {
    run_durably(job, dataflows::driver::durable::Start::Forgetful, false)
}

/// The same, with a journal and checkpoints as `start` and the job say; `is_recording`: the journal
/// keeps every record.
///
/// # Errors
/// What the job's checks or the run have to say.
pub fn run_durably(
    job: &str,
    start: dataflows::driver::durable::Start,
    is_recording: bool,
) -> Result<dataflows::driver::RunReport, String> {
    use dataflows::catalog::Catalog;
    use dataflows::driver::status::Status;
    use dataflows::driver::{Options, run};
    let catalog =
        Catalog { sources: &[&Memory], operators: operators::OPERATORS, sinks: &[&Watch] };
    let plan = dataflows::job::lint::check(job, std::path::Path::new("bench"), &catalog, &|_| None)
        .map_err(|mistakes| mistakes.to_string())?;
    let options = Options { start, is_recording, ..Options::default() };
    *LOG.started.lock().unwrap_or_else(PoisonError::into_inner) = None;
    LOG.went_in.lock().unwrap_or_else(PoisonError::into_inner).clear();
    LOG.came_out.lock().unwrap_or_else(PoisonError::into_inner).clear();
    run(&plan, options, Arc::new(Status::new(&plan))).map_err(|fault| fault.to_string())
}
