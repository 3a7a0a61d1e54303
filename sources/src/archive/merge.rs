//! Merging row groups in the order of time: pure, told chunks by whoever decodes them.
//!
//! Always the row group whose head is the least by (time, file, row group) goes on, up to the
//! next head. So a row group with nothing over it passes through whole, chunk by chunk, without
//! a look at its ticks; rows within a row group keep their order, even where it is not that of
//! time; and what comes out does not depend on how rows were cut into chunks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use dataflows::batch::Record;
use dataflows::fault::Fault;
use proto::reject::Reject;
use proto::tick::Tick;

use super::decode::Chunk;
use super::plan::Entry;

/// Who decodes.
pub(super) trait Feed {
    /// Gives the next chunk of the row group at `index` of the plan; none at its end.
    ///
    /// # Errors
    /// When it cannot be decoded.
    fn next_chunk(&mut self, index: usize) -> Result<Option<Chunk>, Fault>;
}

/// How many rejects are handed over at once, more or less.
const REJECTS_MAX: usize = 4_096;

/// Room for ticks that are put together from several row groups, to begin with.
const BUFFER: usize = 16_384;

/// (time, file, row group, index in the plan)
type Head = (i64, u32, u32, usize);

#[derive(Debug)]
struct Cursor {
    chunk: Chunk,
    next: usize,
}

/// Where the merge stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The first row group that was not begun.
    pub(super) next: usize,
    /// Those that were begun and not finished, with the rows taken.
    pub(super) open: Vec<(usize, u64)>,
}

/// What came out at once.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Ticks in order.
    pub(super) ticks: Vec<Tick>,
    /// Rows that are none.
    pub(super) rejects: Vec<Reject>,
}

/// The merge.
#[derive(Debug)]
pub(super) struct Merge {
    next: usize,
    /// Row groups begun in an earlier life, to be opened first.
    resumed: Vec<(usize, u64)>,
    heads: BinaryHeap<Reverse<Head>>,
    cursors: BTreeMap<usize, Cursor>,
}

impl Merge {
    /// Goes on from `standing`; the feed must skip the rows that it names.
    pub(super) fn new(standing: Standing) -> Self {
        Self {
            next: standing.next,
            resumed: standing.open,
            heads: BinaryHeap::new(),
            cursors: BTreeMap::new(),
        }
    }

    /// Tells where it stands.
    pub(super) fn standing(&self) -> Standing {
        let begun = self.cursors.iter();
        let mut open: Vec<(usize, u64)> =
            begun.map(|(index, cursor)| (*index, cursor.chunk.row(cursor.next))).collect();
        open.extend(&self.resumed);
        Standing { next: self.next, open }
    }

    /// Gives about `wanted` ticks; nothing at all at the end.
    ///
    /// # Errors
    /// Those of the feed.
    pub(super) fn take(
        &mut self,
        entries: &[Entry],
        feed: &mut impl Feed,
        wanted: usize,
    ) -> Result<Merged, Fault> {
        let mut merged = Merged::default();
        while let Some((index, _)) = self.resumed.last().copied() {
            self.load(index, entries, feed, &mut merged)?;
            self.resumed.pop();
        }
        while merged.ticks.len() < wanted && merged.rejects.len() < REJECTS_MAX {
            self.open_due(entries, feed, &mut merged)?;
            let Some(Reverse((_, _, _, index))) = self.heads.pop() else { break };
            let bound = self.bound(entries);
            let Some(entry) = entries.get(index) else { break };
            let is_whole = self.take_run(index, entry, bound, &mut merged);
            let is_spent = self.cursors.get(&index).is_some_and(|c| c.next >= c.chunk.ticks.len());
            if is_spent {
                self.load(index, entries, feed, &mut merged)?;
            } else if let Some(cursor) = self.cursors.get(&index)
                && let Some(tick) = cursor.chunk.ticks.get(cursor.next)
            {
                self.heads.push(Reverse((tick.time.ns(), entry.file, entry.group, index)));
            }
            if is_whole {
                break;
            }
        }
        Ok(merged)
    }

