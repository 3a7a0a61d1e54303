//! Depth: a snapshot of the order book of one instrument.

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::envelope::Envelope;
use crate::record::{Record, RecordError, ensure, ensure_name, ensure_range, ensure_size};

/// The most levels of one side.
pub const LEVELS_MAX: usize = 1_000;

/// One price of the book and how much stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The price.
    #[serde(with = "crate::exact")]
    pub price: Price,
    /// What is on offer there.
    #[serde(with = "crate::exact")]
    pub quantity: Quantity,
}

/// A snapshot of the book, best level first. A crossed book is not refused here: it happens, and
/// what it means is for the job to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// Source, sequence, time, trace, id.
    pub envelope: Envelope,
    /// What is traded.
    pub instrument: String,
    /// Falling prices, at most [`LEVELS_MAX`].
    #[serde(default)]
    pub bids: Vec<Level>,
    /// Rising prices, at most [`LEVELS_MAX`].
    #[serde(default)]
    pub asks: Vec<Level>,
}

fn check_side(
    levels: &[Level],
    field: &'static str,
    ordered: impl Fn(Price, Price) -> bool,
) -> Result<(), RecordError> {
    ensure(levels.len() <= LEVELS_MAX, field, "must have at most 1,000 levels")?;
    for level in levels {
        ensure_range(level.price.units(), field)?;
        ensure_size(level.quantity.units(), field)?;
    }
    let sorted = levels.windows(2).all(|pair| match pair {
        [better, worse] => ordered(better.price, worse.price),
        _ => true,
    });
    ensure(sorted, field, "must have its best level first and every price once")
}

impl Record for Depth {
    const NAME: &'static str = "Depth";

    fn check(&self) -> Result<(), RecordError> {
        self.envelope.check()?;
        ensure_name(&self.instrument, "instrument")?;
        check_side(&self.bids, "bids", |better, worse| better > worse)?;
        check_side(&self.asks, "asks", |better, worse| better < worse)
    }
}

#[cfg(test)]
mod tests {
    use super::{Depth, Level};
    use crate::decimal::{Price, Quantity};
    use crate::envelope::Envelope;
    use crate::event_time::EventTime;
    use crate::record::Record;

    #[test]
    fn levels_stand_in_order_and_have_no_negative_size() {
        let level = |price, quantity| Level {
            price: Price::from_units(price),
            quantity: Quantity::from_units(quantity),
        };
        let mut depth = Depth {
            envelope: Envelope::new("mt5", EventTime::from_ns(1)),
            instrument: "EURUSD".to_owned(),
            bids: vec![level(9, 1), level(8, 1)],
            asks: vec![level(10, 1), level(11, 0)],
        };
        depth.check().unwrap();
        for asks in [vec![level(11, 1), level(10, 1)], vec![level(10, 1); 2], vec![level(10, -1)]] {
            depth.asks = asks;
            assert_eq!(depth.check().unwrap_err().reason(), "invalid");
        }
    }
}
