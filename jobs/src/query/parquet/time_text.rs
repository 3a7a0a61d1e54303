//! Times and dates as text, always of one length, so that texts sort as the times do.

use std::fmt::Write as _;

const DAY_NS: i128 = 86_400_000_000_000;

/// A civil date, `2014-05-01`, of days since 1970-01-01.
pub(in crate::query) fn date(days: i64) -> String {
    let mut text = String::with_capacity(10);
    write_date(days, &mut text);
    text
}

fn write_date(days: i64, out: &mut String) {
    let (year, month, day) = civil(days);
    if (0..=9999).contains(&year) {
        push_digits(year.unsigned_abs(), 4, out);
    } else {
        _ = write!(out, "{year:+05}");
    }
    out.push('-');
    push_digits(month, 2, out);
    out.push('-');
    push_digits(day, 2, out);
}

/// A time in RFC 3339, `2014-05-01T00:00:00.000000Z`, with so many digits of the second's
/// fraction. More are written where the time has more than `digits` can tell.
pub(in crate::query) fn time(ns: i128, digits: usize) -> String {
    let mut text = String::with_capacity(30);
    let days = ns.div_euclid(DAY_NS);
    write_date(i64::try_from(days).unwrap_or(i64::MAX), &mut text);
    let of_day = u64::try_from(ns.rem_euclid(DAY_NS)).unwrap_or(0);
    let (seconds, fraction) = (of_day / 1_000_000_000, of_day % 1_000_000_000);
    for (mark, value) in [('T', seconds / 3_600), (':', seconds / 60 % 60), (':', seconds % 60)] {
        text.push(mark);
        push_digits(value, 2, &mut text);
    }
    let mut digits = digits.min(9);
    while digits < 9 && fraction % 10_u64.pow(9 - digits as u32) != 0 {
        digits += 3;
    }
    if digits > 0 {
        text.push('.');
        push_digits(fraction / 10_u64.pow(9 - digits as u32), digits, &mut text);
    }
    text.push('Z');
    text
}

fn push_digits(value: u64, digits: usize, out: &mut String) {
    let mut unit = 10_u64.pow(digits.saturating_sub(1) as u32);
    for _ in 0..digits {
        out.push(char::from(b'0' + (value / unit % 10) as u8));
        unit = (unit / 10).max(1);
    }
}

/// Days since 1970-01-01 to year, month, day of the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, u64, u64) {
    // Eras of 400 years that begin on the first of March.
    let shifted = i128::from(days) + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    (year as i64, month as u64, day as u64)
}

/// Reads a date or time as [`date`] and [`time`] write them: nanoseconds since 1970.
pub(in crate::query) fn parse(text: &str) -> Option<i64> {
    if text.len() == 10 {
        let date: chrono::NaiveDate = text.parse().ok()?;
        return date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_nanos_opt();
    }
    chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()
}

#[cfg(test)]
mod tests {
    use super::{date, parse, time};
    use proptest::prelude::*;

    #[test]
    fn a_time_has_the_digits_asked_for_and_more_only_when_it_needs_them() {
        assert_eq!(time(1_398_902_400_000_000_000, 0), "2014-05-01T00:00:00Z");
        assert_eq!(time(1_398_902_400_000_000_000, 6), "2014-05-01T00:00:00.000000Z");
        assert_eq!(time(1_398_902_400_500_000_000, 0), "2014-05-01T00:00:00.500Z");
        assert_eq!(time(-1, 0), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ns in i64::MIN..i64::MAX) {
            prop_assert_eq!(parse(&time(i128::from(ns), 9)), Some(ns));
            let days = ns.div_euclid(86_400_000_000_000);
            prop_assume!(days > i64::MIN / 86_400_000_000_000);
            prop_assert_eq!(parse(&date(days)), Some(days * 86_400_000_000_000));
        }

        #[test]
        fn texts_sort_as_the_times_do(left in 0..i64::MAX, right in 0..i64::MAX) {
            let text = |ns: i64| time(i128::from(ns), 9);
            prop_assert_eq!(text(left).cmp(&text(right)), left.cmp(&right));
        }
    }
}
