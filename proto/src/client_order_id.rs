//! The client order id: an order's name before any venue has seen it, made of what it copies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// How many characters an id has: 100 bits. It fits the 31 characters of a comment in MetaTrader.
pub const LENGTH: usize = 20;

/// RFC 4648, in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A client order id: the same decision always gives the same one, so that a venue that honours
/// client order ids executes it once, however often it is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientOrderId([u8; LENGTH]);

/// The text is no client order id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a client order id; expected {LENGTH} characters of a-z and 2-7")]
pub struct ClientOrderIdError;

impl ClientOrderId {
    /// Gives the id of an order: the first 20 characters of the base32 form of the SHA-256 of the
    /// signal's id, the follower's name and the leg's number in decimal, with a zero byte between
    /// them, which none of them can hold.
    pub fn of(signal_id: &str, follower: &str, leg: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(signal_id.as_bytes());
        hash.update([0]);
        hash.update(follower.as_bytes());
        hash.update([0]);
        let mut digits = [0; 10];
        hash.update(decimal(leg, &mut digits));
        let hash = hash.finalize();
        let mut bits: u128 = 0;
        for byte in hash.iter().take(16) {
            bits = bits << 8 | u128::from(*byte);
        }
        let mut text = [0; LENGTH];
        for (place, character) in text.iter_mut().enumerate() {
            *character = ALPHABET[(bits >> (123 - 5 * place) & 31) as usize];
        }
        Self(text)
    }

    /// Gives its characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn decimal(mut value: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[start..];
        }
    }
}

impl fmt::Debug for ClientOrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ClientOrderId {
    type Err = ClientOrderIdError;

    fn from_str(text: &str) -> Result<Self, ClientOrderIdError> {
        let bytes: [u8; LENGTH] = text.as_bytes().try_into().map_err(|_| ClientOrderIdError)?;
        let is_known = bytes.iter().all(|byte| ALPHABET.contains(byte));
        if is_known { Ok(Self(bytes)) } else { Err(ClientOrderIdError) }
    }
}

impl Serialize for ClientOrderId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ClientOrderId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::ClientOrderId;

    /// Made with Python: `base64.b32encode(hashlib.sha256(b"s-1\0bert\0" + b"0").digest())`.
    #[test]
    fn it_is_what_another_program_makes_of_the_same() {
        for (signal, follower, leg, id) in [
            ("s-1", "bert", 0, "szoxiz2xqiqcqiev3jma"),
            ("s-1", "bert", 1, "dfpucvwxxpnfqo6ykuia"),
            ("123e4567-e89b-12d3-a456-426614174000", "grüß", 4294967295, "suuaghulbmban5dfv6nu"),
        ] {
            assert_eq!(ClientOrderId::of(signal, follower, leg).as_str(), id);
            assert_eq!(id.parse(), Ok(ClientOrderId::of(signal, follower, leg)));
        }
    }

    #[test]
    fn where_one_part_ends_and_the_next_begins_matters() {
        let ids = [("ab", "c", 1), ("a", "bc", 1), ("ab", "c1", 1), ("ab", "c", 11)]
            .map(|(signal, follower, leg)| ClientOrderId::of(signal, follower, leg));
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[at + 1..].contains(id), "{id}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "abcdefgh234567abcde", "ABCDEFGH234567ABCDEF", "abcdefgh234567abcde1"] {
            assert!(text.parse::<ClientOrderId>().is_err(), "{text}");
        }
    }
}