    /// Opens every row group that may have the next tick.
    fn open_due(
        &mut self,
        entries: &[Entry],
        feed: &mut impl Feed,
        merged: &mut Merged,
    ) -> Result<(), Fault> {
        while let Some(entry) = entries.get(self.next) {
            let head = (entry.from, entry.file, entry.group, self.next);
            if self.heads.peek().is_some_and(|Reverse(least)| *least < head) {
                break;
            }
            let index = self.next;
            self.next += 1;
            self.load(index, entries, feed, merged)?;
        }
        Ok(())
    }

    /// The least head of all others, begun or not.
    fn bound(&self, entries: &[Entry]) -> Option<Head> {
        let begun = self.heads.peek().map(|Reverse(head)| *head);
        let pending =
            entries.get(self.next).map(|entry| (entry.from, entry.file, entry.group, self.next));
        match (begun, pending) {
            (Some(begun), Some(pending)) => Some(begun.min(pending)),
            (begun, pending) => begun.or(pending),
        }
    }

    /// Takes ticks of the row group up to `bound`; true if it handed over a whole chunk as it was.
    fn take_run(
        &mut self,
        index: usize,
        entry: &Entry,
        bound: Option<Head>,
        merged: &mut Merged,
    ) -> bool {
        let Some(cursor) = self.cursors.get_mut(&index) else { return false };
        let rest = cursor.chunk.ticks.get(cursor.next..).unwrap_or(&[]);
        let key = |time: i64| (time, entry.file, entry.group, index);
        let run = match bound {
            Some(bound) if key(entry.to) >= bound => {
                let stop = rest.iter().position(|tick| key(tick.time.ns()) >= bound);
                stop.unwrap_or(rest.len())
            }
            _ => rest.len(),
        };
        if run > 0 && run == cursor.chunk.ticks.len() && merged.ticks.is_empty() {
            merged.ticks = std::mem::take(&mut cursor.chunk.ticks);
            cursor.chunk.offsets = None;
            cursor.next = 0;
            return true;
        }
        if merged.ticks.capacity() == 0 {
            merged.ticks = Tick::spare().take(run.max(BUFFER));
        }
        merged.ticks.extend_from_slice(rest.get(..run).unwrap_or(&[]));
        cursor.next += run;
        let reached = cursor.chunk.row(cursor.next);
        drain_rejects(&mut cursor.chunk, reached, merged);
        false
    }

    /// Puts the next chunk that has a tick into the cursor, or ends it.
    fn load(
        &mut self,
        index: usize,
        entries: &[Entry],
        feed: &mut impl Feed,
        merged: &mut Merged,
    ) -> Result<(), Fault> {
        if let Some(mut spent) = self.cursors.remove(&index) {
            drain_rejects(&mut spent.chunk, u64::MAX, merged);
            Tick::spare().give(spent.chunk.ticks);
        }
        let Some(entry) = entries.get(index) else { return Ok(()) };
        while let Some(mut chunk) = feed.next_chunk(index)? {
            let Some(tick) = chunk.ticks.first() else {
                drain_rejects(&mut chunk, u64::MAX, merged);
                if merged.rejects.len() < REJECTS_MAX {
                    continue;
                }
                // Enough at once: it goes on first the next time.
                self.heads.push(Reverse((i64::MIN, entry.file, entry.group, index)));
                self.cursors.insert(index, Cursor { chunk, next: 0 });
                break;
            };
            self.heads.push(Reverse((tick.time.ns(), entry.file, entry.group, index)));
            let reached = chunk.row(0);
            drain_rejects(&mut chunk, reached, merged);
            self.cursors.insert(index, Cursor { chunk, next: 0 });
            break;
        }
        Ok(())
    }
}

