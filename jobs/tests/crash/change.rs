//! A job file that is changed between two starts.

use crate::world::{World, assert_rows, job, reference, said};

/// A world whose run was killed behind a checkpoint.
fn killed() -> World {
    let world = World::new(&job());
    assert!(world.crash(1, "checkpoint.after_record", 2));
    world
}

/// What is changed, the component that is named, and where its own settings begin.
fn changes() -> Vec<(&'static str, &'static str, String)> {
    let change = |from: &str, to: &str| {
        let job = job();
        assert!(job.contains(from), "{from}");
        job.replacen(from, to, 1)
    };
    vec![
        (
            "configured otherwise",
            "operators.clean",
            change("deviation_max: 0.05", "deviation_max: 0.04"),
        ),
        (
            "added operator",
            "operators.recent",
            change("  unique:", "  recent: { type: dedupe, input: clean }\n  unique:").replace(
                "sinks:\n",
                "sinks:\n  more: { type: console, input: recent, on_change: reset }\n",
            ),
        ),
        ("source", "sources.exchange", change("seed: 12", "seed: 13")),
        (
            "added sink",
            "sinks.more",
            change(
                "sinks:\n",
                "sinks:\n  more: { type: file, input: unique, path: out/more.csv }\n",
            ),
        ),
        (
            "other type",
            "operators.unique",
            change(
                "unique: { type: dedupe, input: clean }",
                "unique: { type: filter, input: clean }",
            ),
        ),
    ]
}

#[test]
fn a_changed_component_is_refused_by_its_name() {
    let early = World::new(&job());
    assert!(early.crash(1, "checkpoint.before_snapshot", 1));
    refuses_changes(&early);
    refuses_changes(&killed());
}

fn refuses_changes(world: &World) {
    for (what, component, changed) in changes() {
        world.write(&changed);
        let output = world.run(1, &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{what}: {}", said(&output));
        let said = said(&output);
        assert!(said.contains(component) && said.contains("on_change: reset"), "{what}: {said}");
    }
    world.write(&job());
    world.succeed(1, &[]);
    world.left().assert_is(reference(), "changed back");
}

#[test]
fn a_component_that_is_reset_starts_without_state_and_the_others_go_on() {
    let world = killed();
    let reset = "lateness: 2s\n    on_change: reset";
    world.write(&job().replace("lateness: 2s", reset).replace("[1m, 5m, 1h, 1d]", "[1m, 1h, 1d]"));
    let output = world.run(2, &[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("operators.candles") && said.contains("starts without state"), "{said}");
    let (left, expected) = (world.left(), reference());
    assert_eq!(left.tables["ticks"], expected.tables["ticks"], "what did not change");
    assert_ne!(left.tables["candles"], expected.tables["candles"]);
}

#[test]
fn before_the_first_checkpoint_a_component_is_reset_as_behind_one() {
    let world = World::new(&job());
    assert!(world.crash(1, "checkpoint.before_snapshot", 1));
    let reset = "lateness: 2s\n    on_change: reset";
    world.write(&job().replace("lateness: 2s", reset).replace("[1m, 5m, 1h, 1d]", "[1m, 1h, 1d]"));
    let output = world.run(2, &[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let said = said(&output);
    assert!(
        said.contains("operators.candles is not configured as it was when the job was"),
        "{said}"
    );
    assert_eq!(world.left().tables["ticks"], reference().tables["ticks"], "what did not change");
}

#[test]
fn a_component_that_is_killed_before_its_first_checkpoint_is_not_reset_twice() {
    let world = killed();
    // Many of its rows have no identity: they would be there twice.
    let more = "sinks:\n  more: { type: table, input: clean, url: \"sqlite:out/tables.db\", table: more, \
                batch: 20, on_change: reset }\n";
    world.write(&job().replace("sinks:\n", more));
    let undisturbed = world.copied();
    undisturbed.succeed(1, &[]);
    for point in ["recovery.before_begin", "recovery.after_begin", "checkpoint.before_snapshot"] {
        let disturbed = world.copied();
        assert!(disturbed.crash(2, point, 1), "{point}");
        let output = disturbed.run(1, &[]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let is_reset = said(&output).contains("sinks.more was not there");
        assert_eq!(is_reset, point == "recovery.before_begin", "{point}: {}", said(&output));
        let (left, expected) = (disturbed.left(), undisturbed.left());
        assert_rows(&left.tables["more"], &expected.tables["more"], point);
        assert!(left.tables["more"].iter().any(|row| row.contains("Null")), "all have a sequence");
    }
}

#[test]
fn a_bootstrap_reads_everything_again() {
    let world = killed();
    let changed = job().replace("    basis: bid\n", "").replace("[1m, 5m, 1h, 1d]", "[1m, 1h]");
    let undisturbed = World::new(&changed);
    undisturbed.succeed(1, &[]);
    world.write(&changed.replace("lateness: 2s", "lateness: 2s\n    on_change: bootstrap"));
    let output = world.run(2, &[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("all input is read again"), "{}", said(&output));
    let (left, expected) = (world.left(), undisturbed.left());
    let one_hour = |rows: &[String]| -> Vec<String> {
        rows.iter()
            .filter(|row| row.contains("\"1h\"") || row.contains("\"1m\""))
            .cloned()
            .collect()
    };
    assert_eq!(one_hour(&left.tables["candles"]), one_hour(&expected.tables["candles"]));
}
