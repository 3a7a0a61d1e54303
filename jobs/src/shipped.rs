//! The jobs that ship, by the names that the command line takes instead of a path.

/// A job definition inside the binary.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// What the command line calls it.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Its file in the repository.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All of them, alphabetically.
pub const SHIPPED: &[Shipped] = &[
    Shipped {
        name: "archive",
        about: "ticks of RabbitMQ to a Parquet archive",
        file: "jobs/archive/job.yaml",
        text: include_str!("../archive/job.yaml"),
    },
    Shipped {
        name: "bridge",
        about: "ticks of RabbitMQ to MQTT, bytes as they are",
        file: "jobs/bridge/job.yaml",
        text: include_str!("../bridge/job.yaml"),
    },
    Shipped {
        name: "candles",
        about: "simulated ticks to candles in SQLite and Parquet; needs nothing",
        file: "jobs/candles/job.yaml",
        text: include_str!("../candles/job.yaml"),
    },
    Shipped {
        name: "candles-live",
        about: "ticks of RabbitMQ to candles in PostgreSQL, running ones to MQTT",
        file: "jobs/candles-live/job.yaml",
        text: include_str!("../candles-live/job.yaml"),
    },
    Shipped {
        name: "candles-postgres",
        about: "the same into PostgreSQL",
        file: "jobs/candles/postgres.yaml",
        text: include_str!("../candles/postgres.yaml"),
    },
    Shipped {
        name: "live-bridge",
        about: "ticks of gateways on MQTT to the market's topics, bytes as they are",
        file: "jobs/live/bridge.yaml",
        text: include_str!("../live/bridge.yaml"),
    },
    Shipped {
        name: "live-candles",
        about: "ticks of gateways on MQTT to candles in SQLite, running ones to MQTT",
        file: "jobs/live/candles.yaml",
        text: include_str!("../live/candles.yaml"),
    },
    Shipped {
        name: "live-gateways",
        about: "simulated ticks of three gateways to MQTT",
        file: "jobs/live/gateways.yaml",
        text: include_str!("../live/gateways.yaml"),
    },
];

/// Finds a shipped job by name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|job| job.name == name)
}
