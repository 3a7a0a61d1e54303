//! Damage of every kind: it is named and refused, or it is a torn end, which is cut off with a
//! warning; and no entry ever comes back as another one.

use dataflows::disk::Disk;
use dataflows::journal::{Entry, Writer};
use dataflows::moment::Epoch;
use dataflows::simulate::disk::MemoryDisk;

use crate::common::{Numbers, entry, header, recovered, shared, write};

/// What came of damage.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It was refused.
    Refused(String),
    /// Entries up to this epoch came, with warnings or without.
    Gave(Epoch, Vec<String>),
}

/// Recovers; checks that what comes is the beginning of what was written, and that a refusal
/// names the file and changes nothing.
fn outcome(disk: &MemoryDisk, entries: &[Entry]) -> Outcome {
    let before = contents(disk);
    match recovered(disk, 0) {
        Ok((tail, found)) => {
            assert_eq!(found, entries[..found.len()]);
            let again = recovered(disk, 0).unwrap();
            assert_eq!((again.1, again.0.warnings.len()), (found, 0), "repaired once");
            Outcome::Gave(tail.last.unwrap_or(0), tail.warnings)
        }
        Err(fault) => {
            let fault = fault.to_string();
            assert!(fault.contains("at byte ") && fault.contains("--fresh"), "{fault}");
            assert_eq!(contents(disk), before, "a refused journal is left alone");
            Outcome::Refused(fault)
        }
    }
}

fn contents(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list().unwrap();
    names.into_iter().map(|name| (name.clone(), disk.read(&name).unwrap())).collect()
}

/// A journal of several segments, its entries, and its files.
fn journal() -> (MemoryDisk, Vec<Entry>, Vec<(String, Vec<u8>)>) {
    let disk = MemoryDisk::new();
    let entries = write(&disk, 21);
    let files = contents(&disk);
    assert!(files.len() >= 3, "{}", files.len());
    (disk, entries, files)
}

#[test]
fn a_flipped_bit_is_never_overlooked() {
    let (disk, entries, files) = journal();
    let (mut refused, mut cut) = (0, 0);
    for (name, bytes) in &files {
        // Every byte of heads and seals, at the beginning and the end; every few of the rest.
        let edges = (0..200).chain(bytes.len() - 200..bytes.len());
        for at in edges.chain((200..bytes.len() - 200).step_by(23)) {
            let disk = disk.duplicate();
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            disk.overwrite(name, damaged);
            match outcome(&disk, &entries) {
                Outcome::Refused(fault) => {
                    assert!(fault.contains(name), "{name} at {at}: {fault}");
                    refused += 1;
                }
                Outcome::Gave(last, warnings) => {
                    assert_eq!(last, 21, "{name} at {at}: only a seal is missed by nobody");
                    assert!(warnings.len() == 1 && warnings[0].contains(name), "{warnings:?}");
                    cut += 1;
                }
            }
        }
    }
    assert!(refused > 1_000 && cut > 0 && cut <= 50 * files.len(), "{refused} {cut}");
}

#[test]
fn a_truncated_segment_is_refused_or_cut_at_the_end_with_a_warning() {
    let (disk, entries, files) = journal();
    let mut numbers = Numbers(1);
    let mut silent = 0;
    for (index, (name, bytes)) in files.iter().enumerate() {
        let random: Vec<usize> =
            (0..150).map(|_| numbers.below(bytes.len() as u64) as usize).collect();
        for length in (0..bytes.len()).step_by(4_096).chain(random) {
            let disk = disk.duplicate();
            disk.overwrite(name, bytes[..length].to_vec());
            let is_newest = index + 1 == files.len();
            match outcome(&disk, &entries) {
                Outcome::Refused(fault) => {
                    assert!(fault.contains(".journal: at byte "), "{fault}");
                }
                Outcome::Gave(last, warnings) if warnings.is_empty() => {
                    // Between two blocks of the newest segment: nothing is torn.
                    assert!(is_newest && last < 21, "{name} cut at {length} is overlooked");
                    silent += 1;
                }
                Outcome::Gave(last, warnings) => {
                    assert!(is_newest || last == 21, "{name} cut at {length}: {warnings:?}");
                    assert!(warnings[0].contains(name), "{warnings:?}");
                }
            }
        }
    }
    assert!(silent <= 3, "{silent} cuts fell between two blocks");
}

#[test]
fn a_missing_segment_is_refused_be_it_the_first_the_newest_or_between() {
    let (disk, entries, files) = journal();
    for (name, _) in &files {
        let disk = disk.duplicate();
        disk.remove(name).unwrap();
        let outcome = outcome(&disk, &entries);
        let Outcome::Refused(fault) = outcome else { panic!("without {name}: {outcome:?}") };
        assert!(fault.contains("missing"), "without {name}: {fault}");
    }
}

#[test]
fn swapped_segments_are_refused() {
    let (disk, entries, files) = journal();
    for (first, _) in &files {
        for (second, bytes) in files.iter().filter(|(name, _)| name != first) {
            let disk = disk.duplicate();
            let other = disk.read(first).unwrap();
            disk.overwrite(first, bytes.clone());
            disk.overwrite(second, other);
            let outcome = outcome(&disk, &entries);
            assert!(matches!(outcome, Outcome::Refused(_)), "{first} {second}: {outcome:?}");
        }
    }
}

/// The same epochs of the same job, with other payloads.
fn other_run() -> MemoryDisk {
    let other = MemoryDisk::new();
    let mut writer = Writer::create(shared(&other), header("ticks", 1), 9_000);
    for epoch in 1..=21 {
        writer.append(&entry(epoch, 1_500, 99)).unwrap();
        if epoch % 2 == 0 || epoch == 21 {
            writer.sync().unwrap();
        }
    }
    other
}

