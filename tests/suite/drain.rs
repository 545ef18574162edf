//! Drains under load, with each kind of backend. What a drain does with one connection is in `server.rs`.

use std::{future::pending, time::Duration};

use tokio::time::sleep;
use wasabi::{
    prelude::*,
    queue::{Memory, Worker},
};
use wasabi_tests::{
    drain::{ends_in_time, loses_nothing},
    serve,
    upstream::{mute_service, mute_websocket, slow_echo, slow_service},
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

/// Answers every message with itself.
fn employ(mut worker: Worker) {
    tokio::spawn(async move {
        loop {
            let job = worker.next().await;
            sleep(Duration::from_millis(1)).await;
            job.reply(job.message().clone());
        }
    });
}

/// A gateway of one channel with ids and this target.
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
async fn a_drain_ends_in_time_although_a_function_does_not() {
    ends_in_time(asked!(mute)).await;
}

#[tokio::test]
async fn a_drain_ends_in_time_although_an_http_service_does_not_answer() {
    let url = format!("http://{}/", mute_service().await);
    ends_in_time(asked!(Http::post(url))).await;
}

#[tokio::test]
async fn a_drain_ends_in_time_although_a_websocket_server_does_not_answer() {
    let url = format!("ws://{}/", mute_websocket().await);
    ends_in_time(asked!(WebSocket::connect(url).correlate("/id"))).await;
}

#[tokio::test]
async fn a_drain_ends_in_time_although_no_worker_answers() {
    let broker = Memory::new();
    let _worker = broker.worker("orders");
    let queue = Queue::new(broker, "orders");
    ends_in_time(asked!(queue.clone())).await;
    assert_eq!(queue.pending(), 0);
}

#[tokio::test]
async fn a_drain_ends_in_time_although_no_balanced_backend_answers() {
    let http = format!("http://{}/", mute_service().await);
    ends_in_time(asked!(balance([(1, Http::post(http)), (1, mute)]))).await;
}
