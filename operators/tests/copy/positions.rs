//! Copies through their lives: parts of them, tickets, stops, and what venues refuse.

use operators::copy::positions::Ended;
use operators::copy::signal::Signal;
use proto::account::Holding;
use proto::decimal::Quantity;
use proto::follow::Settings;
use proto::order::{Order, OrderKind};
use proto::side::{Side, TradeAction};

use super::rig::{Rig, lots, price, signal, specification};

use TradeAction::{Close, Modify, Open, PartialClose};

fn total(orders: &[Order]) -> Quantity {
    Quantity::from_units(orders.iter().map(|order| order.lots.units()).sum())
}

#[test]
fn partial_closes_add_up_to_what_was_opened() {
    // A follower of a third: 0.33 lots. Each close is the same fraction of what is open, down.
    let mut rig = Rig::new("3000", "1000");
    assert_eq!(rig.told(&signal("a", Open, "1", "1")), "0.33");
    assert_eq!(rig.told(&signal("b", PartialClose, "0.5", "0.5")), "0.16");
    assert_eq!(rig.told(&signal("c", PartialClose, "0.25", "0.25")), "0.08");
    assert_eq!(rig.told(&signal("d", PartialClose, "0.01", "0.24")), "below_min");
    assert_eq!(rig.told(&signal("e", Close, "0.24", "0")), "0.09");
    assert_eq!(rig.told(&signal("f", Close, "0.24", "0")), "not_open");
}

#[test]
fn a_partial_close_leaves_what_can_be_closed_again() {
    let mut rig = Rig::new("1000", "1000");
    let mut coarse = specification("mt4", "EURUSD");
    (coarse.lot_step, coarse.lot_min) = (lots("0.1"), lots("0.3"));
    rig.world.set_specification(coarse);
    assert_eq!(rig.told(&signal("a", Open, "1", "1")), "1");
    // 0.8 of it would leave 0.2, less than can be traded.
    assert_eq!(rig.told(&signal("b", PartialClose, "0.8", "0.2")), "0.7");
    assert_eq!(rig.told(&signal("c", PartialClose, "0.1", "0.1")), "below_min");
    assert_eq!(rig.told(&signal("d", Close, "0.1", "0")), "0.3");
}

#[test]
fn the_remainder_of_a_partial_close_is_known_by_its_parents_ticket() {
    let ticket =
        |id: &str, action, moved: &str, open: &str, ticket: &str, parent: Option<&str>| Signal {
            position_id: ticket.into(),
            parent_id: parent.map(Into::into),
            ..signal(id, action, moved, open)
        };
    let mut rig = Rig::new("1000", "1000");
    assert_eq!(rig.told(&ticket("a", Open, "1", "1", "100", None)), "1");
    assert_eq!(rig.told(&ticket("b", PartialClose, "0.5", "0.5", "100", None)), "0.5");
    // What is left goes by 101, what is left of that by 102.
    assert_eq!(rig.told(&ticket("c", PartialClose, "0.2", "0.3", "101", Some("100"))), "0.2");
    assert_eq!(rig.told(&ticket("d", PartialClose, "0.1", "0.2", "102", Some("101"))), "0.1");
    assert_eq!(rig.told(&ticket("e", Close, "0.2", "0", "103", Some("999"))), "not_open");
    assert_eq!(rig.told(&ticket("f", Close, "0.2", "0", "103", Some("102"))), "0.2");
    assert!(rig.book.is_empty());
}

#[test]
fn what_was_added_is_closed_from_the_oldest_part_on() {
    let mut rig = Rig::new("1000", "1000");
    let (_, first) = rig.decide(&signal("a", Open, "1", "1"));
    let (_, second) = rig.decide(&signal("b", Open, "0.5", "1.5"));
    let (row, closes) = rig.decide(&signal("c", PartialClose, "1.2", "0.3"));
    assert_eq!(row.orders, 2);
    assert_eq!(total(&closes), lots("1.2"));
    assert_eq!(closes[0].opened_by.as_ref(), Some(&first[0].client_order_id));
    assert_eq!(closes[1].opened_by.as_ref(), Some(&second[0].client_order_id));
    assert_eq!(closes[1].lots, lots("0.2"));
    assert_ne!(closes[0].client_order_id, closes[1].client_order_id);
    let (_, closes) = rig.decide(&signal("d", Close, "0.3", "0"));
    assert_eq!(total(&closes), lots("0.3"));
}

#[test]
fn a_netting_account_has_one_position_for_all_parts() {
    let mut rig = Rig::new("1000", "1000");
    rig.account.holding = Holding::Netting;
    let (_, opens) = rig.decide(&signal("a", Open, "1", "1"));
    rig.book.learn(opens[0].client_order_id.parse().unwrap(), &"900".into());
    rig.decide(&signal("b", Open, "1", "2"));
    let mut stops = signal("c", Modify, "0", "2");
    stops.stop_loss = Some(price("1.05"));
    let (_, changes) = rig.decide(&stops);
    assert_eq!(changes.len(), 1);
    let (_, closes) = rig.decide(&signal("d", Close, "2", "0"));
    assert_eq!(total(&closes), lots("2"));
    assert!(closes.iter().chain(&changes).all(|order| order.position_id.is_none()));
    assert!(closes.iter().all(|order| order.side == Side::Sell));
}

