//! Comparing results: files byte by byte, tables row by row in the order of their keys.

mod files;
pub(crate) mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use indicatif::HumanCount;

use crate::cli::Session;
use crate::cli::failure::Failure;

/// So many differences are shown.
const SHOWN_MAX: usize = 20;

/// What a comparison has found so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) files: u64,
    pub(crate) tables: u64,
    pub(crate) rows: u64,
    differences: u64,
    shown: Vec<String>,
}

impl Told {
    /// Adds a difference.
    pub(crate) fn differs(&mut self, text: impl FnOnce() -> String) {
        self.differences += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(text());
        }
    }

    /// Says in one line that all is the same, or fails with what is not.
    pub(crate) fn end(self, has_files: bool) -> Result<String, Failure> {
        let Self { files, tables, rows, differences, shown } = self;
        if differences == 0 {
            let files = if has_files { count(files, "file") + ", " } else { String::new() };
            let (tables, rows) = (count(tables, "table"), count(rows, "row"));
            return Ok(format!("identical: {files}{tables}, {rows}"));
        }
        let mut text = shown.join("\n");
        let more = differences - shown.len() as u64;
        if more > 0 {
            text.push_str(&format!("\nand {} more", HumanCount(more)));
        }
        let rows = count(rows, "row");
        text.push_str(&format!("\n{}, {rows} compared", count(differences, "difference")));
        Err(Failure::Differs(text))
    }
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(number))
}

/// Compares everything below two folders; gives the line that says that all is the same.
pub(crate) fn folders(found: &Path, expected: &Path, session: &Session) -> Result<String, Failure> {
    let mut told = Told::default();
    let (here, there) = (below(found)?, below(expected)?);
    for name in here.union(&there) {
        let shown = name.display();
        match (here.contains(name), there.contains(name)) {
            (false, _) => told.differs(|| format!("{shown}: missing")),
            (_, false) => told.differs(|| format!("{shown}: not expected")),
            _ => one(name, &found.join(name), &expected.join(name), &mut told, session)?,
        }
    }
    told.end(true)
}

fn one(
    name: &Path,
    found: &Path,
    expected: &Path,
    told: &mut Told,
    session: &Session,
) -> Result<(), Failure> {
    if tables::is_database(found) && tables::is_database(expected) {
        return tables::databases(&name.display().to_string(), found, expected, told);
    }
    told.files += 1;
    files::compare(name, [found, expected], told, session)
}

/// The files below a folder, by their paths in it; not what begins with a dot, and not what SQLite
/// keeps beside a database.
fn below(folder: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let refused = |error| Failure::Fault(format!("{}: {error}", next.display()));
        for entry in fs::read_dir(&next).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_beside = ["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end));
            if name.starts_with('.') || is_beside {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(name) = path.strip_prefix(folder) {
                found.insert(name.to_owned());
            }
        }
    }
    Ok(found)
}
