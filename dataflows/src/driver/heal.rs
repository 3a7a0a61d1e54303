//! Healing: a source whose broker may have lost a part of the stream gets it from an archive first.
//!
//! Lives on the thread of the source, before hop 1. What the queue delivers is held until the
//! archive has everything from before it; then come the archive's ticks, then what was held. Which
//! of the archive's ticks were handed in before, and which of the queue's the archive had, the
//! coordinator decides ([`crate::driver::seam`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proto::archive_note::ArchiveNote;
use proto::event_time::EventTime;
use proto::series::{FeedId, Series};
use proto::tick::Tick;

use crate::batch::Rows;
use crate::component::sink::Generation;
use crate::component::source::{Continuity, Intake, Position, Range, SETTLE_WITHIN, Source};
use crate::driver::Shared;
use crate::driver::seam::AHEAD_MAX;
use crate::fault::Fault;
use crate::job::heal::HealPlan;

/// How often it is looked whether the archive has it.
const LOOK: Duration = Duration::from_millis(500);

/// So many rows of the queue are held at most; the rest waits at the broker.
const HELD_MAX: usize = 1 << 20;

/// What had been handed in when the journal was through.
#[derive(Debug, Default)]
pub(crate) struct Had {
    /// How far each feed had come.
    pub(crate) feeds: BTreeMap<Arc<str>, EventTime>,
    /// The start that last made sure that nothing was missing.
    pub(crate) whole_for: Generation,
    /// Where the source stood.
    pub(crate) position: Position,
}

/// On which way an intake came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the source itself.
    Live,
    /// From the archive.
    Healed {
        /// The archive is read from its beginning.
        is_first: bool,
    },
    /// There is nothing in it, but from here on something may be missing.
    Opened,
    /// There is nothing in it, and nothing is missing any more.
    Closed,
}

/// Stands between a source and the thread that takes from it.
pub(crate) struct Healer {
    shared: Arc<Shared>,
    index: usize,
    plan: HealPlan,
    generation: Generation,
    /// By feed: the greatest event time that the queue has delivered in this run.
    newest: Vec<EventTime>,
    known: Vec<Arc<Series>>,
    held: VecDeque<Intake>,
    held_rows: usize,
    position: Position,
    state: State,
}

enum State {
    /// It is not known yet whether anything is missing.
    Begun {
        /// What the first connection said.
        continuity: Option<Continuity>,
    },
    /// Nothing is missing.
    Whole,
    /// Until the archive has it.
    Waiting { since: EventTime, begun: Duration, looked: Option<Duration> },
    /// From the archive.
    Reading { archive: Box<dyn Source>, first: BTreeMap<FeedId, i64>, is_first: bool },
}

impl Healer {
    /// Makes the one of a source, if the job says that it is healed.
    pub(crate) fn new(shared: &Arc<Shared>, index: usize) -> Option<Self> {
        let plan = shared.plan.sources.get(index)?.heal.clone()?;
        let generation = shared.durability.as_ref()?.generation;
        Some(Self {
            shared: shared.clone(),
            index,
            plan,
            generation,
            newest: Vec::new(),
            known: Vec::new(),
            held: VecDeque::new(),
            held_rows: 0,
            position: Position::default(),
            state: State::Begun { continuity: None },
        })
    }

    /// Gives what comes next: of the source, or of the archive. None: the source has ended.
    pub(crate) fn next(&mut self, source: &mut dyn Source) -> Result<Option<(Intake, Way)>, Fault> {
        match &mut self.state {
            State::Whole => self.live(source),
            State::Begun { .. } => self.begin(source),
            State::Waiting { .. } => self.wait(source),
            State::Reading { .. } => self.read(),
        }
    }

    fn live(&mut self, source: &mut dyn Source) -> Result<Option<(Intake, Way)>, Fault> {
        if let Some(intake) = self.held.pop_front() {
            self.held_rows -= intake.rows.len();
            return Ok(Some(self.give(intake)));
        }
        let Some(intake) = source.next(&self.shared.options.stop)? else { return Ok(None) };
        if source.continuity() == Some(Continuity::Broken) {
            self.hold(intake);
            self.open();
            return Ok(Some(self.mark(Way::Opened)));
        }
        Ok(Some(self.give(intake)))
    }

