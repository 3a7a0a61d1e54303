//! A specification: how an instrument is traded at a venue.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::event_time::EventTime;
use crate::record::{Record, RecordError, ensure, ensure_name, ensure_range};

/// The newest specification of one instrument at one venue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Specification {
    /// The venue: `mt4`, `mt5`, `ib`.
    pub source: Arc<str>,
    /// The instrument's name there.
    pub instrument: Arc<str>,
    /// When it came to be like that.
    #[serde(with = "crate::envelope::time")]
    pub time: EventTime,
    /// The currency of its price: `USD` of `EURUSD`.
    pub currency: Arc<str>,
    /// How much of what is traded makes one lot: 100000 of a currency.
    #[serde(with = "crate::exact")]
    pub contract_size: Quantity,
    /// Sizes are whole multiples of it.
    #[serde(with = "crate::exact")]
    pub lot_step: Quantity,
    /// The least size of an order, and of what an order may leave open.
    #[serde(with = "crate::exact")]
    pub lot_min: Quantity,
    /// The greatest size of an order.
    #[serde(with = "crate::exact")]
    pub lot_max: Quantity,
    /// Digits of its price after the point; a point is one of the last.
    pub digits: u8,
}

impl Specification {
    /// Gives the units of a [`Price`] that one point has.
    pub fn point(&self) -> i64 {
        10_i64.pow(Price::DIGITS.saturating_sub(u32::from(self.digits)))
    }
}

impl Record for Specification {
    const NAME: &'static str = "Specification";

    fn check(&self) -> Result<(), RecordError> {
        ensure_name(&self.source, "source")?;
        ensure_name(&self.instrument, "instrument")?;
        ensure_name(&self.currency, "currency")?;
        for (size, field) in [
            (self.contract_size, "contract_size"),
            (self.lot_step, "lot_step"),
            (self.lot_min, "lot_min"),
            (self.lot_max, "lot_max"),
        ] {
            ensure_range(size.units(), field)?;
            ensure(size > Quantity::ZERO, field, "must be positive")?;
        }
        ensure(self.lot_min <= self.lot_max, "lot_max", "must not be less than lot_min")?;
        ensure(u32::from(self.digits) <= Price::DIGITS, "digits", "must be at most 9")
    }
}
