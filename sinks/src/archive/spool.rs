//! The spool: rows of partitions that are not published yet, in files that are only added to.
//!
//! A file is a sequence of blocks: length (4 bytes), CRC-32 of what follows it (4 bytes), epoch
//! (8 bytes), [rows](dataflows::codec). A checkpoint lists the files with their lengths; what is behind
//! a length was written after it, and comes again. Every start of a job writes files of its own,
//! so that one that was replaced cannot add to what the newer one reads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataflows::codec;
use dataflows::component::sink::Generation;
use dataflows::crash;
use dataflows::fault::Fault;
use dataflows::moment::Epoch;
use proto::columns::Names;
use proto::series::SeriesTable;
use serde::{Deserialize, Serialize};

use super::files;
use super::stored::Stored;

/// A file of the spool as a checkpoint lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) name: String,
    bytes: u64,
}

/// The spool of one job and sink.
#[derive(Debug)]
pub(super) struct Spool<R> {
    folder: PathBuf,
    generation: Generation,
    /// Numbers the files of this start.
    next: u64,
    /// Oldest first.
    files: Vec<Spooled>,
    /// The last of the files, while it is added to.
    out: Option<File>,
    /// Rows that do not fill a block yet, and the places of their partitions.
    rows: Vec<R>,
    places: BTreeSet<Arc<Path>>,
    /// The files that the last checkpoints list, also those of starts before.
    kept: Kept,
    /// Files that only checkpoints before the one that the run went on from list.
    older: BTreeSet<String>,
}

/// By checkpoint, oldest first: the files that it lists.
pub(super) type Kept = VecDeque<(Epoch, BTreeSet<String>)>;

#[derive(Debug)]
struct Spooled {
    name: String,
    bytes: u64,
    is_synced: bool,
    /// The last epoch of the rows of each partition that are in it.
    last: BTreeMap<Arc<Path>, Epoch>,
}

/// What is published: by the place of a partition the epoch up to which its rows are.
pub(super) type Published = BTreeMap<Arc<Path>, Epoch>;

impl Spooled {
    fn is_needed(&self, published: &Published) -> bool {
        let until = |place: &Arc<Path>| published.get(place).copied().unwrap_or(0);
        self.last.iter().any(|(place, last)| *last > until(place))
    }
}

/// So many rows make a block.
const BLOCK_ROWS: usize = 16_384;
/// A file that is longer than so many bytes is not added to.
const FILE_BYTES: u64 = 64 << 20;
/// A run can go on from so many checkpoints: the last may be found damaged.
const KEPT: usize = 8;
const HEAD: usize = 16;
const ENDING: &str = ".spool";

