//! Every limit, at its edge.

use operators::copy::signal::Signal;
use operators::copy::world::{Quote, World};
use proto::event_time::EventTime;
use proto::follow::{AboveMax, BelowMin, Settings, Sizing};
use proto::side::{Side, TradeAction};

use super::rig::{NOW, Rig, lots, price, signal, specification};

/// A follower that copies lot for lot.
fn mirror(change: impl FnOnce(&mut Settings)) -> Rig {
    let mut rig = Rig::new("1000", "1000");
    change(&mut rig.settings);
    rig
}

#[test]
fn a_size_is_a_whole_number_of_steps_within_the_bounds() {
    for (wanted, below, above, copied) in [
        ("0.019", BelowMin::Skip, AboveMax::Clamp, "0.01"),
        ("0.0099", BelowMin::Skip, AboveMax::Clamp, "below_min"),
        ("0.0099", BelowMin::Minimum, AboveMax::Clamp, "0.01"),
        ("50.019", BelowMin::Skip, AboveMax::Clamp, "50"),
        ("50.01", BelowMin::Skip, AboveMax::Clamp, "50"),
        ("50.01", BelowMin::Skip, AboveMax::Skip, "above_max"),
        ("9999999999", BelowMin::Skip, AboveMax::Skip, "above_max"),
    ] {
        let mut rig = mirror(|own| (own.below_min, own.above_max) = (below, above));
        assert_eq!(rig.open(wanted), copied, "{wanted} {below:?} {above:?}");
    }
}

#[test]
fn own_bounds_narrow_those_of_the_instrument_and_never_widen_them() {
    let bounded = |min: &str, max: &str, wanted| {
        mirror(|own| {
            (own.lots_min, own.lots_max) = (Some(lots(min)), Some(lots(max)));
            own.below_min = BelowMin::Minimum;
        })
        .open(wanted)
    };
    // 0.105 is no whole number of steps: the least is 0.11.
    assert_eq!(bounded("0.105", "2", "0.05"), "0.11");
    assert_eq!(bounded("0.001", "2", "0.005"), "0.01");
    assert_eq!(bounded("0.1", "0.255", "3"), "0.25");
    assert_eq!(bounded("0.1", "900", "800"), "50");
    // Nothing is between 0.101 and 0.109.
    assert_eq!(bounded("0.101", "0.109", "0.105"), "below_min");
}

#[test]
fn a_paused_follower_opens_nothing_and_closes_what_is_open() {
    let mut rig = mirror(|_| ());
    assert_eq!(rig.open("1"), "1");
    rig.settings.paused = true;
    assert_eq!(rig.told(&signal("t", TradeAction::Open, "1", "2")), "paused");
    assert_eq!(rig.told(&signal("u", TradeAction::PartialClose, "0.5", "1.5")), "0.25");
    assert_eq!(rig.told(&signal("v", TradeAction::Close, "1.5", "0")), "0.75");
    assert!(rig.book.is_empty());
}

#[test]
fn only_what_is_allowed_and_not_denied_is_copied() {
    for (allowed, denied, copied) in [
        (vec![], vec![], "1"),
        (vec!["EURUSD"], vec![], "1"),
        (vec!["GBPUSD"], vec![], "filter"),
        (vec![], vec!["EURUSD"], "filter"),
        (vec!["EURUSD"], vec!["EURUSD"], "filter"),
    ] {
        let mut rig = mirror(|own| {
            own.allowed = allowed.into_iter().map(Into::into).collect();
            own.denied = denied.into_iter().map(Into::into).collect();
        });
        assert_eq!(rig.open("1"), copied);
    }
}

#[test]
fn an_instrument_goes_by_the_followers_name_for_it() {
    let mut rig = mirror(|own| {
        own.symbols.insert("EURUSD".into(), "EURUSD.m".into());
    });
    assert_eq!(rig.open("1"), "no_specification");
    rig.world.set_specification(specification("mt4", "EURUSD.m"));
    let (row, orders) = rig.decide(&signal("s", TradeAction::Open, "1", "1"));
    assert_eq!(orders[0].instrument, "EURUSD.m");
    assert_eq!((&*row.leader_instrument, row.instrument.as_deref()), ("EURUSD", Some("EURUSD.m")));
    // The close is of what is open, whatever the map says by now.
    rig.settings.symbols.clear();
    let (_, orders) = rig.decide(&signal("t", TradeAction::Close, "1", "0"));
    assert_eq!(orders[0].instrument, "EURUSD.m");
}

