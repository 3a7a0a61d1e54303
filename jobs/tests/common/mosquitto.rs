//! A Mosquitto of a test's own, and clients that are not ours.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A broker with a folder of its own; ends with the test.
pub(crate) struct Mosquitto {
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub(crate) port: u16,
}

/// A port that nobody listens on. Not one of those that connections go out from: a server that is
/// killed must find it free when it comes back.
pub(crate) fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(10_000..32_000)).find(is_free).unwrap()
}

/// Waits until `is_so`, looking again and again.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        // A look now and then: what is waited for needs the machine, too.
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Mosquitto {
    /// Starts one, or says that the test is skipped. `PORT` and `FOLDER` in the configuration are
    /// filled in; it begins where the listener is.
    pub(crate) fn start(config: &str) -> Option<Self> {
        Self::start_with(config, |_| {})
    }

    /// The same, with files that are made in its folder.
    pub(crate) fn start_with(config: &str, prepare: impl FnOnce(&Path)) -> Option<Self> {
        let is_there = Command::new("mosquitto").arg("-h").stdout(Stdio::null()).status().is_ok();
        if !is_there {
            let is_required = std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_some();
            assert!(!is_required, "mosquitto is not installed");
            eprintln!("SKIPPED: mosquitto is not installed");
            return None;
        }
        let mut broker =
            Self { folder: tempfile::tempdir().unwrap(), child: None, port: free_port() };
        let config = config
            .replace("PORT", &broker.port.to_string())
            .replace("FOLDER", &broker.folder().display().to_string());
        std::fs::write(broker.folder().join("mosquitto.conf"), config).unwrap();
        prepare(broker.folder());
        // It leaves its user's rights for those of another, who must be able to read and write.
        let open = ["-R", "a+rwX"].iter().copied().map(String::from);
        let folder = broker.folder().display().to_string();
        assert!(Command::new("chmod").args(open.chain([folder])).status().unwrap().success());
        broker.restart();
        Some(broker)
    }

    /// One that lets in everybody.
    pub(crate) fn open() -> Option<Self> {
        Self::start(OPEN)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Starts it again at the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let config: PathBuf = self.folder().join("mosquitto.conf");
        let log = std::fs::File::create(self.folder().join("log")).unwrap();
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(config).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        eventually("mosquitto answers", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{}",
                std::fs::read_to_string(self.folder.path().join("log")).unwrap()
            );
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Kills it as a failing machine would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Publishes with `mosquitto_pub`, and waits until it has.
    pub(crate) fn publish(&self, topic: &str, payload: &[u8], more: &[&str]) {
        let file = self.folder().join(format!("payload-{:?}", std::thread::current().id()));
        std::fs::write(&file, payload).unwrap();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-V", "5", "-p", &self.port.to_string(), "-t", topic]);
        command.arg("-f").arg(&file).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Subscribes with `mosquitto_sub`.
    pub(crate) fn listen(&self, topic: &str, more: &[&str]) -> Listener {
        Listener::new(self.port, topic, more)
    }
}

/// The configuration of a broker that lets in everybody and keeps nothing.
pub(crate) const OPEN: &str = "listener PORT 127.0.0.1\nallow_anonymous true\n\
    set_tcp_nodelay true\nmax_queued_messages 0\n";

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A message as `mosquitto_sub` has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) retained: bool,
    pub(crate) content_type: String,
    pub(crate) properties: String,
    pub(crate) payload: Vec<u8>,
}

impl Seen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.payload.clone()).unwrap()
    }
}

/// A running `mosquitto_sub`.
pub(crate) struct Listener {
    child: Child,
    lines: Receiver<String>,
}

impl Listener {
    fn new(port: u16, topic: &str, more: &[&str]) -> Self {
        // Line by line: it would keep what it says until there is much of it.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub"]);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-d", "-q", "1", "-t", topic]);
        command.args(["-V", "5", "-F", "MSG|%t|%q|%r|%C|%P|%x"]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let listener = Self { child, lines };
        while !listener.line().contains("Subscribed") {}
        listener
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("mosquitto_sub says something")
    }

    /// Waits for the next message.
    pub(crate) fn next(&self) -> Seen {
        loop {
            let line = self.line();
            let Some(fields) = line.strip_prefix("MSG|") else { continue };
            let fields: Vec<&str> = fields.split('|').collect();
            let hex = fields[5].trim();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            return Seen {
                topic: fields[0].to_owned(),
                qos: fields[1].parse().unwrap(),
                retained: fields[2] == "1",
                content_type: fields[3].to_owned(),
                properties: fields[4].to_owned(),
                payload: (0..hex.len()).step_by(2).map(byte).collect(),
            };
        }
    }

    /// Waits for so many messages.
    pub(crate) fn take(&self, count: usize) -> Vec<Seen> {
        (0..count).map(|_| self.next()).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
