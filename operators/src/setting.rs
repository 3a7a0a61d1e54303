//! Values of configurations that are written as text: times, decimals, name patterns.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use proto::event_time::EventTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A point in time: `2024-03-10` or `2024-03-10T17:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) EventTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "time",
            "description": "A date, or a date and time; UTC unless it says otherwise.",
            "examples": ["2024-03-10", "2024-03-10T17:00:00Z"],
        })
    }
}

/// A decimal number, read exactly whether it is quoted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal<T>(pub(crate) T);

impl<T: Display> Serialize for Decimal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Decimal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            // The shortest text that reads back as the same float: what the author wrote.
            Value::Number(number) => number.to_string(),
            other => {
                return Err(D::Error::custom(format!("{other} is not a decimal number")));
            }
        };
        let refused = |error| D::Error::custom(format!("`{text}`: {error}"));
        text.parse().map(Self).map_err(refused)
    }
}

impl<T> JsonSchema for Decimal<T> {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "title": "decimal",
            "description": "A decimal number, read exactly.",
            "examples": ["0.0005", "1.25"],
        })
    }
}

/// A pattern of names: `*` stands for any run of characters, `?` for one; the rest, for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct Pattern(pub(crate) String);

impl Pattern {
    /// Tells whether the whole of `name` fits. Takes at most (length of pattern) x (length of
    /// name) steps.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut from) = (0, 0);
        // Where to go on after a mismatch: behind the last star, one character further on.
        let mut star: Option<(usize, usize)> = None;
        while let Some(character) = name.get(from) {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at + 1, from));
                    at += 1;
                }
                Some(wanted) if wanted == character || *wanted == '?' => {
                    at += 1;
                    from += 1;
                }
                _ => {
                    let Some((behind, eaten)) = star else { return false };
                    star = Some((behind, eaten + 1));
                    (at, from) = (behind, eaten + 1);
                }
            }
        }
        pattern.iter().skip(at).all(|rest| *rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, Pattern, Time};
    use proto::decimal::Price;
    use serde_json::json;

    #[test]
    fn a_pattern_fits_whole_names() {
        for (pattern, fits, fails) in [
            ("EURUSD", "EURUSD", "EURUSD.m"),
            ("EUR*", "EUR", "AEUR"),
            ("*USD", "EURUSD", "USDJPY"),
            ("*U*D*", "EURUSD", "DU"),
            ("??T*", "mtT5", "mT5"),
            ("*", "anything", ""),
            ("a*b*c", "abbbcbc", "abb"),
        ] {
            assert!(Pattern(pattern.into()).matches(fits), "{pattern} {fits}");
            assert!(fails.is_empty() || !Pattern(pattern.into()).matches(fails), "{pattern}");
        }
    }

    #[test]
    fn a_decimal_is_the_same_quoted_or_not() {
        for value in [json!("0.0005"), json!(0.0005), json!("5e-4")] {
            let read: Decimal<Price> = serde_json::from_value(value).unwrap();
            assert_eq!(read.0.units(), 500_000);
        }
        let tiny: Decimal<Price> = serde_json::from_value(json!(0.000_000_001)).unwrap();
        assert_eq!(tiny.0.units(), 1);
        let error = serde_json::from_value::<Decimal<Price>>(json!("5 pips")).unwrap_err();
        assert_eq!(error.to_string(), "`5 pips`: not a decimal number");
    }

    #[test]
    fn a_time_says_what_was_expected() {
        let error = serde_json::from_value::<Time>(json!("soon")).unwrap_err().to_string();
        assert!(error.contains("`soon` is not a time; expected 2024-03-10"), "{error}");
    }
}
