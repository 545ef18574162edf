//! Requests that are cancelled while they wait for an upstream.

use std::time::Duration;

use axum::{Router, routing::post};
use serde_json::json;
use tokio::{net::TcpStream, time::sleep};
use wasabi::{Error, prelude::*, queue::Memory};
use wasabi_tests::{Gate, http_service, serve, soon, until, websocket_upstream::Upstream};

use super::{cancelled, signed};

/// `{"cancel": 7}` cancels; everything else is a request to an upstream that reads `/id`.
fn json_or_cancel(message: &Message) -> Result<Option<Envelope<'_>>> {
    let json: serde_json::Value = serde_json::from_slice(message.as_bytes())
        .map_err(|error| Error::bad_request(error.to_string()))?;
    Ok(Some(match json.get("cancel") {
        Some(id) => Envelope::cancel(RequestId::new(id.to_string())),
        None => Envelope::from_static("ask").id(RequestId::new(json["id"].to_string())),
    }))
}

#[tokio::test]
async fn an_http_exchange_is_aborted_and_its_place_goes_to_the_next() {
    let gate = Gate::closed();
    let held = gate.clone();
    let slow = post(async move || {
        held.pass().await;
        "done"
    });
    let service = http_service(Router::new().route("/", slow)).await;
    let backend = Http::post(format!("{service}/")).concurrency(1);
    let server = serve(gateway!(channel("/", parser = signed, backend))).await;
    let mut client = server.connect("/").await;
    client.send("+1 ask").await;
    until("the service works", || gate.running() == 1).await;
    client.send("+2 ask").await;
    client.send("+3 ask").await;
    // The second one waits for its turn.
    assert_eq!(client.ask("-2").await, cancelled("2"));
    assert_eq!(client.ask("-1").await, cancelled("1"));
    until(
        "the service sees the connection close, and works for the next",
        || gate.running() == 1,
    )
    .await;
    gate.open.add_permits(1);
    assert_eq!(client.text().await, "done");
    client.silent().await;
}

#[tokio::test]
async fn a_websocket_upstream_forgets_the_id_and_its_late_answer_is_dropped() {
    let mut upstream = Upstream::start().await;
    let backend = WebSocket::connect(upstream.url("/")).correlate("/id");
    let server = serve(gateway!(channel("/", parser = json_or_cancel, backend))).await;
    let mut client = server.connect("/").await;
    client.send(json!({"id": 7}).to_string()).await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, json!({"id": 7}).to_string());
    assert_eq!(
        client.ask(&json!({"cancel": 7}).to_string()).await,
        cancelled("7")
    );
    peer.send(json!({"id": 7, "late": true}).to_string()).await;
    client.silent().await;
    // The id is free again.
    client
        .send(json!({"id": 7, "again": true}).to_string())
        .await;
    peer.text().await;
    peer.send(json!({"id": 7, "late": false}).to_string()).await;
    assert_eq!(client.json().await["late"], false);
}

#[tokio::test]
async fn a_message_that_waits_for_a_dial_is_not_sent() {
    let gate = Gate::closed();
    let held = gate.clone();
    let mut upstream = Upstream::start().await;
    let addr = upstream.addr;
    let backend = WebSocket::connect(upstream.url("/"))
        .correlate("/id")
        .dial_with(move |_| {
            let held = held.clone();
            async move {
                held.pass().await;
                TcpStream::connect(addr).await
            }
        });
    let server = serve(gateway!(channel("/", parser = json_or_cancel, backend))).await;
    let mut client = server.connect("/").await;
    client.send(json!({"id": 7}).to_string()).await;
    client.send(json!({"id": 8}).to_string()).await;
    assert_eq!(
        client.ask(&json!({"cancel": 7}).to_string()).await,
        cancelled("7")
    );
    gate.open.add_permits(1);
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, json!({"id": 8}).to_string());
}

#[tokio::test]
async fn a_queues_pending_reply_is_forgotten() {
    let broker = Memory::new();
    let mut worker = broker.worker("orders");
    let queue = Queue::new(broker, "orders");
    let server = serve(gateway!(channel("/", parser = signed, queue.clone()))).await;
    let mut client = server.connect("/").await;
    client.send("+7 order").await;
    let job = soon(worker.next()).await;
    assert_eq!(queue.pending(), 1);
    assert_eq!(client.ask("-7").await, cancelled("7"));
    assert_eq!(queue.pending(), 0);
    job.reply(Message::text("too late"));
    sleep(Duration::from_millis(20)).await;
    client.silent().await;
}
