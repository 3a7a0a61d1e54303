//! The running source: file after file, record after record.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use dataflows::batch::Rows;
use dataflows::component::source::{Intake, Position, Source, SourceContext};
use dataflows::fault::Fault;
use proto::reject::{EXCERPT_BYTES_MAX, Reject};
use proto::tick::Tick;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::element::{enter, next_element};
use super::line::{Raw, Reached, next_line, split};
use super::record::{Assembler, Made, Refusal};
use super::{FileConfig, Format, OnError};
use crate::columns::{ColumnName, Places, Role, plain};

/// Records read at once.
const INTAKE: usize = 8_192;
/// Bits of the sequence for the row; above them the rank of the file.
const ROW_BITS: u32 = 40;

/// A position as it is written: JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: String,
    reached: Reached,
    row: u64,
}

/// An open file.
#[derive(Debug)]
struct Current {
    input: BufReader<File>,
    reached: Reached,
    /// Records so far.
    row: u64,
    format: Format,
    delimiter: char,
    /// CSV: how many fields the first line has.
    width: usize,
    /// Absent before the first record, where names are not known before.
    places: Option<Places>,
}

/// Buffers, reused from record to record.
#[derive(Debug, Default)]
struct Buffers {
    record: Vec<u8>,
    fields: Vec<(usize, usize)>,
    text: String,
}

/// The running source.
#[derive(Debug)]
pub(super) struct FileReader {
    config: FileConfig,
    component: String,
    root: PathBuf,
    files: Vec<(PathBuf, Format)>,
    rank: usize,
    current: Option<Current>,
    assembler: Assembler,
    buffers: Buffers,
    bytes: u64,
    bytes_behind: u64,
}

impl FileReader {
    /// Starts behind a position.
    ///
    /// # Errors
    /// When its file is not there any more.
    pub(super) fn new(
        config: FileConfig,
        files: Vec<(PathBuf, Format)>,
        assembler: Assembler,
        (behind, context): (Option<Position>, &SourceContext),
    ) -> Result<Self, Fault> {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let bytes = files.iter().map(|(path, _)| length(path)).sum();
        let mut reader = Self {
            config,
            component: context.id.clone(),
            root: context.root.clone(),
            files,
            rank: 0,
            current: None,
            assembler,
            buffers: Buffers::default(),
            bytes,
            bytes_behind: 0,
        };
        if let Some(position) = behind {
            reader.go_on(&position)?;
        }
        Ok(reader)
    }

    fn go_on(&mut self, position: &Position) -> Result<(), Fault> {
        let written: Written = serde_json::from_slice(&position.0).map_err(|error| {
            Fault::stop(&self.component, format!("its position is not one of a file: {error}"))
        })?;
        let found = (0..self.files.len()).find(|rank| self.shown(*rank) == written.file);
        self.rank = found.ok_or_else(|| {
            Fault::stop(&written.file, "it had been read in part and is not there any more")
        })?;
        let mut current = self.open_file()?;
        let length = current.input.get_ref().metadata();
        let length = length.map_err(|error| Fault::stop(&written.file, error))?.len();
        if length < written.reached.offset {
            return Err(Fault::stop(
                &written.file,
                format!(
                    "{} bytes of it had been read, it has {length} now",
                    written.reached.offset
                ),
            ));
        }
        current
            .input
            .seek(SeekFrom::Start(written.reached.offset))
            .map_err(|error| Fault::stop(&written.file, error))?;
        current.reached = written.reached;
        current.row = written.row;
        self.current = Some(current);
        Ok(())
    }

