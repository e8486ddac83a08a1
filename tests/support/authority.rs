//! A certificate authority of the tests' own, and servers' certificates from it.

use std::{path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Signs for whatever names a test wants.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Each its own name, as authorities have.
        params.distinguished_name.push(DnType::CommonName, format!("{:02x?}", &key.public_key_raw()[..16]));
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// A server's configuration for these names, valid until 2096-02-03.
    pub fn server(&self, names: &[&str]) -> Arc<rustls::ServerConfig> {
        self.until(names, 2096, &[b"h2", b"http/1.1"])
    }

    /// A server that shows the authority's own certificate, as `openssl req -x509` makes them.
    pub fn itself(name: &str, year: i32) -> (Self, Arc<rustls::ServerConfig>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(year, 2, 3);
        let key = KeyPair::generate().unwrap();
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let config = server_config(issuer.der().clone(), der, &[b"http/1.1"]);
        (Self(issuer), config)
    }

    pub fn until(&self, names: &[&str], year: i32, protocols: &[&[u8]]) -> Arc<rustls::ServerConfig> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(year, 2, 3);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        server_config(certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap(), protocols)
    }

    /// Writes its PEM where a manifest's `ca` is looked up.
    pub fn write(&self, data: &Path, file: &str) {
        std::fs::create_dir_all(data.join("manifests")).unwrap();
        std::fs::write(data.join("manifests").join(file), self.0.pem()).unwrap();
    }
}

fn server_config(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>, protocols: &[&[u8]]) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}
