//! Any record that its type allows.

use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

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
use proto::traceparent::Traceparent;
use proto::trade_event::TradeEvent;
use proto::trade_signal::TradeSignal;
use proto::uuid::Uuid;

fn name() -> impl Strategy<Value = String> {
    "[A-Za-zé日][A-Za-z0-9._:=@&^()~, -]{0,20}[A-Za-z0-9]"
}

fn user() -> impl Strategy<Value = String> {
    "[A-Za-z][A-Za-z0-9.@-]{0,20}"
}

fn message_id() -> impl Strategy<Value = String> {
    "[!-~]{1,128}"
}

fn some_price() -> impl Strategy<Value = Price> {
    let max = Price::MAX.units();
    prop_oneof![1..=max, -max..0, 1_000_000_000..2_000_000_000_i64].prop_map(Price::from_units)
}

fn price() -> impl Strategy<Value = Price> {
    prop_oneof![some_price(), Just(Price::ZERO)]
}

/// Half of the range at most, so that two of them add up to a quantity.
fn quantity() -> impl Strategy<Value = Quantity> {
    let half = Quantity::MAX.units() / 2;
    prop_oneof![1..=half, 1..=100 * Quantity::SCALE].prop_map(Quantity::from_units)
}

fn size() -> impl Strategy<Value = Quantity> {
    prop_oneof![quantity(), Just(Quantity::ZERO), Just(Quantity::MAX)]
}

fn time() -> impl Strategy<Value = EventTime> {
    any::<i64>().prop_map(EventTime::from_ns)
}

fn trace() -> impl Strategy<Value = Traceparent> {
    (1_u128.., 1_u64.., any::<u8>())
        .prop_map(|(trace, parent, flags)| Traceparent::new(trace, parent, flags).unwrap())
}

pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    (name(), any::<Option<u64>>(), time(), option::of(trace()), option::of(message_id())).prop_map(
        |(source, sequence, time, traceparent, message_id)| Envelope {
            source,
            sequence,
            time,
            traceparent,
            message_id,
        },
    )
}

pub(crate) fn tick() -> impl Strategy<Value = TickMessage> {
    let prices = (option::of(some_price()), option::of(some_price()), option::of(some_price()))
        .prop_filter("a tick has a price", |prices| *prices != (None, None, None));
    (envelope(), name(), prices, option::of(size())).prop_map(
        |(envelope, instrument, (bid, ask, last), volume)| TickMessage {
            envelope,
            instrument,
            bid,
            ask,
            last,
            volume,
        },
    )
}

pub(crate) fn depth() -> impl Strategy<Value = Depth> {
    let side = || prop::collection::btree_map(price(), size(), 0..20);
    (envelope(), name(), side(), side()).prop_map(|(envelope, instrument, bids, asks)| {
        let level = |(price, quantity)| Level { price, quantity };
        Depth {
            envelope,
            instrument,
            bids: bids.into_iter().rev().map(level).collect(),
            asks: asks.into_iter().map(level).collect(),
        }
    })
}

fn ohlc() -> impl Strategy<Value = Ohlc> {
    [price(), price(), price(), price()].prop_map(|prices| {
        let mut sorted = prices;
        sorted.sort();
        Ohlc { open: prices[0], high: sorted[3], low: sorted[0], close: prices[1] }
    })
}

pub(crate) fn candle() -> impl Strategy<Value = CandleMessage> {
    let times = [time(), time(), time(), time()]
        .prop_filter("a window has a length", |times| times[0] < times[1]);
    let window = (prop_oneof![1..=86_400_u32, Just(604_800)], any::<i32>(), times);
    let basis =
        prop_oneof![Just(Basis::Bid), Just(Basis::Ask), Just(Basis::Mid), Just(Basis::Last)];
    let reason = prop_oneof![
        Just(Reason::Closed),
        Just(Reason::Late),
        Just(Reason::Backfill),
        Just(Reason::Open)
    ];
    let numbers = (any::<[u64; 3]>(), any::<u32>(), 0..64_u16, basis, reason);
    (name(), name(), window, (ohlc(), ohlc(), size()), numbers, option::of(trace())).prop_map(
        |(source, instrument, (seconds, date, times), (price, ask, volume), numbers, trace)| {
            let ([ticks, first_sequence, last_sequence], revision, flags, basis, reason) = numbers;
            let has = |bit| flags & bit != 0;
            let candle = Candle {
                series: SeriesId::default(),
                timeframe: Timeframe::from_seconds(seconds).unwrap(),
                start: times[0],
                end: times[1],
                trading_date: date,
                price,
                ask: if has(Candle::HAS_ASK) { ask } else { Ohlc::default() },
                volume: if has(Candle::HAS_VOLUME) { volume } else { Quantity::ZERO },
                ticks,
                first_time: times[2],
                last_time: times[3],
                first_sequence,
                last_sequence,
                revision,
                flags,
                basis,
                reason,
            };
            CandleMessage { source, instrument, candle, traceparent: trace }
        },
    )
}

type Trade = (TradeAction, Side, Quantity, Quantity, Option<Price>);

