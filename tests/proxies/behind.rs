//! Proxies between a gateway and its upstreams.

use std::time::Duration;

use wasabi::prelude::*;
use wasabi_tests::{authority::Authority, proxy::Proxy, serve};

/// A service whose kept-alive connections end after a few requests, and soon when there are none.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: run tests/run"]
async fn a_service_that_closes_kept_alive_connections_under_load_fails_no_request() {
    let nginx = Proxy::nginx(
        &Authority::new(),
        "server { listen 127.0.0.1:PORT; keepalive_requests 5; keepalive_timeout 1s;
            location / { return 200 done; } }",
    );
    let url = format!("http://{}/", nginx.addr);
    let gateway = gateway!(channel(
        "/",
        concurrency = 8,
        parser = JsonKey::at("/do"),
        match key {
            "put" => Http::put(url.clone()),
            "post" => Http::post(url).idempotent(),
            _ => NoRoute,
        },
    ));
    let server = serve(gateway).await;
    for action in ["put", "post"] {
        let mut client = server.connect("/").await;
        for round in 0..5 {
            for _ in 0..100 {
                client.send(format!(r#"{{"do":"{action}"}}"#)).await;
            }
            for _ in 0..100 {
                assert_eq!(client.text().await, "done", "{action}, round {round}");
            }
            // About as long as the service keeps what is idle.
            tokio::time::sleep(Duration::from_millis(950 + 25 * round)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: run tests/run"]
async fn pings_keep_idle_upstreams_connected_through_nginx_with_a_short_idle_timeout() {
    let echo = gateway!(channel("/", ping = 1h, async |text: Text| text));
    let upstream = serve(echo).await;
    let nginx = Proxy::nginx(
        &Authority::new(),
        &format!(
            "server {{ listen 127.0.0.1:PORT; location / {{
                proxy_pass http://{};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection \"upgrade\";
                proxy_read_timeout 1s;
            }} }}",
            upstream.addr
        ),
    );
    for (ping, stays) in [(None, false), (Some(Duration::from_millis(300)), true)] {
        let backend = WebSocket::connect(format!("ws://{}/", nginx.addr)).ping(ping);
        let server = serve(gateway!(channel("/", backend))).await;
        let mut client = server.connect("/").await;
        assert_eq!(client.ask("first").await, "first");
        tokio::time::sleep(Duration::from_millis(2500)).await;
        if stays {
            assert_eq!(client.ask("second").await, "second");
        } else {
            assert_eq!(client.closed().await.0, 1011);
        }
    }
}
