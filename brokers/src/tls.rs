//! TLS of a connection to a broker: which authorities are trusted, and who we are.

use std::path::{Path, PathBuf};

use dataflows::fault::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS: whom to trust, and a certificate of one's own. All files are PEM, relative to the folder
/// that `tapeflow` was called in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificates of authorities that are trusted beside the public ones.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The client's certificate, with those between it and its authority.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// The key of that certificate, PKCS #8 without a password.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// What stands in those files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pem {
    /// Authorities.
    pub ca: Option<Vec<u8>>,
    /// Certificate and key of the client.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pem").finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// Finds what a schema cannot say: a certificate without its key, or the other way round.
    pub fn problems(&self) -> Vec<(String, String)> {
        let lone = |name: &str, other: &str| {
            vec![(format!("tls.{name}"), format!("`{name}` needs `{other}` beside it"))]
        };
        match (&self.certificate, &self.key) {
            (Some(_), None) => lone("certificate", "key"),
            (None, Some(_)) => lone("key", "certificate"),
            _ => Vec::new(),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read or is no PEM.
    pub fn read(&self, root: &Path) -> Result<Pem, Fault> {
        let file = |path: &PathBuf| {
            let path = root.join(path);
            let bytes = std::fs::read(&path).map_err(|error| Fault::file(&path, error))?;
            let is_pem = bytes.windows(10).any(|text| text == b"-----BEGIN");
            if is_pem {
                Ok(bytes)
            } else {
                Err(Fault::file(&path, "is no PEM file; expected `-----BEGIN …-----`"))
            }
        };
        let ca = self.ca.as_ref().map(file).transpose()?;
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((file(certificate)?, file(key)?)),
            _ => None,
        };
        Ok(Pem { ca, identity })
    }
}

#[cfg(test)]
mod tests {
    use super::TlsConfig;

    #[test]
    fn a_file_that_is_missing_or_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let config = TlsConfig { ca: Some("ca.pem".into()), ..TlsConfig::default() };
        let error = config.read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("ca.pem"), "{error}");
        std::fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
        let error = config.read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no PEM"), "{error}");
        std::fs::write(folder.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----").unwrap();
        assert!(config.read(folder.path()).unwrap().ca.is_some());
    }

    #[test]
    fn a_certificate_without_its_key_is_a_mistake() {
        let config = TlsConfig { certificate: Some("c".into()), ..TlsConfig::default() };
        assert_eq!(config.problems().len(), 1);
        assert_eq!(TlsConfig::default().problems(), Vec::new());
    }
}
