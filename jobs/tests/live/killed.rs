//! The live jobs killed at random moments while ticks come in, and started again with another number of
//! workers: nothing is lost, nothing counts twice.

use std::process::Child;
use std::time::Duration;

use crate::support::{Platform, number};

const JOBS: [&str; 2] = ["candles-live", "archive"];

/// Chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        // Knuth's MMIX generator; the upper bits are good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[test]
fn whatever_is_killed_the_candles_are_the_publishers_bars_and_the_archive_is_the_input() {
    let Some(platform) = Platform::new("killed", &JOBS) else { return };
    let (kills, seed) = (number("TAPEFLOW_LIVE_KILLS", 6), number("TAPEFLOW_SEED", 1));
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let mut running: Vec<Child> = JOBS.iter().map(|job| platform.start(job, 1)).collect();
    let mut client = platform.client(number("TAPEFLOW_LIVE_TICKS", 20_000), false);
    for kill in 0..kills {
        // The moment of the kill, not a way to wait for something.
        std::thread::sleep(Duration::from_millis(300 + chance.below(2_500)));
        let at = (kill % 2) as usize;
        let status = running[at].try_wait().unwrap();
        assert!(status.is_none(), "{}: {status:?}\n{}", JOBS[at], platform.said(JOBS[at]));
        running[at].kill().unwrap();
        running[at].wait().unwrap();
        running[at] = platform.start(JOBS[at], [1, 2, 4][chance.below(3) as usize]);
    }
    assert_eq!(client.next()["what"], "published");
    client.drain(&platform, running);
    platform.hand_over_candles();
    client.compare();
}
