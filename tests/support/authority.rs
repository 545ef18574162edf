//! A certificate authority, for servers on the loopback interface and their clients.

use std::{fs, path::Path, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use wasabi::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// A certificate authority that nothing else trusts.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Creates a new authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn certify(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        // OpenSSL treats a certificate named like its issuer as self-signed.
        params.distinguished_name = named(name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0);
        (certificate.expect("a certificate"), key)
    }

    /// Writes the files of a server at 127.0.0.1: `ca.pem`, `cert.pem` and `key.pem`.
    pub fn write_server(&self, dir: &Path) {
        let (certificate, key) = self.certify("127.0.0.1");
        for (name, pem) in [
            ("ca.pem", self.0.pem()),
            ("cert.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            fs::write(dir.join(name), pem).expect("a file");
        }
    }

    /// A client configuration that trusts this authority, with a certificate from it.
    pub fn client(&self) -> ClientConfig {
        let (certificate, key) = self.certify("gateway");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let certificate = CertificateDer::from(certificate);
        let roots = self.roots();
        let client = builder().with_root_certificates(roots);
        let client = client.with_client_auth_cert(vec![certificate], key);
        client.expect("a certificate and its key")
    }

    /// A client configuration that trusts this authority, without a certificate.
    pub fn anonymous_client(&self) -> ClientConfig {
        let client = builder().with_root_certificates(self.roots());
        client.with_no_client_auth()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        roots
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn builder() -> wasabi::rustls::ConfigBuilder<ClientConfig, wasabi::rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
}
