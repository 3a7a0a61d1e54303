//! Orders against a venue that loses answers, is slow, refuses and forgets.

use std::collections::{BTreeMap, BTreeSet};

use operators::copy::bucket::Rate;
use operators::copy::orders::{Answer, Command, Orders, Patience};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proto::client_order_id::ClientOrderId;
use proto::decimal::Quantity;
use proto::envelope::Envelope;
use proto::event_time::EventTime;
use proto::order::{Order, OrderKind, OrderState};
use proto::record::Record;
use proto::side::Side;

use super::rig::{lots, price};

const MS: i64 = 1_000_000;
const PATIENCE: Patience = Patience {
    answer: 100 * MS,
    resend: 10 * MS,
    sends_max: 3,
    query: 50 * MS,
    lost_after: 1_000 * MS,
};
const FAST: Rate = Rate { per_second: 1_000_000, burst: 1_000 };

fn at(ms: i64) -> EventTime {
    EventTime::from_ns(ms * MS)
}

fn order(follower: &str, number: u32, opened_by: Option<u32>) -> Order {
    let id = |number| ClientOrderId::of("s", follower, number).to_string();
    Order {
        envelope: Envelope::new("mt4", at(0)),
        client_order_id: id(number),
        venue_order_id: None,
        account: follower.to_owned(),
        instrument: "EURUSD".to_owned(),
        kind: OrderKind::Market,
        side: Side::Buy,
        lots: lots("1"),
        lots_filled: Quantity::ZERO,
        limit_price: None,
        fill_price: None,
        stop_loss: None,
        take_profit: None,
        state: OrderState::New,
        reason: None,
        signal_id: Some("s".to_owned()),
        position_id: None,
        opened_by: opened_by.map(id),
    }
}

fn submit(orders: &mut Orders, follower: &str, order: Order) -> Vec<Order> {
    let mut changes = Vec::new();
    orders.submit(("anna".into(), follower.into()), order, &mut changes);
    changes
}

fn sent(commands: &[Command]) -> Vec<&str> {
    let mut sent = Vec::new();
    for command in commands {
        sent.push(match command {
            Command::Send(order) => order.client_order_id.as_str(),
            Command::Query { .. } => "query",
        });
    }
    sent
}

fn states(changes: &[Order]) -> Vec<OrderState> {
    changes.iter().map(|order| order.state).collect()
}

fn one_of(rate: Rate, count: u32) -> (Orders, Vec<String>) {
    let mut orders = Orders::new(PATIENCE, rate, BTreeMap::new());
    let made: Vec<Order> = (0..count).map(|number| order("bert", number, None)).collect();
    let ids = made.iter().map(|order| order.client_order_id.clone()).collect();
    made.into_iter().for_each(|order| {
        submit(&mut orders, "bert", order);
    });
    (orders, ids)
}

#[test]
fn an_order_is_sent_when_the_one_before_has_ended() {
    let (mut orders, ids) = one_of(FAST, 2);
    let mut changes = Vec::new();
    assert_eq!(sent(&orders.step(at(0), &mut changes)), [&ids[0]]);
    orders.answer(&ids[0], Answer::Working(None), at(1), &mut changes);
    assert_eq!(sent(&orders.step(at(2), &mut changes)), [""; 0]);
    orders.answer(&ids[0], Answer::Filled(Some(price("1.1"))), at(3), &mut changes);
    assert_eq!(sent(&orders.step(at(3), &mut changes)), [&ids[1]]);
    use OrderState::{Acked, Filled, Sent};
    assert_eq!(states(&changes), [Sent, Acked, Filled, Sent]);
    assert_eq!(changes[2].lots_filled, lots("1"));
}

#[test]
fn without_an_answer_it_is_unknown_asked_for_and_never_sent_again() {
    let (mut orders, ids) = one_of(FAST, 1);
    let mut changes = Vec::new();
    orders.step(at(0), &mut changes);
    assert_eq!(orders.next(), Some(at(100)));
    let commands = orders.step(at(100), &mut changes);
    assert_eq!(commands, [Command::Query { source: "mt4".into(), id: ids[0].as_str().into() }]);
    // Not even when a late answer claims that it was not sent, or the question fails.
    for (time, answer) in [(110, Answer::NotSent), (170, Answer::Unclear), (230, Answer::NotFound)]
    {
        orders.answer(&ids[0], answer, at(time), &mut changes);
        assert_eq!(sent(&orders.step(at(time + 50), &mut changes)), ["query"]);
    }
    orders.answer(&ids[0], Answer::Filled(Some(price("1.1"))), at(300), &mut changes);
    use OrderState::{Filled, Sent, Unknown};
    assert_eq!(states(&changes), [Sent, Unknown, Filled]);
    assert!(orders.is_empty() && orders.next().is_none());
}

