//! What is to be read: the row groups that matter, in the order in which they will be needed.
//!
//! Made from folders and footers alone; a footer is not kept, so that an archive of any length
//! costs a few dozen bytes per row group.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, Schema};
use dataflows::fault::Fault;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use proto::event_time::EventTime;

use super::convert::{self, Clockwork, Complaints, NONE, Numbers, text_at};
use super::{Selection, row_group};
use crate::columns::{Places, Role, Wanted};
use crate::paths::hive_values;
use crate::time_zone::{Localizer, TimeUnit, Zone};

/// A day in nanoseconds.
const DAY: i64 = 86_400_000_000_000;

/// What is wanted of the dataset.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The id of the component, for rejects.
    pub(super) component: String,
    /// Which columns.
    pub(super) wanted: Wanted,
    /// The zone of naive times.
    pub(super) zone: Zone,
    /// What whole numbers count.
    pub(super) unit: Option<TimeUnit>,
    /// Which ticks.
    pub(super) selection: Selection,
}

impl Request {
    /// Gives what a column of times is read with.
    pub(super) fn clockwork(&self) -> Clockwork {
        Clockwork {
            localizer: Localizer::new(self.zone),
            is_utc: self.zone == Zone::Fixed(0),
            unit: self.unit,
        }
    }
}

/// One row group that will be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// No row is earlier.
    pub(super) from: i64,
    /// No row is later.
    pub(super) to: i64,
    /// The rank of its file among all files, by path.
    pub(super) file: u32,
    /// Its number in the file.
    pub(super) group: u32,
    /// How many rows of the file stand before it.
    pub(super) first_row: u64,
    /// How many rows it has.
    pub(super) rows: u64,
}

/// How much was left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pruned {
    /// Files that were not even opened, by the names of their folders.
    pub(super) files: usize,
    /// Row groups by their statistics.
    pub(super) groups: usize,
    /// The rows in these.
    pub(super) rows: u64,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Plan {
    /// The files by path.
    pub(super) files: Vec<PathBuf>,
    /// The row groups by (from, file, group).
    pub(super) entries: Vec<Entry>,
    /// `fingerprints[n]`: a hash of the first n entries.
    pub(super) fingerprints: Vec<u64>,
    /// What was asked for.
    pub(super) request: Request,
    /// What was left out.
    pub(super) pruned: Pruned,
    /// Where relative paths start; messages and fingerprints leave it out.
    root: PathBuf,
}

/// An opened file: its footer, and where its columns are.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    /// The footer.
    pub(super) metadata: ArrowReaderMetadata,
    /// The columns.
    pub(super) places: Places,
    /// The source of all ticks, if no column says it.
    pub(super) source: Option<String>,
    /// The instrument of all ticks, if no column says it.
    pub(super) instrument: Option<String>,
}

impl Plan {
    /// Reads the footers of the files that may matter.
    ///
    /// # Errors
    /// When a file is no whole Parquet file, or has not the columns.
    pub(super) fn new(files: Vec<PathBuf>, request: Request, root: &Path) -> Result<Self, Fault> {
        let mut plan = Self {
            files,
            entries: Vec::new(),
            fingerprints: Vec::new(),
            request,
            pruned: Pruned::default(),
            root: root.to_owned(),
        };
        for rank in 0..plan.files.len() {
            plan.add(rank)?;
        }
        plan.entries.sort_unstable_by_key(|entry| (entry.from, entry.file, entry.group));
        plan.fingerprints = plan.hash_prefixes();
        let rows: u64 = plan.entries.iter().map(|entry| entry.rows).sum();
        tracing::info!(
            source = plan.request.component,
            files = plan.files.len(),
            files_pruned = plan.pruned.files,
            row_groups = plan.entries.len(),
            row_groups_pruned = plan.pruned.groups,
            rows,
            rows_pruned = plan.pruned.rows,
            "planned the reading of the archive"
        );
        Ok(plan)
    }

