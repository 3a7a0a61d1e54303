//! What a gateway makes of the market: the habits of the real ones, on the wire.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::tick::Tick;
use serde::{Deserialize, Serialize};

use super::market::SECOND;
use super::{Feed, duration_ns};

/// So long a feed is silent between two sessions.
const BREAK: i64 = 3 * SECOND;

/// What changes from tick to tick: per feed, the session it is in and its next sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sessions {
    numbers: [i64; 3],
    next: [u64; 3],
}

/// A break between two sessions that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    /// Whose.
    pub(super) feed: u8,
    /// From when on nothing came.
    pub(super) from: i64,
    /// When it began again.
    pub(super) to: i64,
}

/// The habits that were asked for.
#[derive(Debug, Clone)]
pub(super) struct Gateway {
    /// How long a session lasts, in nanoseconds; none: for ever.
    session: Option<i64>,
    /// The clock of the MetaTrader servers, where it is not brought to UTC.
    zone: Option<Tz>,
}

impl Gateway {
    /// Reads what the job says; `problems` has checked it.
    pub(super) fn new(session: Option<&str>, zone: Option<&str>) -> Self {
        Self {
            session: session.and_then(duration_ns),
            zone: zone.and_then(|name| name.parse().ok()),
        }
    }

    /// Where `now` lies in the sessions of a feed: the session's number, when it began, and whether
    /// it is over.
    fn place(&self, feed: Feed, start: i64, now: i64) -> (i64, i64, bool) {
        let Some(session) = self.session else { return (0, start, false) };
        let whole = session.saturating_add(BREAK);
        // Not all at once.
        let begun = start.saturating_sub(feed as i64 * (whole / 3));
        let since = now.saturating_sub(begun);
        let number = since.div_euclid(whole);
        (number, begun.saturating_add(number * whole), since.rem_euclid(whole) >= session)
    }

    /// Tells whether the feed is silent.
    pub(super) fn is_silent(&self, feed: Feed, start: i64, now: i64) -> bool {
        self.place(feed, start, now).2
    }

    /// Makes of a quote what the gateway would send: the tick, and before it the gap where a session
    /// has begun since the last one. `chance` decides which part of it changed.
    pub(super) fn send(
        &self,
        sessions: &mut Sessions,
        (feed, start, now): (Feed, i64, i64),
        tick: Tick,
        chance: u64,
    ) -> (Option<Gap>, Tick) {
        let (number, begun, _) = self.place(feed, start, now);
        let (mut gap, own) = (None, feed as usize);
        if let (Some(last), Some(next)) =
            (sessions.numbers.get_mut(own), sessions.next.get_mut(own))
        {
            if *last != number {
                // The first session may have begun before the market did.
                let is_first = *last == 0 && *next == 0;
                let feed = feed as u8;
                gap = (!is_first).then_some(Gap { feed, from: begun - BREAK, to: begun });
                (*last, *next) = (number, 0);
            }
            let sequence = *next;
            *next += 1;
            let tick = match feed {
                Feed::Mt4 => mt4(self.local(tick)),
                Feed::Mt5 => self.local(tick),
                Feed::Ib => ib(tick, sequence, chance),
            };
            return (gap, tick);
        }
        (gap, tick)
    }

    /// Puts the clock of the server on a tick, as if it were UTC.
    fn local(&self, tick: Tick) -> Tick {
        let Some(zone) = self.zone else { return tick };
        let utc = DateTime::from_timestamp_nanos(tick.time.ns()).naive_utc();
        let offset = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
        let ns = tick.time.ns().saturating_add(i64::from(offset) * SECOND);
        Tick { time: EventTime::from_ns(ns), ..tick }
    }
}

/// MetaTrader 4 numbers nothing: what is left is the order of arrival.
fn mt4(tick: Tick) -> Tick {
    Tick { flags: tick.flags & !Tick::HAS_SEQUENCE, ..tick }
}

/// Interactive Brokers calls back for one thing at a time: a bid, an ask, or a trade with its size.
fn ib(tick: Tick, sequence: u64, chance: u64) -> Tick {
    let one = Tick {
        sequence,
        bid: Price::ZERO,
        ask: Price::ZERO,
        last: Price::ZERO,
        volume: Quantity::ZERO,
        flags: Tick::HAS_SEQUENCE,
        ..tick
    };
    match chance % 5 {
        0 | 1 => Tick { bid: tick.bid, ..one },
        2 | 3 => Tick { ask: tick.ask, ..one },
        _ => {
            let last = if chance & 8 == 0 { tick.bid } else { tick.ask };
            let flags = one.flags | Tick::HAS_VOLUME;
            Tick { last, volume: tick.volume, flags, ..one }
        }
    }
}
