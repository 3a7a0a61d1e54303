//! A follow: that one account copies another, and how. A relation changes by whole rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decimal::Quantity;
use crate::event_time::EventTime;
use crate::record::{Record, RecordError, ensure, ensure_name, ensure_range};

/// What a follower's size is made of. The `amount` of the settings says how much of it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Sizing {
    /// Leader's lots × follower's equity / leader's equity × `amount`.
    #[default]
    Equity,
    /// The same with balances.
    Balance,
    /// The same with free margins.
    FreeMargin,
    /// Leader's lots × `amount`; a negative amount turns the side round.
    Ratio,
    /// `amount` lots whatever the leader trades.
    Fixed,
    /// So many lots that their margin is `amount` percent of the follower's equity.
    Percent,
}

impl Sizing {
    /// The word in rows and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equity => "equity",
            Self::Balance => "balance",
            Self::FreeMargin => "free_margin",
            Self::Ratio => "ratio",
            Self::Fixed => "fixed",
            Self::Percent => "percent",
        }
    }

    /// Tells whether two accounts are compared.
    pub const fn is_proportional(self) -> bool {
        matches!(self, Self::Equity | Self::Balance | Self::FreeMargin)
    }
}

/// How a size becomes a whole number of lot steps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Down: never more than was meant.
    #[default]
    Down,
    /// To the nearest step, from the middle up.
    Nearest,
}

/// What becomes of a size below the least that may be traded.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum BelowMin {
    /// It is not copied.
    #[default]
    Skip,
    /// The least is traded.
    Minimum,
}

/// What becomes of a size above the most that may be traded.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum AboveMax {
    /// The most is traded.
    #[default]
    Clamp,
    /// It is not copied.
    Skip,
}

/// How a follower copies. Limits that are absent don't limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the size is made of.
    pub sizing: Sizing,
    /// How much of it; negative only with `ratio`.
    #[serde(with = "crate::exact")]
    pub amount: Quantity,
    /// Buys are sold and sells are bought; stop loss and take profit change places.
    pub reverse: bool,
    /// A follower with less leverage than the leader trades less by the same proportion.
    pub leverage_adjusted: bool,
    /// The proportion is rounded in the steps of MQL5's signals: 1 % at least, then whole
    /// percents, from 10 % fives, from 100 % tens.
    pub multistep: bool,
    /// Lots of unequal contract sizes are converted.
    pub contract_aligned: bool,
    /// How the size becomes a number of steps.
    pub rounding: Rounding,
    /// The follower's own least size, beside the instrument's.
    #[serde(with = "crate::exact::maybe")]
    pub lots_min: Option<Quantity>,
    /// The follower's own greatest size, beside the instrument's.
    #[serde(with = "crate::exact::maybe")]
    pub lots_max: Option<Quantity>,
    /// What becomes of a size below the least.
    pub below_min: BelowMin,
    /// What becomes of a size above the greatest.
    pub above_max: AboveMax,
    /// How many positions copied from this leader may be open at once.
    pub trades_max: Option<u32>,
    /// How much of the day's first equity may be lost before nothing more is opened that day, in
    /// the account's currency.
    #[serde(with = "crate::exact::maybe")]
    pub daily_loss_max: Option<Quantity>,
    /// The equity at or below which nothing more is opened.
    #[serde(with = "crate::exact::maybe")]
    pub equity_stop: Option<Quantity>,
    /// How many points the follower's price may be worse than the leader's.
    pub slippage_points_max: Option<u32>,
    /// How old a signal may be, in milliseconds.
    pub age_ms_max: Option<u32>,
    /// The free margin that must be left.
    #[serde(with = "crate::exact::maybe")]
    pub free_margin_min: Option<Quantity>,
    /// Stop loss and take profit are copied.
    pub stops_copied: bool,
    /// Nothing is opened; what is open is still closed with the leader.
    pub paused: bool,
    /// Leader's instrument to follower's; what is not listed has the same name.
    pub symbols: BTreeMap<Arc<str>, Arc<str>>,
    /// The leader's instruments that are copied; empty: all.
    pub allowed: BTreeSet<Arc<str>>,
    /// The leader's instruments that are not copied, even if they are allowed.
    pub denied: BTreeSet<Arc<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sizing: Sizing::default(),
            amount: Quantity::from_units(Quantity::SCALE),
            reverse: false,
            leverage_adjusted: false,
            multistep: false,
            contract_aligned: true,
            rounding: Rounding::default(),
            lots_min: None,
            lots_max: None,
            below_min: BelowMin::default(),
            above_max: AboveMax::default(),
            trades_max: None,
            daily_loss_max: None,
            equity_stop: None,
            slippage_points_max: None,
            age_ms_max: None,
            free_margin_min: None,
            stops_copied: true,
            paused: false,
            symbols: BTreeMap::new(),
            allowed: BTreeSet::new(),
            denied: BTreeSet::new(),
        }
    }
}