#[test]
fn an_order_that_no_venue_knows_is_lost_only_after_it_could_have_come() {
    let (mut orders, ids) = one_of(FAST, 1);
    let mut changes = Vec::new();
    orders.step(at(0), &mut changes);
    orders.answer(&ids[0], Answer::Unclear, at(10), &mut changes);
    let mut time = 10;
    while !orders.is_empty() {
        assert_eq!(sent(&orders.step(at(time), &mut changes)), ["query"]);
        orders.answer(&ids[0], Answer::NotFound, at(time), &mut changes);
        time += 50;
    }
    assert_eq!(time, 10 + 1_000 + 50);
    assert_eq!(changes.last().unwrap().reason.as_deref(), Some("lost"));
}

#[test]
fn what_was_certainly_not_sent_is_sent_again_under_its_id_a_few_times() {
    let (mut orders, ids) = one_of(FAST, 1);
    let mut changes = Vec::new();
    for time in [0, 10, 30] {
        assert_eq!(sent(&orders.step(at(time), &mut changes)), [&ids[0]]);
        assert_eq!(sent(&orders.step(at(time), &mut changes)), [""; 0]);
        orders.answer(&ids[0], Answer::NotSent, at(time), &mut changes);
    }
    assert_eq!(states(&changes), [OrderState::Sent, OrderState::Rejected]);
    assert_eq!(changes[1].reason.as_deref(), Some("unreachable"));
}

#[test]
fn no_more_is_closed_than_was_opened_and_nothing_where_nothing_is() {
    let mut orders = Orders::new(PATIENCE, FAST, BTreeMap::new());
    let ids: Vec<String> =
        (0..4).map(|number| order("bert", number, None).client_order_id).collect();
    for (number, opened_by) in [(0, None), (1, Some(0)), (2, Some(0))] {
        submit(&mut orders, "bert", order("bert", number, opened_by));
    }
    let mut changes = Vec::new();
    orders.step(at(0), &mut changes);
    let part = Some((lots("0.4"), price("1.1")));
    orders.answer(&ids[0], Answer::Refused("off_quotes".to_owned(), part), at(1), &mut changes);
    let commands = orders.step(at(1), &mut changes);
    assert!(matches!(&commands[..], [Command::Send(order)] if order.lots == lots("0.4")));
    orders.answer(&ids[1], Answer::Filled(Some(price("1.1"))), at(2), &mut changes);
    let last = changes.last().unwrap();
    assert_eq!((&last.client_order_id, last.reason.as_deref()), (&ids[2], Some("nothing_open")));
    assert!(orders.is_empty());
    let changes = submit(&mut orders, "bert", order("bert", 3, Some(0)));
    assert_eq!(states(&changes), [OrderState::Rejected]);
}

#[test]
fn an_order_told_twice_is_one() {
    let (mut orders, _) = one_of(FAST, 1);
    submit(&mut orders, "bert", order("bert", 0, None));
    assert_eq!(orders.len(), 1);
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Refused,
    NotSent,
    /// Executed, and the answer is an error.
    Executed,
    /// Not executed, and the answer says as little.
    Dropped,
    /// Executed after a while; no answer.
    Slow(i64),
    /// Half of it is done, the rest refused.
    Partial,
}

/// A venue that does as it is told, however often.
#[derive(Default)]
struct Venue {
    done: BTreeMap<String, Vec<(i64, Quantity)>>,
    refused: BTreeSet<String>,
    slow: Vec<(i64, Order)>,
    calls: Vec<i64>,
}

impl Venue {
    fn execute(&mut self, order: &Order, lots: Quantity, time: i64) {
        self.done.entry(order.client_order_id.clone()).or_default().push((time, lots));
    }

