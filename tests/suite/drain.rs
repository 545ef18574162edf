//! Drains under load, with each kind of backend. What a drain does to a single connection is tested in `server.rs`.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{
    prelude::*,
    queue::{Memory, Worker},
};
use wasabi_tests::{
    drain::{ends_in_time, loses_nothing, passes_on_what_it_has_read},
    serve, serve_with, soon,
    upstream::{deaf_websocket, mute_service, mute_websocket, slow_echo, slow_service, ticker},
};

async fn echo(message: Message) -> Message {
    message
}

async fn slow(message: Message) -> Message {
    sleep(Duration::from_millis(5)).await;
    message
}

async fn mute() {
    pending().await
}

/// Echoes every message.
fn employ(mut worker: Worker) {
    tokio::spawn(async move {
        loop {
            let job = worker.next().await;
            sleep(Duration::from_millis(1)).await;
            job.reply(job.message().clone());
        }
    });
}

/// A gateway with one channel that has ids and this target.
macro_rules! asked {
    ($($target:tt)+) => {
        gateway!(channel("/", parser = JsonKey::at("/do").id("/id"), $($target)+))
    };
}

#[tokio::test]
async fn a_drain_under_load_loses_nothing_that_a_function_answers() {
    loses_nothing(serve(asked!(echo)).await).await;
    loses_nothing(serve(asked!(slow)).await).await;
}

#[tokio::test]
async fn a_drain_under_load_loses_nothing_that_an_http_service_answers() {
    let url = format!("http://{}/", slow_service().await);
    loses_nothing(serve(asked!(Http::post(url))).await).await;
}

#[tokio::test]
async fn a_drain_under_load_loses_nothing_that_a_websocket_server_answers() {
    let url = format!("ws://{}/", slow_echo().await);
    loses_nothing(serve(asked!(WebSocket::connect(url).correlate("/id"))).await).await;
}

#[tokio::test]
async fn a_drain_under_load_passes_on_what_it_has_read_and_closes_both_sides_with_1012() {
    let (addr, upstream) = ticker().await;
    let url = format!("ws://{addr}/");
    let server = serve(asked!(WebSocket::connect(url))).await;
    passes_on_what_it_has_read(server, upstream).await;
}

#[tokio::test]
async fn a_drain_under_load_loses_nothing_that_a_worker_answers() {
    let broker = Memory::new();
    employ(broker.worker("orders"));
    employ(broker.worker("orders"));
    let queue = Queue::new(broker, "orders");
    loses_nothing(serve(asked!(queue.clone())).await).await;
    assert_eq!(queue.pending(), 0);
    assert_eq!(queue.dropped().unmatched, 0);
}

#[tokio::test]
async fn a_drain_under_load_loses_nothing_that_balanced_backends_answer() {
    let http = format!("http://{}/", slow_service().await);
    let ws = format!("ws://{}/", slow_echo().await);
    let gateway = asked!(balance([
        (1, Http::post(http)),
        (2, WebSocket::connect(ws).correlate("/id")),
        (3, slow),
    ]));
    loses_nothing(serve(gateway).await).await;
}

#[tokio::test]
async fn a_drain_ends_in_time_while_a_function_hangs() {
    ends_in_time(asked!(mute)).await;
}

#[tokio::test]
async fn a_drain_ends_in_time_while_an_http_service_hangs() {
    let url = format!("http://{}/", mute_service().await);
    ends_in_time(asked!(Http::post(url))).await;
}

#[tokio::test]
async fn a_drain_ends_in_time_while_a_websocket_server_hangs() {
    let url = format!("ws://{}/", mute_websocket().await);
    ends_in_time(asked!(WebSocket::connect(url).correlate("/id"))).await;
}

/// Messages that wait for room are answered, because they were not forwarded.
#[tokio::test]
async fn a_drain_ends_in_time_while_a_websocket_server_reads_nothing() {
    let url = format!("ws://{}/", deaf_websocket().await);
    let limit = Duration::from_millis(300);
    let server = serve_with(asked!(concurrency = 4, WebSocket::connect(url)), |server| {
        server.drain_timeout(limit)
    })
    .await;
    let (mut sender, mut receiver) = server.connect("/").await.socket.split();
    let padding = "x".repeat(30_000);
    let message = |id: usize| {
        Frame::text(format!(
            r#"{{"do":"tell","id":{id},"padding":"{padding}"}}"#
        ))
    };
    let mut sent = 0;
    // Until everything is full, including the gateway's place for requests.
    while timeout(Duration::from_millis(500), sender.send(message(sent)))
        .await
        .is_ok()
    {
        sent += 1;
    }
    let start = Instant::now();
    let draining = tokio::spawn(server.drain());
    let mut refused = Vec::new();
    let close = loop {
        match soon(receiver.next()).await {
            Some(Ok(Frame::Text(text))) => {
                let reply: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                let code = reply["error"]["code"].as_str();
                assert!(matches!(code, Some("closing" | "interrupted")), "{reply}");
                refused.push(reply["id"].as_u64().expect("an id"));
            }
            Some(Ok(Frame::Close(close))) => break close,
            other => panic!("expected a refusal or a close frame, got {other:?}"),
        }
    };
    assert_eq!(close.map(|close| close.code.into()), Some(1012_u16));
    refused.sort_unstable();
    assert!(refused.len() >= 4, "{refused:?}");
    assert!(
        refused.windows(2).all(|two| two[0] + 1 == two[1]),
        "{refused:?}"
    );
    soon(draining).await.expect("ended").expect("drained");
    assert!(start.elapsed() >= limit);
}

#[tokio::test]
async fn a_drain_ends_in_time_while_no_worker_answers() {
    let broker = Memory::new();
    let _worker = broker.worker("orders");
    let queue = Queue::new(broker, "orders");
    ends_in_time(asked!(queue.clone())).await;
    assert_eq!(queue.pending(), 0);
}

#[tokio::test]
async fn a_drain_ends_in_time_while_no_balanced_backend_answers() {
    let http = format!("http://{}/", mute_service().await);
    ends_in_time(asked!(balance([(1, Http::post(http)), (1, mute)]))).await;
}