impl Settings {
    /// Tells whether the follower trades against the leader.
    pub fn turns_round(&self) -> bool {
        self.reverse != (self.amount < Quantity::ZERO)
    }

    fn check(&self) -> Result<(), RecordError> {
        ensure_range(self.amount.units(), "amount")?;
        ensure(self.amount != Quantity::ZERO, "amount", "must not be zero; pause instead")?;
        let is_signed = self.sizing == Sizing::Ratio;
        ensure(
            is_signed || self.amount > Quantity::ZERO,
            "amount",
            "must be positive unless the sizing is ratio",
        )?;
        for (value, field) in [
            (self.lots_min, "lots_min"),
            (self.lots_max, "lots_max"),
            (self.daily_loss_max, "daily_loss_max"),
        ] {
            let Some(value) = value else { continue };
            ensure_range(value.units(), field)?;
            ensure(value > Quantity::ZERO, field, "must be positive; leave it out for none")?;
        }
        for (value, field) in
            [(self.equity_stop, "equity_stop"), (self.free_margin_min, "free_margin_min")]
        {
            ensure_range(value.unwrap_or_default().units(), field)?;
        }
        let is_range = self.lots_min.zip(self.lots_max).is_none_or(|(min, max)| min <= max);
        ensure(is_range, "lots_max", "must not be less than lots_min")?;
        let names = self.symbols.iter().flat_map(|(from, to)| [from, to]);
        names
            .chain(&self.allowed)
            .chain(&self.denied)
            .try_for_each(|name| ensure_name(name, "symbols"))
    }
}

/// One row of the relation, or that it is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Follow {
    /// The account that is copied.
    pub leader: Arc<str>,
    /// The account that copies.
    pub follower: Arc<str>,
    /// Counts the changes of this row, also those that delete it: of two, the greater one holds,
    /// whichever comes first.
    pub version: u64,
    /// When it was changed.
    #[serde(with = "crate::envelope::time")]
    pub time: EventTime,
    /// How it copies from now on; none: it no longer does.
    #[serde(default)]
    pub settings: Option<Arc<Settings>>,
}

impl Record for Follow {
    const NAME: &'static str = "Follow";

    fn check(&self) -> Result<(), RecordError> {
        ensure_name(&self.leader, "leader")?;
        ensure_name(&self.follower, "follower")?;
        ensure(self.leader != self.follower, "follower", "must not be the leader")?;
        self.settings.as_ref().map_or(Ok(()), |settings| settings.check())
    }
}

#[cfg(test)]
mod tests {
    use super::{Follow, Settings, Sizing};
    use crate::event_time::EventTime;
    use crate::json::Json;
    use crate::record::Record;

    fn follow(settings: Settings) -> Follow {
        Follow {
            leader: "anna".into(),
            follower: "bert".into(),
            version: 1,
            time: EventTime::from_ns(0),
            settings: Some(settings.into()),
        }
    }

    #[test]
    fn settings_that_contradict_themselves_are_refused() {
        let quantity = |text: &str| text.parse().unwrap();
        let fine =
            Settings { sizing: Sizing::Ratio, amount: quantity("-1"), ..Settings::default() };
        follow(fine).check().unwrap();
        let default = Settings::default;
        for (bad, field) in [
            (Settings { amount: quantity("0"), ..default() }, "amount"),
            (Settings { amount: quantity("-1"), ..default() }, "amount"),
            (Settings { lots_min: Some(quantity("0")), ..default() }, "lots_min"),
            (
                Settings {
                    lots_min: Some(quantity("2")),
                    lots_max: Some(quantity("1")),
                    ..default()
                },
                "lots_max",
            ),
            (Settings { denied: ["a/b".into()].into(), ..default() }, "symbols"),
        ] {
            let said = follow(bad).check().unwrap_err().to_string();
            assert!(said.contains(field), "{said}");
        }
    }

    #[test]
    fn a_row_says_only_what_is_not_usual() {
        let text = br#"{"leader":"anna","follower":"bert","version":7,
            "time":"2018-09-14T14:30:12Z","settings":{"amount":0.5,"symbols":{"GOLD":"XAUUSD"}}}"#;
        let read = Follow::decode_json(text).unwrap();
        let settings = read.settings.as_ref().unwrap();
        assert_eq!(settings.amount.to_string(), "0.5");
        assert_eq!(settings.sizing, Sizing::Equity);
        let mut out = Vec::new();
        read.encode_json(&mut out).unwrap();
        assert_eq!(Follow::decode_json(&out).unwrap(), read);
        let gone = br#"{"leader":"anna","follower":"bert","version":8,"time":"2018-09-14"}"#;
        assert_eq!(Follow::decode_json(gone).unwrap().settings, None);
        let typo =
            br#"{"leader":"a","follower":"b","version":8,"time":"2018-09-14","settings":{"x":1}}"#;
        assert!(Follow::decode_json(typo).is_err());
    }
}
