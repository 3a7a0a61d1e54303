//! TLS of a connection: whom to trust, and what to show.

use std::path::Path;
use std::sync::Arc;

use dataflows::fault::Fault;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::mqtt::config::Tls;

/// Makes the configuration of an encrypted connection.
///
/// # Errors
/// Names the file that cannot be read, or has nothing of use.
pub(super) fn configure(tls: &Tls, root: &Path) -> Result<Arc<ClientConfig>, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::defect("TLS", error))?;
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &tls.ca {
        let path = root.join(ca);
        for certificate in certificates(&path)? {
            roots.add(certificate).map_err(|error| Fault::file(&path, error))?;
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let message = "the system trusts no authority; name a file of certificates as `tls.ca`";
            return Err(Fault::stop("TLS", message));
        }
    }
    let builder = builder.with_root_certificates(roots);
    let config = match tls.certificate.as_ref().zip(tls.key.as_ref()) {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let (certificate, key) = (root.join(certificate), root.join(key));
            let chain = certificates(&certificate)?;
            let key_der = PrivateKeyDer::from_pem_file(&key).map_err(|error| {
                Fault::file(&key, format!("no private key in PEM can be read: {error}"))
            })?;
            let built = builder.with_client_auth_cert(chain, key_der);
            built.map_err(|error| Fault::file(&certificate, error))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let unread = |error| Fault::file(path, format!("no certificate can be read: {error}"));
    let read = CertificateDer::pem_file_iter(path).map_err(unread)?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(unread)?;
    if certificates.is_empty() {
        return Err(Fault::file(path, "has no certificate; expected PEM"));
    }
    Ok(certificates)
}
