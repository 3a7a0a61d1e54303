//! Where a message was found, as text that people read and that can be read back: what a dead letter
//! needs to be sent again.
//!
//! `queue ticks, key market.mt4.EURUSD.tick, message id 7, content type application/json`. A value
//! with anything in it that could be taken for something else stands in quotes, as in JSON.

use std::fmt::{self, Write};

/// Tells the key of a message that was put into its queue by the queue's name: it is read as if it
/// had come by that key.
pub const KEY_HEADER: &str = "x-routing-key";

/// The header that tells when something happened, in nanoseconds since 1970.
pub const TIME_HEADER: &str = "x-event-time-ns";

/// The place of a message, and what its reading depends on beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessagePlace {
    /// The queue.
    pub queue: String,
    /// The routing key.
    pub key: String,
    /// The publisher's id of it.
    pub message_id: Option<String>,
    /// What its bytes are.
    pub content_type: Option<String>,
    /// The header [`TIME_HEADER`].
    pub time_ns: Option<i64>,
    /// The property `timestamp`.
    pub timestamp: Option<u64>,
    /// The header `traceparent`.
    pub traceparent: Option<String>,
    /// How many bytes it had, if not all of them were kept.
    pub cut_from: Option<usize>,
}

const QUEUE: &str = "queue";
const KEY: &str = "key";
const MESSAGE_ID: &str = "message id";
const CONTENT_TYPE: &str = "content type";
const TIME: &str = "event time";
const TIMESTAMP: &str = "timestamp";
const TRACE: &str = "traceparent";
const CUT: &str = "cut from";

impl fmt::Display for MessagePlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{QUEUE} ")?;
        value(&self.queue, out)?;
        write!(out, ", {KEY} ")?;
        value(&self.key, out)?;
        let texts = [
            (MESSAGE_ID, &self.message_id),
            (CONTENT_TYPE, &self.content_type),
            (TRACE, &self.traceparent),
        ];
        for (label, text) in texts {
            if let Some(text) = text {
                write!(out, ", {label} ")?;
                value(text, out)?;
            }
        }
        if let Some(time) = self.time_ns {
            write!(out, ", {TIME} {time}")?;
        }
        if let Some(timestamp) = self.timestamp {
            write!(out, ", {TIMESTAMP} {timestamp}")?;
        }
        if let Some(bytes) = self.cut_from {
            write!(out, ", {CUT} {bytes}")?;
        }
        Ok(())
    }
}

impl MessagePlace {
    /// Reads what was written; none: it is the place of something else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut place = Self::default();
        let mut rest = expect(text, QUEUE)?;
        (place.queue, rest) = take(rest)?;
        rest = expect(rest.strip_prefix(", ")?, KEY)?;
        (place.key, rest) = take(rest)?;
        while !rest.is_empty() {
            rest = rest.strip_prefix(", ")?;
            let labels = [MESSAGE_ID, CONTENT_TYPE, TRACE, TIME, TIMESTAMP, CUT];
            let found = labels.into_iter().find_map(|label| Some((label, expect(rest, label)?)));
            let (label, behind) = found?;
            let (text, behind) = take(behind)?;
            rest = behind;
            match label {
                MESSAGE_ID => place.message_id = Some(text),
                CONTENT_TYPE => place.content_type = Some(text),
                TRACE => place.traceparent = Some(text),
                TIME => place.time_ns = Some(text.parse().ok()?),
                TIMESTAMP => place.timestamp = Some(text.parse().ok()?),
                _ => place.cut_from = Some(text.parse().ok()?),
            }
        }
        Some(place)
    }
}

fn expect<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.strip_prefix(label)?.strip_prefix(' ')
}

/// Whether a text can stand without quotes: nothing in it ends it, and nothing in it can change how
/// the line around it is shown.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text.contains([',', '"', '\\'])
        && !text.chars().any(is_unseen)
}

/// What is not seen, or turns the text around it.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn value(text: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if is_plain(text) {
        return out.write_str(text);
    }
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            c if is_unseen(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// Takes a value off; gives what is behind it.
fn take(text: &str) -> Option<(String, &str)> {
    if !text.starts_with('"') {
        let (value, _) = text.split_once(',').unwrap_or((text, ""));
        let rest = text.get(value.len()..)?;
        return is_plain(value).then(|| (value.to_owned(), rest));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next()?.ok()?;
    let rest = text.get(values.byte_offset()..)?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::MessagePlace;

    fn place(key: &str) -> MessagePlace {
        MessagePlace {
            queue: "tapeflow.candles-live.ticks".to_owned(),
            key: key.to_owned(),
            message_id: Some("7".to_owned()),
            ..MessagePlace::default()
        }
    }

    #[test]
    fn a_plain_place_reads_as_a_sentence() {
        let text = place("market.mt4.S&P 500.tick").to_string();
        let expected =
            "queue tapeflow.candles-live.ticks, key market.mt4.S&P 500.tick, message id 7";
        assert_eq!(text, expected);
        let more = MessagePlace {
            content_type: Some("application/json".to_owned()),
            time_ns: Some(-5),
            timestamp: Some(9),
            cut_from: Some(300_000),
            ..place("k")
        };
        let expected = "queue tapeflow.candles-live.ticks, key k, message id 7, content type \
                        application/json, event time -5, timestamp 9, cut from 300000";
        assert_eq!(more.to_string(), expected);
        assert_eq!(MessagePlace::parse(expected).unwrap(), more);
    }

    #[test]
    fn no_key_can_be_taken_for_another_part() {
        for (key, shown) in [
            ("a, message id 8", r#""a, message id 8""#),
            ("a\"b\\", r#""a\"b\\""#),
            ("", r#""""#),
            (" a", r#"" a""#),
            ("a\n\u{202e}b\0", r#""a\u000a\u202eb\u0000""#),
        ] {
            let place = place(key);
            let text = place.to_string();
            assert!(text.contains(&format!("key {shown}, message id 7")), "{text}");
            assert_eq!(MessagePlace::parse(&text).unwrap(), place);
        }
    }

    #[test]
    fn another_place_is_none() {
        for text in [
            "",
            "ticks.csv:17",
            "queue q",
            "queue q, key ",
            "queue q, key k, ",
            "queue q, key k, colour red",
            "queue q, key k, timestamp x",
            "queue q, key \"k, message id 7",
            "queue q, key \"k\"x",
        ] {
            assert_eq!(MessagePlace::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_place_comes_back(
            names in prop::array::uniform2(".{0,40}"),
            texts in prop::array::uniform3(prop::option::of("(?s).{0,30}")),
            time_ns in any::<Option<i64>>(),
            timestamp in any::<Option<u64>>(),
            cut_from in any::<Option<usize>>(),
        ) {
            let [queue, key] = names;
            let [message_id, content_type, traceparent] = texts;
            let place = MessagePlace {
                queue, key, message_id, content_type, time_ns, timestamp, traceparent, cut_from,
            };
            prop_assert_eq!(MessagePlace::parse(&place.to_string()), Some(place));
        }

        #[test]
        fn nothing_that_is_read_makes_it_panic(text in "(?s)(queue |key |, |\"|\\\\|u00|.){0,40}") {
            drop(MessagePlace::parse(&text));
        }
    }
}
