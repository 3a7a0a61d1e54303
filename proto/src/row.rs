//! Layout of records in rows: the columns of SQL tables, CSV and JSON lines, and their values.
//!
//! Values come column by column, as whole numbers of a known unit or as text; what a database
//! makes of them is the business of its sink.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::candle::{Candle, FLAG_NAMES};
use crate::columns::Names;
use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::feed_status::FeedStatus;
use crate::payload::Payload;
use crate::reject::Reject;
use crate::series::SeriesId;
use crate::tick::Tick;

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A price, in its units.
    Price,
    /// A quantity, in its units.
    Quantity,
    /// A point in time that falls on a whole second, in nanoseconds since 1970.
    Second,
    /// A point in time, in nanoseconds since 1970.
    Time,
    /// The 0 to 999 nanoseconds that a time in microseconds lacks. Formats that write times in
    /// full leave it out.
    Nanos,
    /// A civil date, in days since 1970-01-01.
    Date,
    /// Bytes.
    Bytes,
}

/// A column of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: ColumnType,
    /// Whether values may be absent.
    pub nullable: bool,
}

const fn column(name: &'static str, kind: ColumnType) -> Column {
    Column { name, kind, nullable: false }
}

const fn nullable(name: &'static str, kind: ColumnType) -> Column {
    Column { name, kind, nullable: true }
}

/// The columns of a tick. `sequence` is absent where the source gave none: such a tick has no
/// identity.
pub const TICK_COLUMNS: &[Column] = &[
    column("source", ColumnType::Text),
    column("instrument", ColumnType::Text),
    column("time", ColumnType::Time),
    column("nanos", ColumnType::Nanos),
    nullable("sequence", ColumnType::Integer),
    nullable("bid", ColumnType::Price),
    nullable("ask", ColumnType::Price),
    nullable("last", ColumnType::Price),
    nullable("volume", ColumnType::Quantity),
];

/// The columns of a candle. `flags` is absent, or names joined by commas.
pub const CANDLE_COLUMNS: &[Column] = &[
    column("source", ColumnType::Text),
    column("instrument", ColumnType::Text),
    column("timeframe", ColumnType::Text),
    column("start", ColumnType::Second),
    column("end", ColumnType::Second),
    column("trading_date", ColumnType::Date),
    column("basis", ColumnType::Text),
    column("open", ColumnType::Price),
    column("high", ColumnType::Price),
    column("low", ColumnType::Price),
    column("close", ColumnType::Price),
    nullable("ask_open", ColumnType::Price),
    nullable("ask_high", ColumnType::Price),
    nullable("ask_low", ColumnType::Price),
    nullable("ask_close", ColumnType::Price),
    nullable("volume", ColumnType::Quantity),
    column("ticks", ColumnType::Integer),
    column("first_time", ColumnType::Time),
    column("last_time", ColumnType::Time),
    column("first_sequence", ColumnType::Integer),
    column("last_sequence", ColumnType::Integer),
    column("revision", ColumnType::Integer),
    column("reason", ColumnType::Text),
    nullable("flags", ColumnType::Text),
];

/// The columns of a reject.
pub const REJECT_COLUMNS: &[Column] = &[
    column("clock", ColumnType::Time),
    column("component", ColumnType::Text),
    column("reason", ColumnType::Text),
    column("detail", ColumnType::Text),
    nullable("place", ColumnType::Text),
    nullable("source", ColumnType::Text),
    nullable("instrument", ColumnType::Text),
    nullable("time", ColumnType::Time),
    nullable("nanos", ColumnType::Nanos),
    nullable("sequence", ColumnType::Integer),
    nullable("bid", ColumnType::Price),
    nullable("ask", ColumnType::Price),
    nullable("last", ColumnType::Price),
    nullable("volume", ColumnType::Quantity),
    nullable("payload", ColumnType::Bytes),
];

/// The columns of a payload.
pub const PAYLOAD_COLUMNS: &[Column] = &[
    column("source", ColumnType::Text),
    column("instrument", ColumnType::Text),
    column("time", ColumnType::Time),
    column("nanos", ColumnType::Nanos),
    nullable("content_type", ColumnType::Text),
    nullable("traceparent", ColumnType::Text),
    column("payload", ColumnType::Bytes),
];

