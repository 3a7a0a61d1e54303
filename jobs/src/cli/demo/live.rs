//! `tapeflow demo --live`: a broker in this process, three shipped jobs that know one another by
//! topics alone, and a client that prints what a chart would draw.
//!
//! Three jobs instead of one with everything in it, because that is what a platform runs, each to be
//! stopped by itself. They end in the order of the flow, each when it has read what the one before
//! has written, so that what is counted at the end is the same everywhere.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brokers::embedded::Embedded;
use dataflows::fault::Fault;
use dataflows::job::variables::Secrets;

use super::Demo;
use super::board::Board;
use super::stage::{Stage, rows};
use super::viewer::{TOPICS, Viewer};
use crate::cli::Session;
use crate::cli::failure::Failure;

/// What subscribes: the viewer, and the sources of bridge and candles.
const SUBSCRIPTIONS: usize = TOPICS.len() + 2;

/// So long is waited for something in this very process that does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether to go on.
const LOOK: Duration = Duration::from_millis(50);

/// What the jobs say at the end.
struct Counts {
    published: u64,
    bridged: u64,
    closed: u64,
    rejected: u64,
    took: Duration,
}

impl Demo {
    /// Runs it until its time is over or it is interrupted.
    pub(super) fn live(self, session: &Session) -> Result<(), Failure> {
        let broker = Embedded::start(self.mqtt_port, self.ws_port).map_err(failure)?;
        session.say(&welcome(&broker, self.duration));
        let url = broker.url();
        let mut viewer = Viewer::open(&url).map_err(failure)?;
        let bridge = Stage::start("live-bridge", &url, self.workers)?;
        let candles = Stage::start("live-candles", &url, self.workers)?;
        let is_stopped = || session.stop.load(Ordering::Relaxed);
        let waits = Instant::now();
        while broker.subscriptions().map_err(failure)? < SUBSCRIPTIONS {
            if bridge.is_over() || candles.is_over() || is_stopped() {
                break;
            }
            if waits.elapsed() > PATIENCE {
                return Err(Failure::Fault("the jobs have not subscribed".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let gateways = Stage::start("live-gateways", &url, self.workers)?;
        let (began, limit) = (Instant::now(), self.duration.map(Duration::from));
        let is_over = || limit.is_some_and(|limit| began.elapsed() >= limit);
        let has_failed = || bridge.is_over() || candles.is_over() || gateways.is_over();
        while !(is_stopped() || is_over() || has_failed()) && viewer.look(LOOK)? {}

        let took = began.elapsed();
        gateways.stop();
        viewer.look_until(PATIENCE, |_| gateways.is_through())?;
        let sent = gateways.records();
        for (stage, id) in [(&bridge, "bridge"), (&candles, "candles")] {
            viewer.look_until(PATIENCE, |_| stage.records() >= sent || stage.is_over())?;
            stage.stop();
            viewer.look_until(PATIENCE, |_| stage.is_through())?;
            tracing::debug!(id, "all that was published has gone through");
        }
        let (gateways, bridge, candles) = (gateways.end()?, bridge.end()?, candles.end()?);
        let published = rows(&gateways, "gateway");
        let (bridged, closed) = (rows(&bridge, "live"), rows(&candles, "table"));
        let seen = |board: &Board| board.ticks >= bridged && board.closed >= closed;
        viewer.look_until(PATIENCE, seen)?;
        let rejected = rows(&candles, "rejects");
        let counts = Counts { published, bridged, closed, rejected, took };
        session.say(&summary(&counts, &viewer.board));
        if is_stopped() { Err(Failure::Interrupted) } else { Ok(()) }
    }
}

/// No password is in what this command connects to.
fn failure(fault: Fault) -> Failure {
    Failure::of(&fault, &Secrets::default())
}

fn welcome(broker: &Embedded, duration: Option<dataflows::duration::Duration>) -> String {
    let ends =
        duration.map_or_else(|| "Ctrl-C ends it".to_owned(), |d| format!("it ends after {d}"));
    let (port, url, web_url) = (broker.tcp.port(), broker.url(), broker.web_url());
    format!(
        "demo --live: all of it in this process, on this machine alone; {ends}
  gateways   simulated mt4, mt5, ib    → gateway/{{source}}/{{instrument}}/tick
  bridge     gateway/+/+/tick          → market/{{source}}/{{instrument}}/tick, and /last, retained
  candles    gateway/+/+/tick          → market/{{source}}/{{instrument}}/ohlcv, and when closed \
         /closed and ./tapeflow-data/live.db
  broker     {url} and {web_url}, MQTT 3.1.1 and 5, no login
Look in from another terminal:
  mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'market/+/+/ohlcv'
Below: a price and a running candle each second, in turn; every candle that closes.
"
    )
}

fn summary(counts: &Counts, board: &Board) -> String {
    let Counts { published, bridged, closed, rejected, took } = counts;
    let delays = match (board.median_delay(), board.greatest_delay()) {
        (Some(median), Some(greatest)) => {
            format!(", after {median:.1} ms in the median, {greatest:.1} ms at most (mt5 and ib)")
        }
        _ => String::new(),
    };
    format!(
        "
  published by the gateways  {published:>9} ticks
  through the bridge         {bridged:>9} ticks
  received here              {:>9} ticks{delays}
  candles closed             {closed:>9} in ./tapeflow-data/live.db, {} of them received here; \
         {rejected} ticks rejected
  {:.1} s

Go on with:
  tapeflow query live-candles \"SELECT source, instrument, start, open, high, low, close, ticks FROM \
         candles WHERE timeframe = '10s' ORDER BY start DESC, source, instrument LIMIT 9\"
  tapeflow graph live-candles --format svg > live-candles.svg
  cp jobs/live/candles.yaml my-live.yaml     your own: TRADING_MQTT_URL=mqtt://… tapeflow run my-live.yaml",
        board.ticks,
        board.closed,
        took.as_secs_f64()
    )
}
