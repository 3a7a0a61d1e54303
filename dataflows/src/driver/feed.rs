//! The coordinator: gathers what the sources hand in, mints epochs, and hands every worker its share.
//!
//! With the job clock on event time the order in which sources are read, and so every epoch, depends
//! on the data alone: the source that is furthest behind goes next, an epoch closes when it is full.
//! With the wall clock an epoch takes what is there; its contents and its clock are inputs, which
//! the journal keeps. After a restart the epochs that the journal has are minted again first, the
//! same to the record.
//!
//! The coordinator never blocks: [`Feed::turn`] does what can be done and says what it waits for.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Select};

use proto::columns::Names;
use proto::event_time::EventTime;
use proto::reject::Reject;
use proto::series::SeriesId;

use crate::batch::{Record, Rows};
use crate::checkpoint::gather::{Engine, Part, SourceMark};
use crate::component::sink::Ending;
use crate::component::source::{Delivery, Position};
use crate::driver::again::Again;
use crate::driver::durable::NEVER;
use crate::driver::heal::Way;
use crate::driver::healed;
use crate::driver::intake::Taken;
use crate::driver::journaling::Order;
use crate::driver::reading::Phase;
use crate::driver::resume::{Resume, SourceResume};
use crate::driver::seam::Seam;
use crate::driver::seen::Seen;
use crate::driver::stamp::Stamp;
use crate::driver::supply::Supply;
use crate::driver::worker::{Crew, Share};
use crate::driver::{Shared, guarded};
use crate::fault::Fault;
use crate::journal::{Entry, Item};
use crate::moment::{Epoch, Moment};

/// How often a wait looks whether the run is to end.
const LOOK: Duration = Duration::from_millis(50);

/// How often a request for a checkpoint is looked for.
const LOOK_FOR_REQUEST: Duration = Duration::from_secs(1);

/// What a turn of the coordinator came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something was done; there may be more.
    Moved,
    /// Nothing can be done before one of these sources hands something in, or so long has passed.
    Sources(Vec<usize>, Duration),
    /// Nothing can be done before the sinks have applied this epoch.
    Gate(Epoch),
    /// The last epoch was minted.
    Done,
}

/// The coordinator.
pub(crate) struct Feed {
    pub(super) shared: Arc<Shared>,
    pub(super) intakes: Vec<Receiver<Taken>>,
    crew: Crew,
    pub(super) names: Names,
    pub(super) stamp: Stamp,
    pub(super) epoch: Epoch,
    pub(crate) clock: EventTime,
    pub(crate) sources: Vec<SourceFeed>,
    /// Per worker: its share of the epoch under way.
    shares: Vec<Vec<(usize, usize, Rows)>>,
    /// What the journal will say of the epoch under way.
    items: Vec<Item>,
    pub(super) records: usize,
    /// A backfill has met a tick of the range that it replaces; true if there is no range.
    pub(super) is_replaceable: bool,
    /// The epoch minted last was the last one of its input.
    pub(super) was_last: bool,
    /// The epochs of the journal that are still to be minted again.
    pub(super) again: Option<Again>,
    /// The epoch under way is to be closed, as the last one or not, when the gate allows it.
    pub(crate) closing: Option<Closing>,
    /// Epochs close when they are told to, and not by themselves.
    pub(crate) is_scripted: bool,
    /// A checkpoint is taken after the epoch under way.
    pub(crate) is_cut_asked: bool,
    /// With the wall clock: when the epoch before was minted.
    pub(super) minted: Duration,
    cut: Duration,
    looked: Duration,
}

/// How the epoch under way ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closing {
    /// No more input will come.
    pub(crate) is_last: bool,
    /// The run ends with it.
    pub(crate) is_end: bool,
}

/// What the coordinator knows of a source.
#[derive(Debug, Default)]
pub(crate) struct SourceFeed {
    /// The greatest event time that it has handed in.
    pub(crate) reached: EventTime,
    pub(super) has_ended: bool,
    pub(super) supply: Supply,
    pub(super) position: Option<Position>,
    pub(super) seen: Seen,
    /// Of one that is healed.
    pub(super) seam: Option<Seam>,
    /// How many records it has handed in since the epoch before; none: it has not moved.
    moved: Option<u64>,
}

