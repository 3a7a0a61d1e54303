//! A leader and a follower with usual accounts, for tests to change what they are about.

use std::sync::Arc;

use operators::copy::decide::{Case, decide};
use operators::copy::positions::Book;
use operators::copy::signal::Signal;
use operators::copy::world::{Quote, World};
use proto::account::{Account, Holding};
use proto::decimal::{Price, Quantity};
use proto::decision::Decision;
use proto::event_time::EventTime;
use proto::follow::{Follow, Settings};
use proto::order::Order;
use proto::record::Record;
use proto::side::{Side, TradeAction};
use proto::specification::Specification;

pub(super) const NOW: EventTime = EventTime::from_ns(1_536_935_412_000_000_000);

pub(super) fn lots(text: &str) -> Quantity {
    text.parse().unwrap()
}

pub(super) fn price(text: &str) -> Price {
    text.parse().unwrap()
}

/// An account with all of `equity` free.
pub(super) fn account(name: &str, source: &str, equity: &str) -> Account {
    Account {
        account: name.into(),
        source: source.into(),
        time: NOW,
        currency: "USD".into(),
        equity: lots(equity),
        balance: lots(equity),
        free_margin: lots(equity),
        day_equity: Some(lots(equity)),
        leverage: 100,
        holding: Holding::Hedging,
    }
}

pub(super) fn specification(source: &str, instrument: &str) -> Specification {
    Specification {
        source: source.into(),
        instrument: instrument.into(),
        time: NOW,
        currency: "USD".into(),
        contract_size: lots("100000"),
        lot_step: lots("0.01"),
        lot_min: lots("0.01"),
        lot_max: lots("50"),
        digits: 5,
    }
}

/// What `anna` does with EURUSD, buying it at 1.1.
pub(super) fn signal(id: &str, action: TradeAction, moved: &str, open: &str) -> Signal {
    Signal {
        id: id.into(),
        source: "mt5".into(),
        time: NOW,
        traceparent: None,
        leader: "anna".into(),
        instrument: "EURUSD".into(),
        position_id: "100".into(),
        parent_id: None,
        action,
        side: Side::Buy,
        lots: lots(moved),
        lots_open: lots(open),
        price: Some(price("1.1")),
        stop_loss: None,
        take_profit: None,
        equity: None,
    }
}

/// `bert` follows `anna`.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) leader: Account,
    pub(super) account: Account,
    pub(super) world: World,
    pub(super) settings: Settings,
    pub(super) book: Book,
    pub(super) clock: EventTime,
    pub(super) is_market_open: bool,
    pub(super) is_tracked: bool,
}

impl Rig {
    pub(super) fn new(leader_equity: &str, equity: &str) -> Self {
        let mut world = World::default();
        let quote = Quote { bid: price("1.1"), ask: price("1.1") };
        for source in ["mt4", "mt5"] {
            world.set_specification(specification(source, "EURUSD"));
            world.set_quote(&source.into(), &"EURUSD".into(), quote);
        }
        Self {
            leader: account("anna", "mt5", leader_equity),
            account: account("bert", "mt4", equity),
            world,
            settings: Settings::default(),
            book: Book::default(),
            clock: NOW,
            is_market_open: true,
            is_tracked: false,
        }
    }

    /// Decides; every order and row must be fit to travel.
    pub(super) fn decide(&mut self, signal: &Signal) -> (Decision, Vec<Order>) {
        let follow = Follow {
            leader: "anna".into(),
            follower: "bert".into(),
            version: 1,
            time: NOW,
            settings: Some(Arc::new(self.settings.clone())),
        };
        follow.check().unwrap();
        let case = Case {
            signal,
            clock: self.clock,
            is_market_open: self.is_market_open,
            is_tracked: self.is_tracked,
            world: &self.world,
            leader: Some(&self.leader),
            follow: &follow,
            settings: &self.settings,
            account: Some(&self.account),
        };
        let mut orders = Vec::new();
        let row = decide(&case, &mut self.book, &mut orders);
        row.check().unwrap();
        for order in &orders {
            order.check().unwrap();
        }
        assert_eq!(row.orders as usize, orders.len());
        (row, orders)
    }

    /// Opens `lots` of the leader; gives the follower's, or the reason for none.
    pub(super) fn open(&mut self, lots: &str) -> String {
        self.told(&signal("s-open", TradeAction::Open, lots, lots))
    }

    /// Gives the lots of what is ordered, or the reason for nothing.
    pub(super) fn told(&mut self, signal: &Signal) -> String {
        let (row, orders) = self.decide(signal);
        match orders.first() {
            Some(_) => row.lots.to_string(),
            None => row.reason.name().to_owned(),
        }
    }
}