impl<R: Stored> Spool<R> {
    /// Opens the spool behind a checkpoint that lists `listed`, the last one in `kept`, and removes
    /// all files that are not in there. Nothing is read yet.
    pub(super) fn open(
        folder: PathBuf,
        generation: Generation,
        listed: Vec<Listed>,
        kept: Kept,
    ) -> Result<Self, Fault> {
        files::make_folder(&folder)?;
        let names: BTreeSet<String> = listed.iter().map(|file| file.name.clone()).collect();
        let (mut next, mut older) = (0, BTreeSet::new());
        let entries = fs::read_dir(&folder).map_err(|error| Fault::file(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Fault::file(&folder, error))?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| name.ends_with(ENDING)) else { continue };
            let is_listed = names.contains(name);
            if is_listed || kept.iter().any(|(_, names)| names.contains(name)) {
                next = next.max(number(name, generation).map_or(0, |number| number + 1));
                if !is_listed {
                    older.insert(name.to_owned());
                }
            } else {
                files::remove(&entry.path())?;
            }
        }
        let files = listed.into_iter().map(|Listed { name, bytes }| Spooled {
            name,
            bytes,
            is_synced: true,
            last: BTreeMap::new(),
        });
        Ok(Self {
            folder,
            generation,
            next,
            files: files.collect(),
            out: None,
            rows: Vec::new(),
            places: BTreeSet::new(),
            kept,
            older,
        })
    }

    /// The checkpoints that a run can go on from, and the files that they list.
    pub(super) const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The oldest checkpoint that a run can go on from.
    pub(super) fn oldest(&self) -> Epoch {
        self.kept.front().map_or(0, |(epoch, _)| *epoch)
    }

    /// Adds rows of the partition at `place`, which came up to `epoch`.
    pub(super) fn add(
        &mut self,
        place: &Arc<Path>,
        mut rows: &[R],
        epoch: Epoch,
        names: &mut Names,
    ) -> Result<(), Fault> {
        while !rows.is_empty() {
            let (piece, rest) = rows.split_at(rows.len().min(BLOCK_ROWS - self.rows.len()));
            self.rows.extend_from_slice(piece);
            if !self.places.contains(place) {
                self.places.insert(place.clone());
            }
            if self.rows.len() == BLOCK_ROWS {
                self.write(epoch, names)?;
            }
            rows = rest;
        }
        Ok(())
    }

    /// Writes a block of what was added.
    pub(super) fn write(&mut self, epoch: Epoch, names: &mut Names) -> Result<(), Fault> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut block = vec![0; HEAD];
        let rows = R::wrap(std::mem::take(&mut self.rows));
        codec::encode(&rows, &[], names, &mut block)?;
        let length = u32::try_from(block.len() - 8)
            .map_err(|error| Fault::defect("sinks::archive::spool", error))?;
        block[8..HEAD].copy_from_slice(&epoch.to_le_bytes());
        let sum = crc32fast::hash(&block[8..]);
        block[..4].copy_from_slice(&length.to_le_bytes());
        block[4..8].copy_from_slice(&sum.to_le_bytes());
        if self.files.last().is_none_or(|file| file.bytes >= FILE_BYTES) {
            self.out = None;
        }
        let mut out = match self.out.take() {
            Some(out) => out,
            None => self.create()?,
        };
        if let Some(file) = self.files.last_mut() {
            let path = self.folder.join(&file.name);
            out.write_all(&block).map_err(|error| refused(&path, &error))?;
            file.bytes += block.len() as u64;
            file.is_synced = false;
            let places = std::mem::take(&mut self.places);
            file.last.extend(places.into_iter().map(|place| (place, epoch)));
        }
        self.out = Some(out);
        Ok(())
    }

    fn create(&mut self) -> Result<File, Fault> {
        let name = format!("{}-{}{ENDING}", self.generation, self.next);
        let path = self.folder.join(&name);
        let out = File::create_new(&path).map_err(|error| refused(&path, &error))?;
        self.next += 1;
        self.files.push(Spooled { name, bytes: 0, is_synced: false, last: BTreeMap::new() });
        Ok(out)
    }

    /// Makes all that was written durable, and lists what is needed to go on after `epoch`.
    pub(super) fn checkpoint(
        &mut self,
        epoch: Epoch,
        published: &Published,
    ) -> Result<Vec<Listed>, Fault> {
        crash::point("archive.before_spool_sync");
        let mut is_any = false;
        for file in self.files.iter_mut().filter(|file| !file.is_synced) {
            if file.is_needed(published) {
                files::sync_file(&self.folder.join(&file.name))?;
                file.is_synced = true;
                is_any = true;
            }
        }
        if is_any {
            files::sync_folder(&self.folder)?;
        }
        crash::point("archive.after_spool_sync");
        if self.files.last().is_some_and(|file| !file.is_needed(published)) {
            self.out = None;
        }
        let needed = self.files.iter().filter(|file| file.is_needed(published));
        let listed: Vec<Listed> =
            needed.map(|file| Listed { name: file.name.clone(), bytes: file.bytes }).collect();
        self.kept.push_back((epoch, listed.iter().map(|file| file.name.clone()).collect()));
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        self.forget(published)?;
        Ok(listed)
    }

    /// Removes the files that nothing needs any more.
    fn forget(&mut self, published: &Published) -> Result<(), Fault> {
        let kept = &self.kept;
        let is_kept = |file: &Spooled| {
            file.is_needed(published) || kept.iter().any(|(_, names)| names.contains(&file.name))
        };
        let last = self.files.last().map(|file| file.name.clone());
        let (stay, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.files).into_iter().partition(is_kept);
        self.files = stay;
        if self.files.last().map(|file| &file.name) != last.as_ref() {
            self.out = None;
        }
        let is_kept = |name: &String| kept.iter().any(|(_, names)| names.contains(name));
        let (stay, older): (BTreeSet<_>, BTreeSet<_>) =
            std::mem::take(&mut self.older).into_iter().partition(is_kept);
        self.older = stay;
        let mut gone = gone.iter().map(|file| &file.name).chain(&older);
        gone.try_for_each(|name| files::remove(&self.folder.join(name)))
    }

    /// Tells whether a checkpoint lists rows of the partition at `place`.
    pub(super) fn holds(&self, place: &Arc<Path>) -> bool {
        self.files.iter().any(|file| file.last.contains_key(place))
    }

    /// Reads the files that the checkpoint lists: hands each block's epoch and rows to `each`,
    /// which gives the places of the partitions whose rows it has taken.
    pub(super) fn read(
        &mut self,
        series: &SeriesTable,
        mut each: impl FnMut(Epoch, Vec<R>) -> Result<BTreeSet<Arc<Path>>, Fault>,
    ) -> Result<(), Fault> {
        for file in &mut self.files {
            let mut reader = Reader::open(self.folder.join(&file.name), file.bytes)?;
            while let Some((epoch, bytes)) = reader.next()? {
                let place = reader.path.display().to_string();
                let (rows, _) = codec::decode(&place, &bytes, series)?;
                let rows = R::of_rows(rows).ok_or_else(|| reader.damaged("other rows"))?;
                let places = each(epoch, rows)?;
                file.last.extend(places.into_iter().map(|place| (place, epoch)));
            }
        }
        Ok(())
    }
}

