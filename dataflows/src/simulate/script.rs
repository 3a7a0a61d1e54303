//! The runner of a job file's tests: the job's operators in the stepped engine, its sources fed by
//! the test, its sinks and ports looked at by it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use proto::columns::Names;
use proto::event_time::EventTime;
use proto::series::SeriesTable;
use serde_json::{Map, Value};

use crate::batch::Rows;
use crate::catalog::Catalog;
use crate::codec;
use crate::component::sink::{Ending, Sealed, Sink, SinkContext, SinkReport};
use crate::component::source::{Delivery, Intake, Position, Promise, Source, SourceContext};
use crate::driver::durable::Backing;
use crate::fault::Fault;
use crate::job::plan::{Origin, Plan, SinkPlan, SourcePlan};
use crate::job::state::StateConfig;
use crate::job::tests::{ExpectPlace, Step, StepPlan, TestPlan};
use crate::kind::Kind;
use crate::moment::Epoch;
use crate::simulate::clock::VirtualClock;
use crate::simulate::disk::MemoryDisk;
use crate::simulate::stepped::{Stepped, World};
use crate::simulate::store::MemoryStore;
use crate::simulate::tap::TAP;
use crate::verdict;

/// Why a test failed, with the place of the step in the job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// What was expected and what was found.
    pub message: String,
}

/// Runs a test of a job; relative paths start at `root`.
///
/// # Errors
/// The first step that failed, and why.
pub fn run(plan: &Plan, test: &TestPlan, catalog: &Catalog, root: &Path) -> Result<(), Failure> {
    let mut script = Script::new(plan, test, catalog, root);
    for step in &test.steps {
        script.take(step).map_err(|message| {
            let (line, column) = (step.line, step.column);
            Failure { line, column, message }
        })?;
    }
    Ok(())
}

/// A test under way.
struct Script<'job> {
    catalog: &'job Catalog,
    root: &'job Path,
    plan: Plan,
    /// The sinks of the plan that stand for ports.
    taps: Vec<(Origin, usize)>,
    disk: MemoryDisk,
    store: MemoryStore,
    outside: Outside,
    engine: Option<Stepped>,
}

/// What outlives a crash.
struct Outside {
    /// By source: what it was fed, as bytes that name their series.
    fed: Vec<Arc<Mutex<Vec<Vec<u8>>>>>,
    came: Vec<Arc<Mutex<Came>>>,
}

/// What came at a sink.
#[derive(Debug, Default)]
struct Came {
    applied: Epoch,
    /// Since it was looked at.
    rows: BTreeMap<Epoch, (SeriesTable, Vec<Rows>)>,
}

impl<'job> Script<'job> {
    fn new(job: &Plan, test: &TestPlan, catalog: &'job Catalog, root: &'job Path) -> Self {
        let mut plan = job.clone();
        plan.run.workers = test.workers;
        plan.state = StateConfig { durable: true, ..job.state.clone() };
        let mut taps: Vec<(Origin, usize)> = Vec::new();
        for step in &test.steps {
            let Step::Expect { place: ExpectPlace::Port(origin), .. } = &step.step else {
                continue;
            };
            if taps.iter().any(|(other, _)| other == origin) {
                continue;
            }
            taps.push((origin.clone(), plan.sinks.len()));
            plan.sinks.push(SinkPlan {
                id: format!("{} {}", origin.id, origin.port),
                definition: &TAP,
                config: Value::Null,
                inputs: vec![origin.clone()],
                kind: kind_of(job, origin),
                on_change: job.state.on_change,
                guarantee: crate::component::sink::Guarantee::ExactlyOnce,
                is_promised: false,
            });
        }
        let outside = Outside {
            fed: plan.sources.iter().map(|_| Arc::default()).collect(),
            came: plan.sinks.iter().map(|_| Arc::default()).collect(),
        };
        let (disk, store) = (MemoryDisk::new(), MemoryStore::new());
        Self { catalog, root, plan, taps, disk, store, outside, engine: None }
    }

