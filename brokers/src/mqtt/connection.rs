//! The task of a connection: connects, polls, and when the connection is lost waits and goes on at
//! the next broker. It never waits for room in a queue that it empties itself.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dataflows::fault::Fault;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::mqtt::options::Options;
use crate::mqtt::refusal::Loss;
use crate::mqtt::wire::{Client, Connected, Event};
use crate::runtime;

/// Something is owed and nothing has moved for so long: the connection is given up. The client
/// crate can stop for ever when acknowledgements come in another order (its issue 1056), and a
/// broker that has stopped does not end a connection.
const STALLED: Duration = Duration::from_secs(30);

/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// A connection that has held for so long counts as one that works.
const WORKS: Duration = Duration::from_secs(10);

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is done on a connection. Each one has a *generation*, counted upwards.
pub(super) trait Duty: Send + 'static {
    /// A connection was made: the number of the broker, and the generation.
    fn connected(
        &mut self,
        place: (usize, u64),
        client: &Client,
        connected: Connected,
    ) -> Result<(), Loss>;
    /// Something has happened on it.
    fn event(
        &mut self,
        client: &Client,
        event: Event,
    ) -> impl Future<Output = Result<(), Loss>> + Send;
    /// Where something is owed by the broker: a number that changes with all that comes.
    fn owed(&self) -> Option<u64>;
    /// The connection is lost.
    fn lost(&mut self);
    /// There will be none any more.
    fn failed(&mut self, fault: Fault);
}

/// A running task; ends, with a farewell to the broker, when it is told to or dropped.
#[derive(Debug)]
pub(super) struct Connection {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Connection {
    pub(super) fn start(options: Arc<Options>, duty: impl Duty) -> Result<Self, Fault> {
        let (stop, stopped) = watch::channel(());
        options.health.down("it has not connected yet");
        let task = runtime::handle()?.spawn(run(options, duty, stopped));
        Ok(Self { stop, task })
    }

    /// Says farewell and waits for the end, so that the broker does not publish the will of a
    /// client that has ended in good order.
    pub(super) fn finish(self) {
        let Self { stop, task } = self;
        drop(stop);
        let ended = runtime::wait(async { timeout(FAREWELL * 2, task).await });
        if !matches!(ended, Ok(Ok(Ok(())))) {
            tracing::debug!("a connection has not ended in good order");
        }
    }
}

/// How a connection ended.
enum End {
    Lost(Loss),
    Stopped,
}

async fn run(options: Arc<Options>, mut duty: impl Duty, mut stop: watch::Receiver<()>) {
    let mut backoff = options.wait_max.map_or_else(Backoff::new, Backoff::up_to);
    let mut generation = 0;
    let mut broker = 0;
    loop {
        generation += 1;
        let started = Instant::now();
        let end = session(&options, (broker, generation), &mut duty, &mut stop).await;
        duty.lost();
        let shown = options.brokers.get(broker).map(ToString::to_string).unwrap_or_default();
        let place = format!("{} ({shown})", options.place);
        match end {
            End::Stopped => return,
            End::Lost(Loss::Refused(why)) => {
                options.health.down(&why);
                return duty.failed(Fault::stop(place, why));
            }
            End::Lost(Loss::Away(why)) => {
                if started.elapsed() >= WORKS {
                    backoff.reset();
                }
                options.health.down(format!("{shown}: {why}"));
                options.health.retried();
                let wait = backoff.wait();
                broker = (broker + 1) % options.brokers.len().max(1);
                let failures = backoff.failures();
                tracing::warn!(place, why, failures, ?wait, "no connection; it is tried again");
                tokio::select! {
                    () = sleep(wait) => {}
                    _ = stop.changed() => return,
                }
            }
        }
    }
}

async fn session<D: Duty>(
    options: &Options,
    (broker, generation): (usize, u64),
    duty: &mut D,
    stop: &mut watch::Receiver<()>,
) -> End {
    let mut wire = match options.wire(broker) {
        Ok(wire) => wire,
        Err(fault) => return End::Lost(Loss::Refused(fault.to_string())),
    };
    let client = wire.client();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut owed: Option<(u64, Instant)> = None;
    let mut farewell: Option<Instant> = None;
    let mut is_connected = false;
    loop {
        let polled = {
            let poll = wire.poll();
            tokio::pin!(poll);
            // A poll that was begun is never dropped but with the connection.
            loop {
                tokio::select! {
                    biased;
                    polled = &mut poll => break polled,
                    _ = stop.changed(), if farewell.is_none() => {
                        if !is_connected || client.disconnect().is_err() {
                            return End::Stopped;
                        }
                        farewell = Some(Instant::now() + FAREWELL);
                    }
                    () = until(farewell), if farewell.is_some() => return End::Stopped,
                    _ = looks.tick() => {
                        if is_stalled(&mut owed, duty.owed()) {
                            let why = format!("nothing has moved for {} s", STALLED.as_secs());
                            return End::Lost(Loss::Away(why));
                        }
                    }
                }
            }
        };
        let handled = match polled {
            Ok(Event::Connected(connected)) => {
                is_connected = true;
                options.health.up();
                let shown = options.brokers.get(broker).map(ToString::to_string);
                tracing::info!(
                    place = options.place,
                    broker = shown,
                    is_resumed = connected.is_resumed,
                    "connected"
                );
                duty.connected((broker, generation), &client, connected)
            }
            Ok(event) => duty.event(&client, event).await,
            // The broker has read all up to the farewell, and closed.
            Err(_) if farewell.is_some() => return End::Stopped,
            Err(loss) => Err(loss),
        };
        if let Err(loss) = handled {
            return End::Lost(loss);
        }
    }
}

async fn until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        sleep_until(moment).await;
    }
}

/// Tells whether the same is owed as long ago.
fn is_stalled(seen: &mut Option<(u64, Instant)>, owed: Option<u64>) -> bool {
    match (&seen, owed) {
        (Some((before, since)), Some(now)) if *before == now => since.elapsed() >= STALLED,
        (_, Some(now)) => {
            *seen = Some((now, Instant::now()));
            false
        }
        (_, None) => {
            *seen = None;
            false
        }
    }
}