/// The number of a file of this start.
fn number(name: &str, generation: Generation) -> Option<u64> {
    let (start, number) = name.strip_suffix(ENDING)?.split_once('-')?;
    (start == generation.to_string()).then(|| number.parse().ok()).flatten()
}

fn refused(path: &Path, error: &std::io::Error) -> Fault {
    Fault::file(
        path,
        format!("cannot be written: {error}; check the folder's permissions and the disk's space"),
    )
}

/// The blocks of a file up to a length.
struct Reader {
    path: PathBuf,
    file: std::io::BufReader<File>,
    left: u64,
}

impl Reader {
    fn open(path: PathBuf, bytes: u64) -> Result<Self, Fault> {
        let lost = |found: String| {
            Fault::file(
                &path,
                format!(
                    "{found}, and the checkpoint needs {bytes} bytes of it: rows that are not \
                     published yet are in it. Bring the file back, or start the job with \
                     `--fresh`"
                ),
            )
        };
        let file = File::open(&path).map_err(|error| lost(format!("cannot be read: {error}")))?;
        let length = file.metadata().map_err(|error| Fault::file(&path, error))?.len();
        if length < bytes {
            return Err(lost(format!("has {length} bytes")));
        }
        Ok(Self { file: std::io::BufReader::with_capacity(1 << 18, file), left: bytes, path })
    }

    fn damaged(&self, what: &str) -> Fault {
        Fault::file(
            &self.path,
            format!("is damaged: {what}. Bring the file back, or start the job with `--fresh`"),
        )
    }

    /// Gives the next block's epoch and rows.
    fn next(&mut self) -> Result<Option<(Epoch, Vec<u8>)>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut head = [0; 8];
        let mut read = |bytes: &mut [u8]| self.file.read_exact(bytes);
        let left = self.left.checked_sub(8);
        let is_read = left.is_some() && read(&mut head).is_ok();
        let [a, b, c, d, e, f, g, h] = head;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let left = left.and_then(|left| left.checked_sub(length)).filter(|_| is_read);
        let Some(left) = left.filter(|_| length >= 8) else {
            return Err(self.damaged("a block does not end where the checkpoint says"));
        };
        let mut block = vec![0; usize::try_from(length).unwrap_or(0)];
        let is_read = read(&mut block).is_ok();
        if !is_read || crc32fast::hash(&block) != u32::from_le_bytes([e, f, g, h]) {
            return Err(self.damaged("a block's checksum is wrong"));
        }
        let rows = block.split_off(8);
        let epoch = block.try_into().map_or(0, u64::from_le_bytes);
        self.left = left;
        Ok(Some((epoch, rows)))
    }
}
