//! What can be seen of a run from outside: counters, progress, the first failure.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::{FeedId, SeriesTable};

use crate::component::health::Health;
use crate::component::source::Promise;
use crate::driver::SourceReport;
use crate::driver::reading::{CheckpointReading, Link, Phase, Reading, SinkReading, SourceReading};
use crate::driver::spread::{Spread, Tally};
use crate::fault::Fault;
use crate::job::plan::Plan;
use crate::moment::{Epoch, Moment};

/// So many pairs of component and reason are told apart, and so many feeds: names come from data,
/// and whoever reads the counters must not drown in them.
const NAMES_MAX: usize = 64;

/// Counters of one source.
#[derive(Debug, Default)]
struct SourceStatus {
    id: String,
    records: AtomicU64,
    rejects: AtomicU64,
    redelivered: AtomicU64,
    is_healed: bool,
    healed: AtomicU64,
    unhealed: AtomicU64,
    is_acked: bool,
    /// Records and rejects that need not be acknowledged any more.
    acked: AtomicU64,
    blocked_ns: AtomicU64,
    /// Thousandths of the input read; above 1000: not known.
    permille: AtomicU32,
    health: Arc<Health>,
}

/// Counters of one sink.
#[derive(Debug, Default)]
struct SinkStatus {
    id: String,
    taken: AtomicU64,
    applied: AtomicU64,
    epoch: AtomicU64,
    blocked_ns: AtomicU64,
    ages: Spread,
    health: Arc<Health>,
}

/// What the journal's and the checkpoints' threads count.
#[derive(Debug, Default)]
struct Kept {
    journal_bytes: AtomicU64,
    journal_syncs: Spread,
    durations: Spread,
    bytes: AtomicU64,
    last: AtomicI64,
    failures: AtomicU64,
}

/// A run as others see it; shared, written without locks on the way of the records.
#[derive(Debug)]
pub struct Status {
    began: Instant,
    phase: AtomicU8,
    sources: Vec<SourceStatus>,
    /// Names (`candles.closed`) and counts, in the order of the plan.
    outputs: Vec<(String, AtomicU64)>,
    sinks: Vec<SinkStatus>,
    epochs: AtomicU64,
    clock: AtomicI64,
    /// When the coordinator last moved, since the beginning.
    turned_ns: AtomicU64,
    /// Until new input was taken; 0: not yet.
    recovery_ns: AtomicU64,
    is_resumed: AtomicBool,
    kept: Kept,
    /// By component and reason; locked once for a batch that has any.
    rejects: Mutex<BTreeMap<(String, String), u64>>,
    series: OnceLock<SeriesTable>,
    moment: Mutex<Option<Arc<Moment>>>,
    /// Whether somebody reads what costs a little for each record.
    is_watched: AtomicBool,
    failed: AtomicBool,
    failure: Mutex<Option<Fault>>,
}

