//! TLS as the client crate wants it.

use std::path::Path;
use std::sync::Arc;

use dataflows::fault::Fault;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::tls::TlsConfig;

/// Makes the configuration of an encrypted connection. Trusted are the authorities of the system,
/// and those of `tls.ca`.
///
/// # Errors
/// Names the file that cannot be read, or has nothing of use.
pub(super) fn configure(
    tls: &TlsConfig,
    place: &str,
    root: &Path,
) -> Result<Arc<ClientConfig>, Fault> {
    let pem = tls.read(root)?;
    let wrong = |key: &str| {
        let path = format!("{place}.tls.{key}");
        move |error: &dyn std::fmt::Display| Fault::stop(path, format!("cannot be used: {error}"))
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::defect("TLS", error))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(ca) = &pem.ca {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca).collect();
        for certificate in read.map_err(|error| wrong("ca")(&error))? {
            roots.add(certificate).map_err(|error| wrong("ca")(&error))?;
        }
    }
    if roots.is_empty() {
        return Err(wrong("ca")(&"no authority is trusted; name a file with certificates"));
    }
    let builder = builder.with_root_certificates(roots);
    let config = match &pem.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
            let chain = chain.map_err(|error| wrong("certificate")(&error))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong("key")(&error))?;
            let built = builder.with_client_auth_cert(chain, key);
            built.map_err(|error| wrong("certificate")(&error))?
        }
    };
    Ok(Arc::new(config))
}
