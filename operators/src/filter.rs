//! `filter`: parts records by what they are of and by the values they carry.

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use dataflows::state::Keyed;
use proto::candle::{Candle, Reason};
use proto::decimal::{Price, Quantity};
use proto::series::{KeyGroup, Series, SeriesTable};
use proto::tick::Tick;
use proto::timeframe::Timeframe;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{Versioned, expect_version, pass_on};
use crate::setting::{Decimal, Pattern};

const MATCHING: usize = 0;
const REST: usize = 1;

/// Passes the records for which everything holds that is said here; the others go to `rest`.
///
/// Names are patterns: `*` stands for any run of characters, `?` for one; capitals count. A list
/// that is left out lets everything pass. A bound on a value that a record does not carry fails.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// The instrument is one of these: `[EURUSD, XAU*]`.
    instruments: Vec<Pattern>,
    /// The instrument is none of these.
    not_instruments: Vec<Pattern>,
    /// The source is one of these: `[mt4, mt5]`.
    sources: Vec<Pattern>,
    /// The source is none of these.
    not_sources: Vec<Pattern>,
    /// Candles only: the timeframe is one of these: `[1m, 1h]`.
    #[schemars(with = "Vec<String>")]
    timeframes: Vec<Timeframe>,
    /// Candles only: the timeframe is none of these.
    #[schemars(with = "Vec<String>")]
    not_timeframes: Vec<Timeframe>,
    /// Candles only: why it was written is one of these: `closed`, `late`, `backfill`, `open`.
    #[schemars(with = "Vec<String>")]
    reasons: Vec<Reason>,
    /// No price is below: of bid, ask and last those that a tick carries; the low of a candle.
    price_min: Option<Decimal<Price>>,
    /// No price is above: of bid, ask and last those that a tick carries; the high of a candle.
    price_max: Option<Decimal<Price>>,
    /// Ticks only: the spread (ask less bid) is at least this.
    spread_min: Option<Decimal<Price>>,
    /// Ticks only: the spread is at most this.
    spread_max: Option<Decimal<Price>>,
    /// The volume is at least this.
    volume_min: Option<Decimal<Quantity>>,
    /// The volume is at most this.
    volume_max: Option<Decimal<Quantity>>,
}

impl FilterConfig {
    fn passes_name(&self, series: &Series) -> bool {
        let any = |patterns: &[Pattern], name| patterns.iter().any(|p| p.matches(name));
        let listed = |patterns: &[Pattern], name| patterns.is_empty() || any(patterns, name);
        let (instrument, source) = (&*series.instrument, &*series.source);
        listed(&self.instruments, instrument)
            && listed(&self.sources, source)
            && !any(&self.not_instruments, instrument)
            && !any(&self.not_sources, source)
    }

    /// The settings that say nothing of records of `kind`.
    fn misplaced(&self, kind: Kind) -> Vec<String> {
        let settings = match kind {
            Kind::Ticks => [
                ("timeframes", !self.timeframes.is_empty()),
                ("not_timeframes", !self.not_timeframes.is_empty()),
                ("reasons", !self.reasons.is_empty()),
            ]
            .to_vec(),
            _ => [
                ("spread_min", self.spread_min.is_some()),
                ("spread_max", self.spread_max.is_some()),
            ]
            .to_vec(),
        };
        let set = settings.into_iter().filter(|(_, is_set)| *is_set);
        set.map(|(name, _)| name.to_owned()).collect()
    }
}

/// The definition of `filter`.
#[derive(Debug, Clone, Copy)]
pub struct Filter;

impl Definition for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn summary(&self) -> &'static str {
        "Passes records by instrument, source, timeframe, price, spread and volume."
    }

    fn config(&self) -> Schema {
        schema_for!(FilterConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let mut mistakes = check_config::<FilterConfig>(config);
        let Ok(config) = serde_json::from_value::<FilterConfig>(config.clone()) else {
            return mistakes;
        };
        for (name, patterns) in [
            ("instruments", &config.instruments),
            ("not_instruments", &config.not_instruments),
            ("sources", &config.sources),
            ("not_sources", &config.not_sources),
        ] {
            for (index, _) in patterns.iter().enumerate().filter(|(_, p)| p.0.is_empty()) {
                let message = "the pattern is empty, no name fits it".to_owned();
                mistakes.push((format!("{name}[{index}]"), message));
            }
        }
        let above = |min: Option<Decimal<Price>>, max: Option<Decimal<Price>>| {
            min.zip(max).filter(|(min, max)| min.0 > max.0).map(|(min, max)| (min.0, max.0))
        };
        let mut cross = |name: &str, min: String, max: String| {
            let message = format!("{max} is below {name}_min, {min}; nothing would pass");
            mistakes.push((format!("{name}_max"), message));
        };
        if let Some((min, max)) = above(config.price_min, config.price_max) {
            cross("price", min.to_string(), max.to_string());
        }
        if let Some((min, max)) = above(config.spread_min, config.spread_max) {
            cross("spread", min.to_string(), max.to_string());
        }
        if let Some((min, max)) = config.volume_min.zip(config.volume_max)
            && min.0 > max.0
        {
            cross("volume", min.0.to_string(), max.0.to_string());
        }
        mistakes
    }

    fn check_input(&self, config: &Value, kind: Kind) -> Vec<(String, String)> {
        let misplaced = FilterConfig::deserialize(config).map(|config| config.misplaced(kind));
        let told = |name| (name, format!("the input carries {kind}, which have no such thing"));
        misplaced.unwrap_or_default().into_iter().map(told).collect()
    }
}

