//! A RabbitMQ of a test's own, that may be killed.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::mosquitto::{eventually, free_port};

/// A node with a folder of its own; ends with the test.
pub(crate) struct RabbitMq {
    folder: tempfile::TempDir,
    program: PathBuf,
    child: Option<Child>,
    pub(crate) port: u16,
    /// Erlang's own.
    distribution: u16,
}

impl RabbitMq {
    /// Starts one; none: it is not installed.
    pub(crate) fn start() -> Option<Self> {
        // The one in the path changes to another user, who could not write here.
        let mut places = vec![PathBuf::from("/usr/lib/rabbitmq/bin")];
        places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let program = places.iter().map(|place| place.join("rabbitmq-server"));
        let program = { program }.find(|program| program.is_file())?;
        let (port, distribution) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let mut node = Self { folder, program, child: None, port, distribution };
        std::fs::write(node.folder().join("plugins"), "[].").unwrap();
        std::fs::write(node.folder().join("environment"), "").unwrap();
        node.restart();
        Some(node)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it again, with what it had on disk.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let said = std::fs::File::create(self.folder().join("said")).unwrap();
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, file) in [
            ("HOME", ""),
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_CONF_ENV_FILE", "environment"),
            ("RABBITMQ_CONFIG_FILE", "none"),
        ] {
            command.env(name, self.folder().join(file));
        }
        let name = format!("tapeflow-test-{}-{}@localhost", std::process::id(), self.port);
        command.env("RABBITMQ_NODENAME", name).env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_NODE_PORT", self.port.to_string());
        command.env("RABBITMQ_DIST_PORT", self.distribution.to_string());
        // A script starts the server: both are of one group, and are killed by it.
        command.process_group(0).stdin(Stdio::null()).stdout(said.try_clone().unwrap());
        self.child = Some(command.stderr(said).spawn().unwrap());
        eventually("RabbitMQ answers", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let said = || std::fs::read_to_string(self.folder.path().join("said"));
            assert!(ended.is_none(), "RabbitMQ: {ended:?} {:?}", said());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Kills it as a failing machine would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            // It may have ended by itself.
            Command::new("kill").args(["-KILL", "--", &group]).output().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.kill();
    }
}
