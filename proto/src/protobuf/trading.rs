//! Trade event, trade signal and order on the wire.

use crate::decimal::{Price, Quantity};
use crate::order::{Order, OrderKind, OrderState};
use crate::protobuf::{Wire, meta, some};
use crate::record::RecordError;
use crate::side::{Side, TradeAction};
use crate::trade_event::TradeEvent;
use crate::trade_signal::TradeSignal;
use crate::wire;

fn side_from_wire(number: i32) -> Result<Side, RecordError> {
    match wire::Side::try_from(number) {
        Ok(wire::Side::Buy) => Ok(Side::Buy),
        Ok(wire::Side::Sell) => Ok(Side::Sell),
        Ok(wire::Side::Unspecified) | Err(_) => {
            Err(RecordError::UnknownValue { field: "side", number })
        }
    }
}

fn action_from_wire(number: i32) -> Result<TradeAction, RecordError> {
    match wire::TradeAction::try_from(number) {
        Ok(wire::TradeAction::Open) => Ok(TradeAction::Open),
        Ok(wire::TradeAction::PartialClose) => Ok(TradeAction::PartialClose),
        Ok(wire::TradeAction::Close) => Ok(TradeAction::Close),
        Ok(wire::TradeAction::Modify) => Ok(TradeAction::Modify),
        Ok(wire::TradeAction::Unspecified) | Err(_) => {
            Err(RecordError::UnknownValue { field: "action", number })
        }
    }
}

fn kind_from_wire(number: i32) -> Result<OrderKind, RecordError> {
    match wire::OrderKind::try_from(number) {
        Ok(wire::OrderKind::Market) => Ok(OrderKind::Market),
        Ok(wire::OrderKind::Limit) => Ok(OrderKind::Limit),
        Ok(wire::OrderKind::Stop) => Ok(OrderKind::Stop),
        Ok(wire::OrderKind::Modify) => Ok(OrderKind::Modify),
        Ok(wire::OrderKind::Unspecified) | Err(_) => {
            Err(RecordError::UnknownValue { field: "kind", number })
        }
    }
}

fn state_from_wire(number: i32) -> Result<OrderState, RecordError> {
    match wire::OrderState::try_from(number) {
        Ok(wire::OrderState::New) => Ok(OrderState::New),
        Ok(wire::OrderState::Sent) => Ok(OrderState::Sent),
        Ok(wire::OrderState::Acked) => Ok(OrderState::Acked),
        Ok(wire::OrderState::Filled) => Ok(OrderState::Filled),
        Ok(wire::OrderState::Rejected) => Ok(OrderState::Rejected),
        Ok(wire::OrderState::Unknown) => Ok(OrderState::Unknown),
        Ok(wire::OrderState::Unspecified) | Err(_) => {
            Err(RecordError::UnknownValue { field: "state", number })
        }
    }
}

const fn side_to_wire(side: Side) -> wire::Side {
    match side {
        Side::Buy => wire::Side::Buy,
        Side::Sell => wire::Side::Sell,
    }
}

const fn action_to_wire(action: TradeAction) -> wire::TradeAction {
    match action {
        TradeAction::Open => wire::TradeAction::Open,
        TradeAction::PartialClose => wire::TradeAction::PartialClose,
        TradeAction::Close => wire::TradeAction::Close,
        TradeAction::Modify => wire::TradeAction::Modify,
    }
}

const fn kind_to_wire(kind: OrderKind) -> wire::OrderKind {
    match kind {
        OrderKind::Market => wire::OrderKind::Market,
        OrderKind::Limit => wire::OrderKind::Limit,
        OrderKind::Stop => wire::OrderKind::Stop,
        OrderKind::Modify => wire::OrderKind::Modify,
    }
}

const fn state_to_wire(state: OrderState) -> wire::OrderState {
    match state {
        OrderState::New => wire::OrderState::New,
        OrderState::Sent => wire::OrderState::Sent,
        OrderState::Acked => wire::OrderState::Acked,
        OrderState::Filled => wire::OrderState::Filled,
        OrderState::Rejected => wire::OrderState::Rejected,
        OrderState::Unknown => wire::OrderState::Unknown,
    }
}

impl Wire for TradeEvent {
    type Message = wire::TradeEvent;