#[test]
fn what_is_not_known_is_told() {
    let mut rig = mirror(|_| ());
    rig.world = World::default();
    assert_eq!(rig.open("1"), "no_specification");
    rig.world.set_specification(specification("mt4", "EURUSD"));
    // The leader's contract is not known either.
    assert_eq!(rig.open("1"), "no_specification");
    rig.settings.contract_aligned = false;
    assert_eq!(rig.open("1"), "1");
    rig.settings.slippage_points_max = Some(10);
    assert_eq!(rig.open("1"), "no_price");
    rig.settings = Settings { sizing: Sizing::Percent, ..Settings::default() };
    assert_eq!(rig.open("1"), "no_price");
    rig.settings = Settings { contract_aligned: false, ..Settings::default() };
    rig.leader.currency = "JPY".into();
    assert_eq!(rig.open("1"), "no_rate");
    rig.leader.equity = lots("0");
    assert_eq!(rig.open("1"), "no_base");
}

#[test]
fn nothing_opens_while_the_market_is_closed_but_what_is_open_can_close() {
    let mut rig = mirror(|_| ());
    assert_eq!(rig.open("1"), "1");
    rig.is_market_open = false;
    assert_eq!(rig.told(&signal("t", TradeAction::Open, "1", "2")), "market_closed");
    assert_eq!(rig.told(&signal("u", TradeAction::Close, "2", "0")), "1");
}

#[test]
fn a_signal_may_be_as_old_as_the_follower_says_and_no_older() {
    for (age_ns, copied) in
        [(500_000_000, "1"), (500_000_001, "too_old"), (-1, "1"), (i64::MAX - NOW.ns(), "too_old")]
    {
        let mut rig = mirror(|own| own.age_ms_max = Some(500));
        rig.clock = EventTime::from_ns(NOW.ns() + age_ns);
        assert_eq!(rig.open("1"), copied, "{age_ns}");
    }
}

#[test]
fn the_account_stops_opening_at_its_stop_and_after_the_days_loss() {
    let told = |equity: &str, day: Option<&str>, change: fn(&mut Settings)| {
        let mut rig = mirror(change);
        rig.account.equity = lots(equity);
        rig.account.day_equity = day.map(lots);
        rig.settings.sizing = Sizing::Ratio;
        rig.open("1")
    };
    let stop: fn(&mut Settings) = |own| own.equity_stop = Some(lots("700"));
    assert_eq!(told("700.00000001", None, stop), "1");
    assert_eq!(told("700", None, stop), "equity_stop");
    assert_eq!(told("-1", None, stop), "equity_stop");
    let loss: fn(&mut Settings) = |own| own.daily_loss_max = Some(lots("100"));
    assert_eq!(told("900.01", Some("1000"), loss), "1");
    assert_eq!(told("900", Some("1000"), loss), "daily_loss");
    assert_eq!(told("900", None, loss), "daily_loss");
}

#[test]
fn no_more_trades_are_open_than_may_be_and_adding_to_one_is_none() {
    let mut rig = mirror(|own| own.trades_max = Some(1));
    let other = |id: &str, ticket: &str| Signal {
        position_id: ticket.into(),
        ..signal(id, TradeAction::Open, "1", "1")
    };
    assert_eq!(rig.told(&other("a", "1")), "1");
    assert_eq!(rig.told(&other("b", "2")), "too_many_trades");
    assert_eq!(rig.told(&other("c", "1")), "1");
    let close = Signal { position_id: "1".into(), ..signal("d", TradeAction::Close, "2", "0") };
    assert_eq!(rig.told(&close), "2");
    assert_eq!(rig.told(&other("e", "2")), "1");
}

#[test]
fn a_price_may_be_worse_than_the_leaders_by_so_many_points() {
    let told = |side, bid: &str, ask: &str| {
        let mut rig = mirror(|own| own.slippage_points_max = Some(20));
        let quote = Quote { bid: price(bid), ask: price(ask) };
        rig.world.set_quote(&"mt4".into(), &"EURUSD".into(), quote);
        rig.told(&Signal { side, ..signal("s", TradeAction::Open, "1", "1") })
    };
    // The leader traded at 1.1; a point is 0.00001.
    assert_eq!(told(Side::Buy, "1.1", "1.1002"), "1");
    assert_eq!(told(Side::Buy, "1.1", "1.10021"), "slippage");
    assert_eq!(told(Side::Buy, "1.05", "1.05"), "1");
    assert_eq!(told(Side::Sell, "1.0998", "1.1"), "1");
    assert_eq!(told(Side::Sell, "1.09979", "1.1"), "slippage");
    assert_eq!(told(Side::Sell, "0", "1.1"), "no_price");
}

#[test]
fn so_much_margin_is_left_free() {
    // One lot at 1.1 and 1:100 binds 1100 USD.
    let told = |free: &str, least: &str| {
        let mut rig = mirror(|own| own.free_margin_min = Some(lots(least)));
        rig.account.free_margin = lots(free);
        let (row, _) = rig.decide(&signal("s", TradeAction::Open, "1", "1"));
        assert_eq!(row.margin, Some(lots("1100")));
        row.reason.name()
    };
    assert_eq!(told("1100", "0"), "copied");
    assert_eq!(told("1099.99999999", "0"), "margin");
    assert_eq!(told("1600", "500"), "copied");
    assert_eq!(told("1599", "500"), "margin");
}
