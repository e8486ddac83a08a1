//! TLS: whom a connection trusts. One configuration a kind of trust, so that connections of different trust never meet.
//!
//! Must not decide which trust a worker gets; the grant does.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use wasmtime_wasi_http::Error;

use super::fault::Fault;

/// Whom to trust. Part of every pool key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// The machine's own authorities.
    System,
    /// Only the authorities of a PEM file, known by its bytes' SHA-256: a rewritten file is another trust.
    Only([u8; 32]),
    /// Anybody (`verify = false`).
    Anybody,
}

/// Configurations shared by all workers, each made when it is first needed.
#[derive(Default)]
pub(super) struct Shared {
    system: OnceCell<Arc<ClientConfig>>,
    anybody: OnceLock<Arc<ClientConfig>>,
}

impl Shared {
    /// Reads the machine's certificate store once; it takes tens of milliseconds.
    pub async fn system(&self) -> Result<Arc<ClientConfig>, Fault> {
        let load = async || {
            let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(loaded.map(|found| found.certs).unwrap_or_default());
            if roots.is_empty() {
                let sentence =
                    "this machine has no trusted certificates: install its ca-certificates, or name a PEM file in grants.http.ca";
                return Err(Fault::saying(Error::TlsCertificateError, sentence));
            }
            trusting(roots).map_err(|error| Fault::saying(Error::ConfigurationError, error))
        };
        self.system.get_or_try_init(load).await.cloned()
    }

    pub fn anybody(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.anybody.get() {
            return Ok(Arc::clone(config));
        }
        let provider = Arc::new(ring::default_provider());
        let config = builder(&provider)?.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider)));
        Ok(Arc::clone(self.anybody.get_or_init(|| finished(config.with_no_client_auth()))))
    }
}

/// The trust that a PEM file stands for.
pub(super) fn only(pem: &[u8]) -> Result<(Trust, Arc<ClientConfig>), String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("it is no PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("it has a certificate that can't be an authority: {error}"))?;
    }
    if roots.is_empty() {
        return Err("it has no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok((Trust::Only(Sha256::digest(pem).into()), trusting(roots)?))
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let config = builder(&Arc::new(ring::default_provider()))?.with_root_certificates(roots);
    Ok(finished(config.with_no_client_auth()))
}

fn builder(provider: &Arc<CryptoProvider>) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions().map_err(|error| error.to_string())
}

fn finished(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session shows the certificate of an earlier day: a check must see today's.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// When a certificate ends.
pub(super) fn expires(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

/// `verify = false`: any certificate will do, but the peer must still hold its key.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
