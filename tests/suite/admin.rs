//! The admin listener, and servers from a configuration.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wasabi::{Admin, ServeError, ServerConfig, prelude::*};
use wasabi_tests::{serve_with, soon};

async fn get(addr: SocketAddr, path: &str) -> String {
    String::from_utf8(get_bytes(addr, path).await).expect("text")
}

async fn get_bytes(addr: SocketAddr, path: &str) -> Vec<u8> {
    let mut stream = soon(TcpStream::connect(addr))
        .await
        .expect("TCP connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = Vec::new();
    // Resolving a profile's symbols takes time on a busy machine.
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer))
        .await
        .expect("this should not take so long")
        .expect("an answer");
    answer
}

fn gateway() -> Gateway {
    gateway!(channel("/", async |text: Text| text))
}

#[tokio::test]
async fn the_admin_listener_has_its_own_address_and_the_public_one_reveals_nothing() {
    let debug = axum::Router::new().route("/heap", axum::routing::get(async || "heap"));
    let admin = Admin::bind("127.0.0.1:0")
        .metrics(|| "connections 7\n".to_owned())
        .nest("/debug", debug);
    let server = serve_with(gateway(), |server| server.admin(admin)).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    assert_ne!(addr, server.addr);
    assert_eq!(server.handle.addrs().await, [server.addr]);
    let metrics = get(addr, "/metrics").await;
    assert!(
        metrics.contains("content-type: text/plain; version=0.0.4"),
        "{metrics}"
    );
    assert!(metrics.ends_with("\r\n\r\nconnections 7\n"), "{metrics}");
    for path in ["/livez", "/readyz", "/metrics", "/debug/heap"] {
        assert!(get(addr, path).await.starts_with("HTTP/1.1 200"), "{path}");
        assert_eq!(server.get(path).await, 404, "{path}");
    }
    assert!(
        get(addr, "/").await.starts_with("HTTP/1.1 404"),
        "no channel is there"
    );
}

/// Returns the status of a request that names this host.
async fn status(addr: SocketAddr, host: &str) -> String {
    let mut stream = soon(TcpStream::connect(addr))
        .await
        .expect("TCP connection");
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    answer[9..12].to_owned()
}

