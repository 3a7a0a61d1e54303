//! `ohlcv`: folds ticks into candles of any timeframes, live, in a replay and in a backfill alike.
//!
//! What a candle is, and when it is final, is laid down in `docs/candles.md`.

pub mod aggregate;
pub mod config;
mod days;
mod fill;
mod log;
mod machine;
mod open;
mod order;
mod queue;
mod revise;
mod roll;
mod state;
pub mod window;

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::{Definition, Output, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::AnyMachine;
use proto::candle::Basis;
use proto::event_time::EventTime;
use schemars::Schema;
use serde_json::Value;

use crate::ohlcv::config::{Gaps, OhlcvConfig};
use crate::ohlcv::days::Days;
use crate::ohlcv::log::Logs;
use crate::ohlcv::machine::Ohlcv as OhlcvMachine;
use crate::ohlcv::roll::Core;
use dataflows::duration::Duration;

/// Number of the output for final candles.
pub const CLOSED: usize = 0;
/// Number of the output for running candles.
pub const OPEN: usize = 1;
/// Number of the output for revisions alone.
pub const REVISED: usize = 2;
/// Number of the output for ticks that are in no candle.
pub const DEAD: usize = 3;

/// The operator `ohlcv`.
#[derive(Debug, Clone, Copy)]
pub struct Ohlcv;

impl Definition for Ohlcv {
    fn name(&self) -> &'static str {
        "ohlcv"
    }

    fn summary(&self) -> &'static str {
        "Folds ticks into candles of one or more timeframes on a trading calendar."
    }

    fn config(&self) -> Schema {
        schemars::schema_for!(OhlcvConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        match serde_path_to_error::deserialize::<_, OhlcvConfig>(config) {
            Err(_) => dataflows::component::check_config::<OhlcvConfig>(config),
            Ok(config) => check(&config),
        }
    }
}

fn check(config: &OhlcvConfig) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if config.timeframes.is_empty() {
        found.push(("timeframes".to_owned(), "expected at least one".to_owned()));
    }
    for (number, timeframe) in config.timeframes.iter().enumerate() {
        if config.timeframes.iter().take(number).any(|earlier| earlier == timeframe) {
            found.push((format!("timeframes[{number}]"), format!("`{timeframe}` is there twice")));
        }
    }
    for (field, message) in config.calendar.check() {
        let dot = if field.is_empty() { "" } else { "." };
        found.push((format!("calendar{dot}{field}"), message));
    }
    found
}

impl OperatorDefinition for Ohlcv {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks]
    }

    fn outputs(&self) -> &'static [Output] {
        const OUTPUTS: [Output; 4] = [
            Output {
                name: "closed",
                kind: Some(Kind::Candles),
                about: "Every final candle: revision 0 when it closes, later revisions when late \
                        ticks change it. A table that keeps the greatest revision is right.",
            },
            Output {
                name: "open",
                kind: Some(Kind::Candles),
                about: "Running candles of the windows that an epoch's ticks fell into.",
            },
            Output {
                name: "revised",
                kind: Some(Kind::Candles),
                about: "The revisions of `closed` alone.",
            },
            Output {
                name: "dead",
                kind: Some(Kind::Rejects),
                about: "Ticks that are in no candle: out_of_session, too_late, no_price, \
                        volume_overflow, bad_time.",
            },
        ];
        &OUTPUTS
    }

    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let path = format!("operators.{}", context.id);
        let config: OhlcvConfig = read_config(&path, config)?;
        if let Some((field, message)) = check(&config).into_iter().next() {
            return Err(Fault::job(format!("{path}.{field}"), message));
        }
        let calendar = config.calendar.build(&format!("{path}.calendar"), &context.root)?;
        let is_used = |output: usize| context.used_outputs.get(output).copied().unwrap_or(true);
        let range = context.range.as_ref();
        let range = range.map_or((i64::MIN, i64::MAX), |range| (range.from.ns(), range.to.ns()));
        let basis = Basis::from(config.basis);
        let frames = window::arrange(config.timeframes);
        let takes_ticks = |number: &usize| frames.get(*number).is_some_and(|f| f.source.is_none());
        let roots: Vec<usize> = (0..frames.len()).filter(takes_ticks).collect();
        // A tick that is in time for the finest window may be late for that of another root.
        let has_log = config.revise_within > Duration::ZERO || roots.len() > 1;
        let core = Core {
            component: context.id.clone(),
            roots,
            frames,
            days: Days::new(calendar),
            basis,
            has_ask_beside: config.ask_beside && basis == Basis::Bid,
            lateness: config.lateness.ns(),
            idle: config.idle.ns(),
            revise_within: config.revise_within.ns(),
            is_flat: config.gaps == Gaps::Flat,
            gap_after: config.gap_after.map_or(i64::MAX, Duration::ns),
            range,
            has_open: is_used(OPEN),
            has_revised: is_used(REVISED),
            clock: EventTime::MIN,
            floor: i64::MIN,
            logs: Logs::default(),
            has_log,
            dirty: Vec::new(),
        };
        Ok(AnyMachine::Ticks(Box::new(OhlcvMachine::new(core, context.series))))
    }
}
