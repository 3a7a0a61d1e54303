//! Decimals for serde: in text (JSON) the number itself, digit by digit, never through a float;
//! in binary state the whole number of units.
//!
//! Made for `#[serde(with = "crate::exact")]` and `#[serde(with = "crate::exact::maybe")]`. The
//! text form goes through `serde_json::value::RawValue` and so works with `serde_json` only.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::decimal::{DecimalError, Price, Quantity};

/// What a price and a quantity have in common here.
pub(crate) trait Exact: Copy {
    fn of_units(units: i64) -> Self;
    fn to_units(self) -> i64;
    fn of_text(text: &str) -> Result<Self, DecimalError>;
    fn to_text(self) -> String;
}

macro_rules! exact {
    ($name:ident) => {
        impl Exact for $name {
            fn of_units(units: i64) -> Self {
                Self::from_units(units)
            }
            fn to_units(self) -> i64 {
                self.units()
            }
            fn of_text(text: &str) -> Result<Self, DecimalError> {
                text.parse()
            }
            fn to_text(self) -> String {
                self.to_string()
            }
        }
    };
}

exact!(Price);
exact!(Quantity);

/// Reads a JSON number's text; a string, however numeric, is none.
pub(crate) fn of_raw<T: Exact>(raw: &RawValue) -> Result<T, DecimalError> {
    let text = raw.get();
    if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Err(DecimalError::Malformed);
    }
    T::of_text(text)
}

/// Writes a number.
pub(crate) fn serialize<T: Exact, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() {
        let raw = RawValue::from_string(value.to_text()).map_err(serde::ser::Error::custom)?;
        raw.serialize(to)
    } else {
        value.to_units().serialize(to)
    }
}

/// Reads a number.
pub(crate) fn deserialize<'de, T: Exact, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    if from.is_human_readable() {
        let raw = Box::<RawValue>::deserialize(from)?;
        of_raw(&raw).map_err(serde::de::Error::custom)
    } else {
        i64::deserialize(from).map(T::of_units)
    }
}

/// The same for a number that may be absent, `null` in JSON.
pub(crate) mod maybe {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Exact;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Number<T: Exact>(
        #[serde(with = "super", bound(serialize = "T: Exact", deserialize = "T: Exact"))] T,
    );

    pub(crate) fn serialize<T: Exact, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Number).serialize(to)
    }

    pub(crate) fn deserialize<'de, T: Exact, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        Ok(Option::<Number<T>>::deserialize(from)?.map(|number| number.0))
    }
}