    /// Gives the path of a file as messages show it.
    pub(super) fn shown(&self, rank: u32) -> String {
        let path = self.files.get(rank as usize).map(PathBuf::as_path).unwrap_or(Path::new("?"));
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// How many row groups lie over one another at most: what the merge has open at once.
    pub(super) fn depth(&self) -> usize {
        let mut ends = std::collections::BinaryHeap::new();
        let mut deepest = 0;
        for entry in &self.entries {
            while ends.peek().is_some_and(|std::cmp::Reverse(end)| *end < entry.from) {
                ends.pop();
            }
            ends.push(std::cmp::Reverse(entry.to));
            deepest = deepest.max(ends.len());
        }
        deepest
    }

    /// Opens the file of rank `rank`: reads its footer and finds its columns.
    ///
    /// # Errors
    /// See [`Plan::new`].
    pub(super) fn open(&self, rank: u32) -> Result<Opened, Fault> {
        let none = || Fault::defect("archive", format!("there is no file {rank}"));
        let path = self.files.get(rank as usize).ok_or_else(none)?;
        let metadata = load(path)?;
        let names: Vec<&str> =
            metadata.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let wanted = &self.request.wanted;
        let mut places =
            wanted.locate(&names).map_err(|error| Fault::stop(self.shown(rank), error))?;
        places.set(Role::Date, None);
        let hive = hive_values(path.strip_prefix(&self.root).unwrap_or(path));
        let mut name = |role: Role, constant: &Option<String>| {
            let named = wanted.columns.get(role).is_some();
            let folder = hive.iter().find(|(key, _)| role.usual().contains(&key.as_str()));
            let found = match (constant, folder) {
                (Some(constant), _) => Some(constant.clone()),
                (None, Some((_, value))) if !named => Some(value.clone()),
                _ => None,
            };
            if found.is_some() {
                places.set(role, None);
            } else if places.get(role).is_none() {
                return Err(Fault::stop(
                    self.shown(rank),
                    format!(
                        "nothing says the {0} of its ticks: no such column (its columns: {1}) and \
                         no folder `{0}=...`; add `{0}: NAME` to the source, or name the column \
                         with `columns: {{ {0}: ... }}`",
                        role.name(),
                        names.join(", ")
                    ),
                ));
            }
            Ok(found)
        };
        let source = name(Role::Source, &wanted.source)?;
        let instrument = name(Role::Instrument, &wanted.instrument)?;
        let metadata = with_dictionaries(path, &metadata, &places)?;
        Ok(Opened { metadata, places, source, instrument })
    }

    fn add(&mut self, rank: usize) -> Result<(), Fault> {
        let Some(path) = self.files.get(rank) else { return Ok(()) };
        if self.is_pruned_by_folder(path) {
            self.pruned.files += 1;
            return Ok(());
        }
        let rank = u32::try_from(rank).map_err(|_| Fault::stop("archive", "too many files"))?;
        let opened = self.open(rank)?;
        let spans = self.spans(rank, &opened)?;
        let kept = self.groups_with_wanted_instruments(rank, &opened)?;
        let mut first_row = 0;
        for (group, row_group) in opened.metadata.metadata().row_groups().iter().enumerate() {
            let rows = u64::try_from(row_group.num_rows()).unwrap_or(0);
            let span = spans.get(group).copied().flatten();
            let selection = &self.request.selection;
            let is_wanted = kept.get(group).copied().unwrap_or(true)
                && span.is_none_or(|(from, to)| from < selection.to && to >= selection.from);
            if rows == 0 || !is_wanted {
                self.pruned.groups += 1;
                self.pruned.rows += rows;
            } else {
                // Without any time there is nothing to sort by: its rows become rejects.
                let (from, to) = span.unwrap_or((i64::MIN, i64::MIN));
                let group = u32::try_from(group).unwrap_or(u32::MAX);
                self.entries.push(Entry { from, to, file: rank, group, first_row, rows });
            }
            first_row += rows;
        }
        Ok(())
    }

    /// Folders `instrument=X` and `date=2024-03-10` (a day wider on both sides, because what a
    /// day is differs from archive to archive).
    fn is_pruned_by_folder(&self, path: &Path) -> bool {
        let selection = &self.request.selection;
        let wanted = &self.request.wanted;
        let pairs = hive_values(path.strip_prefix(&self.root).unwrap_or(path));
        pairs.iter().any(|(key, value)| {
            if wanted.instrument.is_none()
                && wanted.columns.get(Role::Instrument).is_none()
                && Role::Instrument.usual().contains(&key.as_str())
            {
                return !selection.has(value);
            }
            if !matches!(key.as_str(), "date" | "day") || value.len() != 10 {
                return false;
            }
            value.parse::<EventTime>().is_ok_and(|day| {
                let day = day.ns();
                day.saturating_sub(DAY) >= selection.to
                    || day.saturating_add(2 * DAY) <= selection.from
            })
        })
    }

    /// The first and last time of each row group: from the statistics, else by a look at the
    /// column; none where no row has a time.
    fn spans(&self, rank: u32, opened: &Opened) -> Result<Vec<Option<(i64, i64)>>, Fault> {
        let place = opened.places.get(Role::Time).unwrap_or(0);
        let groups = opened.metadata.metadata().num_row_groups();
        let stop = |error: String| Fault::stop(self.shown(rank), error);
        let field = opened.metadata.schema().field(place);
        let mut clockwork = self.request.clockwork();
        let mut read = |array: &ArrayRef| {
            let mut numbers = Numbers::default();
            convert::times(array.as_ref(), &mut clockwork, &mut numbers, &mut Complaints::new())
                .map_err(|error| stop(format!("column `{}`: {error}", field.name())))?;
            Ok::<_, Fault>(numbers.values)
        };
        let slack = if opened.places.get(Role::Nanos).is_some() { 1_000 } else { 0 };
        // The statistics of texts and guessed numbers need not be in the order of time.
        let is_ordered = field.data_type().is_temporal()
            || (field.data_type().is_integer() && self.request.unit.is_some());
        let is_named_zone = matches!(self.request.zone, Zone::Named(_));
        let bounds = if is_ordered && !is_named_zone {
            bounds_of(opened, place).map_err(|error| stop(error.to_string()))?
        } else {
            None
        };
        let (least, greatest) = match &bounds {
            Some((least, greatest)) => (read(least)?, read(greatest)?),
            None => (Vec::new(), Vec::new()),
        };
        let mut spans = Vec::with_capacity(groups);
        for group in 0..groups {
            let known = match (least.get(group), greatest.get(group)) {
                (Some(from), Some(to)) if *from != NONE && *to != NONE => Some((*from, *to)),
                _ => None,
            };
            let span = match known {
                Some(span) => Some(span),
                None => {
                    let path = self.files.get(rank as usize).map(PathBuf::as_path);
                    let path = path.unwrap_or(Path::new("?"));
                    let mut span: Option<(i64, i64)> = None;
                    for batch in row_group::read_column(path, opened, group, place)? {
                        for time in read(&batch)?.into_iter().filter(|time| *time != NONE) {
                            let (from, to) = span.unwrap_or((time, time));
                            span = Some((from.min(time), to.max(time)));
                        }
                    }
                    span
                }
            };
            spans.push(span.map(|(from, to)| (from, to.saturating_add(slack))));
        }
        Ok(spans)
    }

    fn groups_with_wanted_instruments(
        &self,
        rank: u32,
        opened: &Opened,
    ) -> Result<Vec<bool>, Fault> {
        let selection = &self.request.selection;
        let Some(instruments) = &selection.instruments else { return Ok(Vec::new()) };
        let groups = opened.metadata.metadata().num_row_groups();
        if let Some(instrument) = &opened.instrument {
            return Ok(vec![selection.has(instrument); groups]);
        }
        let Some(place) = opened.places.get(Role::Instrument) else { return Ok(Vec::new()) };
        let bounds = bounds_of(opened, place)
            .map_err(|error| Fault::stop(self.shown(rank), error.to_string()))?;
        let Some((least, greatest)) = bounds else { return Ok(Vec::new()) };
        let may_have = |group: usize| {
            if least.is_null(group) || greatest.is_null(group) {
                return true;
            }
            match (text_at(least.as_ref(), group), text_at(greatest.as_ref(), group)) {
                (Some(least), Some(greatest)) => instruments
                    .iter()
                    .any(|name| least <= name.as_str() && name.as_str() <= greatest),
                _ => true,
            }
        };
        Ok((0..groups).map(may_have).collect())
    }

    /// FNV-1a over path, row group and rows of each entry.
    fn hash_prefixes(&self) -> Vec<u64> {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut hashes = vec![hash];
        for entry in &self.entries {
            let path = self.shown(entry.file);
            let numbers = [entry.group.into(), entry.rows];
            let bytes = path.bytes().chain(numbers.into_iter().flat_map(u64::to_le_bytes));
            for byte in bytes {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            hashes.push(hash);
        }
        hashes
    }
}

fn load(path: &Path) -> Result<ArrowReaderMetadata, Fault> {
    let file = File::open(path).map_err(|error| Fault::file(path, error))?;
    let length = file.metadata().map_err(|error| Fault::file(path, error))?.len();
    let read = || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
    row_group::guarded(read).map_err(|error| {
        Fault::file(
            path,
            format!(
                "not a whole Parquet file: {error}; it has {length} bytes and may have been cut \
                 off; write it again, or take it out of the path"
            ),
        )
    })
}

/// Asks for names as dictionaries, so that each is looked up once and not in every row.
fn with_dictionaries(
    path: &Path,
    metadata: &ArrowReaderMetadata,
    places: &Places,
) -> Result<ArrowReaderMetadata, Fault> {
    let names = [places.get(Role::Source), places.get(Role::Instrument)];
    let hinted = |(place, field): (usize, &Arc<Field>)| {
        let is_text = match field.data_type() {
            DataType::Dictionary(_, value) => value.is_string(),
            other => other.is_string(),
        };
        if !names.contains(&Some(place)) || !is_text {
            return field.clone();
        }
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Arc::new(field.as_ref().clone().with_data_type(kind))
    };
    let schema = metadata.schema();
    let fields: Vec<_> = schema.fields().iter().enumerate().map(hinted).collect();
    let hinted = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let options = ArrowReaderOptions::new().with_schema(hinted);
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)
        .map_err(|error| Fault::file(path, error))
}

/// The least and greatest value of a column in each row group, where the file tells them.
fn bounds_of(
    opened: &Opened,
    place: usize,
) -> parquet::errors::Result<Option<(ArrayRef, ArrayRef)>> {
    let schema = opened.metadata.schema();
    let name = schema.field(place).name();
    let converter = StatisticsConverter::try_new(name, schema, opened.metadata.parquet_schema())?;
    if converter.parquet_column_index().is_none() {
        return Ok(None);
    }
    let groups = opened.metadata.metadata().row_groups();
    Ok(Some((converter.row_group_mins(groups)?, converter.row_group_maxes(groups)?)))
}
