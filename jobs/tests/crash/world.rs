//! A job that meets every way of losing or doubling a row, a folder to run it in, and what it has
//! left there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

/// The signal by which a process ends that meets its crash point.
pub(crate) const ABORTED: i32 = 6;
/// The signal that nobody can catch.
pub(crate) const KILLED: i32 = 9;

/// Two feeds of late, repeated and broken ticks; candles of several timeframes, revised ones, too;
/// ticks that have no sequence; rejects, many of them equal; every kind of sink. Epochs, the pauses
/// between checkpoints and the journal's syncs are small, so that a second has many of them.
pub(crate) const JOB: &str = r#"
job: crash
run: { workers: 1, epoch: { records: 100 }, epochs_in_flight: 16 }
state:
  path: state
  checkpoint: { every: 50ms }
  journal: { sync: 5ms, segment_mb: 1 }
sources:
  brokers:
    type: simulator
    seed: 11
    from: 2025-03-06T22:15:00Z
    duration: 3h
    sources: [mt4, mt5]
    instruments: [EURUSD, GBPUSD, USDJPY, AUDUSD, XAUUSD, BTCUSD]
    rate: 2
    late: 20000
    very_late: 2000
    repeated: 20000
    crossed: 3000
    bad: 8000
    batch: 100
  exchange:
    type: simulator
    seed: 12
    from: 2025-03-06T22:15:00Z
    duration: 3h
    sources: [ib]
    instruments: [EURUSD, XAUUSD, US500]
    rate: 1
    late: 20000
    crossed: 3000
    bad: 8000
    batch: 100
operators:
  clean: { type: clean, input: [brokers, exchange], deviation_max: 0.05 }
  unique: { type: dedupe, input: clean }
  candles:
    type: ohlcv
    input: unique
    timeframes: [1m, 5m, 1h, 1d]
    calendar: forex
    lateness: 2s
sinks:
  candles-table: { type: table, input: candles.closed, url: "DATABASE", table: candles, batch: 50 }
  ticks-table: { type: table, input: clean, url: "DATABASE", table: ticks, batch: 700 }
  rejects-table:
    type: table
    input: [brokers.dead, exchange.dead, clean.dead, candles.dead]
    url: "DATABASE"
    table: rejects
    batch: 20
FILES
"#;

/// Whether the sinks that write files take part.
pub(crate) const HAS_FILES: bool = true;

/// The sinks that write files.
const FILES: &str = "  candles-file: { type: file, input: candles.closed, path: out/candles.csv }
  ticks-archive: { type: archive, input: unique, path: out/ticks }
  candles-archive: { type: archive, input: candles.closed, path: out/candles }
";

/// The job with SQLite tables and all files.
pub(crate) fn job() -> String {
    JOB.replace("DATABASE", "sqlite:out/tables.db")
        .replace("FILES", if HAS_FILES { FILES } else { "" })
}

/// A folder of its own, in which the binary is called.
pub(crate) struct World {
    folder: tempfile::TempDir,
    /// What the environment says in it.
    variables: Vec<(&'static str, String)>,
}

impl World {
    /// A folder with a job file.
    pub(crate) fn new(job: &str) -> Self {
        Self::with(job, Vec::new())
    }