#[test]
fn a_change_of_stops_is_mirrored_once() {
    let mut rig = Rig::new("1000", "1000");
    rig.decide(&signal("a", Open, "1", "1"));
    let change = |id: &str, stop: Option<&str>, take: Option<&str>| Signal {
        stop_loss: stop.map(price),
        take_profit: take.map(price),
        ..signal(id, Modify, "0", "1")
    };
    let (_, orders) = rig.decide(&change("b", Some("1.05"), Some("1.2")));
    assert_eq!(orders[0].kind, OrderKind::Modify);
    assert_eq!(
        (orders[0].stop_loss, orders[0].take_profit),
        (Some(price("1.05")), Some(price("1.2")))
    );
    assert_eq!(rig.told(&change("c", Some("1.05"), Some("1.2"))), "unchanged");
    let (_, orders) = rig.decide(&change("d", None, Some("1.2")));
    assert_eq!((orders[0].stop_loss, orders[0].take_profit), (None, Some(price("1.2"))));
    rig.settings = Settings { stops_copied: false, ..Settings::default() };
    assert_eq!(rig.told(&change("e", None, None)), "stops_not_copied");
}

fn ended(order: &Order, undone: &str) -> Ended {
    Ended {
        id: order.client_order_id.parse().unwrap(),
        undone: lots(undone),
        is_refused: lots(undone) > Quantity::ZERO || order.kind == OrderKind::Modify,
    }
}

#[test]
fn an_open_that_was_refused_is_not_there_to_be_closed() {
    let mut rig = Rig::new("1000", "1000");
    let (_, opens) = rig.decide(&signal("a", Open, "1", "1"));
    rig.book.settle(ended(&opens[0], "0.4"));
    assert_eq!(rig.told(&signal("b", PartialClose, "0.5", "0.5")), "0.3");
    let (_, opens) = rig.decide(&Signal { position_id: "7".into(), ..signal("c", Open, "1", "1") });
    rig.book.settle(ended(&opens[0], "1"));
    let close = Signal { position_id: "7".into(), ..signal("d", Close, "1", "0") };
    assert_eq!(rig.told(&close), "not_open");
}

#[test]
fn a_close_that_was_refused_is_open_still() {
    let mut rig = Rig::new("1000", "1000");
    rig.is_tracked = true;
    rig.decide(&signal("a", Open, "1", "1"));
    let (_, closes) = rig.decide(&signal("b", Close, "1", "0"));
    assert_eq!(rig.told(&signal("c", Close, "1", "0")), "not_open");
    rig.book.settle(ended(&closes[0], "0.25"));
    let (_, closes) = rig.decide(&signal("d", Close, "1", "0"));
    assert_eq!(total(&closes), lots("0.25"));
    rig.book.settle(ended(&closes[0], "0"));
    assert!(rig.book.is_empty());
}

#[test]
fn an_open_refused_after_its_close_was_ordered_leaves_nothing() {
    let mut rig = Rig::new("1000", "1000");
    rig.is_tracked = true;
    let (_, opens) = rig.decide(&signal("a", Open, "1", "1"));
    let (_, closes) = rig.decide(&signal("b", Close, "1", "0"));
    rig.book.settle(ended(&opens[0], "1"));
    assert_eq!(rig.told(&signal("c", Close, "1", "0")), "not_open");
    rig.book.settle(ended(&closes[0], "1"));
    assert!(rig.book.is_empty());
}

#[test]
fn stops_that_were_refused_are_ordered_again() {
    let mut rig = Rig::new("1000", "1000");
    rig.decide(&signal("a", Open, "1", "1"));
    let mut change = signal("b", Modify, "0", "1");
    change.stop_loss = Some(price("1.05"));
    let (_, orders) = rig.decide(&change);
    rig.book.settle(ended(&orders[0], "0"));
    change.id = "c".into();
    assert_eq!(rig.decide(&change).1.len(), 1);
}

#[test]
fn what_the_follower_closes_itself_is_not_closed_again() {
    let mut rig = Rig::new("1000", "1000");
    let (_, opens) = rig.decide(&signal("a", Open, "1", "1"));
    let opened_by = opens[0].client_order_id.parse().unwrap();
    rig.book.learn(opened_by, &"900".into());
    rig.book.reduce(&"900".into(), None, lots("0.25"));
    // MT4 gives what is left of the follower's position a new ticket, too.
    rig.book.reduce(&"901".into(), Some(&"900".into()), lots("0.25"));
    rig.book.reduce(&"555".into(), None, lots("0.25"));
    let (_, closes) = rig.decide(&signal("b", PartialClose, "0.5", "0.5"));
    assert_eq!(total(&closes), lots("0.25"));
    assert_eq!(closes[0].position_id.as_deref(), Some("901"));
    rig.book.reduce(&"901".into(), None, lots("7"));
    assert_eq!(rig.told(&signal("c", Close, "0.5", "0")), "not_open");
}
