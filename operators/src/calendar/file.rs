//! Calendars from a market-hours file: JSON in the shape that LEAN publishes.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{NaiveDate, NaiveTime};
use dataflows::fault::Fault;
use serde::Deserialize;

use crate::calendar::Calendar;
use crate::calendar::hours::{DAY, Hours, SecondOfDay, Span};
use crate::calendar::zone::Zone;

#[derive(Debug, Deserialize)]
struct File {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    exchange_time_zone: String,
    #[serde(default)]
    monday: Vec<Segment>,
    #[serde(default)]
    tuesday: Vec<Segment>,
    #[serde(default)]
    wednesday: Vec<Segment>,
    #[serde(default)]
    thursday: Vec<Segment>,
    #[serde(default)]
    friday: Vec<Segment>,
    #[serde(default)]
    saturday: Vec<Segment>,
    #[serde(default)]
    sunday: Vec<Segment>,
    #[serde(default)]
    holidays: Vec<String>,
    #[serde(default)]
    early_closes: BTreeMap<String, String>,
    #[serde(default)]
    late_opens: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Segment {
    start: String,
    end: String,
    state: String,
}

/// Reads `entry` of the file at `path`. `day_start` overrides what the hours suggest.
///
/// # Errors
/// When the file cannot be read, is not of that shape, or does not have the entry.
pub fn read(
    path: &Path,
    entry: &str,
    day_start: Option<NaiveTime>,
    is_extended: bool,
) -> Result<Calendar, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::file(path, format!("the calendar cannot be read: {error}; see `calendar: file`"))
    })?;
    parse(&text, entry, day_start, is_extended).map_err(|message| Fault::file(path, message))
}

/// Reads `entry` of a file's text; see [`read`].
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(
    text: &str,
    entry: &str,
    day_start: Option<NaiveTime>,
    is_extended: bool,
) -> Result<Calendar, String> {
    let mut file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Some(found) = file.entries.remove(entry) else {
        let names: Vec<&str> = file.entries.keys().map(String::as_str).collect();
        return Err(format!("no entry `{entry}`; there are {}", names.join(", ")));
    };
    let zone: Zone = found.exchange_time_zone.parse().map_err(|e| format!("{entry}: {e}"))?;
    let hours = hours(&found, is_extended).map_err(|message| format!("{entry}: {message}"))?;
    let is_overnight = hours.is_overnight();
    let day_start = day_start.unwrap_or_else(|| suggested_start(&hours));
    Ok(Calendar {
        zone,
        day_start,
        is_dated_by_end: day_start >= NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default(),
        ends_at_close: !is_overnight,
        hours,
    })
}

/// The first opening of the week that does not go on from the night before; where the market is
/// open over midnight, its full hour (17:03 after a nightly pause: 17:00).
fn suggested_start(hours: &Hours) -> NaiveTime {
    let sunday_first = hours.week.iter().cycle().skip(6).take(7).flatten();
    let second = sunday_first.map(|(from, _)| *from).find(|from| *from > 0).unwrap_or(0);
    let second = if hours.is_overnight() { second / 3_600 * 3_600 } else { second };
    NaiveTime::from_num_seconds_from_midnight_opt(second, 0).unwrap_or_default()
}

fn hours(entry: &Entry, is_extended: bool) -> Result<Hours, String> {
    let days = [
        ("monday", &entry.monday),
        ("tuesday", &entry.tuesday),
        ("wednesday", &entry.wednesday),
        ("thursday", &entry.thursday),
        ("friday", &entry.friday),
        ("saturday", &entry.saturday),
        ("sunday", &entry.sunday),
    ];
    let mut hours = Hours::default();
    for (target, (name, segments)) in hours.week.iter_mut().zip(days) {
        *target = day(segments, is_extended).map_err(|message| format!("{name}: {message}"))?;
    }
    for text in &entry.holidays {
        hours.holidays.insert(date(text).map_err(|message| format!("holidays: {message}"))?);
    }
    hours.early_closes =
        exceptions(&entry.early_closes).map_err(|message| format!("earlyCloses: {message}"))?;
    hours.late_opens =
        exceptions(&entry.late_opens).map_err(|message| format!("lateOpens: {message}"))?;
    Ok(hours)
}

/// The segments that count, ascending, those that meet joined.
fn day(segments: &[Segment], is_extended: bool) -> Result<Vec<Span>, String> {
    let mut spans = Vec::new();
    for segment in segments {
        let counts = match segment.state.as_str() {
            "market" => true,
            "premarket" | "postmarket" => is_extended,
            other => {
                return Err(format!("state `{other}`; expected market, premarket, postmarket"));
            }
        };
        let span = (second(&segment.start)?, second(&segment.end)?);
        if span.0 >= span.1 {
            return Err(format!("a session from {} to {}", segment.start, segment.end));
        }
        if counts {
            spans.push(span);
        }
    }
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::new();
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    Ok(joined)
}

fn exceptions(
    texts: &BTreeMap<String, String>,
) -> Result<BTreeMap<NaiveDate, SecondOfDay>, String> {
    texts.iter().map(|(day, time)| Ok((date(day)?, second(time)?))).collect()
}

/// `M/D/YYYY`.
fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%m/%d/%Y")
        .map_err(|_| format!("`{text}` is not a date; expected M/D/YYYY"))
}

/// `HH:MM:SS`, or `1.00:00:00` for the end of the day.
fn second(text: &str) -> Result<SecondOfDay, String> {
    let refused = || format!("`{text}` is not a time; expected HH:MM:SS or 1.00:00:00");
    if text == "1.00:00:00" || text == "24:00:00" {
        return Ok(DAY);
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S").map_err(|_| refused())?;
    Ok(chrono::Timelike::num_seconds_from_midnight(&time))
}
