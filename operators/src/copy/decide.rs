//! What a signal becomes for one follower: orders or none, and always one row that says why.

use proto::account::{Account, Holding};
use proto::client_order_id::ClientOrderId;
use proto::decimal::{Price, Quantity};
use proto::decision::{Decision, Reason};
use proto::envelope::Envelope;
use proto::event_time::EventTime;
use proto::follow::{Follow, Settings};
use proto::order::{Order, OrderKind, OrderState};
use proto::side::{Side, TradeAction};
use proto::specification::Specification;

use crate::copy::allocate::{Inputs, allocate};
use crate::copy::limits::{self, Bounds};
use crate::copy::positions::{Book, Copy, Leg, Part, same_fraction};
use crate::copy::signal::{Signal, opposite};
use crate::copy::stops::{Stops, mirrored};
use crate::copy::world::World;

/// Everything that a decision is made of, but the book.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What the leader did.
    pub signal: &'a Signal,
    /// The job clock.
    pub clock: EventTime,
    /// Whether the market is open at the job clock.
    pub is_market_open: bool,
    /// Whether the book is told how orders end.
    pub is_tracked: bool,
    /// Accounts, specifications and prices as of the signal.
    pub world: &'a World,
    /// The leader's account, if it is known.
    pub leader: Option<&'a Account>,
    /// The row of the relation as of the signal.
    pub follow: &'a Follow,
    /// Its settings.
    pub settings: &'a Settings,
    /// The follower's account, if it is known.
    pub account: Option<&'a Account>,
}

/// Decides. Orders go to the end of `orders`, and into the book.
pub fn decide(case: &Case<'_>, book: &mut Book, orders: &mut Vec<Order>) -> Decision {
    let mut row = blank(case, book);
    let first = orders.len();
    let result = match case.signal.action {
        TradeAction::Open => open(case, book, orders, &mut row),
        TradeAction::PartialClose | TradeAction::Close => close(case, book, orders, &mut row),
        TradeAction::Modify => modify(case, book, orders, &mut row),
    };
    row.reason = result.err().unwrap_or(Reason::Copied);
    row.orders = u32::try_from(orders.len() - first).unwrap_or(u32::MAX);
    row
}

/// Numbers the orders of this case.
fn ids<'a>(case: &Case<'a>) -> impl FnMut() -> ClientOrderId + 'a {
    let (signal, follower) = (&*case.signal.id, &*case.follow.follower);
    let mut legs = 0..;
    move || ClientOrderId::of(signal, follower, legs.next().unwrap_or(u32::MAX))
}

fn open(
    case: &Case<'_>,
    book: &mut Book,
    orders: &mut Vec<Order>,
    row: &mut Decision,
) -> Result<(), Reason> {
    let (signal, settings) = (case.signal, case.settings);
    if settings.paused {
        return Err(Reason::Paused);
    }
    if limits::is_filtered(settings, &signal.instrument) {
        return Err(Reason::Filter);
    }
    let account = case.account.ok_or(Reason::NoAccount)?;
    let turned = if settings.turns_round() { opposite(signal.side) } else { signal.side };
    let side = row.side.unwrap_or(turned);
    row.side = Some(side);
    // What is added to a position is of the same instrument, whatever the map says now.
    let mapped = || settings.symbols.get(&signal.instrument).unwrap_or(&signal.instrument).clone();
    let instrument = row.instrument.get_or_insert_with(mapped).clone();
    row.source = Some(account.source.clone());
    row.holding = Some(account.holding);
    row.equity = Some(account.equity);
    row.day_equity = account.day_equity;
    let listing = case.world.listing(&account.source, &instrument);
    let specification = listing.and_then(|listing| listing.specification.as_ref());
    let specification = specification.ok_or(Reason::NoSpecification)?;
    if !case.is_market_open {
        return Err(Reason::MarketClosed);
    }
    if limits::is_too_old(settings, signal.time, case.clock) {
        return Err(Reason::TooOld);
    }
    limits::check_account(settings, account)?;
    let is_new = row.lots_before == Quantity::ZERO;
    if is_new && settings.trades_max.is_some_and(|max| row.trades >= max) {
        return Err(Reason::TooManyTrades);
    }
    let quote = listing.and_then(|listing| listing.quote);
    row.bid = quote.map(|quote| quote.bid);
    row.ask = quote.map(|quote| quote.ask);
    let price = if side == Side::Buy { row.ask } else { row.bid };
    let price = price.filter(|price| *price > Price::ZERO);
    if settings.slippage_points_max.is_some() {
        let price = price.ok_or(Reason::NoPrice)?;
        limits::check_slippage(settings, (side, price), signal.price, specification)?;
    }
    let lots = size(case, account, (specification, price), row)?;
    let stops = match settings.stops_copied {
        true => {
            let stops = (signal.stop_loss, signal.take_profit);
            mirrored(stops, side != signal.side, specification)
        }
        false => (None, None),
    };
    let id = ids(case)();
    (row.stop_loss, row.take_profit) = stops;
    row.lots = lots;
    row.client_order_id = Some(id);
    let mut opening = order(case, id, (&account.source, &instrument), side, lots);
    (opening.stop_loss, opening.take_profit) = stops;
    orders.push(opening);
    let part = Part { opened_by: id, position_id: None, open: lots, closing: Vec::new() };
    match book.find(signal) {
        Some(copy) => {
            copy.parts.push(part);
            copy.stops = None;
        }
        None => book.add(Copy {
            tickets: vec![signal.position_id.clone()],
            leader_side: signal.side,
            source: account.source.clone(),
            instrument,
            side,
            holding: account.holding,
            parts: vec![part],
            stops: Some(stops),
            changed_by: Vec::new(),
        }),
    }
    Ok(())
}

