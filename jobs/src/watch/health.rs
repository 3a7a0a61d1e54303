//! `/livez` and `/readyz`: whether the process is worth keeping, and whether the job is at work.

use std::time::Duration;

use dataflows::driver::reading::{Phase, Reading};
use dataflows::job::variables::Secrets;
use serde_json::{Value, json};

/// A coordinator that has not moved for so long hangs: it looks around every 50 ms, also while it
/// waits for a broker or a database.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// An answer: whether all is well, and what is shown.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) is_well: bool,
    pub(crate) body: Value,
}

/// Tells whether the job's coordinator moves. What it is connected to plays no part: a restart
/// brings no broker back.
pub(crate) fn live(reading: &Reading) -> Answer {
    let moves = matches!(reading.phase, Phase::Restoring | Phase::Running | Phase::Draining);
    let is_well = !moves || reading.idle < HANGS_AFTER;
    let body = json!({
        "live": is_well,
        "phase": reading.phase.name(),
        "idle_ms": u64::try_from(reading.idle.as_millis()).unwrap_or(u64::MAX),
    });
    Answer { is_well, body }
}

/// Tells whether everything that was kept is restored, new input is taken, and every source and
/// sink is connected; else why not.
pub(crate) fn ready(reading: &Reading, secrets: &Secrets) -> Answer {
    let mut reasons = Vec::new();
    if reading.phase != Phase::Running {
        let reason = format!("the job is {}", reading.phase.name());
        reasons.push(json!({ "component": "job", "reason": reason }));
    }
    let sources = reading.sources.iter().map(|source| ("sources", &source.id, &source.link));
    let sinks = reading.sinks.iter().map(|sink| ("sinks", &sink.id, &sink.link));
    for (room, id, link) in sources.chain(sinks) {
        if let Some(reason) = &link.down {
            let component = format!("{room}.{id}");
            reasons.push(json!({ "component": component, "reason": secrets.redact(reason) }));
        }
    }
    let is_well = reasons.is_empty();
    Answer {
        is_well,
        body: json!({ "ready": is_well, "phase": reading.phase.name(), "reasons": reasons }),
    }
}
