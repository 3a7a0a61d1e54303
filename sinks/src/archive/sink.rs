//! The running sink: sorts rows into partitions and decides when a partition is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use dataflows::component::sink::{Ending, Generation, Sealed, Sink, SinkContext, SinkReport};
use dataflows::component::source::Range;
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use proto::columns::{Detail, Names};
use proto::event_time::EventTime;

use super::buffer::Buffer;
use super::durable::{Progress, Restored};
use super::files::{self, Dataset};
use super::layout::{self, PartitionKey};
use super::ledger::{self, Ledger};
use super::note::Notes;
use super::partition::{Groups, Number, Partition, due};
use super::publish::{Contents, PENDING_MAX};
use super::stored::Stored;
use super::swap::{self, Journal, Swap};
use super::writer::{Work, Writer, Written};
use super::{Config, PartitionBy};
use crate::period::Period;
use crate::replace::covers;

/// A running `archive`.
#[derive(Debug)]
pub(super) struct ArchiveSink<R> {
    /// First, as it must have ended before the dataset is unlocked.
    writer: Writer<R>,
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
    waiting_rows: usize,
    clock: EventTime,
    /// When the next partition is whole.
    next_due: i64,
    files: u64,
    epoch: Epoch,
    /// Of a durable run.
    start: Option<Generation>,
    /// Of a durable run; none while rows are read from the spool.
    progress: Option<Progress<R>>,
    /// How many partitions were handed over to be written since the last were put in place.
    pending: usize,
    /// Of one that publishes every now and then.
    notes: Option<Notes>,
}

