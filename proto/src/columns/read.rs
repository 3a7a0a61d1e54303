//! Arrow arrays to values: converts what comes in other types, and names what does not fit.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use super::{LayoutError, PRICE, QUANTITY};
use crate::series::{SeriesId, SeriesTable};

/// Finds columns of a batch by name.
pub(super) struct Reader<'a> {
    batch: &'a RecordBatch,
}

/// Whole numbers, some of which may be absent.
#[derive(Debug)]
pub(super) struct Ints(Int64Array);

impl Ints {
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.0.is_null(row)
    }

    pub(super) fn or_zero(&self, row: usize) -> i64 {
        if self.0.is_null(row) { 0 } else { self.0.value(row) }
    }

    pub(super) fn required(&self, column: &'static str, row: usize) -> Result<i64, LayoutError> {
        if self.0.is_null(row) {
            let found = "no value".to_owned();
            return Err(LayoutError::Value { column, row, found, expected: "a value" });
        }
        Ok(self.0.value(row))
    }
}

impl<'a> Reader<'a> {
    pub(super) const fn new(batch: &'a RecordBatch) -> Self {
        Self { batch }
    }

    fn column(&self, column: &'static str) -> Result<&'a ArrayRef, LayoutError> {
        self.batch.column_by_name(column).ok_or(LayoutError::Missing(column))
    }

    fn cast(&self, column: &'static str, to: &DataType) -> Result<ArrayRef, LayoutError> {
        let array = self.column(column)?;
        if array.data_type() == to {
            return Ok(array.clone());
        }
        cast(array, to).map_err(|_| LayoutError::Type {
            column,
            found: array.data_type().to_string(),
            expected: to.to_string(),
        })
    }

    /// Makes a missing column no error.
    pub(super) fn optional<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, LayoutError>,
    ) -> Result<Option<T>, LayoutError> {
        match read(self) {
            Ok(value) => Ok(Some(value)),
            Err(LayoutError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn ints(&self, column: &'static str) -> Result<Ints, LayoutError> {
        let to = match self.column(column)?.data_type() {
            DataType::Date32 => &DataType::Int32,
            _ => &DataType::Int64,
        };
        let array = cast(&self.cast(column, to)?, &DataType::Int64)?;
        Ok(Ints(array.as_primitive::<Int64Type>().clone()))
    }

    pub(super) fn flags(&self, column: &'static str) -> Result<BooleanArray, LayoutError> {
        Ok(self.cast(column, &DataType::Boolean)?.as_boolean().clone())
    }

    /// Microseconds since 1970.
    pub(super) fn times(&self, column: &'static str) -> Result<Ints, LayoutError> {
        let to = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let array = self.cast(column, &to)?;
        Ok(Ints(array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast()))
    }

    pub(super) fn prices(&self, column: &'static str) -> Result<Ints, LayoutError> {
        self.decimals(column, &PRICE)
    }

    pub(super) fn quantities(&self, column: &'static str) -> Result<Ints, LayoutError> {
        self.decimals(column, &QUANTITY)
    }

    fn decimals(&self, column: &'static str, to: &DataType) -> Result<Ints, LayoutError> {
        let array = self.cast(column, to)?;
        let decimals = array.as_primitive::<arrow::datatypes::Decimal64Type>();
        Ok(Ints(decimals.reinterpret_cast()))
    }

    /// Text as numbers of distinct words.
    fn dictionary(
        &self,
        column: &'static str,
    ) -> Result<(DictionaryArray<Int32Type>, StringArray), LayoutError> {
        let word = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let array = self.cast(column, &word)?;
        let array = array.as_dictionary::<Int32Type>().clone();
        let words = array.values().as_string::<i32>().clone();
        Ok((array, words))
    }

    /// The series of each row; new ones go into `table`.
    pub(super) fn series(&self, table: &SeriesTable) -> Result<Vec<SeriesId>, LayoutError> {
        self.optional_series(table)?
            .into_iter()
            .enumerate()
            .map(|(row, series)| {
                series.ok_or_else(|| LayoutError::Value {
                    column: "source",
                    row,
                    found: "no value".to_owned(),
                    expected: "a source and an instrument",
                })
            })
            .collect()
    }

    /// The series of each row that has one; new ones go into `table`.
    pub(super) fn optional_series(
        &self,
        table: &SeriesTable,
    ) -> Result<Vec<Option<SeriesId>>, LayoutError> {
        let (sources, source_names) = self.dictionary("source")?;
        let (instruments, instrument_names) = self.dictionary("instrument")?;
        let width = instrument_names.len();
        let mut known: Vec<Option<SeriesId>> = vec![None; source_names.len() * width];
        let mut series = Vec::with_capacity(self.batch.num_rows());
        for row in 0..self.batch.num_rows() {
            if sources.is_null(row) || instruments.is_null(row) {
                series.push(None);
                continue;
            }
            let [source, instrument] = [&sources, &instruments]
                .map(|column| usize::try_from(column.keys().value(row)).unwrap_or(0));
            let slot = &mut known[source * width + instrument];
            if slot.is_none() {
                let (source, instrument) =
                    (source_names.value(source), instrument_names.value(instrument));
                *slot =
                    Some(table.intern(source, instrument).map_err(|error| LayoutError::Name {
                        column: "instrument",
                        name: format!("{source} {instrument}"),
                        error,
                    })?);
            }
            series.push(*slot);
        }
        Ok(series)
    }

    /// Words, each understood once.
    pub(super) fn words<T: Copy>(
        &self,
        column: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, LayoutError> {
        self.optional_words(column, expected, parse)?
            .into_iter()
            .enumerate()
            .map(|(row, value)| {
                let found = || "no value".to_owned();
                value.ok_or_else(|| LayoutError::Value { column, row, found: found(), expected })
            })
            .collect()
    }

    /// Words, each understood once; some may be absent.
    pub(super) fn optional_words<T: Copy>(
        &self,
        column: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<Option<T>>, LayoutError> {
        let (keys, words) = self.dictionary(column)?;
        let parsed: Vec<Option<T>> = words.iter().map(|word| word.and_then(&parse)).collect();
        let mut values = Vec::with_capacity(keys.len());
        for row in 0..keys.len() {
            if keys.is_null(row) {
                values.push(None);
                continue;
            }
            let key = usize::try_from(keys.keys().value(row)).unwrap_or(0);
            let value = parsed.get(key).copied().flatten().ok_or_else(|| LayoutError::Value {
                column,
                row,
                found: format!("`{}`", words.value(key)),
                expected,
            })?;
            values.push(Some(value));
        }
        Ok(values)
    }

    /// Text of any length.
    pub(super) fn texts(&self, column: &'static str) -> Result<StringArray, LayoutError> {
        Ok(self.cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    /// Bytes.
    pub(super) fn bytes(
        &self,
        column: &'static str,
    ) -> Result<arrow::array::BinaryArray, LayoutError> {
        Ok(self.cast(column, &DataType::Binary)?.as_binary::<i32>().clone())
    }

    /// The batch without the columns of rows that `keep` is not set for.
    pub(super) fn filtered(&self, keep: &BooleanArray) -> Result<RecordBatch, LayoutError> {
        Ok(arrow::compute::filter_record_batch(self.batch, keep)?)
    }

    pub(super) fn has_series(&self) -> Result<Arc<BooleanArray>, LayoutError> {
        let there = arrow::compute::is_not_null(self.column("source")?)?;
        Ok(Arc::new(there))
    }
}
