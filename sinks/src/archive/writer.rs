//! The thread that encodes and writes, so that the sink's own can go on gathering.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use dataflows::component::sink::Generation;
use dataflows::fault::Fault;
use proto::archive_note::ArchiveNote;
use proto::columns::{Detail, Names};

use super::buffer::Buffer;
use super::files;
use super::merge::Mode;
use super::publish::{Contents, Pending, Publication, write};
use super::stored::Stored;

/// What is to be written.
#[derive(Debug)]
pub(super) enum Work<R> {
    /// A sorted temporary file.
    Run { path: PathBuf, buffer: Buffer<R>, detail: Detail },
    /// A partition's file, beside its place.
    Partition { path: PathBuf, contents: Contents<R> },
    /// All partitions' files so far take their places; in a durable run by a decision.
    Publish(Option<Publication>),
    /// What is in place is noted.
    Note(Box<(PathBuf, ArchiveNote)>),
    /// Says when all before it is done.
    Wait(SyncSender<()>),
}

/// What has been written.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Written {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// The handle of the thread. At most one piece of work waits while another is done.
#[derive(Debug)]
pub(super) struct Writer<R> {
    sender: Option<SyncSender<Work<R>>>,
    thread: Option<JoinHandle<Result<Written, Fault>>>,
}

impl<R: Stored + Send> Writer<R> {
    pub(super) fn start(
        root: PathBuf,
        names: Names,
        start: Option<Generation>,
    ) -> Result<Self, Fault> {
        let (sender, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("archive-writer".to_owned())
            .spawn({
                let root = root.clone();
                move || run(&receiver, &root, names, start)
            })
            .map_err(|error| Fault::file(&root, format!("no thread to write: {error}")))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Hands work over; waits while the thread is behind.
    pub(super) fn send(&mut self, work: Work<R>) -> Result<(), Fault> {
        let sent = self.sender.as_ref().map(|sender| sender.send(work));
        match sent {
            Some(Ok(())) => Ok(()),
            // The thread ends early only with a fault.
            _ => self.join().and(Err(Fault::defect("sinks::archive", "the writer has ended"))),
        }
    }

    /// Waits until what was handed over is done.
    pub(super) fn wait(&mut self) -> Result<(), Fault> {
        let (sender, receiver) = sync_channel(1);
        self.send(Work::Wait(sender))?;
        match receiver.recv() {
            Ok(()) => Ok(()),
            Err(_) => self.join().and(Err(Fault::defect("sinks::archive", "the writer has ended"))),
        }
    }

    /// Waits until all is written, and ends the thread.
    pub(super) fn join(&mut self) -> Result<Written, Fault> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) => Err(Fault::defect("sinks::archive", "the writer has panicked")),
            None => Ok(Written::default()),
        }
    }
}

impl<R> Drop for Writer<R> {
    /// The dataset must not be unlocked while the thread writes.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run<R: Stored>(
    receiver: &Receiver<Work<R>>,
    root: &std::path::Path,
    mut names: Names,
    start: Option<Generation>,
) -> Result<Written, Fault> {
    let (mut written, mut pending) = (Written::default(), Pending::new(start));
    for work in receiver {
        names.refresh();
        match work {
            Work::Run { path, buffer, detail } => {
                if let Some(folder) = path.parent() {
                    files::make_folder(folder)?;
                }
                let contents = Contents { runs: Vec::new(), buffer, detail };
                write(contents, None, Mode::Merge, &path, &mut names)?;
            }
            Work::Publish(None) => pending.publish(root)?,
            Work::Publish(Some(publication)) => pending.decide(root, publication)?,
            Work::Note(note) => super::note::write(*note)?,
            Work::Wait(sender) => drop(sender.send(())),
            Work::Partition { path, contents } => {
                let (rows, bytes) = pending.write(contents, path, root, &mut names)?;
                written.rows += rows;
                written.bytes += bytes;
                written.files += 1;
            }
        }
    }
    Ok(written)
}
