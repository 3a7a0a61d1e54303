//! The client crate's two trees of types, one for each version of the protocol, as one.

use bytes::Bytes;
use dataflows::clock;
use rumqttc::mqttbytes::QoS as Qos3;
use rumqttc::v5;
use rumqttc::v5::mqttbytes::QoS as Qos5;
use rumqttc::v5::mqttbytes::v5::{
    Filter, Packet as Packet5, Publish as Publish5, RetainForwardRule,
};
use rumqttc::{Packet as Packet3, Publish as Publish3, SubscribeFilter, SubscribeReasonCode};

use crate::mqtt::message::{Message, Properties, Received};
use crate::mqtt::options::network_v3;
use crate::mqtt::refusal::{self, Loss};

/// The quality of service in the form of 3.1.1.
pub(super) const fn qos_v3(qos: u8) -> Qos3 {
    match qos {
        0 => Qos3::AtMostOnce,
        1 => Qos3::AtLeastOnce,
        _ => Qos3::ExactlyOnce,
    }
}

/// The quality of service in the form of 5.
pub(super) const fn qos_v5(qos: u8) -> Qos5 {
    match qos {
        0 => Qos5::AtMostOnce,
        1 => Qos5::AtLeastOnce,
        _ => Qos5::ExactlyOnce,
    }
}

/// What a broker says when a connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connected {
    /// It has kept the session of the connection before.
    pub(super) is_resumed: bool,
    /// The largest packet that it takes.
    pub(super) packet_max: Option<u32>,
}

/// What happens on a connection.
#[derive(Debug)]
pub(super) enum Event {
    Connected(Connected),
    /// A message has come; the generation is the caller's to fill in.
    Message(Received),
    /// The answers to a request to subscribe, in its order.
    Subscribed(Vec<Result<u8, Loss>>),
    /// A message was written, under this number; 0: nothing more will be heard of it.
    Written(u16),
    /// A message was taken, or why not.
    Taken(u16, Option<Loss>),
    Other,
}

/// One connection, to be polled.
pub(super) enum Wire {
    V3(Box<rumqttc::EventLoop>, rumqttc::AsyncClient),
    V5(Box<v5::EventLoop>, v5::AsyncClient),
}

