//! Minting new epochs: by event time, or by the wall clock.

use std::time::Duration;

use crossbeam_channel::TryRecvError;
use proto::event_time::EventTime;
use proto::reject::Reject;

use crate::batch::Rows;
use crate::component::source::{Intake, Position, Promise};
use crate::driver::feed::{Closing, Feed, Turn};
use crate::driver::heal::Way;
use crate::driver::intake::Taken;
use crate::fault::Fault;

/// How often a live job's clock moves when nothing arrives: timers run on it.
const HEARTBEAT: Duration = Duration::from_millis(100);

impl Feed {
    pub(super) fn by_event_time(&mut self) -> Result<Turn, Fault> {
        let Some(source) = self.furthest_behind() else { return Ok(self.end_by_event_time()) };
        match self.receive(source) {
            Ok(taken) => self.take_in(source, taken)?,
            Err(TryRecvError::Empty) if self.shared.is_stopping() => {
                return Ok(self.end_by_event_time());
            }
            Err(TryRecvError::Empty) => {
                return Ok(Turn::Sources(vec![source], Duration::from_secs(1)));
            }
            Err(TryRecvError::Disconnected) if self.shared.is_stopping() => {
                return Ok(self.end_by_event_time());
            }
            Err(TryRecvError::Disconnected) => self.end(source),
        }
        if self.records >= self.shared.plan.run.epoch_records_max {
            self.advance_event_clock();
            self.closing = Some(Closing { is_last: false, is_end: false });
            if self.has_enough() {
                self.sources.iter_mut().for_each(|source| source.has_ended = true);
            }
        }
        Ok(Turn::Moved)
    }

    /// All input was read, or the user asked to stop: closes the last epoch.
    fn end_by_event_time(&mut self) -> Turn {
        let is_stopping = self.shared.is_stopping();
        if !self.is_replaceable && !is_stopping {
            self.refuse_to_empty();
            return Turn::Done;
        }
        if self.was_last && self.has_nothing() {
            return Turn::Done; // nothing new since the job was run to its end before
        }
        if is_stopping && self.is_read_again() {
            return Turn::Done;
        }
        self.advance_event_clock();
        self.closing = Some(Closing { is_last: !is_stopping, is_end: true });
        Turn::Moved
    }

    /// Tells whether the next start reads what is in the open epoch again. That epoch is then left
    /// to it: cut short by the moment of a stop it would have another clock, and so other rejects.
    fn is_read_again(&self) -> bool {
        let shared = &self.shared;
        let mut sources = shared.plan.sources.iter();
        shared.durability.is_some()
            && sources.all(|source| source.definition.promise(&source.config) == Promise::Replays)
    }

    /// Nothing in, nothing out would look like a result: an archive that was lost or moved must not
    /// empty the tables that were made of it.
    fn refuse_to_empty(&self) {
        let Some(range) = &self.shared.options.range else { return };
        self.shared.status.fail(Fault::stop(
            "backfill",
            format!(
                "there are no ticks from {} to {}, so nothing was replaced; check the archive and \
                 the range",
                range.from, range.to
            ),
        ));
    }

    pub(super) fn by_wall_clock(&mut self) -> Result<Turn, Fault> {
        let is_stopping = self.shared.is_stopping();
        let live: Vec<usize> =
            (0..self.sources.len()).filter(|source| !self.has_ended(*source)).collect();
        if is_stopping || live.is_empty() {
            if self.was_last && self.has_nothing() {
                return Ok(Turn::Done);
            }
            self.clock = self.shared.clock.wall().max(self.clock);
            self.closing = Some(Closing { is_last: !is_stopping, is_end: true });
            return Ok(Turn::Moved);
        }
        self.take_what_is_there(&live)?;
        let quiet = self.shared.clock.monotonic().saturating_sub(self.minted);
        if self.records == 0 && quiet < HEARTBEAT {
            let live: Vec<usize> = live.into_iter().filter(|s| !self.has_ended(*s)).collect();
            return Ok(match live.is_empty() {
                true => Turn::Moved,
                false => Turn::Sources(live, HEARTBEAT.saturating_sub(quiet)),
            });
        }
        self.clock = self.shared.clock.wall().max(self.clock);
        self.closing = Some(Closing { is_last: false, is_end: false });
        Ok(Turn::Moved)
    }

