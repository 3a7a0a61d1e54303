//! The sinks `file` and `archive` of a run that is killed anywhere: the bytes of one that was not.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use dataflows::batch::Rows;
use dataflows::component::sink::{Durable, Ending};
use dataflows::kind::Kind;
use proptest::prelude::*;
use proto::event_time::EventTime;
use serde_json::{Value, json};

use super::durable::{Epochs, Event, Job, history};
use super::support::{Run, World, files};
use super::table_durable::{Seeds, epochs, seeds};

/// The data that a sink has written.
fn data(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = files(world.path());
    found.retain(|path, _| !path.components().any(|part| part.as_os_str() == ".tapeflow"));
    found
}

/// Runs a sink as one that remembers nothing, and as one that is killed.
fn both(
    sink: &'static str,
    config: &Value,
    kind: Kind,
    seeds: &Seeds,
    history: &[Event],
) -> [BTreeMap<PathBuf, Vec<u8>>; 2] {
    let (whole, killed) = (World::new(), World::new());
    let run = Run {
        sink,
        config: config.clone(),
        kind,
        epochs: epochs(&whole, kind, seeds),
        replace: None,
        ending: Ending::Complete,
    };
    whole.run(run).unwrap();
    let epochs = epochs(&killed, kind, seeds);
    let job = Job { world: &killed, sink, config: config.clone(), kind, epochs };
    job.run(history, 1).unwrap();
    [data(&killed), data(&whole)]
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Candles), Just(Kind::Ticks), Just(Kind::Rejects)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_killed_the_file_is_that_of_a_run_that_was_not(
        kind in kinds(), seeds in seeds(), history in history(), is_csv: bool, partial: bool,
    ) {
        let name = if is_csv { "rows.csv" } else { "rows.jsonl" };
        let config = json!({ "path": name, "publish_partial": partial });
        let [found, expected] = both("file", &config, kind, &seeds, &history);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn whatever_is_killed_the_archive_is_that_of_a_run_that_was_not(
        kind in kinds(), seeds in seeds(), history in history(), partial: bool,
    ) {
        let config = json!({ "path": "rows", "publish_partial": partial });
        let [found, expected] = both("archive", &config, kind, &seeds, &history);
        prop_assert_eq!(found, expected);
    }
}

fn ticks(world: &World, count: usize) -> Epochs {
    let tick = |at| Rows::Ticks(vec![world.tick("EURUSD", "2014-05-01", Some(at))]);
    (0..count).map(|at| (EventTime::default(), vec![tick(at as u64)])).collect()
}

fn job(world: &World, count: usize) -> Job<'_> {
    let config = json!({ "path": "ticks.csv" });
    Job { world, sink: "file", config, kind: Kind::Ticks, epochs: ticks(world, count) }
}

#[test]
fn a_file_that_was_complete_is_continued_when_more_comes() {
    let (world, whole) = (World::new(), World::new());
    job(&whole, 4).run(&[], 1).unwrap();
    let first = job(&world, 2);
    let mut sink = first.open(Durable { generation: 1, restored: None }).unwrap();
    sink.apply(first.sealed(1)).unwrap();
    let early = Some((1, sink.checkpoint().unwrap()));
    sink.apply(first.sealed(2)).unwrap();
    let late = Some((2, sink.checkpoint().unwrap()));
    sink.finish(Ending::Complete).unwrap();
    drop(sink);
    let complete = data(&world);
    let second = job(&world, 4);
    for (generation, restored, next) in [(2, late.clone(), 3), (3, early, 2), (4, late, 3)] {
        let mut sink = second.open(Durable { generation, restored }).unwrap();
        (next..=4).for_each(|epoch| sink.apply(second.sealed(epoch)).unwrap());
        let name = world.path().join("ticks.csv");
        if generation == 2 {
            assert_eq!(fs::read(&name).unwrap(), complete[&PathBuf::from("ticks.csv")]);
        }
        sink.checkpoint().unwrap();
        sink.finish(Ending::Complete).unwrap();
        drop(sink);
        assert_eq!(data(&world), data(&whole));
    }
}

#[test]
fn a_temporary_file_that_is_gone_or_another_is_named() {
    let world = World::new();
    fs::write(
        world.path().join("ticks.csv"),
        "an older file, which is as long as that\n".repeat(9),
    )
    .unwrap();
    let job = job(&world, 2);
    let mut sink = job.open(Durable { generation: 1, restored: None }).unwrap();
    sink.apply(job.sealed(1)).unwrap();
    let restored = Some((1, sink.checkpoint().unwrap()));
    sink.finish(Ending::Failed).unwrap();
    drop(sink);
    let again = |generation| job.open(Durable { generation, restored: restored.clone() });
    drop(again(2).unwrap());
    let temporary = world.path().join(".ticks.csv.tmp");
    let text = fs::read_to_string(&temporary).unwrap();
    let cut = text[..text.len() - 1].to_owned();
    for (content, what) in [
        (Some(cut.as_str()), "bytes, and the job's checkpoint"),
        (Some(text.to_uppercase().as_str()), "holds something else"),
        (None, "is gone"),
    ] {
        match content {
            Some(content) => fs::write(&temporary, content).unwrap(),
            None => fs::remove_file(&temporary).unwrap(),
        }
        let error = again(3).err().unwrap().to_string();
        assert!(error.contains(".ticks.csv.tmp") && error.contains("--fresh"), "{error}");
        assert!(error.contains(what), "{error}");
        assert_eq!(temporary.exists(), content.is_some());
    }
}
