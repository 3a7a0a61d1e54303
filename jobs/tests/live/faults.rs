//! RabbitMQ, Mosquitto, PostgreSQL and the jobs killed at random moments while ticks come in.
//!
//! `TAPEFLOW_LIVE_ROUNDS=4` kills each of them so many times, Mosquitto twice as often;
//! `TAPEFLOW_SEED` repeats the moments of an earlier try.

use std::time::Duration;

use crate::mosquitto::{Mosquitto, OPEN};
use crate::postgresql::Postgres;
use crate::rabbitmq::RabbitMq;
use crate::real_ticks::undisturbed;
use crate::support::{Manner, Places, Platform, Running, number, skip};

const JOBS: [&str; 3] = ["bridge", "candles-live", "archive"];

/// What Mosquitto needs to have after a kill what it had before.
const KEEPS: &str = "persistence true\npersistence_location FOLDER/\nautosave_on_changes true\nautosave_interval 1\n";

struct Servers {
    rabbitmq: RabbitMq,
    mosquitto: Mosquitto,
    postgres: Postgres,
}

impl Servers {
    fn start() -> Option<Self> {
        let Some(postgres) = Postgres::start() else {
            skip("PostgreSQL's server is not installed");
            return None;
        };
        let mosquitto = Mosquitto::start(&format!("{OPEN}{KEEPS}"))?;
        let Some(rabbitmq) = RabbitMq::start() else {
            skip("RabbitMQ is not installed");
            return None;
        };
        Some(Self { rabbitmq, mosquitto, postgres })
    }

    fn places(&self) -> Places {
        Places {
            rabbitmq: format!("127.0.0.1:{}", self.rabbitmq.port),
            mosquitto: format!("127.0.0.1:{}", self.mosquitto.port),
            postgres: self.postgres.place(),
            database: "postgres",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Victim {
    RabbitMq,
    Mosquitto,
    Postgres,
    Job(usize),
}

#[test]
fn whichever_server_is_killed_tables_and_archive_are_those_of_a_quiet_run() {
    let Some(mut servers) = Servers::start() else { return };
    let places = servers.places();
    let Some(platform) = Platform::on("faults", &JOBS, places.clone(), places) else { return };
    let (rounds, seed) = (number("TAPEFLOW_LIVE_ROUNDS", 1), number("TAPEFLOW_SEED", 1));
    println!("seed {seed}, {rounds} rounds");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut running: Vec<Running> = JOBS.iter().map(|job| platform.start(job, 1)).collect();
    let mut client = platform.client(Manner::disturbed());
    client.begin();
    for _ in 0..rounds {
        let mut victims = vec![Victim::RabbitMq, Victim::Postgres, Victim::Mosquitto];
        victims.extend([Victim::Mosquitto, Victim::Job(chance.usize(..JOBS.len()))]);
        chance.shuffle(&mut victims);
        for victim in victims {
            // The moment of the kill, and for how long it is away.
            let [until, away] = [300..2_000, 0..2_000].map(|range| chance.u64(range));
            std::thread::sleep(Duration::from_millis(until));
            println!("{victim:?} after {until} ms, away for {away} ms");
            match victim {
                Victim::RabbitMq => servers.rabbitmq.kill(),
                Victim::Mosquitto => servers.mosquitto.kill(),
                Victim::Postgres => servers.postgres.kill(),
                Victim::Job(at) => platform.kill(&mut running[at], [1, 2, 4][chance.usize(..3)]),
            }
            std::thread::sleep(Duration::from_millis(away));
            match victim {
                Victim::RabbitMq => servers.rabbitmq.restart(),
                Victim::Mosquitto => servers.mosquitto.restart(),
                Victim::Postgres => servers.postgres.restart(),
                Victim::Job(_) => {}
            }
        }
    }
    let bridge = client.go_on();
    client.drain(&platform, running);
    let tables = platform.hand_over_tables();
    client.compare();
    tables.assert_are(undisturbed().unwrap());
    bridge.assert_is_right_again();
}
