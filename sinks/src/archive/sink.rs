//! The running sink: sorts rows into partitions and decides when a partition is whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dataflows::component::sink::{Ending, Sealed, Sink, SinkContext, SinkReport};
use dataflows::component::source::Range;
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use proto::columns::{Detail, Names};
use proto::event_time::EventTime;

use super::buffer::Buffer;
use super::files::{self, Dataset};
use super::layout::{self, DAY_NS, PartitionKey};
use super::publish::Contents;
use super::stored::Stored;
use super::swap::{self, Journal, Swap};
use super::writer::{Work, Writer, Written};
use super::{Config, PartitionBy};
use crate::period::Period;
use crate::replace::covers;

/// A running `archive`.
#[derive(Debug)]
pub(super) struct ArchiveSink<R> {
    context: SinkContext,
    dataset: Dataset,
    by: Vec<PartitionBy>,
    complete_after: Period,
    publish_partial: bool,
    detail: Detail,
    memory_bytes: usize,
    names: Names,
    groups: Groups,
    open: Vec<Partition<R>>,
    /// Where a partition stands in `open`.
    numbers: BTreeMap<Number, usize>,
    /// Partitions that rows went to lately, by a few bits of their number.
    recent: Vec<Option<(Number, usize)>>,
    writer: Writer<R>,
    waiting_rows: usize,
    clock: EventTime,
    /// When the next partition is whole.
    next_due: i64,
    files: u64,
}

/// What tells partitions of this run apart: day, seconds of the timeframe, group of series.
type Number = (i64, u32, u32);

const RECENT: usize = 256;

#[derive(Debug)]
struct Partition<R> {
    number: Number,
    path: PathBuf,
    runs: Vec<PathBuf>,
    buffer: Buffer<R>,
    /// The job clock from which on it is whole.
    due: i64,
}

/// Series that share a folder.
#[derive(Debug, Default)]
struct Groups {
    names: Vec<[Option<String>; 2]>,
    sizes: Vec<usize>,
    numbers: BTreeMap<[Option<String>; 2], usize>,
    /// Group and place within it, by the number of the series plus one; the first is for none.
    of_series: Vec<(usize, usize)>,
}

impl Groups {
    fn extend(&mut self, by: &[PartitionBy], names: &Names) {
        while self.of_series.len() <= names.all().len() {
            let series = self.of_series.len().checked_sub(1);
            let series = series.and_then(|index| names.all().get(index));
            let parts = layout::names(by, series.map(|series| &**series));
            let next = self.names.len();
            let group = *self.numbers.entry(parts.clone()).or_insert(next);
            if group == next {
                self.names.push(parts);
                self.sizes.push(0);
            }
            self.of_series.push((group, self.sizes[group]));
            self.sizes[group] += 1;
        }
    }
}

impl<R: Stored + Send> ArchiveSink<R> {
    pub(super) fn open(config: &Config, context: SinkContext) -> Result<Self, Fault> {
        let root = context.root.join(&config.path);
        let by = config.partition.clone().unwrap_or_else(|| R::PARTITION.to_vec());
        let path = format!("sinks.{}.partition", context.id);
        layout::check(&by).map_err(|message| Fault::job(&path, message))?;
        let has_timeframe = context.kind == dataflows::kind::Kind::Candles;
        if by.contains(&PartitionBy::Timeframe) && !has_timeframe {
            return Err(Fault::job(path, format!("{} have no timeframe", context.kind)));
        }
        let dataset = Dataset::open(&root)?;
        if swap::roll_forward(&root, usize::MAX)? {
            tracing::warn!(path = %root.display(), "finished a replacement that was interrupted");
        }
        let swept = dataset.sweep(R::FILE)?;
        if swept > 0 {
            tracing::info!(path = %root.display(), files = swept, "removed leftovers");
        }
        check_dataset::<R>(&dataset, &by)?;
        let names = Names::new(context.series.clone());
        let writer = Writer::start(root, names.clone())?;
        Ok(Self {
            dataset,
            by,
            complete_after: config.complete_after,
            publish_partial: config.publish_partial,
            detail: config.detail.into(),
            memory_bytes: config.memory_mb.saturating_mul(1 << 20),
            names,
            groups: Groups::default(),
            open: Vec::new(),
            numbers: BTreeMap::new(),
            recent: vec![None; RECENT],
            writer,
            waiting_rows: 0,
            clock: EventTime::MIN,
            next_due: i64::MAX,
            files: 0,
            context,
        })
    }

