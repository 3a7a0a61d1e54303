//! How a job says which calendar it means: a word, or a few fields.

use std::fmt;
use std::path::Path;

use chrono::NaiveTime;
use dataflows::fault::Fault;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::calendar::zone::Zone;
use crate::calendar::{Calendar, file};

/// A calendar that needs no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuiltIn {
    /// Sunday 17:00 to Friday 17:00 in New York; days from 17:00, dated by their end.
    #[default]
    Forex,
    /// Always open; days from 00:00 UTC.
    Utc,
    /// Always open; days from 00:00 UTC: another word for `utc`.
    #[serde(rename = "24x7")]
    AlwaysOpen,
    /// 09:30 to 16:00 in New York with NYSE's holidays and early closes; days from the open,
    /// windows end with the close.
    Equities,
}

/// When the market trades and where its days start: a word, or the fields of a calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum CalendarConfig {
    /// A built-in calendar.
    Word(BuiltIn),
    /// A built-in one with a choice, one of one's own, or one from a file.
    Fields(CalendarFields),
}

/// A calendar in fields. Give exactly one of `name`, `timezone` and `file`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarFields {
    /// A built-in calendar, to be combined with `extended_hours`.
    pub name: Option<BuiltIn>,
    /// IANA name (`Europe/Berlin`) or fixed offset (`-05:00`). With this alone no time is out of
    /// session: the calendar only says where days start.
    pub timezone: Option<String>,
    /// A market-hours file (JSON): entries with `exchangeTimeZone`, sessions per weekday,
    /// `holidays`, `earlyCloses` and `lateOpens`.
    pub file: Option<String>,
    /// Which entry of the file, such as `Forex-oanda-[*]`.
    pub entry: Option<String>,
    /// Civil time at which a trading day starts, `HH:MM` or `HH:MM:SS`. From 12:00 on, a day
    /// carries the date on which it ends. Without it: 00:00 for `timezone`; for a file the first
    /// opening of the week, for markets that are open over midnight at its full hour.
    pub day_start: Option<String>,
    /// Pre-market and post-market sessions count (`equities`, or a file that has them).
    pub extended_hours: bool,
}

impl Default for CalendarConfig {
    fn default() -> Self {
        Self::Word(BuiltIn::default())
    }
}

impl<'de> Deserialize<'de> for CalendarConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrFields;

        impl<'de> Visitor<'de> for WordOrFields {
            type Value = CalendarConfig;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("forex, utc, 24x7, equities or the fields of a calendar")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<CalendarConfig, E> {
                BuiltIn::deserialize(serde::de::value::StrDeserializer::new(word))
                    .map(CalendarConfig::Word)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CalendarConfig, A::Error> {
                CalendarFields::deserialize(MapAccessDeserializer::new(map))
                    .map(CalendarConfig::Fields)
            }
        }

        deserializer.deserialize_any(WordOrFields)
    }
}

impl CalendarConfig {
    /// Lists what is wrong with it, without looking at files: (field, message).
    pub fn check(&self) -> Vec<(String, String)> {
        let Self::Fields(fields) = self else { return Vec::new() };
        let mut found = Vec::new();
        let mut report = |field: &str, message: String| found.push((field.to_owned(), message));
        let ways = [fields.name.is_some(), fields.timezone.is_some(), fields.file.is_some()];
        if ways.iter().filter(|is_given| **is_given).count() != 1 {
            report("", "expected exactly one of `name`, `timezone` and `file`".to_owned());
        }
        if let Some(Err(error)) = fields.timezone.as_deref().map(str::parse::<Zone>) {
            report("timezone", error.to_string());
        }
        if let Some(Err(message)) = fields.day_start.as_deref().map(read_time) {
            report("day_start", message);
        }
        if fields.file.is_some() != fields.entry.is_some() {
            report("entry", "`file` and `entry` belong together".to_owned());
        }
        if fields.name.is_some() && fields.day_start.is_some() {
            report("day_start", "a built-in calendar has its own start of the day".to_owned());
        }
        let is_extendable = fields.file.is_some() || fields.name == Some(BuiltIn::Equities);
        if fields.extended_hours && !is_extendable {
            report("extended_hours", "only `equities` and files have extended hours".to_owned());
        }
        found
    }

    /// Builds the calendar; a relative file starts at `root`.
    ///
    /// # Errors
    /// When a field is wrong, or the file cannot be read; `path` is the calendar's in the job.
    pub fn build(&self, path: &str, root: &Path) -> Result<Calendar, Fault> {
        if let Some((field, message)) = self.check().into_iter().next() {
            let dot = if field.is_empty() { "" } else { "." };
            return Err(Fault::job(format!("{path}{dot}{field}"), message));
        }
        let fields = match self {
            Self::Word(word) => return Ok(built_in(*word, false)),
            Self::Fields(fields) => fields,
        };
        if let Some(word) = fields.name {
            return Ok(built_in(word, fields.extended_hours));
        }
        let day_start = match &fields.day_start {
            Some(text) => Some(
                read_time(text)
                    .map_err(|message| Fault::job(format!("{path}.day_start"), message))?,
            ),
            None => None,
        };
        if let Some(zone) = &fields.timezone {
            let zone =
                zone.parse().map_err(|error| Fault::job(format!("{path}.timezone"), error))?;
            return Ok(Calendar::always(zone, day_start.unwrap_or(NaiveTime::MIN)));
        }
        let (Some(name), Some(entry)) = (&fields.file, &fields.entry) else {
            return Err(Fault::job(path, "expected `file` with `entry`"));
        };
        file::read(&root.join(name), entry, day_start, fields.extended_hours)
    }
}

fn built_in(word: BuiltIn, is_extended: bool) -> Calendar {
    match word {
        BuiltIn::Forex => Calendar::forex(),
        BuiltIn::Utc | BuiltIn::AlwaysOpen => Calendar::utc(),
        BuiltIn::Equities => Calendar::equities(is_extended),
    }
}

/// Reads `HH:MM` or `HH:MM:SS`.
fn read_time(text: &str) -> Result<NaiveTime, String> {
    ["%H:%M", "%H:%M:%S"]
        .iter()
        .find_map(|format| NaiveTime::parse_from_str(text, format).ok())
        .ok_or_else(|| format!("`{text}` is not a time of day; expected HH:MM, such as 17:00"))
}
