//! `clean`: rejects ticks that cannot be right, each with a reason.

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::duration::Duration;
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use dataflows::state::Keyed;
use proto::decimal::Price;
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::{KeyGroup, SeriesId};
use proto::tick::Tick;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{expect_version, pass_on, with_state};
use crate::setting::{Decimal, Time};

const STATE_VERSION: u16 = 1;
const TICKS: usize = 0;
const DEAD: usize = 1;
const CROSSED: usize = 2;

/// Rejects ticks that cannot be right. A rejected tick goes to `dead` whole, with the first of
/// these reasons that holds, so that it can be taken back; the others pass in their order.
///
/// `no_price`: neither bid, ask nor last. `bad_price`: one of them below zero (zero is how a tick
/// says that it has none). `bad_volume`: a size below zero. `out_of_range`: the time is before
/// `not_before` or after `not_after`. `ahead`: see `max_ahead`. `crossed`: see there. `wide`: see
/// `spread_max`. `deviation`: see `deviation_max`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanConfig {
    /// Ticks before this time are rejected: a clock that starts at 1970, a unit mixed up.
    #[serde(default = "first_day")]
    not_before: Time,
    /// Ticks after this time are rejected.
    #[serde(default = "last_day")]
    not_after: Time,
    /// How far a tick's time may be ahead of the job clock of its epoch; left out: any. Where the
    /// job clock is event time it is what all sources have reached, so leave room for one source
    /// to run ahead of another, or leave it out.
    #[serde(default)]
    max_ahead: Option<Duration>,
    /// What becomes of quotes whose bid is above the ask: real feeds have many.
    #[serde(default)]
    crossed: Crossed,
    /// The widest spread (ask less bid) that is accepted, in units of price; left out: any.
    #[serde(default)]
    spread_max: Option<Decimal<Price>>,
    /// How far a price may be from the last accepted one of its kind (bid, ask or last) and series,
    /// as a fraction of that: `0.05` is five per cent. Left out: any.
    #[serde(default)]
    deviation_max: Option<Decimal<Price>>,
    /// Prices that are further apart than this in event time are not compared.
    #[serde(default = "five_minutes")]
    deviation_window: Duration,
    /// After this many ticks of a series in a row were rejected for moving the same way, the next
    /// that does is accepted: the market has really moved. 0: the first one is.
    #[serde(default = "five")]
    deviation_shift: u32,
}

/// What becomes of quotes whose bid is above the ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Crossed {
    /// They pass, and a copy goes to the output `crossed`, to count them by.
    #[default]
    Accept,
    /// They are rejected.
    Reject,
}

const fn first_day() -> Time {
    Time(EventTime::from_ns(631_152_000_000_000_000)) // 1990-01-01
}

const fn last_day() -> Time {
    Time(EventTime::from_ns(4_102_444_800_000_000_000)) // 2100-01-01
}

const fn five_minutes() -> Duration {
    Duration::from_seconds(300)
}

const fn five() -> u32 {
    5
}

/// The definition of `clean`.
#[derive(Debug, Clone, Copy)]
pub struct Clean;

impl Definition for Clean {
    fn name(&self) -> &'static str {
        "clean"
    }

    fn summary(&self) -> &'static str {
        "Rejects ticks that cannot be right, each with a reason."
    }

    fn config(&self) -> Schema {
        schema_for!(CleanConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut mistakes = check_config::<CleanConfig>(config);
        let mut mistake = |path: &str, message: String| mistakes.push((path.to_owned(), message));
        if let Ok(config) = serde_json::from_value::<CleanConfig>(config.clone()) {
            let CleanConfig { not_before, not_after, spread_max, deviation_max, .. } = config;
            if not_before.0 > not_after.0 {
                let (from, to) = (not_before.0, not_after.0);
                mistake("not_after", format!("{to} is before not_before, {from}"));
            }
            for (path, value) in [("spread_max", spread_max), ("deviation_max", deviation_max)] {
                if let Some(Decimal(value)) = value
                    && value < Price::ZERO
                {
                    mistake(path, format!("{value} is below zero; nothing would pass"));
                }
            }
        }
        mistakes
    }
}

