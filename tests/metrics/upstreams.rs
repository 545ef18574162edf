//! What is behind the gateway, and what is around it.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use wasabi::{prelude::*, queue::Memory};
use wasabi_tests::{http_service, soon, websocket_upstream::Upstream};

use super::admin::{Measured, no_change};

#[tokio::test]
async fn websocket_upstreams_are_counted_with_their_dials_and_redials() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let mut upstream = Upstream::start().await;
    let policy = Backoff::constant(Duration::from_millis(10));
    let gateway = gateway!(channel(
        "/",
        WebSocket::connect(upstream.url("/?token=secret"))
            .reconnect(policy)
            .max_dial_pause(Duration::from_millis(1)),
    ));
    let it = Measured::serve(&recorder, gateway, no_change).await;
    let of = |metric: &str, more: &str| {
        let (ip, port) = (upstream.addr.ip(), upstream.addr.port());
        format!(r#"{metric}{{server_address="{ip}",server_port="{port}"{more}}}"#)
    };
    let open = of("wasabi_upstream_connections", "");
    let good = of("wasabi_upstream_dials_total", r#",outcome="ok""#);
    let redials = of("wasabi_upstream_redials_total", "");
    let failed = of(
        "wasabi_upstream_dials_total",
        r#",outcome="upstream_unreachable""#,
    );
    let mut client = it.server.connect("/").await;
    client.send("hello").await;
    let peer = upstream.accept().await;
    it.shows(&open, 1.0).await;
    it.shows(&good, 1.0).await;
    peer.crash();
    let peer = upstream.accept().await;
    it.shows(&good, 2.0).await;
    it.shows(&redials, 1.0).await;
    it.shows(&open, 1.0).await;
    upstream.stop().await;
    peer.crash();
    it.shows(&open, 0.0).await;
    let mut seen = None;
    for _ in 0..400 {
        seen = it.value(&failed).await;
        if seen.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(seen.is_some(), "{}", it.scrape().await);
    assert!(!it.scrape().await.contains("secret"));
}

#[tokio::test]
async fn circuit_breakers_are_shown_by_route_behind_other_middleware_too() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let gone = http_service(axum::Router::new().route(
        "/",
        axum::routing::post(async || axum::http::StatusCode::BAD_GATEWAY),
    ))
    .await;
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do"),
        middleware = [Timeout::new(5s)],
        match key {
            "buy" => with(
                [
                    Timeout::new(4s),
                    CircuitBreaker::new(1, 200ms),
                    Timeout::new(3s),
                ],
                Http::post(&gone),
            ),
            _ => async || "ok",
        },
    ));
    let it = Measured::serve(&recorder, gateway, no_change).await;
    let mut client = it.server.connect("/").await;
    let state = r#"wasabi_circuit_breaker_state{route="buy"}"#;
    client.ask(r#"{"do":"buy"}"#).await;
    it.shows(state, 2.0).await;
    it.shows(r#"wasabi_circuit_breaker_opened_total{route="buy"}"#, 1.0)
        .await;
    it.shows(state, 1.0).await;
}

#[tokio::test]
async fn a_circuit_breaker_that_channels_share_is_shown() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let gateway = gateway!(
        parser = JsonKey::at("/do"),
        middleware = [CircuitBreaker::new(1, 1h)],
        channel(
            "/",
            match key {
                "buy" => async || Err::<(), _>(wasabi::Error::UpstreamUnreachable("down".into())),
                _ => async || "ok",
            }
        ),
        channel("/other", async || "ok"),
    );
    let it = Measured::serve(&recorder, gateway, no_change).await;
    it.server.connect("/").await.ask(r#"{"do":"buy"}"#).await;
    it.shows(r#"wasabi_circuit_breaker_state{route="buy"}"#, 2.0)
        .await;
}

#[tokio::test]
async fn queues_are_shown_with_what_is_pending_and_what_was_dropped() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let broker = Memory::new();
    let mut worker = broker.worker("orders");
    let queue = Queue::new(broker.clone(), "orders");
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do"),
        match key {
            "a" => queue.clone(),
            _ => queue.clone().timeout(5s),
        },
    ));
    let it = Measured::serve(&recorder, gateway, no_change).await;
    let of = |metric: &str| format!(r#"{metric}{{messaging_destination_name="orders"}}"#);
    it.shows(&of("wasabi_queue_connected"), 0.0).await;
    let mut client = it.server.connect("/").await;
    it.shows(&of("wasabi_queue_connected"), 1.0).await;
    client.send(r#"{"do":"a"}"#).await;
    client.send(r#"{"do":"b"}"#).await;
    it.shows(&of("wasabi_queue_pending_requests"), 2.0).await;
    for _ in 0..2 {
        let job = soon(worker.next()).await;
        job.reply("done");
        job.reply("again");
    }
    client.text().await;
    client.text().await;
    it.shows(&of("wasabi_queue_pending_requests"), 0.0).await;
    let dropped = r#"wasabi_queue_dropped_replies_total{messaging_destination_name="orders",error_type="unmatched"}"#;
    it.shows(dropped, 2.0).await;
}