    fn take(&mut self, step: &StepPlan) -> Result<(), String> {
        match &step.step {
            Step::Feed { source, records } => self.feed(*source, records),
            Step::FeedFile { source, with, .. } => self.feed_file(*source, with),
            Step::Epoch => self.close(None, false, false),
            Step::Advance(by) => {
                let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
                let now = self.now()?.ns().max(0);
                self.close(Some(EventTime::from_ns(now.saturating_add(by))), false, false)
            }
            Step::Clock(time) => self.close(Some(*time), false, false),
            Step::Checkpoint => self.close(None, false, true),
            Step::Crash => {
                self.engine()?;
                self.engine = None;
                // What was not synced is gone.
                self.disk.crash(&mut |_| 0);
                self.engine().map(|_| ())
            }
            Step::Restart { workers } => {
                self.stop()?;
                self.plan.run.workers = workers.unwrap_or(self.plan.run.workers);
                self.engine().map(|_| ())
            }
            Step::End => {
                self.close(None, true, false)?;
                self.engine = None;
                Ok(())
            }
            Step::Expect { place, rows, unordered } => self.expect(place, rows, *unordered),
        }
    }

    /// Gives the engine, started if it is not.
    fn engine(&mut self) -> Result<&mut Stepped, String> {
        if self.engine.is_none() {
            let backing = Backing {
                disk: Arc::new(self.disk.clone()),
                store: Arc::new(self.store.clone()),
                request: None,
                lock: None,
            };
            let clock = Arc::new(VirtualClock::at(EventTime::from_ns(0)));
            let engine = Stepped::start(&self.plan, backing, clock, &self.outside, true);
            let mut engine = engine.map_err(|fault| fault.to_string())?;
            engine.settle().map_err(|fault| fault.to_string())?;
            self.engine = Some(engine);
        }
        self.engine.as_mut().ok_or_else(|| "the job has ended".to_owned())
    }

    fn now(&mut self) -> Result<EventTime, String> {
        let engine = self.engine()?;
        Ok(engine.clock().max(engine.reached()))
    }

    fn close(
        &mut self,
        clock: Option<EventTime>,
        is_last: bool,
        is_cut: bool,
    ) -> Result<(), String> {
        let now = self.now()?;
        let engine = self.engine()?;
        engine.close(clock.unwrap_or(now).max(now), is_last, is_cut);
        engine.settle().map_err(|fault| fault.to_string())
    }

    fn stop(&mut self) -> Result<(), String> {
        let engine = self.engine()?;
        engine.stop();
        engine.settle().map_err(|fault| fault.to_string())?;
        let is_over = engine.is_over();
        self.engine = None;
        if is_over { Ok(()) } else { Err("the job did not end in good order".to_owned()) }
    }

    fn feed(&mut self, source: usize, records: &[Value]) -> Result<(), String> {
        let table = SeriesTable::new();
        let kind = self.plan.sources.get(source).map_or(Kind::Ticks, first_kind);
        let rows = verdict::rows_of(kind, records, &table)?;
        self.hand_in(source, &rows, &[], &table)
    }

    fn feed_file(&mut self, source: usize, with: &Value) -> Result<(), String> {
        let definition = self.catalog.source("file").ok_or("there is no source `file`")?;
        let table = SeriesTable::new();
        let id = self.plan.sources.get(source).map(|plan| plan.id.clone()).unwrap_or_default();
        let root = self.root.to_owned();
        let job = self.plan.name.clone();
        let context = SourceContext {
            job,
            id,
            root,
            series: table.clone(),
            range: None,
            threads: 1,
            health: Arc::default(),
            is_healed: false,
        };
        let opened = definition.open(with, None, context);
        let mut file = opened.map_err(|fault| fault.to_string())?;
        let stop = AtomicBool::new(false);
        while let Some(intake) = file.next(&stop).map_err(|fault| fault.to_string())? {
            self.hand_in(source, &intake.rows, &intake.rejects, &table)?;
        }
        Ok(())
    }

