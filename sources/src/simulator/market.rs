//! The market itself: a pure generator of deliveries, whose whole state can be written down.

use std::collections::BTreeMap;

use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::SeriesId;
use proto::tick::Tick;
use serde::{Deserialize, Serialize};

use super::gateway::{Gap, Gateway, Sessions};
use super::instruments::{self, Instrument};
use super::random::{Random, mix, step, waiting};
use super::sessions::{HALF_HOUR, rhythm};
use super::{Feed, SimulatorConfig};

/// Nanoseconds in a millisecond and a second.
const MILLISECOND: i64 = 1_000_000;
pub(super) const SECOND: i64 = 1_000 * MILLISECOND;
/// How finely the choice of a series is shared out.
const SHARES: usize = 1_024;

/// What a feed delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Delivery {
    /// A tick; its series is an index into [`Market::series`].
    Tick(Tick),
    /// Bytes that are none.
    Garbled(u64),
    /// A feed was silent between two sessions.
    Gap(Gap),
}

/// What changes from delivery to delivery: this, and the configuration, are the market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// When it began.
    pub(super) start: i64,
    /// The time of the last tick that was made.
    pub(super) now: i64,
    /// Deliveries so far.
    pub(super) delivered: u64,
    random: Random,
    /// The middle price of each instrument, in 64ths of its step.
    middles: Vec<i64>,
    /// The last sequence of each series.
    sequences: Vec<u64>,
    feed_sequences: [u64; 3],
    /// Ticks that arrive later than they should, by time of arrival and number.
    held: BTreeMap<(i64, u64), Tick>,
    held_count: u64,
    /// A tick that was made and waits for held ones before it.
    ready: Option<Delivery>,
    is_over: bool,
    sessions: Sessions,
    /// The tick behind a gap.
    behind_gap: Option<Tick>,
}

/// A series: an instrument as a feed quotes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted {
    pub(super) feed: Feed,
    pub(super) instrument: &'static Instrument,
    /// Where its instrument stands in the state.
    middle: usize,
}

/// What is the same for a whole half hour.
#[derive(Debug, Clone, Default)]
struct Slot {
    number: i64,
    /// The mean time from tick to tick; zero while everything is closed.
    gap: i64,
    /// Series by shares of their weights.
    shares: Vec<u16>,
    /// Per feed, from when to when it is out.
    outages: [(i64, i64); 3],
    /// Spreads are wider in quiet hours, in percent.
    widening: i64,
}

/// The generator.
#[derive(Debug)]
pub(super) struct Market {
    config: SimulatorConfig,
    /// The habits of gateways, where they were asked for.
    gateway: Option<Gateway>,
    /// What is quoted.
    pub(super) series: Vec<Quoted>,
    slot: Slot,
    end: i64,
    /// All that changes.
    pub(super) state: State,
}

impl Market {
    /// Opens it at `start` for `duration` nanoseconds, or goes on from a state; none if that is
    /// the state of another market.
    pub(super) fn new(
        config: &SimulatorConfig,
        (start, duration): (i64, i64),
        state: Option<State>,
    ) -> Option<Self> {
        let is_wanted = |instrument: &&Instrument| {
            config.instruments.is_empty() || config.instruments.iter().any(|n| n == instrument.name)
        };
        let instruments: Vec<&'static Instrument> =
            instruments::ALL.iter().filter(is_wanted).collect();
        let mut series = Vec::new();
        for (middle, instrument) in instruments.iter().enumerate() {
            for feed in instrument.feeds {
                if config.sources.iter().any(|name| name == feed.name()) {
                    series.push(Quoted { feed: *feed, instrument, middle });
                }
            }
        }
        let fresh = || State {
            start,
            now: start,
            delivered: 0,
            random: Random::new(mix(config.seed)),
            middles: instruments.iter().map(|instrument| instrument.level * 64).collect(),
            sequences: vec![0; series.len()],
            feed_sequences: [0; 3],
            held: BTreeMap::new(),
            held_count: 0,
            ready: None,
            is_over: series.is_empty(),
            sessions: Sessions::default(),
            behind_gap: None,
        };
        let state = state.unwrap_or_else(fresh);
        let is_its = state.middles.len() == instruments.len()
            && state.sequences.len() == series.len()
            && state.held.values().all(|tick| tick.series.index() < series.len());
        if !is_its {
            return None;
        }
        let end = state.start.saturating_add(duration);
        let slot = Slot { number: i64::MIN, ..Slot::default() };
        let (session, zone) = (config.session.as_deref(), config.server_time_zone.as_deref());
        let gateway = config.gateway.then(|| Gateway::new(session, zone));
        Some(Self { config: config.clone(), gateway, series, slot, end, state })
    }