    fn shown(&self, rank: usize) -> String {
        let path = self.files.get(rank).map_or(Path::new("?"), |(path, _)| path.as_path());
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// Opens the file of the current rank, and reads its head.
    fn open_file(&mut self) -> Result<Current, Fault> {
        let none = || Fault::defect("file", "there is no such file");
        let (path, format) = self.files.get(self.rank).ok_or_else(none)?;
        let file = File::open(path).map_err(|error| Fault::file(path, error))?;
        let mut current = Current {
            input: BufReader::with_capacity(1 << 16, file),
            reached: Reached::default(),
            row: 0,
            format: *format,
            delimiter: ',',
            width: 0,
            places: None,
        };
        match format {
            Format::Csv => self.read_header(&mut current)?,
            Format::Json => enter(&mut current.input, &mut current.reached)
                .map_err(|error| Fault::file(path, error))?,
            Format::Jsonl | Format::Parquet => {}
        }
        Ok(current)
    }

    fn read_header(&mut self, current: &mut Current) -> Result<(), Fault> {
        let shown = self.shown(self.rank);
        let fail = |error: String| Fault::stop(&shown, error);
        let mut reached = current.reached;
        let head = next_line(&mut current.input, &mut reached, &mut self.buffers.record);
        if head.map_err(|error| fail(error.to_string()))?.is_none() {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&self.buffers.record).into_owned();
        let count = |delimiter: &char| line.matches(*delimiter).count();
        current.delimiter = match self.config.delimiter {
            Some(delimiter) => delimiter,
            // Of equals the first, so the order says which one is preferred.
            None => [';', '\t', ','].into_iter().max_by_key(count).unwrap_or(','),
        };
        let (mut fields, mut text) = (Vec::new(), String::new());
        split(&line, current.delimiter, &mut fields, &mut text).map_err(fail)?;
        let names: Vec<&str> = fields
            .iter()
            .filter_map(|(start, end)| text.get(*start..*end))
            .map(str::trim)
            .collect();
        current.width = names.len();
        let columns = &self.assembler.wanted.columns;
        let has_header = self.config.header.unwrap_or(!(columns.are_set() && columns.are_places()));
        let places =
            if has_header { self.locate(&names) } else { self.locate(&vec![""; names.len()]) };
        current.places = Some(places.map_err(|error| {
            let hint = if has_header {
                "; if its first line is no header, set `header: false` and give places"
            } else {
                "; without a header, columns are given by their places, from 0"
            };
            Fault::stop(&shown, format!("{error}{hint}"))
        })?);
        if has_header {
            current.reached = reached;
        } else {
            current.input.rewind().map_err(|error| Fault::stop(&shown, error))?;
        }
        Ok(())
    }

    fn locate(&self, names: &[&str]) -> Result<Places, String> {
        let wanted = &self.assembler.wanted;
        let places = wanted.locate(names)?;
        for (role, constant) in
            [(Role::Source, &wanted.source), (Role::Instrument, &wanted.instrument)]
        {
            if constant.is_none() && places.get(role).is_none() {
                return Err(format!(
                    "nothing says the {0} of its ticks (its columns: {1}); add `{0}: NAME` to the \
                     source, or name the column with `columns: {{ {0}: ... }}`",
                    role.name(),
                    names.join(", ")
                ));
            }
        }
        Ok(places)
    }

    /// Reads one record; none at the end of the file.
    fn record(&mut self, current: &mut Current) -> Result<Option<(u64, Made)>, Fault> {
        let record = &mut self.buffers.record;
        let raw = match current.format {
            Format::Json => next_element(&mut current.input, &mut current.reached, record),
            _ => next_line(&mut current.input, &mut current.reached, record),
        };
        let shown = || self.shown(self.rank);
        let Some(Raw { line, broken }) = raw.map_err(|error| Fault::stop(shown(), error))? else {
            return Ok(None);
        };
        let counted = ((self.rank as u64) << ROW_BITS) + current.row;
        current.row += 1;
        if let Some(broken) = broken {
            return Ok(Some((line, Err(("malformed", broken)))));
        }
        let made = match current.format {
            Format::Csv => self.csv(current, counted),
            _ => self.json(current, counted)?,
        };
        Ok(Some((line, made)))
    }

    fn csv(&mut self, current: &Current, counted: u64) -> Made {
        let Buffers { record, fields, text } = &mut self.buffers;
        let malformed = |error: String| -> Refusal { ("malformed", error) };
        let line = std::str::from_utf8(record)
            .map_err(|error| malformed(format!("it is not UTF-8: {error}")))?;
        split(line, current.delimiter, fields, text).map_err(malformed)?;
        if fields.len() != current.width {
            let (found, expected) = (fields.len(), current.width);
            return Err(malformed(format!("it has {found} fields; expected {expected}")));
        }
        let Some(places) = &current.places else { return Ok(None) };
        let get = |role: Role| {
            let (start, end) = fields.get(places.get(role)?)?;
            text.get(*start..*end).map(Cow::Borrowed)
        };
        self.assembler.tick(get, counted)
    }

    fn json(&mut self, current: &mut Current, counted: u64) -> Result<Made, Fault> {
        let shown = self.shown(self.rank);
        let record = std::mem::take(&mut self.buffers.record);
        let made = self.json_record(&record, current, (&shown, counted));
        self.buffers.record = record;
        made
    }

    fn json_record(
        &mut self,
        record: &[u8],
        current: &mut Current,
        (shown, counted): (&str, u64),
    ) -> Result<Made, Fault> {
        let malformed = |error: serde_json::Error| Ok(Err(("malformed", error.to_string())));
        if record.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            let values: Vec<&RawValue> = match serde_json::from_slice(record) {
                Ok(values) => values,
                Err(error) => return malformed(error),
            };
            if current.places.is_none() {
                let located = self.locate(&vec![""; values.len()]).map_err(|error| {
                    let hint = "its records are arrays: give the places of their values, from 0";
                    Fault::stop(shown, format!("{error}; {hint}"))
                });
                current.places = Some(located?);
            }
            let Some(places) = &current.places else { return Ok(Ok(None)) };
            let get = |role: Role| values.get(places.get(role)?).and_then(|value| text_of(value));
            return Ok(self.assembler.tick(get, counted));
        }
        let values: BTreeMap<String, &RawValue> = match serde_json::from_slice(record) {
            Ok(values) => values,
            Err(error) => return malformed(error),
        };
        if current.places.is_none() {
            let mut names: Vec<&str> = values.keys().map(String::as_str).collect();
            // What lies deeper is only looked for in each record.
            let set = Role::ALL.iter().filter_map(|role| self.assembler.wanted.columns.get(*role));
            names.extend(set.filter_map(|name| match name {
                ColumnName::Name(name) if name.contains('.') => Some(name.as_str()),
                _ => None,
            }));
            current.places = Some(self.locate(&names).map_err(|error| Fault::stop(shown, error))?);
        }
        let wanted = &self.assembler.wanted;
        let names: Vec<Option<Cow<'_, str>>> = Role::ALL
            .iter()
            .map(|role| value_of(&values, *role, wanted.columns.get(*role)))
            .collect();
        let is_left_out = |role: Role| match &wanted.fields {
            Some(fields) => {
                matches!(role, Role::Bid | Role::Ask | Role::Last | Role::Volume | Role::Sequence)
                    && !fields.iter().any(|field| field.role() == role)
            }
            None => false,
        };
        let left_out: Vec<bool> = Role::ALL.iter().map(|role| is_left_out(*role)).collect();
        let has_date = current.places.as_ref().is_some_and(|p| p.get(Role::Date).is_some());
        let get = |role: Role| {
            let at = Role::ALL.iter().position(|one| *one == role)?;
            if left_out.get(at) == Some(&true) || (role == Role::Date && !has_date) {
                return None;
            }
            names.get(at)?.clone()
        };
        Ok(self.assembler.tick(get, counted))
    }

