//! R41: foreign names that point to the gateway, and the host that proxies report.

use wasabi::prelude::*;
use wasabi_tests::{TestServer, raw, serve};

/// Returns the status of a handshake at this path with these header lines.
async fn status(server: &TestServer, path: &str, headers: &str) -> String {
    let handshake = raw::HANDSHAKE;
    let request = format!("GET {path} HTTP/1.1\r\n{headers}{handshake}\r\n");
    let status = raw::status(server, request.as_bytes()).await;
    status["HTTP/1.1 ".len()..].to_owned()
}

#[tokio::test]
async fn a_page_with_a_rebound_name_gets_421() {
    let server = serve(gateway!(
        channel("/all", async |text: Text| text),
        channel(
            "/some",
            hosts = ["api.example.com", "*.local.test:8443"],
            async |text: Text| text
        ),
    ))
    .await;
    let rebound = "host: evil.test\r\norigin: http://evil.test\r\n";
    assert_eq!(
        status(&server, "/all", rebound).await,
        "101",
        "nothing is said"
    );
    for (headers, expected) in [
        (rebound, "421"),
        ("host: evil.test\r\n", "421"),
        ("host: api.example.com.evil.test\r\n", "421"),
        ("host: api.example.com\r\n", "101"),
        ("host: API.example.com.:80\r\n", "101"),
        (
            "host: api.example.com\r\norigin: https://api.example.com\r\n",
            "101",
        ),
        (
            "host: api.example.com\r\norigin: http://evil.test\r\n",
            "403",
        ),
        ("host: a.local.test:8443\r\n", "101"),
        ("host: a.local.test:8444\r\n", "421"),
        ("host: api.example.com\r\nhost: evil.test\r\n", "421"),
        // No proxy is trusted.
        (
            "host: evil.test\r\nx-forwarded-host: api.example.com\r\n",
            "421",
        ),
    ] {
        assert_eq!(
            status(&server, "/some", headers).await,
            expected,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn the_hosts_of_a_gateway_are_those_of_everything_in_it() {
    let inner = gateway!(
        get("/name", || async { "inner" }),
        channel("/own", hosts = ["inner.test"], async |text: Text| text),
    );
    let server = serve(gateway!(
        hosts = vec!["a.test"],
        get("/name", || async { "outer" }),
        channel("/", async |text: Text| text),
        channel("/own", hosts = ["*"], async |text: Text| text),
        mount("/inner", inner),
        mount("/", axum::Router::new().fallback(async || "mounted")),
    ))
    .await;
    let get = async |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        server.raw(&request).await[9..12].to_owned()
    };
    for path in ["/name", "/inner/name", "/elsewhere"] {
        assert_eq!(get(path, "a.test").await, "200", "{path}");
        assert_eq!(get(path, "evil.test").await, "421", "{path}");
    }
    for (path, host, expected) in [
        ("/", "a.test", "101"),
        ("/", "evil.test", "421"),
        ("/own", "evil.test", "101"),
        ("/inner/own", "inner.test", "101"),
        ("/inner/own", "a.test", "421"),
    ] {
        let headers = format!("host: {host}\r\n");
        assert_eq!(
            status(&server, path, &headers).await,
            expected,
            "{path} {host}"
        );
    }
}

#[tokio::test]
async fn the_forwarded_host_of_a_trusted_proxy_counts() {
    let server = serve(gateway!(
        channel("/peer", hosts = ["a.test"], async |text: Text| text),
        channel(
            "/proxied",
            http = [ClientIp::trusting(["127.0.0.0/8"])],
            hosts = ["a.test"],
            async |text: Text| text
        ),
        channel(
            "/forwarded",
            http = [ClientIp::trusting(["127.0.0.0/8"]).forwarded()],
            async |text: Text| text
        ),
        channel(
            "/untrusted",
            http = [ClientIp::trusting(["10.0.0.0/8"])],
            async |text: Text| text
        ),
    ))
    .await;
    let rewritten = "host: 10.0.0.5:9000\r\norigin: https://a.test\r\nx-forwarded-host: a.test\r\n";
    assert_eq!(status(&server, "/proxied", rewritten).await, "101");
    assert_eq!(status(&server, "/untrusted", rewritten).await, "403");
    assert_eq!(status(&server, "/peer", rewritten).await, "421");
    for (scheme, expected) in [("https", "101"), ("http", "403")] {
        let headers = format!("{rewritten}x-forwarded-proto: {scheme}\r\n");
        assert_eq!(
            status(&server, "/proxied", &headers).await,
            expected,
            "{scheme}"
        );
    }
    let foreign = "host: a.test\r\nx-forwarded-host: evil.test\r\n";
    assert_eq!(status(&server, "/proxied", foreign).await, "421");
    for (forwarded, expected) in [
        ("for=1.2.3.4;host=a.test;proto=https", "101"),
        ("for=1.2.3.4;host=a.test;proto=http", "403"),
        ("for=1.2.3.4;host=b.test;proto=https", "403"),
        ("for=6.6.6.6;host=a.test, for=1.2.3.4", "403"),
    ] {
        let headers =
            format!("host: 10.0.0.5\r\norigin: https://a.test\r\nforwarded: {forwarded}\r\n");
        assert_eq!(
            status(&server, "/forwarded", &headers).await,
            expected,
            "{forwarded}"
        );
    }
}

#[tokio::test]
async fn pages_of_files_of_apps_and_of_a_local_port_can_be_let_in() {
    let server = serve(gateway!(channel(
        "/",
        origins = [
            "file://",
            "null",
            "http://localhost:*",
            "chrome-extension://*"
        ],
        async |text: Text| text
    )))
    .await;
    for (origin, expected) in [
        ("file://", "101"),
        ("null", "101"),
        ("http://localhost:5173", "101"),
        ("chrome-extension://abcdefghijklmnop", "101"),
        ("https://localhost:5173", "403"),
        ("moz-extension://abcdefghijklmnop", "403"),
        ("http://localhost.evil.test:5173", "403"),
    ] {
        let headers = format!("host: a.test\r\norigin: {origin}\r\n");
        assert_eq!(status(&server, "/", &headers).await, expected, "{origin}");
    }
}

#[test]
fn the_mistake_of_an_invalid_host_or_origin_says_what_to_write() {
    let mistakes = |gateway: Gateway| gateway.check().expect_err("a mistake")[0].to_string();
    let value = std::hint::black_box;
    let hosts = value(vec!["https://a.test"]);
    let told = mistakes(gateway!(hosts = hosts, get("/", || async { "" })));
    assert!(told.ends_with("is not a host; write `a.test`"), "{told}");
    let none = value(Vec::<&str>::new());
    let told = mistakes(gateway!(channel("/", hosts = none, async |text: Text| {
        text
    })));
    assert!(
        told.contains("`hosts` is empty, so no request would be answered"),
        "{told}"
    );
    let origins = value(vec!["localhost:*"]);
    let told = mistakes(gateway!(channel(
        "/",
        origins = origins,
        async |text: Text| text
    )));
    assert!(told.contains("write `http://localhost:*`"), "{told}");
}
