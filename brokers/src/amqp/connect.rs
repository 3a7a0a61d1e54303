//! One connection to a broker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dataflows::fault::Fault;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::{Connection, ConnectionProperties};

use super::address::Address;
use crate::tls::TlsConfig;

/// Which broker, and as whom.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Where it is.
    pub address: Address,
    /// What the connection is called in the broker's lists: `tapeflow JOB.ID`.
    pub name: String,
    /// So long the broker may be silent before it is taken for dead.
    pub heartbeat: Duration,
    tls: Arc<OwnedTLSConfig>,
}

impl Broker {
    /// Reads the files of TLS.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn new(
        address: Address,
        tls: &TlsConfig,
        root: &Path,
        heartbeat: Duration,
        name: String,
    ) -> Result<Self, Fault> {
        let pem = tls.read(root)?;
        let tls = OwnedTLSConfig {
            identity: pem.identity.map(|(pem, key)| OwnedIdentity::PKCS8 { pem, key }),
            cert_chain: pem.ca.map(|ca| String::from_utf8_lossy(&ca).into_owned()),
        };
        Ok(Self { address, name, heartbeat, tls: Arc::new(tls) })
    }

    /// Connects; to be called on [`crate::runtime`].
    pub(super) async fn connect(&self) -> lapin::Result<Connection> {
        let seconds = self.heartbeat.as_secs().clamp(1, u64::from(u16::MAX));
        let uri = self.address.uri(u16::try_from(seconds).unwrap_or(u16::MAX));
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let runtime = lapin::runtime::default_runtime()?;
        let tls = self.tls.as_ref().clone();
        Connection::connect_uri_with_config(uri, properties, tls, runtime).await
    }
}
