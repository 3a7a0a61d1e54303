//! Times as text: dates in the usual spellings, numbers since 1970, and patterns.

use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{NaiveDate, NaiveDateTime};
use proto::decimal::parse_units;

use crate::time_zone::{Localizer, TimeUnit, epoch_ns};

/// Nanoseconds in a second and a minute.
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;

/// Reads times.
#[derive(Debug, Clone)]
pub(super) struct TimeReader {
    pub(super) format: Option<String>,
    pub(super) unit: Option<TimeUnit>,
    pub(super) localizer: Localizer,
}

impl TimeReader {
    /// Gives UTC nanoseconds; none if the text is no time.
    pub(super) fn read(&mut self, text: &str) -> Option<i64> {
        if let Some(format) = &self.format {
            return by_pattern(text, format, &mut self.localizer);
        }
        if let Some(ns) = number(text, self.unit) {
            return Some(ns);
        }
        match spelled(text)? {
            (local, Some(offset)) => local.checked_sub(offset),
            (local, None) => self.localizer.utc(local),
        }
    }
}

fn by_pattern(text: &str, format: &str, localizer: &mut Localizer) -> Option<i64> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(format)).ok()?;
    if let Ok(time) = parsed.to_datetime() {
        return time.timestamp_nanos_opt();
    }
    let naive = match parsed.to_naive_datetime_with_offset(0) {
        Ok(naive) => naive,
        Err(_) => parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0)?,
    };
    localizer.utc(ns_of(naive)?)
}

fn ns_of(naive: NaiveDateTime) -> Option<i64> {
    naive.and_utc().timestamp_nanos_opt()
}

/// `1536935412`, `1536935412123`, `1536935412.123`.
fn number(text: &str, unit: Option<TimeUnit>) -> Option<i64> {
    if let Ok(whole) = text.parse::<i64>() {
        return epoch_ns(whole, unit);
    }
    let (whole, _) = text.split_once('.')?;
    let unit = unit.unwrap_or(TimeUnit::guess(whole.parse().ok()?));
    let digits = match unit {
        TimeUnit::S => 9,
        TimeUnit::Ms => 6,
        TimeUnit::Us => 3,
        TimeUnit::Ns => 0,
    };
    // A number of seconds since 1970 in nanoseconds has nineteen digits: more than a decimal of
    // ours, so both sides of the point are taken apart.
    let fraction = text.get(whole.len()..)?;
    let fraction = parse_units(&format!("0{fraction}"), digits).ok()?;
    let whole_ns = epoch_ns(whole.parse().ok()?, Some(unit))?;
    if whole.starts_with('-') {
        whole_ns.checked_sub(fraction)
    } else {
        whole_ns.checked_add(fraction)
    }
}

/// A date and a time of day, spelled out: local nanoseconds, and the offset if it is there.
fn spelled(text: &str) -> Option<(i64, Option<i64>)> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    let mark = rest.first().copied().filter(|mark| matches!(mark, b'-' | b'.' | b'/'));
    let month = part(&mut rest, mark)?;
    let day = part(&mut rest, mark)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let midnight = ns_of(date.and_hms_opt(0, 0, 0)?)?;
    if rest.is_empty() {
        return Some((midnight, None));
    }
    if !matches!(rest.first(), Some(b' ' | b'T' | b't' | b'-' | b'_')) {
        return None;
    }
    rest = rest.get(1..)?;
    let hour = digits(&mut rest, 2)?;
    let colon = rest.first().copied().filter(|mark| *mark == b':');
    let minute = part(&mut rest, colon)?;
    let has_seconds = match colon {
        Some(_) => rest.first() == Some(&b':'),
        None => rest.first().is_some_and(u8::is_ascii_digit),
    };
    let second = if has_seconds { part(&mut rest, colon)? } else { 0 };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = fraction(&mut rest, colon.is_none())?;
    let of_day = i64::from(hour * 60 + minute) * MINUTE + i64::from(second) * SECOND + fraction;
    Some((midnight.checked_add(of_day)?, offset(rest)?))
}

