//! A trade event: an execution or a change of a position, as a venue's gateway reports it.

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::envelope::Envelope;
use crate::record::{Record, RecordError, ensure_name};
use crate::side::{Side, TradeAction, check_price, check_trade};

/// What happened to one position of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeEvent {
    /// Source, sequence, time, trace, id.
    pub envelope: Envelope,
    /// Whose account.
    pub account: String,
    /// What is traded.
    pub instrument: String,
    /// The venue's position.
    pub position_id: String,
    /// What happened.
    pub action: TradeAction,
    /// Side of the position, also when it is closed.
    pub side: Side,
    /// Lots that this event opened or closed; zero for modify.
    #[serde(with = "crate::exact")]
    pub lots: Quantity,
    /// Lots open after it.
    #[serde(with = "crate::exact")]
    pub lots_open: Quantity,
    /// Price of the execution; there for all but modify.
    #[serde(default, with = "crate::exact::maybe")]
    pub price: Option<Price>,
    /// Stop loss after the event.
    #[serde(default, with = "crate::exact::maybe")]
    pub stop_loss: Option<Price>,
    /// Take profit after the event.
    #[serde(default, with = "crate::exact::maybe")]
    pub take_profit: Option<Price>,
    /// The order that led to it, where it is known.
    #[serde(default)]
    pub client_order_id: Option<String>,
    /// The position that this one is what is left of: MT4 gives the remainder of a partial close
    /// a new ticket.
    #[serde(default)]
    pub parent_id: Option<String>,
}

impl Record for TradeEvent {
    const NAME: &'static str = "TradeEvent";

    fn check(&self) -> Result<(), RecordError> {
        self.envelope.check()?;
        ensure_name(&self.account, "account")?;
        ensure_name(&self.instrument, "instrument")?;
        ensure_name(&self.position_id, "position_id")?;
        for (id, field) in
            [(&self.client_order_id, "client_order_id"), (&self.parent_id, "parent_id")]
        {
            id.as_deref().map_or(Ok(()), |id| ensure_name(id, field))?;
        }
        check_trade(self.action, self.lots, self.lots_open, self.price)?;
        check_price(self.stop_loss, "stop_loss")?;
        check_price(self.take_profit, "take_profit")
    }
}
