//! The coordinator: gathers what the sources hand in, mints epochs, and hands every worker its share.
//!
//! With the job clock on event time the order in which sources are read, and so every epoch, depends
//! on the data alone: the source that is furthest behind goes next, an epoch closes when it is full.
//! With the wall clock an epoch takes what is there; its contents and its clock are then inputs that
//! a journal has to keep.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Select, TryRecvError};

use proto::event_time::EventTime;
use proto::series::SeriesId;

use crate::batch::Rows;
use crate::component::sink::Ending;
use crate::component::source::Intake;
use crate::driver::stamp::Stamp;
use crate::driver::worker::{Crew, Share};
use crate::driver::{Shared, guarded};
use crate::fault::Fault;
use crate::moment::{Epoch, Moment};

/// How often a live job's clock moves when nothing arrives: timers run on it.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// How often a wait looks whether the run is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the job to its end; gives how it ended, after the workers have finished.
pub(crate) fn coordinate(
    shared: &Shared,
    intakes: Vec<Receiver<Intake>>,
    crew: Crew,
    event_clock: bool,
) -> Ending {
    let outcome = guarded("the coordinator", || {
        let mut feed = Feed::new(shared, &crew, intakes.len());
        if event_clock { feed.by_event_time(&intakes) } else { feed.by_wall_clock(&intakes) }
    });
    if let Err(fault) = outcome {
        shared.status.fail(fault);
    }
    drop(intakes);
    crew.finish(shared);
    if shared.status.has_failed() {
        Ending::Failed
    } else if shared.is_stopping() {
        Ending::Interrupted
    } else {
        Ending::Complete
    }
}

struct Feed<'run> {
    shared: &'run Shared,
    crew: &'run Crew,
    stamp: Stamp,
    epoch: Epoch,
    clock: EventTime,
    /// Per source: the greatest event time that it has handed in.
    reached: Vec<EventTime>,
    ended: Vec<bool>,
    /// Per worker: its share of the epoch under way.
    shares: Vec<Vec<(usize, usize, Rows)>>,
    records: usize,
    /// A backfill has met a tick of the range that it replaces; true if there is no range.
    is_replaceable: bool,
}

impl<'run> Feed<'run> {
    fn new(shared: &'run Shared, crew: &'run Crew, sources: usize) -> Self {
        let workers = shared.plan.run.workers;
        let range = shared.options.read.clone();
        Self {
            shared,
            crew,
            stamp: Stamp::new(shared.series.clone(), workers, range),
            epoch: 0,
            clock: EventTime::MIN,
            reached: vec![EventTime::MIN; sources],
            ended: vec![false; sources],
            shares: vec![Vec::new(); workers],
            records: 0,
            is_replaceable: shared.options.range.is_none(),
        }
    }

    fn by_event_time(&mut self, intakes: &[Receiver<Intake>]) {
        while let Some(source) = self.furthest_behind() {
            let Some(intake) = intakes.get(source).map(|intake| self.wait(intake)) else { return };
            match intake {
                Some(intake) => self.add(source, intake),
                None if self.shared.is_stopping() => break,
                None => self.end(source),
            }
            if self.records >= self.shared.plan.run.epoch_records_max {
                self.advance_event_clock();
                if !self.mint(false) {
                    return;
                }
                if self.has_enough() {
                    break;
                }
            }
        }
        if !self.is_replaceable && !self.shared.is_stopping() {
            return self.refuse_to_empty();
        }
        self.advance_event_clock();
        self.mint(!self.shared.is_stopping());
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

    fn by_wall_clock(&mut self, intakes: &[Receiver<Intake>]) {
        loop {
            if self.shared.is_stopping() {
                self.mint(false);
                return;
            }
            let live: Vec<usize> = (0..intakes.len()).filter(|i| !self.has_ended(*i)).collect();
            if live.is_empty() {
                self.clock = crate::clock::wall().max(self.clock);
                self.mint(true);
                return;
            }
            self.take_what_is_there(intakes, &live);
            self.clock = crate::clock::wall().max(self.clock);
            if !self.mint(false) {
                return;
            }
        }
    }

    /// Waits for something up to a heartbeat, then takes what else is there, until the epoch is full
    /// or as old as it may get.
    fn take_what_is_there(&mut self, intakes: &[Receiver<Intake>], live: &[usize]) {
        let mut select = Select::new();
        for receiver in live.iter().filter_map(|source| intakes.get(*source)) {
            select.recv(receiver);
        }
        if select.ready_timeout(HEARTBEAT).is_err() {
            return;
        }
        let (run, opened) = (&self.shared.plan.run, Instant::now());
        let (records_max, age_max) = (run.epoch_records_max, run.epoch_every);
        for source in live.iter().copied() {
            let Some(receiver) = intakes.get(source) else { continue };
            loop {
                match receiver.try_recv() {
                    Ok(intake) => self.add(source, intake),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        self.end(source);
                        break;
                    }
                }
                if self.records >= records_max || opened.elapsed() >= age_max {
                    return;
                }
            }
        }
    }

