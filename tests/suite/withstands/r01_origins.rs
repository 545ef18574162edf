//! R1: a web page of another origin is refused before the upgrade, unless it is allowed. See also
//! `regressions/clients.rs`.

use wasabi::prelude::*;
use wasabi_tests::{raw, serve};

#[tokio::test]
async fn an_allowed_origin_gets_in() {
    let server = serve(gateway!(channel(
        "/echo",
        origins = ["https://*.example.com"],
        async |message: Message| message,
    )))
    .await;
    let app = [("origin", "https://app.example.com")];
    assert!(server.connect_with("/echo", &app).await.is_ok());
    let evil = [("origin", "https://example.com.evil.com")];
    assert!(server.connect_with("/echo", &evil).await.is_err());
}

#[tokio::test]
async fn every_origin_gets_in_only_by_explicit_choice() {
    let server = serve(gateway!(
        channel("/", async |message: Message| message),
        channel("/public", origins = ["*"], async |message: Message| message),
    ))
    .await;
    let request = |path: &str, origins: &str| {
        let handshake = raw::HANDSHAKE;
        format!("GET {path} HTTP/1.1\r\nhost: test\r\n{origins}{handshake}\r\n")
    };
    for origins in [
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "origin: http://test\r\norigin: https://evil.example\r\n",
        "origin: http://test.evil.example\r\n",
        "origin: http://test@evil.example\r\n",
        "origin: http://test:8080\r\n",
        "origin: http://test:99999\r\n",
        "origin: http://evil.example@test\r\n",
        "origin: http://evil.example@test:80\r\n",
        "origin: http://test/evil.example\r\n",
        "origin: http://test?evil.example\r\n",
        "origin: http://test, https://evil.example\r\n",
        "origin: http://test http://test\r\n",
        "origin: http://test.\r\n",
        // An app's own pages, which do not come from a host.
        "origin: capacitor://test\r\n",
        "origin: //test\r\n",
        "origin: test\r\n",
        "origin:\r\n",
        "origin: \u{e9}\r\n",
    ] {
        let status = raw::status(&server, request("/", origins).as_bytes()).await;
        assert_eq!(status, "HTTP/1.1 403", "{origins:?}");
        let status = raw::status(&server, request("/public", origins).as_bytes()).await;
        assert_eq!(status, "HTTP/1.1 101", "{origins:?}");
    }
}
