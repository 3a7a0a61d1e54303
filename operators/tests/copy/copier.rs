//! Many leaders and followers at once: the same decisions whatever the batches, the order within an
//! epoch, the number of workers, and restarts in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use operators::copy::copier::{Copier, Dropped, Input, Told};
use operators::copy::decide::{Case, decide};
use operators::copy::positions::{Book, Ended};
use operators::copy::signal::Signal;
use operators::copy::world::{Quote, World};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proto::decimal::Quantity;
use proto::decision::Decision;
use proto::event_time::EventTime;
use proto::follow::{Follow, Settings, Sizing};
use proto::order::{Order, OrderKind};
use proto::series::{KEY_GROUPS, key_group, worker_of};
use proto::side::TradeAction;

use super::rig::{NOW, account, lots, price, signal, specification};

const LEADERS: [&str; 4] = ["anna", "emil", "ines", "omar"];
const FOLLOWERS: [&str; 6] = ["bert", "carl", "dora", "fred", "gina", "hans"];

/// Something that happens, in the order of event time.
#[derive(Debug, Clone)]
enum Step {
    Follow {
        leader: usize,
        follower: usize,
        settings: Option<(Sizing, i64, bool)>,
        stale: bool,
    },
    Account {
        name: usize,
        equity: i64,
    },
    Quote(i64),
    /// Opens, or closes so many percent of what is open.
    Trade {
        leader: usize,
        percent: Option<i64>,
        again: bool,
    },
    /// The last order of a follower came to nothing, or to half.
    Undone {
        follower: usize,
        half: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let settings = (
        select(vec![Sizing::Equity, Sizing::Ratio, Sizing::Fixed]),
        1..300_i64,
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        4 => (0..4_usize, 0..6_usize, prop::option::weighted(0.8, settings), prop::bool::weighted(0.2))
            .prop_map(|(leader, follower, settings, stale)| Step::Follow { leader, follower, settings, stale }),
        2 => (0..10_usize, 100..100_000_i64).prop_map(|(name, equity)| Step::Account { name, equity }),
        1 => (1_000..1_300_i64).prop_map(Step::Quote),
        6 => (0..4_usize, prop::option::of(1..=100_i64), prop::bool::weighted(0.1))
            .prop_map(|(leader, percent, again)| Step::Trade { leader, percent, again }),
        1 => (0..6_usize, any::<bool>()).prop_map(|(follower, half)| Step::Undone { follower, half }),
    ]
}

/// Turns steps into inputs with times. What is undone is decided by a run, so it stays a step.
#[derive(Debug, Default)]
struct Script {
    versions: BTreeMap<(usize, usize), u64>,
    open: [i64; 4],
    positions: [u32; 4],
    last: BTreeMap<usize, Signal>,
}

impl Script {
    fn input(&mut self, number: u32, step: &Step) -> Option<Input> {
        Some(match step {
            Step::Follow { leader, follower, settings, stale } => {
                let version = self.versions.entry((*leader, *follower)).or_default();
                *version += u64::from(!stale || *version == 0);
                Input::Follow(Follow {
                    leader: LEADERS[*leader].into(),
                    follower: FOLLOWERS[*follower].into(),
                    version: *version,
                    time: NOW,
                    settings: settings.map(|(sizing, amount, paused)| {
                        let amount = Quantity::from_units(amount * 1_000_000);
                        Arc::new(Settings { sizing, amount, paused, ..Settings::default() })
                    }),
                })
            }
            Step::Account { name, equity } => {
                let name = FOLLOWERS.iter().chain(&LEADERS).nth(*name).unwrap();
                Input::Account(account(name, "mt4", &equity.to_string()).into())
            }
            Step::Quote(pips) => {
                let at = price(&format!("1.{pips}"));
                Input::Quote("mt4".into(), "EURUSD".into(), Quote { bid: at, ask: at })
            }
            Step::Trade { leader, again: true, .. } => {
                Input::Signal(Box::new(self.last.get(leader)?.clone()))
            }
            Step::Trade { leader, percent, .. } => {
                let open = &mut self.open[*leader];
                let text =
                    |hundredths: i64| format!("{}.{:02}", hundredths / 100, hundredths % 100);
                let id = format!("s-{number}");
                let mut signal = match percent {
                    Some(percent) if *open > 0 => {
                        let closed = (*open * percent / 100).max(1);
                        *open -= closed;
                        let all =
                            if *open == 0 { TradeAction::Close } else { TradeAction::PartialClose };
                        signal(&id, all, &text(closed), &text(*open))
                    }
                    _ => {
                        self.positions[*leader] += u32::from(*open == 0);
                        *open += 37;
                        signal(&id, TradeAction::Open, "0.37", &text(*open))
                    }
                };
                signal.leader = LEADERS[*leader].into();
                signal.source = "mt4".into();
                signal.position_id = format!("{}", self.positions[*leader]).into();
                self.last.insert(*leader, signal.clone());
                Input::Signal(Box::new(signal))
            }
            Step::Undone { .. } => return None,
        })
    }
}

fn time(number: u32) -> EventTime {
    EventTime::from_ns(NOW.ns() + i64::from(number))
}

fn ended(order: &Order, half: bool) -> Ended {
    let undone = if half { order.lots.units() / 2 } else { order.lots.units() };
    Ended {
        id: order.client_order_id.parse().unwrap(),
        undone: Quantity::from_units(undone),
        is_refused: order.kind == OrderKind::Modify || undone > 0,
    }
}

/// What the steps come to: inputs with times. Undone orders are told by a plain run over lists.
fn plain(steps: &[Step]) -> (Vec<(u32, Input)>, Vec<Decision>, Vec<Order>) {
    let (mut script, mut world) = (Script::default(), World::default());
    let own = Input::Specification(specification("mt4", "EURUSD"));
    let mut inputs = vec![(0, own)];
    world.set_specification(specification("mt4", "EURUSD"));
    let mut rows: Vec<(Follow, Book)> = Vec::new();
    let (mut seen, mut decisions, mut orders) = (Vec::new(), Vec::new(), Vec::<Order>::new());
    let mut leaders: BTreeMap<String, String> = BTreeMap::new();
    for (number, step) in (1..).zip(steps) {
        if let Step::Undone { follower, half } = step {
            let name = FOLLOWERS[*follower];
            let Some(at) = orders.iter().rposition(|order| order.account == name) else { continue };
            let ended = ended(&orders[at], *half);
            let leader = leaders[&orders[at].client_order_id].clone();
            if let Some((_, book)) =
                rows.iter_mut().find(|(row, _)| *row.leader == *leader && &*row.follower == name)
            {
                book.settle(ended);
            }
            inputs.push((
                number,
                Input::Told(leader.as_str().into(), name.into(), Told::Ended(ended)),
            ));
            continue;
        }
        let Some(input) = script.input(number, step) else { continue };
        inputs.push((number, input.clone()));
        match input {
            Input::Follow(row) => {
                let at = rows.iter().position(|(known, _)| {
                    (&known.leader, &known.follower) == (&row.leader, &row.follower)
                });
                match at {
                    Some(at) if row.version > rows[at].0.version => {
                        if row.settings.is_none() {
                            rows[at].1 = Book::default();
                        }
                        rows[at].0 = row;
                    }
                    Some(_) => {}
                    None => rows.push((row, Book::default())),
                }
            }
            Input::Account(account) => world.set_account(account),
            Input::Quote(source, instrument, quote) => world.set_quote(&source, &instrument, quote),
            Input::Signal(signal) => {
                if seen.contains(&signal.id) {
                    continue;
                }
                seen.push(signal.id.clone());
                rows.sort_by(|(left, _), (right, _)| left.follower.cmp(&right.follower));
                let world = &world;
                for (follow, book) in rows.iter_mut().filter(|(row, _)| row.leader == signal.leader)
                {
                    let Some(settings) = &follow.settings else { continue };
                    let case = Case {
                        signal: &signal,
                        clock: time(number),
                        is_market_open: true,
                        is_tracked: true,
                        world,
                        leader: world.account(&signal.leader).map(|account| &**account),
                        follow,
                        settings,
                        account: world.account(&follow.follower).map(|account| &**account),
                    };
                    let before = orders.len();
                    decisions.push(decide(&case, book, &mut orders));
                    for order in &orders[before..] {
                        leaders.insert(order.client_order_id.clone(), signal.leader.to_string());
                    }
                }
            }
            Input::Specification(_) | Input::Told(..) => {}
        }
    }
    (inputs, decisions, orders)
}

fn leader(input: &Input) -> Option<&str> {
    match input {
        Input::Follow(row) => Some(&row.leader),
        Input::Told(leader, ..) => Some(leader),
        Input::Signal(signal) => Some(&signal.leader),
        Input::Specification(_) | Input::Account(_) | Input::Quote(..) => None,
    }
}

/// Makes the job clock not matter: epochs differ in it.
fn timeless(mut rows: Vec<Decision>, mut orders: Vec<Order>) -> (Vec<Decision>, Vec<Order>) {
    rows.iter_mut().for_each(|row| row.clock = NOW);
    orders.iter_mut().for_each(|order| order.envelope.time = NOW);
    let key = |row: &Decision| (row.time, row.signal_id.clone(), row.follower.clone());
    rows.sort_by_key(key);
    orders.sort_by(|left, right| left.client_order_id.cmp(&right.client_order_id));
    (rows, orders)
}

proptest! {
    #[test]
    fn decisions_do_not_depend_on_batches_order_workers_or_restarts(
        steps in vec(step(), 1..80),
        cuts in vec(1..9_usize, 1..10),
        workers in 1..4_usize,
        seed: u64,
    ) {
        let (inputs, decisions, orders) = plain(&steps);
        let mut copiers: Vec<Copier> = (0..workers).map(|_| Copier::new(None, true)).collect();
        let (mut made, mut sent, mut dropped) = (Vec::new(), Vec::new(), Dropped::default());
        let mut cuts = cuts.into_iter().cycle();
        let (mut rest, mut chance) = (inputs.as_slice(), seed | 1);
        while !rest.is_empty() {
            let (epoch, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            rest = later;
            let mut epoch = epoch.to_vec();
            while !epoch.is_empty() {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (number, input) = epoch.swap_remove((chance >> 33) as usize % epoch.len());
                let owner = leader(&input).map(|name| worker_of(key_group("leader", name), workers));
                for (worker, copier) in copiers.iter_mut().enumerate() {
                    if owner.is_none_or(|owner| owner == worker) {
                        copier.push(time(number), 0, input.clone());
                    }
                }
            }
            for copier in &mut copiers {
                let more = copier.seal(NOW, &mut made, &mut sent);
                dropped.signals += more.signals;
            }
            if chance % 3 == 0 {
                copiers = restarted(&copiers);
            }
        }
        let expected = timeless(decisions, orders);
        let signals = steps.iter().filter(|step| matches!(step, Step::Trade { again: true, .. })).count();
        prop_assert!(dropped.signals <= signals as u64);
        prop_assert_eq!(timeless(made, sent), expected);
    }
}

/// All states written by key group and taken over by new machines, one of them more.
fn restarted(copiers: &[Copier]) -> Vec<Copier> {
    let workers = copiers.len();
    (0..workers)
        .map(|worker| {
            let mut copier = Copier::new(None, true);
            let world = postcard::to_allocvec(copiers[worker].world()).unwrap();
            copier.set_world(postcard::from_bytes(&world).unwrap());
            for group in (0..KEY_GROUPS).filter(|group| worker_of(*group, workers) == worker) {
                let mut bytes = Vec::new();
                copiers.iter().for_each(|before| before.snapshot(group, &mut bytes).unwrap());
                copier.restore(group, &bytes).unwrap();
            }
            copier
        })
        .collect()
}

#[test]
fn a_signal_sees_the_rows_prices_and_accounts_of_its_own_time() {
    let mut copier = Copier::new(None, false);
    let follow = |version, settings: Option<Settings>| {
        Input::Follow(Follow {
            leader: "anna".into(),
            follower: "bert".into(),
            version,
            time: NOW,
            settings: settings.map(Arc::new),
        })
    };
    let fixed =
        |text: &str| Settings { sizing: Sizing::Fixed, amount: lots(text), ..Settings::default() };
    let open = |id: &str| Input::Signal(Box::new(signal(id, TradeAction::Open, "1", "1")));
    copier.push(time(9), 0, open("d"));
    copier.push(time(3), 0, open("b"));
    copier.push(time(2), 0, open("a"));
    copier.push(time(7), 0, open("c"));
    copier.push(time(7), 0, follow(3, None));
    copier.push(time(3), 0, follow(1, Some(fixed("0.1"))));
    copier.push(time(8), 0, follow(4, Some(fixed("0.2"))));
    copier.push(time(8), 0, Input::Account(account("bert", "mt4", "1").into()));
    copier.push(time(0), 0, Input::Specification(specification("mt4", "EURUSD")));
    let (mut rows, mut orders) = (Vec::new(), Vec::new());
    copier.seal(NOW, &mut rows, &mut orders);
    let told: Vec<(&str, &str)> =
        rows.iter().map(|row| (&*row.signal_id, row.reason.name())).collect();
    assert_eq!(told, [("b", "no_account"), ("d", "copied")]);
    assert_eq!(orders[0].lots, lots("0.2"));
}
