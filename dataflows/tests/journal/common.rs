//! Entries, journals and numbers for the tests.

use std::sync::Arc;

use dataflows::component::source::{Delivery, Position};
use dataflows::disk::Disk;
use dataflows::fault::Fault;
use dataflows::journal::{Entry, Header, Item, Tail, Writer, recover};
use dataflows::moment::Epoch;
use dataflows::simulate::disk::MemoryDisk;
use proto::event_time::EventTime;

/// A stream of numbers from a seed (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// Gives a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}

pub(crate) fn header(job: &str, generation: u64) -> Header {
    Header { job: job.to_owned(), generation, sources: vec!["mt4".to_owned(), "mt5".to_owned()] }
}

/// An entry whose payload has `length` bytes. `salt` tells apart two entries of one epoch.
pub(crate) fn entry(epoch: Epoch, length: usize, salt: u64) -> Entry {
    let mut numbers = Numbers(epoch << 20 ^ salt);
    let payload = (0..length).map(|_| numbers.below(256) as u8).collect();
    let item = Item {
        source: 1,
        rows: 3,
        rejects: 1,
        digest: numbers.below(u64::MAX),
        position: Position(vec![1, 2, epoch as u8]),
        deliveries: vec![Delivery { id: Some(u128::MAX), rows: 3, rejects: 1 }],
        payload: Some(payload),
    };
    let replayed = Item { source: 0, deliveries: Vec::new(), payload: None, ..item.clone() };
    Entry {
        epoch,
        clock: EventTime::from_ns(epoch as i64 * 1_000),
        is_last: epoch.is_multiple_of(7),
        items: vec![replayed, item],
    }
}

pub(crate) fn shared(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// Writes `count` entries from epoch 1 on, synced every second one, in segments of some 9 KB. Gives
/// them.
pub(crate) fn write(disk: &MemoryDisk, count: Epoch) -> Vec<Entry> {
    let mut writer = Writer::create(shared(disk), header("ticks", 1), 9_000);
    let entries: Vec<Entry> = (1..=count).map(|epoch| entry(epoch, 1_500, 0)).collect();
    for pair in entries.chunks(2) {
        pair.iter().for_each(|entry| writer.append(entry).unwrap());
        assert_eq!(writer.sync().unwrap(), pair.last().unwrap().epoch);
    }
    entries
}

pub(crate) fn recovered(disk: &MemoryDisk, base: Epoch) -> Result<(Tail, Vec<Entry>), Fault> {
    let tail = recover(&shared(disk), "ticks", base)?;
    let entries: Result<Vec<_>, Fault> = tail.entries().collect();
    let entries: Vec<Entry> = entries?.into_iter().map(|(_, entry)| entry).collect();
    let last = entries.last().map(|entry| entry.epoch);
    assert_eq!(tail.last, last, "the tail says what it gives");
    Ok((tail, entries))
}
