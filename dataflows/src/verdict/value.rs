//! Values of a job file's tests, brought into the one form in which they are compared.

use proto::candle::{Basis, FLAG_NAMES, Reason};
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::row::{Column, ColumnType, write_number};
use proto::timeframe::Timeframe;
use serde_json::Value;

use crate::job::mistake::short;

/// Brings the value of a column into canonical form: decimals and times as the text in which they
/// are shown, whole numbers as numbers, absent ones as null.
///
/// # Errors
/// Says what was expected, where it is no value of the column.
pub fn canonical(column: &Column, value: &Value) -> Result<Value, String> {
    let text = match value {
        Value::Null if column.nullable => return Ok(Value::Null),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null => return Err(format!("expected {}, found nothing", expected(column))),
        Value::Bool(_) => return Err(refusal(column, &value.to_string())),
        Value::Array(_) => return Err(format!("expected {}, found a list", expected(column))),
        Value::Object(_) => return Err(format!("expected {}, found a mapping", expected(column))),
    };
    let number = |number: Option<i64>| {
        let number = number.ok_or_else(|| refusal(column, &text))?;
        let mut shown = String::new();
        write_number(number, column.kind, &mut shown);
        Ok(Value::String(shown))
    };
    match column.kind {
        ColumnType::Text => {
            word(column.name, &text).map(Value::String).ok_or_else(|| refusal(column, &text))
        }
        ColumnType::Integer | ColumnType::Nanos => {
            let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
            number.map(Value::from).ok_or_else(|| refusal(column, &text))
        }
        ColumnType::Price => number(text.parse::<Price>().ok().map(Price::units)),
        ColumnType::Quantity => number(text.parse::<Quantity>().ok().map(Quantity::units)),
        ColumnType::Second | ColumnType::Time => {
            number(text.parse::<EventTime>().ok().map(EventTime::ns))
        }
        ColumnType::Date => number(days(&text)),
        ColumnType::Bytes => {
            let is_hex =
                text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
            let shown = || Value::String(text.to_ascii_lowercase());
            is_hex.then(shown).ok_or_else(|| refusal(column, &text))
        }
    }
}

fn refusal(column: &Column, text: &str) -> String {
    format!("`{}` is no value of `{}`; expected {}", short(text), column.name, expected(column))
}

/// Days since 1970 of a civil date.
pub(super) fn days(text: &str) -> Option<i64> {
    const DAY: i64 = 86_400_000_000_000;
    let time: EventTime = text.parse().ok()?;
    (time.ns().rem_euclid(DAY) == 0).then(|| time.ns().div_euclid(DAY))
}

/// Reads a word of serde's, as `Basis` and `Reason` have them.
pub(super) fn named<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(Value::String(text.to_owned())).ok()
}

/// Reads names of flags, joined by commas.
pub(super) fn flags(text: &str) -> Option<u16> {
    text.split(',').try_fold(0, |bits, word| {
        let known = FLAG_NAMES.iter().find(|(_, name)| *name == word.trim())?;
        Some(bits | known.0)
    })
}

/// Checks the text of a column whose words are known.
fn word(column: &str, text: &str) -> Option<String> {
    match column {
        "timeframe" => text.parse::<Timeframe>().ok().map(|timeframe| timeframe.to_string()),
        "basis" => named::<Basis>(text).map(|basis| basis.name().to_owned()),
        "flags" => proto::row::flag_words(flags(text)?).map(|words| words.to_string()),
        _ => Some(text.to_owned()),
    }
}

/// Says what the values of a column look like.
fn expected(column: &Column) -> &'static str {
    match (column.name, column.kind) {
        ("timeframe", _) => "a timeframe such as 1m",
        ("basis", _) => "bid, ask, mid or last",
        ("flags", _) => {
            "names of flags joined by commas: partial_start, partial_end, gap, synthetic"
        }
        (_, ColumnType::Text) => "text",
        (_, ColumnType::Integer | ColumnType::Nanos) => "a whole number, not negative",
        (_, ColumnType::Price) => "a decimal number with 9 digits after the point at most",
        (_, ColumnType::Quantity) => "a decimal number with 8 digits after the point at most",
        (_, ColumnType::Second | ColumnType::Time) => "a time such as 2024-01-02T10:00:00Z",
        (_, ColumnType::Date) => "a date such as 2024-01-02",
        (_, ColumnType::Bytes) => "bytes in hexadecimal",
    }
}

/// Reads the reason of a candle.
pub(super) fn reason(text: &str) -> Option<Reason> {
    named(text)
}

/// Reads bytes in hexadecimal.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    let byte = |pair: &[u32]| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok();
    pairs.chunks(2).map(byte).collect()
}
