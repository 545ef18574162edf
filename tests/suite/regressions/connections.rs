//! Connections that did not end, too many connections, and TLS.

use std::sync::Arc;

use futures_util::SinkExt;
use rcgen::CertifiedKey;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{client_async, tungstenite::Message as WsMessage};
use wasabi::{
    CloseCode, Tls,
    prelude::*,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring::default_provider,
        pki_types::{PrivateKeyDer, ServerName},
    },
};
use wasabi_tests::{serve, serve_with, soon, until};

#[tokio::test]
async fn a_graceful_close_ends_although_the_client_keeps_sending() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        close_timeout = 200ms,
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/").await;
    client.ask("hello").await;
    registry.connections()[0].close(CloseCode::GOING_AWAY);
    soon(async {
        while client.socket.send(WsMessage::text("more")).await.is_ok() && !registry.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    until("the connection is gone", || registry.is_empty()).await;
}

/// On several threads, so that handshakes reach the same point at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_limit_of_n_admits_exactly_n_of_many_at_once() {
    for limit in [1, 10] {
        let registry = Registry::new();
        let server = serve(gateway!(channel(
            "/echo",
            max_connections = limit,
            registry = registry.clone(),
            async |message: Message| message,
        )))
        .await;
        for _round in 0..50 {
            let attempts = (0..limit + 50).map(|_| server.connect_with("/echo", &[]));
            let outcomes = futures_util::future::join_all(attempts).await;
            let admitted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            assert_eq!(admitted, limit);
            for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
                assert_eq!(refused.status(), 503);
                assert!(refused.headers().contains_key("retry-after"));
            }
            drop(outcomes);
            until("all have gone", || registry.is_empty()).await;
        }
    }
}

#[tokio::test]
async fn tls_with_a_custom_configuration_works() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let CertifiedKey { cert, signing_key } = made.expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a configuration");
    let gateway = gateway!(channel("/", async |text: Text| text));
    let server = serve_with(gateway, |server| server.tls(Tls::from_config(config))).await;

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let stream = soon(connector.connect(name, server.tcp().await)).await;
    let handshake = client_async("wss://localhost/", stream.expect("TLS"));
    assert!(soon(handshake).await.is_ok());
}
