//! `wss`.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};
use wasabi::prelude::*;
use wasabi_tests::serve;

/// A TLS echo server with its own certificate; returns its port and the certificate.
async fn upstream(host: &str) -> (u16, CertificateDer<'static>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([host.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate with its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                continue;
            };
            tokio::spawn(async move {
                while let Some(Ok(message)) = socket.next().await {
                    if !message.is_close() && socket.send(message).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (port, cert.der().clone())
}

fn trusting(certificate: CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

const UNREACHABLE: &str = "upstream_unreachable: upstream cannot be reached";

#[tokio::test]
async fn wss_works_with_an_upstream_whose_certificate_is_trusted() {
    for host in ["localhost", "127.0.0.1"] {
        let (port, certificate) = upstream(host).await;
        let backend = WebSocket::connect(format!("wss://{host}:{port}/"));
        let backend = backend.tls_config(trusting(certificate));
        let server = serve(gateway!(channel("/", backend))).await;
        let mut client = server.connect("/").await;
        assert_eq!(client.ask("secret").await, "secret");
        let large = "x".repeat(30_000);
        for _ in 0..20 {
            assert_eq!(client.ask(&large).await, large);
        }
    }
}

#[tokio::test]
async fn an_upstream_whose_certificate_is_not_trusted_is_unreachable() {
    let (port, _) = upstream("localhost").await;
    let gateway = gateway!(channel(
        "/",
        WebSocket::connect(format!("wss://localhost:{port}/"))
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("secret").await, UNREACHABLE);
}

#[tokio::test]
async fn an_upstream_with_a_certificate_for_another_host_is_unreachable() {
    let (port, certificate) = upstream("elsewhere.test").await;
    let backend = WebSocket::connect(format!("wss://localhost:{port}/"));
    let backend = backend.tls_config(trusting(certificate));
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("secret").await, UNREACHABLE);
}
