//! Any history of one leader and one follower against the model.

use std::collections::BTreeMap;

use operators::copy::signal::Signal;
use operators::copy::world::Quote;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proto::account::Holding;
use proto::decimal::{Price, Quantity};
use proto::event_time::EventTime;
use proto::follow::{AboveMax, BelowMin, Rounding, Settings, Sizing};
use proto::side::{Side, TradeAction};

use super::model::{Known, Model};
use super::rig::{NOW, Rig, signal, specification};

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Settings(Box<Settings>),
    Accounts([(i64, i64, i64); 2], [u32; 2], [bool; 2]),
    Specification {
        step: i64,
        min: i64,
        max: i64,
        contract: i64,
    },
    Prices(i64, i64),
    Market(bool, i64),
    /// Opens a position, or adds to the one of this number.
    Open(usize, i64, bool),
    /// Closes so many percent of the position of this number; under a new ticket or the old one.
    Close(usize, i64, bool),
}

fn units() -> impl Strategy<Value = i64> {
    // Cents of an account, mostly; at times as much as there can be.
    prop_oneof![8 => (1..10_000_000_i64).prop_map(|cents| cents * 1_000_000), 1 => 1..=Quantity::MAX.units(), 1 => -1_000_000..=0_i64]
}

fn positive() -> impl Strategy<Value = i64> {
    prop_oneof![6 => (1..2_000_i64).prop_map(|hundredths| hundredths * 1_000_000), 1 => 1..=Quantity::MAX.units()]
}

fn some_lots() -> impl Strategy<Value = Option<Quantity>> {
    option::weighted(0.3, positive().prop_map(Quantity::from_units))
}

