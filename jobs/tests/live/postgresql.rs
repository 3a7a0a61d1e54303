//! A PostgreSQL of a test's own, that may be killed.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::mosquitto::{eventually, free_port};

/// A server with a folder of its own; ends with the test.
pub(crate) struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    /// As whom it runs, where we are root, as whom it does not.
    user: Option<(u32, u32)>,
    child: Option<Child>,
    port: u16,
}

/// The folder of the server's programs.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps them out of the path, by version.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    places.sort();
    places.reverse();
    places.extend(std::env::split_paths(&path));
    places
        .into_iter()
        .find(|place| place.join("initdb").is_file() && place.join("postgres").is_file())
}

/// The number of the user `postgres`, or of its group.
fn number_of(which: &str) -> Option<u32> {
    let output = Command::new("id").args([which, "postgres"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

impl Postgres {
    /// Starts one; none: it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        let is_root = std::fs::metadata(folder.path()).unwrap().uid() == 0;
        let user = if is_root { Some((number_of("-u")?, number_of("-g")?)) } else { None };
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let mut server = Self { folder, programs, user, child: None, port: free_port() };
        let mut command = server.command("initdb");
        command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.restart();
        Some(server)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).args(["-D", "data"]).stdin(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it again, with what it had on disk.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let url = format!("postgres://postgres@{}/postgres", self.place());
        eventually("PostgreSQL answers", || {
            // It does not start while a child of the one that was killed is still there.
            let is_there =
                self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none());
            if !is_there {
                let mut command = self.command("postgres");
                let folder = self.folder.path().display().to_string();
                command.args(["-p", &self.port.to_string(), "-k", &folder]);
                command.args(["-c", "listen_addresses=127.0.0.1"]);
                let said = std::fs::File::create(self.folder.path().join("said")).unwrap();
                self.child = Some(command.stdout(Stdio::null()).stderr(said).spawn().unwrap());
            }
            let output = Command::new("psql").args([&url, "-qc", "SELECT 1"]).output().unwrap();
            output.status.success()
        });
    }

    /// Kills it and all that serve its clients, as a failing machine would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = child.id().to_string();
            let children = Command::new("ps").args(["-o", "pid=", "--ppid", &id]).output();
            let children = String::from_utf8(children.unwrap().stdout).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            // Some are gone by themselves already.
            let mut kill = Command::new("kill");
            kill.arg("-KILL").args(children.split_whitespace()).stderr(Stdio::null());
            kill.status().unwrap();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}
