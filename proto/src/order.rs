//! An order and how far it has come.
//!
//! ```text
//! new -> sent -> acked -> filled
//!          |  \    |  \-> rejected
//!          |   \---|----> filled, rejected
//!          \-> unknown -> acked, filled, rejected   (by a query only, never by sending again)
//! ```

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::envelope::{Envelope, check_message_id};
use crate::record::{Record, RecordError, ensure, ensure_name, ensure_size};
use crate::side::{Side, check_price};

/// How an order is to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// At once, at the market's price.
    Market,
    /// At `limit_price` or better.
    Limit,
    /// At the market's price once it reaches `limit_price`.
    Stop,
    /// No trade: stop loss and take profit of a position are now those given, an absent one is
    /// removed. Its lots are zero, and it is `FILLED` when it is done.
    Modify,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderState {
    /// Decided, not sent.
    New,
    /// On its way; no answer yet.
    Sent,
    /// The venue has it.
    Acked,
    /// Done in full.
    Filled,
    /// Never will be done.
    Rejected,
    /// The answer was lost; only a query by client order id resolves it.
    Unknown,
}

impl OrderState {
    /// Tells whether an order in this state may come to be in `next`.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::New => matches!(next, Self::Sent | Self::Rejected),
            Self::Sent => {
                matches!(next, Self::Acked | Self::Filled | Self::Rejected | Self::Unknown)
            }
            Self::Acked => matches!(next, Self::Filled | Self::Rejected | Self::Unknown),
            Self::Unknown => matches!(next, Self::Acked | Self::Filled | Self::Rejected),
            Self::Filled | Self::Rejected => false,
        }
    }

    /// Tells whether nothing more can happen to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Rejected)
    }
}

/// One order, identified by its client order id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Source, sequence, time of this state, trace, id.
    pub envelope: Envelope,
    /// Ours, deterministic: the same decision gives the same id.
    pub client_order_id: String,
    /// The venue's, once it has answered.
    #[serde(default)]
    pub venue_order_id: Option<String>,
    /// Whose account.
    pub account: String,
    /// What is traded.
    pub instrument: String,
    /// How it is to be executed.
    pub kind: OrderKind,
    /// Which way.
    pub side: Side,
    /// How much is ordered.
    #[serde(with = "crate::exact")]
    pub lots: Quantity,
    /// How much of it is done.
    #[serde(with = "crate::exact")]
    pub lots_filled: Quantity,
    /// For limit and stop orders.
    #[serde(default, with = "crate::exact::maybe")]
    pub limit_price: Option<Price>,
    /// Average price of what is done.
    #[serde(default, with = "crate::exact::maybe")]
    pub fill_price: Option<Price>,
    /// Stop loss of the position that it opens.
    #[serde(default, with = "crate::exact::maybe")]
    pub stop_loss: Option<Price>,
    /// Take profit of the position that it opens.
    #[serde(default, with = "crate::exact::maybe")]
    pub take_profit: Option<Price>,
    /// How far it has come.
    pub state: OrderState,
    /// A short word, there when it was rejected.
    #[serde(default)]
    pub reason: Option<String>,
    /// The signal that it copies.
    #[serde(default)]
    pub signal_id: Option<String>,
    /// The position that it closes or changes, where its name at the venue is known.
    #[serde(default)]
    pub position_id: Option<String>,
    /// The client order id of the order that opened what it closes or changes: known before the
    /// venue has given the position a name. On a netting account the venue has one position for
    /// several of them.
    #[serde(default)]
    pub opened_by: Option<String>,
}

impl Order {
    fn check_numbers(&self) -> Result<(), RecordError> {
        ensure_size(self.lots.units(), "lots")?;
        let is_modify = self.kind == OrderKind::Modify;
        let fits = is_modify == (self.lots == Quantity::ZERO);
        ensure(fits, "lots", "must be positive, and zero for modify")?;
        ensure_size(self.lots_filled.units(), "lots_filled")?;
        ensure(self.lots_filled <= self.lots, "lots_filled", "must not exceed the lots ordered")?;
        for (price, field) in [
            (self.limit_price, "limit_price"),
            (self.fill_price, "fill_price"),
            (self.stop_loss, "stop_loss"),
            (self.take_profit, "take_profit"),
        ] {
            check_price(price, field)?;
        }
        Ok(())
    }

    fn check_state(&self) -> Result<(), RecordError> {
        let market = matches!(self.kind, OrderKind::Market | OrderKind::Modify);
        if !market && self.limit_price.is_none() {
            return Err(RecordError::Missing("limit_price"));
        }
        let at_market = !(market && self.limit_price.is_some());
        ensure(at_market, "limit_price", "must be absent unless the order is limit or stop")?;
        let filled = self.lots_filled > Quantity::ZERO;
        if filled && self.fill_price.is_none() {
            return Err(RecordError::Missing("fill_price"));
        }
        let whole = self.lots_filled == self.lots;
        ensure(
            self.state != OrderState::Filled || whole,
            "lots_filled",
            "must equal the lots ordered when FILLED",
        )?;
        let unsent = matches!(self.state, OrderState::New | OrderState::Sent);
        ensure(!(unsent && filled), "lots_filled", "must be zero while NEW or SENT")?;
        if self.state == OrderState::Rejected && self.reason.is_none() {
            return Err(RecordError::Missing("reason"));
        }
        let told = self.state == OrderState::Rejected || self.reason.is_none();
        ensure(told, "reason", "must be absent unless REJECTED")
    }
}

impl Record for Order {
    const NAME: &'static str = "Order";

    fn check(&self) -> Result<(), RecordError> {
        self.envelope.check()?;
        ensure_name(&self.client_order_id, "client_order_id")?;
        ensure_name(&self.account, "account")?;
        ensure_name(&self.instrument, "instrument")?;
        for (name, field) in [
            (&self.venue_order_id, "venue_order_id"),
            (&self.reason, "reason"),
            (&self.position_id, "position_id"),
            (&self.opened_by, "opened_by"),
        ] {
            name.as_deref().map_or(Ok(()), |name| ensure_name(name, field))?;
        }
        self.signal_id.as_deref().map_or(Ok(()), check_message_id)?;
        self.check_numbers()?;
        self.check_state()
    }
}

#[cfg(test)]
mod tests {
    use super::OrderState;

    #[test]
    fn an_order_of_unknown_fate_is_never_sent_again() {
        assert!(!OrderState::Unknown.may_become(OrderState::Sent));
        assert!(!OrderState::Unknown.may_become(OrderState::New));
        assert!(OrderState::Unknown.may_become(OrderState::Filled));
    }

    #[test]
    fn what_is_final_stays() {
        use OrderState::{Acked, Filled, New, Rejected, Sent, Unknown};
        for state in [New, Sent, Acked, Filled, Rejected, Unknown] {
            assert!(!state.may_become(state) && !state.may_become(New));
            for last in [Filled, Rejected] {
                assert!(last.is_final() && !last.may_become(state));
            }
        }
    }
}
