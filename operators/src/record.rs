//! What operators that take records of several kinds need to know of a record, whichever it is.

use dataflows::batch::Record;
use dataflows::fault::Fault;
use dataflows::machine::Emit;
use dataflows::state::Keyed;
use proto::candle::{Candle, Reason};
use proto::event_time::EventTime;
use proto::payload::Payload;
use proto::series::SeriesId;
use proto::tick::Tick;
use serde::{Deserialize, Serialize};

/// Orders the records of one key: by event time, then by number, then running before settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Version {
    /// The time of a tick, the start of a candle.
    pub(crate) time: EventTime,
    /// The sequence of a tick, the revision of a candle.
    pub(crate) number: u64,
    /// Not the running value of an open candle, which changes without changing its revision.
    pub(crate) is_settled: bool,
}

impl Version {
    /// Tells whether a record of this version, coming later, takes the place of one of `other`.
    pub(crate) fn supersedes(self, other: Self) -> bool {
        self > other || (self == other && !self.is_settled)
    }
}

/// A record that replaces older ones of its key: its series, and its timeframe if it has one.
pub(crate) trait Versioned: Record + Clone + PartialEq {
    /// Which series it belongs to.
    fn id(&self) -> SeriesId;
    /// The other half of its key: the seconds of its timeframe, 0 for what has none.
    fn slot(&self) -> u32;
    /// Where it stands among the records of its key.
    fn version(&self) -> Version;
    /// Gives it another series number. State holds records under number 0 and puts the number
    /// back as it emits: numbers mean nothing in another run.
    fn numbered(self, series: SeriesId) -> Self;
    /// Tells whether a record of version `next` opens a new window, so that one of version
    /// `before` is the last of its own; a tick has no window.
    fn ends(before: Version, next: Version) -> bool;
    /// The run of output `number`.
    fn run(emit: &mut Emit, number: usize) -> &mut Vec<Self>;
}

impl Versioned for Tick {
    fn id(&self) -> SeriesId {
        self.series
    }

    fn slot(&self) -> u32 {
        0
    }

    fn version(&self) -> Version {
        Version { time: self.time, number: self.sequence, is_settled: true }
    }

    fn numbered(self, series: SeriesId) -> Self {
        Self { series, ..self }
    }

    fn ends(_before: Version, _next: Version) -> bool {
        false
    }

    fn run(emit: &mut Emit, number: usize) -> &mut Vec<Self> {
        emit.ticks(number)
    }
}

impl Versioned for Candle {
    fn id(&self) -> SeriesId {
        self.series
    }

    fn slot(&self) -> u32 {
        self.timeframe.seconds()
    }

    fn version(&self) -> Version {
        Version {
            time: self.start,
            number: u64::from(self.revision),
            is_settled: self.reason != Reason::Open,
        }
    }

    fn numbered(self, series: SeriesId) -> Self {
        Self { series, ..self }
    }

    fn ends(before: Version, next: Version) -> bool {
        next.time > before.time
    }

    fn run(emit: &mut Emit, number: usize) -> &mut Vec<Self> {
        emit.candles(number)
    }
}

impl Versioned for Payload {
    fn id(&self) -> SeriesId {
        self.series
    }

    fn slot(&self) -> u32 {
        0
    }

    /// Of two that were made at the same time, the one that comes later is the newer one.
    fn version(&self) -> Version {
        Version { time: self.time, number: 0, is_settled: false }
    }

    fn numbered(self, series: SeriesId) -> Self {
        Self { series, ..self }
    }

    fn ends(_before: Version, _next: Version) -> bool {
        false
    }

    fn run(emit: &mut Emit, number: usize) -> &mut Vec<Self> {
        emit.payloads(number)
    }
}

/// The values of one series by slot, sorted by it. A series has a handful of timeframes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Slots<V>(Vec<(u32, V)>);

impl<V> Default for Slots<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: Default> Slots<V> {
    /// Gives the value of `slot`, if there is one.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut V> {
        self.0.iter_mut().find(|(key, _)| *key == slot).map(|(_, value)| value)
    }

    /// Calls `work` on the value of `slot`, which is made if it is not there.
    pub(crate) fn with<R>(&mut self, slot: u32, work: impl FnOnce(&mut V) -> R) -> R {
        if let Some(value) = self.get_mut(slot) {
            return work(value);
        }
        let mut value = V::default();
        let result = work(&mut value);
        let at = self.0.partition_point(|(key, _)| *key < slot);
        self.0.insert(at, (slot, value));
        result
    }

    /// Visits all, sorted by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &V)> {
        self.0.iter().map(|(slot, value)| (*slot, value))
    }
}

/// Calls `work` on the state of `id`, which is made if it is not there.
#[inline]
pub(crate) fn with_state<S: Default, R>(
    states: &mut Keyed<S>,
    id: SeriesId,
    work: impl FnOnce(&mut S) -> R,
) -> R {
    if let Some(state) = states.get_mut(id) {
        return work(state);
    }
    work(states.insert(id, S::default()))
}

/// Passes all of `rows` on; without copying where the run has nothing yet.
pub(crate) fn pass_on<T>(rows: &mut Vec<T>, run: &mut Vec<T>) {
    if run.is_empty() {
        std::mem::swap(rows, run);
    } else {
        run.append(rows);
    }
}

/// Refuses a state that another version of an operator wrote.
///
/// # Errors
/// When `found` is not `wanted`.
pub(crate) fn expect_version(operator: &str, found: u16, wanted: u16) -> Result<(), Fault> {
    if found == wanted {
        return Ok(());
    }
    let message = format!(
        "it was written in version {found}, this program reads version {wanted}; resume with the \
         program that wrote it, or start the job afresh"
    );
    Err(Fault::stop(format!("state of `{operator}`"), message))
}
