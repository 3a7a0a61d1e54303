//! Layout of the records of copy trading in rows; see [`crate::row`].

use std::sync::Arc;

use crate::account::{Account, Holding};
use crate::decimal::{Price, Quantity};
use crate::decision::Decision;
use crate::event_time::EventTime;
use crate::follow::Follow;
use crate::keyed::Keyed;
use crate::order::{Order, OrderKind, OrderState};
use crate::row::{Column, ColumnType, Values};
use crate::side::{Side, TradeAction};
use crate::specification::Specification;
use crate::trade_signal::TradeSignal;

type Text = Option<Arc<str>>;
type Number = Option<i64>;

macro_rules! values {
    (Text, $rows:ident, $value:expr) => {{
        let value: fn(&_) -> Text = $value;
        Values::Text($rows.iter().map(|row| value(&row.record)).collect())
    }};
    ($other:tt, $rows:ident, $value:expr) => {{
        let value: fn(&_) -> Number = $value;
        Values::Numbers($rows.iter().map(|row| value(&row.record)).collect())
    }};
}

/// Writes down columns and their values side by side; `null` where a value may be absent.
macro_rules! layout {
    ($record:ty, $columns:ident, $values:ident:
        $($name:literal $kind:tt $nullable:literal $value:expr,)*) => {
        #[doc = concat!("The columns of a [`", stringify!($record), "`].")]
        pub const $columns: &[Column] = &[
            $(Column { name: $name, kind: ColumnType::$kind, nullable: $nullable },)*
        ];

        #[doc = concat!("Gives the values, in the order of [`", stringify!($columns), "`].")]
        pub fn $values(rows: &[Keyed<$record>]) -> Vec<Values> {
            vec![$(values!($kind, rows, $value),)*]
        }
    };
}

layout! { TradeSignal, SIGNAL_COLUMNS, signal_values:
    "time" Time false |row: &TradeSignal| time(row.envelope.time),
    "nanos" Nanos false |row: &TradeSignal| nanos(row.envelope.time),
    "signal_id" Text false |row: &TradeSignal| text(row.envelope.message_id.as_deref().unwrap_or_default()),
    "leader" Text false |row: &TradeSignal| text(&row.leader),
    "source" Text false |row: &TradeSignal| text(&row.envelope.source),
    "sequence" Integer true |row: &TradeSignal| row.envelope.sequence.map(u64::cast_signed),
    "instrument" Text false |row: &TradeSignal| text(&row.instrument),
    "position_id" Text false |row: &TradeSignal| text(&row.position_id),
    "parent_id" Text true |row: &TradeSignal| row.parent_id.as_deref().and_then(text),
    "action" Text false |row: &TradeSignal| text(action(row.action)),
    "side" Text false |row: &TradeSignal| text(side(row.side)),
    "lots" Quantity false |row: &TradeSignal| lots(row.lots),
    "lots_open" Quantity false |row: &TradeSignal| lots(row.lots_open),
    "price" Price true |row: &TradeSignal| price(row.price),
    "stop_loss" Price true |row: &TradeSignal| price(row.stop_loss),
    "take_profit" Price true |row: &TradeSignal| price(row.take_profit),
    "equity" Quantity true |row: &TradeSignal| row.equity.and_then(lots),
}

layout! { Follow, FOLLOW_COLUMNS, follow_values:
    "leader" Text false |row: &Follow| Some(row.leader.clone()),
    "follower" Text false |row: &Follow| Some(row.follower.clone()),
    "version" Integer false |row: &Follow| Some(row.version.cast_signed()),
    "time" Time false |row: &Follow| time(row.time),
    "settings" Text true |row: &Follow| settings(row),
}