/// Hands over the rejects above `row`.
fn drain_rejects(chunk: &mut Chunk, row: u64, merged: &mut Merged) {
    while chunk.rejects.front().is_some_and(|(at, _)| *at < row) {
        merged.rejects.extend(chunk.rejects.pop_front().map(|(_, reject)| reject));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use dataflows::fault::Fault;
    use proptest::prelude::*;
    use proto::event_time::EventTime;
    use proto::tick::Tick;

    use super::{Chunk, Entry, Feed, Merge, Standing};

    #[derive(Clone)]
    struct Cut {
        groups: Vec<Vec<i64>>,
        taken: Vec<usize>,
        size: usize,
    }

    impl Feed for Cut {
        fn next_chunk(&mut self, index: usize) -> Result<Option<Chunk>, Fault> {
            let first = self.taken[index];
            let times: Vec<i64> =
                self.groups[index].iter().skip(first).take(self.size).copied().collect();
            self.taken[index] += times.len();
            let ticks = times.iter().enumerate().map(|(row, time)| Tick {
                time: EventTime::from_ns(*time),
                sequence: (index * 1000 + first + row) as u64,
                ..Tick::default()
            });
            let chunk = Chunk {
                ticks: ticks.collect(),
                offsets: None,
                rejects: VecDeque::new(),
                first: first as u64,
                rows: times.len() as u64,
            };
            Ok((!times.is_empty()).then_some(chunk))
        }
    }

    fn plan(mut groups: Vec<Vec<i64>>) -> (Vec<Entry>, Vec<Vec<i64>>) {
        groups.retain(|times| !times.is_empty());
        let mut pairs: Vec<(Entry, Vec<i64>)> = groups
            .into_iter()
            .enumerate()
            .map(|(file, times)| {
                let (from, to) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
                let file = file as u32;
                let rows = times.len() as u64;
                (Entry { from, to, file, group: 0, first_row: 0, rows }, times)
            })
            .collect();
        pairs.sort_by_key(|(entry, _)| (entry.from, entry.file));
        pairs.into_iter().unzip()
    }

    fn drain(merge: &mut Merge, entries: &[Entry], feed: &mut Cut, wanted: usize) -> Vec<Tick> {
        let mut all = Vec::new();
        loop {
            let merged = merge.take(entries, feed, wanted).unwrap();
            if merged.ticks.is_empty() {
                return all;
            }
            all.extend(merged.ticks);
        }
    }

    proptest! {
        #[test]
        fn merging_sorted_row_groups_gives_what_sorting_them_gives(
            groups in prop::collection::vec(prop::collection::vec(0_i64..200, 0..40), 1..8),
            (size, wanted) in (1_usize..9, 1_usize..20),
        ) {
            let groups = groups.into_iter().map(|mut g| { g.sort_unstable(); g }).collect();
            let (entries, groups) = plan(groups);
            let mut naive: Vec<(i64, u32, u64)> = Vec::new();
            for (index, times) in groups.iter().enumerate() {
                let rows = times.iter().enumerate();
                naive.extend(rows.map(|(row, time)| {
                    (*time, entries[index].file, (index * 1000 + row) as u64)
                }));
            }
            naive.sort_unstable();
            let taken = vec![0; groups.len()];
            let mut feed = Cut { groups, taken, size };
            let mut merge = Merge::new(Standing::default());
            let ticks = drain(&mut merge, &entries, &mut feed, wanted);
            let found: Vec<u64> = ticks.iter().map(|tick| tick.sequence).collect();
            let expected: Vec<u64> = naive.iter().map(|(_, _, id)| *id).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_merge_goes_on_where_it_stood_whatever_the_chunks(
            groups in prop::collection::vec(prop::collection::vec(0_i64..60, 0..30), 1..6),
            (size, other, wanted, stop) in (1_usize..9, 1_usize..9, 1_usize..20, 0_usize..20),
        ) {
            let (entries, groups) = plan(groups);
            let taken = vec![0; groups.len()];
            let mut feed = Cut { groups, taken, size };
            let mut fresh = feed.clone();
            fresh.size = other;
            let whole =
                drain(&mut Merge::new(Standing::default()), &entries, &mut fresh.clone(), wanted);
            let mut merge = Merge::new(Standing::default());
            let mut ticks = Vec::new();
            for _ in 0..stop {
                ticks.extend(merge.take(&entries, &mut feed, wanted).unwrap().ticks);
            }
            let standing = merge.standing();
            for index in 0..standing.next {
                fresh.taken[index] = fresh.groups[index].len();
            }
            for (index, rows) in &standing.open {
                fresh.taken[*index] = *rows as usize;
            }
            ticks.extend(drain(&mut Merge::new(standing), &entries, &mut fresh, wanted));
            prop_assert_eq!(ticks, whole);
        }
    }
}
