//! Exact decimal numbers: a price and a quantity are whole numbers of a fixed small unit.
//!
//! One unit for every instrument keeps sums and comparisons free of scales and of rounding.
//! Both fit a Parquet/SQL `DECIMAL(18, n)`, so what we store is read exactly by every engine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text or a number is not a decimal of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not of the form `-123.456`.
    #[error("not a decimal number")]
    Malformed,
    /// More digits after the point than the unit holds, and they are not zeros.
    #[error("more than {0} digits after the point")]
    TooFine(u32),
    /// Eighteen digits do not hold it.
    #[error("out of range")]
    OutOfRange,
    /// NaN or infinite.
    #[error("not finite")]
    NotFinite,
}

/// Eighteen nines: the greatest magnitude of a `DECIMAL(18, n)`.
pub const UNITS_MAX: i64 = 999_999_999_999_999_999;

/// Parses `text` into units of `10^-digits`; surplus digits must be zeros.
///
/// # Errors
/// See [`DecimalError`].
pub fn parse_units(text: &str, digits: u32) -> Result<i64, DecimalError> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| DecimalError::Malformed)?)
        }
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if (whole.is_empty() && fraction.is_empty()) || exponent.unsigned_abs() > 40 {
        return Err(DecimalError::Malformed);
    }
    // The digit at position `i` of `whole ++ fraction` counts 10^(point - 1 - i).
    let point = i64::try_from(whole.len()).map_err(|_| DecimalError::OutOfRange)?
        + i64::from(exponent)
        + i64::from(digits);
    let mut units: i64 = 0;
    let mut position: i64 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return Err(DecimalError::Malformed);
        }
        let digit = i64::from(byte - b'0');
        if position < point {
            units = units
                .checked_mul(10)
                .and_then(|units| units.checked_add(digit))
                .ok_or(DecimalError::OutOfRange)?;
        } else if digit != 0 {
            return Err(DecimalError::TooFine(digits));
        }
        position += 1;
    }
    while position < point {
        units =
            if units == 0 { 0 } else { units.checked_mul(10).ok_or(DecimalError::OutOfRange)? };
        position += 1;
    }
    if units > UNITS_MAX {
        return Err(DecimalError::OutOfRange);
    }
    Ok(if negative { -units } else { units })
}

/// Rounds a binary float to the nearest unit of `10^-digits`.
///
/// A decimal of at most fifteen significant digits that was stored as a float comes back exactly.
///
/// # Errors
/// [`DecimalError::NotFinite`] and [`DecimalError::OutOfRange`].
pub fn units_of_float(value: f64, digits: u32) -> Result<i64, DecimalError> {
    if !value.is_finite() {
        return Err(DecimalError::NotFinite);
    }
    let scaled = (value * 10_f64.powi(i32::try_from(digits).unwrap_or(0))).round();
    if scaled.abs() > UNITS_MAX as f64 {
        return Err(DecimalError::OutOfRange);
    }
    Ok(round_to_significant(scaled as i64))
}

/// Past 2^53 units a float's neighbours are more than one unit apart: keep fifteen significant
/// digits, which is what a float carries exactly.
fn round_to_significant(units: i64) -> i64 {
    const FIFTEEN: u64 = 1_000_000_000_000_000;
    let mut step: i64 = 1;
    while units.unsigned_abs() / step.unsigned_abs() >= FIFTEEN {
        step *= 10;
    }
    let half = step / 2;
    let adjusted = if units >= 0 { units + half } else { units - half };
    adjusted / step * step
}

/// Writes `units` of `10^-digits` without trailing zeros.
///
/// # Errors
/// Those of the formatter.
pub fn write_units(units: i64, digits: u32, out: &mut impl fmt::Write) -> fmt::Result {
    let scale = 10_u64.pow(digits);
    let magnitude = units.unsigned_abs();
    let sign = if units < 0 { "-" } else { "" };
    let (whole, mut fraction) = (magnitude / scale, magnitude % scale);
    if fraction == 0 {
        return write!(out, "{sign}{whole}");
    }
    let mut width = digits as usize;
    while fraction % 10 == 0 {
        fraction /= 10;
        width -= 1;
    }
    write!(out, "{sign}{whole}.{fraction:0width$}")
}