layout! { Account, ACCOUNT_COLUMNS, account_values:
    "account" Text false |row: &Account| Some(row.account.clone()),
    "source" Text false |row: &Account| Some(row.source.clone()),
    "time" Time false |row: &Account| time(row.time),
    "currency" Text false |row: &Account| Some(row.currency.clone()),
    "equity" Quantity false |row: &Account| lots(row.equity),
    "balance" Quantity false |row: &Account| lots(row.balance),
    "free_margin" Quantity false |row: &Account| lots(row.free_margin),
    "day_equity" Quantity true |row: &Account| row.day_equity.and_then(lots),
    "leverage" Integer false |row: &Account| Some(row.leverage.into()),
    "holding" Text false |row: &Account| text(holding(row.holding)),
}

layout! { Specification, SPECIFICATION_COLUMNS, specification_values:
    "source" Text false |row: &Specification| Some(row.source.clone()),
    "instrument" Text false |row: &Specification| Some(row.instrument.clone()),
    "time" Time false |row: &Specification| time(row.time),
    "currency" Text false |row: &Specification| Some(row.currency.clone()),
    "contract_size" Quantity false |row: &Specification| lots(row.contract_size),
    "lot_step" Quantity false |row: &Specification| lots(row.lot_step),
    "lot_min" Quantity false |row: &Specification| lots(row.lot_min),
    "lot_max" Quantity false |row: &Specification| lots(row.lot_max),
    "digits" Integer false |row: &Specification| Some(row.digits.into()),
}

layout! { Decision, DECISION_COLUMNS, decision_values:
    "time" Time false |row: &Decision| time(row.time),
    "signal_id" Text false |row: &Decision| Some(row.signal_id.clone()),
    "leader" Text false |row: &Decision| Some(row.leader.clone()),
    "follower" Text false |row: &Decision| Some(row.follower.clone()),
    "clock" Time false |row: &Decision| time(row.clock),
    "reason" Text false |row: &Decision| text(row.reason.name()),
    "orders" Integer false |row: &Decision| Some(row.orders.into()),
    "client_order_id" Text true |row: &Decision| row.client_order_id.and_then(|id| text(id.as_str())),
    "side" Text true |row: &Decision| row.side.and_then(|own| text(side(own))),
    "lots" Quantity false |row: &Decision| lots(row.lots),
    "stop_loss" Price true |row: &Decision| price(row.stop_loss),
    "take_profit" Price true |row: &Decision| price(row.take_profit),
    "action" Text false |row: &Decision| text(action(row.action)),
    "leader_source" Text false |row: &Decision| Some(row.leader_source.clone()),
    "leader_instrument" Text false |row: &Decision| Some(row.leader_instrument.clone()),
    "position_id" Text false |row: &Decision| Some(row.position_id.clone()),
    "leader_side" Text false |row: &Decision| text(side(row.leader_side)),
    "leader_lots" Quantity false |row: &Decision| lots(row.leader_lots),
    "leader_lots_open" Quantity false |row: &Decision| lots(row.leader_lots_open),
    "leader_price" Price true |row: &Decision| price(row.leader_price),
    "version" Integer false |row: &Decision| Some(row.version.cast_signed()),
    "sizing" Text false |row: &Decision| text(row.sizing.name()),
    "amount" Quantity false |row: &Decision| lots(row.amount),
    "source" Text true |row: &Decision| row.source.clone(),
    "instrument" Text true |row: &Decision| row.instrument.clone(),
    "holding" Text true |row: &Decision| row.holding.and_then(|own| text(holding(own))),
    "leader_base" Quantity true |row: &Decision| row.leader_base.and_then(lots),
    "base" Quantity true |row: &Decision| row.base.and_then(lots),
    "rate_instrument" Text true |row: &Decision| row.rate_instrument.clone(),
    "rate" Price true |row: &Decision| price(row.rate),
    "leader_leverage" Integer true |row: &Decision| row.leader_leverage.map(Into::into),
    "leverage" Integer true |row: &Decision| row.leverage.map(Into::into),
    "leader_contract_size" Quantity true |row: &Decision| row.leader_contract_size.and_then(lots),
    "contract_size" Quantity true |row: &Decision| row.contract_size.and_then(lots),
    "percent" Integer true |row: &Decision| row.percent.map(u64::cast_signed),
    "lots_exact" Quantity true |row: &Decision| row.lots_exact.and_then(lots),
    "lot_step" Quantity true |row: &Decision| row.lot_step.and_then(lots),
    "lots_min" Quantity true |row: &Decision| row.lots_min.and_then(lots),
    "lots_max" Quantity true |row: &Decision| row.lots_max.and_then(lots),
    "equity" Quantity true |row: &Decision| row.equity.and_then(lots),
    "day_equity" Quantity true |row: &Decision| row.day_equity.and_then(lots),
    "free_margin" Quantity true |row: &Decision| row.free_margin.and_then(lots),
    "margin" Quantity true |row: &Decision| row.margin.and_then(lots),
    "bid" Price true |row: &Decision| price(row.bid),
    "ask" Price true |row: &Decision| price(row.ask),
    "trades" Integer false |row: &Decision| Some(row.trades.into()),
    "lots_before" Quantity false |row: &Decision| lots(row.lots_before),
}

