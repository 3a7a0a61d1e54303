//! The machine: ticks in, candles out.

use dataflows::fault::Fault;
use dataflows::machine::{Emit, Machine};
use dataflows::moment::Moment;
use dataflows::state::Keyed;
use proto::candle::Basis;
use proto::event_time::EventTime;
use proto::series::{FeedId, KeyGroup, SeriesId, SeriesTable};
use proto::tick::Tick;
use serde::{Deserialize, Serialize};

use crate::ohlcv::aggregate::{Aggregate, Sample};
use crate::ohlcv::order::Order;
use crate::ohlcv::queue::Queue;
use crate::ohlcv::roll::{Closing, Core};
use crate::ohlcv::state::{Kept, Level, SeriesState, UNKNOWN};

/// Times that leave room for a week on either side of what nanoseconds hold.
const SANE: std::ops::Range<i64> = -9_000_000_000_000_000_000..9_000_000_000_000_000_000;

/// How many ticks ahead of the one under way memory is asked for.
const AHEAD: usize = 6;

/// Folds ticks into candles.
#[derive(Debug)]
pub(super) struct Ohlcv {
    core: Core,
    table: SeriesTable,
    series: Keyed<SeriesState>,
    queue: Queue,
    touched: Vec<SeriesId>,
    order: Order,
}

/// What every key group's state starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    /// The clock at the end of the last epoch: decides what is late in the next.
    clock: i64,
    /// The timeframes, in seconds: state of others does not fit.
    timeframes: Vec<u32>,
    /// Nor does that of another price.
    basis: Basis,
}

/// The windows of a series that can be revised: per frame, ascending.
type Revisable = (String, String, Vec<Vec<Kept>>);

/// What a tick is to a candle.
enum Take {
    /// Part of it.
    Sample(Sample),
    /// Not part of it: no trade, where candles are made of trades.
    Nothing,
    /// Useless.
    NoPrice,
}

impl Ohlcv {
    /// Makes a machine without state.
    pub(super) fn new(core: Core, table: SeriesTable) -> Self {
        let series = Keyed::new(table.clone());
        let (queue, order) = (Queue::default(), Order::default());
        Self { core, table, series, queue, touched: Vec::new(), order }
    }

    /// Takes one tick.
    #[inline]
    fn take(&mut self, tick: &Tick, emit: &mut Emit) {
        let sample = match self.core.sample(tick) {
            Take::Sample(sample) => sample,
            Take::Nothing => return,
            Take::NoPrice => {
                let detail = format!("no price to make a {} candle of", self.core.basis.name());
                return self.core.reject(tick, "no_price", detail, emit);
            }
        };
        let (time, watermark) = (sample.key.0, tick.watermark.ns());
        if let Some(state) = self.series.get_mut(tick.series)
            && state.hot_from <= time
            && time < state.hot_to
            && watermark < state.next_close
            && time.saturating_sub(watermark) <= self.core.gap_after
            && let Some(level) = state.levels.first_mut()
            && level.slot.aggregate.add(&sample)
        {
            if self.core.has_open {
                state.latest = state.latest.max(time);
                if !state.is_touched {
                    state.is_touched = true;
                    self.touched.push(tick.series);
                }
            }
            return;
        }
        self.take_slowly(tick, &sample, emit);
    }

    /// Everything that is not "the same window as the tick before, and in order".
    #[cold]
    #[inline(never)]
    fn take_slowly(&mut self, tick: &Tick, sample: &Sample, emit: &mut Emit) {
        let time = sample.key.0;
        if !SANE.contains(&time) {
            let detail = "expected a time between 1684 and 2255".to_owned();
            return self.core.reject(tick, "bad_time", detail, emit);
        }
        let Some((open, close)) = self.core.days.of(time).session_at(tick.time) else {
            let detail = format!("the market is closed at {}", tick.time);
            return self.core.reject(tick, "out_of_session", detail, emit);
        };
        let Some(state) = state_of(&mut self.series, tick.series, self.core.frames.len()) else {
            let detail = format!("no series has the number {}", tick.series.0);
            return self.core.reject(tick, "unknown_series", detail, emit);
        };
        let horizon = tick.watermark.ns().max(self.core.floor);
        self.core.close_due(tick.series, state, Closing::by_tick(horizon), emit);
        self.core.note_silence(state, tick);
        if self.core.take(tick, state, sample, horizon, emit) {
            if let Some(level) = state.levels.first()
                && self.core.roots.len() == 1
                && !level.slot.is_none()
                && level.slot.start <= time
                && time < level.slot.end
            {
                state.hot_from = open.ns().max(level.slot.start);
                state.hot_to = close.ns().min(level.slot.end);
            }
            state.latest = state.latest.max(time);
            if self.core.has_open && !state.is_touched {
                state.is_touched = true;
                self.touched.push(tick.series);
            }
        }
        if state.next_close < state.queued_at {
            state.queued_at = state.next_close;
            self.queue.push(state.feed, state.next_close, tick.series);
        }
    }

