//! Files: the same bytes, or the first lines or rows that differ.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use crate::cli::Session;
use crate::cli::compare::Told;
use crate::cli::failure::Failure;
use crate::query;

/// Compares a file that was found with one that was expected.
pub(super) fn compare(
    name: &Path,
    both: [&Path; 2],
    told: &mut Told,
    session: &Session,
) -> Result<(), Failure> {
    let Some(at) = first_difference(both)? else { return Ok(()) };
    let size = |path: &Path| fs::metadata(path).map_or(0, |data| data.len());
    let shown = name.display();
    told.differs(|| {
        let [found, expected] = both.map(size);
        format!("{shown}: differs from byte {at} on; {found} bytes found, {expected} expected")
    });
    let lines = if name.extension().is_some_and(|extension| extension == "parquet") {
        let [found, expected] = both.map(|path| rows(path, session));
        [found?, expected?]
    } else {
        let [found, expected] = both.map(|path| fs::read(path).unwrap_or_default());
        [found, expected]
    };
    let [mut found, mut expected] =
        lines.each_ref().map(|bytes| bytes.split(|byte| *byte == b'\n'));
    let mut number = 0_u64;
    loop {
        number += 1;
        match (found.next(), expected.next()) {
            (None, None) => return Ok(()),
            (found, expected) if found == expected => {}
            (found, expected) => told.differs(|| {
                let [found, expected] = [found, expected].map(line);
                format!("{shown}: row {number}\n  found    {found}\n  expected {expected}")
            }),
        }
    }
}

fn line(bytes: Option<&[u8]>) -> String {
    const CHARACTERS_MAX: usize = 400;
    bytes.map_or("nothing".to_owned(), |bytes| {
        String::from_utf8_lossy(bytes).chars().take(CHARACTERS_MAX).collect()
    })
}

/// The rows of a Parquet file, a JSON object a line.
fn rows(path: &Path, session: &Session) -> Result<Vec<u8>, Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let table = query::Table::parquet("rows", &path.to_string_lossy(), folder);
    let mut lines = Vec::new();
    let (sql, format) = ("SELECT * FROM rows", query::Format::Jsonl);
    query::run(&[table], sql, format, &mut lines, None, &session.stop)
        .map_err(|fault| Failure::Fault(fault.to_string()))?;
    Ok(lines)
}

/// The number of the first byte that differs, counted from 0.
fn first_difference(both: [&Path; 2]) -> Result<Option<u64>, Failure> {
    let open = |path: &Path| {
        let refused = |error| Failure::Fault(format!("{}: {error}", path.display()));
        File::open(path).map(|file| BufReader::new(file).bytes()).map_err(refused)
    };
    let [mut found, mut expected] = [open(both[0])?, open(both[1])?];
    let read = |byte: Option<std::io::Result<u8>>, path: &Path| {
        byte.transpose().map_err(|error| Failure::Fault(format!("{}: {error}", path.display())))
    };
    let mut at = 0;
    loop {
        match (read(found.next(), both[0])?, read(expected.next(), both[1])?) {
            (None, None) => return Ok(None),
            (found, expected) if found == expected => at += 1,
            _ => return Ok(Some(at)),
        }
    }
}
