//! The configuration of `ohlcv`, which is its documentation.

use proto::timeframe::Timeframe;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calendar::config::CalendarConfig;
use dataflows::duration::Duration;

/// Folds ticks into candles of one or more timeframes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OhlcvConfig {
    /// The timeframes, from `1s` to `1w`. `1d` is the trading day of the calendar, `1w` its week;
    /// shorter ones count from the start of the trading day and the last one is cut at its end.
    #[schemars(with = "Vec<String>", length(min = 1), inner(regex(pattern = r"^[0-9]+[smhdw]$")))]
    pub timeframes: Vec<Timeframe>,
    /// The price that candles are made of.
    pub basis: BasisConfig,
    /// Keeps the ask's OHLC beside a bid candle where ticks carry an ask.
    pub ask_beside: bool,
    /// When the market is open and where its days start. Ticks outside of sessions go to `dead`.
    pub calendar: CalendarConfig,
    /// A window stays provisional until its feed has come this far past its end.
    pub lateness: Duration,
    /// How long a feed may be silent, by the job clock, before its windows close without it.
    pub idle: Duration,
    /// How long after its close a window can still be revised by late ticks; later ones go to
    /// `dead`. Costs memory: each series keeps its windows for so long.
    pub revise_within: Duration,
    /// What becomes of a window without ticks.
    pub gaps: Gaps,
    /// Flags a candle `gap` if its feed was silent for longer than this within its window.
    /// Without it nothing is flagged.
    pub gap_after: Option<Duration>,
}

/// The price that candles are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BasisConfig {
    /// The bid, as MetaTrader draws it.
    #[default]
    Bid,
    /// The ask.
    Ask,
    /// Half of bid plus ask; where that ends beyond the ninth digit, the lower neighbour.
    Mid,
    /// The last trade.
    Last,
}

/// What becomes of a window without ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// No candle.
    #[default]
    None,
    /// Between two candles, while the market is open: a candle of no ticks with the previous
    /// close as all four prices, flagged `synthetic`.
    Flat,
}

impl Default for OhlcvConfig {
    fn default() -> Self {
        let seconds = [60, 300, 900, 3_600, 14_400, 86_400];
        Self {
            timeframes: seconds.into_iter().filter_map(Timeframe::from_seconds).collect(),
            basis: BasisConfig::Bid,
            ask_beside: true,
            calendar: CalendarConfig::default(),
            lateness: Duration::from_seconds(2),
            idle: Duration::from_seconds(5),
            revise_within: Duration::from_seconds(3_600),
            gaps: Gaps::None,
            gap_after: None,
        }
    }
}

impl From<BasisConfig> for proto::candle::Basis {
    fn from(basis: BasisConfig) -> Self {
        match basis {
            BasisConfig::Bid => Self::Bid,
            BasisConfig::Ask => Self::Ask,
            BasisConfig::Mid => Self::Mid,
            BasisConfig::Last => Self::Last,
        }
    }
}