#[test]
fn a_segment_of_another_run_is_refused() {
    let (disk, entries, files) = journal();
    let other = other_run();
    for (name, _) in &files {
        let disk = disk.duplicate();
        disk.overwrite(name, other.read(name).unwrap());
        match outcome_of_strangers(&disk, &entries) {
            Some(fault) => assert!(fault.contains("--fresh"), "{fault}"),
            None => panic!("{name} was taken from another run"),
        }
    }
}

fn outcome_of_strangers(disk: &MemoryDisk, entries: &[Entry]) -> Option<String> {
    match recovered(disk, 0) {
        Ok((_, found)) => (found != entries).then_some(format!("gave {} entries", found.len())),
        Err(fault) => Some(fault.to_string()),
    }
}

#[test]
fn moved_repeated_and_missing_blocks_are_refused() {
    let (disk, entries, files) = journal();
    let (name, bytes) = &files[1];
    let starts = block_starts(bytes);
    assert!(starts.len() > 5, "{starts:?}");
    let block = |index: usize| bytes[starts[index]..starts[index + 1]].to_vec();
    let rest = |index: usize| bytes[starts[index]..].to_vec();
    let head = |index: usize| bytes[..starts[index]].to_vec();
    for (what, damaged) in [
        ("missing", [head(1), rest(2)].concat()),
        ("repeated", [head(1), block(1), rest(1)].concat()),
        ("swapped", [head(0), block(1), block(0), rest(2)].concat()),
    ] {
        let disk = disk.duplicate();
        disk.overwrite(name, damaged);
        let outcome = outcome(&disk, &entries);
        let Outcome::Refused(fault) = outcome else { panic!("{what}: {outcome:?}") };
        assert!(fault.contains(name), "{what}: {fault}");
    }
}

#[test]
fn a_block_of_another_run_is_refused() {
    let (disk, entries, files) = journal();
    let (name, bytes) = &files[1];
    let other = other_run().read(name).unwrap();
    let ranges = |bytes: &[u8]| -> Vec<_> {
        block_starts(bytes).windows(2).map(|pair| pair[0]..pair[1]).collect()
    };
    let mut blocks = 0;
    for (range, foreign) in ranges(bytes).into_iter().zip(ranges(&other)) {
        let disk = disk.duplicate();
        let parts = [&bytes[..range.start], &other[foreign], &bytes[range.end..]];
        disk.overwrite(name, parts.concat());
        match outcome(&disk, &entries) {
            Outcome::Refused(fault) => {
                assert!(
                    fault.contains(name) && fault.contains("expected a block behind"),
                    "{fault}"
                );
                blocks += 1;
            }
            Outcome::Gave(last, warnings) => {
                // The last seal, behind which the next segment was written: nobody needs it.
                assert!(last == 21 && warnings[0].contains(name), "{range:?}: {warnings:?}");
                assert!(range.len() == 25, "{range:?}");
            }
        }
        blocks += 1;
    }
    assert!(blocks > 5, "{blocks}");
}

/// Where the blocks of a segment begin: at its marker, which stands in each.
fn block_starts(bytes: &[u8]) -> Vec<usize> {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut at = line + 8 + word(line);
    let mut starts = Vec::new();
    while at < bytes.len() {
        starts.push(at);
        at += 25 + word(at + 4);
    }
    assert_eq!(at, bytes.len());
    starts
}

#[test]
fn another_version_of_the_format_is_refused_even_in_the_newest_segment() {
    let (disk, entries, files) = journal();
    for (name, bytes) in &files {
        for (version, cut) in [("2", bytes.len()), ("17", bytes.len()), ("9", 30)] {
            let disk = disk.duplicate();
            let rest = &bytes["tapeflow journal 1".len()..cut];
            let line = format!("tapeflow journal {version}");
            disk.overwrite(name, [line.as_bytes(), rest].concat());
            let outcome = outcome(&disk, &entries);
            let Outcome::Refused(fault) = outcome else { panic!("{name}: {outcome:?}") };
            let what = format!("format version {version}; expected version 1");
            assert!(fault.contains(name) && fault.contains(&what), "{fault}");
        }
    }
}

#[test]
fn a_segment_torn_while_it_was_created_is_removed_with_a_warning() {
    let disk = MemoryDisk::new();
    let entries = write(&disk, 4);
    let kept = contents(&disk);
    assert_eq!(kept.len(), 1);
    let whole = {
        let copy = disk.duplicate();
        let (tail, _) = recovered(&copy, 0).unwrap();
        let mut writer = Writer::behind(shared(&copy), header("ticks", 2), &tail, 9_000);
        writer.append(&entry(5, 200, 0)).unwrap();
        writer.sync().unwrap();
        copy.read("00000000000000000005.journal").unwrap()
    };
    // Without its seal, and not all of its entry: nothing in it was reported durable.
    for length in (0..whole.len() - 26).step_by(3) {
        let disk = disk.duplicate();
        disk.overwrite("00000000000000000005.journal", whole[..length].to_vec());
        let Outcome::Gave(4, warnings) = outcome(&disk, &entries) else { panic!("at {length}") };
        assert!(warnings[0].contains("00000000000000000005.journal"), "{warnings:?}");
        assert_eq!(contents(&disk), kept, "at {length}");
    }
    disk.overwrite("00000000000000000009.journal", whole[..20].to_vec());
    let outcome = outcome(&disk, &entries);
    assert!(matches!(outcome, Outcome::Refused(_)), "epochs 5 to 8 are missing: {outcome:?}");
}