    fn call(&mut self, command: &Command, fault: Fault, time: i64) -> Option<(String, Answer)> {
        self.calls.push(time);
        let fill = Some(price("1.1"));
        let order = match command {
            Command::Query { id, .. } => {
                let done = self.done.get(&**id).and_then(|done| done.last());
                let answer = match (fault, done) {
                    (Fault::Slow(_), _) => return None,
                    (Fault::NotSent, _) => Answer::NotSent,
                    (Fault::Executed | Fault::Dropped, _) => Answer::Unclear,
                    _ if self.refused.contains(&**id) => {
                        let done = done.map(|(_, lots)| (*lots, price("1.1")));
                        Answer::Refused("no".to_owned(), done)
                    }
                    (_, Some(_)) => Answer::Filled(fill),
                    (_, None) => Answer::NotFound,
                };
                return Some((id.to_string(), answer));
            }
            Command::Send(order) => order,
        };
        let half = Quantity::from_units(order.lots.units() / 2);
        let answer = match fault {
            Fault::None => {
                self.execute(order, order.lots, time);
                Answer::Filled(fill)
            }
            Fault::Refused => {
                self.refused.insert(order.client_order_id.clone());
                Answer::Refused("no".to_owned(), None)
            }
            Fault::NotSent => Answer::NotSent,
            Fault::Executed => {
                self.execute(order, order.lots, time);
                Answer::Unclear
            }
            Fault::Dropped => Answer::Unclear,
            Fault::Slow(wait) => {
                self.slow.push((time + wait, (**order).clone()));
                return None;
            }
            Fault::Partial => {
                self.execute(order, half, time);
                self.refused.insert(order.client_order_id.clone());
                Answer::Refused("no".to_owned(), Some((half, price("1.1"))))
            }
        };
        Some((order.client_order_id.clone(), answer))
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        4 => select(vec![Fault::Refused, Fault::NotSent, Fault::Executed, Fault::Dropped, Fault::Partial]),
        1 => (1..900_i64).prop_map(Fault::Slow),
    ]
}

proptest! {
    #[test]
    fn whatever_goes_wrong_every_order_is_done_once_or_ended_and_in_order(
        made in vec((0..3_usize, prop::option::of(0..40_u32)), 1..40),
        faults in vec(fault(), 1..60),
        per_second in 5..500_u32,
        restore_every in 1..50_usize,
    ) {
        let rate = Rate { per_second, burst: 2 };
        let mut orders = Orders::new(PATIENCE, rate, BTreeMap::new());
        let mut changes = Vec::new();
        let mut lanes: Vec<Vec<String>> = vec![Vec::new(); 3];
        for ((follower, opened_by), number) in made.into_iter().zip(0..) {
            let name = ["bert", "carl", "dora"][follower];
            // What closes names an order before it, of its own lane or not.
            let order = order(name, number, opened_by.filter(|opened_by| *opened_by < number));
            lanes[follower].push(order.client_order_id.clone());
            changes.extend(submit(&mut orders, name, order));
        }
        let mut venue = Venue::default();
        let mut faults = faults.into_iter().cycle();
        let (mut time, mut steps) = (0, 0);
        while !orders.is_empty() {
            let (now, arrived) = (time, |(due, _): &(i64, Order)| *due <= time);
            let late: Vec<(i64, Order)> = venue.slow.extract_if(.., |slow| arrived(slow)).collect();
            late.iter().for_each(|(due, order)| venue.execute(order, order.lots, *due));
            let commands = orders.step(at(now), &mut changes);
            for command in &commands {
                // Faults end some day.
                let fault = faults.next().filter(|_| steps < 400).unwrap_or(Fault::None);
                if let Some((id, answer)) = venue.call(command, fault, now) {
                    orders.answer(&id, answer, at(now), &mut changes);
                }
            }
            steps += 1;
            if steps % restore_every == 0 {
                let state = postcard::to_allocvec(&orders).unwrap();
                orders = postcard::from_bytes(&state).unwrap();
            }
            let next = orders.next().map_or(now + 1, |next| next.ns().div_euclid(MS) + 1);
            time = next.max(now + 1);
            prop_assert!(steps < 100_000);
        }
        // Each at most once, and what the records say is what was done.
        let mut last: BTreeMap<&str, &Order> = BTreeMap::new();
        for order in &changes {
            order.check().map_err(|error| TestCaseError::fail(error.to_string()))?;
            if let Some(before) = last.insert(&order.client_order_id, order) {
                prop_assert!(before.state.may_become(order.state), "{:?} {:?}", before, order);
            }
        }
        for id in lanes.iter().flatten() {
            let order = last[id.as_str()];
            prop_assert!(order.state.is_final());
            let done = venue.done.get(id).map_or(&[][..], Vec::as_slice);
            prop_assert!(done.len() <= 1, "{} was done twice", id);
            let lots = done.first().map_or(Quantity::ZERO, |(_, lots)| *lots);
            prop_assert_eq!(order.lots_filled, lots, "{:?}", order);
        }
        for lane in &lanes {
            let times: Vec<i64> = lane.iter().filter_map(|id| Some(venue.done.get(id)?[0].0)).collect();
            prop_assert!(times.is_sorted(), "{times:?}");
        }
        let calls = &venue.calls;
        for (first, from) in calls.iter().enumerate() {
            for (last, to) in calls.iter().enumerate().skip(first) {
                let count = i64::try_from(last - first + 1).unwrap();
                prop_assert!((count - 2) * 1_000 <= (to - from) * i64::from(per_second));
            }
        }
    }
}
