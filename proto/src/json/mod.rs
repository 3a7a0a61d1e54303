//! JSON: the platform's short forms for ticks and charts, and one plain form for the rest.
//!
//! Numbers are read from their text and written as exact decimals; no float comes near them.

mod candle;
mod tick;

pub use candle::{ChartCandle, VolumeMode};
pub use tick::{TimeUnit, decode_tick, encode_tick};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::chat_message::ChatMessage;
use crate::decision::Decision;
use crate::depth::Depth;
use crate::follow::Follow;
use crate::order::Order;
use crate::record::{Record, RecordError, ensure_length};
use crate::specification::Specification;
use crate::tick_message::TickMessage;
use crate::trade_event::TradeEvent;
use crate::trade_signal::TradeSignal;

/// How deep objects and arrays may be nested.
const DEPTH_MAX: usize = 32;

/// A record with a plain JSON form: one object, fields as in the type, an absent one `null`.
pub trait Json: Record + Serialize + DeserializeOwned {
    /// Appends the object to `out`, without spaces; on an error `out` is as it was.
    ///
    /// # Errors
    /// When the record breaks a rule of its type, or the text would be too long to be read.
    fn encode_json(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.check()?;
        let text = serde_json::to_vec(self).map_err(malformed)?;
        ensure_length(text.len())?;
        out.extend_from_slice(&text);
        Ok(())
    }

    /// Reads one whole object. Fields it does not know are left out, so that a newer writer does
    /// no harm; a field given twice is refused.
    ///
    /// # Errors
    /// When it is too long, not JSON, nested deeper than 32, or no record: see [`RecordError`].
    fn decode_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = read_object(bytes)?;
        record.check()?;
        Ok(record)
    }
}

impl Json for TickMessage {}
impl Json for Depth {}
impl Json for TradeEvent {}
impl Json for TradeSignal {}
impl Json for Order {}
impl Json for ChatMessage {}
impl Json for Follow {}
impl Json for Account {}
impl Json for Specification {}
impl Json for Decision {}

/// Reads one object within the size limit. Serde would take an array for a struct, too.
fn read_object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RecordError> {
    ensure_length(bytes.len())?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed("expected an object"));
    }
    if depth(bytes) > DEPTH_MAX {
        return Err(malformed("nested too deep"));
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

/// Counts how deep brackets outside of texts go. Serde has no limit for what it skips.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn malformed(error: impl ToString) -> RecordError {
    RecordError::malformed("json", error)
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn only_brackets_outside_of_texts_count() {
        for (text, deep) in [
            (r#"{"a":[1,{}],"b":[]}"#, 3),
            (r#"{"a":"[[[[\"[[[","b":1}"#, 1),
            (r#"{"a":"\\","b":[[1]]}"#, 3),
            ("]]}{", 1),
        ] {
            assert_eq!(depth(text.as_bytes()), deep, "{text}");
        }
    }
}
