//! `simulated_trades`: accounts that do not exist, which trade at the prices that come.

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use dataflows::state::Keyed;
use proto::decimal::{Price, Quantity};
use proto::envelope::Envelope;
use proto::payload::Payload;
use proto::protobuf::Protobuf;
use proto::series::{KeyGroup, Series};
use proto::side::{Side, TradeAction};
use proto::tick::Tick;
use proto::trade_event::TradeEvent;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{expect_version, with_state};

const STATE_VERSION: u16 = 1;
const EVENTS: usize = 0;
/// So many positions of one series are open at most.
const OPEN_MAX: usize = 6;
/// A hundredth of a lot, in units.
const LOT_STEP: i64 = 1_000_000;

/// Has simulated accounts open positions, move their stops, close a part and close, at the prices
/// of the ticks: one event for every `every` ticks of a series.
///
/// Events are `TradeEvent` in Protobuf, as the gateways of the platform publish them. Of `mt4` what
/// is left of a partial close gets a new ticket, with the old one as its parent. The same ticks and
/// seed give the same events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedTradesConfig {
    /// What all chance comes from.
    #[serde(default = "one")]
    pub seed: u64,
    /// One event for so many ticks of a series.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1))]
    pub every: u32,
    /// How many accounts trade.
    #[serde(default = "accounts")]
    #[schemars(range(min = 1))]
    pub accounts: u32,
}

const fn one() -> u64 {
    1
}

const fn twenty() -> u32 {
    20
}

const fn accounts() -> u32 {
    25
}

/// The definition of `simulated_trades`.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedTrades;

impl Definition for SimulatedTrades {
    fn name(&self) -> &'static str {
        "simulated_trades"
    }

    fn summary(&self) -> &'static str {
        "Has accounts that do not exist trade at the prices that come: trade events to test with."
    }

    fn config(&self) -> Schema {
        schema_for!(SimulatedTradesConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut found = check_config::<SimulatedTradesConfig>(config);
        let Ok(config) = SimulatedTradesConfig::deserialize(config) else { return found };
        for (field, count) in [("every", config.every), ("accounts", config.accounts)] {
            if count == 0 {
                found.push((field.to_owned(), "it is 0; expected 1 or more".to_owned()));
            }
        }
        found
    }
}

impl OperatorDefinition for SimulatedTrades {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks]
    }

    fn outputs(&self) -> &'static [Output] {
        &[Output {
            name: "events",
            kind: Some(Kind::Payloads),
            about: "Trade events in Protobuf, in the order of their ticks.",
        }]
    }

    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let config: SimulatedTradesConfig =
            read_config(&format!("operators.{}", context.id), config)?;
        let states = Keyed::new(context.series);
        Ok(AnyMachine::Ticks(Box::new(TradesMachine { config, states })))
    }
}

/// An open position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    ticket: u64,
    parent: Option<u64>,
    account: u32,
    is_sell: bool,
    lots: i64,
    stop_loss: Option<Price>,
    take_profit: Option<Price>,
}

/// One series.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Slot {
    ticks: u64,
    events: u64,
    /// The newest prices: a tick of `ib` has one of them.
    bid: Price,
    ask: Price,
    open: Vec<Open>,
}

/// The machine of `simulated_trades`.
#[derive(Debug)]
struct TradesMachine {
    config: SimulatedTradesConfig,
    states: Keyed<Slot>,
}

