//! Which partition a row belongs to, and the folder of a partition.

use std::path::{Path, PathBuf};

use proto::event_time::EventTime;
use proto::row::write_date;
use proto::series::Series;
use proto::timeframe::Timeframe;

use super::PartitionBy;

pub(super) const DAY_NS: i64 = 86_400_000_000_000;

/// What tells partitions apart. Parts that the dataset is not partitioned by are none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionKey {
    /// Days since 1970-01-01.
    pub(super) day: i64,
    pub(super) timeframe: Option<Timeframe>,
    pub(super) source: Option<String>,
    pub(super) instrument: Option<String>,
}

/// What partitioning by series makes of a series.
pub(super) fn names(by: &[PartitionBy], series: Option<&Series>) -> [Option<String>; 2] {
    let name = |part, name: fn(&Series) -> &str| {
        by.contains(&part).then(|| series.map_or(String::new(), |series| name(series).to_owned()))
    };
    [
        name(PartitionBy::Source, |series| &series.source),
        name(PartitionBy::Instrument, |series| &series.instrument),
    ]
}

pub(super) fn day_of(time: EventTime) -> i64 {
    time.ns().div_euclid(DAY_NS)
}

/// Checks what a job says.
pub(super) fn check(by: &[PartitionBy]) -> Result<(), String> {
    if !by.contains(&PartitionBy::Day) {
        return Err("`day` is missing; a partition without it would never be whole".to_owned());
    }
    for (index, part) in by.iter().enumerate() {
        if by[..index].contains(part) {
            return Err(format!("`{}` stands there twice", word(*part)));
        }
    }
    Ok(())
}

const fn word(part: PartitionBy) -> &'static str {
    match part {
        PartitionBy::Day => "day",
        PartitionBy::Source => "source",
        PartitionBy::Instrument => "instrument",
        PartitionBy::Timeframe => "timeframe",
    }
}

/// The folder of a partition, relative to the dataset: `timeframe=1m/day=2014-05-01`.
pub(super) fn folder(by: &[PartitionBy], key: &PartitionKey) -> PathBuf {
    let mut folder = PathBuf::new();
    for part in by {
        let mut value = String::new();
        match part {
            PartitionBy::Day => write_date(key.day, &mut value),
            PartitionBy::Timeframe => {
                value = key.timeframe.map(|frame| frame.to_string()).unwrap_or_default();
            }
            PartitionBy::Source => value = encoded(key.source.as_deref().unwrap_or_default()),
            PartitionBy::Instrument => {
                value = encoded(key.instrument.as_deref().unwrap_or_default());
            }
        }
        folder.push(format!("{}={value}", word(*part)));
    }
    folder
}

/// Understands a folder that [`folder`] made; none if it is partitioned otherwise.
pub(super) fn key_of(by: &[PartitionBy], folder: &Path) -> Option<PartitionKey> {
    let mut key = PartitionKey { day: 0, timeframe: None, source: None, instrument: None };
    let mut parts = by.iter();
    for component in folder.components() {
        let (name, value) = component.as_os_str().to_str()?.split_once('=')?;
        let part = parts.next().filter(|part| word(**part) == name)?;
        match part {
            PartitionBy::Day => {
                let start: EventTime = value.parse().ok()?;
                key.day = day_of(start);
            }
            PartitionBy::Timeframe => key.timeframe = Some(value.parse().ok()?),
            PartitionBy::Source => key.source = Some(decoded(value)?),
            PartitionBy::Instrument => key.instrument = Some(decoded(value)?),
        }
    }
    parts.next().is_none().then_some(key)
}

/// What stands for a name that is empty: Hive's own word for it.
const NONE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Percent-encodes all but letters, digits, inner dots, `-` and `_`, so that a name is one segment
/// of a path, whatever it holds.
pub(super) fn encoded(name: &str) -> String {
    if name.is_empty() {
        return NONE.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let is_plain =
            byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && index > 0);
        if is_plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decoded(segment: &str) -> Option<String> {
    if segment == NONE {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::{PartitionBy, PartitionKey, folder, key_of};

    proptest! {
        #[test]
        fn a_partition_is_found_again_and_stays_under_its_root(
            day in -100_000_i64..100_000,
            source in ".{0,12}",
            instrument in prop_oneof![Just("../../etc".to_owned()), Just("..".to_owned()), ".{1,9}"],
        ) {
            let by = [PartitionBy::Day, PartitionBy::Source, PartitionBy::Instrument];
            let key = PartitionKey {
                day, timeframe: None, source: Some(source), instrument: Some(instrument),
            };
            let path = folder(&by, &key);
            prop_assert_eq!(path.components().count(), 3);
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
            prop_assert_eq!(key_of(&by, &path), Some(key));
        }
    }

    #[test]
    fn folders_are_hives() {
        let by = [PartitionBy::Timeframe, PartitionBy::Day, PartitionBy::Instrument];
        let key = PartitionKey {
            day: 16_191,
            timeframe: "1m".parse().ok(),
            source: None,
            instrument: Some("S&P 500".to_owned()),
        };
        let path = folder(&by, &key);
        assert_eq!(path.to_str(), Some("timeframe=1m/day=2014-05-01/instrument=S%26P%20500"));
        assert_eq!(key_of(&by[..2], &path), None);
    }
}
