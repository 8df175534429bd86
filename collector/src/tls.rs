//! What the collector shows of itself over TLS, and asks of its clients.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Files in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// Authorities of the clients, which must then show a certificate.
    pub client_authority: Option<PathBuf>,
}

/// TLS cannot be spoken with a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("TLS: {file}: {reason}")]
pub struct TlsError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Who is asked for a certificate.
#[derive(Debug)]
pub(crate) enum Clients {
    /// Nobody.
    Any,
    /// Who has none of these authorities is refused.
    MustShow(RootCertStore),
    /// Who shows one shows one of these authorities.
    MayShow(RootCertStore),
}

/// A certificate, those between it and its authority, and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Where they come from, for who is told that something is wrong with them.
    name: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
    private_key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Out of PEM, which comes from somewhere of this name.
    pub(crate) fn parse(name: &str, certificate: &str, private_key: &str) -> Result<Self, TlsError> {
        let name = PathBuf::from(name);
        let certificates =
            CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_slice(private_key.as_bytes());
        Ok(Self {
            certificates: certificates.map_err(|error| unusable(&name, &error))?,
            private_key: key.map_err(|error| unusable(&name, &error))?,
            name,
        })
    }

    /// TLS 1.2 and 1.3, for clients that choose one of these protocols (RFC 7301).
    pub(crate) fn server_config(
        self,
        clients: Clients,
        protocols: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let failed = |error: &dyn Display| unusable(&self.name, error);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?;
        let verifier = |roots| WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match clients {
            Clients::Any => builder.with_no_client_auth(),
            Clients::MustShow(roots) => {
                let verifier = verifier(roots).build().map_err(|error| failed(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
            Clients::MayShow(roots) => {
                let verifier = verifier(roots).allow_unauthenticated().build();
                builder.with_client_cert_verifier(verifier.map_err(|error| failed(&error))?)
            }
        };
        let mut config = builder
            .with_single_cert(self.certificates, self.private_key)
            .map_err(|error| unusable(&self.name, &error))?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// TLS 1.2 and 1.3. With an authority for clients, who has none of its
/// certificates is refused.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let clients = match &files.client_authority {
        None => Clients::Any,
        Some(file) => Clients::MustShow(authorities(file)?),
    };
    server_config(files, clients, &[]).map(TlsAcceptor::from)
}

/// The certificate of these files, shown to such clients.
pub(crate) fn server_config(
    files: &TlsFiles,
    clients: Clients,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let key = PrivateKeyDer::from_pem_file(&files.private_key)
        .map_err(|error| unusable(&files.private_key, &error))?;
    let identity = Identity {
        name: files.certificate.clone(),
        certificates: certificates(&files.certificate)?,
        private_key: key,
    };
    identity.server_config(clients, protocols)
}

fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| unusable(file, &error))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| unusable(file, &error))?;
    if certificates.is_empty() {
        return Err(unusable(file, &"no certificate in it"));
    }
    Ok(certificates)
}

fn unusable(file: &Path, reason: &dyn Display) -> TlsError {
    TlsError {
        file: file.to_owned(),
        reason: reason.to_string(),
    }
}
