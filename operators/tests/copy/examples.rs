//! The worked examples that brokers and platforms publish.

use operators::copy::allocate::multistep;
use operators::copy::world::Quote;
use proto::follow::{Rounding, Settings, Sizing};
use proto::side::{Side, TradeAction};

use super::rig::{Rig, lots, price, signal};

#[test]
fn lots_are_in_proportion_to_equity_times_a_ratio() {
    for (leader_lots, equity, leader_equity, ratio, rounding, copied) in [
        ("2.50", "5000", "2000", "1.00", Rounding::Down, "6.25"),
        ("2.00", "2000", "8000", "2.50", Rounding::Down, "1.25"),
        // 3.125: the source rounds to the nearest step; down is ours unless asked for otherwise.
        ("2.50", "5000", "2000", "0.5", Rounding::Nearest, "3.13"),
        ("2.50", "5000", "2000", "0.5", Rounding::Down, "3.12"),
        ("0.5", "2000", "1000", "2", Rounding::Down, "2"),
    ] {
        let mut rig = Rig::new(leader_equity, equity);
        rig.settings = Settings { amount: lots(ratio), rounding, ..Settings::default() };
        assert_eq!(rig.open(leader_lots), copied, "{leader_lots} × {equity} / {leader_equity}");
    }
}

/// The calculation of volumes in MetaQuotes' "General information on Trading Signals".
fn signals_of_mql5(equity: &str, leverage: u32, load: &str) -> Rig {
    let mut rig = Rig::new("15000", equity);
    rig.account.currency = "EUR".into();
    rig.account.leverage = leverage;
    let quote = Quote { bid: price("1.27"), ask: price("1.27") };
    rig.world.set_quote(&"mt4".into(), &"EURUSD".into(), quote);
    rig.settings = Settings {
        sizing: Sizing::Balance,
        amount: lots(load),
        leverage_adjusted: true,
        multistep: true,
        ..Settings::default()
    };
    rig
}

#[test]
fn signals_of_mql5_adjust_by_leverage_and_currency_and_round_in_steps() {
    for (equity, leverage, load, percent, copied) in
        [("40000", 200, "0.5", 160, "1.6"), ("5000", 50, "0.35", 7, "0.07")]
    {
        let mut rig = signals_of_mql5(equity, leverage, load);
        let (row, orders) = rig.decide(&signal("s", TradeAction::Open, "1", "1"));
        assert_eq!(row.percent, Some(percent));
        assert_eq!(orders[0].lots.to_string(), copied);
        assert_eq!(row.rate_instrument.as_deref(), Some("EURUSD"));
    }
}

#[test]
fn without_the_steps_the_proportion_is_exact() {
    // 1.6933 and 0.0741 in the source, which rounds on the way.
    for (equity, leverage, load, exact) in
        [("40000", 200, "0.5", "1.69333333"), ("5000", 50, "0.35", "0.07408333")]
    {
        let mut rig = signals_of_mql5(equity, leverage, load);
        rig.settings.multistep = false;
        let (row, _) = rig.decide(&signal("s", TradeAction::Open, "1", "1"));
        assert_eq!(row.lots_exact.unwrap().to_string(), exact);
    }
}

#[test]
fn the_steps_are_those_of_mql5() {
    // 0.25 %, 6.25 %, 29.7 % and 129.6 % in the source.
    for (percent, rounded) in [
        (0, 1),
        (1, 1),
        (6, 6),
        (9, 9),
        (10, 10),
        (29, 25),
        (99, 95),
        (100, 100),
        (129, 120),
        (999, 990),
    ] {
        assert_eq!(multistep(percent), rounded, "{percent} %");
    }
}

#[test]
fn a_rate_is_found_whichever_way_round_its_instrument_is_named() {
    // Leader in EUR, follower in USD: 12700 USD are 10000 EUR at an ask of 1.27.
    let mut rig = Rig::new("10000", "12700");
    rig.leader.currency = "EUR".into();
    let quote = Quote { bid: price("1.2699"), ask: price("1.27") };
    rig.world.set_quote(&"mt4".into(), &"EURUSD".into(), quote);
    assert_eq!(rig.open("1.5"), "1.5");
}

#[test]
fn every_way_of_sizing_is_what_it_says() {
    let sized = |sizing, amount: &str| {
        let mut rig = Rig::new("10000", "5000");
        rig.account.balance = lots("2500");
        rig.account.free_margin = lots("1000");
        rig.settings = Settings { sizing, amount: lots(amount), ..Settings::default() };
        rig.open("2")
    };
    assert_eq!(sized(Sizing::Equity, "1"), "1");
    assert_eq!(sized(Sizing::Balance, "1"), "0.5");
    assert_eq!(sized(Sizing::FreeMargin, "1"), "0.2");
    assert_eq!(sized(Sizing::Ratio, "1"), "2");
    assert_eq!(sized(Sizing::Ratio, "0.33"), "0.66");
    assert_eq!(sized(Sizing::Fixed, "0.3"), "0.3");
    // 22 % of 5000 at 1:100 carry 110000 USD: one lot of 100000 EUR at 1.1.
    assert_eq!(sized(Sizing::Percent, "22"), "1");
}

#[test]
fn the_leaders_equity_in_the_signal_is_newer_than_its_account() {
    let mut rig = Rig::new("10000", "5000");
    let mut open = signal("s", TradeAction::Open, "1", "1");
    open.equity = Some(lots("2500"));
    assert_eq!(rig.told(&open), "2");
}

#[test]
fn lots_of_unequal_contracts_are_aligned() {
    let mut rig = Rig::new("1000", "1000");
    let mut small = super::rig::specification("mt4", "EURUSD");
    small.contract_size = lots("10000");
    rig.world.set_specification(small);
    assert_eq!(rig.open("0.2"), "2");
    rig.settings.contract_aligned = false;
    assert_eq!(rig.open("0.2"), "0.2");
}

#[test]
fn copying_in_reverse_swaps_side_and_stops() {
    for reversed in [
        Settings { reverse: true, ..Settings::default() },
        Settings { sizing: Sizing::Ratio, amount: lots("-1"), ..Settings::default() },
    ] {
        let mut rig = Rig::new("1000", "1000");
        rig.settings = reversed;
        let mut open = signal("s", TradeAction::Open, "1", "1");
        (open.stop_loss, open.take_profit) = (Some(price("1.09")), Some(price("1.12")));
        let (_, orders) = rig.decide(&open);
        assert_eq!(orders[0].side, Side::Sell);
        assert_eq!(orders[0].stop_loss, Some(price("1.12")));
        assert_eq!(orders[0].take_profit, Some(price("1.09")));
        let (_, orders) = rig.decide(&signal("t", TradeAction::Close, "1", "0"));
        assert_eq!((orders[0].side, orders[0].lots), (Side::Buy, lots("1")));
    }
}

#[test]
fn twice_reversed_is_not_reversed() {
    let mut rig = Rig::new("1000", "1000");
    rig.settings = Settings {
        sizing: Sizing::Ratio,
        amount: lots("-1"),
        reverse: true,
        ..Settings::default()
    };
    let (_, orders) = rig.decide(&signal("s", TradeAction::Open, "1", "1"));
    assert_eq!(orders[0].side, Side::Buy);
}
