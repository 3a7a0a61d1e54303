//! `/metrics`: a reading of the run in the text form of OpenMetrics.
//!
//! The engine counts in its own atomics, once a batch; the metrics library only writes them down
//! when somebody asks. Labels are `job`, `component`, `kind` and, where the name says so, `reason`
//! or `feed`: never an instrument, never a user.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dataflows::driver::reading::{Link, Phase, Reading};
use dataflows::driver::spread::{BOUNDS, Tally};
use dataflows::driver::status::Status;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// What the answer is, as HTTP says it.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Makes the registry of a run.
pub(crate) fn registry(job: &str, status: Arc<Status>) -> Registry {
    let job = (std::borrow::Cow::Borrowed("job"), job.to_owned().into());
    let mut registry = Registry::with_prefix_and_labels("tapeflow", [job].into_iter());
    registry.register_collector(Box::new(Run(status)));
    registry
}

/// Writes all metrics of a registry.
pub(crate) fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Run(Arc<Status>);

impl Collector for Run {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let reading = self.0.reading();
        let mut page = Page(encoder);
        records(&mut page, &reading)?;
        flow(&mut page, &reading)?;
        connections(&mut page, &reading)?;
        kept(&mut page, &reading)?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.gauges("build_info", "What is running", None, [(version, 1)])
    }
}

/// Labels of a component.
fn of<'id>(id: &'id str, kind: &'static str) -> [(&'static str, &'id str); 2] {
    [("component", id), ("kind", kind)]
}

fn records(page: &mut Page<'_>, reading: &Reading) -> fmt::Result {
    let sources = reading.sources.iter();
    let sinks = reading.sinks.iter();
    let taken = sources.clone().map(|source| (of(&source.id, "source"), source.records));
    let taken = taken.chain(sinks.clone().map(|sink| (of(&sink.id, "sink"), sink.taken)));
    page.counters("records_in", "Records that sources have read and sinks were handed", taken)?;
    let given = reading.outputs.iter().map(|(name, count)| (of(name, "operator"), *count));
    let given = given.chain(sinks.clone().map(|sink| (of(&sink.id, "sink"), sink.applied)));
    page.counters("records_out", "Records that operators have made and sinks have applied", given)?;
    let undecoded = sources.clone().map(|source| (of(&source.id, "source"), source.rejects));
    page.counters("records_undecoded", "Records that sources could not decode", undecoded)?;
    let dead = reading.rejects.iter().map(|(id, reason, count)| {
        ([("component", id.as_str()), ("reason", reason.as_str())], *count)
    });
    page.counters("dead_letters", "Records that were not accepted, by reason", dead)?;
    let twice = sources.clone().map(|source| (of(&source.id, "source"), source.redelivered));
    page.counters("duplicates", "Messages that were delivered again and dropped", twice)?;
    let healed = sources.clone();
    let healed = healed.filter_map(|source| Some((of(&source.id, "source"), source.healed?.0)));
    let about = "Ticks that a queue had lost and that were taken from the archive";
    page.counters("healed_records", about, healed)?;
    let holes = sources.clone();
    let holes = holes.filter_map(|source| Some((of(&source.id, "source"), source.healed?.1)));
    let about = "How often what a queue had lost could not be taken whole from the archive";
    page.counters("holes_unhealed", about, holes)?;
    let unacked = sources.filter_map(|source| Some((of(&source.id, "source"), source.unacked?)));
    page.gauges("unacked_records", "Records that are not acknowledged yet", None, unacked)?;
    let ages = sinks.map(|sink| (of(&sink.id, "sink"), sink.ages));
    let about = "How old records were when a sink had applied them; of live jobs";
    page.spreads("record_age", about, ages)
}

fn flow(page: &mut Page<'_>, reading: &Reading) -> fmt::Result {
    page.counters("epochs_minted", "Epochs that were begun", [([], reading.epochs)])?;
    let sinks = reading.sinks.iter();
    let applied = sinks.clone().map(|sink| (of(&sink.id, "sink"), sink.epoch));
    page.gauges("epoch_applied", "The last epoch that a sink has applied", None, applied)?;
    let sources = reading.sources.iter();
    let blocked = sources.map(|source| (of(&source.id, "source"), source.blocked.as_secs_f64()));
    let behind = sinks.map(|sink| (of(&sink.id, "sink"), sink.blocked.as_secs_f64()));
    let about = "How long sources waited to hand over, and how long sinks were waited for";
    page.seconds_total("backpressure", about, blocked.chain(behind))?;
    let feeds = reading.feeds.iter();
    let feeds = feeds.map(|(name, time)| ([("feed", name.as_str())], seconds(time.ns())));
    let about = "The greatest event time of a feed";
    page.gauges("watermark_timestamp", about, Some(Unit::Seconds), feeds)
}