    fn hand_in(
        &mut self,
        source: usize,
        rows: &Rows,
        rejects: &[proto::reject::Reject],
        table: &SeriesTable,
    ) -> Result<(), String> {
        let mut bytes = Vec::new();
        let mut names = Names::new(table.clone());
        codec::encode(rows, rejects, &mut names, &mut bytes).map_err(|fault| fault.to_string())?;
        if let Some(fed) = self.outside.fed.get(source) {
            fed.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
        self.engine()?.settle().map_err(|fault| fault.to_string())
    }

    fn expect(
        &mut self,
        place: &ExpectPlace,
        rows: &[Value],
        unordered: bool,
    ) -> Result<(), String> {
        let (name, number) = match place {
            ExpectPlace::Sink(number) => {
                let sink = self.plan.sinks.get(*number);
                (sink.map(|sink| sink.id.clone()).unwrap_or_default(), Some(*number))
            }
            ExpectPlace::Port(origin) => {
                let tap = self.taps.iter().find(|(other, _)| other == origin);
                (format!("{}.{}", origin.id, origin.port), tap.map(|(_, number)| *number))
            }
        };
        let Some(came) = number.and_then(|number| self.outside.came.get(number)) else {
            return Err(format!("nothing was watched at {name}"));
        };
        let came = std::mem::take(&mut came.lock().unwrap_or_else(PoisonError::into_inner).rows);
        let got: Vec<Map<String, Value>> =
            came.into_values().flat_map(|(table, runs)| verdict::objects(runs, &table)).collect();
        verdict::compare(rows, &got, unordered).map_err(|why| format!("{name}: {why}"))
    }
}

fn first_kind(source: &SourcePlan) -> Kind {
    source.outputs().first().and_then(|output| output.kind).unwrap_or(Kind::Ticks)
}

/// What an output of the job carries.
fn kind_of(job: &Plan, origin: &Origin) -> Kind {
    if let Some(source) = job.sources.iter().find(|source| source.id == origin.id) {
        let output = source.outputs().get(origin.output);
        return output.and_then(|output| output.kind).unwrap_or(Kind::Ticks);
    }
    let operator = job.operators.iter().find(|operator| operator.id == origin.id);
    let kinds = operator.map(crate::job::plan::OperatorPlan::output_kinds).unwrap_or_default();
    kinds.get(origin.output).copied().unwrap_or(Kind::Ticks)
}

impl World for Outside {
    fn source(
        &self,
        number: usize,
        plan: &SourcePlan,
        behind: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        let next = behind.and_then(|position| position.0.try_into().ok()).map(u64::from_le_bytes);
        Ok(Box::new(Fed {
            fed: self.fed.get(number).cloned().unwrap_or_default(),
            next: next.and_then(|next| usize::try_from(next).ok()).unwrap_or(0),
            has_names: plan.definition.promise(&plan.config) != Promise::Replays,
            context,
        }))
    }

    fn sink(
        &self,
        number: usize,
        _: &SinkPlan,
        context: SinkContext,
    ) -> Result<Box<dyn Sink>, Fault> {
        let came = self.came.get(number).cloned().unwrap_or_default();
        Ok(Box::new(Watched { came, series: context.series }))
    }
}

/// A source that hands in what the test feeds; it can always be read again.
struct Fed {
    fed: Arc<Mutex<Vec<Vec<u8>>>>,
    next: usize,
    /// It stands for a queue: what it hands in has names, by which it is known again.
    has_names: bool,
    context: SourceContext,
}

impl Source for Fed {
    fn next(&mut self, _: &AtomicBool) -> Result<Option<Intake>, Fault> {
        let bytes = {
            let fed = self.fed.lock().unwrap_or_else(PoisonError::into_inner);
            fed.get(self.next).cloned()
        };
        let position = |next: usize| Position((next as u64).to_le_bytes().to_vec());
        let Some(bytes) = bytes else {
            let rows = Rows::Ticks(Vec::new());
            let position = position(self.next);
            return Ok(Some(Intake {
                rows,
                rejects: Vec::new(),
                position,
                deliveries: Vec::new(),
            }));
        };
        let place = format!("sources.{}", self.context.id);
        let (rows, rejects) = codec::decode(&place, &bytes, &self.context.series)?;
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let delivery = Delivery {
            id: Some(self.next as u128),
            rows: count(rows.len()),
            rejects: count(rejects.len()),
        };
        self.next += 1;
        let deliveries = if self.has_names { vec![delivery] } else { Vec::new() };
        Ok(Some(Intake { rows, rejects, position: position(self.next), deliveries }))
    }

    fn settle(&mut self, _: &Position) -> Result<(), Fault> {
        Ok(())
    }
}

/// A sink that keeps what came, each epoch once.
struct Watched {
    came: Arc<Mutex<Came>>,
    series: SeriesTable,
}

impl Sink for Watched {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(Some(self.came.lock().unwrap_or_else(PoisonError::into_inner).applied))
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        if sealed.moment.epoch > came.applied {
            came.applied = sealed.moment.epoch;
            came.rows.insert(sealed.moment.epoch, (self.series.clone(), sealed.runs));
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn finish(&mut self, _: Ending) -> Result<SinkReport, Fault> {
        Ok(SinkReport::default())
    }
}
