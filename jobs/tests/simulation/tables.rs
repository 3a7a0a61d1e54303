//! Sinks in memory: a table with transactions, and a log that is cut.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dataflows::batch::Rows;
use dataflows::component::sink::{Ending, Sealed, Sink, SinkContext, SinkReport};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::Epoch;
use serde_json::{Map, Value};

use crate::market::Random;

/// What a table or log holds, whoever writes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store(pub(crate) Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Rows with a key: the last one stays.
    pub(crate) keyed: BTreeMap<String, String>,
    /// Rows without: all stay.
    pub(crate) appended: Vec<String>,
    applied: Epoch,
    generation: u64,
    /// Commits that are still to succeed before the process dies at one; and whether it dies before
    /// or after that one took effect.
    pub(crate) dies: Option<(u64, bool)>,
}

impl Store {
    /// The rows, sorted.
    pub(crate) fn rows(&self) -> Vec<String> {
        let contents = self.0.lock().unwrap();
        let keyed = contents.keyed.iter().map(|(key, row)| format!("{key} {row}"));
        let mut rows: Vec<String> = keyed.chain(contents.appended.iter().cloned()).collect();
        rows.sort();
        rows
    }
}

/// A table: rows and progress in one transaction, at moments of its own.
pub(crate) struct Table {
    store: Store,
    context: SinkContext,
    waiting: Vec<Map<String, Value>>,
    epoch: Epoch,
    random: Random,
}

impl Table {
    pub(crate) fn open(store: Store, context: SinkContext, seed: u64) -> Result<Self, Fault> {
        let durable = context.durable.as_ref().unwrap();
        let mut contents = store.0.lock().unwrap();
        if contents.generation > durable.generation {
            return Err(Fault::stop("the table", "a newer generation writes it"));
        }
        contents.generation = durable.generation;
        // A checkpoint of epoch 0 is none: what has been applied stays, and comes again.
        if durable.restored.is_none() {
            // From nothing: what was there is written over, by key; what has no key starts anew.
            contents.applied = 0;
            contents.appended.clear();
            contents.keyed.clear();
        }
        let epoch = contents.applied;
        drop(contents);
        Ok(Self { store, context, waiting: Vec::new(), epoch, random: Random::new(seed) })
    }

    fn commit(&mut self) -> Result<(), Fault> {
        let generation = self.context.durable.as_ref().unwrap().generation;
        let mut contents = self.store.0.lock().unwrap();
        if contents.generation != generation {
            return Err(Fault::stop("the table", "a newer generation writes it"));
        }
        let dies = match &mut contents.dies {
            Some((0, takes_effect)) => Some(*takes_effect),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        let died = || Err(Fault::stop("the table", "the process died here"));
        if dies == Some(false) {
            return died();
        }
        for row in std::mem::take(&mut self.waiting) {
            let text = |name: &str| row.get(name).map(Value::to_string).unwrap_or_default();
            let whole = Value::Object(row.clone()).to_string();
            if self.context.kind == Kind::Candles {
                let key: Vec<String> = ["source", "instrument", "timeframe", "start"]
                    .iter()
                    .map(|n| text(n))
                    .collect();
                contents.keyed.insert(key.join(" "), whole);
            } else {
                contents.appended.push(whole);
            }
        }
        contents.applied = self.epoch;
        if dies == Some(true) { died() } else { Ok(()) }
    }
}

/// The rows of an epoch as objects, without what depends on the clock.
pub(crate) fn objects(runs: Vec<Rows>, context: &SinkContext) -> Vec<Map<String, Value>> {
    let mut rows = dataflows::verdict::objects(runs, &context.series);
    if context.kind == Kind::Rejects {
        for row in &mut rows {
            row.remove("clock");
            row.remove("time");
        }
    }
    rows
}

impl Sink for Table {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(Some(self.store.0.lock().unwrap().applied))
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        let epoch = sealed.moment.epoch;
        if epoch <= self.store.0.lock().unwrap().applied {
            return Ok(());
        }
        assert!(epoch == self.epoch + 1, "epoch {epoch} after {}", self.epoch);
        self.epoch = epoch;
        self.waiting.extend(objects(sealed.runs, &self.context));
        if self.random.once_in(3) { self.commit() } else { Ok(()) }
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        self.commit()?;
        Ok(Vec::new())
    }

    fn finish(&mut self, ending: Ending) -> Result<SinkReport, Fault> {
        if ending != Ending::Failed {
            self.commit()?;
        }
        Ok(SinkReport::default())
    }
}

/// A log: lines that are appended at once, and cut to the checkpoint's length on restart.
pub(crate) struct Log {
    store: Store,
    context: SinkContext,
    epoch: Epoch,
}

impl Log {
    pub(crate) fn open(store: Store, context: SinkContext) -> Result<Self, Fault> {
        let restored = context.durable.as_ref().and_then(|durable| durable.restored.as_ref());
        let (epoch, length) = match restored {
            Some((epoch, state)) if !state.is_empty() => {
                let bytes: [u8; 8] = state.as_slice().try_into().unwrap();
                (*epoch, usize::try_from(u64::from_le_bytes(bytes)).unwrap())
            }
            Some(_) | None => (0, 0),
        };
        let mut contents = store.0.lock().unwrap();
        assert!(contents.appended.len() >= length, "the log lost what was durable");
        contents.appended.truncate(length);
        drop(contents);
        Ok(Self { store, context, epoch })
    }
}

impl Sink for Log {
    fn applied(&mut self) -> Result<Option<Epoch>, Fault> {
        Ok(Some(self.epoch))
    }

    fn apply(&mut self, sealed: Sealed) -> Result<(), Fault> {
        assert!(sealed.moment.epoch == self.epoch + 1);
        self.epoch = sealed.moment.epoch;
        let rows = objects(sealed.runs, &self.context);
        let lines = rows.into_iter().map(|row| Value::Object(row).to_string());
        self.store.0.lock().unwrap().appended.extend(lines);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Vec<u8>, Fault> {
        Ok((self.store.0.lock().unwrap().appended.len() as u64).to_le_bytes().to_vec())
    }

    fn finish(&mut self, _: Ending) -> Result<SinkReport, Fault> {
        Ok(SinkReport::default())
    }
}
