//! What can be seen of a run from outside: counters, progress, the first failure.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use proto::event_time::EventTime;

use crate::driver::SourceReport;
use crate::fault::Fault;
use crate::job::plan::Plan;
use crate::moment::Epoch;

/// Counters of one source.
#[derive(Debug)]
pub struct SourceStatus {
    id: String,
    records: AtomicU64,
    rejects: AtomicU64,
    redelivered: AtomicU64,
    /// Thousandths of the input read; above 1000: not known.
    permille: AtomicU32,
}

/// A run as others see it; shared, written without locks on the way of the records.
#[derive(Debug)]
pub struct Status {
    sources: Vec<SourceStatus>,
    /// Names (`candles.closed`) and counts, in the order of the plan.
    outputs: Vec<(String, AtomicU64)>,
    sinks: Vec<(String, AtomicU64)>,
    epochs: AtomicU64,
    clock: AtomicI64,
    failed: Arc<AtomicBool>,
    failure: Mutex<Option<Fault>>,
}

impl Status {
    /// Makes the counters of a plan.
    pub fn new(plan: &Plan) -> Self {
        let source = |id: &String| SourceStatus {
            id: id.clone(),
            records: AtomicU64::new(0),
            rejects: AtomicU64::new(0),
            redelivered: AtomicU64::new(0),
            permille: AtomicU32::new(u32::MAX),
        };
        let outputs = plan.operators.iter().flat_map(|operator| {
            let id = &operator.id;
            operator.definition.outputs().iter().map(move |output| format!("{id}.{}", output.name))
        });
        Self {
            sources: plan.sources.iter().map(|plan| source(&plan.id)).collect(),
            outputs: outputs.map(|name| (name, AtomicU64::new(0))).collect(),
            sinks: plan.sinks.iter().map(|sink| (sink.id.clone(), AtomicU64::new(0))).collect(),
            epochs: AtomicU64::new(0),
            clock: AtomicI64::new(i64::MIN),
            failed: Arc::default(),
            failure: Mutex::new(None),
        }
    }

    pub(crate) fn count_intake(&self, source: usize, records: usize, rejects: usize) {
        if let Some(status) = self.sources.get(source) {
            status.records.fetch_add(records as u64, Ordering::Relaxed);
            status.rejects.fetch_add(rejects as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_redelivered(&self, source: usize, messages: usize) {
        if let Some(status) = self.sources.get(source) {
            status.redelivered.fetch_add(messages as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_progress(&self, source: usize, permille: Option<u32>) {
        if let Some(status) = self.sources.get(source) {
            status.permille.store(permille.unwrap_or(u32::MAX), Ordering::Relaxed);
        }
    }

    pub(crate) fn count_output(&self, output: usize, records: usize) {
        if let Some((_, count)) = self.outputs.get(output) {
            count.fetch_add(records as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_sink(&self, sink: usize, records: usize) {
        if let Some((_, count)) = self.sinks.get(sink) {
            count.fetch_add(records as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn minted(&self, epoch: Epoch, clock: EventTime) {
        self.epochs.store(epoch, Ordering::Release);
        self.clock.store(clock.ns(), Ordering::Relaxed);
    }

    /// Ends the run with a fault; the first one is reported.
    pub fn fail(&self, fault: Fault) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(fault);
        self.failed.store(true, Ordering::Release);
    }

    /// Gives what is set when the run has failed.
    pub(crate) fn failed(&self) -> Arc<AtomicBool> {
        self.failed.clone()
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

    /// Per sink: records applied.
    pub fn sink_counts(&self) -> Vec<(String, u64)> {
        let read =
            |(name, count): &(String, AtomicU64)| (name.clone(), count.load(Ordering::Relaxed));
        self.sinks.iter().map(read).collect()
    }
}
