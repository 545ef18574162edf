//! HTTPS, and the application's own client.

use super::*;

/// A TLS service for `localhost` with its own certificate; also returns the certificate.
async fn tls_upstream() -> (String, reqwest::Certificate) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate with its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Ok(mut socket) = acceptor.accept(socket).await {
                let _ = socket.read(&mut [0; 1024]).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
                let _ = socket.write_all(answer.as_bytes()).await;
                let _ = socket.shutdown().await;
            }
        }
    });
    let root = reqwest::Certificate::from_der(cert.der()).expect("a certificate");
    (format!("https://localhost:{port}/"), root)
}

#[tokio::test]
async fn https_works_with_services_whose_certificate_is_trusted() {
    let (url, root) = tls_upstream().await;
    let error = "upstream_unreachable: upstream cannot be reached";
    assert_eq!(answer(Http::post(&url), "x").await, error);
    let client = Http::client_builder().tls_certs_only([root]).build();
    let backend = Http::post(&url).client(client.expect("a client"));
    assert_eq!(answer(backend, "x").await, "secret");
}

#[tokio::test]
async fn the_http_client_of_the_application_is_used() {
    let url = upstream(Router::new().fallback(async |headers: HeaderMap| {
        headers["user-agent"]
            .to_str()
            .unwrap_or_default()
            .to_owned()
    }))
    .await;
    let client = Http::client_builder()
        .user_agent("mine/1")
        .build()
        .expect("a client");
    assert_eq!(answer(Http::post(url).client(client), "x").await, "mine/1");
}
