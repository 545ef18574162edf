//! An upstream that decides whether a client may connect.

use std::{io, time::Duration};

use http::{Response, StatusCode};
use tokio::net::TcpListener;
use wasabi::{Close, CloseCode, prelude::*};
use wasabi_tests::{
    Client, TestServer, http_service, serve, soon, until, websocket_upstream::Upstream,
};

async fn serving(backend: WebSocket) -> TestServer {
    serve(gateway!(channel("/", backend.before_accept()))).await
}

async fn refused(server: &TestServer) -> Box<Response<Option<Vec<u8>>>> {
    match server.connect_with("/", &[]).await {
        Err(refusal) => refusal,
        Ok(_) => panic!("the handshake is accepted"),
    }
}

#[tokio::test]
async fn a_client_is_told_the_status_of_its_upstream() {
    for status in [401, 403, 404, 429, 503] {
        let answer = move || async move {
            let status = StatusCode::from_u16(status).expect("a status");
            let headers = [
                ("www-authenticate", "Bearer realm=\"up\""),
                ("retry-after", "7"),
                ("x-internal", "not for clients"),
            ];
            (status, headers, "not for clients")
        };
        let url = http_service(axum::Router::new().fallback(answer)).await;
        let server = serving(WebSocket::connect(url.replace("http", "ws"))).await;
        let refusal = refused(&server).await;
        assert_eq!(refusal.status(), status);
        assert_eq!(refusal.headers()["www-authenticate"], "Bearer realm=\"up\"");
        assert_eq!(refusal.headers()["retry-after"], "7");
        assert!(!refusal.headers().contains_key("x-internal"));
        let body = refusal.body().clone().unwrap_or_default();
        assert!(!String::from_utf8_lossy(&body).contains("not for clients"));
    }
}

#[tokio::test]
async fn no_answer_in_time_is_504_and_no_upstream_502() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/", silent.local_addr().expect("address"));
    let backend = WebSocket::connect(url).connect_timeout(Duration::from_millis(100));
    assert_eq!(refused(&serving(backend).await).await.status(), 504);
    let gone = Upstream::start().await;
    let url = gone.url("/");
    gone.stop().await;
    let server = serving(WebSocket::connect(url)).await;
    assert_eq!(refused(&server).await.status(), 502);
    assert_eq!(refused(&server).await.status(), 502, "as is remembered");
    let http_only = http_service(axum::Router::new().fallback(|| async { "hello" })).await;
    let server = serving(WebSocket::connect(http_only.replace("http", "ws"))).await;
    assert_eq!(refused(&server).await.status(), 502);
}

#[tokio::test]
async fn an_upstream_that_accepts_is_dialled_once_and_what_it_says_first_arrives() {
    let mut upstream = Upstream::start().await;
    let server = serving(WebSocket::connect(upstream.url("/"))).await;
    let mut client = server.connect("/").await;
    let mut peer = upstream.accept().await;
    peer.send("welcome").await;
    assert_eq!(client.text().await, "welcome");
    for n in 0..10 {
        client.send(n.to_string()).await;
    }
    for n in 0..10 {
        assert_eq!(peer.text().await, n.to_string());
    }
    client.close(4000, "bye").await;
    assert_eq!(peer.closed().await, (4000, "bye".to_owned()));
    assert_eq!(upstream.dials(), 1);
}

#[tokio::test]
async fn a_lost_upstream_is_connected_to_again_as_any_other() {
    let mut upstream = Upstream::start().await;
    let policy = Backoff::constant(Duration::from_millis(5));
    let server = serving(WebSocket::connect(upstream.url("/")).reconnect(policy)).await;
    let mut client = server.connect("/").await;
    upstream.accept().await.crash();
    let mut peer = upstream.accept().await;
    client.send("still here").await;
    assert_eq!(peer.text().await, "still here");
}

#[tokio::test]
async fn a_client_that_leaves_during_its_handshake_gives_up_the_dial_and_its_place() {
    let (dialled, mut dials) = tokio::sync::mpsc::unbounded_channel();
    let backend = WebSocket::connect("ws://up/").dial_with(move |_| {
        let (dropped, given_up) = tokio::sync::oneshot::channel::<()>();
        let _ = dialled.send(given_up);
        async move {
            let _dropped = dropped;
            std::future::pending::<io::Result<tokio::net::TcpStream>>().await
        }
    });
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        max_connections = 1,
        backend.before_accept(),
    )))
    .await;
    for _ in 0..3 {
        let url = server.url("/");
        let leaving = tokio::spawn(async move { Client::connect(url).await.is_ok() });
        let given_up = soon(dials.recv()).await.expect("a dial");
        leaving.abort();
        assert!(soon(given_up).await.is_err());
    }
    until("nobody is listed", || registry.is_empty()).await;
    server.drain().await.expect("drained");
}

#[tokio::test]
async fn a_hook_that_refuses_leaves_no_upstream_connection() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel(
        "/",
        on_connect = async |_: Connection| Err::<(), _>(Close::new(CloseCode::POLICY, "not you")),
        WebSocket::connect(upstream.url("/")).before_accept(),
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.closed().await, (1008, "not you".to_owned()));
    upstream.accept().await.closed().await;
}

#[tokio::test]
async fn an_upstream_behind_middleware_decides_as_well() {
    let answer = || async { StatusCode::UNAUTHORIZED };
    let url = http_service(axum::Router::new().fallback(answer)).await;
    let upstream = WebSocket::connect(url.replace("http", "ws")).before_accept();
    let server = serve(gateway!(channel(
        "/",
        middleware = [Timeout::new(5s), Trace::new()],
        match key {
            "up" => with([Timeout::new(2s)], upstream),
            _ => NoRoute,
        },
    )))
    .await;
    assert_eq!(refused(&server).await.status(), 401);
}