    /// Tells how far it has come, in thousandths.
    pub(super) fn progress(&self) -> Option<u32> {
        if self.end == i64::MAX && self.config.ticks.is_none() {
            return None; // it has no end
        }
        let whole = (self.end - self.state.start).max(1);
        let by_time = (self.state.now - self.state.start).clamp(0, whole) / (whole / 1_000).max(1);
        let by_count = self
            .config
            .ticks
            .map_or(0, |ticks| self.state.delivered.min(ticks) * 1_000 / ticks.max(1));
        let permille = |count: i64| u32::try_from(count).unwrap_or(0).min(1_000);
        Some(permille(by_time).max(permille(i64::try_from(by_count).unwrap_or(0))))
    }

    /// Gives the next delivery and its time of arrival; none at the end.
    pub(super) fn next(&mut self) -> Option<(i64, Delivery)> {
        if self.config.ticks.is_some_and(|ticks| self.state.delivered >= ticks) {
            return None;
        }
        if self.state.ready.is_none() && !self.state.is_over {
            self.state.ready = self.make();
            self.state.is_over = self.state.ready.is_none();
        }
        let arrival = self.state.now;
        let due = self.state.held.first_key_value().map(|((arrival, _), _)| *arrival);
        let is_due = due.is_some_and(|due| self.state.is_over || due <= arrival);
        let next = if is_due {
            let ((due, _), tick) = self.state.held.pop_first()?;
            (due.max(arrival), Delivery::Tick(tick))
        } else {
            (arrival, self.state.ready.take()?)
        };
        self.state.delivered += 1;
        Some(next)
    }

    /// Makes a tick, and holds it back or a copy of it where chance says so.
    fn make(&mut self) -> Option<Delivery> {
        if let Some(tick) = self.state.behind_gap.take() {
            return Some(Delivery::Tick(tick));
        }
        loop {
            self.advance()?;
            let choice = self.state.random.bits();
            let share = self.slot.shares.get(choice as usize % SHARES).copied()?;
            let quoted = *self.series.get(usize::from(share))?;
            let (from, to) = self.slot.outages.get(quoted.feed as usize).copied()?;
            if (from..to).contains(&self.state.now) {
                continue;
            }
            let (start, now) = (self.state.start, self.state.now);
            if self.gateway.as_ref().is_some_and(|own| own.is_silent(quoted.feed, start, now)) {
                continue;
            }
            let mut tick = self.quote(usize::from(share), quoted, choice >> 10);
            if let Some(gateway) = &self.gateway {
                let (sessions, when) = (&mut self.state.sessions, (quoted.feed, start, now));
                let (gap, sent) = gateway.send(sessions, when, tick, mix(choice));
                tick = sent;
                if let Some(gap) = gap {
                    self.state.behind_gap = Some(tick);
                    return Some(Delivery::Gap(gap));
                }
            }
            let chance = self.state.random.below(1_000_000);
            let [late, very_late, repeated, crossed, bad] = self.thresholds();
            if chance < late {
                let delay = i64::from(500 + self.state.random.below(3_500)) * MILLISECOND;
                self.hold(tick, delay);
            } else if chance < very_late {
                let delay = i64::from(60 + self.state.random.below(540)) * SECOND;
                self.hold(tick, delay);
            } else if chance < repeated {
                let delay = i64::from(self.state.random.below(3_000)) * MILLISECOND;
                let is_marked = self.state.random.bits() & 1 == 1;
                let mark = if is_marked { Tick::IS_REDELIVERED } else { 0 };
                self.hold(Tick { flags: tick.flags | mark, ..tick }, delay);
                return Some(Delivery::Tick(tick));
            } else if chance < crossed {
                return Some(Delivery::Tick(Tick { bid: tick.ask, ask: tick.bid, ..tick }));
            } else if chance < bad {
                return Some(self.spoil(tick));
            } else {
                return Some(Delivery::Tick(tick));
            }
        }
    }

    fn thresholds(&self) -> [u32; 5] {
        let config = &self.config;
        let mut sum = 0_u32;
        [config.late, config.very_late, config.repeated, config.crossed, config.bad].map(|rate| {
            sum = sum.saturating_add(rate);
            sum
        })
    }

    fn hold(&mut self, tick: Tick, delay: i64) {
        self.state.held_count += 1;
        let key = (self.state.now.saturating_add(delay), self.state.held_count);
        self.state.held.insert(key, tick);
    }

    fn spoil(&mut self, tick: Tick) -> Delivery {
        match self.state.random.below(3) {
            0 => {
                let tenfold = |price: Price| Price::from_units(price.units().saturating_mul(10));
                Delivery::Tick(Tick { bid: tenfold(tick.bid), ask: tenfold(tick.ask), ..tick })
            }
            1 => Delivery::Tick(Tick {
                bid: Price::ZERO,
                ask: Price::ZERO,
                last: Price::ZERO,
                ..tick
            }),
            _ => Delivery::Garbled(self.state.random.bits()),
        }
    }

