//! How far a dataset is complete: what its writers have noted beside it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use dataflows::fault::Fault;
use proto::archive_note::{ArchiveNote, NAME};

use crate::paths::Paths;

/// Reads the notes of the folders among `paths`, of all their writers together; none: there is no
/// note.
pub(super) fn read(paths: &Paths, root: &Path) -> Result<Option<ArchiveNote>, Fault> {
    let mut all: Option<ArchiveNote> = None;
    for folder in paths.iter().map(|path| root.join(path)) {
        for job in folders(&folder.join(".tapeflow"))? {
            for sink in folders(&job)? {
                let Some(note) = read_one(&sink.join(NAME))? else { continue };
                all = Some(match all.take() {
                    Some(others) => others.merge(note),
                    None => note,
                });
            }
        }
    }
    Ok(all)
}

fn folders(of: &Path) -> Result<Vec<PathBuf>, Fault> {
    let entries = match fs::read_dir(of) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(Fault::file(of, error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths = paths.collect::<Result<Vec<_>, _>>().map_err(|error| Fault::file(of, error))?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

fn read_one(path: &Path) -> Result<Option<ArchiveNote>, Fault> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::file(path, error)),
    };
    ArchiveNote::read(&bytes).map(Some).map_err(|why| {
        Fault::file(path, format!("does not say how far the archive is complete: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proto::archive_note::{ArchiveNote, VERSION};

    use super::read;
    use crate::paths::Paths;

    fn write(root: &Path, job: &str, as_of: &str) {
        let folder = root.join("ticks/.tapeflow").join(job).join("archive");
        std::fs::create_dir_all(&folder).unwrap();
        let note = ArchiveNote {
            version: VERSION,
            as_of: as_of.parse().unwrap(),
            feeds: [(job.to_owned(), as_of.parse().unwrap())].into(),
            whole_until: "2024-03-07".parse().unwrap(),
        };
        std::fs::write(folder.join("complete.json"), note.write()).unwrap();
    }

    #[test]
    fn what_all_writers_say_counts_and_a_dataset_without_a_note_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::One("ticks".to_owned());
        assert_eq!(read(&paths, folder.path()).unwrap(), None);
        write(folder.path(), "mt4", "2024-03-07T10:00:00Z");
        write(folder.path(), "ib", "2024-03-07T11:00:00Z");
        let note = read(&paths, folder.path()).unwrap().unwrap();
        assert_eq!(note.as_of, "2024-03-07T11:00:00Z".parse().unwrap());
        assert_eq!(note.feeds.len(), 2);
    }

    #[test]
    fn a_note_that_makes_no_sense_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "mt4", "2024-03-07T10:00:00Z");
        let path = folder.path().join("ticks/.tapeflow/mt4/archive/complete.json");
        std::fs::write(&path, b"{}").unwrap();
        let fault = read(&Paths::One("ticks".to_owned()), folder.path()).unwrap_err();
        assert!(fault.to_string().contains("complete.json"), "{fault}");
    }
}
