//! Which files a source reads: files, directories and globs, sorted; names in hive-style paths.

use std::path::{Path, PathBuf};

use dataflows::fault::Fault;
use schemars::JsonSchema;
use serde::Deserialize;

/// One path or several: a file, a directory (all that is in it, at any depth) or a glob such as
/// `data/**/*.parquet`. Relative paths start where `tapeflow` was called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Paths {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Paths {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let paths = match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths.as_slice(),
        };
        paths.iter().map(String::as_str)
    }
}

/// Finds the files, sorted by path, each once. Directories give the files that end in one of
/// `endings`; what begins with `.` or `_` is passed over, as other readers of datasets do.
pub(crate) fn find(paths: &Paths, root: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, Fault> {
    let mut found = Vec::new();
    for pattern in paths.iter() {
        let before = found.len();
        let path = root.join(pattern);
        if path.is_dir() {
            let accept = |file: &Path| has_ending(file, endings);
            walk(&path, &accept, &mut found)?;
        } else if path.is_file() {
            found.push(path.clone());
        } else if is_glob(pattern) {
            expand(root, pattern, &mut found)?;
        } else {
            return Err(Fault::file(&path, "no such file or directory"));
        }
        if found.len() == before {
            let wanted = if is_glob(pattern) {
                "no file matches".to_owned()
            } else {
                format!("there is no file that ends in .{} in it", endings.join(" or ."))
            };
            return Err(Fault::file(&path, wanted));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Tells whether the file name ends in one of `endings`, in any case.
pub(crate) fn has_ending(file: &Path, endings: &[&str]) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    endings.iter().any(|one| one.eq_ignore_ascii_case(ending))
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

fn expand(root: &Path, pattern: &str, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let mut base = if pattern.starts_with('/') { PathBuf::from("/") } else { root.to_owned() };
    let mut parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let fixed = parts.iter().take_while(|part| !is_glob(part)).count();
    for part in parts.drain(..fixed) {
        base.push(part);
    }
    if !base.is_dir() {
        return Err(Fault::file(&base, format!("no such directory (looked for `{pattern}`)")));
    }
    let accept = |file: &Path| {
        let Ok(inner) = file.strip_prefix(&base) else { return false };
        let names: Vec<&str> = inner.iter().filter_map(|name| name.to_str()).collect();
        matches_parts(&parts, &names)
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
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            walk(&path, accept, found)?;
        } else if accept(&path) {
            found.push(path.clone());
        }
    }
    Ok(())
}

fn matches_parts(patterns: &[&str], names: &[&str]) -> bool {
    match (patterns.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            matches_parts(rest, names)
                || names.split_first().is_some_and(|(_, deeper)| matches_parts(patterns, deeper))
        }
        (Some((pattern, rest)), Some((name, deeper))) => {
            let pattern: Vec<char> = pattern.chars().collect();
            let name: Vec<char> = name.chars().collect();
            matches_name(&pattern, &name) && matches_parts(rest, deeper)
        }
        _ => false,
    }
}

/// `*` any run, `?` any one, `[abc]`, `[a-z]`, `[!a]` one of a set.
fn matches_name(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => {
            (0..=name.len()).any(|skip| name.get(skip..).is_some_and(|n| matches_name(rest, n)))
        }
        Some(('[', rest)) if rest.contains(&']') => {
            let end = rest.iter().skip(1).position(|c| *c == ']').map_or(0, |end| end + 1);
            let (set, rest) = rest.split_at(end);
            name.split_first().is_some_and(|(first, after)| {
                in_set(set, *first) && matches_name(rest.get(1..).unwrap_or(&[]), after)
            })
        }
        Some((wanted, rest)) => name.split_first().is_some_and(|(first, after)| {
            (*wanted == '?' || wanted == first) && matches_name(rest, after)
        }),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let (negated, set) = match set.split_first() {
        Some(('!' | '^', rest)) => (true, rest),
        _ => (false, set),
    };
    let range = set.windows(3).any(|w| matches!(w, [a, '-', b] if (*a..=*b).contains(&c)));
    (range || set.contains(&c)) != negated
}

/// The values of `key=value` folders on the way to a file, percent-decoded.
pub(crate) fn hive_values(path: &Path) -> Vec<(String, String)> {
    let pairs = path.iter().filter_map(|part| part.to_str()?.split_once('='));
    pairs
        .filter(|(key, _)| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .map(|(key, value)| (key.to_owned(), percent_decoded(value)))
        .collect()
}

/// Decodes `%2F` and the like; what is not a code stays as it is.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = code
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match byte {
            Some(byte) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or(&[]);
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// Gives the one of `names` that `wanted` may have meant, as `; did you mean ...`.
pub(crate) fn suggestion<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let nearest = names
        .map(|name| (strsim::damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .min();
    match nearest {
        Some((distance, name)) if distance <= 1 + wanted.len() / 3 => {
            format!("; did you mean `{name}`?")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Paths, find, hive_values, matches_parts};
    use std::path::Path;

    #[test]
    fn a_glob_matches_as_in_a_shell() {
        let matches = |pattern: &str, path: &str| {
            let (pattern, path): (Vec<_>, Vec<_>) =
                (pattern.split('/').collect(), path.split('/').collect());
            matches_parts(&pattern, &path)
        };
        assert!(matches("**/*.parquet", "a.parquet"));
        assert!(matches("**/*.parquet", "x/y/a.parquet"));
        assert!(!matches("*.parquet", "x/a.parquet"));
        assert!(matches("day=?/[ab]*.csv", "day=1/b2.csv"));
        assert!(matches("[!a].csv", "b.csv"));
        assert!(!matches("[a-c].csv", "d.csv"));
    }

    #[test]
    fn files_are_found_once_and_in_the_order_of_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c.csv", "b/a.csv", "a.txt", ".hidden.csv", "_tmp.csv", "a.csv.tmp"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let paths = Paths::Many(vec![".".into(), "**/*.csv".into()]);
        let found = find(&paths, folder.path(), &["csv"]).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
        assert!(names.iter().any(|name| *name == "a.csv"), "{found:?}");
        assert!(find(&Paths::One("*.json".into()), folder.path(), &["csv"]).is_err());
        assert!(find(&Paths::One("missing".into()), folder.path(), &["csv"]).is_err());
    }

    #[test]
    fn folders_name_what_is_in_them() {
        let path = Path::new("ticks/source=mt4/instrument=EUR%2FUSD/date=2024-01-02/0.parquet");
        let pairs = hive_values(path);
        assert_eq!(pairs.first(), Some(&("source".into(), "mt4".into())));
        assert_eq!(pairs.get(1), Some(&("instrument".into(), "EUR/USD".into())));
    }
}