impl SourceFeed {
    fn new(resume: SourceResume) -> Self {
        Self {
            reached: resume.reached.unwrap_or(NEVER),
            position: resume.position,
            seen: resume.seen,
            ..Self::default()
        }
    }
}

/// Runs the job to its end; gives how it ended, after the workers have finished.
pub(crate) fn coordinate(mut feed: Feed) -> Ending {
    let shared = feed.shared.clone();
    shared.status.enter(if feed.again.is_some() { Phase::Restoring } else { Phase::Running });
    let outcome = guarded("the coordinator", || {
        loop {
            shared.beat();
            match feed.turn()? {
                Turn::Moved => {}
                Turn::Sources(sources, most) => feed.wait(&sources, most),
                Turn::Gate(epoch) => {
                    if !wait_at_gate(&shared, epoch) {
                        return Ok(());
                    }
                }
                Turn::Done => return Ok(()),
            }
        }
    });
    if let Err(fault) = outcome.and_then(|outcome: Result<(), Fault>| outcome) {
        shared.status.fail(fault);
    }
    feed.finish()
}

/// Waits until every sink has applied `epoch`, and counts for how long each of them was waited for.
fn wait_at_gate(shared: &Shared, epoch: Epoch) -> bool {
    loop {
        let late = shared.gate.late(epoch);
        let begun = shared.clock.monotonic();
        let is_open = shared.gate.wait(epoch);
        let waited = shared.clock.monotonic().saturating_sub(begun);
        shared.status.count_blocked(&late, waited);
        shared.beat();
        if is_open || shared.status.has_failed() {
            return is_open;
        }
    }
}

impl Feed {
    /// Makes the coordinator of a run that goes on from `resume`, with the journal's epochs behind
    /// it to be minted again.
    pub(crate) fn new(
        shared: Arc<Shared>,
        intakes: Vec<Receiver<Taken>>,
        crew: Crew,
        resume: Resume,
        again: Option<Again>,
    ) -> Self {
        let workers = shared.plan.run.workers;
        let range = shared.options.read.clone();
        let stamp = Stamp::behind(shared.series.clone(), workers, range, resume.feeds);
        let now = shared.clock.monotonic();
        let source = |(index, mut resume): (usize, SourceResume)| {
            let seam = healed::seam(&shared, index, &mut resume);
            SourceFeed { seam, ..SourceFeed::new(resume) }
        };
        let sources = resume.sources.into_iter().enumerate().map(source).collect();
        Self {
            names: Names::new(shared.series.clone()),
            stamp,
            intakes,
            crew,
            epoch: resume.base,
            clock: resume.clock.unwrap_or(NEVER),
            sources,
            shares: vec![Vec::new(); workers],
            items: Vec::new(),
            records: 0,
            is_replaceable: shared.options.range.is_none(),
            was_last: resume.is_last,
            again,
            closing: None,
            is_scripted: false,
            is_cut_asked: false,
            minted: now,
            cut: now,
            looked: now,
            shared,
        }
    }

    /// Does what can be done.
    pub(crate) fn turn(&mut self) -> Result<Turn, Fault> {
        if self.shared.status.has_failed() {
            return Ok(Turn::Done);
        }
        if let Some(closing) = self.closing {
            let run = &self.shared.plan.run;
            let behind = (self.epoch + 1).saturating_sub(run.epochs_in_flight_max);
            if self.shared.gate.least() < behind {
                return Ok(Turn::Gate(behind));
            }
            self.closing = None;
            let is_sent = self.mint(closing);
            return Ok(if is_sent && !closing.is_end { Turn::Moved } else { Turn::Done });
        }
        if self.again.is_some() {
            return self.go_again();
        }
        if self.is_scripted {
            return self.by_script();
        }
        if self.shared.is_event_clock { self.by_event_time() } else { self.by_wall_clock() }
    }

    /// Lets the workers finish what is in flight; gives how the run ended.
    pub(crate) fn finish(self) -> Ending {
        let Self { shared, intakes, crew, .. } = self;
        drop(intakes);
        shared.status.enter(Phase::Closing);
        crew.finish(&shared);
        if shared.status.has_failed() {
            Ending::Failed
        } else if shared.is_stopping() {
            Ending::Interrupted
        } else {
            Ending::Complete
        }
    }

