//! Arrow columns to whole numbers: times to nanoseconds, prices and sizes to units.
//!
//! A value that is absent becomes [`NONE`]; one that cannot be read becomes [`NONE`] and a note.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimeUnit as ArrowUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use proto::decimal::{UNITS_MAX, parse_units, units_of_float};
use proto::event_time::EventTime;

use crate::time_zone::{Localizer, TimeUnit, epoch_ns};

/// Absent.
pub(super) const NONE: i64 = i64::MIN;

/// What is wrong with rows of a batch: the first complaint about each.
pub(super) type Complaints = BTreeMap<usize, (&'static str, String)>;

/// A column as whole numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// One per row.
    pub(super) values: Vec<i64>,
    /// Some of them are [`NONE`].
    pub(super) has_none: bool,
}

impl Numbers {
    /// Makes every row the same.
    pub(super) fn fill(&mut self, value: i64, rows: usize) {
        self.has_none = value == NONE;
        if self.values.len() != rows || self.values.first() != Some(&value) {
            self.values.clear();
            self.values.resize(rows, value);
        }
    }

    /// Takes the values of an array, each through `read`.
    fn each<T: Copy>(
        &mut self,
        array: &dyn Array,
        values: &[T],
        mut read: impl FnMut(usize, T) -> Option<i64>,
    ) {
        self.values.clear();
        self.values.reserve(values.len());
        self.has_none = false;
        for (row, value) in values.iter().enumerate() {
            let units = if array.is_valid(row) { read(row, *value) } else { None };
            self.has_none |= units.is_none();
            self.values.push(units.unwrap_or(NONE));
        }
    }

    /// Takes the texts of an array.
    fn each_text(&mut self, array: &dyn Array, mut read: impl FnMut(usize, &str) -> Option<i64>) {
        self.values.clear();
        self.has_none = false;
        for row in 0..array.len() {
            let text = if array.is_valid(row) { text_at(array, row) } else { None };
            let units = text.and_then(|text| read(row, text));
            self.has_none |= units.is_none();
            self.values.push(units.unwrap_or(NONE));
        }
    }

    /// Multiplies by `factor` in one tight pass; false if any product leaves `-max..=max`, or if
    /// there are nulls, and the column must be read row by row.
    fn scale_fast(&mut self, array: &dyn Array, values: &[i64], factor: i64, max: i64) -> bool {
        if array.null_count() > 0 || factor == 0 {
            return false;
        }
        let limit = max / factor;
        self.values.clear();
        let mut outside = false;
        self.values.extend(values.iter().map(|value| {
            outside |= *value > limit || *value < -limit;
            value.wrapping_mul(factor)
        }));
        self.has_none = false;
        !outside
    }

    /// Rounds floats to units in one tight pass; false if any needs more care.
    ///
    /// Adding and taking away 1.5 * 2^52 rounds to a whole number (ties to even) without a branch
    /// or a call. It is only trusted where [`units_of_float`] gives the same: below 10^15 units
    /// and not at a tie.
    fn round_fast(&mut self, array: &dyn Array, values: &[f64], scale: f64) -> bool {
        const MAGIC: f64 = 6_755_399_441_055_744.0;
        if array.null_count() > 0 {
            return false;
        }
        self.values.clear();
        let mut careful = false;
        self.values.extend(values.iter().map(|value| {
            let scaled = value * scale;
            let shifted = scaled + MAGIC;
            let rest = scaled - (shifted - MAGIC);
            careful |= scaled.is_nan() | (scaled.abs() >= 1e15) | (rest.abs() >= 0.499_999);
            (shifted.to_bits() as i64).wrapping_sub(MAGIC.to_bits() as i64)
        }));
        self.has_none = false;
        !careful
    }
}

/// Gives the text in a row of a string array.
pub(super) fn text_at(array: &dyn Array, row: usize) -> Option<&str> {
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary_opt()?;
            let key = dictionary.normalized_keys().get(row).copied()?;
            text_at(dictionary.values().as_ref(), key)
        }
        _ => None,
    }
}

