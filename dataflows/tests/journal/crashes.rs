//! Random histories with power failures: what was reported durable comes back, in order, and
//! nothing is made up.

use dataflows::disk::Disk;
use dataflows::journal::{Entry, Writer, recover};
use dataflows::simulate::disk::MemoryDisk;

use crate::common::{Numbers, entry, header, shared};

/// What a history did, so that a test can tell that it was one.
#[derive(Debug, Default)]
struct Seen {
    entries: u64,
    warnings: u64,
    lost: u64,
    forgotten: usize,
    /// Deaths within a sync, and within a recovery.
    deaths: u64,
    recoveries: u64,
    /// Ends of a process without a power failure.
    kills: u64,
}

/// Runs one history: starts, appends, syncs, checkpoints, kills and power failures.
fn history(seed: u64, seen: &mut Seen) {
    let mut numbers = Numbers(seed);
    let disk = MemoryDisk::new();
    // What was appended last for each epoch, how much of it is durable, and the checkpoint.
    let (mut written, mut durable, mut base) = (Vec::<Entry>::new(), 0_u64, 0_u64);
    for generation in 1..12 {
        let context = format!("seed {seed}, generation {generation}, base {base}");
        if numbers.below(3) == 0 {
            die_in_recovery(&disk, base, &mut numbers, seen);
        }
        let tail = match recover(&shared(&disk), "ticks", base) {
            Ok(tail) => tail,
            Err(fault) => panic!("{context}: {fault}\n{:?}", disk.list()),
        };
        let found: Vec<Entry> = tail.entries().map(|entry| entry.unwrap().1).collect();
        let last = tail.last.unwrap_or(base);
        assert!(!tail.is_short, "{context}");
        assert!(last >= durable, "{context}: epochs to {durable} were durable, found {last}");
        assert_eq!(found, written[base as usize..last as usize], "{context}");
        seen.warnings += tail.warnings.len() as u64;
        seen.lost += written.len() as u64 - last;
        written.truncate(last as usize);
        durable = last;
        if numbers.below(6) == 0 {
            // Killed, or without power, straight after recovery.
            if numbers.below(2) == 0 {
                disk.crash(&mut |bound| numbers.below(bound));
            }
            continue;
        }
        let size = [300, 3_000, 30_000][numbers.below(3) as usize];
        let mut writer = Writer::behind(shared(&disk), header("ticks", generation), &tail, size);
        let lifetime = numbers.below(60);
        if numbers.below(3) > 0 {
            disk.die_after(lifetime);
        }
        for _ in 0..numbers.below(40) {
            match numbers.below(8) {
                0..5 => {
                    let length = [0, 20, 700, 5_000][numbers.below(4) as usize];
                    let next = entry(written.len() as u64 + 1, length, generation);
                    if writer.append(&next).is_ok() {
                        written.push(next);
                        seen.entries += 1;
                    }
                }
                5..7 => match writer.sync() {
                    Ok(synced) => {
                        assert_eq!(synced, written.len() as u64, "{context}");
                        durable = synced;
                    }
                    Err(_) => seen.deaths += 1,
                },
                _ => {
                    base += numbers.below(durable - base + 1);
                    seen.forgotten += writer.forget_below(base + 1).unwrap_or(0);
                }
            }
        }
        end(&disk, &mut numbers, seen);
    }
}

/// The process is gone; at times the power, too.
fn end(disk: &MemoryDisk, numbers: &mut Numbers, seen: &mut Seen) {
    disk.revive();
    if numbers.below(3) == 0 {
        seen.kills += 1; // what it handed to the system stays
    } else {
        disk.crash(&mut |bound| numbers.below(bound));
    }
}

fn die_in_recovery(disk: &MemoryDisk, base: u64, numbers: &mut Numbers, seen: &mut Seen) {
    disk.die_after(numbers.below(3));
    seen.recoveries += u64::from(recover(&shared(disk), "ticks", base).is_err());
    end(disk, numbers, seen);
}

#[test]
fn what_was_reported_durable_survives_every_crash() {
    let mut seen = Seen::default();
    for seed in 0..1_500 {
        history(seed, &mut seen);
    }
    assert!(seen.entries > 10_000 && seen.kills > 100, "{seen:?}");
    assert!(seen.deaths > 1_000 && seen.recoveries > 500, "{seen:?}");
    assert!(seen.warnings > 100 && seen.lost > 100 && seen.forgotten > 100, "{seen:?}");
}

#[test]
fn a_recovery_that_is_cut_short_can_be_repeated() {
    for seed in 0..300 {
        let mut numbers = Numbers(seed);
        let disk = MemoryDisk::new();
        let mut writer = Writer::create(shared(&disk), header("ticks", 1), 2_000);
        for epoch in 1..6 {
            writer.append(&entry(epoch, 700, 0)).unwrap();
            writer.sync().unwrap();
        }
        writer.append(&entry(6, 3_000, 0)).unwrap();
        disk.die_after(numbers.below(9));
        let synced = writer.sync().is_ok();
        disk.crash(&mut |bound| numbers.below(bound));
        let first = recover(&shared(&disk), "ticks", 0).unwrap();
        disk.crash(&mut |bound| numbers.below(bound));
        let second = recover(&shared(&disk), "ticks", 0).unwrap();
        assert_eq!(first.last, second.last, "seed {seed}");
        assert_eq!(second.warnings, Vec::<String>::new(), "seed {seed}: repaired once");
        let durable = if synced { 6 } else { 5 };
        assert!(second.last >= Some(durable), "seed {seed}: {:?}", disk.list());
    }
}
