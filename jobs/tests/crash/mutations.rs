//! What a killed run keeps is damaged in every way: nothing damaged is ever used.
//!
//! `TAPEFLOW_MUTATIONS=5000 cargo test --test crash mutations` tries more of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use dataflows::driver::status::Status;
use dataflows::driver::{Options, run};
use dataflows::job::lint;
use tracing_subscriber::fmt::MakeWriter;

use crate::kills::{Moments, number};
use crate::world::{World, assert_rows, files, folder, said, tables};

/// Small, so that it is started many times.
const JOB: &str = r#"
job: damage
run: { workers: 1, epoch: { records: 25 } }
state: { path: state, checkpoint: { every: 1ms }, journal: { sync: 0s } }
sources:
  ticks:
    type: simulator
    ticks: 2400
    sources: [mt5, ib]
    repeated: 20000
    bad: 8000
    batch: 25
operators:
  unique: { type: dedupe, input: ticks }
  candles: { type: ohlcv, input: unique, timeframes: [1m, 1h], lateness: 2s }
sinks:
  table: { type: table, input: candles.closed, url: "sqlite:tables.db", table: candles, batch: 20 }
  ticks-table: { type: table, input: unique, url: "sqlite:tables.db", table: ticks, batch: 60 }
"#;

/// A log that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Goes on in `root`; gives what was said, and whether it came to the end.
fn go_on(root: &Path, workers: usize) -> (bool, String) {
    let nothing = |_: &str| None;
    let mut plan =
        lint::check(JOB, Path::new("job.yaml"), &jobs::catalog::CATALOG, &nothing).unwrap();
    plan.run.workers = workers;
    let options = Options { root: root.to_owned(), variable: nothing, ..Options::default() };
    let log = Kept::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let outcome = tracing::subscriber::with_default(subscriber, || {
        run(&plan, options, Arc::new(Status::new(&plan)))
    });
    let mut said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    if let Err(fault) = &outcome {
        said.push_str(&fault.to_string());
    }
    (outcome.is_ok(), said)
}

/// What `tapeflow checkpoint verify` says of a world.
fn verify(world: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
    command.current_dir(world).args(["checkpoint", "verify", "job.yaml"]);
    let output = command.env_remove("TAPEFLOW_LOG").output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    said(&output)
}

/// Damages one file, or two; says what was done, and the names of the files.
fn damage(root: &Path, moments: &mut Moments) -> (String, Vec<String>) {
    let state = root.join("state");
    let mut found: BTreeMap<PathBuf, Vec<u8>> = files(&state);
    found.retain(|name, bytes| !bytes.is_empty() && !name.ends_with("lock"));
    let names: Vec<PathBuf> = found.keys().cloned().collect();
    let pick = |moments: &mut Moments| &names[moments.next(names.len() as u64) as usize];
    let name = pick(moments);
    let mut bytes = found[name].clone();
    let length = bytes.len() as u64;
    let within = |name: &Path| name.to_string_lossy().into_owned();
    let what = match moments.next(6) {
        0 => {
            let at = moments.next(length);
            bytes.truncate(at as usize);
            format!("cut at {at}")
        }
        1 => {
            let at = moments.next(length.div_ceil(4096)) * 4096;
            bytes.truncate(at as usize);
            format!("cut at {at}")
        }
        2 => {
            let others: Vec<&PathBuf> = names.iter().filter(|other| *other != name).collect();
            let other = others[moments.next(others.len() as u64) as usize];
            fs::write(state.join(name), &found[other]).unwrap();
            fs::write(state.join(other), &bytes).unwrap();
            let what = format!("{} exchanged with {}", name.display(), other.display());
            return (what, vec![within(name), within(other)]);
        }
        3 => {
            fs::remove_file(state.join(name)).unwrap();
            return (format!("{} removed", name.display()), vec![within(name)]);
        }
        4 => {
            // Where a version stands: in the JSON of a record or a manifest, else at the start.
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let at = text.find("\"format\":").map_or(moments.next(length.min(24)), |at| {
                let digits = text.get(at + 9..).unwrap_or_default();
                (at + 9 + digits.len() - digits.trim_start().len()) as u64
            });
            bytes[at as usize] ^= 1;
            format!("another version at {at}")
        }
        _ => {
            let (at, bit) = (moments.next(length), moments.next(8));
            bytes[at as usize] ^= 1 << bit;
            format!("bit {bit} of byte {at} turned")
        }
    };
    fs::write(state.join(name), bytes).unwrap();
    (format!("{}: {what}", name.display()), vec![within(name)])
}

fn copy(from: &BTreeMap<PathBuf, Vec<u8>>, to: &Path) {
    for (name, bytes) in from {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn whatever_is_damaged_is_named_and_not_used() {
    let undisturbed = World::new(JOB);
    undisturbed.succeed(1, &[]);
    let expected = tables(&undisturbed.path().join("tables.db"));
    let killed = World::new(JOB);
    // Twice, so that there are segments and records of several starts.
    // The first checkpoint is never the last one, so that the second start has one to take.
    assert!(killed.crash(1, "checkpoint.after_record", 1));
    assert!(killed.crash(2, "checkpoint.after_record", 1));
    let kept = files(killed.path());
    let (count, seed) = (number("TAPEFLOW_MUTATIONS", 500), number("TAPEFLOW_SEED", 1));
    let (mut refused, mut named, mut verified) = (0, 0, 0);
    for number in 0..count {
        let mut moments = Moments::new(seed * 100_000 + number);
        let world = folder();
        copy(&kept, world.path());
        let (what, names) = damage(world.path(), &mut moments);
        let is_named = |said: &str| names.iter().any(|name| said.contains(name.as_str()));
        let (is_done, said) = go_on(world.path(), 1 + (number % 3) as usize);
        if is_done {
            let found = tables(&world.path().join("tables.db"));
            for (table, rows) in &expected {
                assert_rows(&found[table], rows, &format!("{number}: {what}: {table}; {said}"));
            }
        }
        match (is_done, is_named(&said)) {
            (false, is_named) => {
                assert!(is_named, "{number}: {what}: refused without its name: {said}");
                refused += 1;
            }
            (true, true) => named += 1,
            (true, false) => {
                // The start did not need it. Damaged in the same way once more, it is looked for.
                let world = folder();
                copy(&kept, world.path());
                damage(world.path(), &mut Moments::new(seed * 100_000 + number));
                let said = verify(world.path());
                assert!(is_named(&said), "{number}: {what}: neither start nor verify: {said}");
                verified += 1;
            }
        }
    }
    println!(
        "{count} damages: {refused} refused by name, {named} named and passed over, {verified} \
         not needed and named by `checkpoint verify`"
    );
    assert!(refused > 0 && named > 0 && verified > 0);
}
