//! A leader's signal, its names shared: it is told to every follower.

use std::sync::Arc;

use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::side::{Side, TradeAction};
use proto::traceparent::Traceparent;
use proto::trade_signal::TradeSignal;

/// As [`TradeSignal`], whose fields say what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of the trade signal")]
pub struct Signal {
    pub id: Arc<str>,
    pub source: Arc<str>,
    pub time: EventTime,
    pub traceparent: Option<Traceparent>,
    pub leader: Arc<str>,
    pub instrument: Arc<str>,
    pub position_id: Arc<str>,
    pub parent_id: Option<Arc<str>>,
    pub action: TradeAction,
    pub side: Side,
    pub lots: Quantity,
    pub lots_open: Quantity,
    pub price: Option<Price>,
    pub stop_loss: Option<Price>,
    pub take_profit: Option<Price>,
    pub equity: Option<Quantity>,
}

impl From<&TradeSignal> for Signal {
    /// A signal has been checked, so it has an id.
    fn from(signal: &TradeSignal) -> Self {
        Self {
            id: signal.envelope.message_id.as_deref().unwrap_or_default().into(),
            source: signal.envelope.source.as_str().into(),
            time: signal.envelope.time,
            traceparent: signal.envelope.traceparent,
            leader: signal.leader.as_str().into(),
            instrument: signal.instrument.as_str().into(),
            position_id: signal.position_id.as_str().into(),
            parent_id: signal.parent_id.as_deref().map(Arc::from),
            action: signal.action,
            side: signal.side,
            lots: signal.lots,
            lots_open: signal.lots_open,
            price: signal.price,
            stop_loss: signal.stop_loss,
            take_profit: signal.take_profit,
            equity: signal.equity,
        }
    }
}

/// Gives the other side.
pub const fn opposite(side: Side) -> Side {
    match side {
        Side::Buy => Side::Sell,
        Side::Sell => Side::Buy,
    }
}
