//! The live jobs killed at random moments while ticks come in, and started again with another number of
//! workers: nothing is lost, nothing counts twice.

use std::time::Duration;

use crate::real_ticks::undisturbed;
use crate::support::{Manner, Platform, Running, number};

const JOBS: [&str; 2] = ["candles-live", "archive"];

#[test]
fn whatever_is_killed_the_candles_are_the_publishers_bars_and_the_archive_is_the_input() {
    let Some(platform) = Platform::new("killed", &JOBS) else { return };
    let (kills, seed) = (number("TAPEFLOW_LIVE_KILLS", 6), number("TAPEFLOW_SEED", 1));
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut running: Vec<Running> = JOBS.iter().map(|job| platform.start(job, 1)).collect();
    let mut client = platform.client(Manner::disturbed());
    client.begin();
    for kill in 0..kills {
        // The moment of the kill, not a way to wait for something.
        std::thread::sleep(Duration::from_millis(chance.u64(300..2_800)));
        let at = (kill % 2) as usize;
        platform.kill(&mut running[at], [1, 2, 4][chance.usize(..3)]);
    }
    client.go_on();
    client.drain(&platform, running);
    let tables = platform.hand_over_tables();
    client.compare();
    tables.assert_are(undisturbed().unwrap());
}