impl OperatorDefinition for Clean {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks]
    }

    fn outputs(&self) -> &'static [Output] {
        const TICKS: Option<Kind> = Some(Kind::Ticks);
        &[
            Output { name: "ticks", kind: TICKS, about: "What was accepted, in its order." },
            Output {
                name: "dead",
                kind: Some(Kind::Rejects),
                about: "What was not, with the reason.",
            },
            Output {
                name: "crossed",
                kind: TICKS,
                about: "Copies of accepted ticks whose bid is above the ask.",
            },
        ]
    }

    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let config: CleanConfig = read_config(&format!("operators.{}", context.id), config)?;
        Ok(AnyMachine::Ticks(Box::new(CleanMachine {
            component: context.id,
            judge: Judge { config, states: Keyed::new(context.series) },
            sealed_clock: EventTime::MIN,
            held: Vec::new(),
            holding: Vec::new(),
            rejected: Vec::new(),
        })))
    }
}

/// Why a tick is rejected: the word and the sentence.
type Refusal = (&'static str, String);

/// What the deviation filter knows of one series.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Reference {
    /// The last accepted bid, ask and last trade with their times, or zeros.
    accepted: [(EventTime, Price); 3],
    /// How many ticks in a row were rejected for moving the same way.
    run: u32,
    /// Which way: up.
    run_is_up: bool,
}

const PRICE_NAMES: [&str; 3] = ["bid", "ask", "last"];

/// Decides over ticks, all but `max_ahead`.
#[derive(Debug)]
struct Judge {
    config: CleanConfig,
    states: Keyed<Reference>,
}

impl Judge {
    #[inline]
    fn judge(&mut self, tick: &Tick) -> Result<(), Refusal> {
        let Tick { time, bid, ask, last, .. } = *tick;
        if (bid.units() | ask.units() | last.units()) <= 0 {
            return Err(refuse_prices(tick));
        }
        if tick.has(Tick::HAS_VOLUME) && tick.volume.units() < 0 {
            let found = tick.volume;
            return Err(("bad_volume", format!("volume {found} is below zero")));
        }
        let (from, to) = (self.config.not_before.0, self.config.not_after.0);
        if time < from || time > to {
            let detail = format!("time {time} is outside {from} to {to}");
            return Err(("out_of_range", detail));
        }
        if bid != Price::ZERO && ask != Price::ZERO {
            if bid > ask && self.config.crossed == Crossed::Reject {
                return Err(("crossed", format!("bid {bid} is above ask {ask}")));
            }
            if let Some(Decimal(wanted)) = self.config.spread_max {
                let spread = i128::from(ask.units()) - i128::from(bid.units());
                if spread > i128::from(wanted.units()) {
                    let detail = format!("ask {ask} less bid {bid} is more than {wanted}");
                    return Err(("wide", detail));
                }
            }
        }
        match self.config.deviation_max {
            None => Ok(()),
            Some(Decimal(most)) => self.compare(tick, most),
        }
    }

    /// The deviation filter.
    fn compare(&mut self, tick: &Tick, most: Price) -> Result<(), Refusal> {
        let window = self.config.deviation_window.ns().unsigned_abs();
        let shift = self.config.deviation_shift;
        with_state(&mut self.states, tick.series, |state| {
            let prices = [tick.bid, tick.ask, tick.last];
            let mut all = prices.iter().zip(&state.accepted).zip(PRICE_NAMES);
            let far = all.find(|((price, accepted), _)| {
                tick.time.ns().abs_diff(accepted.0.ns()) <= window
                    && deviates(**price, accepted.1, most)
            });
            if let Some(((price, (time, before)), name)) = far {
                let is_up = price > before;
                state.run = if state.run_is_up == is_up { state.run } else { 0 };
                state.run_is_up = is_up;
                if state.run < shift {
                    let detail = format!(
                        "{name} {price} is more than {most} of it away from {before}, which was \
                         accepted at {time}"
                    );
                    state.run += 1;
                    return Err(("deviation", detail));
                }
                // The other prices stem from before the shift: nothing is compared with them.
                state.accepted = Default::default();
            }
            state.run = 0;
            for (price, accepted) in prices.iter().zip(&mut state.accepted) {
                if *price != Price::ZERO {
                    *accepted = (tick.time, *price);
                }
            }
            Ok(())
        })
    }
}

/// Tells whether two given prices are more than `most` (a fraction, in billionths) apart. Exact:
/// eighteen digits times eighteen digits fit an `i128`.
fn deviates(price: Price, before: Price, most: Price) -> bool {
    if price == Price::ZERO || before == Price::ZERO {
        return false;
    }
    let distance = i128::from(price.units()) - i128::from(before.units());
    distance.abs() * i128::from(Price::SCALE)
        > i128::from(before.units()) * i128::from(most.units())
}

