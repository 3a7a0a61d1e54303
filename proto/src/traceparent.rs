//! W3C Trace Context: which trace a message belongs to (<https://www.w3.org/TR/trace-context/>).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of a version 00 `traceparent`, in bytes.
const LENGTH: usize = 55;
/// The flags that are passed on: sampled (bit 0) and random trace id (bit 1, level 2).
const FLAGS_KNOWN: u8 = 0b11;

/// A valid `traceparent`. Written as version 00; of a later version, what version 00 defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Traceparent {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

/// The text is no `traceparent`; whoever carries it drops it and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent; expected 00-<32 hex digits>-<16 hex digits>-<2 hex digits>")]
pub struct TraceparentError;

impl Traceparent {
    /// Puts one together; flags other than sampled and random are cleared.
    ///
    /// # Errors
    /// When an id is zero.
    pub const fn new(trace_id: u128, parent_id: u64, flags: u8) -> Result<Self, TraceparentError> {
        if trace_id == 0 || parent_id == 0 {
            return Err(TraceparentError);
        }
        Ok(Self { trace_id, parent_id, flags: flags & FLAGS_KNOWN })
    }

    /// The trace.
    pub const fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The span that sent the message.
    pub const fn parent_id(&self) -> u64 {
        self.parent_id
    }

    /// The flags byte.
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Tells whether the sender recorded the trace.
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// Reads lower-case hex digits only: the standard forbids upper case.
fn hex(text: &str) -> Result<u128, TraceparentError> {
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(TraceparentError);
    }
    u128::from_str_radix(text, 16).map_err(|_| TraceparentError)
}

impl FromStr for Traceparent {
    type Err = TraceparentError;

    fn from_str(text: &str) -> Result<Self, TraceparentError> {
        let head = text.get(..LENGTH).ok_or(TraceparentError)?;
        let rest = text.get(LENGTH..).unwrap_or("");
        let mut parts = head.split('-');
        let mut part = |length: usize| match parts.next() {
            Some(part) if part.len() == length => hex(part),
            _ => Err(TraceparentError),
        };
        let (version, trace_id, parent_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // A later version may go on after another dash; version ff is forbidden.
        let ends_well = rest.is_empty() || (version > 0 && rest.starts_with('-'));
        if version == 0xff || !ends_well {
            return Err(TraceparentError);
        }
        let parent_id = u64::try_from(parent_id).map_err(|_| TraceparentError)?;
        let flags = u8::try_from(flags).map_err(|_| TraceparentError)?;
        Self::new(trace_id, parent_id, flags)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

impl Serialize for Traceparent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Traceparent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads an optional one and drops it when it is invalid, as the standard asks.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Traceparent>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::Traceparent;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_one_comes_back_as_it_was() {
        let trace: Traceparent = GOOD.parse().unwrap();
        assert_eq!(trace.to_string(), GOOD);
        assert!(trace.is_sampled());
        assert_eq!(trace.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(trace.parent_id(), 0x00f0_67aa_0ba9_02b7);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_version_00_goes() {
        for text in [GOOD.replacen("00", "cc", 1), GOOD.replacen("00", "01", 1) + "-what-comes"] {
            assert_eq!(text.parse::<Traceparent>().unwrap().to_string(), GOOD);
        }
        let flags = GOOD.replace("-01", "-ff");
        assert_eq!(flags.parse::<Traceparent>().unwrap().to_string(), GOOD.replace("-01", "-03"));
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        let wrong = [
            String::new(),
            GOOD.to_uppercase(),
            GOOD.replacen("00", "ff", 1),
            GOOD.to_owned() + "-00",
            GOOD.to_owned() + "0",
            GOOD.replacen("00", "01", 1) + "x",
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace('-', "_"),
            GOOD.replace("-01", "-+1"),
            GOOD[..54].to_owned(),
            "é".repeat(40),
        ];
        for text in wrong {
            assert!(text.parse::<Traceparent>().is_err(), "{text:?}");
        }
    }
}
