//! Connections, messages, queues, sockets and drains.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use wasabi::{Close, prelude::*};
use wasabi_tests::serve_with;

use super::admin::{Measured, no_change};

#[tokio::test]
async fn connections_are_counted_by_channel_while_they_are_open_and_by_code_when_they_end() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let inner = gateway!(channel("/{room}", async |text: Text| text));
    let gateway = gateway!(
        channel("/", async |text: Text, connection: Connection| {
            connection.close(Close::new(wasabi::CloseCode::new::<4321>(), "bye"));
            text
        }),
        mount("/rooms", inner),
    );
    let it = Measured::serve(&recorder, gateway, no_change).await;
    let active = r#"wasabi_active_connections{channel="/rooms/{room}"}"#;
    it.shows(active, 0.0).await;
    let (first, second) = (
        it.server.connect("/rooms/1").await,
        it.server.connect("/rooms/2").await,
    );
    it.shows(active, 2.0).await;
    it.shows(r#"wasabi_active_connections{channel="/"}"#, 0.0)
        .await;
    let ended = |code: &str| {
        format!(r#"wasabi_closed_connections_total{{channel="/rooms/{{room}}",code="{code}"}}"#)
    };
    first.close(1000, "").await;
    it.shows(&ended("1000"), 1.0).await;
    it.shows(active, 1.0).await;
    drop(second);
    it.shows(&ended("1006"), 1.0).await;
    it.shows(active, 0.0).await;
    it.shows(
        r#"wasabi_opened_connections_total{channel="/rooms/{room}"}"#,
        2.0,
    )
    .await;
    it.shows(
        r#"wasabi_connection_duration_seconds_count{channel="/rooms/{room}"}"#,
        2.0,
    )
    .await;
    // As many codes as clients like are one.
    let mut client = it.server.connect("/").await;
    client.ask("x").await;
    assert_eq!(client.closed().await.0, 4321);
    it.shows(
        r#"wasabi_closed_connections_total{channel="/",code="4xxx"}"#,
        1.0,
    )
    .await;
}

#[tokio::test]
async fn refused_handshakes_are_counted_by_reason_or_status() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let auth = BasicAuth::users([("a", "b")]);
    let gateway = gateway!(
        channel(
            "/",
            hosts = ["127.0.0.1", "*.example.com"],
            max_connections = 1,
            max_header_size = 1KiB,
            async |text: Text| text
        ),
        channel("/secret", http = [auth], async |text: Text| text),
    );
    let it = Measured::serve(&recorder, gateway, no_change).await;
    let refused = |channel: &str, why: &str| {
        format!(r#"wasabi_rejected_connections_total{{channel="{channel}",error_type="{why}"}}"#)
    };
    assert_eq!(it.server.get("/secret").await, 401);
    it.shows(&refused("/secret", "401"), 1.0).await;
    let request = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    it.server.raw(request).await;
    it.shows(&refused("/", "handshake"), 1.0).await;
    assert_eq!(it.server.get("/").await, 421);
    it.shows(&refused("/", "host"), 1.0).await;
    let foreign = [("origin", "https://evil.example")];
    assert!(it.server.connect_with("/", &foreign).await.is_err());
    it.shows(&refused("/", "origin"), 1.0).await;
    let large = "x".repeat(2000);
    assert!(
        it.server
            .connect_with("/", &[("x-large", &large)])
            .await
            .is_err()
    );
    it.shows(&refused("/", "header_size"), 1.0).await;
    let _only = it.server.connect("/").await;
    assert!(it.server.connect_with("/", &[]).await.is_err());
    it.shows(&refused("/", "full"), 1.0).await;
    it.shows(r#"wasabi_opened_connections_total{channel="/"}"#, 1.0)
        .await;
}

#[tokio::test]
async fn messages_and_bytes_are_counted_each_way_while_the_connection_is_open_and_after_it() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let twice = async |text: Text| vec![text.to_string(), text.to_string()];
    let it = Measured::serve(&recorder, gateway!(channel("/", twice)), no_change).await;
    let of = |metric: &str, direction: &str| {
        format!(r#"{metric}{{channel="/",network_io_direction="{direction}"}}"#)
    };
    let [messages, bytes] = ["wasabi_messages_total", "wasabi_io_bytes_total"];
    let mut client = it.server.connect("/").await;
    for _ in 0..3 {
        client.ask("hello").await;
        client.text().await;
    }
    it.shows(&of(messages, "receive"), 3.0).await;
    it.shows(&of(messages, "transmit"), 6.0).await;
    // A frame of a client has a head of 6 bytes, one for a client 2.
    it.shows(&of(bytes, "receive"), 3.0 * 11.0).await;
    it.shows(&of(bytes, "transmit"), 6.0 * 7.0).await;
    client.close(1000, "").await;
    it.shows(r#"wasabi_active_connections{channel="/"}"#, 0.0)
        .await;
    it.shows(&of(messages, "receive"), 3.0).await;
    // And a close frame with a code.
    it.shows(&of(bytes, "receive"), 3.0 * 11.0 + 8.0).await;
    it.shows(&of(bytes, "transmit"), 6.0 * 7.0 + 4.0).await;
    let mut other = it.server.connect("/").await;
    other.ask("hello").await;
    it.shows(&of(messages, "receive"), 4.0).await;
}

#[tokio::test]
async fn full_send_queues_and_skipped_broadcasts_are_shown() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let registry = Registry::new();
    let gateway = gateway!(channel(
        "/",
        registry = registry.clone(),
        max_waiting_messages = 4,
        send_timeout = 1min,
        async |text: Text| text
    ));
    let it = Measured::serve(&recorder, gateway, no_change).await;
    let _client = it.server.connect("/").await; // reads nothing
    it.shows(r#"wasabi_active_connections{channel="/"}"#, 1.0)
        .await;
    let large = "x".repeat(4 << 20);
    let mut skipped = 0;
    while skipped < 3 {
        skipped += registry.broadcast(large.clone()).skipped.len();
        tokio::task::yield_now().await;
    }
    it.shows(r#"wasabi_skipped_messages_total{channel="/"}"#, 3.0)
        .await;
    let queued = it
        .value(r#"wasabi_send_queue_messages{channel="/"}"#)
        .await
        .unwrap_or(0.0);
    let bytes = it
        .value(r#"wasabi_send_queue_bytes{channel="/"}"#)
        .await
        .unwrap_or(0.0);
    assert!((1.0..=4.0).contains(&queued), "{queued}");
    assert_eq!(bytes, queued * large.len() as f64);
}

#[tokio::test]
async fn sockets_and_drains_are_shown() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let gateway = gateway!(channel("/", async |_: Text| std::future::pending::<()>().await));
    let it = Measured::serve(&recorder, gateway, |server| {
        server.max_sockets(10).drain_timeout(Duration::from_secs(2))
    })
    .await;
    it.shows("wasabi_draining", 0.0).await;
    it.shows("wasabi_active_sockets", 0.0).await;
    let mut client = it.server.connect("/").await;
    it.shows("wasabi_active_sockets", 1.0).await;
    client.send("for ever").await;
    it.server.handle.drain();
    it.shows("wasabi_draining", 1.0).await;
    let rendered = recorder.handle();
    it.server.ended().await.expect("drained");
    let rendered = rendered.render();
    let line = "wasabi_cut_connections_total 1";
    assert!(rendered.lines().any(|found| found == line), "{rendered}");
}

#[tokio::test]
async fn the_handle_updates_the_gauges_for_programs_that_export_metrics_themselves() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _local = metrics::set_default_local_recorder(&recorder);
    let gateway = gateway!(channel("/", async |text: Text| text));
    let server = serve_with(gateway, no_change).await;
    let mut client = server.connect("/").await;
    client.ask("hello").await;
    let line = r#"wasabi_messages_total{channel="/",network_io_direction="receive"} 1"#;
    let shown = || {
        recorder
            .handle()
            .render()
            .lines()
            .any(|found| found == line)
    };
    assert!(!shown());
    server.handle.observe();
    assert!(shown());
}
