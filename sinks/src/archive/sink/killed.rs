//! A durable run that is killed anywhere writes the files of one that was not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataflows::batch::Rows;
use dataflows::component::sink::{Durable, Ending, Sealed, Sink, SinkContext};
use dataflows::fault::Fault;
use dataflows::kind::Kind;
use dataflows::moment::{Epoch, Moment};
use proptest::prelude::*;
use proto::event_time::EventTime;
use proto::series::SeriesTable;
use proto::tick::Tick;

use super::ArchiveSink;
use crate::archive::Config;

const HOUR: i64 = 3_600_000_000_000;

/// What happens to a running sink.
#[derive(Debug, Clone, Copy)]
enum Event {
    Epoch,
    Checkpoint,
    /// The process dies before the checkpoint is recorded.
    LostCheckpoint,
    Kill,
    /// So many checkpoints are found damaged, whichever start made them: the run goes on from the
    /// one before.
    FallBack(usize),
    /// The process dies at a step of the next epoch's publication.
    Die(usize),
    Stop,
    /// Most rows wait in temporary files from here on, or none.
    Memory(bool),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => Just(Event::Epoch),
        3 => Just(Event::Checkpoint),
        1 => Just(Event::LostCheckpoint),
        2 => Just(Event::Kill),
        2 => (1_usize..4).prop_map(Event::FallBack),
        3 => (0_usize..9).prop_map(Event::Die),
        1 => Just(Event::Stop),
        1 => any::<bool>().prop_map(Event::Memory),
    ];
    prop::collection::vec(event, 0..50)
}

/// Of each epoch: hours since the one before, and of each tick instrument, days back, price, and
/// whether it has a sequence.
type Seeds = Vec<(u8, Vec<(u8, u8, u8, bool)>)>;

fn seeds() -> impl Strategy<Value = Seeds> {
    let tick = (0_u8..3, 0_u8..4, 0_u8..2, any::<bool>());
    // Often whole days, so that equal ticks come again when their day is published already.
    let hours = prop_oneof![1 => 0_u8..20, 2 => Just(24_u8), 1 => Just(12_u8)];
    prop::collection::vec((hours, prop::collection::vec(tick, 0..6)), 1..16)
}

/// A job over fixed epochs, in a folder of its own.
struct Job {
    folder: tempfile::TempDir,
    epochs: Vec<(EventTime, Vec<Tick>)>,
    series: SeriesTable,
    publish_partial: bool,
}

impl Job {
    fn new(seeds: &Seeds) -> Self {
        let (series, mut epochs) = (SeriesTable::new(), Vec::new());
        let (mut clock, mut arrivals) = (100 * 24 * HOUR, 0);
        for (hours, ticks) in seeds {
            clock += i64::from(*hours) * HOUR;
            let ticks = ticks.iter().map(|(instrument, days, price, has_sequence)| {
                arrivals += 1;
                let time = clock - i64::from(*days) * 24 * HOUR;
                let name = ["EURUSD", "GBPUSD", "S&P 500"][usize::from(*instrument)];
                Tick {
                    series: series.intern("mt4", name).unwrap(),
                    time: EventTime::from_ns(time),
                    sequence: if *has_sequence { u64::from(*price) } else { arrivals },
                    flags: if *has_sequence { Tick::HAS_SEQUENCE } else { 0 },
                    bid: proto::decimal::Price::from_units(i64::from(*price) + 1),
                    ask: proto::decimal::Price::from_units(i64::from(*price) + 2),
                    ..Tick::default()
                }
            });
            epochs.push((EventTime::from_ns(clock), ticks.collect()));
        }
        let folder = tempfile::tempdir().unwrap();
        Self { folder, epochs, series, publish_partial: false }
    }

    fn open(&self, durable: Option<Durable>) -> Result<ArchiveSink<Tick>, Fault> {
        let config =
            serde_json::json!({ "path": "ticks", "publish_partial": self.publish_partial });
        let config: Config = serde_json::from_value(config).unwrap();
        let context = SinkContext {
            stop: dataflows::component::sink::Stop::default(),
            job: "a job".to_owned(),
            id: "archive".to_owned(),
            root: self.folder.path().to_owned(),
            series: self.series.clone(),
            kind: Kind::Ticks,
            replace: None,
            durable,
            health: Arc::default(),
        };
        ArchiveSink::open(&config, context)
    }

