//! Decoding a row group into ticks, a chunk at a time.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use dataflows::batch::Record;
use dataflows::fault::Fault;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::{SeriesId, SeriesTable};
use proto::tick::Tick;

use super::convert::{self, Clockwork, Complaints, NONE, Numbers};
use super::names::{Matrix, NameColumn, Named, named};
use super::plan::{Entry, Opened, Plan};
use super::row_group::{self, guarded};
use crate::columns::Role;

/// Bits of [`Tick::sequence`] for the row in the file; above them the rank of the file, so that
/// rows of equal time keep the order (path, row) where no column orders them.
pub(super) const ROW_BITS: u32 = 40;

/// Some consecutive rows of a row group.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The good ones.
    pub(super) ticks: Vec<Tick>,
    /// For each tick, its row counted from `first`; absent where that is its index.
    pub(super) offsets: Option<Vec<u32>>,
    /// The others, with their rows in the row group.
    pub(super) rejects: VecDeque<(u64, Reject)>,
    /// Which row of the row group is the first.
    pub(super) first: u64,
    /// How many rows.
    pub(super) rows: u64,
}

impl Chunk {
    /// Gives the row in the row group that the tick at `index` was; behind the last one, the row
    /// behind the chunk.
    pub(super) fn row(&self, index: usize) -> u64 {
        if index >= self.ticks.len() {
            return self.first + self.rows;
        }
        let offset = match &self.offsets {
            None => index as u64,
            Some(offsets) => offsets.get(index).copied().unwrap_or(0).into(),
        };
        self.first + offset
    }
}

/// The columns of a batch as numbers; reused from batch to batch.
#[derive(Debug, Default)]
struct Scratch {
    time: Numbers,
    nanos: Numbers,
    sequence: Numbers,
    bid: Numbers,
    ask: Numbers,
    last: Numbers,
    volume: Numbers,
    series: Vec<u32>,
    matrix: Matrix,
    identified: Identified,
}

/// Which rows have their sequence from their source, and so an identity.
#[derive(Debug, Default)]
enum Identified {
    /// All that have a sequence.
    #[default]
    All,
    None,
    /// These.
    Some(BooleanArray),
}

impl Identified {
    /// Reads the column of our own archives; one of another type means something else.
    fn new(column: Option<&ArrayRef>) -> Self {
        let Some(flags) = column.and_then(|array| array.as_boolean_opt()) else { return Self::All };
        match flags.true_count() {
            0 => Self::None,
            count if count == flags.len() => Self::All,
            _ => Self::Some(flags.clone()),
        }
    }

    fn is(&self, row: usize) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Some(flags) => row < flags.len() && flags.is_valid(row) && flags.value(row),
        }
    }
}

/// Decodes one row group.
pub(super) struct Decoder {
    plan: Arc<Plan>,
    series: SeriesTable,
    entry: Entry,
    path: PathBuf,
    opened: Arc<Opened>,
    /// For each role, where its column stands in the batches.
    places: crate::columns::Places,
    reader: ParquetRecordBatchReader,
    clockwork: Clockwork,
    scratch: Box<Scratch>,
    row: u64,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Decoder")
            .field("entry", &self.entry)
            .field("row", &self.row)
            .finish()
    }
}