    fn place(&mut self, row: R) {
        if let Some(range) = &self.context.replace
            && !covers(range, row.time(), row.series(), &self.names)
        {
            return;
        }
        let index = row.series().map_or(0, |series| series.index() + 1);
        let (group, slot) = self.groups.of_series.get(index).copied().unwrap_or_default();
        let day = layout::day_of(row.time());
        let by_frame = self.by.contains(&PartitionBy::Timeframe);
        let frame = row.timeframe().filter(|_| by_frame).map_or(0, |frame| frame.seconds());
        let number = (day, frame, group as u32);
        let bits = (day as usize).wrapping_mul(31) ^ (frame as usize / 60).wrapping_mul(7) ^ group;
        let recent = bits % RECENT;
        let partition = match self.recent[recent] {
            Some((other, partition)) if other == number => partition,
            _ => {
                let partition = self.partition(number, &row);
                self.recent[recent] = Some((number, partition));
                partition
            }
        };
        let partition = &mut self.open[partition];
        if partition.buffer.len() == 0 {
            partition.due = due(number, &row, self.clock, self.complete_after);
            self.next_due = self.next_due.min(partition.due);
        }
        partition.buffer.push(slot, row, self.detail);
        self.waiting_rows += 1;
    }

    fn partition(&mut self, number: Number, row: &R) -> usize {
        if let Some(partition) = self.numbers.get(&number) {
            return *partition;
        }
        let [source, instrument] =
            self.groups.names.get(number.2 as usize).cloned().unwrap_or_default();
        let key = PartitionKey { day: number.0, timeframe: row.timeframe(), source, instrument };
        let folder = self.dataset.root.join(layout::folder(&self.by, &key));
        self.open.push(Partition {
            number,
            path: folder.join(R::FILE),
            runs: Vec::new(),
            buffer: Buffer::new(),
            due: i64::MAX,
        });
        self.numbers.insert(number, self.open.len() - 1);
        self.open.len() - 1
    }

    /// Writes the partitions that are whole: in their place, or, of a replacement, beside it.
    fn publish_due(&mut self) -> Result<(), Fault> {
        if self.clock.ns() < self.next_due {
            return Ok(());
        }
        let mut index = 0;
        while index < self.open.len() {
            if self.open[index].due > self.clock.ns() {
                index += 1;
            } else if self.context.replace.is_some() {
                self.spill(index)?;
                index += 1;
            } else {
                self.publish(index)?;
            }
        }
        self.writer.send(Work::Publish)?;
        self.next_due = self.open.iter().map(|partition| partition.due).min().unwrap_or(i64::MAX);
        Ok(())
    }

    /// Hands a partition over to be written, and forgets it.
    fn publish(&mut self, index: usize) -> Result<(), Fault> {
        let partition = self.open.swap_remove(index);
        self.numbers.remove(&partition.number);
        if let Some(moved) = self.open.get(index) {
            self.numbers.insert(moved.number, index);
        }
        self.recent.fill(None);
        self.waiting_rows -= partition.buffer.len();
        let contents =
            Contents { runs: partition.runs, buffer: partition.buffer, detail: self.detail };
        self.writer.send(Work::Partition { path: partition.path, contents })
    }

    /// Writes a partition's rows to a temporary file.
    fn spill(&mut self, index: usize) -> Result<(), Fault> {
        self.files += 1;
        let Some(partition) = self.open.get_mut(index) else { return Ok(()) };
        partition.due = if self.context.replace.is_some() { i64::MAX } else { partition.due };
        if partition.buffer.len() == 0 {
            return Ok(());
        }
        let buffer = std::mem::replace(&mut partition.buffer, Buffer::new());
        self.waiting_rows -= buffer.len();
        let path = files::temporary(&partition.path, self.files);
        partition.runs.push(path.clone());
        self.writer.send(Work::Run { path, buffer, detail: self.detail })
    }

