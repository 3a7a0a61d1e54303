//! `tapeflow simulate`: a gateway that publishes the ticks and trade events of a simulated market.
//!
//! It is a job like any other, a simulator and an exchange, that is written here instead of in a
//! file: what publishes in production publishes here.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use clap::{Args, ValueEnum};
use dataflows::driver::durable::Start;
use dataflows::job::lint;
use dataflows::job::run::address;
use serde_json::{Value, json};

use crate::catalog::CATALOG;
use crate::cli::Session;
use crate::cli::drive::Drive;
use crate::cli::failure::Failure;
use crate::cli::report::{Output, summarise};

/// Publish the ticks and trade events of a simulated market, as a gateway does.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Which gateway
    #[arg(value_enum)]
    gateway: Gateway,
    /// RabbitMQ: amqp://user:password@host:port/vhost
    #[arg(long, env = "TAPEFLOW_SIMULATE_URL", hide_env_values = true)]
    url: String,
    /// The topic exchange that is published to; it is declared
    #[arg(long, default_value = "market.ticks")]
    exchange: String,
    /// The topic exchange that trade events are published to, by the key trade.SOURCE.INSTRUMENT
    #[arg(long, default_value = "trade.events")]
    trade_exchange: String,
    /// A trade event for so many ticks of an instrument; 0: none
    #[arg(long, value_name = "TICKS", default_value_t = 20)]
    trade_every: u32,
    /// Ticks a second, of all instruments together
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// What all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these, separated by commas [default: all that the gateway has]
    #[arg(long, value_delimiter = ',')]
    instruments: Vec<String>,
    /// End after so long, such as 10s [default: when it is interrupted]
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<String>,
    /// End after so many ticks
    #[arg(long)]
    ticks: Option<u64>,
    /// Keep to the market's hours and its daily rhythm, instead of the same rate at all times
    #[arg(long)]
    hours: bool,
    /// Connect again after so long, such as 1m: three seconds of silence, and `ib` begins with
    /// sequence 0
    #[arg(long, value_name = "DURATION")]
    session: Option<String>,
    /// Stamp with the clock of a server there, such as Europe/Athens, instead of UTC
    #[arg(long, value_name = "ZONE")]
    server_time_zone: Option<String>,
    /// Late, repeated, crossed and bad ticks and outages among them, as the simulator has them
    /// unless told otherwise
    #[arg(long)]
    faults: bool,
    /// Serve /metrics, /livez and /readyz at this address
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    http: Option<SocketAddr>,
    /// How the summary looks
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Gateway {
    /// MetaTrader 4: whole seconds, no sequence
    Mt4,
    /// MetaTrader 5: milliseconds, a sequence
    Mt5,
    /// Interactive Brokers: a bid, an ask or a trade at a time
    Ib,
}

impl Gateway {
    const fn name(self) -> &'static str {
        match self {
            Self::Mt4 => "mt4",
            Self::Mt5 => "mt5",
            Self::Ib => "ib",
        }
    }
}

/// The name that stands for the URL in the job, so that the URL counts as a secret.
const URL: &str = "TAPEFLOW_SIMULATE_URL";

impl Simulate {
    pub(crate) fn call(self, session: &Session) -> Result<(), Failure> {
        // YAML reads JSON.
        let text = self.job().to_string();
        let variable = |name: &str| (name == URL).then(|| self.url.clone());
        let plan = lint::check(&text, Path::new("simulate"), &CATALOG, &variable)
            .map_err(Failure::Mistakes)?;
        let started = Instant::now();
        let drive = Drive {
            start: Start::Forgetful,
            http: self.http,
            drain_within: Some(plan.run.drain_within),
            ..Drive::default()
        };
        let report = drive.run(&plan, session)?;
        summarise(report, started.elapsed(), self.output, &plan.secrets, session)
    }

    /// The job that does it.
    fn job(&self) -> Value {
        let name = self.gateway.name();
        let mut source = json!({
            "type": "simulator",
            "speed": "live",
            "gateway": true,
            "seed": self.seed,
            "sources": [name],
            "instruments": self.instruments,
            "rate": self.rate,
            "always_open": !self.hours,
        });
        if let Some(source) = source.as_object_mut() {
            let given = [
                ("duration", &self.duration),
                ("session", &self.session),
                ("server_time_zone", &self.server_time_zone),
            ];
            let given = given.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?)));
            source.extend(given.map(|(key, text)| (key.to_owned(), json!(text))));
            source.extend(self.ticks.map(|ticks| ("ticks".to_owned(), json!(ticks))));
            if !self.faults {
                let habits = ["late", "very_late", "repeated", "crossed", "bad", "outages"];
                source.extend(habits.map(|habit| (habit.to_owned(), json!(0))));
            }
        }
        let url = format!("${{{URL}}}");
        let mut job = json!({
            "job": format!("simulate-{name}"),
            "run": { "epoch": { "every": "5ms" } },
            "state": { "durable": false },
            "sources": { name: source },
            "sinks": {
                "exchange": {
                    "type": "amqp",
                    "input": name,
                    "url": url,
                    "exchange": self.exchange,
                },
            },
        });
        if self.trade_every > 0 {
            job["operators"] = json!({ "traders": {
                "type": "simulated_trades",
                "input": name,
                "seed": self.seed,
                "every": self.trade_every,
            }});
            job["sinks"]["trades"] = json!({
                "type": "amqp",
                "input": "traders",
                "url": url,
                "exchange": self.trade_exchange,
                "key": "trade.{source}.{instrument}",
            });
        }
        job
    }
}