impl Decoder {
    /// Opens a row group behind `skip` rows; chunks will have `batch` rows.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub(super) fn new(
        plan: Arc<Plan>,
        series: SeriesTable,
        (entry, opened): (Entry, Arc<Opened>),
        (batch, skip): (usize, u64),
    ) -> Result<Self, Fault> {
        let path = plan.files.get(entry.file as usize).cloned().unwrap_or_default();
        let mut roots: Vec<usize> =
            Role::ALL.iter().filter_map(|role| opened.places.get(*role)).collect();
        roots.sort_unstable();
        roots.dedup();
        let mut places = crate::columns::Places::default();
        for role in Role::ALL {
            let place = opened.places.get(role);
            places.set(role, place.and_then(|place| roots.binary_search(&place).ok()));
        }
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX);
        let group = entry.group as usize;
        let reader = row_group::open(&path, &opened, group, roots, (batch, skipped))?;
        let clockwork = plan.request.clockwork();
        let scratch = Box::default();
        Ok(Self {
            plan,
            series,
            entry,
            path,
            opened,
            places,
            reader,
            clockwork,
            scratch,
            row: skip,
        })
    }

    /// Decodes the next chunk; none at the end.
    ///
    /// # Errors
    /// When the bytes make no sense.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, Fault> {
        let batch = guarded(|| self.reader.next().transpose());
        let group = self.entry.group as usize;
        let damaged = |error: String| row_group::damaged(&self.path, group, &error);
        let Some(batch) = batch.map_err(damaged)? else {
            if self.row != self.entry.rows {
                let missing = format!("{} rows of {} are there", self.row, self.entry.rows);
                return Err(row_group::damaged(&self.path, group, &missing));
            }
            return Ok(None);
        };
        let rows = batch.num_rows();
        let mut complaints = Complaints::new();
        self.read_numbers(&batch, &mut complaints)?;
        let source = self.names(&batch, Role::Source, self.opened.source.as_deref())?;
        let instrument = self.names(&batch, Role::Instrument, self.opened.instrument.as_deref())?;
        let names = (&source, &instrument);
        let selection = &self.plan.request.selection;
        let Scratch { matrix, series, .. } = self.scratch.as_mut();
        let has_names = matrix.resolve(names, rows, (&self.series, selection), series);
        let scratch = self.scratch.as_ref();
        let prices = [&scratch.bid, &scratch.ask, &scratch.last];
        let is_whole = has_names
            && complaints.is_empty()
            && self.entry.from >= selection.from
            && self.entry.to < selection.to
            && !scratch.time.has_none
            && !scratch.nanos.has_none
            && !scratch.sequence.has_none
            && !matches!(scratch.identified, Identified::Some(_))
            && prices.iter().all(|numbers| !numbers.has_none)
            && (!scratch.volume.has_none || self.places.get(Role::Volume).is_none());
        let chunk = if is_whole {
            self.assemble(rows)
        } else {
            self.assemble_carefully(rows, complaints, names)
        };
        self.row += rows as u64;
        Ok(Some(chunk))
    }

    fn read_numbers(
        &mut self,
        batch: &RecordBatch,
        complaints: &mut Complaints,
    ) -> Result<(), Fault> {
        let rows = batch.num_rows();
        let shown = self.plan.shown(self.entry.file);
        let Scratch { time, nanos, sequence, identified, bid, ask, last, volume, .. } =
            self.scratch.as_mut();
        let column = |role: Role| self.places.get(role).and_then(|at| batch.columns().get(at));
        let fault = |role: Role, error: String| {
            Fault::stop(shown.clone(), format!("the column for `{}`: {error}", role.name()))
        };
        if let Some(array) = column(Role::Time) {
            convert::times(array.as_ref(), &mut self.clockwork, time, complaints)
                .map_err(|error| fault(Role::Time, error))?;
        }
        match column(Role::Nanos) {
            Some(array) => convert::integers(array.as_ref(), nanos, complaints, "bad_time")
                .map_err(|error| fault(Role::Nanos, error))?,
            None => nanos.fill(0, rows),
        }
        match column(Role::Sequence) {
            Some(array) => convert::integers(array.as_ref(), sequence, complaints, "bad_sequence")
                .map_err(|error| fault(Role::Sequence, error))?,
            None => sequence.fill(0, rows),
        }
        *identified = Identified::new(column(Role::Identified));
        for (role, digits, out, reason) in [
            (Role::Bid, Price::DIGITS, bid, "bad_price"),
            (Role::Ask, Price::DIGITS, ask, "bad_price"),
            (Role::Last, Price::DIGITS, last, "bad_price"),
            (Role::Volume, Quantity::DIGITS, volume, "bad_volume"),
        ] {
            match column(role) {
                Some(array) => convert::decimals(array.as_ref(), digits, out, complaints, reason)
                    .map_err(|error| fault(role, error))?,
                None => out.fill(0, rows),
            }
        }
        Ok(())
    }

    fn names(
        &self,
        batch: &RecordBatch,
        role: Role,
        constant: Option<&str>,
    ) -> Result<NameColumn, Fault> {
        match self.places.get(role).and_then(|at| batch.columns().get(at)) {
            Some(array) => NameColumn::new(array).map_err(|error| {
                let shown = self.plan.shown(self.entry.file);
                Fault::stop(shown, format!("the column for `{}`: {error}", role.name()))
            }),
            None => Ok(NameColumn::constant(constant.unwrap_or_default())),
        }
    }

    /// What orders equal times where no column does.
    fn first_sequence(&self) -> u64 {
        (u64::from(self.entry.file) << ROW_BITS) + self.entry.first_row + self.row
    }

    fn flags(&self) -> u32 {
        let flag = |role: Role, bit: u32| if self.places.get(role).is_some() { bit } else { 0 };
        let flags = flag(Role::Volume, Tick::HAS_VOLUME) | flag(Role::Sequence, Tick::HAS_SEQUENCE);
        match self.scratch.identified {
            Identified::None => flags & !Tick::HAS_SEQUENCE,
            Identified::All | Identified::Some(_) => flags,
        }
    }

    /// Every row is good: one pass without a question.
    fn assemble(&self, rows: usize) -> Chunk {
        let scratch = self.scratch.as_ref();
        let flags = self.flags();
        let counted = u64::from(self.places.get(Role::Sequence).is_none());
        let first = self.first_sequence() * counted;
        let times = scratch.time.values.iter().zip(&scratch.nanos.values);
        let prices = scratch.bid.values.iter().zip(&scratch.ask.values).zip(&scratch.last.values);
        let others =
            scratch.sequence.values.iter().zip(&scratch.volume.values).zip(&scratch.series);
        let mut ticks = Tick::spare().take(rows);
        ticks.extend(times.zip(prices).zip(others).enumerate().map(
            |(row, (((time, nanos), ((bid, ask), last)), ((sequence, volume), series)))| Tick {
                time: EventTime::from_ns(time.wrapping_add(*nanos)),
                sequence: sequence.cast_unsigned().wrapping_add(first + row as u64 * counted),
                bid: Price::from_units(*bid),
                ask: Price::from_units(*ask),
                last: Price::from_units(*last),
                volume: Quantity::from_units(*volume),
                watermark: EventTime::MIN,
                series: SeriesId(*series),
                flags,
            },
        ));
        Chunk { ticks, offsets: None, rejects: VecDeque::new(), first: self.row, rows: rows as u64 }
    }

    /// Some rows are bad, not wanted, or lack a value.
    fn assemble_carefully(
        &self,
        rows: usize,
        mut complaints: Complaints,
        names: (&NameColumn, &NameColumn),
    ) -> Chunk {
        let mut chunk = Chunk { first: self.row, rows: rows as u64, ..Chunk::default() };
        let mut offsets = Vec::with_capacity(rows);
        for row in 0..rows {
            let id = self.scratch.series.get(row).copied().unwrap_or(u32::MAX);
            let refused = match named(id, names, row) {
                Named::Unwanted => continue,
                Named::Refused(detail) => Err(("bad_name", detail)),
                Named::Series(series) => match complaints.remove(&row) {
                    Some(complaint) => Err(complaint),
                    None => self.tick(row, series),
                },
            };
            let selection = &self.plan.request.selection;
            match refused {
                Ok(tick) if tick.time.ns() < selection.from || tick.time.ns() >= selection.to => {}
                Ok(tick) => {
                    chunk.ticks.push(tick);
                    offsets.push(u32::try_from(row).unwrap_or(u32::MAX));
                }
                Err((reason, detail)) => {
                    let row = self.row + row as u64;
                    chunk.rejects.push_back((row, self.reject(row, reason, detail)));
                }
            }
        }
        chunk.offsets = Some(offsets);
        chunk
    }

    fn tick(&self, row: usize, series: u32) -> Result<Tick, (&'static str, String)> {
        let scratch = self.scratch.as_ref();
        let value =
            |numbers: &Numbers| numbers.values.get(row).copied().filter(|value| *value != NONE);
        let time = value(&scratch.time)
            .and_then(|time| time.checked_add(value(&scratch.nanos).unwrap_or(0)))
            .ok_or_else(|| ("bad_time", "its time is missing".to_owned()))?;
        let price = |numbers: &Numbers| Price::from_units(value(numbers).unwrap_or(0));
        let prices =
            [(Role::Bid, &scratch.bid), (Role::Ask, &scratch.ask), (Role::Last, &scratch.last)];
        let has_price = prices
            .iter()
            .any(|(role, numbers)| self.places.get(*role).is_some() && value(numbers).is_some());
        if !has_price {
            return Err(("no_price", "none of its prices is there".to_owned()));
        }
        let mut flags = self.flags();
        let volume = value(&scratch.volume);
        if volume.is_none() {
            flags &= !Tick::HAS_VOLUME;
        }
        let given = value(&scratch.sequence).and_then(|sequence| u64::try_from(sequence).ok());
        let given = given.filter(|_| self.places.get(Role::Sequence).is_some());
        if given.is_none() || !scratch.identified.is(row) {
            flags &= !Tick::HAS_SEQUENCE;
        }
        Ok(Tick {
            time: EventTime::from_ns(time),
            sequence: given.unwrap_or(self.first_sequence() + row as u64),
            bid: price(&scratch.bid),
            ask: price(&scratch.ask),
            last: price(&scratch.last),
            volume: Quantity::from_units(volume.unwrap_or(0)),
            watermark: EventTime::MIN,
            series: SeriesId(series),
            flags,
        })
    }

    fn reject(&self, row: u64, reason: &str, detail: String) -> Reject {
        let file = self.plan.shown(self.entry.file);
        Reject {
            component: self.plan.request.component.clone(),
            reason: reason.to_owned(),
            detail,
            place: Some(format!("{file}:{}:{row}", self.entry.group)),
            clock: EventTime::default(),
            tick: None,
            payload: Vec::new(),
        }
    }
}