const RECENT: usize = 256;

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
        let durable = context.durable.clone().filter(|_| context.replace.is_none());
        if let Some(durable) = &durable {
            let folder = root.join(ledger::folder(&context.job, &context.id));
            Ledger::guard(&folder, durable.generation)?;
        }
        if swap::roll_forward(&root, usize::MAX)? {
            tracing::warn!(path = %root.display(), "finished what was decided and interrupted");
        }
        let swept = dataset.sweep(R::FILE)?;
        if swept > 0 {
            tracing::info!(path = %root.display(), files = swept, "removed leftovers");
        }
        check_dataset::<R>(&dataset, &by)?;
        let notes = config.publish_every.filter(|_| context.replace.is_none()).map(|every| {
            let names = (context.job.as_str(), context.id.as_str());
            Notes::new(&root, names, (every, config.complete_after))
        });
        let opened = durable.as_ref().map(|durable| Progress::open(&root, &context, durable));
        let names = Names::new(context.series.clone());
        let start = durable.as_ref().map(|durable| durable.generation);
        let mut sink = Self {
            writer: Writer::start(root, names.clone(), start)?,
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
            waiting_rows: 0,
            clock: EventTime::MIN,
            next_due: i64::MAX,
            files: 0,
            epoch: 0,
            start,
            progress: None,
            pending: 0,
            notes,
            context,
        };
        if let Some((progress, restored)) = opened.transpose()? {
            sink.restore(progress, restored)?;
        }
        Ok(sink)
    }

    /// Takes the rows in the spool that are not published.
    fn restore(&mut self, mut progress: Progress<R>, restored: Restored) -> Result<(), Fault> {
        self.clock = restored.clock;
        self.epoch = progress.base;
        let published = progress.published.clone();
        let mut places = BTreeMap::new();
        progress.spool.read(&self.context.series.clone(), |epoch, rows| {
            self.refresh();
            let mut met = BTreeSet::new();
            for row in rows {
                let number = self.number(&row);
                let (_, until) = places.entry(number).or_insert_with(|| {
                    let place: std::sync::Arc<std::path::Path> = self.place_of(number, &row).into();
                    let until = published.get(&place).copied().unwrap_or(0);
                    (place, until)
                });
                met.insert(number);
                if epoch > *until {
                    self.put(number, row);
                }
            }
            self.spill_excess()?;
            Ok(met.iter().filter_map(|number| places.get(number)).map(|(p, _)| p.clone()).collect())
        })?;
        for partition in &mut self.open {
            partition.buffer.mark();
            if let Some(due) = restored.open.get(&*partition.place) {
                partition.due = *due;
            }
        }
        self.next_due = self.open.iter().map(|partition| partition.due).min().unwrap_or(i64::MAX);
        self.progress = Some(progress);
        Ok(())
    }

    /// Gets to know the series that have come up.
    fn refresh(&mut self) {
        self.names.refresh();
        self.groups.extend(&self.by, &self.names);
    }

    fn number(&self, row: &R) -> Number {
        let (group, _) = self.groups.of(row);
        let by_frame = self.by.contains(&PartitionBy::Timeframe);
        let frame = row.timeframe().filter(|_| by_frame).map_or(0, |frame| frame.seconds());
        (layout::day_of(row.time()), frame, group as u32)
    }

    /// Gives the place of a row's partition below the dataset.
    fn place_of(&self, number: Number, row: &R) -> PathBuf {
        let [source, instrument] = self.groups.names(number.2);
        let key = PartitionKey { day: number.0, timeframe: row.timeframe(), source, instrument };
        layout::folder(&self.by, &key).join(R::FILE)
    }

    /// Takes a row, unless it has no part in a replacement or has come before.
    fn take(&mut self, row: R) {
        if let Some(range) = &self.context.replace
            && !covers(range, row.time(), row.series(), &self.names)
        {
            return;
        }
        let number = self.number(&row);
        let epoch = self.epoch;
        if let Some(mut progress) = self.progress.take_if(|progress| epoch <= progress.replayed_to)
        {
            let place = || self.place_of(number, &row);
            let is_published = progress.is_published(number, epoch, place);
            self.progress = Some(progress);
            if is_published {
                return;
            }
        }
        self.put(number, row);
    }

    fn put(&mut self, number: Number, row: R) {
        let (day, frame, group) = number;
        let bits = (day as usize).wrapping_mul(31) ^ (frame as usize / 60).wrapping_mul(7);
        let recent = (bits ^ group as usize) % RECENT;
        let partition = match self.recent[recent] {
            Some((other, partition)) if other == number => partition,
            _ => {
                let partition = self.partition(number, &row);
                self.recent[recent] = Some((number, partition));
                partition
            }
        };
        let (_, slot) = self.groups.of(&row);
        let partition = &mut self.open[partition];
        // What a replacement has staged is no more due; rows after it are.
        let is_first =
            partition.is_empty() || (partition.buffer.len() == 0 && self.context.replace.is_some());
        if is_first {
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
        self.open.push(Partition {
            number,
            place: self.place_of(number, row).into(),
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
        self.put_in_place()?;
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
        if partition.is_empty() {
            return Ok(());
        }
        let path = self.dataset.root.join(&partition.place);
        if let Some(progress) = &mut self.progress {
            progress.publish(partition.number, partition.place, self.epoch);
        }
        let contents =
            Contents { runs: partition.runs, buffer: partition.buffer, detail: self.detail };
        self.writer.send(Work::Partition { path, contents })?;
        self.pending += 1;
        if self.pending >= PENDING_MAX { self.put_in_place() } else { Ok(()) }
    }

    /// Has all that was handed over put in place.
    fn put_in_place(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.pending) == 0 {
            return Ok(());
        }
        let publication = self.progress.as_ref().map(|progress| progress.publication(self.epoch));
        self.writer.send(Work::Publish(publication))
    }

    /// Publishes what there is.
    fn publish_all(&mut self) -> Result<(), Fault> {
        while !self.open.is_empty() {
            self.publish(self.open.len() - 1)?;
        }
        self.next_due = i64::MAX;
        self.put_in_place()
    }

    /// Writes a partition's rows to a temporary file.
    fn spill(&mut self, index: usize) -> Result<(), Fault> {
        self.files += 1;
        let Some(partition) = self.open.get_mut(index) else { return Ok(()) };
        partition.due = if self.context.replace.is_some() { i64::MAX } else { partition.due };
        if partition.buffer.len() == 0 {
            return Ok(());
        }
        if let Some(progress) = &mut self.progress {
            progress.spool(partition, self.epoch, &mut self.names)?;
        }
        let buffer = std::mem::replace(&mut partition.buffer, Buffer::new());
        self.waiting_rows -= buffer.len();
        let place = self.dataset.root.join(&partition.place);
        let path = files::temporary(&place, self.start, self.files);
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
        // Before anything of it is published, which the epoch of the block must tell.
        self.progress
            .as_mut()
            .map_or(Ok(()), |progress| progress.spool.write(self.epoch, &mut self.names))
    }

    fn complete(&mut self) -> Result<Written, Fault> {
        let Some(range) = self.context.replace.clone() else {
            self.publish_all()?;
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
            .map(|partition| (self.dataset.root.join(&partition.place), partition.runs))
            .collect();
        let swap = Swap { dataset: &self.dataset, by: &self.by, range, detail: self.detail };
        swap.stage::<R>(staged, &mut self.names)
    }

    /// Publishes what a durable run has of partitions that are not whole. Their rows stay in the
    /// spool, so that the run that goes on publishes all of them at once.
    fn publish_unfinished(&mut self) -> Result<Written, Fault> {
        self.writer.wait()?;
        self.progress = None;
        self.complete()
    }

    /// Takes back what is not whole; a durable run leaves it in the spool.
    fn discard(&mut self) -> Result<Written, Fault> {
        let written = self.writer.join();
        let (path, partitions) = (self.dataset.root.display(), self.open.len());
        if self.start.is_some() {
            tracing::debug!(%path, partitions, "partitions that are not whole wait for the next start");
        } else if self.waiting_rows > 0 || !self.open.is_empty() {
            tracing::warn!(
                %path,
                partitions,
                "left out partitions that were not whole; run again to write them"
            );
        }
        self.open.clear();
        if !swap::is_decided(&self.dataset.root) {
            let start = self.start.map(|start| format!(".g{start}-")).unwrap_or_default();
            self.dataset.sweep(&format!("{}{start}", R::FILE))?;
        }
        written
    }
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
        // Without progress files do not say which epochs they hold; rows that come again are merged.
        Ok(self.progress.as_ref().map(Progress::applied))
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        self.refresh();
        self.clock = self.clock.max(sealed.moment.clock);
        self.epoch = sealed.moment.epoch;
        for run in sealed.runs {
            let kind = run.kind();
            let Some(mut rows) = R::of_rows(run) else {
                let message = format!("expected {}, got {kind}", R::KIND);
                return Err(Fault::defect(format!("sinks.{}", self.context.id), message));
            };
            for row in rows.drain(..) {
                self.take(row);
            }
            R::spare().give(rows);
            self.spill_excess()?;
        }
        self.publish_due()?;
        // The checkpoint after the last epoch has nothing open.
        let is_last = self.progress.is_some() && sealed.moment.is_last;
        let replayed_to = self.progress.as_ref().map_or(0, |progress| progress.replayed_to);
        let notes = self.notes.as_mut().filter(|_| self.epoch > replayed_to);
        let note = notes.and_then(|notes| {
            let is_due = notes.is_due(self.clock) || sealed.moment.is_last;
            is_due.then(|| notes.note(&sealed.moment, &self.context.series))
        });
        if is_last || note.is_some() {
            self.publish_all()?;
        }
        note.map_or(Ok(()), |note| self.writer.send(Work::Note(Box::new(note))))
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        let Some(progress) = &mut self.progress else { return Ok(Vec::new()) };
        self.writer.wait()?;
        progress.checkpoint(self.epoch, self.clock, &mut self.open, &mut self.names)
    }

    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault> {
        let is_partial_wanted = self.publish_partial && self.context.replace.is_none();
        let written = match ending {
            Ending::Complete => self.complete(),
            Ending::Interrupted if is_partial_wanted => self.publish_unfinished(),
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
mod killed;
#[cfg(test)]
mod tests;