    /// Closes the windows of all feeds that the moment lets close.
    fn close_all(&mut self, moment: &Moment, floor: i64, emit: &mut Emit) {
        for feed in self.queue.feeds() {
            let watermark = moment.watermark(feed).ns();
            let horizon = watermark.max(floor);
            self.close_until(feed, Closing { horizon, watermark, is_last: false }, emit);
            if moment.is_last {
                // What time has closed is whole, whether or not an epoch ended in between.
                let closing = Closing { horizon: i64::MAX, watermark, is_last: true };
                self.close_until(feed, closing, emit);
            }
        }
    }

    /// Closes the windows of a feed that are due at a horizon.
    fn close_until(&mut self, feed: FeedId, closing: Closing, emit: &mut Emit) {
        while let Some((at, members)) = self.queue.pop(feed, closing.horizon) {
            for id in &members {
                let Some(state) = self.series.get_mut(*id) else { continue };
                if state.queued_at != at {
                    continue; // it stands at an earlier place by now
                }
                self.core.close_due(*id, state, closing, emit);
                state.queued_at = state.next_close;
                if state.next_close != i64::MAX {
                    self.queue.push(feed, state.next_close, *id);
                }
            }
            self.queue.recycle(members);
        }
    }

    fn header(&self) -> Header {
        Header {
            clock: self.core.clock.ns(),
            timeframes: self.core.frames.iter().map(|frame| frame.timeframe.seconds()).collect(),
            basis: self.core.basis,
        }
    }
}

/// Finds or makes the state of a series; none if nothing is known of it.
fn state_of(
    series: &mut Keyed<SeriesState>,
    id: SeriesId,
    frames: usize,
) -> Option<&mut SeriesState> {
    if series.get(id).is_none() {
        let feed = series.series(id)?.feed;
        series.insert(id, SeriesState::new(feed, frames));
    }
    series.get_mut(id)
}

impl Machine<Tick> for Ohlcv {
    fn apply(&mut self, rows: &mut Vec<Tick>, emit: &mut Emit) {
        let mut order = std::mem::take(&mut self.order);
        match order.of(rows) {
            None => rows.iter().for_each(|tick| self.take(tick, emit)),
            Some(places) => {
                for (number, place) in places.iter().enumerate() {
                    // Sorted, ticks lie about in memory: fetch one that is needed a little later.
                    if let Some(place) = places.get(number + AHEAD)
                        && let Some(tick) = rows.get(*place as usize)
                    {
                        std::hint::black_box(tick.time);
                    }
                    if let Some(tick) = rows.get(*place as usize) {
                        self.take(tick, emit);
                    }
                }
            }
        }
        self.order = order;
    }

    fn seal(&mut self, moment: &Moment, emit: &mut Emit) {
        let floor = moment.clock.ns().saturating_sub(self.core.idle);
        self.close_all(moment, floor, emit);
        if !self.core.dirty.is_empty() {
            let series = &mut self.series;
            self.core.give_revisions(series, emit);
        }
        self.core.forget(moment, floor);
        for id in self.touched.drain(..) {
            let Some(state) = self.series.get_mut(id) else { continue };
            state.is_touched = false;
            self.core.give_open(id, state, emit);
        }
        self.core.clock = moment.clock;
        self.core.floor = floor;
    }

    fn state_version(&self) -> u16 {
        1
    }

