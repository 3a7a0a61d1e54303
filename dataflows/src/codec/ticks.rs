//! Ticks as groups of numbers: each the difference to what the tick before, of its series or of all, makes
//! likely.

use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::SeriesId;
use proto::tick::Tick;

use super::pack::{GROUP, unzigzag, zigzag};
use super::read::Bad;

/// What is expected of a series' next tick.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    sequence: u64,
    bid: i64,
    ask: i64,
    last: i64,
    volume: i64,
    flags: u32,
}

/// The memory that writing and reading share.
#[derive(Debug)]
pub(super) struct Ticks {
    of_series: Vec<Last>,
    time: i64,
    series: u32,
}

impl Ticks {
    /// Begins, with so many series.
    pub(super) fn new(series: usize) -> Self {
        Self { of_series: vec![Last::default(); series], time: 0, series: 0 }
    }

    /// Gives the numbers of a tick, whose series has number `series` in the dictionary.
    #[inline]
    pub(super) fn write(&mut self, tick: &Tick, series: u32) -> [u64; GROUP] {
        let Some(last) = self.of_series.get_mut(series as usize) else { return [0; GROUP] };
        let (time, bid, ask) = (tick.time.ns(), tick.bid.units(), tick.ask.units());
        let (trade, volume) = (tick.last.units(), tick.volume.units());
        let values = [
            zigzag(i64::from(series) - i64::from(self.series)),
            u64::from(tick.flags ^ last.flags),
            zigzag(time.wrapping_sub(self.time)),
            zigzag(tick.sequence.wrapping_sub(last.sequence).cast_signed()),
            zigzag(bid.wrapping_sub(last.bid)),
            // The spread changes less than the price.
            zigzag(ask.wrapping_sub(bid).wrapping_sub(last.ask.wrapping_sub(last.bid))),
            zigzag(trade.wrapping_sub(last.last)),
            zigzag(volume.wrapping_sub(last.volume)),
        ];
        let sequence = tick.sequence.wrapping_add(1);
        *last = Last { sequence, bid, ask, last: trade, volume, flags: tick.flags };
        (self.time, self.series) = (time, series);
        values
    }

    /// Makes the tick of [`Ticks::write`] again.
    #[inline]
    pub(super) fn read(
        &mut self,
        values: [u64; GROUP],
        dictionary: &[SeriesId],
    ) -> Result<Tick, Bad> {
        let [series, flags, time, sequence, bid, ask, trade, volume] = values;
        let series = i64::from(self.series).wrapping_add(unzigzag(series));
        let index = usize::try_from(series).map_err(|_| "no such series")?;
        let (Some(last), Some(id)) = (self.of_series.get_mut(index), dictionary.get(index)) else {
            return Err("no such series");
        };
        let flags = last.flags ^ u32::try_from(flags).map_err(|_| "no such flags")?;
        let time = self.time.wrapping_add(unzigzag(time));
        let sequence = last.sequence.wrapping_add(unzigzag(sequence).cast_unsigned());
        let spread = last.ask.wrapping_sub(last.bid).wrapping_add(unzigzag(ask));
        let bid = last.bid.wrapping_add(unzigzag(bid));
        let ask = bid.wrapping_add(spread);
        let trade = last.last.wrapping_add(unzigzag(trade));
        let volume = last.volume.wrapping_add(unzigzag(volume));
        *last = Last { sequence: sequence.wrapping_add(1), bid, ask, last: trade, volume, flags };
        (self.time, self.series) = (time, index as u32);
        Ok(Tick {
            time: EventTime::from_ns(time),
            sequence,
            bid: Price::from_units(bid),
            ask: Price::from_units(ask),
            last: Price::from_units(trade),
            volume: Quantity::from_units(volume),
            watermark: EventTime::MIN,
            series: *id,
            flags,
        })
    }
}
