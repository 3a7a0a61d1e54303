//! Writing, recovering and forgetting where nothing goes wrong, and what is refused.

use std::sync::Arc;

use dataflows::disk::{Append, Disk};
use dataflows::fault::Fault;
use dataflows::journal::{Writer, clear, recover};
use dataflows::simulate::disk::MemoryDisk;

use crate::common::{entry, header, recovered, shared, write};

#[test]
fn entries_come_back_over_several_segments() {
    let disk = MemoryDisk::new();
    let entries = write(&disk, 30);
    assert!(disk.list().unwrap().len() > 3, "{:?}", disk.list());
    for base in 0..=30 {
        let (tail, found) = recovered(&disk, base).unwrap();
        assert_eq!(found, entries[base as usize..]);
        assert_eq!(tail.warnings, Vec::<String>::new());
        assert!(!tail.is_short);
    }
    let tail = recover(&shared(&disk), "ticks", 0).unwrap();
    let first = tail.entries().next().unwrap().unwrap();
    assert_eq!(*first.0, header("ticks", 1));
}

#[test]
fn an_empty_folder_is_an_empty_journal() {
    let disk = MemoryDisk::new();
    let (tail, found) = recovered(&disk, 0).unwrap();
    assert!(found.is_empty() && tail.warnings.is_empty() && !tail.is_short);
    let mut writer = Writer::behind(shared(&disk), header("ticks", 1), &tail, 9_000);
    assert_eq!(writer.sync().unwrap(), 0);
    assert_eq!(disk.list().unwrap(), Vec::<String>::new(), "created with the first entry");
    writer.append(&entry(1, 10, 0)).unwrap();
    assert_eq!(writer.sync().unwrap(), 1);
    assert_eq!(disk.list().unwrap(), ["00000000000000000001.journal"]);
}

#[test]
fn a_journal_goes_on_over_many_starts() {
    let disk = MemoryDisk::new();
    let mut entries = write(&disk, 5);
    for generation in 2..8 {
        let (tail, found) = recovered(&disk, 0).unwrap();
        assert_eq!((found, tail.warnings.len()), (entries.clone(), 0));
        let mut writer = Writer::behind(shared(&disk), header("ticks", generation), &tail, 9_000);
        for _ in 0..generation {
            let next = entry(entries.len() as u64 + 1, 2_000, generation);
            writer.append(&next).unwrap();
            entries.push(next);
            writer.sync().unwrap();
        }
    }
    let tail = recover(&shared(&disk), "ticks", 0).unwrap();
    let generations: Vec<u64> = tail.entries().map(|entry| entry.unwrap().0.generation).collect();
    assert!(generations.is_sorted() && generations.last() == Some(&7), "{generations:?}");
}

#[test]
fn an_epoch_out_of_turn_is_a_defect() {
    let disk = MemoryDisk::new();
    let mut writer = Writer::create(shared(&disk), header("ticks", 1), 9_000);
    assert!(matches!(writer.append(&entry(2, 1, 0)), Err(Fault::Defect { .. })));
    writer.append(&entry(1, 1, 0)).unwrap();
    assert!(matches!(writer.append(&entry(1, 1, 0)), Err(Fault::Defect { .. })));
    writer.append(&entry(2, 1, 0)).unwrap();
    assert_eq!(writer.sync().unwrap(), 2);
}

#[test]
fn only_whole_segments_before_the_checkpoint_are_forgotten() {
    let disk = MemoryDisk::new();
    let entries = write(&disk, 30);
    let names = disk.list().unwrap();
    let (tail, _) = recovered(&disk, 0).unwrap();
    let mut writer = Writer::behind(shared(&disk), header("ticks", 2), &tail, 9_000);
    let second: u64 = names[1].strip_suffix(".journal").unwrap().parse().unwrap();
    assert_eq!(writer.forget_below(second - 1).unwrap(), 0, "its last entry is not before that");
    assert_eq!(writer.forget_below(second).unwrap(), 1);
    assert_eq!(disk.list().unwrap(), names[1..]);
    assert_eq!(recovered(&disk, second - 1).unwrap().1, entries[second as usize - 1..]);
    let fault = recovered(&disk, second - 2).unwrap_err().to_string();
    assert!(fault.contains("are missing") && fault.contains("--fresh"), "{fault}");
    assert_eq!(writer.forget_below(1_000).unwrap(), names.len() - 2, "the newest stays");
    assert_eq!(recovered(&disk, 30).unwrap().1, []);
}