    fn has_enough(&self) -> bool {
        let watermarks = self.stamp.watermarks();
        let enough = self.shared.options.enough;
        enough.is_some_and(|enough| {
            !watermarks.is_empty() && watermarks.iter().all(|watermark| *watermark >= enough)
        })
    }

    fn wait(&self, intake: &Receiver<Intake>) -> Option<Intake> {
        loop {
            match intake.recv_timeout(LOOK) {
                Ok(intake) => return Some(intake),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if self.shared.is_stopping() => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn has_ended(&self, source: usize) -> bool {
        self.ended.get(source).copied().unwrap_or(true)
    }

    fn end(&mut self, source: usize) {
        if let Some(ended) = self.ended.get_mut(source) {
            *ended = true;
        }
    }

    fn furthest_behind(&self) -> Option<usize> {
        let live = (0..self.reached.len()).filter(|source| !self.has_ended(*source));
        live.min_by_key(|source| self.reached.get(*source).copied())
    }

    /// The least event time that all sources have reached; at the end, the greatest of all.
    fn advance_event_clock(&mut self) {
        let all_reached = match self.furthest_behind() {
            Some(source) => self.reached.get(source).copied(),
            None => self.reached.iter().copied().max(),
        };
        self.clock = all_reached.unwrap_or(EventTime::MIN).max(self.clock);
    }

    fn add(&mut self, source: usize, intake: Intake) {
        self.records += intake.rows.len() + intake.rejects.len();
        if !intake.rejects.is_empty() {
            self.give(0, source, 1, Rows::Rejects(intake.rejects));
        }
        match intake.rows {
            Rows::Ticks(mut ticks) => {
                self.stamp.stamp(&mut ticks);
                if let Some(range) =
                    self.shared.options.range.as_ref().filter(|_| !self.is_replaceable)
                {
                    let wanted = range.from..range.to;
                    self.is_replaceable = ticks.iter().any(|tick| wanted.contains(&tick.time));
                }
                if let (Some(reached), Some(newest)) =
                    (self.reached.get_mut(source), self.stamp.newest())
                {
                    *reached = newest.max(*reached);
                }
                for (worker, share) in self.stamp.split(ticks).into_iter().enumerate() {
                    self.give(worker, source, 0, Rows::Ticks(share));
                }
            }
            Rows::Candles(candles) => {
                for (worker, share) in self.stamp.split_by(candles, |c| c.series) {
                    self.give(worker, source, 0, Rows::Candles(share));
                }
            }
            Rows::Rejects(rejects) => {
                let series = |reject: &proto::reject::Reject| reject.series();
                for (worker, share) in
                    self.stamp.split_by(rejects, |r| series(r).unwrap_or(SeriesId(u32::MAX)))
                {
                    self.give(worker, source, 0, Rows::Rejects(share));
                }
            }
        }
    }

    fn give(&mut self, worker: usize, source: usize, output: usize, rows: Rows) {
        if rows.is_empty() {
            return;
        }
        if let Some(share) = self.shares.get_mut(worker) {
            share.push((source, output, rows));
        }
    }

    /// Closes the epoch under way and hands it out; false when the run is over.
    fn mint(&mut self, is_last: bool) -> bool {
        self.epoch += 1;
        self.records = 0;
        let behind = self.epoch.saturating_sub(self.shared.plan.run.epochs_in_flight_max);
        if !self.shared.gate.wait_for(behind, || self.shared.status.has_failed()) {
            return false;
        }
        self.shared.moments.record(Moment {
            epoch: self.epoch,
            clock: self.clock,
            watermarks: self.stamp.watermarks().to_vec(),
            is_last,
        });
        self.shared.moments.forget_below(self.shared.gate.least());
        self.shared.status.minted(self.epoch, self.clock);
        for worker in 0..self.shares.len() {
            let rows = self.shares.get_mut(worker).map(std::mem::take).unwrap_or_default();
            if !self.crew.send(worker, Share { epoch: self.epoch, rows }) {
                return false;
            }
        }
        true
    }
}
