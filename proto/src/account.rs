//! An account: what it is worth, as its venue says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decimal::Quantity;
use crate::event_time::EventTime;
use crate::record::{Record, RecordError, ensure, ensure_name, ensure_range};

/// What a venue makes of two trades in one instrument.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// Two positions, closed one by one.
    #[default]
    Hedging,
    /// One position; a trade the other way closes.
    Netting,
}

/// The newest state of one account. Leaders and followers are accounts; amounts are in the
/// account's currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// Its name, which leaders and followers go by.
    pub account: Arc<str>,
    /// The venue that it is with: `mt4`, `mt5`, `ib`.
    pub source: Arc<str>,
    /// When it was like that.
    #[serde(with = "crate::envelope::time")]
    pub time: EventTime,
    /// Its currency: `EUR`.
    pub currency: Arc<str>,
    /// Balance and what open positions have won or lost.
    #[serde(with = "crate::exact")]
    pub equity: Quantity,
    /// What closed positions have left.
    #[serde(with = "crate::exact")]
    pub balance: Quantity,
    /// Equity that is not bound by open positions.
    #[serde(with = "crate::exact")]
    pub free_margin: Quantity,
    /// Equity when the venue's day began, where the venue tells it (`EquityPrevDay` in MetaTrader).
    #[serde(default, with = "crate::exact::maybe")]
    pub day_equity: Option<Quantity>,
    /// 100 stands for 1:100.
    pub leverage: u32,
    /// What becomes of two trades in one instrument.
    #[serde(default)]
    pub holding: Holding,
}

impl Record for Account {
    const NAME: &'static str = "Account";

    fn check(&self) -> Result<(), RecordError> {
        ensure_name(&self.account, "account")?;
        ensure_name(&self.source, "source")?;
        ensure_name(&self.currency, "currency")?;
        for (amount, field) in [
            (self.equity, "equity"),
            (self.balance, "balance"),
            (self.free_margin, "free_margin"),
            (self.day_equity.unwrap_or_default(), "day_equity"),
        ] {
            ensure_range(amount.units(), field)?;
        }
        ensure(self.leverage > 0, "leverage", "must be positive")
    }
}
