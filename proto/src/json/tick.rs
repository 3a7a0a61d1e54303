//! The platform's tick in JSON: `{"b":1.1734,"a":1.1736,"t":1536935412}`, and with a size
//! `{"b":226.4,"a":226.42,"t":1536935412,"v":300}`. Source and instrument stand in the topic.
//!
//! `t` is in seconds, in milliseconds from 10^11 on (seconds would be the year 5138). What a second
//! is too coarse for stands in `ts`, in nanoseconds, and `seq` orders equal times; `l` is the price
//! of a last trade. All three are ours, and readers of the short form are free to ignore them.

use std::io::Write;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decimal::{DecimalError, Price, Quantity};
use crate::event_time::EventTime;
use crate::exact::{Exact, of_raw};
use crate::json::{malformed, read_object};
use crate::record::{RecordError, ensure};
use crate::tick_message::TickRef;

/// From here on `t` is in milliseconds.
const MS_FROM: u64 = 100_000_000_000;
/// From here on `t` is nothing.
const MS_TO: u64 = 100_000_000_000_000;

/// The unit of `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeUnit {
    /// As the platform writes it.
    #[default]
    Seconds,
    /// As some gateways write it.
    Milliseconds,
}

impl TimeUnit {
    const fn ns(self) -> u64 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
        }
    }
}

#[derive(Deserialize)]
struct Short<'a> {
    #[serde(borrow)]
    b: Option<&'a RawValue>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
    #[serde(borrow)]
    l: Option<&'a RawValue>,
    #[serde(borrow)]
    v: Option<&'a RawValue>,
    #[serde(borrow)]
    t: Option<&'a RawValue>,
    ts: Option<i64>,
    seq: Option<u64>,
}

/// Reads the short form without allocating; `source` and `instrument` are those of the topic.
///
/// # Errors
/// When it is too long, not JSON, has no time or no price, or a number that is not exact.
pub fn decode_tick<'a>(
    bytes: &'a [u8],
    source: &'a str,
    instrument: &'a str,
) -> Result<TickRef<'a>, RecordError> {
    let short: Short<'a> = read_object(bytes)?;
    let time = read_time(short.t.ok_or(RecordError::Missing("t"))?.get(), short.ts)?;
    let tick = TickRef {
        source,
        instrument,
        time,
        sequence: short.seq,
        bid: number(short.b, "b")?.unwrap_or_default(),
        ask: number(short.a, "a")?.unwrap_or_default(),
        last: number(short.l, "l")?.unwrap_or_default(),
        volume: number(short.v, "v")?,
        traceparent: "",
        message_id: "",
    };
    tick.check_numbers()?;
    Ok(tick)
}

fn number<T: Exact>(raw: Option<&RawValue>, field: &'static str) -> Result<Option<T>, RecordError> {
    raw.map(of_raw).transpose().map_err(|error| RecordError::BadNumber { field, error })
}

fn bad_time(error: DecimalError) -> RecordError {
    RecordError::BadNumber { field: "t", error }
}

/// Reads `t`, whole or with a fraction, and refines it by `ts`.
fn read_time(text: &str, ts: Option<i64>) -> Result<EventTime, RecordError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(bad_time(DecimalError::Malformed));
    }
    let whole: u64 = whole.parse().map_err(|_| bad_time(DecimalError::OutOfRange))?;
    if whole >= MS_TO {
        return Err(bad_time(DecimalError::OutOfRange));
    }
    let unit = if whole < MS_FROM { TimeUnit::Seconds } else { TimeUnit::Milliseconds };
    let ns = read_fraction(fraction, unit.ns())
        .and_then(|rest| {
            whole
                .checked_mul(unit.ns())
                .and_then(|ns| ns.checked_add(rest))
                .and_then(|ns| i64::try_from(ns).ok())
                .ok_or(DecimalError::OutOfRange)
        })
        .map_err(bad_time)?;
    let Some(ts) = ts else { return Ok(EventTime::from_ns(ns)) };
    let unit_ns = unit.ns() as i64;
    let agrees = ts.div_euclid(unit_ns) == ns / unit_ns;
    ensure(agrees, "ts", "must be the time in `t`, in nanoseconds")?;
    Ok(EventTime::from_ns(ts))
}

/// Reads the digits after the point as parts of `unit` nanoseconds.
fn read_fraction(digits: &str, unit: u64) -> Result<u64, DecimalError> {
    let mut weight = unit;
    let mut ns = 0;
    for byte in digits.bytes() {
        weight /= 10;
        let digit = u64::from(byte - b'0');
        if weight == 0 && digit != 0 {
            return Err(DecimalError::TooFine(unit.ilog10()));
        }
        ns += digit * weight;
    }
    Ok(ns)
}

/// Appends the short form to `out`; `t` in `unit`, and `ts` where that is too coarse. Names,
/// trace and message id belong to the topic and the headers.
///
/// # Errors
/// When the tick breaks a rule, or the short form cannot tell its time; then `out` is as it was.
pub fn encode_tick(
    tick: &TickRef<'_>,
    unit: TimeUnit,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    tick.check()?;
    let ns = u64::try_from(tick.time.ns()).map_err(|_| bad_time(DecimalError::OutOfRange))?;
    let time = ns / unit.ns();
    let fits = unit == TimeUnit::Seconds || time >= MS_FROM;
    ensure(fits, "t", "must be later than March 1973 to be told in milliseconds")?;
    let start = out.len();
    let written = write_tick(tick, unit, ns, out);
    if written.is_err() {
        out.truncate(start);
    }
    written.map_err(malformed)
}

