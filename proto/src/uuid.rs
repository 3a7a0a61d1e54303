//! UUIDs: the identity that a client gives its chat message. Sixteen bytes, so that upper and
//! lower case are one identity.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the dashes stand in the text form.
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// A UUID of any version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(u128);

/// The text is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID; expected 36 characters such as 123e4567-e89b-12d3-a456-426614174000")]
pub struct UuidError;

impl Uuid {
    /// Takes its 128 bits, most significant first.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Gives its 128 bits, most significant first.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        if text.len() != 36 {
            return Err(UuidError);
        }
        let mut bits: u128 = 0;
        for (position, byte) in text.bytes().enumerate() {
            if DASHES.contains(&position) {
                if byte != b'-' {
                    return Err(UuidError);
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16).ok_or(UuidError)?;
            bits = bits << 4 | u128::from(digit);
        }
        Ok(Self(bits))
    }
}

impl fmt::Display for Uuid {
    /// Lower case, with dashes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        write!(
            formatter,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            bits >> 80 & 0xffff,
            bits >> 64 & 0xffff,
            bits >> 48 & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Uuid;

    #[test]
    fn case_does_not_make_another_identity() {
        let text = "123e4567-e89b-12d3-a456-426614174000";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<Uuid>().unwrap(), uuid);
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in [
            "",
            "123e4567e89b12d3a456426614174000",
            "123e4567-e89b-12d3-a456-42661417400g",
            "123e4567-e89b-12d3-a456_426614174000",
            "{23e4567-e89b-12d3-a456-426614174000}",
            "+23e4567-e89b-12d3-a456-426614174000",
            "éééééééééééééééééé",
        ] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }
}