/// What requests are made with; they wait until the connection is polled.
#[derive(Debug, Clone)]
pub(super) enum Client {
    V3(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

impl Wire {
    pub(super) fn v3(options: rumqttc::MqttOptions, requests: usize) -> Self {
        let (client, mut events) = rumqttc::AsyncClient::new(options, requests);
        events.set_network_options(network_v3());
        Self::V3(Box::new(events), client)
    }

    pub(super) fn v5(options: v5::MqttOptions, requests: usize) -> Self {
        let (client, events) = v5::AsyncClient::new(options, requests);
        Self::V5(Box::new(events), client)
    }

    pub(super) fn client(&self) -> Client {
        match self {
            Self::V3(_, client) => Client::V3(client.clone()),
            Self::V5(_, client) => Client::V5(client.clone()),
        }
    }

    /// Waits for what happens next. What it has begun is lost when it is dropped before its end.
    pub(super) async fn poll(&mut self) -> Result<Event, Loss> {
        match self {
            Self::V3(events, _) => match events.poll().await {
                Ok(event) => Ok(event_v3(event)),
                Err(error) => Err(refusal::sort_v3(&error)),
            },
            Self::V5(events, _) => match events.poll().await {
                Ok(event) => Ok(event_v5(event)),
                Err(error) => Err(refusal::sort_v5(&error)),
            },
        }
    }
}

fn event_v3(event: rumqttc::Event) -> Event {
    match event {
        rumqttc::Event::Incoming(Packet3::Publish(publish)) => Event::Message(Received {
            qos: publish.qos as u8,
            packet: publish.pkid,
            is_again: publish.dup,
            topic: publish.topic,
            payload: publish.payload,
            properties: Properties::default(),
            received: clock::wall(),
            generation: 0,
        }),
        rumqttc::Event::Incoming(Packet3::PubAck(ack)) => Event::Taken(ack.pkid, None),
        rumqttc::Event::Incoming(Packet3::ConnAck(ack)) => {
            Event::Connected(Connected { is_resumed: ack.session_present, packet_max: None })
        }
        rumqttc::Event::Incoming(Packet3::SubAck(ack)) => {
            let answer = |code: &SubscribeReasonCode| match code {
                SubscribeReasonCode::Success(qos) => Ok(*qos as u8),
                SubscribeReasonCode::Failure => Err(Loss::Refused(
                    "the broker refuses a subscription; check the rights of this client".to_owned(),
                )),
            };
            Event::Subscribed(ack.return_codes.iter().map(answer).collect())
        }
        rumqttc::Event::Outgoing(outgoing) => event_out(&outgoing),
        rumqttc::Event::Incoming(_) => Event::Other,
    }
}

fn event_v5(event: v5::Event) -> Event {
    match event {
        v5::Event::Incoming(Packet5::Publish(publish)) => Event::Message(Received {
            qos: publish.qos as u8,
            packet: publish.pkid,
            is_again: publish.dup,
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            properties: publish.properties.map(Properties::from_wire).unwrap_or_default(),
            received: clock::wall(),
            generation: 0,
        }),
        v5::Event::Incoming(Packet5::PubAck(ack)) => {
            Event::Taken(ack.pkid, refusal::of_publish(ack.reason))
        }
        v5::Event::Incoming(Packet5::ConnAck(ack)) => Event::Connected(Connected {
            is_resumed: ack.session_present,
            packet_max: ack.properties.and_then(|properties| properties.max_packet_size),
        }),
        v5::Event::Incoming(Packet5::SubAck(ack)) => {
            let codes = ack.return_codes.into_iter();
            Event::Subscribed(codes.map(refusal::of_subscription).collect())
        }
        v5::Event::Outgoing(outgoing) => event_out(&outgoing),
        v5::Event::Incoming(_) => Event::Other,
    }
}

const fn event_out(outgoing: &rumqttc::Outgoing) -> Event {
    match outgoing {
        rumqttc::Outgoing::Publish(packet) => Event::Written(*packet),
        _ => Event::Other,
    }
}

/// How messages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// How sure: 0 or 1.
    pub qos: u8,
    /// Whether the broker keeps the newest of each topic.
    pub retain: bool,
    /// Whether what stands beside the payload goes with it.
    pub properties: bool,
}

/// A request was not taken: the connection is gone, or more wait than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotTaken;

fn taken<E>(result: Result<(), E>) -> Result<(), NotTaken> {
    result.map_err(|_| NotTaken)
}

impl Client {
    /// Asks for a message to be published. Never waits.
    pub(super) fn publish(&self, message: &Message, manner: Manner) -> Result<(), NotTaken> {
        let Manner { qos, retain, properties } = manner;
        let (topic, payload) = (&*message.topic, message.payload.clone());
        match self {
            // The crate copies a payload that it is handed for 3.1.1.
            Self::V3(client) => {
                let payload = Vec::from(payload);
                taken(client.try_publish(topic, qos_v3(qos), retain, payload))
            }
            Self::V5(client) if !properties => {
                taken(client.try_publish(topic, qos_v5(qos), retain, payload))
            }
            Self::V5(client) => {
                let properties = message.properties.to_wire();
                let qos = qos_v5(qos);
                taken(client.try_publish_with_properties(topic, qos, retain, payload, properties))
            }
        }
    }

    /// Asks for a message to be acknowledged. Never waits.
    pub(super) fn ack(&self, qos: u8, packet: u16) -> Result<(), NotTaken> {
        match self {
            Self::V3(client) => {
                let mut publish = Publish3::new("", qos_v3(qos), Vec::new());
                publish.pkid = packet;
                taken(client.try_ack(&publish))
            }
            Self::V5(client) => {
                let mut publish = Publish5::new("", qos_v5(qos), Bytes::new(), None);
                publish.pkid = packet;
                taken(client.try_ack(&publish))
            }
        }
    }

    /// Asks for subscriptions. Never waits.
    pub(super) fn subscribe(&self, topics: &[String], qos: u8) -> Result<(), NotTaken> {
        match self {
            Self::V3(client) => {
                let filter = |topic: &String| SubscribeFilter::new(topic.clone(), qos_v3(qos));
                taken(client.try_subscribe_many(topics.iter().map(filter)))
            }
            Self::V5(client) => {
                let filter = |topic: &String| {
                    let mut filter = Filter::new(topic.clone(), qos_v5(qos));
                    // What is subscribed to already does not bring what is retained once more.
                    filter.retain_forward_rule = RetainForwardRule::OnNewSubscribe;
                    filter
                };
                taken(client.try_subscribe_many(topics.iter().map(filter)))
            }
        }
    }

    /// Asks for the connection to be ended in good order. Never waits.
    pub(super) fn disconnect(&self) -> Result<(), NotTaken> {
        match self {
            Self::V3(client) => taken(client.try_disconnect()),
            Self::V5(client) => taken(client.try_disconnect()),
        }
    }
}