    /// Takes what is there; the epoch stays open until it is told to close.
    pub(super) fn by_script(&mut self) -> Result<Turn, Fault> {
        if self.shared.is_stopping() {
            self.closing = Some(Closing { is_last: false, is_end: true });
            return Ok(Turn::Moved);
        }
        for source in 0..self.sources.len() {
            if let Ok(taken) = self.receive(source) {
                self.take_in(source, taken)?;
                return Ok(Turn::Moved);
            }
        }
        Ok(Turn::Sources((0..self.sources.len()).collect(), HEARTBEAT))
    }

    /// Takes what is there, until the epoch is full or as old as it may get.
    fn take_what_is_there(&mut self, live: &[usize]) -> Result<(), Fault> {
        let opened = self.shared.clock.monotonic();
        let run = &self.shared.plan.run;
        let (records_max, age_max) = (run.epoch_records_max, run.epoch_every);
        for source in live.iter().copied() {
            loop {
                match self.receive(source) {
                    Ok(taken) => self.take_in(source, taken)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        self.end(source);
                        break;
                    }
                }
                let age = self.shared.clock.monotonic().saturating_sub(opened);
                if self.records >= records_max || age >= age_max {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes in what a source handed in beyond the journal's last epoch.
    pub(super) fn take_rest(
        &mut self,
        source: usize,
        runs: Vec<Rows>,
        rejects: Vec<Reject>,
        position: Position,
    ) -> Result<(), Fault> {
        let mut rejects = Some(rejects);
        let mut runs = runs;
        if runs.is_empty() {
            runs.push(Rows::Ticks(Vec::new()));
        }
        // Only behind all of them does the source stand there: they belong to one epoch.
        for rows in runs {
            let rejects = rejects.take().unwrap_or_default();
            let (position, deliveries) = (position.clone(), Vec::new());
            let payload = self.shared.payload(source, &rows, &rejects, &mut self.names)?;
            let intake = Intake { rows, rejects, position, deliveries };
            self.take_in(source, Taken { intake, way: Way::Live, payload })?;
        }
        Ok(())
    }

    fn receive(&self, source: usize) -> Result<Taken, TryRecvError> {
        self.intakes.get(source).map_or(Err(TryRecvError::Disconnected), |i| i.try_recv())
    }

    fn has_enough(&self) -> bool {
        let watermarks = self.stamp.watermarks();
        let enough = self.shared.options.enough;
        enough.is_some_and(|enough| {
            !watermarks.is_empty() && watermarks.iter().all(|watermark| *watermark >= enough)
        })
    }

    fn has_ended(&self, source: usize) -> bool {
        self.sources.get(source).is_none_or(|source| source.has_ended)
    }

    fn end(&mut self, source: usize) {
        if let Some(source) = self.sources.get_mut(source) {
            source.has_ended = true;
        }
    }

    fn furthest_behind(&self) -> Option<usize> {
        let live = (0..self.sources.len()).filter(|source| !self.has_ended(*source));
        live.min_by_key(|source| self.sources.get(*source).map(|source| source.reached))
    }

    /// The least event time that all sources have reached; at the end, the greatest of all.
    fn advance_event_clock(&mut self) {
        let reached = |source: usize| self.sources.get(source).map(|source| source.reached);
        let all_reached = match self.furthest_behind() {
            Some(source) => reached(source),
            None => self.sources.iter().map(|source| source.reached).max(),
        };
        self.clock = all_reached.unwrap_or(EventTime::MIN).max(self.clock);
    }
}
