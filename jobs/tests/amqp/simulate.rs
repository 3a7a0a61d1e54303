//! `tapeflow simulate`: what the gateways publish, read from a queue.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use proto::protobuf::{Protobuf, decode_tick};
use proto::side::TradeAction;
use proto::tick_message::TickMessage;
use proto::trade_event::TradeEvent;

use crate::rabbit::{Rabbit, rabbit};

/// Runs a gateway to its end.
fn simulate(rabbit: &Rabbit, exchange: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
    command.arg("simulate").args(arguments).args(["--exchange", exchange, "--output", "json"]);
    if !arguments.contains(&"--trade-exchange") {
        command.args(["--trade-every", "0"]);
    }
    command.env("TAPEFLOW_SIMULATE_URL", &rabbit.url).output().unwrap()
}

/// Runs a gateway, and gives what it published, with the keys, in the order of the queue.
fn published(rabbit: &Rabbit, word: &str, arguments: &[&str]) -> Vec<(String, TickMessage)> {
    let name = rabbit.own(word);
    rabbit.exchange(&name);
    rabbit.queue(&name, Some(&name), &[]);
    let output = simulate(rabbit, &name, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = summary["sources"][0]["records"].as_u64().unwrap();
    let messages = rabbit.take(&name, usize::try_from(count).unwrap());
    assert!(rabbit.get(&name).is_none(), "more than the {count} of the summary");
    let read = |message: &brokers::amqp::lapin::message::BasicGetMessage| {
        let tick = decode_tick(&message.data).unwrap().to_message();
        (message.routing_key.to_string(), tick)
    };
    messages.iter().map(read).collect()
}

#[test]
fn each_gateway_publishes_its_own_ticks_with_its_own_habits() {
    let Some(rabbit) = rabbit() else { return };
    let begun = dataflows::clock::wall().ns();
    for gateway in ["mt4", "mt5", "ib"] {
        let arguments = [
            gateway,
            "--rate",
            "400",
            "--ticks",
            "600",
            "--instruments",
            "EURUSD,XAUUSD",
            "--seed",
            "7",
        ];
        let ticks = published(&rabbit, gateway, &arguments);
        let now = dataflows::clock::wall().ns();
        assert_eq!(ticks.len(), 600);
        let mut series: BTreeMap<&str, Vec<&TickMessage>> = BTreeMap::new();
        for (key, tick) in &ticks {
            assert_eq!(*key, format!("market.{gateway}.{}.tick", tick.instrument));
            assert_eq!(tick.envelope.source, gateway);
            let time = tick.envelope.time.ns();
            assert!((begun - 1_000_000_000..=now).contains(&time), "it is the present");
            series.entry(&tick.instrument).or_default().push(tick);
        }
        assert_eq!(series.len(), 2);
        for ticks in series.values() {
            assert!(ticks.is_sorted_by_key(|tick| tick.envelope.time));
            for tick in ticks {
                let sides = [tick.bid, tick.ask, tick.last].map(|side| side.is_some());
                let has_sequence = tick.envelope.sequence.is_some();
                match gateway {
                    "mt4" => {
                        assert_eq!(tick.envelope.time.ns() % 1_000_000_000, 0);
                        assert_eq!((sides, has_sequence), ([true, true, false], false));
                    }
                    "mt5" => assert_eq!((sides, has_sequence), ([true, true, false], true)),
                    _ => {
                        assert_eq!(sides.iter().filter(|there| **there).count(), 1);
                        assert_eq!(tick.volume.is_some(), tick.last.is_some());
                        assert!(has_sequence);
                    }
                }
            }
        }
        if gateway == "ib" {
            let mut all: Vec<u64> =
                ticks.iter().filter_map(|(_, tick)| tick.envelope.sequence).collect();
            all.sort_unstable();
            assert_eq!(all, (0..600).collect::<Vec<u64>>(), "from 0, without a hole");
        }
    }
}

#[test]
fn beside_ticks_a_gateway_publishes_what_its_accounts_trade() {
    let Some(rabbit) = rabbit() else { return };
    let trades = rabbit.own("trades");
    rabbit.exchange(&trades);
    rabbit.queue(&trades, Some(&trades), &[]);
    let arguments = [
        "mt4",
        "--rate",
        "500",
        "--ticks",
        "600",
        "--instruments",
        "EURUSD",
        "--trade-exchange",
        &trades,
        "--trade-every",
        "5",
    ];
    let ticks = published(&rabbit, "ticks", &arguments);
    assert_eq!(ticks.len(), 600);
    let mut open = BTreeMap::new();
    for number in 1..=120 {
        let message = rabbit.get(&trades).expect("one for five ticks");
        assert_eq!(message.routing_key.as_str(), "trade.mt4.EURUSD");
        let event = TradeEvent::decode(&message.data).unwrap();
        assert_eq!(event.envelope.sequence, Some(number));
        // What is left of a partial close has a new ticket.
        let by_parent = |open: &mut BTreeMap<_, _>| open.remove(event.parent_id.as_ref()?);
        let was = open.remove(&event.position_id).or_else(|| by_parent(&mut open));
        assert_eq!(was.is_none(), event.action == TradeAction::Open, "{event:?}");
        if event.action != TradeAction::Close {
            open.insert(event.position_id, event.lots_open);
        }
    }
    assert!(rabbit.get(&trades).is_none());
}

#[test]
fn the_rate_is_the_one_that_was_asked_for_and_the_time_is_over_when_it_is() {
    let Some(rabbit) = rabbit() else { return };
    let ticks = published(&rabbit, "rate", &["mt5", "--rate", "500", "--for", "3s"]);
    // Chance has a spread of 39 here; this is six times as much.
    assert!((1_260..1_740).contains(&ticks.len()), "{} of about 1,500", ticks.len());
}

#[test]
fn what_is_wrong_is_said_and_the_password_is_not() {
    let Some(rabbit) = rabbit() else { return };
    let output = simulate(&rabbit, "none", &["mt4", "--instruments", "EURUSS"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("did you mean `EURUSD`?"), "{said}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
    let url = "amqp://guest:s3cr3t-pa55@127.0.0.1:5672/%2F";
    let output = command.args(["simulate", "mt4", "--url", url, "--for", "1s"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
}
