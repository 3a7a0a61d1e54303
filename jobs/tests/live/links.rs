//! The ways between the jobs and their servers cut, reset, stalled and sliced at random moments.
//!
//! `TAPEFLOW_LIVE_ROUNDS=10` does each of them to each way so many times; `TAPEFLOW_SEED` repeats
//! the moments of an earlier try.

use std::time::Duration;

use crate::link::{Link, Weather};
use crate::real_ticks::undisturbed;
use crate::support::{Manner, Places, Platform, Running, number};

const JOBS: [&str; 3] = ["bridge", "candles-live", "archive"];

#[derive(Debug, Clone, Copy)]
enum Fault {
    Cut,
    Reset,
    Stall,
    Slice,
}

#[test]
fn whatever_the_network_does_tables_and_archive_are_those_of_a_quiet_run() {
    let places = Places::shared();
    let ends = [&places.rabbitmq, &places.mosquitto, &places.postgres];
    let links = ends.map(|place| Link::to(place));
    let [rabbitmq, mosquitto, postgres] =
        [0, 1, 2].map(|at: usize| format!("127.0.0.1:{}", links[at].port));
    let ways = Places { rabbitmq, mosquitto, postgres, database: places.database };
    let Some(platform) = Platform::on("links", &JOBS, places, ways) else { return };
    let (rounds, seed) = (number("TAPEFLOW_LIVE_ROUNDS", 1), number("TAPEFLOW_SEED", 1));
    println!("seed {seed}, {rounds} rounds");
    let mut chance = fastrand::Rng::with_seed(seed);
    let running: Vec<Running> = JOBS.iter().map(|job| platform.start(job, 1)).collect();
    let mut client = platform.client(Manner::disturbed());
    client.begin();
    let mut broken = 0;
    for _ in 0..rounds {
        let kinds = [Fault::Cut, Fault::Reset, Fault::Stall, Fault::Slice];
        let pairs = kinds.iter().flat_map(|kind| (0..links.len()).map(move |at| (*kind, at)));
        let mut faults: Vec<(Fault, usize)> = pairs.collect();
        chance.shuffle(&mut faults);
        for (fault, at) in faults {
            // The moment of the fault, and how long it lasts.
            let [until, lasts] = [300..1_500, 300..3_000].map(|range| chance.u64(range));
            std::thread::sleep(Duration::from_millis(until));
            let way = ["RabbitMQ", "Mosquitto", "PostgreSQL"][at];
            println!("{fault:?} of the way to {way} after {until} ms, for {lasts} ms");
            let weather = match fault {
                Fault::Cut | Fault::Reset => Weather::Clear,
                Fault::Stall => Weather::Stalled,
                Fault::Slice => Weather::Sliced,
            };
            links[at].weather(weather);
            match fault {
                Fault::Cut => broken += links[at].cut(),
                Fault::Reset => broken += links[at].reset(),
                Fault::Stall | Fault::Slice => {
                    std::thread::sleep(Duration::from_millis(lasts));
                    links[at].weather(Weather::Clear);
                }
            }
        }
    }
    assert!(broken > 0, "nothing was cut");
    let bridge = client.go_on();
    client.drain(&platform, running);
    let tables = platform.hand_over_tables();
    client.compare();
    tables.assert_are(undisturbed().unwrap());
    bridge.assert_is_right_again();
}
