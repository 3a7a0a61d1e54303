//! Runs an operator as the engine would: series shared out to workers by key group, epochs cut
//! into batches, and a restart from snapshots with other workers and other series numbers.

use dataflows::batch::{Record, Rows};
use dataflows::component::operator::OperatorContext;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use operators::OPERATORS;
use proptest::prelude::{Strategy, any};
use proto::candle::Candle;
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::{KEY_GROUPS, SeriesId, SeriesTable, key_group, worker_of};
use proto::tick::Tick;
use serde_json::Value;

/// The series of the tests; scripts and results name them by their place here.
pub(crate) const SERIES: [(&str, &str); 4] =
    [("mt4", "EURUSD"), ("mt5", "EURUSD"), ("mt5", "XAUUSD"), ("ib", "AAPL")];

pub(crate) fn seconds(seconds: i64) -> EventTime {
    EventTime::from_ns(seconds * 1_000_000_000)
}

/// One epoch: its records in the order of the source, and its clock.
#[derive(Debug, Clone)]
pub(crate) struct Step<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) clock: EventTime,
    pub(crate) is_last: bool,
}

/// Epochs of these rows, one second of the clock apart.
pub(crate) fn every_second<T>(epochs: impl IntoIterator<Item = Vec<T>>) -> Vec<Step<T>> {
    let step = |(at, rows)| Step { rows, clock: seconds(at as i64 + 1), is_last: false };
    epochs.into_iter().enumerate().map(step).collect()
}

/// How a run is carried out; nothing of it may be seen in the results.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The workers of every stretch between two restarts.
    pub(crate) workers: Vec<usize>,
    /// How many epochs a stretch has.
    pub(crate) stretch: usize,
    /// How many records a batch has.
    pub(crate) batch: usize,
}

impl Shape {
    pub(crate) const PLAIN: fn() -> Self =
        || Self { workers: vec![1], stretch: usize::MAX, batch: 1_000 };
}

pub(crate) fn shapes() -> impl Strategy<Value = Shape> {
    let workers = proptest::collection::vec(proptest::sample::select(vec![1, 2, 4]), 1..5);
    (workers, 1..6_usize, 1..5_usize).prop_map(|(workers, stretch, batch)| Shape {
        workers,
        stretch,
        batch,
    })
}

/// Cuts `rows` into epochs at random places.
pub(crate) fn cut<T: Clone>(rows: &[T], cuts: &[bool]) -> Vec<Vec<T>> {
    let mut epochs = vec![Vec::new()];
    for (row, cut) in rows.iter().zip(cuts.iter().chain(std::iter::repeat(&false))) {
        if *cut {
            epochs.push(Vec::new());
        }
        epochs.last_mut().unwrap().push(row.clone());
    }
    epochs
}

pub(crate) fn cuts() -> impl Strategy<Value = Vec<bool>> {
    proptest::collection::vec(any::<bool>(), 0..60)
}

/// A record whose series can be renamed and that a machine can take.
pub(crate) trait Sample: Record + Clone {
    fn number(&mut self) -> &mut SeriesId;
    fn machine(machine: AnyMachine) -> Box<dyn Machine<Self>>;
}

impl Sample for Tick {
    fn number(&mut self) -> &mut SeriesId {
        &mut self.series
    }
    fn machine(machine: AnyMachine) -> Box<dyn Machine<Self>> {
        let AnyMachine::Ticks(machine) = machine else { panic!("{machine:?}") };
        machine
    }
}

impl Sample for Candle {
    fn number(&mut self) -> &mut SeriesId {
        &mut self.series
    }
    fn machine(machine: AnyMachine) -> Box<dyn Machine<Self>> {
        let AnyMachine::Candles(machine) = machine else { panic!("{machine:?}") };
        machine
    }
}

pub(crate) fn context(kind: Kind, series: SeriesTable) -> OperatorContext {
    let (id, root) = ("it".into(), ".".into());
    OperatorContext { id, root, series, kind, range: None, used_outputs: Vec::new() }
}

pub(crate) fn definition(
    operator: &str,
) -> &'static dyn dataflows::component::operator::OperatorDefinition {
    *OPERATORS.iter().find(|definition| definition.name() == operator).unwrap()
}

/// The machines of a stretch, with the numbers that series have in it.
struct Cluster<T> {
    machines: Vec<(Box<dyn Machine<T>>, Emit)>,
    numbers: Vec<SeriesId>,
}

impl<T: Sample> Cluster<T> {
    /// `turn` decides how series are numbered.
    fn start(operator: &str, config: &Value, workers: usize, turn: usize) -> Self {
        let table = SeriesTable::new();
        for at in 0..SERIES.len() {
            let (source, instrument) = SERIES[(at * 3 + turn) % SERIES.len()];
            table.intern(source, instrument).unwrap();
        }
        let numbers = SERIES.iter().map(|(s, i)| table.find(s, i).unwrap()).collect();
        let definition = definition(operator);
        let kinds: Vec<Kind> =
            definition.outputs().iter().map(|output| output.kind.unwrap_or(T::KIND)).collect();
        let machine = || {
            let built = definition.build(config, context(T::KIND, table.clone())).unwrap();
            (T::machine(built), Emit::new(&kinds))
        };
        Self { machines: (0..workers).map(|_| machine()).collect(), numbers }
    }