    fn apply(&self, sink: &mut ArchiveSink<Tick>, epoch: Epoch) -> Result<(), Fault> {
        let (clock, rows) = self.epochs[epoch as usize - 1].clone();
        let is_last = epoch as usize == self.epochs.len();
        let moment = Moment { epoch, clock, watermarks: Vec::new(), is_last };
        sink.apply(Sealed { moment: Arc::new(moment), runs: vec![Rows::Ticks(rows)] })
    }

    /// Runs all epochs, of a run that remembers nothing.
    fn run(&self) {
        let mut sink = self.open(None).unwrap();
        (1..=self.epochs.len() as Epoch).for_each(|epoch| self.apply(&mut sink, epoch).unwrap());
        sink.finish(Ending::Complete).unwrap();
    }

    /// Runs all epochs with what happens on the way, to the end; starts count from `generation`.
    fn run_with(&self, events: &[Event], mut generation: u64) {
        let mut recorded: Vec<(Epoch, Vec<u8>)> = vec![(0, Vec::new())];
        let mut sink = self.open(Some(Durable { generation, restored: None })).unwrap();
        let (mut last, mut furthest) = (0, 0);
        let all = self.epochs.len() as Epoch;
        for event in events {
            match event {
                Event::Epoch if last < all => {
                    last += 1;
                    furthest = furthest.max(last);
                    self.apply(&mut sink, last).unwrap();
                    continue;
                }
                Event::Epoch => continue,
                Event::Checkpoint => {
                    recorded.push((last, sink.checkpoint().unwrap()));
                    continue;
                }
                Event::Memory(is_short) => {
                    sink.memory_bytes = if *is_short { 300 } else { usize::MAX };
                    continue;
                }
                Event::LostCheckpoint => drop(sink.checkpoint().unwrap()),
                Event::Kill => {}
                Event::FallBack(damaged) => {
                    let left = recorded.len().saturating_sub(*damaged).max(1);
                    recorded.truncate(left);
                }
                Event::Die(steps) => {
                    if last < all {
                        last += 1;
                        furthest = furthest.max(last);
                        sink.progress.as_mut().unwrap().steps_max = *steps;
                        drop(self.apply(&mut sink, last)); // it dies in it
                    }
                }
                Event::Stop => {
                    recorded.push((last, sink.checkpoint().unwrap()));
                    sink.finish(Ending::Interrupted).unwrap();
                }
            }
            drop(sink);
            generation += 1;
            // So many are kept.
            recorded.drain(..recorded.len().saturating_sub(8));
            let restored = recorded.last().cloned().unwrap();
            last = restored.0;
            sink = self.open(Some(Durable { generation, restored: Some(restored) })).unwrap();
            let applied = sink.applied().unwrap().unwrap();
            assert!((last..=furthest).contains(&applied), "{last} {applied} {furthest}");
        }
        (last + 1..=all).for_each(|epoch| self.apply(&mut sink, epoch).unwrap());
        sink.checkpoint().unwrap();
        sink.finish(Ending::Complete).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("ticks")
    }

    /// All data with its bytes; other files are only those that progress is kept in.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = files(&self.root());
        found.retain(|path, _| !path.starts_with(".tapeflow"));
        assert!(found.keys().all(|path| path.ends_with("ticks.parquet")), "{:?}", found.keys());
        found
    }

    fn kept(&self) -> PathBuf {
        self.root().join(".tapeflow/a%20job/archive")
    }
}

fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_killed_the_files_are_those_of_a_run_that_was_not(
        seeds in seeds(), events in events(), publish_partial: bool,
    ) {
        let mut seeds = seeds;
        if publish_partial {
            // Of equal ticks without a sequence a file has as many as that publication which had
            // most of them: how often a partition is published must not matter here.
            seeds.iter_mut().flat_map(|(_, ticks)| ticks).for_each(|tick| tick.3 = true);
        }
        let whole = Job::new(&seeds);
        whole.run();
        let killed = Job { publish_partial, ..Job::new(&seeds) };
        killed.run_with(&events, 1);
        prop_assert_eq!(killed.files(), whole.files());
    }
}

fn ticks(epochs: usize) -> Job {
    Job::new(&vec![(0, vec![(0, 0, 0, false)]); epochs])
}

fn fault(outcome: Result<ArchiveSink<Tick>, Fault>) -> String {
    outcome.err().unwrap().to_string()
}