    fn to_wire(&self) -> wire::TradeEvent {
        wire::TradeEvent {
            meta: meta::to_wire(&self.envelope),
            account: self.account.clone(),
            instrument: self.instrument.clone(),
            position_id: self.position_id.clone(),
            action: action_to_wire(self.action) as i32,
            side: side_to_wire(self.side) as i32,
            lots: self.lots.units(),
            lots_open: self.lots_open.units(),
            price: self.price.map(Price::units),
            stop_loss: self.stop_loss.map(Price::units),
            take_profit: self.take_profit.map(Price::units),
            client_order_id: self.client_order_id.clone().unwrap_or_default(),
            parent_id: self.parent_id.clone().unwrap_or_default(),
        }
    }

    fn from_wire(message: wire::TradeEvent) -> Result<Self, RecordError> {
        Ok(Self {
            envelope: meta::from_wire(message.meta)?,
            account: message.account,
            instrument: message.instrument,
            position_id: message.position_id,
            action: action_from_wire(message.action)?,
            side: side_from_wire(message.side)?,
            lots: Quantity::from_units(message.lots),
            lots_open: Quantity::from_units(message.lots_open),
            price: message.price.map(Price::from_units),
            stop_loss: message.stop_loss.map(Price::from_units),
            take_profit: message.take_profit.map(Price::from_units),
            client_order_id: some(message.client_order_id),
            parent_id: some(message.parent_id),
        })
    }
}

impl Wire for TradeSignal {
    type Message = wire::TradeSignal;

    fn to_wire(&self) -> wire::TradeSignal {
        wire::TradeSignal {
            meta: meta::to_wire(&self.envelope),
            leader: self.leader.clone(),
            instrument: self.instrument.clone(),
            position_id: self.position_id.clone(),
            action: action_to_wire(self.action) as i32,
            side: side_to_wire(self.side) as i32,
            lots: self.lots.units(),
            lots_open: self.lots_open.units(),
            price: self.price.map(Price::units),
            stop_loss: self.stop_loss.map(Price::units),
            take_profit: self.take_profit.map(Price::units),
            equity: self.equity.map(Quantity::units),
            parent_id: self.parent_id.clone().unwrap_or_default(),
        }
    }

    fn from_wire(message: wire::TradeSignal) -> Result<Self, RecordError> {
        Ok(Self {
            envelope: meta::from_wire(message.meta)?,
            leader: message.leader,
            instrument: message.instrument,
            position_id: message.position_id,
            action: action_from_wire(message.action)?,
            side: side_from_wire(message.side)?,
            lots: Quantity::from_units(message.lots),
            lots_open: Quantity::from_units(message.lots_open),
            price: message.price.map(Price::from_units),
            stop_loss: message.stop_loss.map(Price::from_units),
            take_profit: message.take_profit.map(Price::from_units),
            equity: message.equity.map(Quantity::from_units),
            parent_id: some(message.parent_id),
        })
    }
}

impl Wire for Order {
    type Message = wire::Order;

    fn to_wire(&self) -> wire::Order {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        wire::Order {
            meta: meta::to_wire(&self.envelope),
            client_order_id: self.client_order_id.clone(),
            venue_order_id: text(&self.venue_order_id),
            account: self.account.clone(),
            instrument: self.instrument.clone(),
            kind: kind_to_wire(self.kind) as i32,
            side: side_to_wire(self.side) as i32,
            lots: self.lots.units(),
            lots_filled: self.lots_filled.units(),
            limit_price: self.limit_price.map(Price::units),
            fill_price: self.fill_price.map(Price::units),
            stop_loss: self.stop_loss.map(Price::units),
            take_profit: self.take_profit.map(Price::units),
            state: state_to_wire(self.state) as i32,
            reason: text(&self.reason),
            signal_id: text(&self.signal_id),
            position_id: text(&self.position_id),
            opened_by: text(&self.opened_by),
        }
    }

    fn from_wire(message: wire::Order) -> Result<Self, RecordError> {
        Ok(Self {
            envelope: meta::from_wire(message.meta)?,
            client_order_id: message.client_order_id,
            venue_order_id: some(message.venue_order_id),
            account: message.account,
            instrument: message.instrument,
            kind: kind_from_wire(message.kind)?,
            side: side_from_wire(message.side)?,
            lots: Quantity::from_units(message.lots),
            lots_filled: Quantity::from_units(message.lots_filled),
            limit_price: message.limit_price.map(Price::from_units),
            fill_price: message.fill_price.map(Price::from_units),
            stop_loss: message.stop_loss.map(Price::from_units),
            take_profit: message.take_profit.map(Price::from_units),
            state: state_from_wire(message.state)?,
            reason: some(message.reason),
            signal_id: some(message.signal_id),
            position_id: some(message.position_id),
            opened_by: some(message.opened_by),
        })
    }
}
