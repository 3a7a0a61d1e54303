//! Words that trades, signals and orders share: the side of a position and what happened to it.

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::record::{RecordError, ensure, ensure_range, ensure_size};

/// Which way a position or an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Long.
    Buy,
    /// Short.
    Sell,
}

/// What happened to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradeAction {
    /// Lots were opened.
    Open,
    /// Lots were closed and some stay open.
    PartialClose,
    /// Lots were closed and none stays open.
    Close,
    /// Stop loss and take profit are now those given; an absent one is removed.
    Modify,
}

/// What a trade event and a trade signal must both obey: lots fit the action, and an execution
/// has its price.
pub(crate) fn check_trade(
    action: TradeAction,
    lots: Quantity,
    lots_open: Quantity,
    price: Option<Price>,
) -> Result<(), RecordError> {
    ensure_size(lots.units(), "lots")?;
    ensure_size(lots_open.units(), "lots_open")?;
    let moved = lots > Quantity::ZERO;
    let open = lots_open > Quantity::ZERO;
    match action {
        TradeAction::Open => {
            ensure(moved, "lots", "must be positive for open")?;
            ensure(lots_open >= lots, "lots_open", "must not be less than the lots opened")?;
        }
        TradeAction::PartialClose => {
            ensure(moved, "lots", "must be positive for partial_close")?;
            ensure(open, "lots_open", "must be positive for partial_close")?;
        }
        TradeAction::Close => {
            ensure(moved, "lots", "must be positive for close")?;
            ensure(!open, "lots_open", "must be zero for close")?;
        }
        TradeAction::Modify => {
            ensure(!moved, "lots", "must be zero for modify")?;
            ensure(open, "lots_open", "must be positive for modify")?;
        }
    }
    if price.is_none() && action != TradeAction::Modify {
        return Err(RecordError::Missing("price"));
    }
    check_price(price, "price")
}

/// Checks an optional price: in range and not zero.
pub(crate) fn check_price(price: Option<Price>, field: &'static str) -> Result<(), RecordError> {
    let Some(price) = price else { return Ok(()) };
    ensure_range(price.units(), field)?;
    ensure(price != Price::ZERO, field, "must not be zero; leave it out for none")
}