#[cold]
fn refuse_prices(tick: &Tick) -> Refusal {
    let prices = [tick.bid, tick.ask, tick.last];
    match prices.iter().zip(PRICE_NAMES).find(|(price, _)| **price < Price::ZERO) {
        Some((price, name)) => ("bad_price", format!("{name} {price} is below zero")),
        None => ("no_price", "expected a bid, an ask or a last price".to_owned()),
    }
}

/// The machine of `clean`.
#[derive(Debug)]
struct CleanMachine {
    component: String,
    judge: Judge,
    /// The clock of the last sealed epoch: what is not ahead of it is not ahead of its own epoch's,
    /// which only comes at the seal. Not state: without it, more is held, and nothing else changes.
    sealed_clock: EventTime,
    /// Ticks that may be ahead, and all behind them in their series: they wait for the seal.
    held: Vec<Tick>,
    /// By series number: it has ticks in `held`.
    holding: Vec<bool>,
    /// What the epoch under way rejected; the clock comes at the seal.
    rejected: Vec<Reject>,
}

impl CleanMachine {
    /// The latest time that is not ahead of `clock`.
    fn latest(&self, clock: EventTime) -> EventTime {
        self.judge.config.max_ahead.map_or(EventTime::MAX, |ahead| {
            EventTime::from_ns(clock.ns().saturating_add(ahead.ns()))
        })
    }

    fn is_holding(&self, id: SeriesId) -> bool {
        self.holding.get(id.index()).copied().unwrap_or(false)
    }

    fn hold(&mut self, tick: Tick) {
        let index = tick.series.index();
        if self.holding.len() <= index {
            self.holding.resize(index + 1, false);
        }
        if let Some(is_holding) = self.holding.get_mut(index) {
            *is_holding = true;
        }
        self.held.push(tick);
    }

    /// Tells whether `tick` passes, and takes down what there is to tell of it.
    #[inline]
    fn passes(&mut self, tick: &Tick, crossed: &mut Vec<Tick>) -> bool {
        match self.judge.judge(tick) {
            Ok(()) => {
                if tick.bid > tick.ask && tick.ask != Price::ZERO {
                    crossed.push(*tick);
                }
                true
            }
            Err(refusal) => {
                self.reject(tick, refusal);
                false
            }
        }
    }

    #[cold]
    fn reject(&mut self, tick: &Tick, (reason, detail): Refusal) {
        self.rejected.push(Reject {
            component: self.component.clone(),
            reason: reason.to_owned(),
            detail,
            place: None,
            clock: EventTime::MIN,
            tick: Some(*tick),
            payload: Vec::new(),
        });
    }
}

impl Machine<Tick> for CleanMachine {
    fn apply(&mut self, rows: &mut Vec<Tick>, emit: &mut Emit) {
        let latest = self.latest(self.sealed_clock);
        let crossed = emit.ticks(CROSSED);
        rows.retain(|tick| {
            if tick.time > latest || (!self.held.is_empty() && self.is_holding(tick.series)) {
                self.hold(*tick);
                return false;
            }
            self.passes(tick, crossed)
        });
        pass_on(rows, emit.ticks(TICKS));
    }

    fn seal(&mut self, moment: &Moment, emit: &mut Emit) {
        let latest = self.latest(moment.clock);
        let mut held = std::mem::take(&mut self.held);
        self.holding.fill(false);
        let crossed = emit.ticks(CROSSED);
        held.retain(|tick| {
            if tick.time > latest {
                let (time, clock) = (tick.time, moment.clock);
                let detail = format!("time {time} is too far ahead of the job clock, {clock}");
                self.reject(tick, ("ahead", detail));
                return false;
            }
            self.passes(tick, crossed)
        });
        pass_on(&mut held, emit.ticks(TICKS));
        self.rejected.iter_mut().for_each(|reject| reject.clock = moment.clock);
        pass_on(&mut self.rejected, emit.rejects(DEAD));
        self.rejected.clear();
        self.sealed_clock = moment.clock;
    }

    fn state_version(&self) -> u16 {
        STATE_VERSION
    }

    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.judge.states.snapshot(group, out)
    }

    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault> {
        expect_version("clean", version, STATE_VERSION)?;
        self.judge.states.restore(group, bytes)
    }
}
