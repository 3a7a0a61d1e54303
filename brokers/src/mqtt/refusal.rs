//! Why a connection was lost, and by that whether it is worth another try.

use std::error::Error;
use std::io;

use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode as Code5, DisconnectReasonCode as Reason, PubAckReason, SubscribeReasonCode,
};

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loss {
    /// The broker, or this client, will not have it: trying again changes nothing.
    Refused(String),
    /// Not reachable, or not any more.
    Away(String),
}

impl Loss {
    fn refused(what: &str) -> Self {
        Self::Refused(what.to_owned())
    }
}

const LOGIN: &str = "the broker refuses user and password; check them in `url`";
const RIGHTS: &str = "the broker does not allow this client to connect; check its rights, and user and password in `url`";
const CLIENT_ID: &str = "the broker refuses the client id; set another `client.id`";

/// Sorts what ended a connection that speaks 3.1.1.
pub(super) fn sort_v3(error: &rumqttc::ConnectionError) -> Loss {
    use rumqttc::ConnectReturnCode as Code;
    let rumqttc::ConnectionError::ConnectionRefused(code) = error else { return by_cause(error) };
    match code {
        Code::RefusedProtocolVersion => {
            Loss::refused("the broker does not speak MQTT 3.1.1; set `protocol: v5`")
        }
        Code::BadClientId => Loss::refused(CLIENT_ID),
        Code::BadUserNamePassword => Loss::refused(LOGIN),
        Code::NotAuthorized => Loss::refused(RIGHTS),
        Code::ServiceUnavailable | Code::Success => Loss::Away(error.to_string()),
    }
}

/// Sorts what ended a connection that speaks 5.
pub(super) fn sort_v5(error: &v5::ConnectionError) -> Loss {
    match error {
        v5::ConnectionError::ConnectionRefused(code)
        | v5::ConnectionError::MqttState(v5::StateError::ConnFail { reason: code }) => {
            connect_v5(*code, error)
        }
        v5::ConnectionError::MqttState(v5::StateError::ServerDisconnect {
            reason_code, ..
        }) => disconnect_v5(*reason_code, error),
        _ => by_cause(error),
    }
}

fn connect_v5(code: Code5, error: &v5::ConnectionError) -> Loss {
    match code {
        Code5::UnsupportedProtocolVersion | Code5::RefusedProtocolVersion => {
            Loss::refused("the broker does not speak MQTT 5; set `protocol: v3`")
        }
        Code5::ClientIdentifierNotValid | Code5::BadClientId => Loss::refused(CLIENT_ID),
        Code5::BadUserNamePassword => Loss::refused(LOGIN),
        Code5::NotAuthorized | Code5::Banned | Code5::BadAuthenticationMethod => {
            Loss::refused(RIGHTS)
        }
        Code5::TopicNameInvalid => Loss::refused("the broker refuses the topic of the `will`"),
        Code5::RetainNotSupported => {
            Loss::refused("the broker retains nothing; set `retain: false`")
        }
        Code5::QoSNotSupported => Loss::refused("the broker does not know this `qos`; set it to 0"),
        _ => Loss::Away(error.to_string()),
    }
}

fn disconnect_v5(reason: Reason, error: &v5::ConnectionError) -> Loss {
    match reason {
        Reason::NotAuthorized => Loss::refused(
            "the broker has ended the connection: this client may not do what it did; check its \
             rights on the topics",
        ),
        Reason::SessionTakenOver => Loss::refused(
            "another client has connected with the same id; set another `client.id`, or end one of \
             them",
        ),
        Reason::TopicNameInvalid => Loss::refused("the broker refuses the topic"),
        Reason::TopicFilterInvalid => Loss::refused("the broker refuses what is subscribed to"),
        Reason::RetainNotSupported => {
            Loss::refused("the broker retains nothing; set `retain: false`")
        }
        Reason::QoSNotSupported => {
            Loss::refused("the broker does not know this `qos`; set it to 0")
        }
        Reason::SharedSubscriptionNotSupported => {
            Loss::refused("the broker has no shared subscriptions (`$share/…`)")
        }
        Reason::WildcardSubscriptionsNotSupported => {
            Loss::refused("the broker has no wildcards in subscriptions")
        }
        _ => Loss::Away(error.to_string()),
    }
}

/// A certificate that is not trusted today will not be tomorrow; all else may pass.
fn by_cause(error: &(dyn Error + 'static)) -> Loss {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let inside = inner.downcast_ref::<io::Error>().and_then(|io| io.get_ref());
        let tls = inner
            .downcast_ref::<rustls::Error>()
            .or_else(|| inside.and_then(|inside| inside.downcast_ref::<rustls::Error>()));
        if let Some(tls) = tls {
            return match tls {
                rustls::Error::InvalidCertificate(_) => Loss::Refused(format!(
                    "the broker's certificate is not trusted ({tls}); check `tls.ca` and the host \
                     in `url`"
                )),
                rustls::Error::AlertReceived(_) => Loss::Refused(format!(
                    "the broker refuses the encryption ({tls}); check `tls.certificate`"
                )),
                _ => Loss::Away(tls.to_string()),
            };
        }
        cause = inner.source();
    }
    Loss::Away(error.to_string())
}

/// Says why a message was not taken; none: it was. [`Loss::Away`] where it may be taken later.
pub(super) fn of_publish(reason: PubAckReason) -> Option<Loss> {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => None,
        PubAckReason::NotAuthorized => Some(Loss::refused(
            "the broker does not allow this client to publish there; check its rights on the topic",
        )),
        PubAckReason::TopicNameInvalid => Some(Loss::refused("the broker refuses the topic")),
        PubAckReason::PayloadFormatInvalid => Some(Loss::refused("the broker refuses the payload")),
        other => Some(Loss::Away(format!("the broker did not take a message: {other:?}"))),
    }
}

/// Says why a subscription was not made; none: it was, with this quality of service.
pub(super) fn of_subscription(reason: SubscribeReasonCode) -> Result<u8, Loss> {
    match reason {
        SubscribeReasonCode::Success(qos) => Ok(qos as u8),
        SubscribeReasonCode::PkidInUse
        | SubscribeReasonCode::QuotaExceeded
        | SubscribeReasonCode::Unspecified
        | SubscribeReasonCode::ImplementationSpecific => {
            Err(Loss::Away(format!("the broker did not subscribe: {reason:?}")))
        }
        SubscribeReasonCode::NotAuthorized => Err(Loss::refused(
            "the broker does not allow this client to subscribe; check its rights on the topics",
        )),
        other => Err(Loss::Refused(format!("the broker refuses a subscription: {other:?}"))),
    }
}
