//! One record of each kind, with every field filled: the goldens and the Python test know them.

use proto::candle::{Basis, Candle, Ohlc, Reason};
use proto::candle_message::CandleMessage;
use proto::chat_message::{ChatAction, ChatMessage, Room};
use proto::decimal::{Price, Quantity};
use proto::depth::{Depth, Level};
use proto::envelope::Envelope;
use proto::event_time::EventTime;
use proto::order::{Order, OrderKind, OrderState};
use proto::series::SeriesId;
use proto::side::{Side, TradeAction};
use proto::tick_message::TickMessage;
use proto::timeframe::Timeframe;
use proto::trade_event::TradeEvent;
use proto::trade_signal::TradeSignal;

const TIME_NS: i64 = 1_536_935_412_123_456_789;

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn envelope(source: &str) -> Envelope {
    Envelope {
        source: text(source),
        sequence: Some(42),
        time: EventTime::from_ns(TIME_NS),
        traceparent: Some(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap(),
        ),
        message_id: Some(text("m-1")),
    }
}

pub(crate) fn tick() -> TickMessage {
    TickMessage {
        envelope: envelope("ib"),
        instrument: text("EURUSD"),
        bid: Some(price("1.1734")),
        ask: Some(price("1.1736")),
        last: Some(price("-0.000000001")),
        volume: Some(quantity("0")),
    }
}

pub(crate) fn depth() -> Depth {
    let level = |at: &str, size: &str| Level { price: price(at), quantity: quantity(size) };
    Depth {
        envelope: envelope("mt5"),
        instrument: text("EURUSD"),
        bids: vec![level("1.1734", "1.5"), level("1.1733", "20")],
        asks: vec![level("1.1736", "0.00000001")],
    }
}

pub(crate) fn candle() -> CandleMessage {
    let ohlc = |open, high, low, close| Ohlc {
        open: price(open),
        high: price(high),
        low: price(low),
        close: price(close),
    };
    let start_ns = 1_536_935_400_000_000_000;
    CandleMessage {
        source: text("mt4"),
        instrument: text("EURUSD"),
        candle: Candle {
            series: SeriesId::default(),
            timeframe: Timeframe::from_seconds(60).unwrap(),
            start: EventTime::from_ns(start_ns),
            end: EventTime::from_ns(start_ns + 60_000_000_000),
            trading_date: 17_788,
            price: ohlc("1.1734", "1.174", "1.17", "1.1736"),
            ask: ohlc("1.1735", "1.1741", "1.1701", "1.1737"),
            volume: quantity("42100"),
            ticks: 300,
            first_time: EventTime::from_ns(start_ns + 1),
            last_time: EventTime::from_ns(start_ns + 59_999_999_999),
            first_sequence: 5,
            last_sequence: u64::MAX,
            revision: 2,
            flags: Candle::HAS_VOLUME | Candle::HAS_ASK | Candle::PARTIAL_START | Candle::GAP,
            basis: Basis::Bid,
            reason: Reason::Late,
        },
        traceparent: None,
    }
}

pub(crate) fn trade_event() -> TradeEvent {
    TradeEvent {
        envelope: envelope("mt4"),
        account: text("acc-1"),
        instrument: text("EURUSD"),
        position_id: text("900719"),
        action: TradeAction::PartialClose,
        side: Side::Sell,
        lots: quantity("0.5"),
        lots_open: quantity("1.25"),
        price: Some(price("1.1736")),
        stop_loss: Some(price("1.19")),
        take_profit: None,
        client_order_id: Some(text("k7x2")),
        parent_id: None,
    }
}

pub(crate) fn trade_signal() -> TradeSignal {
    TradeSignal {
        envelope: envelope("mt5"),
        leader: text("anna"),
        instrument: text("EURUSD"),
        position_id: text("77"),
        action: TradeAction::Open,
        side: Side::Buy,
        lots: quantity("2.5"),
        lots_open: quantity("2.5"),
        price: Some(price("1.1736")),
        stop_loss: None,
        take_profit: Some(price("1.2")),
        equity: Some(quantity("2000")),
        parent_id: None,
    }
}

pub(crate) fn order() -> Order {
    Order {
        envelope: envelope("copy"),
        client_order_id: text("abcdefgh234567abcdef"),
        venue_order_id: Some(text("v-9")),
        account: text("bert"),
        instrument: text("EURUSD"),
        kind: OrderKind::Limit,
        side: Side::Buy,
        lots: quantity("6.25"),
        lots_filled: quantity("1"),
        limit_price: Some(price("1.1736")),
        fill_price: Some(price("1.17355")),
        stop_loss: Some(price("1.1")),
        take_profit: Some(price("1.2")),
        state: OrderState::Rejected,
        reason: Some(text("margin")),
        signal_id: Some(text("m-1")),
        position_id: Some(text("77")),
        opened_by: None,
    }
}

pub(crate) fn chat_message() -> ChatMessage {
    ChatMessage {
        envelope: envelope("chat"),
        uuid: "123e4567-e89b-12d3-a456-426614174000".parse().unwrap(),
        room: Room::between("bert", "anna"),
        sender: text("anna"),
        action: ChatAction::Post,
        text: text("grüß dich\n📈"),
        room_sequence: Some(1),
        reply_to: Some("00000000-0000-4000-8000-00000000000a".parse().unwrap()),
        target: None,
    }
}