/// Reads prices (`digits` 9) and sizes (8).
///
/// # Errors
/// When the column's type cannot hold them.
pub(super) fn decimals(
    array: &dyn Array,
    digits: u32,
    out: &mut Numbers,
    complaints: &mut Complaints,
    reason: &'static str,
) -> Result<(), String> {
    let scale = 10_i64.pow(digits);
    let mut complain = |row: usize, detail: String| {
        complaints.entry(row).or_insert((reason, detail));
    };
    let mut whole = |row: usize, value: i128| {
        let units = value.checked_mul(i128::from(scale));
        let units = units.and_then(|units| i64::try_from(units).ok());
        let units = units.filter(|units| units.unsigned_abs() <= UNITS_MAX.unsigned_abs());
        if units.is_none() {
            complain(row, format!("`{value}` is out of range"));
        }
        units
    };
    match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            if !out.round_fast(array, values, scale as f64) {
                out.each(array, values, |row, value| match units_of_float(value, digits) {
                    Ok(units) => Some(units),
                    Err(error) => {
                        complain(row, format!("`{value}` is {error}"));
                        None
                    }
                });
            }
        }
        DataType::Float32 => {
            // The shortest text that gives the same float is the number that was meant.
            let values = array.as_primitive::<Float32Type>().values();
            out.each(array, values, |row, value| match parse_units(&value.to_string(), digits) {
                Ok(units) => Some(units),
                Err(error) => {
                    complain(row, format!("`{value}` is {error}"));
                    None
                }
            });
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values();
            if !out.scale_fast(array, values, scale, UNITS_MAX) {
                out.each(array, values, |row, value| whole(row, value.into()));
            }
        }
        DataType::Int8 => {
            let values = array.as_primitive::<Int8Type>().values();
            out.each(array, values, |row, value| whole(row, value.into()));
        }
        DataType::Int16 => {
            let values = array.as_primitive::<Int16Type>().values();
            out.each(array, values, |row, value| whole(row, value.into()));
        }
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>().values();
            out.each(array, values, |row, value| whole(row, value.into()));
        }
        DataType::UInt8 => {
            let values = array.as_primitive::<UInt8Type>().values();
            out.each(array, values, |row, value| whole(row, value.into()));
        }
        DataType::UInt16 => {
            let values = array.as_primitive::<UInt16Type>().values();
            out.each(array, values, |row, value| whole(row, value.into()));
        }
        DataType::UInt32 => {
            let values = array.as_primitive::<UInt32Type>().values();
            out.each(array, values, |row, value| whole(row, value.into()));
        }
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().values();
            out.each(array, values, |row, value| whole(row, value.into()));
        }
        DataType::Decimal32(_, _) | DataType::Decimal64(_, _) | DataType::Decimal128(_, _) => {
            exact(array, digits, out, &mut complain);
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            out.each_text(array, |row, text| match parse_units(text.trim(), digits) {
                Ok(units) => Some(units),
                Err(error) => {
                    complain(row, format!("`{text}` is {error}"));
                    None
                }
            });
        }
        other => return Err(format!("its type is {other}; expected a number")),
    }
    Ok(())
}

