//! The seam between a queue and the archive that fills its holes: which ticks were handed in before.
//!
//! A queue that lost messages is healed from an archive of the same stream. Both overlap: the
//! archive has ticks from before the hole, which were handed in already, and ticks from behind it,
//! which the queue will deliver, too. Every tick counts as often as the stream had it: of equal
//! ones without a sequence two can both be real, so they are counted, not only known.
//!
//! What is kept of a source are its ticks of the last stretch of event time, by feed. The ticks of
//! one feed may be out of order by as much as that stretch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use proto::event_time::EventTime;
use proto::series::{Series, SeriesId, SeriesTable};
use proto::tick::Tick;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::component::sink::Generation;
use crate::fault::Fault;

/// A clock of a venue is no more than this ahead of ours; a tick from beyond moves nothing.
pub(crate) const AHEAD_MAX: i64 = 86_400_000_000_000;

/// So many stretches what the queue may still deliver is remembered.
const OWED_STRETCHES: i64 = 3;

/// A tick as far as another one can be the same: its time, and a hash of all else.
type Mark = (i64, u64);

/// What is remembered of one feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Side {
    /// The greatest event time.
    newest: EventTime,
    /// What was handed in and is not older than `newest` by more than the stretch, in the order in
    /// which it was handed in.
    recent: VecDeque<Mark>,
    /// What came from the archive only: the queue may deliver it, so often.
    owed: BTreeMap<Mark, u32>,
}

/// What is remembered of one source.
#[derive(Debug)]
pub(crate) struct Seam {
    stretch: i64,
    table: SeriesTable,
    known: Vec<Arc<Series>>,
    /// By series: its feed's number in `sides`, and the hash of its instrument.
    places: Vec<(usize, u64)>,
    numbers: BTreeMap<Arc<str>, usize>,
    sides: Vec<Side>,
    /// The start of the job that last made sure that nothing is missing; 0: something may be.
    pub(crate) whole_for: Generation,
    /// While the archive is read.
    pass: Option<Pass>,
}

/// One reading of the archive.
#[derive(Debug, Default)]
struct Pass {
    /// By feed: from when on the archive's ticks may be missing.
    floors: Vec<i64>,
    /// For feeds that were not known before.
    floor: i64,
    /// By feed: what was handed in, and has not been met in the archive.
    left: Vec<HashMap<Mark, u32>>,
}

/// What a checkpoint keeps.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    version: u8,
    whole_for: Generation,
    sides: Vec<(String, Side)>,
}

const VERSION: u8 = 1;

impl Saved {
    /// Reads what [`Seam::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let wrong = |why: String| Fault::stop("the checkpoint, the seam of a source", why);
        let saved: Self = postcard::from_bytes(bytes).map_err(|error| wrong(error.to_string()))?;
        if saved.version != VERSION {
            return Err(wrong(format!("version {} where {VERSION} was expected", saved.version)));
        }
        Ok(saved)
    }
}

impl Seam {
    /// Makes one that compares so long a stretch, going on from what a checkpoint kept.
    pub(crate) fn new(table: SeriesTable, stretch: i64, saved: Option<Saved>) -> Self {
        let mut seam = Self {
            stretch,
            table,
            known: Vec::new(),
            places: Vec::new(),
            numbers: BTreeMap::new(),
            sides: Vec::new(),
            whole_for: 0,
            pass: None,
        };
        if let Some(saved) = saved {
            seam.whole_for = saved.whole_for;
            for (name, side) in saved.sides {
                seam.numbers.insert(name.into(), seam.sides.len());
                seam.sides.push(side);
            }
        }
        seam
    }