fn digits(rest: &mut &[u8], count: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(count)?;
    let mut value = 0;
    for byte in head {
        value = value * 10 + u32::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    *rest = tail;
    Some(value)
}

fn part(rest: &mut &[u8], mark: Option<u8>) -> Option<u32> {
    if let Some(mark) = mark {
        *rest = rest.strip_prefix(&[mark])?;
    }
    digits(rest, 2)
}

/// `.123`, `,123`, or `123` right behind a compact time of day.
fn fraction(rest: &mut &[u8], is_compact: bool) -> Option<i64> {
    match rest.first() {
        Some(b'.' | b',') => *rest = rest.get(1..)?,
        Some(byte) if is_compact && byte.is_ascii_digit() => {}
        _ => return Some(0),
    }
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    let (mut ns, mut weight) = (0, SECOND / 10);
    for byte in head {
        // What is finer than a nanosecond is cut off.
        ns += i64::from(byte - b'0') * weight;
        weight /= 10;
    }
    (count > 0).then_some(ns)
}

/// Nothing, `Z`, `+02:00`, `-0500`, perhaps behind a space; none if it is something else.
#[expect(clippy::option_option, reason = "no offset is an answer, and so is a text that is none")]
fn offset(rest: &[u8]) -> Option<Option<i64>> {
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (sign, mut rest) = match rest {
        [] => return Some(None),
        b"Z" | b"z" | b"UTC" => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let hours = digits(&mut rest, 2)?;
    rest = rest.strip_prefix(b":").unwrap_or(rest);
    let minutes = if rest.is_empty() { 0 } else { digits(&mut rest, 2)? };
    (rest.is_empty() && hours < 24 && minutes < 60)
        .then(|| Some(sign * i64::from(hours * 60 + minutes) * MINUTE))
}

#[cfg(test)]
mod tests {
    use super::TimeReader;
    use crate::time_zone::Localizer;
    use proto::event_time::EventTime;

    fn read(text: &str, format: Option<&str>) -> Option<String> {
        let mut reader = TimeReader {
            format: format.map(str::to_owned),
            unit: None,
            localizer: Localizer::new("+01:00".parse().unwrap()),
        };
        reader.read(text).map(|ns| EventTime::from_ns(ns).to_string())
    }

    #[test]
    fn the_usual_spellings_of_a_time_are_read() {
        for (text, utc) in [
            ("2024-03-10T17:00:00Z", "2024-03-10T17:00:00Z"),
            ("2017-04-25 07:09:31.804000+00:00", "2017-04-25T07:09:31.804Z"),
            ("2024.03.10 17:00:00.123", "2024-03-10T16:00:00.123Z"),
            ("2024/03/10 17:00", "2024-03-10T16:00:00Z"),
            ("20240310 170000123", "2024-03-10T16:00:00.123Z"),
            ("20240310-17:00:00", "2024-03-10T16:00:00Z"),
            ("2024-03-10", "2024-03-09T23:00:00Z"),
            ("2024-03-10 17:00:00 -0500", "2024-03-10T22:00:00Z"),
            ("1536935412", "2018-09-14T14:30:12Z"),
            ("1536935412.25", "2018-09-14T14:30:12.250Z"),
            ("1536935412123", "2018-09-14T14:30:12.123Z"),
            ("1536935412123456789", "2018-09-14T14:30:12.123456789Z"),
        ] {
            assert_eq!(read(text, None).as_deref(), Some(utc), "{text}");
        }
        for text in ["", "yesterday", "2024-13-01", "2024-03-10 25:00", "2024-03-10 17:00:00 x"] {
            assert_eq!(read(text, None), None, "{text}");
        }
    }

    #[test]
    fn a_pattern_of_ones_own_is_followed() {
        let utc = read("10/03/2024 17:00:00.5", Some("%d/%m/%Y %H:%M:%S%.f"));
        assert_eq!(utc.as_deref(), Some("2024-03-10T16:00:00.500Z"));
        let utc = read("10 Mar 2024 17:00:00 +0000", Some("%d %b %Y %H:%M:%S %z"));
        assert_eq!(utc.as_deref(), Some("2024-03-10T17:00:00Z"));
        assert_eq!(read("2024-03-10", Some("%d/%m/%Y")), None);
    }
}
