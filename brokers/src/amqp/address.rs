//! Where a broker is: `amqp://user:password@host:port/vhost`.
//!
//! Read by hand: a general reader of URLs takes an IPv6 address for no address and connects to the
//! local machine instead, and tells a missing vhost from an empty one by a slash.

use std::fmt;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};

/// The address of a broker. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(AMQPUri);

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        let (user, port) = (&authority.userinfo.username, authority.port);
        let bracket = authority.host.contains(':');
        let (open, close) = if bracket { ("[", "]") } else { ("", "") };
        write!(formatter, "{scheme}://{user}@{open}{}{close}:{port}", authority.host)?;
        write!(formatter, ", vhost `{vhost}`")
    }
}

impl Address {
    /// Reads it.
    ///
    /// # Errors
    /// Says what was expected; never quotes what may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("amqp", rest)) => (AMQPScheme::AMQP, rest),
            Some(("amqps", rest)) => (AMQPScheme::AMQPS, rest),
            _ => return Err(EXPECTED.to_owned()),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let (user, place) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
        let (username, password) = user.split_once(':').unwrap_or((user, ""));
        let (host, port) = host_and_port(place)?;
        let port = port.unwrap_or_else(|| scheme.default_port());
        let userinfo = AMQPUserInfo {
            username: decoded(username, "the user's name")?,
            password: decoded(password, "the password")?,
        };
        let vhost = vhost(path)?;
        let query = parameters(query)?;
        let authority = AMQPAuthority { userinfo, host, port };
        Ok(Self(AMQPUri { scheme, authority, vhost, query }))
    }

    /// The vhost.
    pub fn vhost(&self) -> &str {
        &self.0.vhost
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.0.authority.userinfo.username
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme == AMQPScheme::AMQPS
    }

    /// What lapin reads; with a heartbeat, unless the address has one.
    pub(super) fn uri(&self, heartbeat_seconds: u16) -> AMQPUri {
        let mut uri = self.0.clone();
        uri.query.heartbeat.get_or_insert(heartbeat_seconds);
        uri
    }
}

const EXPECTED: &str = "expected amqp://user:password@host:port/vhost, or amqps:// for TLS, with \
                        `@`, `:`, `/` and `%` in a name or password percent-encoded";

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(EXPECTED)?;
            (host, rest.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err(format!("there is no host; {EXPECTED}"));
    }
    let port = port.map(str::parse).transpose().map_err(|_| format!("bad port; {EXPECTED}"))?;
    Ok((decoded(host, "the host")?, port))
}

fn vhost(path: Option<&str>) -> Result<String, String> {
    match path {
        None => Ok("/".to_owned()),
        Some("") => Err("the vhost is empty; leave the last slash out for the vhost `/`, or \
                         write it as %2F"
            .to_owned()),
        Some(path) if path.contains('/') => {
            Err("the vhost has a slash; write a slash that belongs to its name as %2F".to_owned())
        }
        Some(path) => decoded(path, "the vhost"),
    }
}

fn parameters(query: &str) -> Result<AMQPQueryString, String> {
    let mut found = AMQPQueryString::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let number = |_| format!("`{name}` in the address is no number that it could be");
        match name {
            "heartbeat" => found.heartbeat = Some(value.parse().map_err(number)?),
            "frame_max" => found.frame_max = Some(value.parse().map_err(number)?),
            "channel_max" => found.channel_max = Some(value.parse().map_err(number)?),
            _ => {
                return Err(format!(
                    "`{name}` in the address is not read; expected heartbeat, frame_max or \
                     channel_max, and settings of TLS under `tls`"
                ));
            }
        }
    }
    Ok(found)
}

/// Replaces `%2F` and the like.
fn decoded(text: &str, what: &str) -> Result<String, String> {
    let wrong = || format!("{what} is not percent-encoded UTF-8; write a plain `%` as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
        bytes.push((high << 4 | low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn shown(text: &str) -> String {
        Address::parse(text).unwrap().to_string()
    }

    #[test]
    fn an_address_is_read_and_shown_without_its_password() {
        for (text, expected) in [
            ("amqp://localhost", "amqp://guest@localhost:5672, vhost `/`"),
            ("amqps://u:p@mq", "amqps://u@mq:5671, vhost `/`"),
            ("amqp://u:p%40%3A@mq:5673/%2ftrading", "amqp://u@mq:5673, vhost `/trading`"),
            ("amqp://u:p@w@[::1]:5673/social?heartbeat=7", "amqp://u@[::1]:5673, vhost `social`"),
        ] {
            assert_eq!(shown(text), expected);
            assert!(!format!("{:?}", Address::parse(text)).contains("p@"));
        }
        let address = Address::parse("amqp://u:p%40%3A@mq/x?heartbeat=7").unwrap();
        let uri = address.uri(10);
        assert_eq!(uri.authority.userinfo.password, "p@:");
        assert_eq!((uri.query.heartbeat, uri.vhost.as_str()), (Some(7), "x"));
    }

    #[test]
    fn what_is_no_address_is_refused_without_a_word_of_the_password() {
        for text in [
            "http://u:secret@mq",
            "amqp:u:secret@mq",
            "amqp://u:secret@/v",
            "amqp://u:secret@mq:port/v",
            "amqp://u:secret@mq/",
            "amqp://u:secret@mq//trading",
            "amqp://u:secret%zz@mq",
            "amqp://u:secret%ff@mq",
            "amqp://u:secret@[::1/v",
            "amqp://u:secret@mq/v?cacertfile=x",
            "amqp://u:secret@mq/v?heartbeat=99999999",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
