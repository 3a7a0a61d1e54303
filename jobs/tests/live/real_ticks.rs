//! Real ticks of two brokers, published as gateways do, through all three live jobs at once.

use std::sync::OnceLock;

use serde_json::json;

use crate::support::{Manner, Platform, Running, Tables};

const JOBS: [&str; 3] = ["bridge", "candles-live", "archive"];

/// The tables of a run that nobody disturbs, which is made once; none: something is missing.
pub(crate) fn undisturbed() -> Option<&'static Tables> {
    static TABLES: OnceLock<Option<Tables>> = OnceLock::new();
    TABLES.get_or_init(run).as_ref()
}

fn run() -> Option<Tables> {
    let platform = Platform::new("live", &JOBS)?;
    let running: Vec<Running> = JOBS.iter().map(|job| platform.start(job, 1)).collect();
    let mut client = platform.client(Manner::quiet());
    client.begin();
    let bridge = client.next();
    client.drain(&platform, running);
    let tables = platform.hand_over_tables();
    client.compare();
    let said = platform.said("bridge");
    assert_eq!((&bridge["missing"], &bridge["extra"]), (&json!(0), &json!(0)), "{bridge}\n{said}");
    assert_eq!((&bridge["last"], &bridge["wrong"]), (&json!(2), &json!(0)), "{bridge}");
    Some(tables)
}

#[test]
fn candles_are_the_publishers_bars_payloads_pass_untouched_and_the_archive_is_the_input() {
    undisturbed();
}
