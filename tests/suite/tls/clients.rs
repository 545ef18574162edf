//! Certificates of clients.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use wasabi::{
    ClientAuth, PeerCertificates, ServerConfig,
    middleware::http::{Next, Request, Response},
};

use super::*;

/// Issues client certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
type Certified = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn certify(&self, name: &str) -> Certified {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (certificate.der().clone(), key)
    }
}

/// Returns what the server says to a client with this certificate; an error if the server refuses it.
async fn talk(
    server: &TestServer,
    trusted: &Identity,
    version: &'static SupportedProtocolVersion,
    certified: Option<&Certified>,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .expect("versions")
        .with_root_certificates(roots);
    let config = match certified {
        Some((certificate, key)) => {
            let chain = vec![certificate.clone()];
            config
                .with_client_auth_cert(chain, key.clone_key())
                .expect("a certificate")
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let stream = soon(connector.connect(name, server.tcp().await)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    // With TLS 1.3 a client learns of the refusal when it reads.
    let upgraded = soon(client_async("wss://localhost/", stream)).await;
    let mut socket = upgraded.map_err(|error| error.to_string())?.0;
    Ok(ask(&mut socket, "who").await)
}

/// Identifies clients by the bytes of their certificates.
#[derive(Clone)]
struct Client(&'static str);

#[wasabi::middleware(http)]
async fn known(alice: CertificateDer<'static>, mut request: Request, next: Next) -> Response {
    let shown = request.extensions().get::<PeerCertificates>();
    if shown.is_some_and(|certificates| certificates[0] == alice) {
        wasabi::prelude::Identity::new(Client("alice")).insert_into(request.extensions_mut());
    }
    next.run(request).await
}

async fn whoami(
    certificates: Option<PeerCertificates>,
    client: Option<wasabi::prelude::Identity<Client>>,
) -> String {
    let shown = certificates.map_or(0, |certificates| certificates.len());
    let name = client.map_or("nobody", |client| client.0);
    format!("{name} with {shown}")
}

async fn serve_to(auth: ClientAuth, identity: &Identity, alice: &Certified) -> TestServer {
    let tls = tls(identity).client_auth(auth).expect("TLS");
    let gateway = gateway!(channel("/", http = [known(alice.0.clone())], whoami));
    serve_with(gateway, |server| server.tls(tls)).await
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_get_in() {
    let (identity, authority) = (identity(), Authority::new());
    let (alice, bob) = (authority.certify("alice"), authority.certify("bob"));
    let mallory = Authority::new().certify("alice");
    let auth = ClientAuth::from_pem_bytes(authority.pem().as_bytes());
    let server = serve_to(auth, &identity, &alice).await;
    for version in [&TLS12, &TLS13] {
        let talk = async |certified| talk(&server, &identity, version, certified).await;
        assert_eq!(talk(Some(&alice)).await.as_deref(), Ok("alice with 1"));
        assert_eq!(talk(Some(&bob)).await.as_deref(), Ok("nobody with 1"));
        for refused in [None, Some(&mallory)] {
            assert!(talk(refused).await.is_err(), "{:?}", version.version);
        }
    }
}

#[tokio::test]
async fn an_invalid_certificate_is_refused_even_if_certificates_are_optional() {
    let (identity, authority) = (identity(), Authority::new());
    let alice = authority.certify("alice");
    let mallory = Authority::new().certify("alice");
    let auth = ClientAuth::from_pem_bytes(authority.pem().as_bytes()).optional();
    let server = serve_to(auth, &identity, &alice).await;
    let talk = async |certified| talk(&server, &identity, &TLS13, certified).await;
    assert_eq!(talk(Some(&alice)).await.as_deref(), Ok("alice with 1"));
    assert_eq!(talk(None).await.as_deref(), Ok("nobody with 0"));
    assert!(talk(Some(&mallory)).await.is_err());
}

#[tokio::test]
async fn the_authorities_are_read_again_with_the_certificate() {
    let (identity, old, new) = (identity(), Authority::new(), Authority::new());
    let (before, after) = (old.certify("alice"), new.certify("alice"));
    let folder = Folder::new("clients");
    let (certificate, key) = folder.write(&identity);
    let authorities = folder.0.join("authorities.pem");
    std::fs::write(&authorities, old.pem()).expect("write");
    let config = serde_json::json!({
        "listen": ["127.0.0.1:0"],
        "tls": {"certificate": certificate, "key": key, "client_authorities": authorities},
    });
    let config: ServerConfig = serde_json::from_value(config).expect("a configuration");
    let tls = config.tls.expect("TLS").load().expect("TLS");
    let gateway = gateway!(channel("/", whoami));
    let server = serve_with(gateway, |server| server.tls(tls.clone())).await;
    let talk = async |certified| talk(&server, &identity, &TLS13, Some(certified)).await;
    assert_eq!(talk(&before).await.as_deref(), Ok("nobody with 1"));
    assert!(talk(&after).await.is_err());

    std::fs::write(&authorities, "").expect("write");
    assert!(tls.reload().is_err());
    std::fs::write(&authorities, new.pem()).expect("write");
    tls.reload().expect("new authorities");
    assert!(talk(&before).await.is_err());
    assert_eq!(talk(&after).await.as_deref(), Ok("nobody with 1"));
}

#[test]
fn an_invalid_client_authority_is_a_clear_error() {
    let identity = identity();
    let error = |tls: Tls, auth| tls.client_auth(auth).expect_err("an error").to_string();
    let nothing = error(tls(&identity), ClientAuth::from_pem_bytes(b""));
    assert!(
        nothing.starts_with("no valid client authority: "),
        "{nothing}"
    );
    let missing = error(tls(&identity), ClientAuth::from_pem("no/such/file"));
    assert!(
        missing.starts_with("cannot read no/such/file: "),
        "{missing}"
    );
    let own = wasabi::rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key());
    let own = Tls::from_config(own.expect("a configuration"));
    let own = error(own, ClientAuth::from_pem_bytes(b""));
    assert!(own.contains("its own verifier"), "{own}");
}