    fn wait(&self, sources: &[usize], most: Duration) {
        let mut select = Select::new();
        for intake in sources.iter().filter_map(|source| self.intakes.get(*source)) {
            select.recv(intake);
        }
        // Whether something came, or time is up, the next turn finds out.
        if let Ok(_source) = select.ready_timeout(most.min(LOOK)) {}
    }

    /// Takes in what a source has handed in: into the epoch under way, and into what the journal
    /// will say of it.
    pub(super) fn take_in(&mut self, source: usize, taken: Taken) -> Result<(), Fault> {
        let Taken { mut intake, way, mut payload } = taken;
        let is_less = match way {
            Way::Live => {
                let is_less = self.drop_redelivered(
                    source,
                    &mut intake.rows,
                    &mut intake.rejects,
                    &mut intake.deliveries,
                );
                self.drop_healed(source, &mut intake) || is_less
            }
            Way::Healed { is_first } => {
                let is_less = self.keep_missing(source, &mut intake, is_first);
                if intake.is_empty() {
                    return Ok(());
                }
                is_less
            }
            Way::Opened | Way::Closed => {
                payload = Some(self.note_seam(source, way));
                false
            }
        };
        if is_less && payload.is_some() {
            let names = &mut self.names;
            payload = self.shared.payload(source, &intake.rows, &intake.rejects, names)?;
        }
        let position = intake.position;
        if self.shared.durability.is_some() {
            let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
            self.items.push(Item {
                source: count(source),
                rows: count(intake.rows.len()),
                rejects: count(intake.rejects.len()),
                digest: crate::codec::digest(&intake.rows, &intake.rejects, 0),
                position: position.clone(),
                deliveries: intake.deliveries,
                payload,
            });
        }
        let records = (intake.rows.len() + intake.rejects.len()) as u64;
        self.admit(source, intake.rows, intake.rejects);
        self.stand(source, position);
        if let Some(feed) = self.sources.get_mut(source) {
            feed.moved = Some(feed.moved.unwrap_or(0) + records);
        }
        Ok(())
    }

    /// Tells whether nothing has come since the epoch before: no record, and no message that was
    /// delivered again and has to be acknowledged.
    pub(super) fn has_nothing(&self) -> bool {
        self.records == 0 && !self.sources.iter().any(|source| source.moved.is_some())
    }

    /// A source stands at `position` now.
    pub(super) fn stand(&mut self, source: usize, position: Position) {
        if let Some(feed) = self.sources.get_mut(source) {
            feed.position = Some(position);
        }
    }

    /// Takes out what has been delivered before; tells whether there was any.
    fn drop_redelivered(
        &mut self,
        source: usize,
        rows: &mut Rows,
        rejects: &mut Vec<Reject>,
        deliveries: &mut Vec<Delivery>,
    ) -> bool {
        let Some(feed) = self.sources.get_mut(source) else { return false };
        let is_new: Vec<bool> =
            deliveries.iter().map(|delivery| feed.seen.is_new(delivery.id)).collect();
        if is_new.iter().all(|is_new| *is_new) {
            return false;
        }
        let keep = |count: fn(&Delivery) -> u32| -> Vec<bool> {
            let counts = deliveries.iter().zip(&is_new);
            counts.flat_map(|(d, is_new)| std::iter::repeat_n(*is_new, count(d) as usize)).collect()
        };
        let records = rows.len() + rejects.len();
        let (rows_kept, rejects_kept) = (keep(|d| d.rows), keep(|d| d.rejects));
        rows.keep(&rows_kept);
        let mut kept = rejects_kept.iter();
        rejects.retain(|_| kept.next().copied().unwrap_or(true));
        let dropped = is_new.iter().filter(|is_new| !**is_new).count();
        let records = records - rows.len() - rejects.len();
        self.shared.status.count_redelivered(source, dropped, records);
        let mut kept = is_new.iter();
        deliveries.retain(|_| kept.next().copied().unwrap_or(true));
        true
    }