    /// Sends the greatest partitions to temporary files when rows take too much memory.
    fn spill_excess(&mut self) -> Result<(), Fault> {
        if self.waiting_rows * size_of::<R>() <= self.memory_bytes {
            return Ok(());
        }
        let mut order: Vec<usize> = (0..self.open.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(self.open[*index].buffer.len()));
        for index in order {
            if self.waiting_rows * size_of::<R>() <= self.memory_bytes / 2 {
                break;
            }
            self.spill(index)?;
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<Written, Fault> {
        let Some(range) = self.context.replace.clone() else {
            while !self.open.is_empty() {
                self.publish(self.open.len() - 1)?;
            }
            self.writer.send(Work::Publish)?;
            return self.writer.join();
        };
        let (journal, written) = self.stage(&range)?;
        swap::decide(&journal, &self.dataset.root)?;
        swap::roll_forward(&self.dataset.root, usize::MAX)?;
        Ok(written)
    }

    /// Writes all that a replacement puts in place, beside its place.
    fn stage(&mut self, range: &Range) -> Result<(Journal, Written), Fault> {
        for index in 0..self.open.len() {
            self.spill(index)?;
        }
        self.writer.join()?;
        self.names.refresh();
        let staged = std::mem::take(&mut self.open)
            .into_iter()
            .map(|partition| (partition.path, partition.runs))
            .collect();
        let swap = Swap { dataset: &self.dataset, by: &self.by, range, detail: self.detail };
        swap.stage::<R>(staged, &mut self.names)
    }

    /// Takes back what is not whole.
    fn discard(&mut self) -> Result<Written, Fault> {
        let written = self.writer.join();
        if self.waiting_rows > 0 || !self.open.is_empty() {
            tracing::warn!(
                path = %self.dataset.root.display(),
                partitions = self.open.len(),
                "left out partitions that were not whole; run again to write them"
            );
        }
        self.open.clear();
        if !swap::is_decided(&self.dataset.root) {
            self.dataset.sweep(R::FILE)?;
        }
        written
    }
}

/// A partition is whole some time after its day and the last candle that starts on it have ended,
/// or after a row has come that late.
fn due<R: Stored>(number: Number, row: &R, clock: EventTime, after: Period) -> i64 {
    let end = number.0.saturating_add(1).saturating_mul(DAY_NS);
    let end = end.saturating_add(row.timeframe().map_or(0, |frame| frame.ns()));
    end.max(clock.ns()).saturating_add(after.ns())
}

/// Refuses a folder that holds what this sink would not find again.
fn check_dataset<R: Stored>(dataset: &Dataset, by: &[PartitionBy]) -> Result<(), Fault> {
    let is_parquet = |name: &str| name.ends_with(".parquet") && !name.starts_with('.');
    for path in dataset.find(&is_parquet)? {
        let is_ours = path.file_name().is_some_and(|name| name == R::FILE);
        let folder = path.parent().and_then(|folder| folder.strip_prefix(&dataset.root).ok());
        if !is_ours || folder.and_then(|folder| layout::key_of(by, folder)).is_none() {
            return Err(Fault::file(
                &path,
                format!(
                    "is no part of a dataset of {} in folders like {}; name another folder, or \
                     the `partition` that this one has",
                    R::FILE,
                    example(by).display()
                ),
            ));
        }
    }
    Ok(())
}

fn example(by: &[PartitionBy]) -> PathBuf {
    let key = PartitionKey {
        day: 16_191,
        timeframe: "1m".parse().ok(),
        source: Some("mt4".to_owned()),
        instrument: Some("EURUSD".to_owned()),
    };
    layout::folder(by, &key)
}

impl<R: Stored + Send> Sink for ArchiveSink<R> {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        // Files do not say which epochs they hold; rows that come again are merged.
        Ok(None)
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.names.refresh();
        self.groups.extend(&self.by, &self.names);
        self.clock = self.clock.max(sealed.moment.clock);
        for run in sealed.runs {
            let kind = run.kind();
            let Some(mut rows) = R::of_rows(run) else {
                let message = format!("expected {}, got {kind}", R::KIND);
                return Err(Fault::defect(format!("sinks.{}", self.context.id), message));
            };
            for row in rows.drain(..) {
                self.place(row);
            }
            R::spare().give(rows);
            self.spill_excess()?;
        }
        self.publish_due()
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault> {
        let is_partial_wanted = self.publish_partial && self.context.replace.is_none();
        let written = match ending {
            Ending::Complete => self.complete(),
            Ending::Interrupted if is_partial_wanted => self.complete(),
            Ending::Interrupted | Ending::Failed => self.discard(),
        };
        let written = match written {
            Ok(written) => written,
            Err(fault) => {
                // What failed is told; that leftovers remain would only hide it.
                if let Err(error) = self.discard() {
                    tracing::warn!(%error, "temporary files remain");
                }
                return Err(fault);
            }
        };
        let place = format!("{} ({} files)", self.dataset.root.display(), written.files);
        Ok(SinkReport { rows: written.rows, places: vec![place], bytes: Some(written.bytes) })
    }
}

#[cfg(test)]
mod tests;
