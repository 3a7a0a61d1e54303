//! From (source, instrument) of a row to the number of its series, looked up once per pair.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use proto::series::SeriesTable;

use super::Selection;
use super::convert::text_at;

/// The pair was not looked up yet.
const UNKNOWN: u32 = u32::MAX;
/// One of the names is not allowed, or absent.
const REFUSED: u32 = u32::MAX - 1;
/// Ticks of the instrument are not wanted.
const UNWANTED: u32 = u32::MAX - 2;

/// What a row's names came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A series.
    Series(u32),
    /// Not wanted: passed over.
    Unwanted,
    /// No series, and why.
    Refused(String),
}

/// A column of names: a key per row into a few values; a constant has no keys.
#[derive(Debug)]
pub(super) struct NameColumn {
    keys: Option<Int32Array>,
    values: ArrayRef,
}

impl NameColumn {
    /// Makes the column of a name that all rows share.
    pub(super) fn constant(name: &str) -> Self {
        Self { keys: None, values: Arc::new(StringArray::from(vec![name])) }
    }

    /// Takes a column of texts.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn new(array: &ArrayRef) -> Result<Self, String> {
        let is_text = match array.data_type() {
            DataType::Dictionary(_, value) => value.is_string(),
            other => other.is_string(),
        };
        if !is_text {
            return Err(format!("its type is {}; expected a text", array.data_type()));
        }
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let array = if *array.data_type() == kind {
            array.clone()
        } else {
            cast(array, &kind).map_err(|error| error.to_string())?
        };
        let dictionary = array.as_dictionary::<Int32Type>();
        Ok(Self { keys: Some(dictionary.keys().clone()), values: dictionary.values().clone() })
    }

    /// The keys, if there is one for every row.
    fn keys(&self) -> Option<&Int32Array> {
        self.keys.as_ref()
    }

    /// The key of a row; none where the name is absent.
    fn key(&self, row: usize) -> Option<usize> {
        match &self.keys {
            None => Some(0),
            Some(keys) if keys.is_valid(row) => usize::try_from(keys.value(row)).ok(),
            Some(_) => None,
        }
    }

    fn name(&self, row: usize) -> Option<&str> {
        let key = self.key(row)?;
        if key < self.values.len() && self.values.is_valid(key) {
            text_at(self.values.as_ref(), key)
        } else {
            None
        }
    }
}

/// The numbers of all pairs of the current dictionaries: sources by instruments.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    sources: Option<ArrayRef>,
    instruments: Option<ArrayRef>,
    ids: Vec<u32>,
    width: usize,
}

impl Matrix {
    /// Forgets the pairs unless the dictionaries are those of the last batch.
    fn rebase(&mut self, source: &NameColumn, instrument: &NameColumn) {
        let same = |known: &Option<ArrayRef>, values: &ArrayRef| {
            known.as_ref().is_some_and(|known| Arc::ptr_eq(known, values) || known == values)
        };
        if same(&self.sources, &source.values) && same(&self.instruments, &instrument.values) {
            return;
        }
        self.sources = Some(source.values.clone());
        self.instruments = Some(instrument.values.clone());
        self.width = instrument.values.len();
        self.ids.clear();
        self.ids.resize(source.values.len() * self.width, UNKNOWN);
    }

    /// Writes the number of each row's series into `out`; true if every row has one.
    pub(super) fn resolve(
        &mut self,
        columns: (&NameColumn, &NameColumn),
        rows: usize,
        (series, selection): (&SeriesTable, &Selection),
        out: &mut Vec<u32>,
    ) -> bool {
        let (source, instrument) = columns;
        self.rebase(source, instrument);
        out.clear();
        let look = |ids: &[u32], at: usize| ids.get(at).copied().unwrap_or(UNKNOWN);
        let width = self.width;
        match (source.keys(), instrument.keys()) {
            (Some(s), Some(i)) if s.null_count() + i.null_count() == 0 => {
                let pairs = s.values().iter().zip(i.values());
                out.extend(pairs.map(|(s, i)| look(&self.ids, *s as usize * width + *i as usize)));
            }
            (None, Some(i)) if i.null_count() == 0 => {
                out.extend(i.values().iter().map(|i| look(&self.ids, *i as usize)));
            }
            (Some(s), None) if s.null_count() == 0 => {
                out.extend(s.values().iter().map(|s| look(&self.ids, *s as usize * width)));
            }
            (None, None) => out.resize(rows, look(&self.ids, 0)),
            _ => out.resize(rows, UNKNOWN),
        }
        let mut is_whole = true;
        for (row, id) in out.iter_mut().enumerate() {
            if *id >= UNWANTED {
                if *id == UNKNOWN {
                    *id = self.look_up(columns, row, series, selection);
                }
                is_whole &= *id < UNWANTED;
            }
        }
        is_whole
    }

    fn look_up(
        &mut self,
        (source, instrument): (&NameColumn, &NameColumn),
        row: usize,
        series: &SeriesTable,
        selection: &Selection,
    ) -> u32 {
        let slot = source
            .key(row)
            .zip(instrument.key(row))
            .and_then(|(s, i)| self.ids.get_mut(s * self.width + i));
        let known = slot.as_deref().copied().unwrap_or(UNKNOWN);
        if known != UNKNOWN {
            return known;
        }
        let id = match (source.name(row), instrument.name(row)) {
            (_, Some(name)) if !selection.has(name) => UNWANTED,
            (Some(source), Some(name)) => series.intern(source, name).map_or(REFUSED, |id| id.0),
            _ => REFUSED,
        };
        if let Some(slot) = slot {
            *slot = id;
        }
        id
    }
}

/// Tells what a number out of [`Matrix::resolve`] means.
pub(super) fn named(id: u32, (source, instrument): (&NameColumn, &NameColumn), row: usize) -> Named {
    match id {
        UNWANTED => Named::Unwanted,
        REFUSED | UNKNOWN => {
            let why = |what: &str, name: Option<&str>| match name {
                None => Some(format!("its {what} is missing")),
                Some(name) => proto::series::check_name(name)
                    .err()
                    .map(|error| format!("its {what} {name:?} is not allowed: {error}")),
            };
            let source = why("source", source.name(row));
            let why = source.or_else(|| why("instrument", instrument.name(row)));
            Named::Refused(why.unwrap_or_else(|| "its names are not allowed".to_owned()))
        }
        id => Named::Series(id),
    }
}