/// Gives the size in whole steps within all bounds.
fn size(
    case: &Case<'_>,
    account: &Account,
    (specification, price): (&Specification, Option<Price>),
    row: &mut Decision,
) -> Result<Quantity, Reason> {
    let (signal, settings) = (case.signal, case.settings);
    let leader_listing = case.world.listing(&signal.source, &signal.instrument);
    let inputs = Inputs {
        leader_lots: signal.lots,
        leader: case.leader,
        leader_equity: signal.equity,
        leader_contract_size: leader_listing
            .and_then(|listing| listing.specification.as_ref())
            .map(|specification| specification.contract_size),
        account,
        specification,
        price,
        world: case.world,
    };
    let size = allocate(settings, &inputs, row)?;
    row.lots_exact =
        size.floor().and_then(|size| i64::try_from(size).ok()).map(Quantity::from_units);
    let bounds = Bounds::with(specification, settings);
    row.lot_step = Some(bounds.step);
    row.lots_min = Some(bounds.min);
    row.lots_max = Some(bounds.max);
    let lots = bounds.fit(&size, settings)?;
    let follower = (settings, account);
    limits::check_margin(follower, (lots, price), specification, case.world, row)?;
    Ok(lots)
}

fn close(
    case: &Case<'_>,
    book: &mut Book,
    orders: &mut Vec<Order>,
    row: &mut Decision,
) -> Result<(), Reason> {
    let signal = case.signal;
    let copy = book.find(signal).ok_or(Reason::NotOpen)?;
    let listing = case.world.listing(&copy.source, &copy.instrument);
    let bounds = listing.and_then(|listing| listing.specification.as_ref()).map(Bounds::of);
    let mut lots = copy.open();
    if signal.action == TradeAction::PartialClose {
        // All can be closed whatever the step; a part of it cannot.
        let bounds = bounds.ok_or(Reason::NoSpecification)?;
        row.lot_step = Some(bounds.step);
        row.lots_min = Some(bounds.min);
        lots = same_fraction(lots, signal.lots, signal.lots_open, bounds.step);
    }
    let legs = copy.close(lots, bounds.as_ref(), case.is_tracked, ids(case));
    row.client_order_id = Some(legs.first().ok_or(Reason::BelowMin)?.id);
    for leg in legs {
        row.lots = Quantity::from_units(row.lots.units() + leg.lots.units());
        orders.push(order_of(case, copy, leg, opposite(copy.side)));
    }
    if !case.is_tracked {
        book.sweep();
    }
    Ok(())
}

