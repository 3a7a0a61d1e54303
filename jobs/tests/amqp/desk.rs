//! A folder of its own, in which the binary is called, and a job that runs there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::rabbit::PATIENCE;

pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    /// A folder with a job file.
    pub(crate) fn new(job: &str) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        std::fs::write(desk.0.path().join("job.yaml"), job).unwrap();
        desk
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// How many rows the table `seen` of a SQLite file has; none, if it is not there yet.
    pub(crate) fn count(&self, file: &str) -> i64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(self.path().join(file), flags);
        let count = |database: rusqlite::Connection| {
            database.query_row("SELECT count(*) FROM seen", [], |row| row.get(0))
        };
        database.and_then(count).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
        command.current_dir(self.path()).args(arguments).env_remove("TAPEFLOW_LOG");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls a verb, and waits for its end.
    pub(crate) fn call(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).envs(variables.iter().copied()).output().unwrap()
    }

    /// Writes another job file.
    pub(crate) fn rewrite(&self, job: &str) {
        std::fs::write(self.path().join("job.yaml"), job).unwrap();
    }

    /// Starts the job; it is killed if the test ends before it.
    pub(crate) fn start(&self) -> Running {
        self.start_with(&[])
    }

    /// The same, with variables of the environment.
    pub(crate) fn start_with(&self, variables: &[(&str, &str)]) -> Running {
        let mut command = self.command(&["run", "job.yaml", "--output", "json"]);
        Running::new(command.envs(variables.iter().copied()).spawn().unwrap())
    }
}

pub(crate) struct Running {
    child: Option<Child>,
    words: Receiver<String>,
    said: String,
}

impl Running {
    fn new(mut child: Child) -> Self {
        let (sender, words) = channel();
        let from = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in from.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child: Some(child), words, said: String::new() }
    }

    /// Waits until it says so.
    pub(crate) fn says(&mut self, word: &str) {
        while !self.said.contains(word) {
            match self.words.recv_timeout(PATIENCE) {
                Ok(line) => self.said += &format!("{line}\n"),
                Err(error) => panic!("it does not say `{word}` ({error}): {}", self.said),
            }
        }
    }

    /// Asks it to end, and waits; gives its summary and its words.
    pub(crate) fn stop(self) -> (serde_json::Value, String) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let signal = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(signal.success());
        let output = self.end();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{said}");
        (serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> Output {
        let begun = Instant::now();
        let child = self.child.as_mut().unwrap();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::yield_now();
        }
        let mut output = self.child.take().unwrap().wait_with_output().unwrap();
        let rest: Vec<String> = self.words.iter().collect();
        output.stderr = format!("{}{}", self.said, rest.join("\n")).into_bytes();
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
            eprintln!("{}", self.said);
        }
    }
}
