//! A trade signal: what a leader did, for followers to copy.

use serde::{Deserialize, Serialize};

use crate::decimal::{Price, Quantity};
use crate::envelope::Envelope;
use crate::record::{Record, RecordError, ensure_name, ensure_size};
use crate::side::{Side, TradeAction, check_price, check_trade};

/// A leader's trade. Its identity is the envelope's message id, which must be there: followers'
/// orders are derived from it, so that a signal delivered twice is copied once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeSignal {
    /// Source, sequence, time, trace, and the signal's id.
    pub envelope: Envelope,
    /// Who traded.
    pub leader: String,
    /// What is traded.
    pub instrument: String,
    /// The leader's position.
    pub position_id: String,
    /// What the leader did.
    pub action: TradeAction,
    /// Side of the position, also when it is closed.
    pub side: Side,
    /// Lots that this signal opened or closed; zero for modify.
    #[serde(with = "crate::exact")]
    pub lots: Quantity,
    /// Lots that the leader has open after it.
    #[serde(with = "crate::exact")]
    pub lots_open: Quantity,
    /// Price of the leader's execution; there for all but modify.
    #[serde(default, with = "crate::exact::maybe")]
    pub price: Option<Price>,
    /// Stop loss after the signal.
    #[serde(default, with = "crate::exact::maybe")]
    pub stop_loss: Option<Price>,
    /// Take profit after the signal.
    #[serde(default, with = "crate::exact::maybe")]
    pub take_profit: Option<Price>,
    /// The leader's equity after the trade, in the account's currency, for sizing by equity.
    #[serde(default, with = "crate::exact::maybe")]
    pub equity: Option<Quantity>,
    /// The position that this one is what is left of: MT4 gives the remainder of a partial close
    /// a new ticket.
    #[serde(default)]
    pub parent_id: Option<String>,
}

impl TradeSignal {
    /// Lots that the leader had open before a close: `lots / lots_before` is the fraction closed.
    /// `None` when it opened or changed nothing, or when eighteen digits do not hold the sum.
    pub fn lots_before_close(&self) -> Option<Quantity> {
        match self.action {
            TradeAction::PartialClose | TradeAction::Close => self.lots.checked_add(self.lots_open),
            TradeAction::Open | TradeAction::Modify => None,
        }
    }
}

impl Record for TradeSignal {
    const NAME: &'static str = "TradeSignal";

    fn check(&self) -> Result<(), RecordError> {
        self.envelope.check()?;
        if self.envelope.message_id.is_none() {
            return Err(RecordError::Missing("message_id"));
        }
        ensure_name(&self.leader, "leader")?;
        ensure_name(&self.instrument, "instrument")?;
        ensure_name(&self.position_id, "position_id")?;
        self.parent_id.as_deref().map_or(Ok(()), |id| ensure_name(id, "parent_id"))?;
        check_trade(self.action, self.lots, self.lots_open, self.price)?;
        check_price(self.stop_loss, "stop_loss")?;
        check_price(self.take_profit, "take_profit")?;
        ensure_size(self.equity.unwrap_or_default().units(), "equity")
    }
}

#[cfg(test)]
mod tests {
    use super::TradeSignal;
    use crate::decimal::Quantity;
    use crate::envelope::Envelope;
    use crate::event_time::EventTime;
    use crate::record::Record;
    use crate::side::{Side, TradeAction};

    fn signal(action: TradeAction, lots: i64, lots_open: i64) -> TradeSignal {
        let mut envelope = Envelope::new("mt5", EventTime::from_ns(1));
        envelope.message_id = Some("s-1".to_owned());
        TradeSignal {
            envelope,
            leader: "anna".to_owned(),
            instrument: "EURUSD".to_owned(),
            position_id: "77".to_owned(),
            action,
            side: Side::Buy,
            lots: Quantity::from_units(lots),
            lots_open: Quantity::from_units(lots_open),
            price: Some("1.1".parse().unwrap()),
            stop_loss: None,
            take_profit: None,
            equity: None,
            parent_id: None,
        }
    }

    #[test]
    fn lots_fit_the_action() {
        for (action, lots, lots_open, good) in [
            (TradeAction::Open, 3, 3, true),
            (TradeAction::Open, 3, 5, true),
            (TradeAction::Open, 0, 0, false),
            (TradeAction::Open, 3, 2, false),
            (TradeAction::PartialClose, 1, 2, true),
            (TradeAction::PartialClose, 1, 0, false),
            (TradeAction::Close, 2, 0, true),
            (TradeAction::Close, 2, 1, false),
            (TradeAction::Modify, 0, 2, true),
            (TradeAction::Modify, 1, 2, false),
            (TradeAction::Close, -2, 0, false),
        ] {
            let checked = signal(action, lots, lots_open).check();
            assert_eq!(checked.is_ok(), good, "{action:?} {lots} {lots_open}: {checked:?}");
        }
    }

    #[test]
    fn a_partial_close_tells_what_was_open_before() {
        let before = |action, lots, open| signal(action, lots, open).lots_before_close();
        assert_eq!(before(TradeAction::PartialClose, 1, 2), Some(Quantity::from_units(3)));
        assert_eq!(before(TradeAction::Open, 1, 2), None);
    }

    #[test]
    fn a_signal_without_identity_is_refused() {
        let mut signal = signal(TradeAction::Open, 1, 1);
        signal.envelope.message_id = None;
        assert_eq!(signal.check().unwrap_err().reason(), "missing_field");
    }
}