    fn reject(&self, line: u64, (reason, detail): Refusal) -> Result<Reject, Fault> {
        let place = format!("{}:{line}", self.shown(self.rank));
        if self.config.on_error == OnError::Stop {
            return Err(Fault::stop(place, format!("{detail} ({reason})")));
        }
        let record = &self.buffers.record;
        Ok(Reject {
            component: self.component.clone(),
            reason: reason.to_owned(),
            detail,
            place: Some(place),
            clock: proto::event_time::EventTime::default(),
            tick: None,
            payload: record.get(..EXCERPT_BYTES_MAX).unwrap_or(record).to_vec(),
        })
    }

    fn position(&self) -> Result<Position, Fault> {
        let (reached, row) = match &self.current {
            Some(current) => (current.reached, current.row),
            None => (Reached::default(), 0),
        };
        let written = Written { file: self.shown(self.rank), reached, row };
        let bytes = serde_json::to_vec(&written);
        bytes.map(Position).map_err(|error| Fault::defect("file", error))
    }
}

/// The text of a number or a text; none for `null`; what is neither stays as it is written, and
/// is refused as a number or a name.
fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let raw = value.get().trim();
    match raw.as_bytes().first() {
        None | Some(b'n') => None,
        Some(b'"') => match serde_json::from_str::<String>(raw) {
            Ok(text) => Some(Cow::Owned(text)),
            Err(_) => Some(Cow::Borrowed(raw)),
        },
        Some(_) => Some(Cow::Borrowed(raw)),
    }
}