fn write_tick(
    tick: &TickRef<'_>,
    unit: TimeUnit,
    ns: u64,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    out.push(b'{');
    for (key, price) in [("b", tick.bid), ("a", tick.ask), ("l", tick.last)] {
        if price != Price::ZERO {
            write!(out, "\"{key}\":{price},")?;
        }
    }
    write!(out, "\"t\":{}", ns / unit.ns())?;
    if ns % unit.ns() != 0 {
        write!(out, ",\"ts\":{ns}")?;
    }
    if let Some(volume) = tick.volume {
        let volume: Quantity = volume;
        write!(out, ",\"v\":{volume}")?;
    }
    if let Some(sequence) = tick.sequence {
        write!(out, ",\"seq\":{sequence}")?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{TimeUnit, decode_tick, encode_tick};

    fn round_trip(text: &str, unit: TimeUnit) -> String {
        let tick = decode_tick(text.as_bytes(), "mt4", "EURUSD").unwrap();
        let mut out = Vec::new();
        encode_tick(&tick, unit, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_platforms_ticks_come_back_as_they_were() {
        for text in [
            r#"{"b":1.1734,"a":1.1736,"t":1536935412}"#,
            r#"{"b":226.4,"a":226.42,"t":1536935412,"v":300}"#,
            r#"{"b":1.1734,"t":1536935412,"ts":1536935412000000001,"seq":18446744073709551615}"#,
            r#"{"l":-37.63,"t":0,"v":0}"#,
        ] {
            assert_eq!(round_trip(text, TimeUnit::Seconds), text);
        }
        for text in [
            r#"{"b":1.1734,"a":1.1736,"t":1536935412123}"#,
            r#"{"b":1.1734,"t":1536935412123,"ts":1536935412123456789}"#,
        ] {
            assert_eq!(round_trip(text, TimeUnit::Milliseconds), text);
        }
    }

    #[test]
    fn a_number_is_read_from_its_digits() {
        let text = r#" { "a":1.17360, "x":[{}], "b":11734e-4, "l":0, "v":null, "t":1536935412.5 }"#;
        assert_eq!(
            round_trip(text, TimeUnit::Seconds),
            r#"{"b":1.1734,"a":1.1736,"t":1536935412,"ts":1536935412500000000}"#
        );
        let exact = r#"{"b":999999999.999999999,"t":1536935412}"#;
        assert_eq!(round_trip(exact, TimeUnit::Seconds), exact);
    }

    #[test]
    fn what_is_no_tick_is_refused_with_a_reason() {
        let deep = format!(r#"{{"b":1,"t":1,"x":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
        let huge = format!(r#"{{"b":{},"t":1}}"#, "9".repeat(1_000));
        let long = format!(r#"{{"b":1,"t":1}}{}"#, " ".repeat(300_000));
        for (text, reason) in [
            ("", "malformed"),
            ("[1,2,3,4,5,6,7]", "malformed"),
            ("null", "malformed"),
            (r#"{"b":1,"t":1}x"#, "malformed"),
            (r#"{"b":NaN,"t":1}"#, "malformed"),
            (r#"{"b":Infinity,"t":1}"#, "malformed"),
            (r#"{"b":01,"t":1}"#, "malformed"),
            (r#"{"b":1,"b":2,"t":1}"#, "malformed"),
            (r#"{"b":1,"t":1,"seq":-1}"#, "malformed"),
            (&deep, "malformed"),
            (&long, "too_large"),
            (&huge, "bad_number"),
            (r#"{"b":1e400,"t":1}"#, "bad_number"),
            (r#"{"b":"1.5","t":1}"#, "bad_number"),
            (r#"{"b":[1],"t":1}"#, "bad_number"),
            (r#"{"b":1.0000000001,"t":1}"#, "bad_number"),
            (r#"{"b":1}"#, "missing_field"),
            (r#"{"b":1,"t":"1"}"#, "bad_number"),
            (r#"{"b":1,"t":-1}"#, "bad_number"),
            (r#"{"b":1,"t":1e9}"#, "bad_number"),
            (r#"{"b":1,"t":99999999999}"#, "bad_number"),
            (r#"{"b":1,"t":1536935412000000000}"#, "bad_number"),
            (r#"{"b":1,"t":99999999999999999999}"#, "bad_number"),
            (r#"{"b":1,"t":1.0000000001}"#, "bad_number"),
            (r#"{"b":1,"t":1,"ts":2000000000}"#, "invalid"),
            (r#"{"t":1}"#, "invalid"),
            (r#"{"b":0,"a":0,"t":1}"#, "invalid"),
            (r#"{"b":1,"v":-1,"t":1}"#, "invalid"),
        ] {
            let error = decode_tick(text.as_bytes(), "mt4", "EURUSD").unwrap_err();
            assert_eq!(error.reason(), reason, "{text:.80}: {error}");
        }
    }
}
