//! Real ticks of two brokers, published as gateways do, through all three live jobs at once.

use std::process::Child;

use serde_json::json;

use crate::support::{Platform, number};

const JOBS: [&str; 3] = ["bridge", "candles-live", "archive"];

#[test]
fn candles_are_the_publishers_bars_payloads_pass_untouched_and_the_archive_is_the_input() {
    let Some(platform) = Platform::new("live", &JOBS) else { return };
    let running: Vec<Child> = JOBS.iter().map(|job| platform.start(job, 1)).collect();
    let mut client = platform.client(number("TAPEFLOW_LIVE_TICKS", 20_000), true);
    let bridge = client.next();
    client.drain(&platform, running);
    platform.hand_over_candles();
    client.compare();
    let said = platform.said("bridge");
    assert_eq!((&bridge["missing"], &bridge["extra"]), (&json!(0), &json!(0)), "{bridge}\n{said}");
    assert_eq!(bridge["last"], 2, "{bridge}");
}
