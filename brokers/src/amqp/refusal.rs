//! What a failed connection means: a broker that is away, which is waited for, or one that refuses
//! us, which no waiting helps against.

use std::error::Error;

use dataflows::fault::Fault;
use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};

use super::address::Address;

/// Why a link is down.
#[derive(Debug)]
pub enum Failure {
    /// It may come back by itself.
    Lost(String),
    /// It will not: the run ends.
    Refused(Fault),
}

/// Sorts an error. `is_new`: it came while connecting and declaring, not from a link that worked.
pub(super) fn sort(error: &lapin::Error, address: &Address, is_new: bool) -> Failure {
    let lost = || Failure::Lost(error.to_string());
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => {
            let text = refusal.get_message().as_str();
            // A node that is still starting, or has left its cluster, refuses in the same words.
            if text.contains("is down") || text.contains("inaccessible") {
                return lost();
            }
            remedy(refusal.kind(), text, address, is_new)
                .map_or_else(lost, |remedy| refused(address, format!("{text}; {remedy}")))
        }
        ErrorKind::AuthProviderError(text) => refused(address, text),
        ErrorKind::InvalidProtocolVersion(_) => {
            refused(address, format!("{error}; is it a RabbitMQ, and this the port of AMQP 0-9-1?"))
        }
        ErrorKind::IOError(io) => match certificate(io.as_ref()) {
            Some(text) => refused(
                address,
                format!(
                    "TLS: {text}; check `tls.ca`, the client's certificate and the host's name"
                ),
            ),
            None => lost(),
        },
        _ => lost(),
    }
}

fn refused(address: &Address, message: impl ToString) -> Failure {
    Failure::Refused(Fault::stop(address.to_string(), message))
}

/// What is to be done about a refusal; none: wait.
fn remedy(kind: &AMQPErrorKind, text: &str, address: &Address, is_new: bool) -> Option<String> {
    let (user, vhost) = (address.user(), address.vhost());
    match kind {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) if text.contains("refused using") => {
            Some(format!("check the name and the password of the user `{user}`"))
        }
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Some(format!(
            "grant it (rabbitmqctl set_permissions -p {vhost} {user} CONFIGURE WRITE READ), or let \
             somebody else declare it and say `declare: nothing`"
        )),
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Some(format!(
            "the vhost `{vhost}` must be there, and the user `{user}` have permissions in it; a \
             slash that belongs to its name is written as %2F in the address"
        )),
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) if is_new => {
            Some("declare it first, or let the job do it: `declare: all`".to_owned())
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) if is_new => Some(
            "it is there with other settings: say the same in the job, delete it on the broker, or \
             use another name"
                .to_owned(),
        ),
        AMQPErrorKind::Hard(AMQPHardError::COMMANDINVALID | AMQPHardError::NOTIMPLEMENTED)
            if is_new =>
        {
            Some("is a plugin missing that has this type of exchange or queue?".to_owned())
        }
        AMQPErrorKind::Soft(AMQPSoftError::CONTENTTOOLARGE) => {
            Some("the broker takes no message so large".to_owned())
        }
        _ => None,
    }
}

/// Tells whether something that was asked for is not there. A node that is still starting says so in
/// other words.
pub(super) fn is_not_found(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(refusal) = error.kind() else { return false };
    let text = refusal.get_message().as_str();
    matches!(refusal.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
        && !text.contains("is down")
        && !text.contains("inaccessible")
}

/// What TLS says of a certificate, if that is what failed.
fn certificate(io: &std::io::Error) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(io);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match error.downcast_ref::<rustls::Error>() {
            Some(
                error @ (rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)),
            ) => return Some(error.to_string()),
            Some(_) => return None,
            None => {}
        }
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