/// Decimals: the same digits, another scale.
fn exact(
    array: &dyn Array,
    digits: u32,
    out: &mut Numbers,
    complain: &mut impl FnMut(usize, String),
) {
    let (DataType::Decimal32(_, scale)
    | DataType::Decimal64(_, scale)
    | DataType::Decimal128(_, scale)) = *array.data_type()
    else {
        return;
    };
    let shift = i64::from(digits) - i64::from(scale);
    let power = u32::try_from(shift.unsigned_abs()).unwrap_or(u32::MAX);
    let factor = 10_i128.checked_pow(power);
    let mut rescale = |row: usize, value: i128| {
        let units = match factor {
            Some(factor) if shift >= 0 => value.checked_mul(factor),
            Some(factor) if value % factor == 0 => Some(value / factor),
            Some(_) => {
                complain(row, format!("it has more than {digits} digits after the point"));
                return None;
            }
            None => (value == 0).then_some(0),
        };
        let units = units.and_then(|units| i64::try_from(units).ok());
        let units = units.filter(|units| units.unsigned_abs() <= UNITS_MAX.unsigned_abs());
        if units.is_none() {
            complain(row, "it is out of range".to_owned());
        }
        units
    };
    match array.data_type() {
        DataType::Decimal32(_, _) => {
            let values = array.as_primitive::<Decimal32Type>().values();
            out.each(array, values, |row, value| rescale(row, value.into()));
        }
        DataType::Decimal64(_, _) => {
            let values = array.as_primitive::<Decimal64Type>().values();
            let quick = factor.and_then(|factor| i64::try_from(factor).ok());
            let quick = quick.filter(|_| shift >= 0);
            if !quick.is_some_and(|factor| out.scale_fast(array, values, factor, UNITS_MAX)) {
                out.each(array, values, |row, value| rescale(row, value.into()));
            }
        }
        _ => {
            let values = array.as_primitive::<Decimal128Type>().values();
            out.each(array, values, rescale);
        }
    }
}

/// How times are read that do not say it themselves.
#[derive(Debug, Clone)]
pub(super) struct Clockwork {
    /// The zone of naive times.
    pub(super) localizer: Localizer,
    /// Whether that zone is UTC.
    pub(super) is_utc: bool,
    /// What whole numbers count; none: guessed.
    pub(super) unit: Option<TimeUnit>,
}

/// Reads times.
///
/// # Errors
/// When the column's type cannot hold them.
pub(super) fn times(
    array: &dyn Array,
    clockwork: &mut Clockwork,
    out: &mut Numbers,
    complaints: &mut Complaints,
) -> Result<(), String> {
    let mut complain = |row: usize, detail: String| {
        complaints.entry(row).or_insert(("bad_time", detail));
    };
    match array.data_type() {
        DataType::Timestamp(unit, zone) => {
            let (values, factor): (&[i64], i64) = match unit {
                ArrowUnit::Second => {
                    (array.as_primitive::<TimestampSecondType>().values(), 1_000_000_000)
                }
                ArrowUnit::Millisecond => {
                    (array.as_primitive::<TimestampMillisecondType>().values(), 1_000_000)
                }
                ArrowUnit::Microsecond => {
                    (array.as_primitive::<TimestampMicrosecondType>().values(), 1_000)
                }
                ArrowUnit::Nanosecond => {
                    (array.as_primitive::<TimestampNanosecondType>().values(), 1)
                }
            };
            let is_naive = zone.is_none() && !clockwork.is_utc;
            if !is_naive && out.scale_fast(array, values, factor, i64::MAX) {
                return Ok(());
            }
            out.each(array, values, |row, value| {
                let ns = value.checked_mul(factor);
                let ns = if is_naive { ns.and_then(|ns| clockwork.localizer.utc(ns)) } else { ns };
                if ns.is_none() {
                    complain(row, format!("the time `{value}` is out of range"));
                }
                ns
            });
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values();
            out.each(array, values, |row, value| {
                let ns = epoch_ns(value, clockwork.unit);
                if ns.is_none() {
                    complain(row, format!("the time `{value}` is out of range"));
                }
                ns
            });
        }
        DataType::Int32
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float64
        | DataType::Date32
        | DataType::Date64 => {
            let target = match array.data_type() {
                DataType::Date32 | DataType::Date64 => {
                    DataType::Timestamp(ArrowUnit::Millisecond, None)
                }
                _ => DataType::Int64,
            };
            let cast = arrow::compute::cast(array, &target).map_err(|error| error.to_string())?;
            return times(cast.as_ref(), clockwork, out, complaints);
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            out.each_text(array, |row, text| {
                let text = text.trim();
                let ns = text.parse::<EventTime>().ok().map(EventTime::ns);
                let says_zone = chrono::DateTime::parse_from_rfc3339(text).is_ok();
                let ns = if says_zone { ns } else { ns.and_then(|ns| clockwork.localizer.utc(ns)) };
                if ns.is_none() {
                    complain(row, format!("`{text}` is not a time"));
                }
                ns
            });
        }
        other => return Err(format!("its type is {other}; expected a time or a whole number")),
    }
    Ok(())
}

