//! Copy trading in memory: one leader's signals sized, limited and audited for each follower, with
//! the orders and their ids, on one thread; beside the sizing loop alone.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;

use benches::meter::{Meter, Reading, median};
use operators::copy::copier::{Copier, Input};
use operators::copy::signal::Signal;
use operators::copy::world::Quote;
use proto::account::{Account, Holding};
use proto::client_order_id::ClientOrderId;
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::follow::{Follow, Settings, Sizing};
use proto::side::{Side, TradeAction};
use proto::specification::Specification;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIGNALS: u64 = 20;
const ROUNDS: usize = 5;

const fn lots(hundredths: i64) -> Quantity {
    Quantity::from_units(hundredths * 1_000_000)
}

fn main() {
    println!("{SIGNALS} signals (open, halves, close in turn), one thread; medians of {ROUNDS}");
    println!("{:<34} {:>12} {:>12} {:>14}", "", "ns/decision", "cpu ns", "M decisions/s");
    for followers in [1_000, 10_000, 100_000] {
        let runs: Vec<Reading> = (0..ROUNDS).map(|_| copies(followers)).collect();
        row(&format!("1 leader x {followers} followers"), followers, &runs);
    }
    let runs: Vec<Reading> = (0..ROUNDS).map(|_| ids(100_000)).collect();
    row("client order ids alone", 100_000, &runs);
}

fn row(name: &str, followers: u64, runs: &[Reading]) {
    let decisions = (followers * SIGNALS) as f64;
    let wall = median(runs.iter().map(|run| run.wall).collect());
    let cpu = median(runs.iter().map(|run| run.cpu).collect());
    let per = |seconds: f64| seconds * 1e9 / decisions;
    let rate = decisions / wall / 1e6;
    println!("{name:<34} {:>12.0} {:>12.0} {rate:>14.2}", per(wall), per(cpu));
}

fn ids(followers: u64) -> Reading {
    let names: Vec<String> = (0..followers).map(|number| format!("follower-{number}")).collect();
    let meter = Meter::start();
    for _ in 0..SIGNALS {
        for name in &names {
            std::hint::black_box(ClientOrderId::of(SIGNAL_ID, name, 0));
        }
    }
    meter.read()
}

const SIGNAL_ID: &str = "123e4567-e89b-12d3-a456-426614174000";

/// A position opened, halved twice and closed, again and again.
fn signal(number: u64) -> Signal {
    let (action, moved, open) = match number % 4 {
        0 => (TradeAction::Open, 100, 100),
        1 => (TradeAction::PartialClose, 50, 50),
        2 => (TradeAction::PartialClose, 25, 25),
        _ => (TradeAction::Close, 25, 0),
    };
    Signal {
        id: format!("{}{number:04}", &SIGNAL_ID[..32]).into(),
        source: "mt5".into(),
        time: time(number + 1),
        traceparent: None,
        leader: "leader".into(),
        instrument: "EURUSD".into(),
        position_id: format!("{}", number / 4).into(),
        parent_id: None,
        action,
        side: Side::Buy,
        lots: lots(moved),
        lots_open: lots(open),
        price: Some(Price::from_units(1_100_000_000)),
        stop_loss: Some(Price::from_units(1_090_000_000)),
        take_profit: None,
        equity: None,
    }
}

const fn time(number: u64) -> EventTime {
    EventTime::from_ns(number as i64 * 1_000_000_000)
}

fn account(name: Arc<str>, number: u64) -> Input {
    let equity = lots(100_000_000 + number as i64 % 977 * 10_000);
    Input::Account(Arc::new(Account {
        account: name,
        source: "mt5".into(),
        time: time(0),
        currency: "USD".into(),
        equity,
        balance: equity,
        free_margin: equity,
        day_equity: Some(equity),
        leverage: 100,
        holding: Holding::Hedging,
    }))
}

/// A world where every limit is looked at and none holds anything back.
fn copier(followers: u64) -> Copier {
    let mut copier = Copier::new(None, false);
    let specification = Specification {
        source: "mt5".into(),
        instrument: "EURUSD".into(),
        time: time(0),
        currency: "USD".into(),
        contract_size: lots(10_000_000),
        lot_step: lots(1),
        lot_min: lots(1),
        lot_max: lots(5_000),
        digits: 5,
    };
    copier.push(time(0), 0, Input::Specification(specification));
    let quote =
        Quote { bid: Price::from_units(1_100_000_000), ask: Price::from_units(1_100_010_000) };
    copier.push(time(0), 0, Input::Quote("mt5".into(), "EURUSD".into(), quote));
    copier.push(time(0), 0, account("leader".into(), 0));
    for number in 0..followers {
        let follower: Arc<str> = format!("follower-{number}").into();
        copier.push(time(0), 0, account(follower.clone(), number));
        let settings = Settings {
            sizing: Sizing::Equity,
            amount: lots(50 + number as i64 % 100),
            leverage_adjusted: true,
            trades_max: Some(100),
            daily_loss_max: Some(lots(1_000)),
            equity_stop: Some(lots(100)),
            slippage_points_max: Some(100),
            free_margin_min: Some(lots(1)),
            ..Settings::default()
        };
        copier.push(
            time(0),
            0,
            Input::Follow(Follow {
                leader: "leader".into(),
                follower,
                version: 1,
                time: time(0),
                settings: Some(Arc::new(settings)),
            }),
        );
    }
    copier.seal(time(0), &mut Vec::new(), &mut Vec::new());
    copier
}

/// One epoch per signal; what comes of it is dropped before the next.
fn copies(followers: u64) -> Reading {
    let mut copier = copier(followers);
    let signals: Vec<Signal> = (0..SIGNALS).map(signal).collect();
    let meter = Meter::start();
    let (mut decided, mut ordered) = (0, 0);
    for (number, signal) in (1..).zip(signals) {
        let (mut decisions, mut orders) = (Vec::new(), Vec::new());
        copier.push(signal.time, 0, Input::Signal(Box::new(signal)));
        copier.seal(time(number), &mut decisions, &mut orders);
        decided += decisions.len() as u64;
        ordered += orders.len() as u64;
    }
    let reading = meter.read();
    assert_eq!((decided, ordered), (followers * SIGNALS, followers * SIGNALS));
    reading
}