    /// A folder with a job file, and an environment.
    pub(crate) fn with(job: &str, variables: Vec<(&'static str, String)>) -> Self {
        let world = Self { folder: folder(), variables };
        world.write(job);
        world
    }

    /// Another folder with the same files.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self { folder: folder(), variables: self.variables.clone() };
        for (name, bytes) in files(self.path()) {
            let path = copy.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        copy
    }

    /// The binary, called in it.
    pub(crate) fn call(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
        command.current_dir(self.path()).args(arguments);
        command.env_remove("TAPEFLOW_LOG").env_remove("TAPEFLOW_CRASH");
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Writes the job file anew.
    pub(crate) fn write(&self, job: &str) {
        fs::write(self.path().join("job.yaml"), job).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `tapeflow run` with so many workers.
    pub(crate) fn run(&self, workers: usize, further: &[&str]) -> Command {
        let mut command = self.run_and_tell(workers);
        command.args(["--output", "json"]).args(further);
        command
    }

    /// The same, with a summary for people.
    pub(crate) fn run_and_tell(&self, workers: usize) -> Command {
        self.call(&["run", "job.yaml", "--workers", &workers.to_string()])
    }

    /// Runs to the end and wants success; gives the summary.
    pub(crate) fn succeed(&self, workers: usize, further: &[&str]) -> serde_json::Value {
        let output = self.run(workers, further).output().unwrap();
        assert!(output.status.success(), "{}: {}", output.status, said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs until the crash point is met for the `count`th time; false: the run ended before.
    pub(crate) fn crash(&self, workers: usize, point: &str, count: u32) -> bool {
        let mut command = self.run(workers, &[]);
        let output = command.env("TAPEFLOW_CRASH", format!("{point}:{count}")).output().unwrap();
        let is_crashed = output.status.signal() == Some(ABORTED);
        assert!(is_crashed || output.status.success(), "{point}: {}", said(&output));
        is_crashed
    }

    /// Starts a run that somebody else ends.
    pub(crate) fn start(&self, workers: usize) -> Child {
        let mut command = self.run(workers, &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Everything that the run has left, beside what it keeps for itself.
    pub(crate) fn left(&self) -> Left {
        let mut files = files(&self.path().join("out"));
        // An archive's own books say who wrote them.
        files.retain(|name, _| !name.iter().any(|folder| folder == ".tapeflow"));
        // SQLite's own files are compared by what they say.
        let database = self.path().join("out/tables.db");
        let tables = if database.exists() { tables(&database) } else { BTreeMap::new() };
        files.retain(|name, _| !name.to_string_lossy().starts_with("tables.db"));
        Left { tables, files }
    }
}

/// A folder in memory where there is one: what dies is the process, not the machine, so that nothing
/// hangs on the disk but the time that it takes.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
}

/// What a run has left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// By table: all rows as text, sorted.
    pub(crate) tables: BTreeMap<String, Vec<String>>,
    /// By name: the bytes.
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Left {
    /// Wants the same of another run, and says where they differ first.
    pub(crate) fn assert_is(&self, expected: &Self, what: &str) {
        let (names, others) = (self.tables.keys(), expected.tables.keys());
        assert!(names.eq(others), "{what}: other tables");
        for (name, rows) in &self.tables {
            assert_rows(rows, &expected.tables[name], &format!("{what}: table {name}"));
        }
        let names: Vec<&PathBuf> = self.files.keys().collect();
        assert_eq!(names, expected.files.keys().collect::<Vec<_>>(), "{what}: other files");
        for (name, bytes) in &self.files {
            let (is, wanted) = (bytes.len(), expected.files[name].len());
            let what = format!("{what}: {} differs ({is} bytes for {wanted})", name.display());
            assert!(*bytes == expected.files[name], "{what}");
        }
    }
}

/// Wants the same rows, and says which is the first that is only on one side.
pub(crate) fn assert_rows(rows: &[String], expected: &[String], what: &str) {
    if rows == expected {
        return;
    }
    let differs = rows.iter().zip(expected).position(|(is, wanted)| is != wanted);
    let at = differs.unwrap_or(rows.len().min(expected.len()));
    panic!(
        "{what}: {} rows for {}; row {at} is {:?}, expected {:?}",
        rows.len(),
        expected.len(),
        rows.get(at),
        expected.get(at)
    );
}

/// What a process has said on stderr.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// All files below `root` with their contents.
pub(crate) fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// All rows of all tables of a database, but not the job's own books.
pub(crate) fn tables(database: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let ask = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cell = |column| Ok(format!("{:?}", row.get::<_, rusqlite::types::Value>(column)?));
            let cells: rusqlite::Result<Vec<String>> = (0..columns).map(cell).collect();
            Ok(cells?.join("|"))
        };
        let mut rows: Vec<String> =
            statement.query_map([], row).unwrap().map(Result::unwrap).collect();
        rows.sort();
        rows
    };
    let names = ask("SELECT name FROM sqlite_master WHERE type = 'table'");
    let names = names.iter().map(|name| name.trim_start_matches("Text(\"").trim_end_matches("\")"));
    let names = names.filter(|name| !name.starts_with("_tapeflow_"));
    names.map(|name| (name.to_owned(), ask(&format!("SELECT * FROM \"{name}\"")))).collect()
}

/// What a run leaves that nobody disturbs.
pub(crate) fn reference() -> &'static Left {
    static REFERENCE: OnceLock<Left> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let world = World::new(&job());
        let summary = world.succeed(1, &[]);
        let left = world.left();
        let rows = |table: &str| left.tables[table].len();
        assert!(rows("ticks") > 5_000 && rows("candles") > 1_000 && rows("rejects") > 50);
        assert!(left.tables["ticks"].iter().any(|row| row.contains("Null")), "all have a sequence");
        assert!(summary["epochs"].as_u64().unwrap() > 100, "{summary}");
        left
    })
}
