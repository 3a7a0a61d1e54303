//! What a job says about a connection to an MQTT broker; the source and the sink have the same words.

use dataflows::duration::Duration;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mqtt::broker::Broker;
use crate::tls::TlsConfig;
use crate::topic::Template;

/// One text, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Texts {
    /// One.
    One(String),
    /// Several, in their order.
    Several(Vec<String>),
}

impl Texts {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// MQTT 5: with content types, user properties and reasons.
    #[default]
    V5,
    /// MQTT 3.1.1.
    V3,
}

/// What the broker publishes for this client when its connection is lost without a farewell.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Will {
    /// Where to.
    pub topic: String,
    /// What.
    #[serde(default)]
    pub payload: String,
    /// 0 or 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub qos: u8,
    /// Whether the broker keeps it for those who subscribe later.
    #[serde(default)]
    pub retain: bool,
}

/// How this client presents itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// Its id at the broker, which must stay the same and be no other's: `tapeflow-JOB-ID` unless
    /// given.
    pub id: Option<String>,
    /// A connection on which nothing is heard for so long is given up.
    pub keep_alive: Duration,
    /// How long the broker keeps subscriptions and messages for a client that is away (MQTT 5).
    pub session_expiry: Duration,
    /// How many messages may be under way without having been acknowledged. Brokers have a limit of
    /// their own, often a low one (`max_inflight_messages` of Mosquitto: 20).
    #[schemars(range(min = 1, max = 65_535))]
    pub in_flight: u16,
    /// The largest packet that is taken and sent, in bytes.
    #[schemars(range(min = 1_024, max = 268_435_455))]
    pub packet_max: u32,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            id: None,
            keep_alive: Duration::from_seconds(30),
            session_expiry: Duration::from_seconds(86_400),
            in_flight: 1_000,
            packet_max: 1 << 20,
        }
    }
}

/// The longest client id, in bytes. The standard promises only 23, but all brokers take more.
const ID_BYTES_MAX: usize = 256;

/// The parts of a configuration that are checked together: (path, message) pairs.
#[derive(Debug)]
pub struct Parts<'a> {
    /// `url`.
    pub url: &'a Texts,
    /// `tls`.
    pub tls: &'a TlsConfig,
    /// `will`.
    pub will: Option<&'a Will>,
    /// `client`.
    pub client: &'a Client,
}

impl Parts<'_> {
    /// Checks what a schema cannot say.
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut say = |path: &str, message: String| found.push((path.to_owned(), message));
        if self.url.all().is_empty() {
            say("url", "expected at least one broker".to_owned());
        }
        let mut is_secure = false;
        for (number, url) in self.url.all().iter().enumerate() {
            let path = match self.url {
                Texts::One(_) => "url".to_owned(),
                Texts::Several(_) => format!("url[{number}]"),
            };
            match Broker::parse(url) {
                Ok(broker) => is_secure |= broker.transport.is_secure(),
                Err(message) => say(&path, message),
            }
        }
        if !is_secure && *self.tls != TlsConfig::default() {
            say("tls", "has no effect: no `url` is mqtts:// or wss://".to_owned());
        }
        if let Some(Err(message)) = self.will.map(|will| Template::compile(&will.topic, &[])) {
            say("will.topic", message);
        }
        let client = self.client;
        if let Some(id) = &client.id
            && (id.is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control))
        {
            say("client.id", format!("expected 1 to {ID_BYTES_MAX} bytes of text"));
        }
        let seconds = client.keep_alive.ns() / 1_000_000_000;
        if !(5..=65_535).contains(&seconds) {
            say("client.keep_alive", "expected 5s to 18h".to_owned());
        }
        if client.session_expiry.ns() / 1_000_000_000 >= i64::from(u32::MAX) {
            say("client.session_expiry", "expected less than 136 years".to_owned());
        }
        found.extend(self.tls.problems());
        found
    }
}