#[test]
fn segments_before_the_checkpoint_are_not_read() {
    let disk = MemoryDisk::new();
    let entries = write(&disk, 30);
    let names = disk.list().unwrap();
    disk.overwrite(&names[0], b"nonsense".to_vec());
    disk.overwrite(&names[1], Vec::new());
    assert_eq!(recovered(&disk, 20).unwrap().1, entries[20..]);
    assert!(recovered(&disk, 0).is_err());
}

#[test]
fn another_jobs_journal_is_refused() {
    let disk = MemoryDisk::new();
    write(&disk, 3);
    let fault = recover(&shared(&disk), "candles", 0).unwrap_err().to_string();
    assert!(fault.contains("it is of job `ticks`; expected job `candles`"), "{fault}");
}

#[test]
fn a_journal_that_ends_before_the_checkpoint_says_so() {
    let disk = MemoryDisk::new();
    for base in [5, 7] {
        let (tail, found) = recovered(&disk, base).unwrap();
        assert!(tail.is_short && tail.warnings.len() == 1 && found.is_empty(), "{tail:?}");
        if base == 5 {
            let mut writer = Writer::behind(shared(&disk), header("ticks", 1), &tail, 9_000);
            writer.append(&entry(6, 10, 0)).unwrap();
            assert_eq!(writer.sync().unwrap(), 6);
        }
    }
    assert!(!recovered(&disk, 6).unwrap().0.is_short);
}

#[test]
fn a_cleared_journal_is_empty() {
    let disk = MemoryDisk::new();
    let count = {
        write(&disk, 30);
        disk.list().unwrap().len()
    };
    assert_eq!(clear(&shared(&disk)).unwrap(), count);
    assert_eq!(recovered(&disk, 0).unwrap().1, []);
}

/// A disk whose `sync` fails once.
#[derive(Debug)]
struct Failing(MemoryDisk);

#[derive(Debug)]
struct FailingFile(Box<dyn Append>, bool);

impl Append for FailingFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.0.append(bytes)
    }
    fn sync(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.1) {
            return Err(Fault::stop("a file", "input/output error"));
        }
        self.0.sync()
    }
}

impl Disk for Failing {
    fn list(&self) -> Result<Vec<String>, Fault> {
        self.0.list()
    }
    fn read(&self, name: &str) -> Result<Vec<u8>, Fault> {
        self.0.read(name)
    }
    fn create(&self, name: &str) -> Result<Box<dyn Append>, Fault> {
        Ok(Box::new(FailingFile(self.0.create(name)?, true)))
    }
    fn reopen(&self, name: &str) -> Result<Box<dyn Append>, Fault> {
        self.0.reopen(name)
    }
    fn truncate(&self, name: &str, length: u64) -> Result<(), Fault> {
        self.0.truncate(name, length)
    }
    fn remove(&self, name: &str) -> Result<(), Fault> {
        self.0.remove(name)
    }
    fn detach(&self, name: &str) -> Result<(), Fault> {
        self.0.detach(name)
    }
    fn sync_folder(&self) -> Result<(), Fault> {
        self.0.sync_folder()
    }
    fn place(&self, name: &str) -> String {
        self.0.place(name)
    }
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let disk: Arc<dyn Disk> = Arc::new(Failing(MemoryDisk::new()));
    let mut writer = Writer::create(disk, header("ticks", 1), 9_000);
    writer.append(&entry(1, 10, 0)).unwrap();
    assert!(writer.sync().unwrap_err().to_string().contains("input/output error"));
    for _ in 0..2 {
        let fault = writer.sync().unwrap_err().to_string();
        assert!(fault.contains("not written to any more after an error"), "{fault}");
        assert!(writer.append(&entry(2, 10, 0)).is_err());
        assert!(writer.forget_below(1).is_err());
    }
}