fn modify(
    case: &Case<'_>,
    book: &mut Book,
    orders: &mut Vec<Order>,
    row: &mut Decision,
) -> Result<(), Reason> {
    let signal = case.signal;
    let copy = book.find(signal).ok_or(Reason::NotOpen)?;
    if !case.settings.stops_copied {
        return Err(Reason::StopsNotCopied);
    }
    let listing = case.world.listing(&copy.source, &copy.instrument);
    let specification = listing.and_then(|listing| listing.specification.as_ref());
    let specification = specification.ok_or(Reason::NoSpecification)?;
    let leader: Stops = (signal.stop_loss, signal.take_profit);
    let stops = mirrored(leader, copy.side != copy.leader_side, specification);
    (row.stop_loss, row.take_profit) = stops;
    if copy.stops == Some(stops) {
        return Err(Reason::Unchanged);
    }
    let legs = copy.change(stops, ids(case));
    row.client_order_id = legs.first().map(|leg| leg.id);
    for leg in legs {
        let mut change = order_of(case, copy, leg, copy.side);
        change.kind = OrderKind::Modify;
        (change.stop_loss, change.take_profit) = stops;
        orders.push(change);
    }
    Ok(())
}

/// An order for a part of a copy. On a netting account the venue has one position for all of them.
fn order_of(case: &Case<'_>, copy: &Copy, leg: Leg, side: Side) -> Order {
    let mut order = order(case, leg.id, (&copy.source, &copy.instrument), side, leg.lots);
    order.opened_by = Some(leg.opened_by.to_string());
    if copy.holding == Holding::Hedging {
        order.position_id = leg.position_id.as_deref().map(str::to_owned);
    }
    order
}

/// A new order at the market's price.
fn order(
    case: &Case<'_>,
    id: ClientOrderId,
    (source, instrument): (&str, &str),
    side: Side,
    lots: Quantity,
) -> Order {
    Order {
        envelope: Envelope {
            source: source.to_owned(),
            sequence: None,
            time: case.clock,
            traceparent: case.signal.traceparent,
            message_id: None,
        },
        client_order_id: id.to_string(),
        venue_order_id: None,
        account: (*case.follow.follower).to_owned(),
        instrument: instrument.to_owned(),
        kind: OrderKind::Market,
        side,
        lots,
        lots_filled: Quantity::ZERO,
        limit_price: None,
        fill_price: None,
        stop_loss: None,
        take_profit: None,
        state: OrderState::New,
        reason: None,
        signal_id: Some((*case.signal.id).to_owned()),
        position_id: None,
        opened_by: None,
    }
}

/// A row with what is known before anything is decided.
fn blank(case: &Case<'_>, book: &mut Book) -> Decision {
    let (signal, settings, follow) = (case.signal, case.settings, case.follow);
    let trades = book.trades();
    let copy = book.find(signal);
    let copy = copy.as_deref();
    Decision {
        time: signal.time,
        signal_id: signal.id.clone(),
        leader: signal.leader.clone(),
        follower: follow.follower.clone(),
        clock: case.clock,
        reason: Reason::Copied,
        orders: 0,
        client_order_id: None,
        side: copy.map(|copy| copy.side),
        lots: Quantity::ZERO,
        stop_loss: None,
        take_profit: None,
        action: signal.action,
        leader_source: signal.source.clone(),
        leader_instrument: signal.instrument.clone(),
        position_id: signal.position_id.clone(),
        leader_side: signal.side,
        leader_lots: signal.lots,
        leader_lots_open: signal.lots_open,
        leader_price: signal.price,
        version: follow.version,
        sizing: settings.sizing,
        amount: settings.amount,
        source: copy.map(|copy| copy.source.clone()),
        instrument: copy.map(|copy| copy.instrument.clone()),
        holding: copy.map(|copy| copy.holding),
        leader_base: None,
        base: None,
        rate_instrument: None,
        rate: None,
        leader_leverage: None,
        leverage: None,
        leader_contract_size: None,
        contract_size: None,
        percent: None,
        lots_exact: None,
        lot_step: None,
        lots_min: None,
        lots_max: None,
        equity: None,
        day_equity: None,
        free_margin: None,
        margin: None,
        bid: None,
        ask: None,
        trades,
        lots_before: copy.map_or(Quantity::ZERO, Copy::open),
    }
}