    /// Writes it down for a checkpoint.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let sides = self.numbers.iter().filter_map(|(name, number)| {
            self.sides.get(*number).map(|side| (name.to_string(), side.clone()))
        });
        let saved = Saved { version: VERSION, whole_for: self.whole_for, sides: sides.collect() };
        // Into memory, and of lengths that are known: nothing that can fail.
        postcard::to_allocvec(&saved).unwrap_or_default()
    }

    /// How far each feed has come, by its name.
    pub(crate) fn feeds(&self) -> BTreeMap<Arc<str>, EventTime> {
        let newest = |number: usize| self.sides.get(number).map(|side| side.newest);
        let all = self.numbers.iter();
        all.filter_map(|(name, number)| Some((name.clone(), newest(*number)?))).collect()
    }

    /// Takes ticks of the queue; gives which of them are new, or none if all are. `clock` is the
    /// job's.
    pub(crate) fn live(&mut self, ticks: &[Tick], clock: EventTime) -> Option<Vec<bool>> {
        let mut keep: Option<Vec<bool>> = None;
        for (at, tick) in ticks.iter().enumerate() {
            let Some((number, mark)) = self.mark(tick) else { continue };
            let Some(side) = self.sides.get_mut(number) else { continue };
            if !side.owed.is_empty()
                && let Some(owed) = side.owed.get_mut(&mark)
            {
                *owed -= 1;
                if *owed == 0 {
                    side.owed.remove(&mark);
                }
                keep.get_or_insert_with(|| vec![true; ticks.len()])[at] = false;
                continue;
            }
            side.add(mark, self.stretch, clock);
        }
        keep
    }

    /// The archive is read from now on: what it has of what was handed in is left out.
    pub(crate) fn begin(&mut self) {
        let newest = self.sides.iter().map(|side| side.newest.ns()).max();
        let floor = |newest: i64| newest.saturating_sub(self.stretch);
        let mut pass = Pass { floor: newest.map_or(i64::MIN, floor), ..Pass::default() };
        for side in &self.sides {
            pass.floors.push(floor(side.newest.ns()));
            let mut left: HashMap<Mark, u32> = HashMap::new();
            for mark in &side.recent {
                *left.entry(*mark).or_default() += 1;
            }
            pass.left.push(left);
        }
        self.pass = Some(pass);
    }

    /// Takes ticks of the archive; gives which of them are missing. `clock` is the job's.
    pub(crate) fn archived(&mut self, ticks: &[Tick], clock: EventTime) -> Vec<bool> {
        let mut keep = Vec::with_capacity(ticks.len());
        for tick in ticks {
            let Some((number, mark)) = self.mark(tick) else {
                keep.push(true);
                continue;
            };
            let pass = self.pass.get_or_insert_default();
            let floor = pass.floors.get(number).copied().unwrap_or(pass.floor);
            let left = pass.left.get_mut(number).and_then(|left| left.get_mut(&mark));
            let left = left.filter(|left| **left > 0);
            let is_missing = mark.0 >= floor && left.is_none();
            if let Some(left) = left {
                *left -= 1;
            }
            if is_missing {
                self.owe(number, mark, clock);
            }
            keep.push(is_missing);
        }
        keep
    }

    /// Takes ticks of the archive that the journal has: they were missing.
    pub(crate) fn archived_again(&mut self, ticks: &[Tick], clock: EventTime) {
        for tick in ticks {
            if let Some((number, mark)) = self.mark(tick) {
                self.owe(number, mark, clock);
            }
        }
    }

    /// The archive was read to its end.
    pub(crate) fn end(&mut self) {
        self.pass = None;
    }

    fn owe(&mut self, number: usize, mark: Mark, clock: EventTime) {
        if let Some(side) = self.sides.get_mut(number) {
            *side.owed.entry(mark).or_default() += 1;
            side.add(mark, self.stretch, clock);
        }
    }

    /// Gives the feed of a tick, and what it is known by; none for a series that is not known.
    fn mark(&mut self, tick: &Tick) -> Option<(usize, Mark)> {
        let (number, seed) = self.place(tick.series)?;
        let mut bytes = [0_u8; 41];
        let parts = if tick.has(Tick::HAS_SEQUENCE) {
            [tick.sequence, 0, 0, 0, 0]
        } else {
            let volume = tick.has(Tick::HAS_VOLUME);
            let units = |units: i64| u64::from_le_bytes(units.to_le_bytes());
            [
                units(tick.bid.units()),
                units(tick.ask.units()),
                units(tick.last.units()),
                if volume { units(tick.volume.units()) } else { 0 },
                u64::from(volume),
            ]
        };
        bytes[0] = u8::from(tick.has(Tick::HAS_SEQUENCE));
        for (slot, part) in bytes[1..].chunks_exact_mut(8).zip(parts) {
            slot.copy_from_slice(&part.to_le_bytes());
        }
        Some((number, (tick.time.ns(), XxHash3_128::oneshot_with_seed(seed, &bytes) as u64)))
    }

    fn place(&mut self, series: SeriesId) -> Option<(usize, u64)> {
        if series.index() >= self.places.len() {
            self.table.refresh(&mut self.known);
            for series in self.known.iter().skip(self.places.len()) {
                let next = self.sides.len();
                let number = *self.numbers.entry(series.source.clone()).or_insert(next);
                if number == next {
                    let newest = EventTime::MIN;
                    self.sides.push(Side { newest, ..Side::default() });
                }
                let seed = XxHash3_128::oneshot(series.instrument.as_bytes()) as u64;
                self.places.push((number, seed));
            }
        }
        self.places.get(series.index()).copied()
    }
}

impl Side {
    fn add(&mut self, mark: Mark, stretch: i64, clock: EventTime) {
        self.recent.push_back(mark);
        if mark.0 <= self.newest.ns() || mark.0 > clock.ns().saturating_add(AHEAD_MAX) {
            return;
        }
        self.newest = EventTime::from_ns(mark.0);
        let floor = mark.0.saturating_sub(stretch);
        while self.recent.front().is_some_and(|mark| mark.0 < floor) {
            self.recent.pop_front();
        }
        // The archive may have moved `newest` as far as a stretch beyond the queue's first tick, and
        // what the queue still delivers may lie a stretch before that one.
        let floor = mark.0.saturating_sub(stretch.saturating_mul(OWED_STRETCHES));
        while self.owed.first_key_value().is_some_and(|(mark, _)| mark.0 < floor) {
            self.owed.pop_first();
        }
    }
}

#[cfg(test)]
mod tests;