    /// Waits until the journal is through and the source has connected.
    fn begin(&mut self, source: &mut dyn Source) -> Result<Option<(Intake, Way)>, Fault> {
        if !self.take(source)? {
            return Ok(None);
        }
        let State::Begun { continuity } = &mut self.state else { return Ok(None) };
        *continuity = source.continuity().or(*continuity);
        let had = self.shared.had.get(self.index).and_then(|had| had.get());
        let (Some(continuity), Some(had)) = (*continuity, had) else {
            return Ok(Some(self.nothing()));
        };
        self.position = had.position.clone();
        // A start before this one that did not come so far may have found the queue, or made it.
        let is_sure = had.whole_for + 1 == self.generation;
        if had.feeds.is_empty() || (continuity == Continuity::Whole && is_sure) {
            self.state = State::Whole;
            return Ok(Some(self.mark(Way::Closed)));
        }
        self.open();
        Ok(Some(self.mark(Way::Opened)))
    }

    fn open(&mut self) {
        let clock = &self.shared.clock;
        tracing::warn!(
            source = self.name(),
            "its queue may have lost messages; what is missing is looked for in the archive"
        );
        self.state = State::Waiting { since: clock.wall(), begun: clock.monotonic(), looked: None };
    }

    fn wait(&mut self, source: &mut dyn Source) -> Result<Option<(Intake, Way)>, Fault> {
        if !self.take(source)? {
            return Ok(None);
        }
        let is_lost_again = source.continuity() == Some(Continuity::Broken);
        let (now, wall) = (self.shared.clock.monotonic(), self.shared.clock.wall());
        let State::Waiting { since, begun, looked } = &mut self.state else { return Ok(None) };
        if is_lost_again {
            *since = wall;
        }
        if looked.is_some_and(|looked| now.saturating_sub(looked) < LOOK) {
            return Ok(Some(self.nothing()));
        }
        *looked = Some(now);
        let (since, waited) = (*since, now.saturating_sub(*begun));
        let first = self.first();
        let is_late = waited >= self.plan.wait.into();
        match self.plan.definition.note(&self.plan.config, &self.shared.options.root) {
            Ok(Some(note)) if self.has(&note, since, &first) => {}
            Ok(_) if !is_late => return Ok(Some(self.nothing())),
            Ok(Some(note)) => self.miss(&format!(
                "the archive is complete up to {} only; is its job running?",
                note.as_of
            )),
            Ok(None) => self.miss(
                "the archive does not say how far it is complete; does its sink have \
                 `publish_every`?",
            ),
            Err(fault) => self.miss(&fault.to_string()),
        }
        match self.archive() {
            Ok(archive) => self.state = State::Reading { archive, first, is_first: true },
            Err(fault) => {
                self.miss(&fault.to_string());
                self.state = State::Whole;
                return Ok(Some(self.mark(Way::Closed)));
            }
        }
        Ok(Some(self.nothing()))
    }

    fn read(&mut self) -> Result<Option<(Intake, Way)>, Fault> {
        let State::Reading { archive, first, is_first } = &mut self.state else { return Ok(None) };
        let stop = &self.shared.options.stop;
        let mut intake = match archive.next(stop) {
            Ok(Some(intake)) => intake,
            Ok(None) if self.shared.is_stopping() => return Ok(None),
            Ok(None) => {
                tracing::info!(source = self.name(), "the archive is read, and it goes on live");
                self.state = State::Whole;
                return Ok(Some(self.mark(Way::Closed)));
            }
            Err(fault) => {
                self.miss(&fault.to_string());
                self.state = State::Whole;
                return Ok(Some(self.mark(Way::Closed)));
            }
        };
        let overlap = self.plan.overlap.ns();
        if let Rows::Ticks(ticks) = &mut intake.rows {
            self.shared.series.refresh(&mut self.known);
            ticks.retain(|tick| {
                let feed = self.known.get(tick.series.index()).map(|series| series.feed);
                let first = feed.and_then(|feed| first.get(&feed));
                first.is_none_or(|first| tick.time.ns() <= first.saturating_add(overlap))
            });
        }
        let way = Way::Healed { is_first: std::mem::replace(is_first, false) };
        let position = self.position.clone();
        Ok(Some((Intake { position, deliveries: Vec::new(), ..intake }, way)))
    }

    /// Takes what the source has and holds it; false: the source has ended.
    fn take(&mut self, source: &mut dyn Source) -> Result<bool, Fault> {
        if self.held_rows >= HELD_MAX {
            std::thread::park_timeout(SETTLE_WITHIN);
            return Ok(!self.shared.is_stopping());
        }
        let Some(intake) = source.next(&self.shared.options.stop)? else { return Ok(false) };
        self.hold(intake);
        Ok(true)
    }

    fn hold(&mut self, intake: Intake) {
        if !intake.is_empty() {
            self.held_rows += intake.rows.len();
            self.held.push_back(intake);
        }
    }