#[test]
fn a_spool_that_is_gone_or_cut_is_named() {
    let job = ticks(4);
    let mut sink = job.open(Some(Durable { generation: 1, restored: None })).unwrap();
    job.apply(&mut sink, 1).unwrap();
    let restored = Some((1, sink.checkpoint().unwrap()));
    drop(sink);
    let spool = job.kept().join("1-0.spool");
    let bytes = fs::read(&spool).unwrap();
    let again = |generation| job.open(Some(Durable { generation, restored: restored.clone() }));
    drop(again(2).unwrap());
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (generation, bytes) in [(3, &bytes[..bytes.len() - 1]), (4, &flipped[..])] {
        fs::write(&spool, bytes).unwrap();
        let error = fault(again(generation));
        assert!(error.contains("1-0.spool") && error.contains("--fresh"), "{error}");
    }
    fs::remove_file(&spool).unwrap();
    let error = fault(again(5));
    assert!(error.contains("1-0.spool") && error.contains("--fresh"), "{error}");
    fs::remove_file(job.kept().join("progress.json")).unwrap();
    let error = fault(again(6));
    assert!(error.contains("progress.json") && error.contains("--fresh"), "{error}");
}

#[test]
fn rows_that_come_again_and_are_published_are_not_written_again() {
    // Two days, each published when three more have gone by; then a row of the last one.
    let tick = || vec![(0, 0, 0, false)];
    let job = Job::new(&vec![(0, tick()), (24, tick()), (72, Vec::new()), (1, tick())]);
    let inodes = || -> BTreeMap<PathBuf, u64> {
        let inode = |path: &PathBuf| fs::metadata(job.root().join(path)).unwrap().ino();
        job.files().into_keys().map(|path| (path.clone(), inode(&path))).collect()
    };
    let mut sink = job.open(Some(Durable { generation: 1, restored: None })).unwrap();
    job.apply(&mut sink, 1).unwrap();
    let checkpoint = sink.checkpoint().unwrap();
    (2..4).for_each(|epoch| job.apply(&mut sink, epoch).unwrap());
    sink.finish(Ending::Failed).unwrap();
    drop(sink);
    let published = inodes();
    assert_eq!(published.len(), 2);
    for (generation, restored) in [(2, (1, checkpoint)), (3, (0, Vec::new()))] {
        let base = restored.0;
        let mut sink = job.open(Some(Durable { generation, restored: Some(restored) })).unwrap();
        (base + 1..4).for_each(|epoch| job.apply(&mut sink, epoch).unwrap());
        sink.finish(Ending::Failed).unwrap();
        drop(sink);
        assert_eq!(inodes(), published, "a file that is written again is another one");
    }
}

#[test]
fn a_start_that_was_replaced_publishes_nothing_and_is_told_why() {
    let job = ticks(2);
    let mut old = job.open(Some(Durable { generation: 1, restored: None })).unwrap();
    job.apply(&mut old, 1).unwrap();
    let note = job.kept().join("progress.json");
    let text = fs::read_to_string(&note).unwrap();
    let newer = text.replace("\"generation\":1", "\"generation\":2");
    assert_ne!(text, newer);
    fs::write(&note, newer).unwrap();
    job.apply(&mut old, 2).unwrap(); // the last: it is handed over to be published
    let error = old.checkpoint().unwrap_err().to_string();
    assert!(error.contains("a newer start of this job (generation 2)"), "{error}");
    old.finish(Ending::Failed).unwrap_or_default();
    drop(old);
    assert!(job.files().is_empty());
    for restored in [None, Some((0, Vec::new()))] {
        let error = fault(job.open(Some(Durable { generation: 1, restored })));
        assert!(error.contains("(generation 2)"), "{error}");
    }
}

#[test]
fn a_start_from_nothing_forgets_what_was_spooled_and_published() {
    let job = ticks(3);
    job.run_with(&[Event::Epoch, Event::Checkpoint, Event::Kill], 1);
    let before = job.files();
    job.run_with(&[], 3);
    assert_eq!(job.files(), before, "the same rows are merged");
    let kept = files(&job.kept());
    assert_eq!(kept.len(), 1, "{:?}", kept.keys());
}

#[test]
fn spools_that_no_checkpoint_needs_are_removed() {
    let job = ticks(40);
    let mut sink = job.open(Some(Durable { generation: 1, restored: None })).unwrap();
    for epoch in 1..=40 {
        job.apply(&mut sink, epoch).unwrap();
        sink.checkpoint().unwrap();
    }
    assert_eq!(files(&job.kept()).len(), 2, "the last checkpoints list one");
    for _ in 0..8 {
        sink.checkpoint().unwrap();
    }
    assert_eq!(files(&job.kept()).len(), 1);
}