macro_rules! decimal {
    ($(#[$doc:meta])* $name:ident, $digits:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        #[repr(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Digits after the point.
            pub const DIGITS: u32 = $digits;
            /// Units in one.
            pub const SCALE: i64 = 10_i64.pow($digits);
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// The greatest value that is stored.
            pub const MAX: Self = Self(UNITS_MAX);

            /// Takes a whole number of units.
            pub const fn from_units(units: i64) -> Self {
                Self(units)
            }

            /// Gives the whole number of units.
            pub const fn units(self) -> i64 {
                self.0
            }

            /// Rounds a float to the nearest unit; exact for up to fifteen significant digits.
            ///
            /// # Errors
            /// When it is not finite or out of range.
            pub fn from_f64(value: f64) -> Result<Self, DecimalError> {
                units_of_float(value, $digits).map(Self)
            }

            /// Gives the nearest float: for display and for SQLite, never for arithmetic.
            pub fn to_f64(self) -> f64 {
                self.0 as f64 / Self::SCALE as f64
            }

            /// Adds, or tells that eighteen digits do not hold the sum.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                let sum = self.0.checked_add(other.0)?;
                (sum.unsigned_abs() <= UNITS_MAX.unsigned_abs()).then_some(Self(sum))
            }

            /// Subtracts, or tells that eighteen digits do not hold the difference.
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.checked_add(Self(other.0.checked_neg()?))
            }
        }

        impl FromStr for $name {
            type Err = DecimalError;
            fn from_str(text: &str) -> Result<Self, DecimalError> {
                parse_units(text, $digits).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_units(self.0, $digits, formatter)
            }
        }
    };
}

decimal!(
    /// A price: whole billionths, `DECIMAL(18, 9)`, below one billion in magnitude.
    Price,
    9
);
decimal!(
    /// A size or volume: whole hundred-millionths, `DECIMAL(18, 8)`, below ten billion.
    Quantity,
    8
);

#[cfg(test)]
mod tests {
    use super::{DecimalError, Price, Quantity};

    #[test]
    fn text_comes_back_as_it_was() {
        for text in ["0", "1.1734", "-0.000000001", "999999999.999999999", "24921.5"] {
            assert_eq!(text.parse::<Price>().unwrap().to_string(), text);
        }
        assert_eq!("1.50".parse::<Price>().unwrap().to_string(), "1.5");
        assert_eq!("1e-5".parse::<Price>().unwrap().to_string(), "0.00001");
        assert_eq!("2.5E3".parse::<Quantity>().unwrap().to_string(), "2500");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!("1.0000000001".parse::<Price>(), Err(DecimalError::TooFine(9)));
        assert_eq!("1000000000".parse::<Price>(), Err(DecimalError::OutOfRange));
        assert_eq!("1e400".parse::<Price>(), Err(DecimalError::Malformed));
        assert_eq!("".parse::<Price>(), Err(DecimalError::Malformed));
        assert_eq!("1.1.1".parse::<Price>(), Err(DecimalError::Malformed));
        assert_eq!(Price::from_f64(f64::NAN), Err(DecimalError::NotFinite));
        assert_eq!(Price::from_f64(1e12), Err(DecimalError::OutOfRange));
        assert_eq!(Price::MAX.checked_add(Price::from_units(1)), None);
    }

    #[test]
    fn a_float_of_fifteen_digits_comes_back_exactly() {
        for text in ["1.38684", "24849.4", "123456.789012345", "0.1", "99999999.9999999"] {
            let exact: Price = text.parse().unwrap();
            assert_eq!(Price::from_f64(text.parse().unwrap()).unwrap(), exact, "{text}");
            assert_eq!(Price::from_f64(exact.to_f64()).unwrap(), exact, "{text}");
        }
    }
}