impl OperatorDefinition for Filter {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks, Kind::Candles]
    }

    fn outputs(&self) -> &'static [Output] {
        &[
            Output { name: "matching", kind: None, about: "What everything holds for." },
            Output { name: "rest", kind: None, about: "The others." },
        ]
    }

    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let path = format!("operators.{}", context.id);
        let config: FilterConfig = read_config(&path, config)?;
        let kind = context.kind;
        if let Some(name) = config.misplaced(kind).first() {
            let message = format!("the input carries {kind}, which have no such thing");
            return Err(Fault::job(format!("{path}.{name}"), message));
        }
        let machine = FilterMachine::new(config, context.series);
        match kind {
            Kind::Ticks => Ok(AnyMachine::Ticks(Box::new(machine))),
            Kind::Candles => Ok(AnyMachine::Candles(Box::new(machine))),
            Kind::Rejects | Kind::Payloads | Kind::Statuses => {
                Err(Fault::defect("filter", format!("it does not take {kind}")))
            }
        }
    }
}

/// A pair of bounds, each part of what passes.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    min: i64,
    max: i64,
}

impl Bounds {
    /// None where there is nothing to hold.
    fn new(min: Option<i64>, max: Option<i64>) -> Option<Self> {
        (min.is_some() || max.is_some())
            .then_some(Self { min: min.unwrap_or(i64::MIN), max: max.unwrap_or(i64::MAX) })
    }

    const fn hold(self, value: i64) -> bool {
        self.min <= value && value <= self.max
    }
}

/// A record that can be filtered by what it carries.
trait Filtered: Versioned {
    fn passes(&self, machine: &FilterMachine) -> bool;
}

impl Filtered for Tick {
    fn passes(&self, machine: &FilterMachine) -> bool {
        let Self { bid, ask, last, .. } = self;
        let given = || [bid, ask, last].into_iter().filter(|price| **price != Price::ZERO);
        let price = machine.price.is_none_or(|bounds| {
            given().next().is_some() && given().all(|price| bounds.hold(price.units()))
        });
        let spread = machine.spread.is_none_or(|bounds| {
            let spread = ask.units().saturating_sub(bid.units());
            *bid != Price::ZERO && *ask != Price::ZERO && bounds.hold(spread)
        });
        let volume = machine
            .volume
            .is_none_or(|bounds| self.has(Self::HAS_VOLUME) && bounds.hold(self.volume.units()));
        price && spread && volume
    }
}

impl Filtered for Candle {
    fn passes(&self, machine: &FilterMachine) -> bool {
        let FilterConfig { timeframes, not_timeframes, reasons, .. } = &machine.config;
        let price = machine.price.is_none_or(|bounds| {
            bounds.hold(self.price.low.units()) && bounds.hold(self.price.high.units())
        });
        let volume = machine
            .volume
            .is_none_or(|bounds| self.has(Self::HAS_VOLUME) && bounds.hold(self.volume.units()));
        (timeframes.is_empty() || timeframes.contains(&self.timeframe))
            && !not_timeframes.contains(&self.timeframe)
            && (reasons.is_empty() || reasons.contains(&self.reason))
            && price
            && volume
    }
}

/// The machine of `filter`. It has no state: what it keeps can be found out again.
#[derive(Debug)]
struct FilterMachine {
    config: FilterConfig,
    price: Option<Bounds>,
    spread: Option<Bounds>,
    volume: Option<Bounds>,
    /// Whether the names of a series pass, found out at its first record.
    passes_name: Keyed<bool>,
}

impl FilterMachine {
    fn new(config: FilterConfig, series: SeriesTable) -> Self {
        let price = |price: Option<Decimal<Price>>| price.map(|price| price.0.units());
        let volume = |volume: Option<Decimal<Quantity>>| volume.map(|volume| volume.0.units());
        Self {
            price: Bounds::new(price(config.price_min), price(config.price_max)),
            spread: Bounds::new(price(config.spread_min), price(config.spread_max)),
            volume: Bounds::new(volume(config.volume_min), volume(config.volume_max)),
            config,
            passes_name: Keyed::new(series),
        }
    }

    #[inline]
    fn passes<T: Filtered>(&mut self, row: &T) -> bool {
        let id = row.id();
        let passes_name = match self.passes_name.get(id) {
            Some(passes) => *passes,
            None => {
                let series = self.passes_name.series(id);
                let passes = series.is_some_and(|series| self.config.passes_name(series));
                *self.passes_name.insert(id, passes)
            }
        };
        passes_name && row.passes(self)
    }
}

impl<T: Filtered> Machine<T> for FilterMachine {
    fn apply(&mut self, rows: &mut Vec<T>, emit: &mut Emit) {
        let rest = T::run(emit, REST);
        rows.retain(|row| {
            let passes = self.passes(row);
            if !passes {
                rest.push(row.clone());
            }
            passes
        });
        pass_on(rows, T::run(emit, MATCHING));
    }

    fn seal(&mut self, _moment: &Moment, _emit: &mut Emit) {}

    fn state_version(&self) -> u16 {
        1
    }

    fn snapshot(&self, _group: KeyGroup, _out: &mut Vec<u8>) -> Result<(), Fault> {
        Ok(())
    }

    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault> {
        expect_version("filter", version, 1)?;
        if bytes.is_empty() {
            return Ok(());
        }
        Err(Fault::stop(format!("state of key group {group}"), "`filter` never wrote any"))
    }
}