    fn snapshot(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut series = Vec::new();
        self.series.snapshot(group, &mut series)?;
        if series.is_empty() && self.core.clock == EventTime::MIN {
            return Ok(());
        }
        let header = postcard::to_allocvec(&(self.header(), self.revisable(group)))
            .map_err(|error| Fault::defect("the encoding of candles' state", error))?;
        out.extend_from_slice(&header);
        out.append(&mut series);
        Ok(())
    }

    fn restore(&mut self, group: KeyGroup, version: u16, bytes: &[u8]) -> Result<(), Fault> {
        let refused = |message: String| {
            let place = format!("{}, state of key group {group}", self.core.component);
            Fault::stop(place, message)
        };
        if version != 1 {
            return Err(refused(format!("it has layout {version}, this program writes layout 1")));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let ((header, revisable), rest): ((Header, Vec<Revisable>), &[u8]) =
            postcard::take_from_bytes(bytes).map_err(|error| refused(error.to_string()))?;
        let own = self.header();
        if (&header.timeframes, header.basis) != (&own.timeframes, own.basis) {
            return Err(refused(
                "it was made with other timeframes or another basis; keep those of the run that \
                 wrote it, or start the job anew"
                    .to_owned(),
            ));
        }
        self.series.restore(group, rest)?;
        self.core.clock = self.core.clock.max(EventTime::from_ns(header.clock));
        self.core.floor = self.core.clock.ns().saturating_sub(self.core.idle);
        self.queue_restored();
        self.chain_restored(revisable);
        Ok(())
    }
}

impl Ohlcv {
    /// The closed windows of a key group that can still be revised, by name of the series.
    fn revisable(&self, group: KeyGroup) -> Vec<Revisable> {
        let mut known = Vec::new();
        self.table.refresh(&mut known);
        known.retain(|series| series.group == group);
        known.sort_by(|a, b| (&a.source, &a.instrument).cmp(&(&b.source, &b.instrument)));
        let mut found = Vec::new();
        for series in known {
            let Some(state) = self.series.get(series.id) else { continue };
            let Some(log) = self.core.logs.get(state.feed) else { continue };
            let chain = |level: &Level| {
                let newest = log.get(level.newest);
                let chain = std::iter::successors(newest, |kept| log.get(kept.before));
                let mut kept: Vec<Kept> = chain.take_while(|k| k.end > log.oldest).collect();
                kept.reverse();
                kept
            };
            let levels: Vec<Vec<Kept>> = state.levels.iter().map(chain).collect();
            if levels.iter().all(Vec::is_empty) {
                continue;
            }
            found.push((series.source.to_string(), series.instrument.to_string(), levels));
        }
        found
    }

    /// Puts closed windows that came from a snapshot into the log.
    fn chain_restored(&mut self, revisable: Vec<Revisable>) {
        for (source, instrument, levels) in revisable {
            let id = self.table.find(&source, &instrument);
            let Some(state) = id.and_then(|id| self.series.get_mut(id)) else { continue };
            for (level, windows) in state.levels.iter_mut().zip(levels) {
                for mut kept in windows {
                    kept.before = level.newest;
                    level.newest = self.core.logs.of(state.feed).push(&kept);
                }
            }
        }
    }

    /// Puts series that came from a snapshot into the close queue.
    fn queue_restored(&mut self) {
        let is_new =
            |(id, state): (SeriesId, &mut SeriesState)| (state.feed == UNKNOWN).then_some(id);
        let restored: Vec<SeriesId> = self.series.iter_mut().filter_map(is_new).collect();
        for id in restored {
            let Some(feed) = self.series.series(id).map(|series| series.feed) else { continue };
            let Some(state) = self.series.get_mut(id) else { continue };
            state.feed = feed;
            state.queued_at = state.next_close;
            if state.next_close != i64::MAX {
                self.queue.push(feed, state.next_close, id);
            }
        }
    }
}

impl Core {
    /// Forgets closed windows that no tick to come can revise.
    fn forget(&mut self, moment: &Moment, floor: i64) {
        // A window of another root may end before the finest one by less than that is long.
        let slack = match self.frames.first() {
            Some(finest) if self.roots.len() > 1 => finest.timeframe.ns(),
            _ => 0,
        };
        let reach = self.lateness.saturating_add(self.revise_within).saturating_add(slack);
        for (feed, log) in self.logs.iter_mut() {
            log.forget(moment.watermark(feed).ns().max(floor).saturating_sub(reach));
        }
    }