    /// Goes on to the time of the next tick, over everything that is closed.
    fn advance(&mut self) -> Option<()> {
        let mut from = self.state.now;
        loop {
            let number = from.div_euclid(HALF_HOUR);
            if number != self.slot.number {
                self.slot = self.furnish(number);
            }
            if from >= self.end {
                return None;
            }
            let next_slot = number.checked_add(1)?.checked_mul(HALF_HOUR)?;
            if self.slot.gap > 0 {
                let wait = i64::try_from(waiting(self.state.random.bits())).ok()?;
                let next = from.checked_add((self.slot.gap.checked_mul(wait)? >> 10).max(1))?;
                // Waiting has no memory: what reaches over the half hour starts again with it.
                if next < next_slot {
                    self.state.now = next;
                    return (next < self.end).then_some(());
                }
            }
            from = next_slot;
        }
    }

    /// Finds out what is open in a half hour.
    fn furnish(&self, number: i64) -> Slot {
        let weights: Vec<u32> = self
            .series
            .iter()
            .map(|quoted| {
                let is_open = self.config.always_open || quoted.instrument.hours.is_open(number);
                if is_open { quoted.instrument.weight } else { 0 }
            })
            .collect();
        let open: u64 = weights.iter().copied().map(u64::from).sum();
        let all: u64 = self.series.iter().map(|quoted| u64::from(quoted.instrument.weight)).sum();
        let busy = if self.config.always_open { 100 } else { rhythm(number) };
        let mut slot =
            Slot { number, widening: if busy < 60 { 160 } else { 100 }, ..Slot::default() };
        if open == 0 {
            return slot;
        }
        let per_second = u64::from(self.config.rate) * u64::from(busy) * open;
        let gap = u64::try_from(SECOND).unwrap_or(0) * 100 * all / per_second.max(1);
        slot.gap = i64::try_from(gap).unwrap_or(i64::MAX).max(1);
        let mut sum = 0_u64;
        for (series, weight) in weights.iter().enumerate() {
            sum += u64::from(*weight);
            let upto = usize::try_from(sum * SHARES as u64 / open).unwrap_or(SHARES);
            slot.shares.resize(upto.max(slot.shares.len()), u16::try_from(series).unwrap_or(0));
        }
        for (feed, outage) in slot.outages.iter_mut().enumerate() {
            // From the seed and the place alone, so that it does not depend on what went before.
            let salt = mix(self.config.seed ^ mix(number.cast_unsigned()) ^ feed as u64);
            let mut random = Random::new(salt);
            if random.below(1_000) < self.config.outages {
                let from = number * HALF_HOUR + i64::from(random.below(1_200)) * SECOND;
                *outage = (from, from + i64::from(30 + random.below(570)) * SECOND);
            }
        }
        slot
    }

    /// Moves the price of an instrument and quotes it.
    fn quote(&mut self, index: usize, quoted: Quoted, chance: u64) -> Tick {
        let Instrument { level, volatility, spread, digits, .. } = *quoted.instrument;
        let now = self.state.now;
        let middle = match self.state.middles.get_mut(quoted.middle) {
            Some(middle) => {
                // A random walk on a long leash, never below half its level.
                let pull = (level * 64 - *middle) >> 16;
                *middle += step(chance as u32) * volatility / 3 + pull;
                *middle = (*middle).max(level * 32);
                *middle / 64
            }
            None => level,
        };
        let width = |percent: i64| (spread * percent * self.slot.widening / 10_000).max(1);
        let jitter = ((chance >> 32) & 7) as i64;
        let units = 10_i64.pow(Price::DIGITS.saturating_sub(digits));
        let price = |steps: i64| Price::from_units(steps * units);
        let mut tick = Tick { series: SeriesId(index as u32), ..Tick::default() };
        let (width, time) = match quoted.feed {
            Feed::Mt4 => {
                let sequence = self.state.sequences.get_mut(index);
                tick.sequence = sequence.map_or(0, count);
                tick.flags = Tick::HAS_SEQUENCE;
                (width(130) + (jitter & 3) * spread / 8, now - now.rem_euclid(SECOND))
            }
            Feed::Mt5 => {
                let sequence = self.state.feed_sequences.get_mut(quoted.feed as usize);
                tick.sequence = sequence.map_or(0, count);
                tick.flags = Tick::HAS_SEQUENCE;
                (width(100) + (jitter & 3) * spread / 8, now - now.rem_euclid(MILLISECOND))
            }
            Feed::Ib => {
                let sequence = self.state.feed_sequences.get_mut(quoted.feed as usize);
                tick.sequence = sequence.map_or(0, count);
                (width(60), now - now.rem_euclid(MILLISECOND))
            }
        };
        tick.time = EventTime::from_ns(time);
        let bid = middle - width / 2;
        tick.bid = price(bid);
        tick.ask = price(bid + width);
        if quoted.feed == Feed::Ib {
            let size = (1 + ((chance >> 36) & 63) as i64) * 100;
            tick.volume = Quantity::from_units(size * Quantity::SCALE);
            tick.flags |= Tick::HAS_VOLUME;
            if jitter < 3 {
                tick.last = if jitter == 0 { tick.ask } else { tick.bid };
            }
        }
        tick
    }
}

/// Counts on.
fn count(sequence: &mut u64) -> u64 {
    *sequence += 1;
    *sequence
}
