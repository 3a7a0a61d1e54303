//! Calling the binary as a user does, and reading what it left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own, in which the binary is called.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and gives its name.
    pub(crate) fn write<'name>(&self, name: &'name str, text: &str) -> &'name str {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        name
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapeflow"));
        command.current_dir(self.path()).args(arguments).env_remove("TAPEFLOW_LOG");
        command
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Calls it and wants success; gives stdout.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?} ended with {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Calls it and wants this exit code; gives stderr.
    pub(crate) fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "nothing on stdout when it fails");
        said
    }

    /// All files below `folder` with their contents, but not what an archive keeps of its progress.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.ends_with(".tapeflow") {
                    continue;
                } else if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.path()).unwrap().to_path_buf();
                    found.insert(name, fs::read(path).unwrap());
                }
            }
        }
        found
    }

    /// All rows of a SQLite table, as text, in the order of its key.
    pub(crate) fn rows(&self, database: &str, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.path().join(database)).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cell = |column| Ok(format!("{:?}", row.get::<_, rusqlite::types::Value>(column)?));
            let cells: rusqlite::Result<Vec<String>> = (0..columns).map(cell).collect();
            Ok(cells?.join("|"))
        };
        statement.query_map([], row).unwrap().map(Result::unwrap).collect()
    }
}

/// The folder of real data, or none with a loud word; an error where skipping is forbidden.
pub(crate) fn real_data() -> Option<PathBuf> {
    let beside = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        root.join("../shared/data")
    };
    let folder = std::env::var_os("TAPEFLOW_DATA").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder.canonicalize().unwrap());
    }
    assert!(
        std::env::var_os("TAPEFLOW_REQUIRE_ALL").is_none(),
        "no real data at {} and TAPEFLOW_REQUIRE_ALL is set",
        folder.display()
    );
    eprintln!("SKIPPED: no real data at {} (TAPEFLOW_DATA)", folder.display());
    None
}