fn connections(page: &mut Page<'_>, reading: &Reading) -> fmt::Result {
    let leads = u64::from(reading.phase > Phase::Waiting);
    let about = "Whether this process runs the job, or waits for the one that does";
    page.gauges("is_leader", about, None, [([], leads)])?;
    let sources = reading.sources.iter().map(|source| (of(&source.id, "source"), &source.link));
    let sinks = reading.sinks.iter().map(|sink| (of(&sink.id, "sink"), &sink.link));
    let up = |link: &Link| i64::from(link.down.is_none());
    let links = sources.clone().chain(sinks.clone()).map(|(labels, link)| (labels, up(link)));
    page.gauges("connector_up", "Whether a source or sink is connected", None, links)?;
    let retries = |(labels, link): (_, &Link)| (labels, link.retries);
    let about = "What sources have tried again: connections, mostly";
    page.counters("source_retries", about, sources.map(retries))?;
    let about = "What sinks have tried again: connections, statements, publishes";
    page.counters("sink_retries", about, sinks.map(retries))
}

fn kept(page: &mut Page<'_>, reading: &Reading) -> fmt::Result {
    let nothing: [(&str, &str); 0] = [];
    let journal = [(nothing, reading.journal_bytes)];
    page.counters("journal_written_bytes", "Bytes that went into the journal", journal)?;
    let syncs = [(nothing, reading.journal_syncs)];
    page.spreads("journal_sync_duration", "How long it took to make the journal durable", syncs)?;
    let checkpoints = &reading.checkpoints;
    let about = "From the epoch behind which a checkpoint is taken until it was written";
    page.spreads("checkpoint_duration", about, [(nothing, checkpoints.durations)])?;
    let size = [(nothing, checkpoints.bytes)];
    page.gauges("checkpoint_size", "The last checkpoint", Some(Unit::Bytes), size)?;
    let last = checkpoints.last.map(|last| (nothing, seconds(last.ns())));
    let (name, about) = ("checkpoint_last_success_timestamp", "When the last one was written");
    page.gauges(name, about, Some(Unit::Seconds), last)?;
    let failures = [(nothing, checkpoints.failures)];
    page.counters("checkpoint_failures", "Checkpoints that could not be written", failures)?;
    let recoveries = [(nothing, u64::from(reading.is_resumed))];
    page.counters("recoveries", "Starts that went on from what was kept", recoveries)?;
    let took = reading.recovery.map(|took| (nothing, took.as_secs_f64()));
    let about = "From the start until new input was taken";
    page.gauges("recovery_duration", about, Some(Unit::Seconds), took)
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// The page that is being written, a family of metrics at a time.
struct Page<'page>(DescriptorEncoder<'page>);

type Labels<'labels, const N: usize> = [(&'labels str, &'labels str); N];

impl Page<'_> {
    fn family<'l, M: EncodeMetric, const N: usize>(
        &mut self,
        (name, about, unit): (&str, &str, Option<Unit>),
        kind: MetricType,
        rows: impl IntoIterator<Item = (Labels<'l, N>, M)>,
    ) -> fmt::Result {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, about, unit.as_ref(), kind)?;
        for (labels, metric) in rows {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        about: &str,
        rows: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        let rows = rows.into_iter().map(|(labels, count)| (labels, ConstCounter::new(count)));
        self.family((name, about, None), MetricType::Counter, rows)
    }

    fn seconds_total<'l, const N: usize>(
        &mut self,
        name: &str,
        about: &str,
        rows: impl IntoIterator<Item = (Labels<'l, N>, f64)>,
    ) -> fmt::Result {
        let rows = rows.into_iter().map(|(labels, count)| (labels, ConstCounter::new(count)));
        self.family((name, about, Some(Unit::Seconds)), MetricType::Counter, rows)
    }

    fn gauges<'l, const N: usize, V>(
        &mut self,
        name: &str,
        about: &str,
        unit: Option<Unit>,
        rows: impl IntoIterator<Item = (Labels<'l, N>, V)>,
    ) -> fmt::Result
    where
        ConstGauge<V>: EncodeMetric,
    {
        let rows = rows.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family((name, about, unit), MetricType::Gauge, rows)
    }

    fn spreads<'l, const N: usize>(
        &mut self,
        name: &str,
        about: &str,
        rows: impl IntoIterator<Item = (Labels<'l, N>, Tally)>,
    ) -> fmt::Result {
        let rows = rows.into_iter().map(|(labels, tally)| (labels, Histogram(tally)));
        self.family((name, about, Some(Unit::Seconds)), MetricType::Histogram, rows)
    }
}

struct Histogram(Tally);

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.0.counts).collect();
        let sum = self.0.sum.as_secs_f64();
        encoder.encode_histogram::<[(&str, &str); 0]>(sum, self.0.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
