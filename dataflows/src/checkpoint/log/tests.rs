//! The log of a job, with more than one start at it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Event, Log};
use crate::fault::Fault;
use crate::simulate::store::MemoryStore;
use crate::store::Store;

const JOB: &str = "job";

fn checkpoint(epoch: u64) -> Event {
    Event::Checkpoint { epoch, manifest: String::new(), checksum: String::new() }
}

/// A store in which the old writer adds a checkpoint just before the new start's record.
#[derive(Debug)]
struct Overtaken {
    store: MemoryStore,
    old: std::sync::Mutex<(Log, u64)>,
    is_done: AtomicBool,
}

impl Store for Overtaken {
    fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Fault> {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            let mut old = self.old.lock().unwrap();
            let generation = old.1;
            old.0.append(&self.store, generation, checkpoint(9)).unwrap();
        }
        self.store.put_new(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.store.get(name)
    }
    fn list(&self, folder: &str) -> Result<Vec<String>, Fault> {
        self.store.list(folder)
    }
    fn remove(&self, name: &str) -> Result<(), Fault> {
        self.store.remove(name)
    }
    fn place(&self, name: &str) -> String {
        self.store.place(name)
    }
}

#[test]
fn a_writer_whose_next_number_was_removed_by_others_learns_that_it_was_replaced() {
    let store = MemoryStore::new();
    let (mut old, generation) = Log::claim(&store, JOB, &Event::Start).unwrap();
    for new in 2..4 {
        let (mut log, generation) = Log::claim(&store, JOB, &Event::Start).unwrap();
        assert_eq!(generation, new);
        for epoch in 1..4 {
            log.append_checkpoint(&store, generation, 1, checkpoint(10 * new + epoch)).unwrap();
            log.sweep(&store).unwrap();
        }
    }
    let before = store.list("records").unwrap();
    assert_eq!(before, [Log::name_of(9)], "the number 2 is free");
    let refused = old.append(&store, generation, checkpoint(99)).unwrap_err().to_string();
    assert!(refused.contains("another start of job job has written here since"), "{refused}");
    assert_eq!(store.list("records").unwrap(), before);
    // It dies before it can take its record back: nobody takes that for a checkpoint.
    let record = super::Record {
        format: super::FORMAT,
        job: JOB.to_owned(),
        number: 2,
        generation,
        first: 1,
        event: checkpoint(99),
    };
    assert!(store.put_new(&Log::name_of(2), super::encode(&record).unwrap()).unwrap());
    let mut log = Log::read(&store, JOB).unwrap();
    let found: Vec<u64> = log.checkpoints().iter().map(|found| found.1).collect();
    assert_eq!((found, log.broken().count(), log.generation()), (vec![33], 0, 3));
    log.sweep(&store).unwrap();
    assert_eq!(store.list("records").unwrap(), before);
}

#[test]
fn a_record_that_is_missing_is_named() {
    let store = MemoryStore::new();
    let (mut log, generation) = Log::claim(&store, JOB, &Event::Start).unwrap();
    for epoch in 1..4 {
        log.append_checkpoint(&store, generation, 3, checkpoint(epoch)).unwrap();
    }
    for number in 2..4 {
        let bytes = store.get(&Log::name_of(number)).unwrap().unwrap();
        store.remove(&Log::name_of(number)).unwrap();
        let log = Log::read(&store, JOB).unwrap();
        let broken: Vec<String> = log.broken().map(|(_, why)| why.to_owned()).collect();
        assert_eq!(broken.len(), 1);
        assert!(broken[0].contains(&Log::name_of(number)), "{broken:?}");
        assert_eq!(log.checkpoints().len(), 2);
        store.put_new(&Log::name_of(number), bytes).unwrap();
    }
}

#[test]
fn records_of_the_first_format_are_read_and_gone_on_from() {
    let store = MemoryStore::new();
    for (number, event) in [
        (4, r#""event":"start""#),
        (6, r#""event":"checkpoint","epoch":7,"manifest":"m","checksum":"c""#),
    ] {
        let line =
            format!(r#"{{"format":1,"job":"job","number":{number},"generation":3,{event}}}"#);
        let text = format!("{line}\n{}\n", super::checksum(line.as_bytes()));
        store.put_new(&Log::name_of(number), text.into_bytes()).unwrap();
    }
    let log = Log::read(&store, JOB).unwrap();
    assert_eq!((log.broken().count(), log.first(), log.next()), (0, 4, 7));
    assert_eq!((log.checkpoints()[0].1, log.begun()), (7, (true, None)));
    let (log, generation) = Log::claim(&store, JOB, &Event::Start).unwrap();
    assert_eq!((generation, log.checkpoints().len()), (4, 1));
}

#[test]
fn a_new_start_wins_over_a_writer_that_goes_on_and_sees_what_it_wrote() {
    let store = MemoryStore::new();
    let old = Log::claim(&store, JOB, &Event::Start).unwrap();
    let store = Overtaken { store, old: old.into(), is_done: AtomicBool::new(false) };
    let (log, generation) = Log::claim(&store, JOB, &Event::Start).unwrap();
    assert_eq!((generation, log.records().len()), (2, 3));
    assert_eq!(log.checkpoints().first().map(|found| found.1), Some(9));
    let mut old = store.old.lock().unwrap();
    let refused = old.0.append(&store.store, 1, checkpoint(10)).unwrap_err().to_string();
    assert!(refused.contains("another start of job job has written here since"), "{refused}");
}
