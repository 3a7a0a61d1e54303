//! A broker of MQTT inside this process: the library rmqtt, for a demo that needs no service.
//!
//! It listens on the loopback interface alone, with TCP and WebSocket, for MQTT 3.1.1 and 5, takes
//! everybody without a login, keeps everything in memory, and ends with the process.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;
use dataflows::fault::Fault;
use rmqtt::context::ServerContext;
use rmqtt::net::{Builder, Listener};
use rmqtt::retain::{DefaultRetainStorage, RetainStorage};
use rmqtt::server::MqttServer;
use rmqtt::types::{Retain, TopicFilter, TopicName};

use crate::runtime;

/// The usual port of MQTT.
pub const PORT: u16 = 1_883;
/// A usual port of MQTT over WebSocket.
pub const WEB_PORT: u16 = 8_083;

/// So many messages may wait for one slow subscriber; of QoS 0 the oldest give way.
const WAITING_MAX: usize = 10_000;
/// So many may be on their way to one client without its acknowledgement.
const IN_FLIGHT: NonZeroU16 = NonZeroU16::MAX;
/// The broker's own tasks for its housekeeping, and what may wait for them.
const TASKS: (usize, usize) = (16, 10_000);
/// Retained messages are kept as long as the process lives.
const KEPT_FOR: Duration = Duration::from_secs(365 * 86_400);

/// The running broker.
#[derive(Debug)]
pub struct Embedded {
    /// Where it listens for TCP.
    pub tcp: SocketAddr,
    /// Where it listens for WebSockets, with the path `/mqtt`.
    pub web: SocketAddr,
    context: ServerContext,
}

impl Embedded {
    /// Starts it. A port that is given must be free (0: any that is); one that is not given is the
    /// usual one, or where that is taken a free one.
    ///
    /// # Errors
    /// When a port cannot be had.
    pub fn start(port: Option<u16>, web_port: Option<u16>) -> Result<Self, Fault> {
        let runtime = runtime::handle()?;
        let (tcp, web) = {
            let _inside = runtime.enter();
            let tcp = bind("tcp", port, PORT, Listener::tcp)?;
            (tcp, bind("websocket", web_port, WEB_PORT, Listener::ws)?)
        };
        let address = |listener: &Listener| {
            listener.local_addr().map_err(|error| Fault::stop("the embedded broker", error))
        };
        let (tcp_address, web_address) = (address(&tcp)?, address(&web)?);
        let context = runtime::wait(async {
            let (workers, waiting) = TASKS;
            let context = ServerContext::new()
                .busy_check_enable(false)
                .task_exec_workers(workers)
                .task_exec_queue_max(waiting)
                .build()
                .await;
            *context.extends.retain_mut().await = Box::new(Retained(DefaultRetainStorage::new()));
            context
        })?;
        let server = MqttServer::new(context.clone());
        let server = server.listener_by_id(tcp, 1).listener_by_id(web, 2).build();
        runtime.spawn(async move {
            if let Err(error) = server.run().await {
                tracing::error!(%error, "the embedded broker has ended");
            }
        });
        Ok(Self { tcp: tcp_address, web: web_address, context })
    }

    /// How many subscriptions of all clients there are: what is published before them is lost on
    /// those who come with them.
    ///
    /// # Errors
    /// When there is no runtime.
    pub fn subscriptions(&self) -> Result<usize, Fault> {
        let router = async { self.context.extends.router().await.routes().count() };
        runtime::wait(router).map(|count| usize::try_from(count).unwrap_or(0))
    }

    /// The address of clients that speak TCP.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.tcp)
    }

    /// The address of clients that speak WebSocket, such as browsers.
    pub fn web_url(&self) -> String {
        format!("ws://{}/mqtt", self.web)
    }
}

fn bind(
    name: &str,
    wanted: Option<u16>,
    usual: u16,
    turn: fn(Listener) -> rmqtt::Result<Listener>,
) -> Result<Listener, Fault> {
    let at = |port: u16| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let builder = Builder::new()
            .name(name)
            .laddr(address)
            .reuseaddr(Some(true))
            .nodelay(true)
            .max_inflight(IN_FLIGHT)
            .max_mqueue_len(WAITING_MAX)
            .message_expiry_interval(KEPT_FOR);
        turn(builder.bind().map_err(|error| (address, error))?).map_err(|error| (address, error))
    };
    let bound = match wanted {
        Some(port) => at(port),
        None => at(usual).or_else(|_| at(0)),
    };
    bound.map_err(|(address, error)| {
        let what = format!("the embedded broker at {address} ({name})");
        Fault::stop(what, format!("{error}; give another port, or 0 for one that is free"))
    })
}

/// What the broker keeps for those who subscribe later. The library's own storage has all that is
/// needed, but leaves using it to a plugin.
struct Retained(DefaultRetainStorage);

#[async_trait]
impl RetainStorage for Retained {
    fn enable(&self) -> bool {
        true
    }

    async fn set(
        &self,
        topic: &TopicName,
        retain: Retain,
        expiry: Option<Duration>,
    ) -> rmqtt::Result<()> {
        self.0.set_with_timeout(topic, retain, expiry).await
    }

    async fn get(&self, filter: &TopicFilter) -> rmqtt::Result<Vec<(TopicName, Retain)>> {
        self.0.get_message(filter).await
    }

    async fn count(&self) -> isize {
        self.0.count().await
    }

    async fn max(&self) -> isize {
        self.0.max().await
    }
}