#[tokio::test]
async fn a_foreign_name_for_the_admin_listener_gets_421() {
    let admin = || Admin::bind("127.0.0.1:0").metrics(String::new);
    let server = serve_with(gateway(), |server| server.admin(admin())).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    for host in [
        "localhost",
        "localhost:9090",
        "127.0.0.1",
        "[::1]:9090",
        "10.0.0.7:9090",
    ] {
        assert_eq!(status(addr, host).await, "200", "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
    ] {
        assert_eq!(status(addr, host).await, "421", "{host}");
    }
    let named = admin().hosts(["*.monitoring.svc"]);
    let server = serve_with(gateway(), |server| server.admin(named)).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    assert_eq!(status(addr, "gateway.monitoring.svc:9090").await, "200");
    assert_eq!(status(addr, "localhost").await, "200");
    assert_eq!(status(addr, "evil.example").await, "421");
    let mistaken = Server::bind("127.0.0.1:0").admin(admin().hosts(["https://a.example"]));
    let error = soon(mistaken.serve(gateway()))
        .await
        .expect_err("a mistake");
    assert!(error.to_string().contains("write `a.example`"), "{error}");
}

#[tokio::test]
async fn a_probe_is_answered_however_many_clients_read_nothing() {
    let admin = Admin::bind("127.0.0.1:0").metrics(|| "x".repeat(16 << 20));
    let server = serve_with(gateway(), |server| server.admin(admin)).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut stream = soon(TcpStream::connect(addr))
            .await
            .expect("TCP connection");
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("write");
        soon(stream.read_u8()).await.expect("the answer has begun");
        slow.push(stream);
    }
    for _ in 0..3 {
        assert!(soon(get(addr, "/livez")).await.starts_with("HTTP/1.1 200"));
    }
    assert!(soon(get(addr, "/readyz")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn metrics_are_shown_in_the_format_of_prometheus() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    // Local to this thread, on which everything here runs.
    let _local = metrics::set_default_local_recorder(&recorder);
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/action"),
        middleware = [Measure::metrics()],
        match key {
            "ping" => async || "pong",
            _ => NoRoute,
        },
    ));
    let admin = Admin::bind("127.0.0.1:0").metrics(move || handle.render());
    let server = serve_with(gateway, |server| server.admin(admin)).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    let mut client = server.connect("/").await;
    for _ in 0..2 {
        assert_eq!(client.ask(r#"{"action":"ping"}"#).await, "pong");
    }
    client.ask(r#"{"action":"pong"}"#).await;
    let metrics = get(addr, "/metrics").await;
    for line in [
        "# TYPE wasabi_requests_total counter",
        r#"wasabi_requests_total{route="ping",outcome="ok",fault="none"} 2"#,
        r#"wasabi_requests_total{route="_",outcome="no_route",fault="request"} 1"#,
        r#"wasabi_requests_in_flight{route="ping"} 0"#,
        r#"wasabi_request_duration_seconds_count{route="ping"} 2"#,
    ] {
        let found = metrics.lines().any(|found| found == line);
        assert!(found, "no {line} in\n{metrics}");
    }
}

#[tokio::test]
async fn without_metrics_the_path_does_not_exist() {
    let server = serve_with(gateway(), |server| server.admin("127.0.0.1:0")).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    assert!(get(addr, "/metrics").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn readiness_ends_with_the_drain_and_operators_are_answered_although_the_server_is_full() {
    let gateway = gateway!(channel("/", async |_: Text| std::future::pending::<()>().await));
    let server = serve_with(gateway, |server| server.admin("127.0.0.1:0").max_sockets(1)).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    let mut client = server.connect("/").await;
    client.send("for ever").await;
    assert!(get(addr, "/readyz").await.starts_with("HTTP/1.1 200"));
    server.handle.drain();
    assert!(get(addr, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get(addr, "/livez").await.starts_with("HTTP/1.1 200"));
    server.handle.stop();
    server.ended().await.expect("stopped");
    assert!(soon(TcpStream::connect(addr)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_taken_while_the_server_works_if_it_was_asked_for() {
    let server = serve_with(gateway(), |server| server.admin("127.0.0.1:0")).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    let path = "/debug/pprof/profile?seconds=1";
    assert!(get(addr, path).await.starts_with("HTTP/1.1 404"));

    let admin = Admin::bind("127.0.0.1:0").profiles();
    let server = serve_with(gateway(), |server| {
        server
            .admin(admin)
            .request_timeout(Duration::from_millis(500))
    })
    .await;
    let addr = server.handle.admin_addr().await.expect("an address");
    let done = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&done);
    let busy = std::thread::spawn(move || busy_with_what_is_profiled(&until));
    let (one, other) = tokio::join!(get_bytes(addr, path), get_bytes(addr, path));
    done.store(true, Ordering::Relaxed);
    busy.join().expect("no panic");
    let (taken, refused) = match one.starts_with(b"HTTP/1.1 200") {
        true => (one, other),
        false => (other, one),
    };
    assert!(refused.starts_with(b"HTTP/1.1 409"));
    assert!(taken.starts_with(b"HTTP/1.1 200"));
    let name = b"busy_with_what_is_profiled";
    assert!(taken.windows(name.len()).any(|found| found == name));
    for seconds in ["0", "61", "-1", "x"] {
        let path = format!("/debug/pprof/profile?seconds={seconds}");
        assert!(get(addr, &path).await.starts_with("HTTP/1.1 400"), "{path}");
    }
    assert_eq!(server.get(path).await, 404);
}

/// Allocates, because a sample taken in between must not do the same.
#[inline(never)]
fn busy_with_what_is_profiled(done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        std::hint::black_box(vec![0u8; 64]);
    }
}

#[tokio::test]
async fn a_configuration_makes_a_server() {
    let config = serde_json::json!({
        "listen": ["127.0.0.1:0", "127.0.0.1:0"],
        "listen_plain": ["127.0.0.1:0"],
        "admin": "127.0.0.1:0",
        "header_timeout": "1s",
        "drain_timeout": "2s",
        "drain_spread": "0s",
        "max_sockets": 10,
        "signals": false,
    });
    let config: ServerConfig = serde_json::from_value(config).expect("a configuration");
    let server = Server::configured(&config).expect("a server");
    let handle = server.handle();
    let serving = tokio::spawn(server.serve(gateway()));
    assert_eq!(soon(handle.addrs()).await.len(), 3);
    assert!(soon(handle.admin_addr()).await.is_some());
    handle.drain();
    soon(serving).await.expect("no panic").expect("drained");

    let missing = serde_json::json!({
        "listen": ["127.0.0.1:0"],
        "tls": {"certificate": "no/such/file", "key": "nor/this"},
    });
    let config: ServerConfig = serde_json::from_value(missing).expect("a configuration");
    assert!(matches!(
        Server::configured(&config),
        Err(ServeError::Tls(_))
    ));
}