prop_compose! {
    fn settings()(
        sizing in select(vec![Sizing::Equity, Sizing::Balance, Sizing::FreeMargin, Sizing::Ratio, Sizing::Fixed, Sizing::Percent]),
        amount in positive(),
        flags in any::<[bool; 8]>(),
        bounds in (some_lots(), some_lots()),
        trades_max in option::weighted(0.2, 0..4_u32),
        amounts in (some_lots(), some_lots(), some_lots()),
        points in option::weighted(0.2, 0..2_000_u32),
        age_ms_max in option::weighted(0.2, 0..1_000_u32),
        lists in (0..4_usize, 0..8_usize),
    ) -> Settings {
        let [reverse, leverage_adjusted, multistep, contract_aligned, nearest, minimum, skip, paused] = flags;
        let negative = sizing == Sizing::Ratio && reverse && nearest;
        let ordered = bounds.0.zip(bounds.1).is_none_or(|(min, max)| min <= max);
        let list = |number| match number {
            0 => [std::sync::Arc::from("EURUSD")].into(),
            1 => [std::sync::Arc::from("GBPUSD")].into(),
            _ => std::collections::BTreeSet::new(),
        };
        Settings {
            sizing,
            amount: Quantity::from_units(if negative { -amount } else { amount }),
            reverse,
            leverage_adjusted,
            multistep,
            contract_aligned,
            rounding: if nearest { Rounding::Nearest } else { Rounding::Down },
            lots_min: bounds.0.filter(|_| ordered),
            lots_max: bounds.1.filter(|_| ordered),
            below_min: if minimum { BelowMin::Minimum } else { BelowMin::Skip },
            above_max: if skip { AboveMax::Skip } else { AboveMax::Clamp },
            trades_max,
            equity_stop: amounts.0,
            daily_loss_max: amounts.1,
            free_margin_min: amounts.2,
            slippage_points_max: points,
            age_ms_max,
            paused: paused && trades_max.is_some(),
            allowed: list(lists.0 + 1),
            denied: list(lists.1),
            ..Settings::default()
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let amounts = || (units(), units(), units());
    let leverage = || select(vec![1_u32, 30, 50, 100, 200, 500]);
    let price = || 800_000_000..1_600_000_000_i64;
    prop_oneof![
        2 => settings().prop_map(|settings| Step::Settings(Box::new(settings))),
        2 => ([amounts(), amounts()], [leverage(), leverage()], any::<[bool; 2]>())
            .prop_map(|(amounts, leverages, euros)| Step::Accounts(amounts, leverages, euros)),
        1 => (select(vec![1, 1_000, 1_000_000, 10_000_000, 33_000_000]), 0..40_i64, 0..9_000_i64, positive())
            .prop_map(|(step, min, more, contract)| Step::Specification {
                step,
                min: (min * step).max(1) - i64::from(min % 3 == 2).min((min * step).max(1) - 1),
                max: (min + more + 1) * step,
                contract,
            }),
        2 => (price(), price()).prop_map(|(one, other)| Step::Prices(one.min(other), one.max(other))),
        1 => (any::<bool>(), 0..1_000_000_000_i64).prop_map(|(open, age)| Step::Market(open, age)),
        6 => (0..6_usize, positive(), any::<bool>()).prop_map(|(at, lots, buys)| Step::Open(at, lots, buys)),
        6 => (0..6_usize, prop_oneof![1..100_i64, Just(100)], any::<bool>())
            .prop_map(|(at, percent, renamed)| Step::Close(at, percent, renamed)),
    ]
}

/// The leader's own positions: number, ticket, side, lots.
type Leader = Vec<(u32, String, Side, i64)>;

/// Makes the leader's signal of a step, if it can do that.
fn act(leader: &mut Leader, step: &Step, number: u32) -> Option<(u32, Signal)> {
    let id = format!("s-{number}");
    let text = |units: i64| Quantity::from_units(units).to_string();
    match *step {
        Step::Open(at, lots, buys) => {
            let lots = lots.min(Quantity::MAX.units() / 64);
            let side = if buys { Side::Buy } else { Side::Sell };
            if leader.get(at).is_none() {
                leader.push((number, format!("t-{number}"), side, 0));
            }
            let last = leader.len() - 1;
            let (own, ticket, side, open) = &mut leader[at.min(last)];
            *open += lots;
            let mut signal = signal(&id, TradeAction::Open, &text(lots), &text(*open));
            (signal.side, signal.position_id) = (*side, ticket.as_str().into());
            Some((*own, signal))
        }
        Step::Close(at, percent, renamed) => {
            let (own, ticket, side, open) = leader.get_mut(at)?;
            let lots = (*open / 100 * percent).max(1).min(*open);
            let lots = if percent == 100 { *open } else { lots };
            *open -= lots;
            let action = if *open == 0 { TradeAction::Close } else { TradeAction::PartialClose };
            let mut signal = signal(&id, action, &text(lots), &text(*open));
            if renamed {
                signal.parent_id = Some(ticket.as_str().into());
                *ticket = format!("t-{number}");
            }
            (signal.side, signal.position_id) = (*side, ticket.as_str().into());
            let own = *own;
            if *open == 0 {
                leader.remove(at);
            }
            Some((own, signal))
        }
        _ => None,
    }
}

fn apply(rig: &mut Rig, known: &mut Known, step: &Step) {
    match step {
        Step::Settings(settings) => rig.settings = (**settings).clone(),
        Step::Accounts(amounts, leverages, euros) => {
            for (account, ((equity, balance, free), (leverage, euro))) in
                [&mut rig.leader, &mut rig.account]
                    .into_iter()
                    .zip(amounts.iter().zip(leverages.iter().zip(euros)))
            {
                account.equity = Quantity::from_units(*equity);
                account.balance = Quantity::from_units(*balance);
                account.free_margin = Quantity::from_units(*free);
                account.day_equity = (*free > 0).then_some(account.balance);
                account.leverage = *leverage;
                account.currency = if *euro { "EUR" } else { "USD" }.into();
            }
        }
        Step::Specification { step, min, max, contract } => {
            let mut own = specification("mt4", "EURUSD");
            own.lot_step = Quantity::from_units(*step);
            own.lot_min = Quantity::from_units(*min);
            own.lot_max = Quantity::from_units(*max);
            own.contract_size = Quantity::from_units(*contract);
            rig.world.set_specification(own.clone());
            known.specification = own;
        }
        Step::Prices(bid, ask) => {
            known.quote = Quote { bid: Price::from_units(*bid), ask: Price::from_units(*ask) };
            rig.world.set_quote(&"mt4".into(), &"EURUSD".into(), known.quote);
        }
        Step::Market(is_open, age) => {
            rig.is_market_open = *is_open;
            rig.clock = EventTime::from_ns(NOW.ns() + age);
            (known.is_market_open, known.age_ns) = (*is_open, *age);
        }
        Step::Open(..) | Step::Close(..) => {}
    }
    known.settings = rig.settings.clone();
    (known.leader, known.account) = (rig.leader.clone(), rig.account.clone());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn any_history_is_copied_as_the_model_says(
        steps in vec(step(), 1..60),
        netting: bool,
    ) {
        let mut rig = Rig::new("10000", "5000");
        rig.account.holding = if netting { Holding::Netting } else { Holding::Hedging };
        let mut known = Known {
            leader: rig.leader.clone(),
            account: rig.account.clone(),
            leader_specification: specification("mt5", "EURUSD"),
            specification: specification("mt4", "EURUSD"),
            quote: Quote { bid: "1.1".parse().unwrap(), ask: "1.1".parse().unwrap() },
            settings: rig.settings.clone(),
            is_market_open: true,
            age_ns: 0,
        };
        let (mut leader, mut model) = (Leader::new(), Model::default());
        let mut open: BTreeMap<u32, i64> = BTreeMap::new();
        for (number, step) in (0..).zip(&steps) {
            apply(&mut rig, &mut known, step);
            let Some((position, signal)) = act(&mut leader, step, number) else { continue };
            let (row, orders) = rig.decide(&signal);
            let lots: Vec<i64> = orders.iter().map(|order| order.lots.units()).collect();
            let told = if orders.is_empty() { Err(row.reason.name()) } else { Ok(lots.clone()) };
            prop_assert_eq!(told, model.tell(&signal, &known), "{:?}\n{:?}", signal, row);
            let all: i64 = lots.iter().sum();
            prop_assert_eq!(row.lots.units(), all);
            let left = open.entry(position).or_default();
            if signal.action == TradeAction::Open {
                *left += all;
                let (step, max) = (known.specification.lot_step.units(), known.specification.lot_max);
                let own_max = rig.settings.lots_max.unwrap_or(max);
                prop_assert!(row.lots <= max.min(own_max) && all % step == 0);
                prop_assert!(all == 0 || row.lots >= known.specification.lot_min);
            } else {
                *left -= all;
                prop_assert!(*left >= 0);
                if signal.action == TradeAction::Close {
                    prop_assert_eq!(*left, 0, "what was closed is not what was opened");
                }
            }
        }
        prop_assert_eq!(rig.book.copies().len(), open.values().filter(|left| **left > 0).count());
    }
}
