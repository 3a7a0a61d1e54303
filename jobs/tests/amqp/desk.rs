//! A folder of its own, in which the binary is called, and a job that runs there.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
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

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
        command.current_dir(self.path()).args(arguments).env_remove("TAPEFLOW_LOG");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the job to its end.
    pub(crate) fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the job; it is killed if the test ends before it.
    pub(crate) fn start(&self) -> Running {
        Running(Some(self.command(&["run", "job.yaml", "--output", "json"]).spawn().unwrap()))
    }
}

pub(crate) struct Running(Option<Child>);

impl Running {
    fn id(&self) -> String {
        self.0.as_ref().unwrap().id().to_string()
    }

    /// Asks it to end, and waits; gives its summary and its words.
    pub(crate) fn stop(mut self) -> (serde_json::Value, String) {
        let signal = Command::new("kill").args(["-TERM", &self.id()]).status().unwrap();
        assert!(signal.success());
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{said}");
        (serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
    }

    /// Kills it as a failing machine would.
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> Output {
        let begun = Instant::now();
        let child = self.0.as_mut().unwrap();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::yield_now();
        }
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().unwrap();
            let output = self.0.take().unwrap().wait_with_output().unwrap();
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
