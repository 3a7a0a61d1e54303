//! A synthetic market in memory, of the shape of `peers/generate.py`: three sources, 200 instruments
//! (Zipf), five days, in the order of time.

use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::series::{SeriesId, SeriesTable};
use proto::tick::Tick;

const DAYS: u64 = 5;
const INSTRUMENTS: usize = 200;
/// 2025-01-06, a Monday.
const START: u64 = 1_736_121_600_000_000_000;

/// A small generator of numbers, the same on every machine (`SplitMix64`).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Gives the next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// Makes `count` ticks, in batches of `batch`.
pub fn ticks(table: &SeriesTable, count: usize, batch: usize) -> Vec<Vec<Tick>> {
    let series = series(table);
    let mut random = Random::new(7);
    // Zipf by a table of cumulative weights 1/k.
    let mut cumulative = Vec::new();
    let mut sum = 0_u64;
    for k in 1..=INSTRUMENTS as u64 {
        sum += 1_000_000_000 / k;
        cumulative.push(sum);
    }
    let mut price = vec![1_500_000_000_i64; INSTRUMENTS];
    let step = DAYS * 86_400_000_000_000 / count.max(1) as u64;
    let mut batches = Vec::new();
    let mut now = Vec::with_capacity(batch);
    for number in 0..count as u64 {
        let draw = random.below(sum);
        let instrument = cumulative.partition_point(|upto| *upto <= draw).min(INSTRUMENTS - 1);
        let source =
            [0, 0, 0, 0, 1, 1, 1, 1, 2].get(random.below(9) as usize).copied().unwrap_or(0);
        let Some(price) = price.get_mut(instrument) else { continue };
        *price += (random.below(7) as i64 - 3) * 10_000;
        let Some(id) = series.get(source * INSTRUMENTS + instrument) else { continue };
        now.push(Tick {
            series: *id,
            time: EventTime::from_ns((START + number * step) as i64),
            sequence: number,
            bid: Price::from_units(*price),
            ask: Price::from_units(*price + 20_000),
            volume: Quantity::from_units(100_000_000),
            flags: Tick::HAS_VOLUME,
            ..Tick::default()
        });
        if now.len() == batch {
            batches.push(std::mem::replace(&mut now, Vec::with_capacity(batch)));
        }
    }
    if !now.is_empty() {
        batches.push(now);
    }
    batches
}

fn series(table: &SeriesTable) -> Vec<SeriesId> {
    let mut ids = Vec::new();
    for source in ["mt4", "mt5", "ib"] {
        for instrument in 0..INSTRUMENTS {
            ids.extend(table.intern(source, &format!("I{instrument:03}")));
        }
    }
    ids
}