/// The columns of a feed's status.
pub const STATUS_COLUMNS: &[Column] = &[
    column("source", ColumnType::Text),
    column("instrument", ColumnType::Text),
    column("clock", ColumnType::Time),
    column("status", ColumnType::Text),
    column("last_time", ColumnType::Time),
    column("feed_time", ColumnType::Time),
];

/// The values of one column, one per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// Of [`ColumnType::Text`].
    Text(Vec<Option<Arc<str>>>),
    /// Of all types but text and bytes, in their units.
    Numbers(Vec<Option<i64>>),
    /// Of [`ColumnType::Bytes`].
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Values {
    /// Counts them.
    pub const fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Numbers(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// Tells whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the value of a row as text, bytes as hexadecimal; tells whether there is one.
    pub fn write(&self, kind: ColumnType, row: usize, out: &mut String) -> bool {
        match self {
            Self::Text(values) => match values.get(row).and_then(Option::as_deref) {
                Some(text) => out.push_str(text),
                None => return false,
            },
            Self::Numbers(values) => match values.get(row).copied().flatten() {
                Some(value) => write_number(value, kind, out),
                None => return false,
            },
            Self::Bytes(values) => match values.get(row).and_then(Option::as_deref) {
                Some(bytes) => bytes.iter().for_each(|byte| {
                    pad_hex(*byte, out);
                }),
                None => return false,
            },
        }
        true
    }
}

fn pad_hex(byte: u8, out: &mut String) {
    // Writing to a String cannot fail.
    let written = write!(out, "{byte:02x}");
    debug_assert!(written.is_ok());
}

fn numbers<R>(rows: &[R], value: impl Fn(&R) -> i64) -> Values {
    Values::Numbers(rows.iter().map(|row| Some(value(row))).collect())
}

fn some<R>(rows: &[R], value: impl Fn(&R) -> Option<i64>) -> Values {
    Values::Numbers(rows.iter().map(value).collect())
}

fn texts<R>(rows: &[R], value: impl Fn(&R) -> Option<Arc<str>>) -> Values {
    Values::Text(rows.iter().map(value).collect())
}

/// Words that are few are made once and shared.
fn few<R, K: PartialEq>(
    rows: &[R],
    key: impl Fn(&R) -> K,
    word: impl Fn(&K) -> Option<Arc<str>>,
) -> Values {
    let mut found: Vec<(K, Option<Arc<str>>)> = Vec::new();
    let values = rows.iter().map(|row| {
        let key = key(row);
        if let Some((_, word)) = found.iter().find(|(other, _)| *other == key) {
            return word.clone();
        }
        let word = word(&key);
        found.push((key, word.clone()));
        word
    });
    Values::Text(values.collect())
}

fn sources<R>(rows: &[R], names: &Names, series: impl Fn(&R) -> Option<SeriesId>) -> Values {
    texts(rows, |row| names.get(series(row)?).map(|series| series.source.clone()))
}

fn instruments<R>(rows: &[R], names: &Names, series: impl Fn(&R) -> Option<SeriesId>) -> Values {
    texts(rows, |row| names.get(series(row)?).map(|series| series.instrument.clone()))
}

fn price(price: Price) -> Option<i64> {
    (price != Price::ZERO).then_some(price.units())
}

fn nanos(time: EventTime) -> i64 {
    time.ns().rem_euclid(1_000)
}

/// Gives the names of the flags among `bits`, joined by commas; none if there are none.
pub fn flag_words(bits: u16) -> Option<Arc<str>> {
    let words: Vec<&str> =
        FLAG_NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    (!words.is_empty()).then(|| words.join(",").into())
}

/// Gives the values of ticks, in the order of [`TICK_COLUMNS`].
pub fn tick_values(ticks: &[Tick], names: &Names) -> Vec<Values> {
    vec![
        sources(ticks, names, |tick| Some(tick.series)),
        instruments(ticks, names, |tick| Some(tick.series)),
        numbers(ticks, |tick| tick.time.ns()),
        numbers(ticks, |tick| nanos(tick.time)),
        some(ticks, |tick| tick.has(Tick::HAS_SEQUENCE).then_some(tick.sequence as i64)),
        some(ticks, |tick| price(tick.bid)),
        some(ticks, |tick| price(tick.ask)),
        some(ticks, |tick| price(tick.last)),
        some(ticks, |tick| tick.has(Tick::HAS_VOLUME).then_some(tick.volume.units())),
    ]
}

/// Gives the values of candles, in the order of [`CANDLE_COLUMNS`].
pub fn candle_values(candles: &[Candle], names: &Names) -> Vec<Values> {
    let ask = |price: fn(&Candle) -> Price| {
        some(candles, move |candle| candle.has(Candle::HAS_ASK).then_some(price(candle).units()))
    };
    vec![
        sources(candles, names, |candle| Some(candle.series)),
        instruments(candles, names, |candle| Some(candle.series)),
        few(candles, |candle| candle.timeframe, |frame| Some(frame.to_string().into())),
        numbers(candles, |candle| candle.start.ns()),
        numbers(candles, |candle| candle.end.ns()),
        numbers(candles, |candle| i64::from(candle.trading_date)),
        few(candles, |candle| candle.basis, |basis| Some(basis.name().into())),
        numbers(candles, |candle| candle.price.open.units()),
        numbers(candles, |candle| candle.price.high.units()),
        numbers(candles, |candle| candle.price.low.units()),
        numbers(candles, |candle| candle.price.close.units()),
        ask(|candle| candle.ask.open),
        ask(|candle| candle.ask.high),
        ask(|candle| candle.ask.low),
        ask(|candle| candle.ask.close),
        some(candles, |candle| candle.has(Candle::HAS_VOLUME).then_some(candle.volume.units())),
        numbers(candles, |candle| candle.ticks as i64),
        numbers(candles, |candle| candle.first_time.ns()),
        numbers(candles, |candle| candle.last_time.ns()),
        numbers(candles, |candle| candle.first_sequence as i64),
        numbers(candles, |candle| candle.last_sequence as i64),
        numbers(candles, |candle| i64::from(candle.revision)),
        few(candles, |candle| candle.reason, |reason| Some(reason.name().into())),
        few(candles, |candle| candle.flags, |flags| flag_words(*flags)),
    ]
}

/// Gives the values of rejects, in the order of [`REJECT_COLUMNS`].
pub fn reject_values(rejects: &[Reject], names: &Names) -> Vec<Values> {
    let tick = |value: fn(&Tick) -> Option<i64>| {
        some(rejects, move |reject| reject.tick.as_ref().and_then(value))
    };
    vec![
        numbers(rejects, |reject| reject.clock.ns()),
        texts(rejects, |reject| Some(reject.component.as_str().into())),
        texts(rejects, |reject| Some(reject.reason.as_str().into())),
        texts(rejects, |reject| Some(reject.detail.as_str().into())),
        texts(rejects, |reject| reject.place.as_deref().map(Arc::from)),
        sources(rejects, names, Reject::series),
        instruments(rejects, names, Reject::series),
        tick(|tick| Some(tick.time.ns())),
        tick(|tick| Some(nanos(tick.time))),
        tick(|tick| tick.has(Tick::HAS_SEQUENCE).then_some(tick.sequence as i64)),
        tick(|tick| price(tick.bid)),
        tick(|tick| price(tick.ask)),
        tick(|tick| price(tick.last)),
        tick(|tick| tick.has(Tick::HAS_VOLUME).then_some(tick.volume.units())),
        Values::Bytes(
            rejects
                .iter()
                .map(|reject| (!reject.payload.is_empty()).then(|| reject.payload.clone()))
                .collect(),
        ),
    ]
}

/// Gives the values of payloads, in the order of [`PAYLOAD_COLUMNS`].
pub fn payload_values(payloads: &[Payload], names: &Names) -> Vec<Values> {
    vec![
        sources(payloads, names, |payload| Some(payload.series)),
        instruments(payloads, names, |payload| Some(payload.series)),
        numbers(payloads, |payload| payload.time.ns()),
        numbers(payloads, |payload| nanos(payload.time)),
        texts(payloads, |payload| payload.content_type.clone()),
        texts(payloads, |payload| payload.traceparent.map(|trace| trace.to_string().into())),
        Values::Bytes(payloads.iter().map(|payload| Some(payload.bytes.clone())).collect()),
    ]
}

/// Gives the values of statuses, in the order of [`STATUS_COLUMNS`].
pub fn status_values(statuses: &[FeedStatus], names: &Names) -> Vec<Values> {
    vec![
        sources(statuses, names, |status| Some(status.series)),
        instruments(statuses, names, |status| Some(status.series)),
        numbers(statuses, |status| status.clock.ns()),
        texts(statuses, |status| Some(status.status.word().into())),
        numbers(statuses, |status| status.last.ns()),
        numbers(statuses, |status| status.feed_last.ns()),
    ]
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar
/// (Howard Hinnant's `civil_from_days`).
pub const fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Appends a date as `2014-05-01`.
pub fn write_date(days: i64, out: &mut String) {
    let (year, month, day) = civil(days);
    pad(year.unsigned_abs(), 4, out);
    out.push('-');
    pad(u64::from(month), 2, out);
    out.push('-');
    pad(u64::from(day), 2, out);
}

/// Appends a time as RFC 3339 in UTC, with `digits` (0, 3, 6 or 9) after the second; what is finer
/// is cut off.
pub fn write_time(ns: i64, digits: usize, out: &mut String) {
    const SECOND: i64 = 1_000_000_000;
    let (seconds, fraction) = (ns.div_euclid(SECOND), ns.rem_euclid(SECOND));
    let second = seconds.rem_euclid(86_400) as u64;
    write_date(seconds.div_euclid(86_400), out);
    out.push('T');
    pad(second / 3_600, 2, out);
    out.push(':');
    pad(second / 60 % 60, 2, out);
    out.push(':');
    pad(second % 60, 2, out);
    if digits > 0 {
        out.push('.');
        pad(fraction as u64 / 10_u64.pow(9 - digits.min(9) as u32), digits.min(9), out);
    }
    out.push('Z');
}

fn pad(value: u64, width: usize, out: &mut String) {
    let mut digits = [b'0'; 20];
    let mut rest = value;
    let mut start = digits.len();
    while rest > 0 || digits.len() - start < width {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend(digits[start..].iter().map(|digit| char::from(*digit)));
}

/// Appends a number of a column as text: exact decimals, dates and times; times with as many
/// digits (0, 3, 6, 9) as they need.
pub fn write_number(value: i64, kind: ColumnType, out: &mut String) {
    // Writing to a String cannot fail.
    let written = match kind {
        ColumnType::Price => write!(out, "{}", Price::from_units(value)),
        ColumnType::Quantity => write!(out, "{}", Quantity::from_units(value)),
        ColumnType::Second | ColumnType::Time => {
            let digits = match value.rem_euclid(1_000_000_000) {
                0 => 0,
                fraction if fraction % 1_000_000 == 0 => 3,
                fraction if fraction % 1_000 == 0 => 6,
                _ => 9,
            };
            write_time(value, digits, out);
            Ok(())
        }
        ColumnType::Date => {
            write_date(value, out);
            Ok(())
        }
        ColumnType::Integer | ColumnType::Nanos | ColumnType::Text | ColumnType::Bytes => {
            write!(out, "{value}")
        }
    };
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ColumnType, write_date, write_number};
    use crate::event_time::EventTime;

    proptest! {
        #[test]
        fn times_are_written_as_chrono_writes_them(ns in any::<i64>(), cut in 0_u32..10) {
            let unit = 10_i64.pow(cut);
            let time = EventTime::from_ns(ns / unit * unit);
            let mut text = String::new();
            write_number(time.ns(), ColumnType::Time, &mut text);
            prop_assert_eq!(&text, &time.to_string());
        }

        #[test]
        fn dates_are_written_as_chrono_writes_them(days in -100_000_i32..100_000) {
            let mut text = String::new();
            write_date(i64::from(days), &mut text);
            let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
            let date = epoch + chrono::Duration::days(i64::from(days));
            prop_assert_eq!(text, date.to_string());
        }
    }
}