    /// Takes from a tick what its candle is made of.
    #[inline]
    fn sample(&self, tick: &Tick) -> Take {
        let (bid, ask, last) = (tick.bid.units(), tick.ask.units(), tick.last.units());
        let (price, beside) = match self.basis {
            Basis::Bid => (bid, if self.has_ask_beside { ask } else { 0 }),
            Basis::Ask => (ask, 0),
            // The average that cannot overflow, rounded down.
            Basis::Mid if bid != 0 && ask != 0 => ((bid & ask) + ((bid ^ ask) >> 1), 0),
            Basis::Mid => (0, 0),
            Basis::Last => (last, 0),
        };
        if price == 0 {
            // Where bid and ask cancel out (-1 and 1) their middle is none either.
            let is_quote = self.basis == Basis::Last && (bid != 0 || ask != 0);
            return if is_quote { Take::Nothing } else { Take::NoPrice };
        }
        let has_volume = tick.has(Tick::HAS_VOLUME);
        Take::Sample(Sample {
            key: (tick.time.ns(), tick.sequence),
            price,
            ask: beside,
            volume: if has_volume { tick.volume.units() } else { 0 },
            has_volume,
        })
    }

    /// Adds a tick to the windows that take ticks. Gives false if it was rejected.
    fn take(
        &mut self,
        tick: &Tick,
        state: &mut SeriesState,
        sample: &Sample,
        horizon: i64,
        emit: &mut Emit,
    ) -> bool {
        let Some(finest) = self.frames.first() else { return false };
        let window = finest.window(self.days.of(sample.key.0), sample.key.0);
        let close_at = window.end.saturating_add(self.lateness);
        if close_at.saturating_add(self.revise_within) <= horizon {
            let detail = format!(
                "the window that ended at {} can no longer be revised",
                EventTime::from_ns(window.end)
            );
            self.reject(tick, "too_late", detail, emit);
            return false;
        }
        if !self.has_room(state, window.start, close_at <= horizon, sample) {
            let detail = "with it the window's volume is more than eighteen digits hold".to_owned();
            self.reject(tick, "volume_overflow", detail, emit);
            return false;
        }
        let mut is_exact = true;
        for place in 0..self.roots.len() {
            let Some(number) = self.roots.get(place).copied() else { continue };
            match state.levels.get_mut(number) {
                Some(level) if number == 0 && horizon < close_at => {
                    is_exact &= level.open(window, close_at).aggregate.absorb(sample);
                    state.refresh_due(number);
                }
                _ => is_exact &= self.absorb(tick.series, state, number, (sample, horizon), emit),
            }
        }
        state.refresh_next();
        if !is_exact {
            self.report_overflow(tick.series, window.start, emit);
        }
        true
    }

    /// Whether the finest window's volume stays within what is held.
    fn has_room(&self, state: &SeriesState, start: i64, is_closed: bool, sample: &Sample) -> bool {
        if !sample.has_volume {
            return true;
        }
        let Some(level) = state.levels.first() else { return true };
        let found = if is_closed {
            let log = self.logs.get(state.feed);
            let kept = log.and_then(|log| log.get(log.find(level.newest, start).0));
            kept.filter(|kept| kept.start == start).map(|kept| kept.aggregate.has_room(sample))
        } else {
            let open = level.all_open().find(|open| open.start == start);
            open.map(|open| open.aggregate.has_room(sample))
        };
        found.unwrap_or_else(|| Aggregate::EMPTY.has_room(sample))
    }

    /// Notes the windows within which the tick's feed was silent for too long before it.
    fn note_silence(&mut self, state: &mut SeriesState, tick: &Tick) {
        let (from, to) = (tick.watermark.ns(), tick.time.ns());
        if from == i64::MIN || to.saturating_sub(from) <= self.gap_after {
            return;
        }
        for (frame, level) in self.frames.iter().zip(&mut state.levels) {
            for time in [from, to] {
                let day = self.days.of(time);
                if day.session_at(EventTime::from_ns(time)).is_none() {
                    continue;
                }
                let window = frame.window(day, time);
                let silence = to.min(window.end).saturating_sub(from.max(window.start));
                if silence > self.gap_after && !level.gapped.contains(&window.start) {
                    level.gapped.push(window.start);
                }
            }
        }
    }
}
