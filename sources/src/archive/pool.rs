//! The threads that decode: ahead of the merge, in the order in which it will ask, within a bound.
//!
//! A row group is decoded a chunk at a time by whoever is free, so that the merge can have more
//! row groups open than there are threads. How far they run ahead is bounded in rows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dataflows::fault::Fault;
use proto::series::SeriesTable;

use super::decode::{Chunk, Decoder};
use super::merge::{Feed, Standing};
use super::plan::{Opened, Plan};
use super::row_group::guarded;

/// Decoded rows that wait for the merge, all row groups together: 32 MiB of ticks.
const ROWS_AHEAD: u64 = 524_288;
/// Row groups that are begun before the merge asks for them.
const GROUPS_AHEAD: usize = 16;
/// Rows decoded at once, where few row groups are open.
const CHUNK_MAX: usize = 16_384;
/// Rows decoded at once, where very many are.
const CHUNK_MIN: usize = 1_024;
/// Footers that are kept.
const FOOTERS: usize = 16;

/// A row group that was begun.
#[derive(Debug, Default)]
struct Slot {
    /// Absent before its first chunk and while a thread works on it.
    decoder: Option<Box<Decoder>>,
    is_busy: bool,
    is_done: bool,
    is_asked_for: bool,
    ready: VecDeque<Chunk>,
    ready_rows: u64,
    fault: Option<Fault>,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<usize, Slot>,
    /// Rows to be skipped: row groups that an earlier life began.
    skips: BTreeMap<usize, u64>,
    next: usize,
    wanted: Option<usize>,
    ready_rows: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Shared {
    plan: Arc<Plan>,
    series: SeriesTable,
    chunk: usize,
    state: Mutex<State>,
    /// There may be something to decode.
    work: Condvar,
    /// There may be something decoded.
    ready: Condvar,
    footers: Mutex<VecDeque<(u32, Arc<Opened>)>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, file: u32) -> Result<Arc<Opened>, Fault> {
        let lock = || self.footers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, opened)) = lock().iter().find(|(known, _)| *known == file) {
            return Ok(opened.clone());
        }
        let opened = Arc::new(self.plan.open(file)?);
        let mut footers = lock();
        if footers.len() >= FOOTERS {
            footers.pop_front();
        }
        footers.push_back((file, opened.clone()));
        Ok(opened)
    }
}

/// The threads.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads` threads behind `standing`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn new(
        plan: Arc<Plan>,
        series: SeriesTable,
        threads: usize,
        standing: &Standing,
    ) -> Result<Self, Fault> {
        let depth = plan.depth().max(1);
        let chunk = (CHUNK_MAX * 64 / depth).clamp(CHUNK_MIN, CHUNK_MAX);
        let state = State {
            skips: standing.open.iter().copied().collect(),
            next: standing.next,
            ..State::default()
        };
        let shared = Arc::new(Shared {
            plan,
            series,
            chunk,
            state: Mutex::new(state),
            work: Condvar::new(),
            ready: Condvar::new(),
            footers: Mutex::default(),
        });
        let mut pool = Self { shared, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = pool.shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("decode-{number}"))
                .spawn(move || work(&shared))
                .map_err(|error| Fault::stop("the archive's threads", error))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Gives the next chunk of a row group, waiting for it unless `stop` is set.
    ///
    /// # Errors
    /// When it cannot be decoded; [`Fault::Interrupted`] when `stop` is set.
    pub(super) fn next_chunk(
        &self,
        index: usize,
        stop: &AtomicBool,
    ) -> Result<Option<Chunk>, Fault> {
        let mut guard = self.shared.lock();
        loop {
            let state = &mut *guard;
            if index >= state.next {
                state.next = index + 1;
            }
            let slot = state.slots.entry(index).or_default();
            slot.is_asked_for = true;
            if let Some(chunk) = slot.ready.pop_front() {
                slot.ready_rows = slot.ready_rows.saturating_sub(chunk.rows);
                state.ready_rows = state.ready_rows.saturating_sub(chunk.rows);
                state.wanted = None;
                self.shared.work.notify_one();
                return Ok(Some(chunk));
            }
            if let Some(fault) = slot.fault.take() {
                return Err(fault);
            }
            if slot.is_done {
                state.slots.remove(&index);
                state.wanted = None;
                return Ok(None);
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Fault::Interrupted);
            }
            if state.wanted != Some(index) {
                state.wanted = Some(index);
                self.shared.work.notify_all();
            }
            let waited = self.shared.ready.wait_timeout(guard, Duration::from_millis(50));
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that decodes the archive ended in a panic");
            }
        }
    }
}