fn add_ns(counter: &AtomicU64, duration: Duration) {
    counter.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn get_ns(counter: &AtomicU64) -> Duration {
    Duration::from_nanos(counter.load(Ordering::Relaxed))
}

impl Status {
    /// Makes the counters of a plan.
    pub fn new(plan: &Plan) -> Self {
        let sources = plan.sources.iter().map(|source| SourceStatus {
            id: source.id.clone(),
            is_acked: source.definition.promise(&source.config) == Promise::Redelivers,
            is_healed: source.heal.is_some(),
            permille: AtomicU32::new(u32::MAX),
            ..SourceStatus::default()
        });
        let sinks = plan.sinks.iter();
        let sinks = sinks.map(|sink| SinkStatus { id: sink.id.clone(), ..SinkStatus::default() });
        let outputs = plan.operators.iter().flat_map(|operator| {
            let id = &operator.id;
            operator.definition.outputs().iter().map(move |output| format!("{id}.{}", output.name))
        });
        Self {
            began: Instant::now(),
            phase: AtomicU8::new(0),
            sources: sources.collect(),
            outputs: outputs.map(|name| (name, AtomicU64::new(0))).collect(),
            sinks: sinks.collect(),
            epochs: AtomicU64::new(0),
            clock: AtomicI64::new(i64::MIN),
            turned_ns: AtomicU64::new(0),
            recovery_ns: AtomicU64::new(0),
            is_resumed: AtomicBool::new(false),
            kept: Kept::default(),
            rejects: Mutex::default(),
            series: OnceLock::new(),
            moment: Mutex::default(),
            is_watched: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// What the source or sink with this id says of its connection.
    pub(crate) fn health(&self, id: &str) -> Arc<Health> {
        let sources = self.sources.iter().map(|source| (&source.id, &source.health));
        let mut all = sources.chain(self.sinks.iter().map(|sink| (&sink.id, &sink.health)));
        all.find(|(own, _)| *own == id).map(|(_, health)| health.clone()).unwrap_or_default()
    }

    /// Somebody reads: from now on also what costs a little for each record is measured.
    pub fn watch(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// The run enters a phase; it never goes back.
    pub(crate) fn enter(&self, phase: Phase) {
        let number = Phase::ALL.iter().position(|other| *other == phase);
        let number = number.and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
        self.phase.fetch_max(number, Ordering::AcqRel);
        if phase == Phase::Running && self.recovery_ns.load(Ordering::Relaxed) == 0 {
            add_ns(&self.recovery_ns, self.began.elapsed().max(Duration::from_nanos(1)));
        }
        self.turned();
    }

    /// The coordinator is at work.
    pub(crate) fn turned(&self) {
        let ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.turned_ns.store(ns, Ordering::Relaxed);
    }

    pub(crate) fn set_series(&self, series: &SeriesTable, is_resumed: bool) {
        self.is_resumed.store(is_resumed, Ordering::Relaxed);
        // A status is of one run.
        drop(self.series.set(series.clone()));
    }

    pub(crate) fn count_intake(&self, source: usize, records: usize, rejects: &[Reject]) {
        if let Some(status) = self.sources.get(source) {
            self.count_replayed(source, records, rejects.len());
            self.count_rejects(&status.id, rejects);
        }
    }

    /// As [`Status::count_intake`], for what comes from a recording.
    pub(crate) fn count_replayed(&self, source: usize, records: usize, rejects: usize) {
        if let Some(status) = self.sources.get(source) {
            status.records.fetch_add(records as u64, Ordering::Relaxed);
            status.rejects.fetch_add(rejects as u64, Ordering::Relaxed);
        }
    }

    /// What a source was handed is acknowledged.
    pub(crate) fn count_acked(&self, source: usize, records: u64) {
        if let Some(status) = self.sources.get(source) {
            status.acked.fetch_add(records, Ordering::Relaxed);
        }
    }

    /// Counts what a component did not accept.
    pub(crate) fn count_rejects(&self, component: &str, rejects: &[Reject]) {
        if rejects.is_empty() {
            return;
        }
        let mut counts = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        for run in rejects.chunk_by(|left, right| left.reason == right.reason) {
            let reason = run.first().map_or("", |reject| reject.reason.as_str());
            let mut key = (component.to_owned(), reason.to_owned());
            if counts.len() >= NAMES_MAX && !counts.contains_key(&key) {
                "other".clone_into(&mut key.1);
            }
            *counts.entry(key).or_default() += run.len() as u64;
        }
    }

    pub(crate) fn count_redelivered(&self, source: usize, messages: usize, records: usize) {
        if let Some(status) = self.sources.get(source) {
            status.redelivered.fetch_add(messages as u64, Ordering::Relaxed);
        }
        self.count_acked(source, records as u64);
    }

    /// Ticks that a source's queue had lost came from the archive.
    pub(crate) fn count_healed(&self, source: usize, ticks: usize) {
        if let Some(status) = self.sources.get(source) {
            status.healed.fetch_add(ticks as u64, Ordering::Relaxed);
        }
    }

    /// What a source's queue had lost could not be healed whole.
    pub(crate) fn count_unhealed(&self, source: usize) {
        if let Some(status) = self.sources.get(source) {
            status.unhealed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_progress(&self, source: usize, permille: Option<u32>) {
        if let Some(status) = self.sources.get(source) {
            status.permille.store(permille.unwrap_or(u32::MAX), Ordering::Relaxed);
        }
    }

    /// A source waited so long to hand over what it had.
    pub(crate) fn count_blocked_source(&self, source: usize, waited: Duration) {
        if let Some(status) = self.sources.get(source) {
            add_ns(&status.blocked_ns, waited);
        }
    }

    /// The coordinator waited so long for the sinks that had not applied `epoch`.
    pub(crate) fn count_blocked(&self, late: &[usize], waited: Duration) {
        for sink in late.iter().filter_map(|sink| self.sinks.get(*sink)) {
            add_ns(&sink.blocked_ns, waited);
        }
    }

    pub(crate) fn count_output(&self, output: usize, records: usize) {
        if let Some((_, count)) = self.outputs.get(output) {
            count.fetch_add(records as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_taken(&self, sink: usize, records: usize) {
        if let Some(status) = self.sinks.get(sink) {
            status.taken.fetch_add(records as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_applied(&self, sink: usize, epoch: Epoch, records: usize, ages: &Tally) {
        if let Some(status) = self.sinks.get(sink) {
            status.applied.fetch_add(records as u64, Ordering::Relaxed);
            status.epoch.store(epoch, Ordering::Relaxed);
            if ages.count() > 0 {
                status.ages.add_all(ages);
            }
        }
    }

    pub(crate) fn count_sync(&self, bytes: u64, took: Duration) {
        self.kept.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.kept.journal_syncs.add(took);
    }

    pub(crate) fn count_checkpoint(&self, bytes: u64, at: EventTime, took: Duration) {
        self.kept.durations.add(took);
        self.kept.bytes.store(bytes, Ordering::Relaxed);
        self.kept.last.store(at.ns(), Ordering::Relaxed);
    }

    pub(crate) fn count_failed_checkpoint(&self) {
        self.kept.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn restored(&self, epoch: Epoch, clock: EventTime) {
        self.epochs.store(epoch, Ordering::Release);
        self.clock.store(clock.ns(), Ordering::Relaxed);
    }

    pub(crate) fn minted(&self, moment: Arc<Moment>) {
        self.restored(moment.epoch, moment.clock);
        *self.moment.lock().unwrap_or_else(PoisonError::into_inner) = Some(moment);
    }

    /// Ends the run with a fault; the first one is reported.
    pub fn fail(&self, fault: Fault) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(fault);
        self.failed.store(true, Ordering::Release);
    }

    /// Tells whether the run has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn take_failure(&self) -> Option<Fault> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Epochs minted so far.
    pub fn epochs(&self) -> Epoch {
        self.epochs.load(Ordering::Acquire)
    }

    /// The job clock; `None` before the first epoch.
    pub fn clock(&self) -> Option<EventTime> {
        let ns = self.clock.load(Ordering::Relaxed);
        (ns != i64::MIN).then_some(EventTime::from_ns(ns))
    }

    /// Records read so far, by all sources.
    pub fn records(&self) -> u64 {
        self.sources.iter().map(|source| source.records.load(Ordering::Relaxed)).sum()
    }

    /// Thousandths of the input read, if every source knows.
    pub fn permille(&self) -> Option<u32> {
        let known = self.sources.iter().map(|source| source.permille.load(Ordering::Relaxed));
        known.min().filter(|permille| *permille <= 1000)
    }

    /// Per source: what it handed in.
    pub fn source_reports(&self) -> Vec<SourceReport> {
        self.sources
            .iter()
            .map(|source| SourceReport {
                id: source.id.clone(),
                records: source.records.load(Ordering::Relaxed),
                rejects: source.rejects.load(Ordering::Relaxed),
                redelivered: source.redelivered.load(Ordering::Relaxed),
            })
            .collect()
    }

    /// Per output of an operator: records emitted.
    pub fn output_counts(&self) -> Vec<(String, u64)> {
        let read =
            |(name, count): &(String, AtomicU64)| (name.clone(), count.load(Ordering::Relaxed));
        self.outputs.iter().map(read).collect()
    }

    /// Per sink: records handed to it.
    pub fn sink_counts(&self) -> Vec<(String, u64)> {
        let read = |sink: &SinkStatus| (sink.id.clone(), sink.taken.load(Ordering::Relaxed));
        self.sinks.iter().map(read).collect()
    }

    /// Reads everything at once.
    pub fn reading(&self) -> Reading {
        let phase = Phase::ALL.get(usize::from(self.phase.load(Ordering::Acquire)));
        let turned = get_ns(&self.turned_ns);
        let recovery = get_ns(&self.recovery_ns);
        let rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.kept.last.load(Ordering::Relaxed);
        Reading {
            phase: phase.copied().unwrap_or(Phase::Closing),
            epochs: self.epochs(),
            idle: self.began.elapsed().saturating_sub(turned),
            sources: self.sources.iter().map(SourceStatus::read).collect(),
            outputs: self.output_counts(),
            sinks: self.sinks.iter().map(SinkStatus::read).collect(),
            rejects: rejects.iter().map(|((id, why), n)| (id.clone(), why.clone(), *n)).collect(),
            feeds: self.feeds(),
            journal_bytes: self.kept.journal_bytes.load(Ordering::Relaxed),
            journal_syncs: self.kept.journal_syncs.read(),
            checkpoints: CheckpointReading {
                durations: self.kept.durations.read(),
                bytes: self.kept.bytes.load(Ordering::Relaxed),
                last: (last != 0).then_some(EventTime::from_ns(last)),
                failures: self.kept.failures.load(Ordering::Relaxed),
            },
            recovery: (!recovery.is_zero()).then_some(recovery),
            is_resumed: self.is_resumed.load(Ordering::Relaxed),
        }
    }

    fn feeds(&self) -> Vec<(String, EventTime)> {
        let moment = self.moment.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(moment), Some(series)) = (moment, self.series.get()) else { return Vec::new() };
        let named = |(index, watermark): (usize, &EventTime)| {
            let name = series.feed_name(FeedId(u32::try_from(index).ok()?))?;
            (*watermark > EventTime::MIN).then(|| (name.as_ref().to_owned(), *watermark))
        };
        moment.watermarks.iter().enumerate().filter_map(named).take(NAMES_MAX).collect()
    }
}

fn link(health: &Health) -> Link {
    Link { down: health.why_down(), retries: health.retries() }
}

impl SourceStatus {
    fn read(&self) -> SourceReading {
        let acked = self.acked.load(Ordering::Relaxed);
        let records = self.records.load(Ordering::Relaxed);
        let rejects = self.rejects.load(Ordering::Relaxed);
        SourceReading {
            id: self.id.clone(),
            records,
            rejects,
            redelivered: self.redelivered.load(Ordering::Relaxed),
            healed: self.is_healed.then(|| {
                let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                (load(&self.healed), load(&self.unhealed))
            }),
            unacked: self.is_acked.then(|| (records + rejects).saturating_sub(acked)),
            blocked: get_ns(&self.blocked_ns),
            link: link(&self.health),
        }
    }
}

impl SinkStatus {
    fn read(&self) -> SinkReading {
        SinkReading {
            id: self.id.clone(),
            taken: self.taken.load(Ordering::Relaxed),
            applied: self.applied.load(Ordering::Relaxed),
            epoch: self.epoch.load(Ordering::Relaxed),
            blocked: get_ns(&self.blocked_ns),
            ages: self.ages.read(),
            link: link(&self.health),
        }
    }
}
