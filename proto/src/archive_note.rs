//! What an archive says of itself: how far it is complete.
//!
//! A sink that publishes what it has every now and then leaves one beside its files; a job that has
//! lost a part of its stream reads from it whether the archive has that part yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event_time::{EventTime, EventTimeError};

/// The name of the file, in a folder `.tapeflow/JOB/SINK` of the dataset.
pub const NAME: &str = "complete.json";

/// The version that this code writes and reads.
pub const VERSION: u32 = 1;

/// How far an archive is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ArchiveNote {
    /// [`VERSION`].
    pub version: u32,
    /// All that its job had taken in when the job clock stood here is in the files.
    pub as_of: EventTime,
    /// How far each feed had come by then: the greatest event time, by the name of its source.
    pub feeds: BTreeMap<String, EventTime>,
    /// Files of days that end before this time are not expected to change any more.
    pub whole_until: EventTime,
}

/// The same as readable JSON: times as text.
#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    as_of: String,
    feeds: BTreeMap<String, String>,
    whole_until: String,
}

impl From<ArchiveNote> for Written {
    fn from(note: ArchiveNote) -> Self {
        let feeds = note.feeds.into_iter().map(|(name, reached)| (name, reached.to_string()));
        Self {
            version: note.version,
            as_of: note.as_of.to_string(),
            feeds: feeds.collect(),
            whole_until: note.whole_until.to_string(),
        }
    }
}

impl TryFrom<Written> for ArchiveNote {
    type Error = EventTimeError;

    fn try_from(written: Written) -> Result<Self, EventTimeError> {
        let feeds = written.feeds.into_iter();
        let feeds = feeds.map(|(name, reached)| reached.parse().map(|reached| (name, reached)));
        Ok(Self {
            version: written.version,
            as_of: written.as_of.parse()?,
            feeds: feeds.collect::<Result<_, _>>()?,
            whole_until: written.whole_until.parse()?,
        })
    }
}

impl ArchiveNote {
    /// Reads what [`ArchiveNote::write`] gave.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let note: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if note.version != VERSION {
            return Err(format!("version {} where {VERSION} was expected", note.version));
        }
        Ok(note)
    }

    /// Writes it down.
    pub fn write(&self) -> Vec<u8> {
        // Nothing in it can fail to be written: names and numbers.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Of the notes of several writers of one dataset: how far all of it is complete.
    pub fn merge(self, other: Self) -> Self {
        let mut feeds = self.feeds;
        for (name, reached) in other.feeds {
            let known = feeds.entry(name).or_insert(reached);
            *known = reached.max(*known);
        }
        Self {
            version: VERSION,
            as_of: self.as_of.max(other.as_of),
            feeds,
            whole_until: self.whole_until.min(other.whole_until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ArchiveNote, VERSION};

    fn note(as_of: &str, feeds: &[(&str, &str)]) -> ArchiveNote {
        let feeds = feeds.iter().map(|(name, time)| ((*name).to_owned(), time.parse().unwrap()));
        let whole_until = "2024-03-07T00:00:00Z".parse().unwrap();
        let as_of = as_of.parse().unwrap();
        ArchiveNote { version: VERSION, as_of, feeds: feeds.collect(), whole_until }
    }

    #[test]
    fn a_note_comes_back_and_a_newer_version_is_refused() {
        let note = note("2024-03-07T10:00:01Z", &[("mt4", "2024-03-07T10:00:00.5Z")]);
        assert_eq!(ArchiveNote::read(&note.write()), Ok(note.clone()));
        let newer = ArchiveNote { version: VERSION + 1, ..note };
        assert!(ArchiveNote::read(&newer.write()).unwrap_err().contains("version 2"));
        assert!(ArchiveNote::read(b"{").is_err());
    }

    #[test]
    fn several_writers_are_as_far_as_the_one_that_is_furthest_in_each_feed() {
        let one = note("2024-03-07T10:00:01Z", &[("mt4", "2024-03-07T10:00:00Z")]);
        let both = one.merge(note(
            "2024-03-07T10:00:02Z",
            &[("mt4", "2024-03-07T09:00:00Z"), ("ib", "2024-03-07T08:00:00Z")],
        ));
        let expected = note(
            "2024-03-07T10:00:02Z",
            &[("ib", "2024-03-07T08:00:00Z"), ("mt4", "2024-03-07T10:00:00Z")],
        );
        assert_eq!(both, expected);
    }
}