fn trade() -> impl Strategy<Value = Trade> {
    let action = prop_oneof![
        Just(TradeAction::Open),
        Just(TradeAction::PartialClose),
        Just(TradeAction::Close),
        Just(TradeAction::Modify)
    ];
    (action, side(), quantity(), quantity(), some_price(), any::<bool>()).prop_map(
        |(action, side, lots, rest, price, priced)| {
            let (lots, lots_open, priced) = match action {
                TradeAction::Open => (lots, lots.checked_add(rest).unwrap(), true),
                TradeAction::PartialClose => (lots, rest, true),
                TradeAction::Close => (lots, Quantity::ZERO, true),
                TradeAction::Modify => (Quantity::ZERO, rest, priced),
            };
            (action, side, lots, lots_open, priced.then_some(price))
        },
    )
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn limits() -> impl Strategy<Value = (Option<Price>, Option<Price>)> {
    (option::of(some_price()), option::of(some_price()))
}

pub(crate) fn trade_event() -> impl Strategy<Value = TradeEvent> {
    let names = [name(), name(), name()];
    let optional = [option::of(name()), option::of(name())];
    (envelope(), names, trade(), limits(), optional).prop_map(
        |(envelope, [account, instrument, position_id], trade, limits, optional)| {
            let [client_order_id, parent_id] = optional;
            let (action, side, lots, lots_open, price) = trade;
            let (stop_loss, take_profit) = limits;
            TradeEvent {
                envelope,
                account,
                instrument,
                position_id,
                action,
                side,
                lots,
                lots_open,
                price,
                stop_loss,
                take_profit,
                client_order_id,
                parent_id,
            }
        },
    )
}

pub(crate) fn trade_signal() -> impl Strategy<Value = TradeSignal> {
    let names = [name(), name(), name()];
    let optional = (option::of(size()), option::of(name()));
    (envelope(), message_id(), names, trade(), limits(), optional).prop_map(
        |(mut envelope, id, [leader, instrument, position_id], trade, limits, optional)| {
            let (equity, parent_id) = optional;
            envelope.message_id = Some(id);
            let (action, side, lots, lots_open, price) = trade;
            let (stop_loss, take_profit) = limits;
            TradeSignal {
                envelope,
                leader,
                instrument,
                position_id,
                action,
                side,
                lots,
                lots_open,
                price,
                stop_loss,
                take_profit,
                equity,
                parent_id,
            }
        },
    )
}

pub(crate) fn order() -> impl Strategy<Value = Order> {
    let kind = prop_oneof![
        Just(OrderKind::Market),
        Just(OrderKind::Limit),
        Just(OrderKind::Stop),
        Just(OrderKind::Modify)
    ];
    let state = prop_oneof![
        Just(OrderState::New),
        Just(OrderState::Sent),
        Just(OrderState::Acked),
        Just(OrderState::Filled),
        Just(OrderState::Rejected),
        Just(OrderState::Unknown)
    ];
    let names = [name(), name(), name(), name()];
    let optional =
        (option::of(name()), option::of(message_id()), [option::of(name()), option::of(name())]);
    let prices = (some_price(), some_price(), limits());
    let amount = (quantity(), quantity(), any::<bool>());
    (envelope(), names, optional, kind, state, side(), prices, amount).prop_map(
        |(envelope, names, optional, kind, state, side, prices, (lots, part, touched))| {
            let [client_order_id, account, instrument, reason] = names;
            let (venue_order_id, signal_id, [position_id, opened_by]) = optional;
            let lots = if kind == OrderKind::Modify { Quantity::ZERO } else { lots };
            let (limit, fill, (stop_loss, take_profit)) = prices;
            let lots_filled = match state {
                OrderState::New | OrderState::Sent => Quantity::ZERO,
                OrderState::Filled => lots,
                _ if touched => part.min(lots),
                _ => Quantity::ZERO,
            };
            Order {
                envelope,
                client_order_id,
                venue_order_id,
                account,
                instrument,
                kind,
                side,
                lots,
                lots_filled,
                limit_price: matches!(kind, OrderKind::Limit | OrderKind::Stop).then_some(limit),
                fill_price: (lots_filled > Quantity::ZERO).then_some(fill),
                stop_loss,
                take_profit,
                state,
                reason: (state == OrderState::Rejected).then_some(reason),
                signal_id,
                position_id,
                opened_by,
            }
        },
    )
}

pub(crate) fn chat_message() -> impl Strategy<Value = ChatMessage> {
    let action = prop_oneof![
        Just(ChatAction::Post),
        Just(ChatAction::Edit),
        Just(ChatAction::Delete),
        Just(ChatAction::Erase)
    ];
    let users =
        (user(), user()).prop_filter("a direct room has two users", |(one, other)| one != other);
    let uuids = (any::<[u128; 2]>(), option::of(any::<u128>()))
        .prop_filter("a target is another message", |([own, target], _)| own != target);
    let text = "[^\0]{1,200}";
    (envelope(), uuids, users, option::of(name()), action, text, option::of(1_u64..)).prop_map(
        |(envelope, ([own, target], reply), (one, other), group, action, text, room_sequence)| {
            let speaks = matches!(action, ChatAction::Post | ChatAction::Edit);
            let post = action == ChatAction::Post;
            ChatMessage {
                envelope,
                uuid: Uuid::from_bits(own),
                sender: one.clone(),
                room: group.map_or_else(|| Room::between(one, other), Room::Group),
                action,
                text: if speaks { text } else { String::new() },
                room_sequence,
                reply_to: reply.filter(|_| post).map(Uuid::from_bits),
                target: (!post).then_some(Uuid::from_bits(target)),
            }
        },
    )
}
