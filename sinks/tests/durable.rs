//! Runs that are killed and started again, as the engine does it: a reference for what every sink
//! of a durable run must stand.

use std::sync::Arc;

use dataflows::batch::Rows;
use dataflows::component::sink::{Durable, Ending, Sealed, Sink, SinkContext};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::{Epoch, Moment};
use proptest::prelude::*;
use proto::event_time::EventTime;
use serde_json::Value;

use super::support::World;

/// What happens to a running sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is handed the next epoch.
    Epoch,
    /// It makes durable what it owes; the checkpoint is recorded.
    Checkpoint,
    /// The same, but the process dies before the checkpoint is recorded.
    LostCheckpoint,
    /// The process dies, and the job is started again.
    Kill,
    /// The run is asked to stop, and the job is started again.
    Stop,
}

/// Histories in which every event happens.
pub(crate) fn history() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => Just(Event::Epoch),
        2 => Just(Event::Checkpoint),
        1 => Just(Event::LostCheckpoint),
        2 => Just(Event::Kill),
        1 => Just(Event::Stop),
    ];
    prop::collection::vec(event, 0..40)
}

/// The clock of an epoch and its runs.
pub(crate) type Epochs = Vec<(EventTime, Vec<Rows>)>;

/// A job with one sink, over fixed epochs.
pub(crate) struct Job<'a> {
    pub(crate) world: &'a World,
    pub(crate) sink: &'static str,
    pub(crate) config: Value,
    pub(crate) kind: Kind,
    pub(crate) epochs: Epochs,
}

impl Job<'_> {
    /// Opens the sink for a start of the job.
    pub(crate) fn open(&self, durable: Durable) -> Result<Box<dyn Sink>, Fault> {
        let definition = sinks::SINKS.iter().find(|sink| sink.name() == self.sink).unwrap();
        assert_eq!(definition.check(&self.config), Vec::new());
        let context = SinkContext {
            stop: dataflows::component::sink::Stop::default(),
            job: "job".to_owned(),
            id: "rows".to_owned(),
            root: self.world.path().to_owned(),
            series: self.world.series.clone(),
            kind: self.kind,
            replace: None,
            durable: Some(durable),
            health: Arc::default(),
        };
        definition.open(&self.config, context)
    }

    /// What the sink is handed in an epoch.
    pub(crate) fn sealed(&self, epoch: Epoch) -> Sealed {
        let (clock, runs) = self.epochs[epoch as usize - 1].clone();
        let is_last = epoch as usize == self.epochs.len();
        let moment = Moment { epoch, clock, watermarks: Vec::new(), is_last };
        Sealed { moment: Arc::new(moment), runs }
    }

    /// Runs all epochs with what happens on the way, to the end; `generations` is where starts
    /// are counted from.
    pub(crate) fn run(&self, history: &[Event], mut generation: u64) -> Result<(), Fault> {
        // A start that is killed before its first checkpoint goes on from an empty one.
        let mut recorded: (Epoch, Vec<u8>) = (0, Vec::new());
        let mut sink = self.open(Durable { generation, restored: None })?;
        let (mut last, mut furthest) = (0, 0);
        let all = self.epochs.len() as Epoch;
        for event in history {
            match event {
                Event::Epoch if last < all => {
                    last += 1;
                    furthest = furthest.max(last);
                    sink.apply(self.sealed(last))?;
                    continue;
                }
                Event::Epoch => continue,
                Event::Checkpoint => {
                    recorded = (last, sink.checkpoint()?);
                    continue;
                }
                Event::LostCheckpoint => drop(sink.checkpoint()?),
                Event::Kill => {}
                Event::Stop => {
                    recorded = (last, sink.checkpoint()?);
                    sink.finish(Ending::Interrupted)?;
                }
            }
            drop(sink);
            generation += 1;
            last = recorded.0;
            sink = self.open(Durable { generation, restored: Some(recorded.clone()) })?;
            let applied = sink.applied()?.unwrap();
            assert!((last..=furthest).contains(&applied), "{last} {applied} {furthest}");
        }
        for epoch in last + 1..=all {
            sink.apply(self.sealed(epoch))?;
        }
        sink.checkpoint()?;
        sink.finish(Ending::Complete).map(|_| ())
    }
}
