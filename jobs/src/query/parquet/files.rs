//! The files of a dataset: found by file, folder or glob; named by `key=value` folders.

use std::path::{Path, PathBuf};

use dataflows::fault::Fault;

/// Tells whether a file's name says that it is Parquet.
pub(in crate::query) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

/// Finds the files, sorted by path, each once. What begins with `.` or `_` is passed over, as other
/// readers of datasets do: it is being written, or no data.
///
/// # Errors
/// When a folder cannot be read, or there is no file.
pub(in crate::query) fn find(patterns: &[String], root: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut found = Vec::new();
    for pattern in patterns {
        let path = root.join(pattern);
        let before = found.len();
        if path.is_dir() {
            walk(&path, &is_parquet, &mut found)?;
        } else if path.is_file() {
            found.push(path.clone());
        } else if is_glob(pattern) {
            expand(&path, &mut found)?;
        }
        if found.len() == before {
            let message = "there are no Parquet files here (yet): run the job first, or check the \
                           path";
            return Err(Fault::file(&path, message));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

fn expand(pattern: &Path, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let parts: Vec<&str> = pattern.iter().filter_map(|part| part.to_str()).collect();
    let fixed = parts.iter().take_while(|part| !is_glob(part)).count();
    let (fixed, parts) = parts.split_at(fixed);
    let base: PathBuf = fixed.iter().collect();
    if !base.is_dir() {
        return Ok(());
    }
    let accept = |file: &Path| {
        let inner = file.strip_prefix(&base).unwrap_or(file);
        let names: Vec<&str> = inner.iter().filter_map(|name| name.to_str()).collect();
        fits(parts, &names)
    };
    walk(&base, &accept, found)
}

fn walk(
    folder: &Path,
    accept: &dyn Fn(&Path) -> bool,
    found: &mut Vec<PathBuf>,
) -> Result<(), Fault> {
    let entries = std::fs::read_dir(folder).map_err(|error| Fault::file(folder, error))?;
    for entry in entries {
        let path = entry.map_err(|error| Fault::file(folder, error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            walk(&path, accept, found)?;
        } else if accept(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn fits(patterns: &[&str], names: &[&str]) -> bool {
    match (patterns.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            fits(rest, names)
                || names.split_first().is_some_and(|(_, deeper)| fits(patterns, deeper))
        }
        (Some((pattern, rest)), Some((name, deeper))) => {
            name_fits(pattern, name) && fits(rest, deeper)
        }
        _ => false,
    }
}

/// `*`: any run of characters; `?`: any one.
fn name_fits(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => name.is_empty(),
        Some('*') => {
            let ends = name.char_indices().map(|(index, _)| index).chain([name.len()]);
            ends.into_iter()
                .any(|skip| name.get(skip..).is_some_and(|name| name_fits(pattern.as_str(), name)))
        }
        Some(wanted) => {
            let mut name = name.chars();
            name.next().is_some_and(|first| wanted == '?' || wanted == first)
                && name_fits(pattern.as_str(), name.as_str())
        }
    }
}

/// What stands for no value: Hive's own word.
const NONE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The values of `key=value` folders on the way to a file, percent-decoded.
pub(in crate::query) fn hive_keys(path: &Path) -> Vec<(String, Option<String>)> {
    let folders = path.parent().unwrap_or(path).iter();
    let pairs = folders.filter_map(|part| part.to_str()?.split_once('='));
    pairs
        .filter(|(key, _)| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .map(|(key, value)| (key.to_owned(), (value != NONE).then(|| percent_decoded(value))))
        .collect()
}

/// Decodes `%2F` and the like; what is no code stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let byte = code
            .filter(|code| code.iter().all(u8::is_ascii_hexdigit))
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{find, fits, hive_keys};
    use std::path::Path;

    #[test]
    fn a_glob_fits_as_in_a_shell() {
        let fits = |pattern: &str, path: &str| {
            let split = |text: &'static str| text.split('/').collect::<Vec<_>>();
            fits(&split(Box::leak(pattern.into())), &split(Box::leak(path.into())))
        };
        assert!(fits("**/*.parquet", "a.parquet"));
        assert!(fits("**/*.parquet", "x/y/ä.parquet"));
        assert!(!fits("*.parquet", "x/a.parquet"));
        assert!(fits("day=?/a*c*.parquet", "day=1/abcd.parquet"));
    }

    #[test]
    fn hidden_and_half_written_files_are_no_part_of_a_dataset() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("_old")).unwrap();
        for name in ["b.parquet", "a.parquet", ".a.parquet.1.tmp", "_c.parquet", "_old/d.parquet"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = find(&[".".into(), "*.parquet".into()], folder.path()).unwrap();
        assert!(found.iter().all(|path| !path.to_string_lossy().contains('_')));
        let missing = find(&["nothing".into()], folder.path()).unwrap_err().to_string();
        assert!(missing.contains("nothing: there are no Parquet files here"), "{missing}");
    }

    #[test]
    fn folders_name_what_is_below_them() {
        let path =
            Path::new("x/source=mt4/instrument=EUR%2FUSD/day=__HIVE_DEFAULT_PARTITION__/a=b");
        assert_eq!(
            hive_keys(path),
            [
                ("source".to_owned(), Some("mt4".to_owned())),
                ("instrument".to_owned(), Some("EUR/USD".to_owned())),
                ("day".to_owned(), None),
            ]
        );
    }
}