/// What a thread is to do next: a row group, with its decoder if it was begun.
fn pick(state: &mut State, entries: usize) -> Option<(usize, Option<Box<Decoder>>, u64)> {
    let is_free = |slot: &Slot| !slot.is_busy && !slot.is_done && slot.fault.is_none();
    let wanted = state.wanted.filter(|index| {
        state.slots.get(index).is_some_and(|slot| is_free(slot) && slot.ready.is_empty())
    });
    let index = wanted.or_else(|| {
        if state.ready_rows >= ROWS_AHEAD {
            return None;
        }
        let ahead = state.slots.values().filter(|slot| !slot.is_asked_for).count();
        let open = state.slots.len().saturating_sub(ahead) as u64;
        // Where many are open, each runs ahead by its share only.
        let share = ROWS_AHEAD / open.max(1);
        let begun = state
            .slots
            .iter()
            .find(|(_, slot)| is_free(slot) && (slot.ready.is_empty() || slot.ready_rows < share));
        let begun = begun.map(|(index, _)| *index);
        begun.or_else(|| {
            (state.next < entries && ahead < GROUPS_AHEAD).then(|| {
                state.next += 1;
                state.next - 1
            })
        })
    })?;
    let skip = state.skips.remove(&index).unwrap_or(0);
    let slot = state.slots.entry(index).or_default();
    slot.is_busy = true;
    Some((index, slot.decoder.take(), skip))
}

fn work(shared: &Shared) {
    let mut guard = shared.lock();
    loop {
        if guard.is_closed {
            return;
        }
        let Some((index, decoder, skip)) = pick(&mut guard, shared.plan.entries.len()) else {
            guard = shared.work.wait(guard).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(guard);
        let worked = guarded(|| Ok::<_, String>(decode(shared, index, decoder, skip)));
        let worked = worked.unwrap_or_else(|error| Err(Fault::defect("archive", error)));
        guard = shared.lock();
        let state = &mut *guard;
        let Some(slot) = state.slots.get_mut(&index) else { continue };
        slot.is_busy = false;
        match worked {
            Ok(Some((decoder, chunk))) => {
                slot.decoder = Some(decoder);
                slot.ready_rows += chunk.rows;
                state.ready_rows += chunk.rows;
                slot.ready.push_back(chunk);
            }
            Ok(None) => slot.is_done = true,
            Err(fault) => slot.fault = Some(fault),
        }
        if state.wanted == Some(index) {
            shared.ready.notify_one();
        }
    }
}

fn decode(
    shared: &Shared,
    index: usize,
    decoder: Option<Box<Decoder>>,
    skip: u64,
) -> Result<Option<(Box<Decoder>, Chunk)>, Fault> {
    let mut decoder = match decoder {
        Some(decoder) => decoder,
        None => {
            let none = || Fault::defect("archive", format!("there is no row group {index}"));
            let entry = *shared.plan.entries.get(index).ok_or_else(none)?;
            let opened = shared.opened(entry.file)?;
            let (plan, series) = (shared.plan.clone(), shared.series.clone());
            Box::new(Decoder::new(plan, series, (entry, opened), (shared.chunk, skip))?)
        }
    };
    Ok(decoder.next()?.map(|chunk| (decoder, chunk)))
}

/// The pool as the merge sees it.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    /// The threads.
    pub(super) pool: &'a Pool,
    /// Stop waiting.
    pub(super) stop: &'a AtomicBool,
}

impl Feed for Ahead<'_> {
    fn next_chunk(&mut self, index: usize) -> Result<Option<Chunk>, Fault> {
        self.pool.next_chunk(index, self.stop)
    }
}
