//! Arrow arrays as values of SQL, one column of one batch at a time.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::time_text;
use crate::query::value::{Type, Value};

/// What the values of a dataset's column become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) enum CellKind {
    Integer,
    Real,
    Text,
    /// With so many digits of the second's fraction.
    Time {
        digits: usize,
    },
    Date,
    Blob,
}

/// Decimals of more digits than this stay text: a REAL would lose too many of them.
const REAL_DIGITS_MAX: u8 = 18;

impl CellKind {
    pub(in crate::query) fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::Boolean => Self::Integer,
            kind if kind.is_integer() => Self::Integer,
            kind if kind.is_floating() => Self::Real,
            DataType::Decimal32(precision, _)
            | DataType::Decimal64(precision, _)
            | DataType::Decimal128(precision, _)
            | DataType::Decimal256(precision, _)
                if *precision <= REAL_DIGITS_MAX =>
            {
                Self::Real
            }
            DataType::Timestamp(unit, _) => Self::Time { digits: digits(unit) },
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Blob,
            _ => Self::Text,
        }
    }

    pub(in crate::query) const fn output(self) -> Type {
        match self {
            Self::Integer => Type::Integer,
            Self::Real => Type::Real,
            Self::Text => Type::Text,
            Self::Time { .. } => Type::Timestamp,
            Self::Date => Type::Date,
            Self::Blob => Type::Blob,
        }
    }
}

const fn digits(unit: &TimeUnit) -> usize {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

const fn nanoseconds(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The values of one column of a batch.
#[derive(Debug)]
pub(in crate::query) enum Cells {
    /// The column is not asked for, or not in this file.
    Absent,
    /// The same value in every row.
    Constant(Value<'static>),
    Integer(Int64Array),
    Real(Float64Array),
    Text(StringArray),
    Time {
        values: Int64Array,
        unit_ns: i64,
        digits: usize,
    },
    Date(Int64Array),
    Blob(BinaryArray),
}

const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: FormatOptions::new() };

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to { Ok(array.clone()) } else { cast_with_options(array, to, &STRICT) }
}

impl Cells {
    /// Converts an array; `kind` is the column's, which gives a time its digits.
    pub(in crate::query) fn new(array: &ArrayRef, kind: CellKind) -> Result<Self, ArrowError> {
        let found = array.data_type();
        let own = CellKind::of(found);
        // Files that disagree about a column: all of it is text, so that it compares as text.
        Ok(match if kind == CellKind::Text { kind } else { own } {
            CellKind::Integer => Self::Integer(int64(&cast(array, &DataType::Int64)?)),
            CellKind::Real => Self::Real(real(array)?),
            CellKind::Time { digits } => {
                let unit_ns = match found {
                    DataType::Timestamp(unit, _) => nanoseconds(unit),
                    _ => 1,
                };
                let digits = if let CellKind::Time { digits } = kind { digits } else { digits };
                Self::Time { values: int64(&cast(array, &DataType::Int64)?), unit_ns, digits }
            }
            CellKind::Date => {
                let days = cast(&cast(array, &DataType::Date32)?, &DataType::Int32)?;
                Self::Date(int64(&cast(&days, &DataType::Int64)?))
            }
            CellKind::Blob => {
                Self::Blob(cast(array, &DataType::Binary)?.as_binary::<i32>().clone())
            }
            CellKind::Text => Self::Text(text(array)?),
        })
    }

    /// Gives the value of a row.
    pub(in crate::query) fn value(&self, row: usize) -> Value<'_> {
        match self {
            Self::Absent => Value::Null,
            Self::Constant(Value::Text(text)) => Value::Text(Cow::Borrowed(text)),
            Self::Constant(value) => value.clone(),
            Self::Integer(values) if values.is_valid(row) => Value::Integer(values.value(row)),
            Self::Real(values) if values.is_valid(row) => Value::Real(values.value(row)),
            Self::Text(values) if values.is_valid(row) => {
                Value::Text(Cow::Borrowed(values.value(row)))
            }
            Self::Time { values, unit_ns, digits } if values.is_valid(row) => {
                let ns = i128::from(values.value(row)) * i128::from(*unit_ns);
                Value::Text(Cow::Owned(time_text::time(ns, *digits)))
            }
            Self::Date(values) if values.is_valid(row) => {
                Value::Text(Cow::Owned(time_text::date(values.value(row))))
            }
            Self::Blob(values) if values.is_valid(row) => {
                Value::Blob(Cow::Borrowed(values.value(row)))
            }
            _ => Value::Null,
        }
    }
}

fn int64(array: &ArrayRef) -> Int64Array {
    array.as_primitive::<Int64Type>().clone()
}

/// Floats as they are; of a decimal the nearest double, which holds fifteen digits exactly.
fn real(array: &ArrayRef) -> Result<Float64Array, ArrowError> {
    let scale = match array.data_type() {
        DataType::Dictionary(_, values) => return real(&cast(array, values)?),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale,
        _ => return Ok(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
    };
    let units = cast(array, &DataType::Decimal128(38, scale))?;
    let one = 10_f64.powi(i32::from(scale.unsigned_abs()));
    Ok(units
        .as_primitive::<Decimal128Type>()
        .unary(|units| if scale >= 0 { units as f64 / one } else { units as f64 * one }))
}

/// Tells whether values of a type are text already, and so sort as their text does.
pub(super) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_text(values),
        kind => matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// Text as it is; of what SQL has no type for, the text that people read.
fn text(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let is_decimal =
        matches!(array.data_type(), DataType::Decimal128(..) | DataType::Decimal256(..));
    if is_decimal || is_text(array.data_type()) {
        return Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone());
    }
    let formatter = ArrayFormatter::try_new(array, &STRICT.format_options)?;
    (0..array.len())
        .map(|row| array.is_valid(row).then(|| formatter.value(row).try_to_string()).transpose())
        .collect()
}
