//! The real folder.

use std::path::PathBuf;
use std::sync::Arc;

use dataflows::disk::{Disk, Folder};
use dataflows::journal::{Writer, recover};

use crate::common::{entry, header};

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("journal").join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).unwrap();
    }
    path
}

#[test]
fn a_folder_keeps_a_journal_and_its_torn_end_is_cut() {
    let path = folder("keeps").join("made").join("as needed");
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(&path).unwrap());
    let entries: Vec<_> = (1..=9).map(|epoch| entry(epoch, 3_000, 0)).collect();
    let mut writer = Writer::create(disk.clone(), header("ticks", 1), 8_000);
    for entry in &entries {
        writer.append(entry).unwrap();
        writer.sync().unwrap();
    }
    assert_eq!(writer.forget_below(4).unwrap(), 1);
    drop(writer);
    let newest = path.join(disk.list().unwrap().last().unwrap());
    let length = std::fs::metadata(&newest).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&newest).unwrap().set_len(length - 100).unwrap();
    let tail = recover(&disk, "ticks", 4).unwrap();
    let found: Vec<_> = tail.entries().map(|entry| entry.unwrap().1).collect();
    assert_eq!(found, entries[4..8]);
    assert!(tail.warnings[0].starts_with(&newest.display().to_string()), "{:?}", tail.warnings);
    let mut writer = Writer::behind(disk.clone(), header("ticks", 2), &tail, 8_000);
    writer.append(&entries[8]).unwrap();
    assert_eq!(writer.sync().unwrap(), 9);
    assert_eq!(recover(&disk, "ticks", 4).unwrap().last, Some(9));
}

#[test]
fn a_file_is_created_once_and_appended_to_after_a_cut() {
    let path = folder("once");
    let disk = Folder::open(&path).unwrap();
    let mut file = disk.create("a").unwrap();
    file.append(b"one two").unwrap();
    file.sync().unwrap();
    let fault = disk.create("a").unwrap_err().to_string();
    assert!(fault.starts_with(&disk.place("a")), "{fault}");
    disk.truncate("a", 4).unwrap();
    disk.reopen("a").unwrap().append(b"three").unwrap();
    assert_eq!(disk.read("a").unwrap(), b"one three");
    std::fs::create_dir(path.join("folder")).unwrap();
    assert_eq!(disk.list().unwrap(), ["a"]);
    disk.remove("a").unwrap();
    disk.sync_folder().unwrap();
    for fault in [disk.read("a").unwrap_err(), disk.reopen("a").unwrap_err()] {
        assert!(fault.to_string().starts_with(&disk.place("a")), "{fault}");
    }
}
