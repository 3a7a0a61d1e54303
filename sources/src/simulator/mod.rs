//! `simulator`: a seeded market with the habits of real feeds, for demos and tests.

mod gateway;
mod instruments;
mod market;
mod random;
mod reader;
mod sessions;
#[cfg(test)]
mod tests;

use dataflows::component::source::{Position, Promise, Source, SourceContext, SourceDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::fault::Fault;
use proto::event_time::EventTime;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;

use crate::paths::suggestion;

/// How fast simulated time passes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Speed {
    /// A word.
    Word(Word),
    /// So many simulated seconds in a second of the wall clock.
    Factor(f64),
}

/// How fast, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// As fast as it is read.
    Max,
    /// As the wall clock goes: it begins now, every tick comes when it happens, and there is no
    /// end unless `duration` gives one. After a stop, what happened meanwhile comes at once.
    Live,
}

/// Makes ticks of a market that does not exist, but behaves like one: three feeds (`mt4` with
/// whole seconds, `mt5` with milliseconds, `ib` with trades and sizes), realistic prices, spreads
/// and daily rhythm, weekends and daily breaks, outages, and late, repeated, crossed and bad ticks.
///
/// The same configuration gives the same ticks on every machine, however they are read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatorConfig {
    /// What all chance comes from.
    pub seed: u64,
    /// When it begins: `2025-01-06` or `2025-01-06T22:00:00Z`. Else: Monday, 2025-01-06, or now
    /// where `speed` is a number.
    pub from: Option<String>,
    /// How long it goes on, in simulated time: `90s`, `30m`, `8h`, `5d`, `2w`. Else: a day, or
    /// without an end where `speed` is `live`.
    pub duration: Option<String>,
    /// It ends after so many ticks, if that is earlier.
    pub ticks: Option<u64>,
    /// How fast it passes: `max`, `live`, or simulated seconds per second.
    pub speed: Speed,
    /// The feeds: of `mt4`, `mt5`, `ib`.
    pub sources: Vec<String>,
    /// The instruments, of those that the simulator knows; empty: all.
    pub instruments: Vec<String>,
    /// Ticks a second, of all series together, in the mean of an open day.
    pub rate: u32,
    /// Late ticks in a million: half a second to four seconds behind their time.
    pub late: u32,
    /// Very late ticks in a million: one to ten minutes.
    pub very_late: u32,
    /// Ticks in a million that are delivered twice, with the same sequence.
    pub repeated: u32,
    /// Ticks in a million whose bid is above the ask.
    pub crossed: u32,
    /// Records in a million that are no good: a price tenfold, no price at all, or not even a
    /// tick.
    pub bad: u32,
    /// Outages of a feed in a thousand half hours; each is half a minute to ten minutes long.
    pub outages: u32,
    /// How many records it hands over at once: few make small epochs, as a slow feed does.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: usize,
    /// Whether everything is traded at all times, and equally: `rate` is then the rate of every
    /// second.
    pub always_open: bool,
    /// Whether ticks come as the platform's gateways send them: `mt4` without any sequence, many
    /// ticks of a series in one second; `ib` a callback at a time, a bid alone, an ask alone or a
    /// trade with its size, with a sequence that begins at 0 with every session.
    pub gateway: bool,
    /// With `gateway`: how long a session lasts, such as `10m`. Then a feed is silent for three
    /// seconds and connects again; the first thing to come is a record of the gap, on `dead`, with
    /// the reason `session_reset`. Else: for ever.
    pub session: Option<String>,
    /// With `gateway`: the clock of the MetaTrader servers, such as `Europe/Athens`, where the
    /// gateway does not bring it to UTC.
    pub server_time_zone: Option<String>,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            from: None,
            duration: None,
            ticks: None,
            speed: Speed::Word(Word::Max),
            sources: Feed::ALL.iter().map(|feed| feed.name().to_owned()).collect(),
            instruments: Vec::new(),
            rate: 20,
            late: 2_000,
            very_late: 50,
            repeated: 1_000,
            crossed: 500,
            bad: 20,
            outages: 10,
            batch: 8_192,
            always_open: false,
            gateway: false,
            session: None,
            server_time_zone: None,
        }
    }
}

/// A feed, with its habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Feed {
    /// Whole seconds, a sequence per series from the bridge.
    Mt4,
    /// Milliseconds, a sequence per feed.
    Mt5,
    /// Milliseconds, trades with sizes, no sequence.
    Ib,
}