layout! { Order, ORDER_COLUMNS, order_values:
    "client_order_id" Text false |row: &Order| text(&row.client_order_id),
    "time" Time false |row: &Order| time(row.envelope.time),
    "state" Text false |row: &Order| text(state(row.state)),
    "reason" Text true |row: &Order| row.reason.as_deref().and_then(text),
    "source" Text false |row: &Order| text(&row.envelope.source),
    "account" Text false |row: &Order| text(&row.account),
    "leader" Text true |row: &Order| row.leader.as_deref().and_then(text),
    "signal_id" Text true |row: &Order| row.signal_id.as_deref().and_then(text),
    "instrument" Text false |row: &Order| text(&row.instrument),
    "kind" Text false |row: &Order| text(kind(row.kind)),
    "side" Text false |row: &Order| text(side(row.side)),
    "lots" Quantity false |row: &Order| lots(row.lots),
    "lots_filled" Quantity false |row: &Order| lots(row.lots_filled),
    "limit_price" Price true |row: &Order| price(row.limit_price),
    "fill_price" Price true |row: &Order| price(row.fill_price),
    "stop_loss" Price true |row: &Order| price(row.stop_loss),
    "take_profit" Price true |row: &Order| price(row.take_profit),
    "venue_order_id" Text true |row: &Order| row.venue_order_id.as_deref().and_then(text),
    "position_id" Text true |row: &Order| row.position_id.as_deref().and_then(text),
    "opened_by" Text true |row: &Order| row.opened_by.as_deref().and_then(text),
}

fn text(text: &str) -> Text {
    Some(text.into())
}

const fn time(time: EventTime) -> Number {
    Some(time.ns())
}

const fn nanos(time: EventTime) -> Number {
    Some(time.ns().rem_euclid(1_000))
}

const fn lots(quantity: Quantity) -> Number {
    Some(quantity.units())
}

fn price(price: Option<Price>) -> Number {
    price.map(Price::units)
}

/// As JSON: what is not usual may be many things.
fn settings(row: &Follow) -> Text {
    let settings = row.settings.as_deref()?;
    serde_json::to_string(settings).ok().map(Into::into)
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

const fn action(action: TradeAction) -> &'static str {
    match action {
        TradeAction::Open => "open",
        TradeAction::PartialClose => "partial_close",
        TradeAction::Close => "close",
        TradeAction::Modify => "modify",
    }
}

const fn holding(holding: Holding) -> &'static str {
    match holding {
        Holding::Hedging => "hedging",
        Holding::Netting => "netting",
    }
}

const fn kind(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Market => "market",
        OrderKind::Limit => "limit",
        OrderKind::Stop => "stop",
        OrderKind::Modify => "modify",
    }
}

const fn state(state: OrderState) -> &'static str {
    match state {
        OrderState::New => "NEW",
        OrderState::Sent => "SENT",
        OrderState::Acked => "ACKED",
        OrderState::Filled => "FILLED",
        OrderState::Rejected => "REJECTED",
        OrderState::Unknown => "UNKNOWN",
    }
}
