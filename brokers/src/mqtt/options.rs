//! What a connection is made with, in the form that the client crate wants it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dataflows::component::health::Health;
use dataflows::fault::Fault;
use rumqttc::{TlsConfiguration, v5};
use rustls::ClientConfig;

use crate::mqtt::broker::{Broker, Transport};
use crate::mqtt::config::{Client, Protocol, Texts, Will};
use crate::mqtt::{tls, wire};
use crate::tls::TlsConfig;

/// How long connecting may take, in seconds.
const CONNECT_WITHIN: u64 = 10;

/// Who a connection is for, and to whom.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// The component in messages: `sinks.live`.
    pub place: String,
    /// The name of the job.
    pub job: &'a str,
    /// The id of the component.
    pub id: &'a str,
    /// Where relative paths start.
    pub root: &'a Path,
    /// `url`.
    pub url: &'a Texts,
    /// `protocol`.
    pub protocol: Protocol,
    /// `tls`.
    pub tls: &'a TlsConfig,
    /// `will`.
    pub will: Option<&'a Will>,
    /// `client`.
    pub client: &'a Client,
    /// `qos`.
    pub qos: u8,
    /// The longest wait before a connection is tried again; none: the usual one.
    pub wait_max: Option<Duration>,
    /// Where it is told whether the connection stands.
    pub health: Arc<Health>,
}

/// What every connection of a component is made with.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) place: String,
    pub(super) brokers: Vec<Broker>,
    pub(super) protocol: Protocol,
    pub(super) client_id: String,
    pub(super) health: Arc<Health>,
    pub(super) wait_max: Option<Duration>,
    client: Client,
    will: Option<Will>,
    tls: Option<Arc<ClientConfig>>,
    /// Whether the broker keeps nothing of this client between two connections.
    is_clean: bool,
    /// How many requests may wait for the event loop.
    requests: usize,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Publish,
    Subscribe,
}

impl Options {
    pub(super) fn new(settings: &Settings<'_>, purpose: Use) -> Result<Self, Fault> {
        let brokers: Vec<Broker> = settings
            .url
            .all()
            .iter()
            .map(|url| Broker::parse(url))
            .collect::<Result<_, _>>()
            .map_err(|message| Fault::job(format!("{}.url", settings.place), message))?;
        let is_secure = brokers.iter().any(|broker| broker.transport.is_secure());
        let tls = if is_secure {
            Some(tls::configure(settings.tls, &settings.place, settings.root)?)
        } else {
            None
        };
        let client_id = settings.client.id.clone();
        let client_id =
            client_id.unwrap_or_else(|| format!("tapeflow-{}-{}", settings.job, settings.id));
        // An acknowledgement must never have to wait for room: as many as there can be packet ids.
        let requests = match purpose {
            Use::Publish => usize::from(settings.client.in_flight).max(WINDOW) + 64,
            Use::Subscribe => usize::from(u16::MAX) + 64,
        };
        Ok(Self {
            place: settings.place.clone(),
            brokers,
            protocol: settings.protocol,
            client_id,
            health: settings.health.clone(),
            wait_max: settings.wait_max,
            client: settings.client.clone(),
            will: settings.will.cloned(),
            tls,
            is_clean: purpose == Use::Publish || settings.qos == 0,
            requests,
        })
    }

    /// Prepares a connection to one of the brokers, by its number.
    pub(super) fn wire(&self, broker: usize) -> Result<wire::Wire, Fault> {
        let Some(broker) = self.brokers.get(broker) else {
            return Err(Fault::job(format!("{}.url", self.place), "expected at least one broker"));
        };
        Ok(match self.protocol {
            Protocol::V3 => wire::Wire::v3(self.v3(broker), self.requests),
            Protocol::V5 => wire::Wire::v5(self.v5(broker), self.requests),
        })
    }

    fn keep_alive(&self) -> Duration {
        self.client.keep_alive.into()
    }

    fn transport(&self, broker: &Broker) -> rumqttc::Transport {
        let tls = || {
            self.tls.as_ref().map_or_else(TlsConfiguration::default, |config| {
                TlsConfiguration::Rustls(config.clone())
            })
        };
        match broker.transport {
            Transport::Tcp => rumqttc::Transport::Tcp,
            Transport::Tls => rumqttc::Transport::Tls(tls()),
            Transport::WebSocket => rumqttc::Transport::Ws,
            Transport::SecureWebSocket => rumqttc::Transport::Wss(tls()),
        }
    }

    /// The address as the client crate wants it: a WebSocket's with everything, others' bare.
    fn address(broker: &Broker) -> String {
        if broker.transport.is_web() { broker.to_string() } else { broker.host.clone() }
    }

    fn v3(&self, broker: &Broker) -> rumqttc::MqttOptions {
        let mut options =
            rumqttc::MqttOptions::new(&self.client_id, Self::address(broker), broker.port);
        let most = usize::try_from(self.client.packet_max).unwrap_or(usize::MAX);
        options
            .set_transport(self.transport(broker))
            .set_keep_alive(self.keep_alive())
            .set_clean_session(self.is_clean)
            .set_max_packet_size(most, most)
            .set_inflight(self.client.in_flight)
            .set_manual_acks(true);
        if let Some((user, password)) = &broker.login {
            options.set_credentials(user, password);
        }
        if let Some(will) = &self.will {
            let qos = wire::qos_v3(will.qos);
            options.set_last_will(rumqttc::LastWill::new(
                &will.topic,
                will.payload.as_bytes(),
                qos,
                will.retain,
            ));
        }
        options
    }

    fn v5(&self, broker: &Broker) -> v5::MqttOptions {
        let mut options = v5::MqttOptions::new(&self.client_id, Self::address(broker), broker.port);
        let mut network = rumqttc::NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_WITHIN);
        let seconds = self.client.session_expiry.ns() / 1_000_000_000;
        let expiry = if self.is_clean { 0 } else { u32::try_from(seconds).unwrap_or(u32::MAX - 1) };
        options
            .set_transport(self.transport(broker))
            .set_keep_alive(self.keep_alive())
            .set_clean_start(self.is_clean)
            .set_session_expiry_interval(Some(expiry))
            .set_receive_maximum(Some(self.client.in_flight))
            .set_max_packet_size(Some(self.client.packet_max))
            .set_outgoing_inflight_upper_limit(self.client.in_flight)
            .set_connection_timeout(CONNECT_WITHIN)
            .set_network_options(network)
            .set_manual_acks(true);
        if let Some((user, password)) = &broker.login {
            options.set_credentials(user, password);
        }
        if let Some(will) = &self.will {
            let (topic, qos) = (&will.topic, wire::qos_v5(will.qos));
            let payload = will.payload.as_bytes();
            options.set_last_will(v5::mqttbytes::v5::LastWill::new(
                topic,
                payload,
                qos,
                will.retain,
                None,
            ));
        }
        options
    }
}

/// How many messages without an acknowledgement may wait to be written.
pub(super) const WINDOW: usize = 512;

/// The network options of a connection that speaks 3.1.1, which are set on the event loop.
pub(super) fn network_v3() -> rumqttc::NetworkOptions {
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_WITHIN);
    network
}