    /// Opens the archive for all that may be missing.
    fn archive(&self) -> Result<Box<dyn Source>, Fault> {
        let mut reached: BTreeMap<Arc<str>, EventTime> = BTreeMap::new();
        let had = self.shared.had.get(self.index).and_then(|had| had.get());
        reached.extend(had.iter().flat_map(|had| had.feeds.clone()));
        for (feed, newest) in self.newest.iter().enumerate() {
            let feed = FeedId(u32::try_from(feed).unwrap_or(u32::MAX));
            if let Some(name) = self.shared.series.feed_name(feed) {
                let known = reached.entry(name).or_insert(*newest);
                *known = (*newest).max(*known);
            }
        }
        let reached = || reached.values().copied().filter(|reached| *reached > EventTime::MIN);
        let least = reached().min().unwrap_or(EventTime::MIN).ns();
        // A feed that has been silent for long does not make all of the archive be read.
        let most = reached().max().unwrap_or(EventTime::MIN).ns().saturating_sub(AHEAD_MAX);
        let from = least.max(most).saturating_sub(self.plan.overlap.ns());
        let to = self.shared.clock.wall().ns().saturating_add(AHEAD_MAX);
        let (from, to) = (EventTime::from_ns(from), EventTime::from_ns(to));
        let mut context = self.shared.source_context(&self.name());
        context.range = Some(Range { from, to, instruments: Vec::new() });
        context.health = Arc::default();
        self.plan.definition.open(&self.plan.config, None, context)
    }

    /// Tells whether an archive has all that the queue had before its first ticks that are held.
    fn has(&self, note: &ArchiveNote, since: EventTime, first: &BTreeMap<FeedId, i64>) -> bool {
        // So far behind the queue's first ticks nothing that is new has the time of one that is taken
        // from the archive: an equal one would pass for it.
        let until = since.ns().saturating_add(2 * self.plan.overlap.ns());
        let ahead = self.shared.clock.wall().ns().saturating_add(AHEAD_MAX);
        note.as_of.ns() >= until
            && first.iter().filter(|(_, first)| **first <= ahead).all(|(feed, first)| {
                let name = self.shared.series.feed_name(*feed);
                let reached = name.and_then(|name| note.feeds.get(&*name));
                reached.is_none_or(|reached| reached.ns() >= *first)
            })
    }

    /// The time of the first tick of each feed that is held.
    fn first(&mut self) -> BTreeMap<FeedId, i64> {
        self.shared.series.refresh(&mut self.known);
        let mut first = BTreeMap::new();
        for tick in self.held.iter().flat_map(|intake| ticks(&intake.rows)) {
            if let Some(series) = self.known.get(tick.series.index()) {
                first.entry(series.feed).or_insert(tick.time.ns());
            }
        }
        first
    }

    /// What was missing stays so.
    fn miss(&self, why: &str) {
        self.shared.status.count_unhealed(self.index);
        tracing::error!(
            source = self.name(),
            why,
            "what its queue has lost could not be healed whole; `tapeflow backfill` can mend it later"
        );
    }

    /// Hands on what the source gave.
    fn give(&mut self, intake: Intake) -> (Intake, Way) {
        let most = self.shared.clock.wall().ns().saturating_add(AHEAD_MAX);
        for tick in ticks(&intake.rows) {
            if tick.series.index() >= self.known.len() {
                self.shared.series.refresh(&mut self.known);
            }
            let Some(series) = self.known.get(tick.series.index()) else { continue };
            if self.newest.len() <= series.feed.index() {
                self.newest.resize(series.feed.index() + 1, EventTime::MIN);
            }
            if let Some(newest) = self.newest.get_mut(series.feed.index())
                && tick.time.ns() <= most
            {
                *newest = tick.time.max(*newest);
            }
        }
        self.position.clone_from(&intake.position);
        (intake, Way::Live)
    }

    fn nothing(&self) -> (Intake, Way) {
        self.mark(Way::Live)
    }

    fn mark(&self, way: Way) -> (Intake, Way) {
        let (rows, position) = (Rows::Ticks(Vec::new()), self.position.clone());
        (Intake { rows, rejects: Vec::new(), position, deliveries: Vec::new() }, way)
    }

    fn name(&self) -> String {
        self.shared.plan.sources.get(self.index).map(|source| source.id.clone()).unwrap_or_default()
    }
}

fn ticks(rows: &Rows) -> &[Tick] {
    match rows {
        Rows::Ticks(ticks) => ticks,
        _ => &[],
    }
}