/// Looks a role up in an object: by its set name, also along dots, else by its usual names.
fn value_of<'a>(
    values: &BTreeMap<String, &'a RawValue>,
    role: Role,
    set: Option<&ColumnName>,
) -> Option<Cow<'a, str>> {
    match set {
        Some(ColumnName::Name(name)) => match (values.get(name), name.split_once('.')) {
            (Some(value), _) => text_of(value),
            (None, Some((outer, inner))) => {
                let values: BTreeMap<String, &'a RawValue> =
                    serde_json::from_str(values.get(outer)?.get()).ok()?;
                value_of(&values, role, Some(&ColumnName::Name(inner.to_owned())))
            }
            (None, None) => None,
        },
        Some(ColumnName::Place(_)) => None,
        None => role.usual().iter().find_map(|usual| {
            let found = values.iter().find(|(name, _)| plain(name).eq_ignore_ascii_case(usual));
            found.and_then(|(_, value)| text_of(value))
        }),
    }
}

impl Source for FileReader {
    fn next(&mut self, stop: &AtomicBool) -> Result<Option<Intake>, Fault> {
        let mut ticks: Vec<Tick> = Vec::with_capacity(INTAKE);
        let mut rejects = Vec::new();
        for read in 1.. {
            // Not only full hands end a turn: a file without a single wanted tick is long, too.
            if read % INTAKE == 0 && (!ticks.is_empty() || !rejects.is_empty()) {
                break;
            }
            if read % 1_024 == 1 && stop.load(Ordering::Relaxed) {
                if ticks.is_empty() && rejects.is_empty() {
                    return Ok(None);
                }
                break;
            }
            if self.rank >= self.files.len() {
                break;
            }
            let mut current = match self.current.take() {
                Some(current) => current,
                None => self.open_file()?,
            };
            match self.record(&mut current)? {
                None if self.rank + 1 < self.files.len() => {
                    self.bytes_behind += current.reached.offset;
                    self.rank += 1;
                    continue;
                }
                None => {
                    self.current = Some(current);
                    break;
                }
                Some((_, Ok(tick))) => ticks.extend(tick),
                Some((line, Err(refusal))) => rejects.push(self.reject(line, refusal)?),
            }
            self.current = Some(current);
        }
        if ticks.is_empty() && rejects.is_empty() {
            return Ok(None);
        }
        let position = self.position()?;
        Ok(Some(Intake { rows: Rows::Ticks(ticks), rejects, position, deliveries: Vec::new() }))
    }

    fn settle(&mut self, _position: &Position) -> Result<(), Fault> {
        Ok(())
    }

    fn progress(&self) -> Option<u32> {
        let read = self.bytes_behind + self.current.as_ref().map_or(0, |c| c.reached.offset);
        u32::try_from(read.min(self.bytes) * 1_000 / self.bytes.max(1)).ok()
    }
}