/// Scatters the bits of a number (`splitmix64`, Steele, Lea and Flood 2014).
const fn scattered(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Slot {
    /// What happens next, and the position that it happens to as it is afterwards; none stays of
    /// one that is closed.
    fn act(
        &mut self,
        bits: u64,
        config: &SimulatedTradesConfig,
        is_mt4: bool,
    ) -> Option<(TradeAction, i64, Open)> {
        self.events += 1;
        let part = |shift: u32, of: u64| (bits >> shift) % of;
        let is_opening = self.open.is_empty() || (part(0, 3) == 0 && self.open.len() < OPEN_MAX);
        if is_opening {
            let lots = (1 + part(8, 100) as i64) * LOT_STEP;
            let account = part(16, u64::from(config.accounts)) as u32;
            let is_sell = part(24, 2) == 1;
            let (stop_loss, take_profit) = self.stops(is_sell, part(32, 50) as i64 + 10);
            let ticket = self.events;
            let open =
                Open { ticket, parent: None, account, is_sell, lots, stop_loss, take_profit };
            self.open.push(open.clone());
            return Some((TradeAction::Open, lots, open));
        }
        let at = part(8, self.open.len() as u64) as usize;
        let (is_sell, lots) = self.open.get(at).map(|open| (open.is_sell, open.lots))?;
        let half = lots / 2 / LOT_STEP * LOT_STEP;
        match part(16, 4) {
            0 => {
                let stops = self.stops(is_sell, part(32, 50) as i64 + 10);
                let open = self.open.get_mut(at)?;
                (open.stop_loss, open.take_profit) = stops;
                Some((TradeAction::Modify, 0, open.clone()))
            }
            1 if half > 0 => {
                let ticket = self.events;
                let open = self.open.get_mut(at)?;
                open.lots -= half;
                if is_mt4 {
                    open.parent = Some(std::mem::replace(&mut open.ticket, ticket));
                }
                Some((TradeAction::PartialClose, half, open.clone()))
            }
            _ => {
                let open = self.open.remove(at);
                Some((TradeAction::Close, lots, Open { lots: 0, ..open }))
            }
        }
    }

    /// Stops, so many thousandths of the price away.
    fn stops(&self, is_sell: bool, thousandths: i64) -> (Option<Price>, Option<Price>) {
        let price = self.price(is_sell).units();
        let away = price / 1_000 * thousandths;
        let below = Some(Price::from_units(price - away));
        let above = Some(Price::from_units(price + away));
        if is_sell { (above, below) } else { (below, above) }
    }

    /// What one sells at, or buys at.
    const fn price(&self, is_selling: bool) -> Price {
        if is_selling { self.bid } else { self.ask }
    }
}

impl TradesMachine {
    fn event(
        series: &Series,
        slot: &Slot,
        (action, lots, open): (TradeAction, i64, Open),
        tick: &Tick,
    ) -> TradeEvent {
        let id = |ticket: u64| format!("{}-{}-{ticket}", series.source, series.instrument);
        // An opening sale and a closing purchase: each side has its price.
        let is_selling = open.is_sell == (action == TradeAction::Open);
        TradeEvent {
            envelope: Envelope {
                sequence: Some(slot.events),
                ..Envelope::new(&*series.source, tick.time)
            },
            account: format!("{}-{:04}", series.source, open.account),
            instrument: series.instrument.to_string(),
            position_id: id(open.ticket),
            action,
            side: if open.is_sell { Side::Sell } else { Side::Buy },
            lots: Quantity::from_units(lots),
            lots_open: Quantity::from_units(open.lots),
            price: (action != TradeAction::Modify).then(|| slot.price(is_selling)),
            stop_loss: open.stop_loss,
            take_profit: open.take_profit,
            client_order_id: None,
            parent_id: open.parent.map(id),
        }
    }
}

impl Machine<Tick> for TradesMachine {
    fn apply(&mut self, rows: &mut Vec<Tick>, emit: &mut Emit) {
        let Self { config, states } = self;
        for tick in rows.drain(..) {
            let Some(series) = states.series(tick.series).cloned() else { continue };
            with_state(states, tick.series, |slot| {
                let newer = |new: Price, old: Price| if new > Price::ZERO { new } else { old };
                (slot.bid, slot.ask) = (newer(tick.bid, slot.bid), newer(tick.ask, slot.ask));
                slot.ticks += 1;
                let is_due = slot.ticks.is_multiple_of(u64::from(config.every.max(1)));
                if !is_due || slot.bid <= Price::ZERO || slot.ask <= Price::ZERO {
                    return;
                }
                let bits = scattered(
                    config.seed ^ scattered(slot.ticks ^ (u64::from(series.group) << 32)),
                );
                let Some(act) = slot.act(bits, config, &*series.source == "mt4") else { return };
                let event = Self::event(&series, slot, act, &tick);
                let mut bytes = Vec::new();
                // Only a name so long that no ticket fits behind it cannot be written.
                if event.encode(&mut bytes).is_err() {
                    return;
                }
                emit.payloads(EVENTS).push(Payload {
                    series: tick.series,
                    time: tick.time,
                    content_type: Some("application/x-protobuf".into()),
                    traceparent: None,
                    bytes,
                });
            });
        }
    }

    fn seal(&mut self, _: &Moment, _: &mut Emit) {}

    fn state_version(&self) -> u16 {
        STATE_VERSION
    }

    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.states.snapshot(group, out)
    }

    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault> {
        expect_version("simulated_trades", version, STATE_VERSION)?;
        self.states.restore(group, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dataflows::kind::Kind;
    use dataflows::machine::{Emit, Machine};
    use dataflows::state::Keyed;
    use proto::decimal::{Price, Quantity};
    use proto::event_time::EventTime;
    use proto::protobuf::Protobuf;
    use proto::series::{KEY_GROUPS, SeriesTable};
    use proto::side::TradeAction;
    use proto::tick::Tick;
    use proto::trade_event::TradeEvent;

    use super::{SimulatedTradesConfig, TradesMachine};

    fn machine(table: &SeriesTable) -> TradesMachine {
        let config = SimulatedTradesConfig { seed: 7, every: 3, accounts: 5 };
        TradesMachine { config, states: Keyed::new(table.clone()) }
    }

    /// The events of so many ticks, by a machine that is put away and taken out again every
    /// `restart` ticks.
    fn events(source: &str, ticks: u64, restart: u64) -> Vec<TradeEvent> {
        let table = SeriesTable::new();
        let series = table.intern(source, "EURUSD").unwrap();
        let mut machine = machine(&table);
        let mut emit = Emit::new(&[Kind::Payloads]);
        for number in 0..ticks {
            let bid = Price::from_units(1_100_000_000 + number as i64 * 1_000);
            let ask = Price::from_units(bid.units() + 20_000);
            let time = EventTime::from_ns(1_700_000_000_000_000_000 + number as i64 * 1_000_000);
            machine.apply(&mut vec![Tick { series, time, bid, ask, ..Tick::default() }], &mut emit);
            if number % restart == restart - 1 {
                let mut next = self::machine(&table);
                for group in 0..KEY_GROUPS {
                    let mut bytes = Vec::new();
                    machine.snapshot(group, &mut bytes).unwrap();
                    if !bytes.is_empty() {
                        next.restore(group, 1, &bytes).unwrap();
                    }
                }
                machine = next;
            }
        }
        emit.payloads(0).iter().map(|payload| TradeEvent::decode(&payload.bytes).unwrap()).collect()
    }

    #[test]
    fn positions_are_opened_changed_and_closed_and_nothing_is_closed_that_is_not_open() {
        for source in ["mt4", "mt5"] {
            let events = events(source, 3_000, u64::MAX);
            assert_eq!(events.len(), 1_000);
            let mut open: BTreeMap<String, Quantity> = BTreeMap::new();
            let mut seen: BTreeMap<TradeAction, u32> = BTreeMap::new();
            for event in &events {
                *seen.entry(event.action).or_default() += 1;
                let before = match (&event.parent_id, event.action) {
                    (Some(parent), TradeAction::PartialClose) => open.remove(parent),
                    _ => open.remove(&event.position_id),
                };
                let before = before.unwrap_or(Quantity::ZERO).units();
                let sign = if event.action == TradeAction::Open { 1 } else { -1 };
                assert_eq!(
                    before + sign * event.lots.units(),
                    event.lots_open.units(),
                    "{event:?}"
                );
                if event.lots_open > Quantity::ZERO {
                    open.insert(event.position_id.clone(), event.lots_open);
                }
            }
            assert_eq!(seen.len(), 4, "{seen:?}");
            let has_parents = events.iter().any(|event| event.parent_id.is_some());
            assert_eq!(has_parents, source == "mt4");
        }
    }

    #[test]
    fn the_same_ticks_give_the_same_events_also_over_restarts() {
        assert_eq!(events("mt5", 900, u64::MAX), events("mt5", 900, 7));
    }
}