/// Reads whole numbers that are not negative.
///
/// # Errors
/// When the column's type cannot hold them.
pub(super) fn integers(
    array: &dyn Array,
    out: &mut Numbers,
    complaints: &mut Complaints,
    reason: &'static str,
) -> Result<(), String> {
    if !array.data_type().is_integer() {
        return Err(format!("its type is {}; expected a whole number", array.data_type()));
    }
    let mut complain = |row: usize, value: String| {
        complaints.entry(row).or_insert((reason, format!("`{value}` is out of range")));
    };
    if *array.data_type() == DataType::UInt64 {
        out.each(array, array.as_primitive::<UInt64Type>().values(), |row, value| {
            let number = i64::try_from(value).ok();
            if number.is_none() {
                complain(row, value.to_string());
            }
            number
        });
        return Ok(());
    }
    let cast = arrow::compute::cast(array, &DataType::Int64).map_err(|error| error.to_string())?;
    out.each(cast.as_ref(), cast.as_primitive::<Int64Type>().values(), |row, value| {
        if value < 0 {
            complain(row, value.to_string());
            return None;
        }
        Some(value)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Complaints, NONE, Numbers, decimals};
    use arrow::array::{Decimal128Array, Float32Array, Float64Array, StringArray};
    use proptest::prelude::*;
    use proto::decimal::Price;

    fn read(array: &dyn arrow::array::Array) -> (Vec<i64>, Complaints) {
        let (mut numbers, mut complaints) = (Numbers::default(), Complaints::default());
        decimals(array, 9, &mut numbers, &mut complaints, "bad_price").unwrap();
        (numbers.values, complaints)
    }

    proptest! {
        #[test]
        fn floats_become_the_units_that_a_price_would_have(
            values in prop::collection::vec(prop_oneof![
                any::<f64>(),
                -2e9_f64..2e9,
                (0_i64..2_000_000_000_000).prop_map(|n| n as f64 / 1e5),
                (0_i64..1_000_000_000).prop_map(|n| (n as f64 + 0.5) / 1e9),
            ], 1..40)
        ) {
            let (units, complaints) = read(&Float64Array::from(values.clone()));
            for (row, value) in values.iter().enumerate() {
                match Price::from_f64(*value) {
                    Ok(price) => prop_assert_eq!(units[row], price.units()),
                    Err(_) => {
                        prop_assert_eq!(units[row], NONE);
                        prop_assert!(complaints.contains_key(&row));
                    }
                }
            }
        }
    }

    #[test]
    fn every_number_type_gives_the_same_price() {
        let price: Price = "1.38684".parse().unwrap();
        let decimal = Decimal128Array::from(vec![138_684]).with_precision_and_scale(10, 5).unwrap();
        assert_eq!(read(&decimal).0, [price.units()]);
        assert_eq!(read(&Float64Array::from(vec![1.38684])).0, [price.units()]);
        assert_eq!(read(&Float32Array::from(vec![1.38684])).0, [price.units()]);
        assert_eq!(read(&StringArray::from(vec!["1.38684"])).0, [price.units()]);
    }

    #[test]
    fn decimals_that_are_too_fine_are_complained_about() {
        let fine = Decimal128Array::from(vec![1, 10]).with_precision_and_scale(20, 10).unwrap();
        let (units, complaints) = read(&fine);
        assert_eq!(units, [NONE, 1]);
        assert_eq!(complaints.len(), 1);
    }
}
