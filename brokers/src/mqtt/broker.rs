//! Where a broker is: `mqtt://user:password@host:1883`, parsed, and shown without the password.

use std::fmt;

/// What carries MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `mqtt://`.
    Tcp,
    /// `mqtts://`.
    Tls,
    /// `ws://`.
    WebSocket,
    /// `wss://`.
    SecureWebSocket,
}

impl Transport {
    const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket];

    const fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Tcp => 1_883,
            Self::Tls => 8_883,
            Self::WebSocket => 80,
            Self::SecureWebSocket => 443,
        }
    }

    /// Tells whether it is encrypted.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    /// Tells whether it is a WebSocket.
    pub const fn is_web(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }
}

/// A broker's address, and who calls.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    /// What carries MQTT.
    pub transport: Transport,
    /// The name or the address; one of version 6 in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path of a WebSocket.
    pub path: String,
    /// User and password.
    pub login: Option<(String, String)>,
}

const EXPECTED: &str =
    "expected mqtt://host:1883, mqtts://host:8883, ws://host:80/mqtt or wss://host:443/mqtt";

impl Broker {
    /// Understands a URL.
    ///
    /// # Errors
    /// Says what is wrong with it, without the URL: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refused("no scheme"))?;
        let transport = Transport::ALL.into_iter().find(|transport| transport.scheme() == scheme);
        let transport = transport.ok_or_else(|| refused(&format!("`{scheme}` is no scheme")))?;
        let (authority, path) =
            rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
        let (login, address) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((login, address)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let decoded = decode(user).zip(decode(password));
                (Some(decoded.ok_or_else(|| refused("a `%` without two digits"))?), address)
            }
        };
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (host, port.ok_or_else(|| refused("the port is none"))?)
            }
            _ => (address, transport.port()),
        };
        let is_bare = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || "?#@/".contains(c);
        if host.is_empty() || is_bare || host.contains(is_odd) {
            return Err(refused("no host"));
        }
        if !transport.is_web() && !path.is_empty() {
            return Err(refused("only a WebSocket has a path"));
        }
        if path.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(refused("the path has a character that must be percent-encoded"));
        }
        let path = if transport.is_web() && path.is_empty() { "mqtt" } else { path };
        let (host, path) = (host.to_owned(), path.to_owned());
        Ok(Self { transport, host, port, path, login })
    }
}

fn refused(why: &str) -> String {
    format!("not the URL of an MQTT broker ({why}); {EXPECTED}")
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, host, port, path, .. } = self;
        write!(formatter, "{}://{host}:{port}", transport.scheme())?;
        if transport.is_web() { write!(formatter, "/{path}") } else { Ok(()) }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Broker, Transport};

    #[test]
    fn a_url_is_understood_and_shown_without_its_password() {
        for (url, shown, login) in [
            ("mqtt://localhost", "mqtt://localhost:1883", None),
            ("mqtts://b.example:1", "mqtts://b.example:1", None),
            ("ws://u:p%40%2fss@h", "ws://h:80/mqtt", Some(("u", "p@/ss"))),
            ("wss://token@h:9001/a/b", "wss://h:9001/a/b", Some(("token", ""))),
            ("mqtt://[::1]", "mqtt://[::1]:1883", None),
            ("mqtt://[::1]:99", "mqtt://[::1]:99", None),
        ] {
            let broker = Broker::parse(url).unwrap();
            assert_eq!((broker.to_string(), format!("{broker:?}")), (shown.into(), shown.into()));
            let found = broker.login.as_ref().map(|(user, pass)| (user.as_str(), pass.as_str()));
            assert_eq!(found, login, "{url}");
        }
        assert!(Transport::SecureWebSocket.is_secure());
    }

    #[test]
    fn what_is_no_broker_is_refused_without_a_word_of_the_password() {
        for url in [
            "",
            "localhost:1883",
            "amqp://u:secret@h",
            "mqtt://u:secret@",
            "mqtt://u:secret@h:0",
            "mqtt://u:secret@h:x",
            "mqtt://u:secret@h/path",
            "mqtt://::1",
            "mqtt://u:secret%4@h",
            "ws://u:secret@h/a b",
        ] {
            let error = Broker::parse(url).unwrap_err();
            assert!(!error.contains("secret") && error.contains("expected mqtt://"), "{error}");
        }
    }
}
