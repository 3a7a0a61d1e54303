//! `last`: keeps the newest record of every series and tells it once per epoch.

use dataflows::component::operator::{OperatorContext, OperatorDefinition};
use dataflows::component::{Definition, Output, check_config, read_config};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::machine::{AnyMachine, Emit, Machine};
use dataflows::moment::Moment;
use dataflows::state::Keyed;
use proto::candle::Candle;
use proto::payload::Payload;
use proto::series::{KeyGroup, SeriesId, SeriesTable};
use proto::tick::Tick;
use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{Slots, Versioned, with_state};

/// Keeps the newest record of every series (of every series and timeframe for candles) and emits
/// it once per epoch in which it changed: for a table or a retained topic of latest values.
///
/// Newest is the greatest (time, sequence) of ticks and the greatest (start, revision) of candles,
/// not the last to come: a late record changes nothing. The running value of an open candle gives
/// way to a newer one, and to the closed candle, never the other way round.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastConfig {}

/// The definition of `last`.
#[derive(Debug, Clone, Copy)]
pub struct Last;

impl Definition for Last {
    fn name(&self) -> &'static str {
        "last"
    }

    fn summary(&self) -> &'static str {
        "Keeps the newest record of every series and emits it once per epoch in which it changed."
    }

    fn config(&self) -> Schema {
        schema_for!(LastConfig)
    }

    fn check(&self, config: &Value) -> Vec<(String, String)> {
        check_config::<LastConfig>(config)
    }
}

impl OperatorDefinition for Last {
    fn takes(&self) -> &'static [Kind] {
        &[Kind::Ticks, Kind::Candles, Kind::Payloads]
    }

    fn outputs(&self) -> &'static [Output] {
        &[Output {
            name: "last",
            kind: None,
            about: "The newest record of every key that changed within the epoch.",
        }]
    }

    fn build(&self, config: &Value, context: OperatorContext) -> Result<AnyMachine, Fault> {
        let LastConfig {} = read_config(&format!("operators.{}", context.id), config)?;
        match context.kind {
            Kind::Ticks => {
                Ok(AnyMachine::Ticks(Box::new(LastMachine::<Tick>::new(context.series))))
            }
            Kind::Candles => {
                Ok(AnyMachine::Candles(Box::new(LastMachine::<Candle>::new(context.series))))
            }
            Kind::Payloads => {
                Ok(AnyMachine::Payloads(Box::new(LastMachine::<Payload>::new(context.series))))
            }
            kind @ (Kind::Rejects | Kind::Statuses) => {
                Err(Fault::defect("last", format!("it does not take {kind}")))
            }
        }
    }
}

/// The newest record of one key, under series number 0.
#[derive(Debug, Serialize, Deserialize)]
struct Newest<T> {
    record: Option<T>,
    /// It is listed in [`LastMachine::changed`].
    #[serde(skip)]
    is_changed: bool,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self { record: None, is_changed: false }
    }
}

/// The machine of `last`.
#[derive(Debug)]
struct LastMachine<T> {
    states: Keyed<Slots<Newest<T>>>,
    /// The keys that changed within the epoch under way, each once.
    changed: Vec<(SeriesId, u32)>,
}

impl<T: Versioned> LastMachine<T> {
    fn new(series: SeriesTable) -> Self {
        Self { states: Keyed::new(series), changed: Vec::new() }
    }
}

impl<T: Versioned + Serialize + DeserializeOwned> Machine<T> for LastMachine<T> {
    fn apply(&mut self, rows: &mut Vec<T>, _emit: &mut Emit) {
        let Self { states, changed } = self;
        for row in rows.drain(..) {
            let key = (row.id(), row.slot());
            let row = row.numbered(SeriesId::default());
            with_state(states, key.0, |slots| {
                slots.with(key.1, |newest| {
                    let is_newer = newest.record.as_ref().is_none_or(|record| {
                        row.version().supersedes(record.version()) && row != *record
                    });
                    if is_newer {
                        newest.record = Some(row);
                        if !newest.is_changed {
                            newest.is_changed = true;
                            changed.push(key);
                        }
                    }
                });
            });
        }
    }

    fn seal(&mut self, _moment: &Moment, emit: &mut Emit) {
        let run = T::run(emit, 0);
        for (id, slot) in self.changed.drain(..) {
            let newest = self.states.get_mut(id).and_then(|slots| slots.get_mut(slot));
            if let Some(newest) = newest {
                newest.is_changed = false;
                run.extend(newest.record.clone().map(|record| record.numbered(id)));
            }
        }
    }

    fn state_version(&self) -> u16 {
        1
    }

    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.states.snapshot(group, out)
    }

    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault> {
        crate::record::expect_version("last", version, 1)?;
        self.states.restore(group, bytes)
    }
}
