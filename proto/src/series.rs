//! Series: the pair (source, instrument) that ticks and candles belong to, as a dense number.
//!
//! Sources intern names once per batch, operators index their state by the number, sinks turn it
//! back into names. Numbers differ from run to run, so nothing that decides an output may depend
//! on them: state is written by name, work is shared out by [`KeyGroup`] (a hash of the name), and
//! what is written is sorted by name.

use std::sync::{Arc, RwLock};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// A dense number for a (source, instrument) pair; means something in this process only.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct SeriesId(pub u32);

impl SeriesId {
    /// Gives the number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A dense number for a source of ticks (`mt4`, `mt5`, `ib`): the unit of watermarks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct FeedId(pub u32);

impl FeedId {
    /// Gives the number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One of the fixed number of shares that keyed state is cut into; see [`KEY_GROUPS`].
pub type KeyGroup = u16;

/// How many shares keyed state is cut into, whatever the number of workers.
pub const KEY_GROUPS: KeyGroup = 256;

/// Gives the worker that owns `group` among `workers`: contiguous ranges of groups.
pub const fn worker_of(group: KeyGroup, workers: usize) -> usize {
    group as usize * workers / KEY_GROUPS as usize
}

/// What is known of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its number.
    pub id: SeriesId,
    /// The number of its source.
    pub feed: FeedId,
    /// Where its ticks come from: `mt4`, `mt5`, `ib`.
    pub source: Arc<str>,
    /// What is traded: `EURUSD`.
    pub instrument: Arc<str>,
    /// Its share of keyed state: a hash of both names, the same on every machine.
    pub group: KeyGroup,
}

/// A name that cannot name a source or an instrument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters at all.
    #[error("the name is empty")]
    Empty,
    /// More bytes than [`NAME_BYTES_MAX`].
    #[error("the name is {0} bytes long; at most {NAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// A character that would change a topic, a path or a line.
    #[error("the name has the character {0:?}, which is not allowed")]
    Forbidden(char),
}

/// The longest name of a source or an instrument, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Checks a source or instrument name: letters, digits and `. _ - : = @ & $ ! ^ ( ) ~ ,` and
/// inner spaces; nothing that a topic (`+ # /`), a path, SQL or a log line would read otherwise.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() || name.trim() != name {
        return Err(name.chars().next().map_or(NameError::Empty, NameError::Forbidden));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(name.len()));
    }
    if name.starts_with(['.', '$']) {
        return Err(NameError::Forbidden(if name.starts_with('.') { '.' } else { '$' }));
    }
    let allowed = |c: char| c.is_alphanumeric() || "._-:=@&$!^()~, ".contains(c);
    name.chars().find(|c| !allowed(*c)).map_or(Ok(()), |c| Err(NameError::Forbidden(c)))
}

#[derive(Debug, Default)]
struct Inner {
    feeds: Vec<Arc<str>>,
    series: Vec<Arc<Series>>,
    by_name: HashMap<Arc<str>, (FeedId, HashMap<Arc<str>, SeriesId>)>,
}

/// All series that a run has met. Append-only, shared by every thread, locked once per batch or
/// less: keep what you looked up.
#[derive(Debug, Clone, Default)]
pub struct SeriesTable(Arc<RwLock<Inner>>);

impl SeriesTable {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the number of (source, instrument), a new one at their first sight.
    ///
    /// # Errors
    /// When a name is not allowed; see [`check_name`].
    pub fn intern(&self, source: &str, instrument: &str) -> Result<SeriesId, NameError> {
        if let Some(id) = self.find(source, instrument) {
            return Ok(id);
        }
        check_name(source)?;
        check_name(instrument)?;
        let mut guard = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let inner = &mut *guard;
        if !inner.by_name.contains_key(source) {
            let name: Arc<str> = source.into();
            let feed = FeedId(u32::try_from(inner.feeds.len()).unwrap_or(u32::MAX));
            inner.feeds.push(name.clone());
            inner.by_name.insert(name, (feed, HashMap::default()));
        }
        let id = SeriesId(u32::try_from(inner.series.len()).unwrap_or(u32::MAX));
        let Some((feed, instruments)) = inner.by_name.get_mut(source) else {
            return Err(NameError::Empty);
        };
        if let Some(id) = instruments.get(instrument) {
            return Ok(*id); // another thread was quicker
        }
        let source = inner.feeds[feed.index()].clone();
        let instrument: Arc<str> = instrument.into();
        instruments.insert(instrument.clone(), id);
        let group = key_group(&source, &instrument);
        inner.series.push(Arc::new(Series { id, feed: *feed, source, instrument, group }));
        Ok(id)
    }

    /// Gives the number of (source, instrument) if they were met before.
    pub fn find(&self, source: &str, instrument: &str) -> Option<SeriesId> {
        let inner = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.by_name.get(source).and_then(|(_, instruments)| instruments.get(instrument)).copied()
    }

    /// Gives what is known of `id`.
    pub fn get(&self, id: SeriesId) -> Option<Arc<Series>> {
        let inner = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.series.get(id.index()).cloned()
    }

    /// Appends to `known` every series that it does not hold yet: a local copy, indexed by
    /// number, that needs no lock.
    pub fn refresh(&self, known: &mut Vec<Arc<Series>>) {
        let inner = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.extend(inner.series.iter().skip(known.len()).cloned());
    }

    /// Gives the name of a feed.
    pub fn feed_name(&self, feed: FeedId) -> Option<Arc<str>> {
        let inner = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.feeds.get(feed.index()).cloned()
    }
}

/// Gives the key group of a pair of names: 64-bit FNV-1a over both with a zero between, folded.
/// Written down in checkpoints, so it never changes.
pub fn key_group(source: &str, instrument: &str) -> KeyGroup {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in source.bytes().chain(std::iter::once(0)).chain(instrument.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let folded = hash ^ (hash >> 32) ^ (hash >> 16) ^ (hash >> 8);
    (folded & u64::from(KEY_GROUPS - 1)) as KeyGroup
}

#[cfg(test)]
mod tests {
    use super::{KEY_GROUPS, SeriesTable, check_name, key_group, worker_of};

    #[test]
    fn a_name_keeps_its_number() {
        let table = SeriesTable::new();
        let first = table.intern("mt4", "EURUSD").unwrap();
        let second = table.intern("mt5", "EURUSD").unwrap();
        assert_ne!(first, second);
        assert_eq!(table.intern("mt4", "EURUSD").unwrap(), first);
        assert_eq!(&*table.get(second).unwrap().source, "mt5");
    }

    #[test]
    fn names_that_would_become_topics_or_paths_are_refused() {
        for name in ["", "EURUSD/#", "+", "a/b", "..", "$SYS", "a\0b", "a\nb", " a", "x'y", "a;b"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name(&"x".repeat(65)).is_err());
        for name in ["EURUSD", "EURUSD.m", "US500-cash", "BRK.B", "BTC_USDT", "S&P 500"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn every_group_has_one_owner_and_owners_are_even() {
        for workers in [1, 2, 3, 4, 8] {
            let mut counts = vec![0; workers];
            for group in 0..KEY_GROUPS {
                counts[worker_of(group, workers)] += 1;
            }
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
        assert_eq!(key_group("mt4", "EURUSD"), key_group("mt4", "EURUSD"));
        assert_ne!(key_group("a", "bc"), key_group("ab", "c"));
    }
}