    /// Adds records to the epoch under way.
    pub(super) fn admit(&mut self, source: usize, rows: Rows, rejects: Vec<Reject>) {
        self.records += rows.len() + rejects.len();
        if !rejects.is_empty() {
            self.give(0, source, 1, Rows::Rejects(rejects));
        }
        match rows {
            Rows::Ticks(mut ticks) => {
                self.stamp.stamp(&mut ticks);
                if let Some(range) =
                    self.shared.options.range.as_ref().filter(|_| !self.is_replaceable)
                {
                    let wanted = range.from..range.to;
                    self.is_replaceable = ticks.iter().any(|tick| wanted.contains(&tick.time));
                }
                if let (Some(feed), Some(newest)) =
                    (self.sources.get_mut(source), self.stamp.newest())
                {
                    feed.reached = newest.max(feed.reached);
                }
                for (worker, share) in self.stamp.split(ticks).into_iter().enumerate() {
                    self.give(worker, source, 0, Rows::Ticks(share));
                }
            }
            Rows::Candles(rows) => self.split(source, rows),
            Rows::Rejects(rows) => self.split(source, rows),
            Rows::Payloads(rows) => self.split(source, rows),
            Rows::Statuses(rows) => self.split(source, rows),
        }
    }

    /// Gives rows that need no stamp to the workers that own their series.
    fn split<T: Record>(&mut self, source: usize, rows: Vec<T>) {
        let series = |row: &T| row.series().unwrap_or(SeriesId(u32::MAX));
        for (worker, share) in self.stamp.split_by(rows, series) {
            self.give(worker, source, 0, T::wrap(share));
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
    fn mint(&mut self, closing: Closing) -> bool {
        self.epoch += 1;
        self.records = 0;
        self.was_last = closing.is_last;
        self.minted = self.shared.clock.monotonic();
        for (number, feed) in self.sources.iter_mut().enumerate() {
            if let (Some(records), Some(position)) = (feed.moved.take(), &feed.position) {
                self.shared.settle.note(number, self.epoch, position.clone(), records);
            }
        }
        self.note(closing);
        let moment = self.shared.moments.record(Moment {
            epoch: self.epoch,
            clock: self.clock,
            watermarks: self.stamp.watermarks().to_vec(),
            is_last: closing.is_last,
        });
        self.shared.moments.forget_below(self.shared.gate.least());
        self.shared.status.minted(moment);
        for worker in 0..self.shares.len() {
            let rows = self.shares.get_mut(worker).map(std::mem::take).unwrap_or_default();
            if !self.crew.send(worker, Share { epoch: self.epoch, rows }) {
                return false;
            }
        }
        true
    }

    /// Of a durable run: tells the journal of the epoch, unless it has it, and decides whether a
    /// checkpoint is taken after it.
    fn note(&mut self, closing: Closing) {
        let shared = self.shared.clone();
        let Some(durability) = &shared.durability else { return };
        let items = std::mem::take(&mut self.items);
        if self.again.is_none() {
            let (epoch, clock, is_last) = (self.epoch, self.clock, closing.is_last);
            // A journal that has ended has failed, and with it the run.
            drop(durability.orders.send(Order::Entry(Entry { epoch, clock, is_last, items })));
        }
        let is_asked = std::mem::take(&mut self.is_cut_asked) | self.is_checkpoint_asked_for();
        let is_due = self.minted.saturating_sub(self.cut) >= shared.plan.state.checkpoint_every;
        if closing.is_end || is_asked || (is_due && !durability.cuts.are_any()) {
            self.cut = self.minted;
            durability.cuts.add(self.epoch, self.minted);
            durability.part(self.epoch, Part::Engine(self.remember(closing.is_last)));
        }
    }

    fn is_checkpoint_asked_for(&mut self) -> bool {
        if self.minted.saturating_sub(self.looked) < LOOK_FOR_REQUEST {
            return false;
        }
        self.looked = self.minted;
        let request = self.shared.durability.as_ref().and_then(|d| d.request.as_ref());
        request.is_some_and(|request| std::fs::remove_file(request).is_ok())
    }

    /// What the engine itself has to remember for a checkpoint.
    fn remember(&self, is_last: bool) -> Engine {
        let mark = |feed: &SourceFeed| SourceMark {
            position: feed.position.clone(),
            reached: feed.reached,
            seen: feed.seen.encode(),
            seam: feed.seam.as_ref().map(Seam::encode).unwrap_or_default(),
        };
        Engine {
            clock: self.clock,
            is_last,
            feeds: self.stamp.feeds(),
            sources: self.sources.iter().map(mark).collect(),
        }
    }
}
