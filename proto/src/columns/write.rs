//! Rows to Arrow arrays, one column at a time, from runs of rows that need not be adjacent.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal64Array, DictionaryArray, Int32Array, Int64Array, PrimitiveArray,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int32Type;

use super::{Dictionary, LayoutError, PRICE, QUANTITY};
use crate::event_time::EventTime;
use crate::series::SeriesId;

/// Rows in one or more slices, and how many there are.
pub(super) struct Runs<'a, R> {
    runs: &'a [&'a [R]],
    len: usize,
}

impl<'a, R> Runs<'a, R> {
    pub(super) fn new(runs: &'a [&'a [R]]) -> Self {
        Self { runs, len: runs.iter().map(|run| run.len()).sum() }
    }

    fn values<T>(&self, value: impl Fn(&R) -> T) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len);
        for run in self.runs {
            values.extend(run.iter().map(&value));
        }
        values
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a R> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    /// Which values are there; none: all.
    pub(super) fn nulls(&self, is_there: impl Fn(&R) -> bool) -> Option<NullBuffer> {
        let all = self.runs.iter().all(|run| run.iter().all(&is_there));
        (!all).then(|| NullBuffer::from(self.values(is_there)))
    }

    pub(super) fn int64(&self, value: impl Fn(&R) -> i64, nulls: Option<NullBuffer>) -> ArrayRef {
        Arc::new(Int64Array::new(self.values(value).into(), nulls))
    }

    pub(super) fn int32(&self, value: impl Fn(&R) -> i32, nulls: Option<NullBuffer>) -> ArrayRef {
        Arc::new(Int32Array::new(self.values(value).into(), nulls))
    }

    pub(super) fn int16(&self, value: impl Fn(&R) -> i16, nulls: Option<NullBuffer>) -> ArrayRef {
        Arc::new(arrow::array::Int16Array::new(self.values(value).into(), nulls))
    }

    pub(super) fn date(&self, value: impl Fn(&R) -> i32) -> ArrayRef {
        Arc::new(Date32Array::new(self.values(value).into(), None))
    }

    pub(super) fn flag(&self, value: impl Fn(&R) -> bool, nulls: Option<NullBuffer>) -> ArrayRef {
        Arc::new(arrow::array::BooleanArray::new(self.values(value).into(), nulls))
    }

    pub(super) fn time(
        &self,
        value: impl Fn(&R) -> EventTime,
        nulls: Option<NullBuffer>,
    ) -> ArrayRef {
        let micros = self.values(|row| value(row).ns().div_euclid(1_000));
        Arc::new(TimestampMicrosecondArray::new(micros.into(), nulls).with_timezone("UTC"))
    }

    pub(super) fn price(&self, value: impl Fn(&R) -> i64, nulls: Option<NullBuffer>) -> ArrayRef {
        Arc::new(Decimal64Array::new(self.values(value).into(), nulls).with_data_type(PRICE))
    }

    pub(super) fn quantity(
        &self,
        value: impl Fn(&R) -> i64,
        nulls: Option<NullBuffer>,
    ) -> ArrayRef {
        Arc::new(Decimal64Array::new(self.values(value).into(), nulls).with_data_type(QUANTITY))
    }

    /// The names of the rows' series.
    pub(super) fn names(
        &self,
        series: impl Fn(&R) -> Option<SeriesId>,
        nulls: Option<NullBuffer>,
        names: &Dictionary,
    ) -> Result<ArrayRef, LayoutError> {
        let mut unknown = None;
        let mut keys = Vec::with_capacity(self.len);
        for run in self.runs {
            keys.extend(run.iter().map(|row| {
                let Some(id) = series(row) else { return 0 };
                names.keys.get(id.index()).copied().unwrap_or_else(|| {
                    unknown = Some(id.0);
                    0
                })
            }));
        }
        if let Some(id) = unknown {
            return Err(LayoutError::Series(id));
        }
        let keys = PrimitiveArray::<Int32Type>::new(keys.into(), nulls);
        Ok(Arc::new(DictionaryArray::try_new(keys, names.values.clone())?))
    }

    /// Words that are few, found as they come.
    pub(super) fn few<W: PartialEq + Copy>(
        &self,
        value: impl Fn(&R) -> W,
        is_there: impl Fn(&R) -> bool,
        word: impl Fn(W) -> String,
    ) -> Result<ArrayRef, LayoutError> {
        let mut found: Vec<W> = Vec::new();
        let mut last = 0;
        let mut keys: Vec<i32> = Vec::with_capacity(self.len);
        for row in self.iter() {
            let value = value(row);
            if found.get(last) != Some(&value) {
                last = found.iter().position(|other| *other == value).unwrap_or_else(|| {
                    found.push(value);
                    found.len() - 1
                });
            }
            keys.push(i32::try_from(last).unwrap_or(i32::MAX));
        }
        let keys = PrimitiveArray::<Int32Type>::new(keys.into(), self.nulls(is_there));
        let words = StringArray::from_iter_values(found.into_iter().map(word));
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(words))?))
    }
}