impl Feed {
    pub(crate) const ALL: &'static [Self] = &[Self::Mt4, Self::Mt5, Self::Ib];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mt4 => "mt4",
            Self::Mt5 => "mt5",
            Self::Ib => "ib",
        }
    }
}

/// Reads `90s`, `30m`, `8h`, `5d`, `2w` as nanoseconds.
fn duration_ns(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
    count.checked_mul(seconds)?.checked_mul(1_000_000_000).filter(|ns| *ns > 0)
}

impl SimulatorConfig {
    /// Finds what a schema cannot say.
    fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (place, text) in [("duration", &self.duration), ("session", &self.session)] {
            if let Some(text) = text.as_ref().filter(|text| duration_ns(text).is_none()) {
                let message = format!("`{text}` is not a duration such as `30m` or `5d`");
                found.push((place.to_owned(), message));
            }
        }
        if let Some(zone) = self.server_time_zone.as_ref()
            && zone.parse::<chrono_tz::Tz>().is_err()
        {
            let message = format!("`{zone}` is no time zone; expected one such as `Europe/Athens`");
            found.push(("server_time_zone".to_owned(), message));
        }
        let of_gateways =
            [("session", &self.session), ("server_time_zone", &self.server_time_zone)];
        for (place, _) in of_gateways.iter().filter(|(_, given)| given.is_some() && !self.gateway) {
            found.push(((*place).to_owned(), "it needs `gateway: true`".to_owned()));
        }
        if self.speed == Speed::Word(Word::Live) && self.from.is_some() {
            let message = "with `speed: live` it begins now";
            found.push(("from".to_owned(), message.to_owned()));
        }
        if let Some(Err(error)) = self.from.as_deref().map(str::parse::<EventTime>) {
            found.push(("from".to_owned(), error.to_string()));
        }
        for (place, name) in self.sources.iter().enumerate() {
            if !Feed::ALL.iter().any(|feed| feed.name() == name) {
                let message = format!("there is no feed `{name}`; expected mt4, mt5 or ib");
                found.push((format!("sources[{place}]"), message));
            }
        }
        let names = || instruments::ALL.iter().map(|instrument| instrument.name);
        for (place, name) in self.instruments.iter().enumerate() {
            if !names().any(|known| known == name) {
                let known: Vec<&str> = names().collect();
                let message = format!(
                    "there is no instrument `{name}`; it knows {}{}",
                    known.join(", "),
                    suggestion(name, names())
                );
                found.push((format!("instruments[{place}]"), message));
            }
        }
        if self.rate == 0 {
            found.push(("rate".to_owned(), "expected at least one tick a second".to_owned()));
        }
        if let Speed::Factor(factor) = self.speed
            && !(factor.is_finite() && factor > 0.0)
        {
            found.push(("speed".to_owned(), "expected `max` or a number above 0".to_owned()));
        }
        found
    }
}

/// The row in the catalog.
#[derive(Debug)]
pub struct Simulator;

impl Definition for Simulator {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn summary(&self) -> &'static str {
        "Makes the ticks of a seeded market, with the habits of real feeds."
    }

    fn config(&self) -> Schema {
        schemars::schema_for!(SimulatorConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        let found = check_config::<SimulatorConfig>(config);
        if !found.is_empty() {
            return found;
        }
        SimulatorConfig::deserialize(config).map_or_else(
            |error| vec![(String::new(), error.to_string())],
            |config| config.problems(),
        )
    }
}

impl SourceDefinition for Simulator {
    fn outputs(&self) -> &'static [Output] {
        crate::OUTPUTS
    }

    fn is_bounded(&self, config: &Value) -> bool {
        SimulatorConfig::deserialize(config)
            .map_or(true, |config| config.speed == Speed::Word(Word::Max))
    }

    fn promise(&self, _: &Value) -> Promise {
        Promise::Replays
    }

    fn open(
        &self,
        config: &Value,
        behind: Option<Position>,
        context: SourceContext,
    ) -> Result<Box<dyn Source>, Fault> {
        let place = format!("sources.{}", context.id);
        let config: SimulatorConfig = read_config(&place, config)?;
        if let Some((path, message)) = config.problems().into_iter().next() {
            return Err(Fault::job(format!("{place}.{path}"), message));
        }
        Ok(Box::new(reader::SimulatorReader::new(&config, behind, &context)?))
    }
}