    fn restore_from(&mut self, other: &Self) {
        let workers = (self.machines.len(), other.machines.len());
        for group in 0..KEY_GROUPS {
            let mut bytes = Vec::new();
            let writer = &other.machines[worker_of(group, workers.1)].0;
            writer.snapshot(group, &mut bytes).unwrap();
            let version = writer.state_version();
            let reader = &mut self.machines[worker_of(group, workers.0)].0;
            reader.restore(group, version, &bytes).unwrap();
            let mut again = Vec::new();
            reader.snapshot(group, &mut again).unwrap();
            assert_eq!(again, bytes, "the same state gives the same bytes");
        }
    }

    fn step(&mut self, step: &Step<T>, epoch: u64, batch: usize, out: &mut [Rows]) {
        let workers = self.machines.len();
        let mut shares = vec![Vec::new(); workers];
        for row in &step.rows {
            let mut row = row.clone();
            let (source, instrument) = SERIES[row.number().index()];
            *row.number() = self.numbers[row.number().index()];
            shares[worker_of(key_group(source, instrument), workers)].push(row);
        }
        let (clock, is_last) = (step.clock, step.is_last);
        let moment = Moment { epoch, clock, watermarks: Vec::new(), is_last };
        for ((machine, emit), share) in self.machines.iter_mut().zip(shares) {
            for batch in share.chunks(batch) {
                machine.apply(&mut batch.to_vec(), emit);
            }
            machine.seal(&moment, emit);
            for (number, port) in out.iter_mut().enumerate() {
                append(port, emit.take(number), &self.numbers);
            }
        }
    }
}

/// Appends rows, named by their place in [`SERIES`], ordered by key; within a key as they came.
fn append(port: &mut Rows, rows: Rows, numbers: &[SeriesId]) {
    let place = |id: SeriesId| {
        SeriesId(u32::try_from(numbers.iter().position(|n| *n == id).unwrap()).unwrap())
    };
    match (port, rows) {
        (Rows::Ticks(port), Rows::Ticks(rows)) => {
            port.extend(rows.into_iter().map(|tick| Tick { series: place(tick.series), ..tick }));
            port.sort_by_key(|tick| tick.series);
        }
        (Rows::Candles(port), Rows::Candles(rows)) => {
            port.extend(rows.into_iter().map(|c| Candle { series: place(c.series), ..c }));
            port.sort_by_key(|candle| (candle.series, candle.timeframe));
        }
        (Rows::Rejects(port), Rows::Rejects(rows)) => {
            port.extend(rows.into_iter().map(|reject| {
                let tick = reject.tick.map(|tick| Tick { series: place(tick.series), ..tick });
                Reject { tick, ..reject }
            }));
            port.sort_by_key(Reject::series);
        }
        (port, rows) => panic!("{:?} where {:?} was promised", rows.kind(), port.kind()),
    }
}

/// Runs `operator` over `steps`; gives what each epoch emitted, by output, ordered by key.
pub(crate) fn run<T: Sample>(
    operator: &str,
    config: &Value,
    steps: &[Step<T>],
    shape: &Shape,
) -> Vec<Vec<Rows>> {
    let empty: Vec<Rows> = definition(operator)
        .outputs()
        .iter()
        .map(|output| Rows::empty(output.kind.unwrap_or(T::KIND)))
        .collect();
    let mut cluster: Option<Cluster<T>> = None;
    let mut results = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if at % shape.stretch == 0 {
            let turn = at / shape.stretch;
            let workers = shape.workers[turn % shape.workers.len()];
            let mut next = Cluster::start(operator, config, workers, turn);
            if let Some(before) = &cluster {
                next.restore_from(before);
            }
            cluster = Some(next);
        }
        let mut out = empty.clone();
        cluster.as_mut().unwrap().step(step, at as u64 + 1, shape.batch, &mut out);
        results.push(out);
    }
    results
}

/// All that `port` gave in all epochs, ordered by key.
pub(crate) fn all<T: Sample>(results: &[Vec<Rows>], port: usize) -> Vec<T> {
    let mut rows: Vec<T> =
        results.iter().flat_map(|epoch| T::unwrap(epoch[port].clone()).unwrap()).collect();
    rows.sort_by_key(|row| *row.clone().number());
    rows
}

/// What `port` gave, epoch by epoch.
pub(crate) fn by_epoch<T: Sample>(results: &[Vec<Rows>], port: usize) -> Vec<Vec<T>> {
    results.iter().map(|epoch| T::unwrap(epoch[port].clone()).unwrap()).collect()
}

/// All rejects of `port`: (reason, tick, clock), ordered by series.
pub(crate) fn rejects(results: &[Vec<Rows>], port: usize) -> Vec<(String, Tick, EventTime)> {
    let mut rows: Vec<_> = results
        .iter()
        .flat_map(|epoch| Reject::unwrap(epoch[port].clone()).unwrap())
        .map(|reject| (reject.reason, reject.tick.unwrap(), reject.clock))
        .collect();
    rows.sort_by_key(|(_, tick, _)| tick.series);
    rows
}
