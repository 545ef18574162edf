//! R20: a stop answers requests in flight before the close 1012, whatever clients do in the meantime.
//!
//! `server.rs`, `websocket/correlation.rs` and `queue.rs` test this for each kind of backend.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{CloseCode, prelude::*};
use wasabi_tests::{Gate, raw, serve, soon, told, until, wires::over_every_wire};

#[tokio::test]
async fn a_client_that_keeps_sending_through_a_drain_ends_once_and_gets_all_its_replies() {
    let registry = Registry::new();
    let (hook, mut told) = told();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        on_disconnect = hook,
        async |text: Text| text,
    )))
    .await;
    let client = server.connect("/").await;
    let (mut sender, mut receiver) = client.socket.split();
    let sending = tokio::spawn(async move {
        let mut sent = 0_usize;
        while sender.send(WsMessage::text(sent.to_string())).await.is_ok() {
            sent += 1;
        }
    });
    let mut answers = 0;
    let close = loop {
        match soon(receiver.next()).await {
            // In order: answers first, then refusals, then the close frame.
            Some(Ok(WsMessage::Text(text))) if text == answers.to_string() => answers += 1,
            Some(Ok(WsMessage::Text(text))) => assert!(text.starts_with("closing: "), "{text}"),
            Some(Ok(WsMessage::Close(close))) => break close,
            other => panic!("expected a message or a close frame, got {other:?}"),
        }
        if answers == 100 {
            server.handle.drain();
        }
    };
    assert_eq!(close.map(|close| close.code.into()), Some(1012_u16));
    drop(receiver);
    let _ = timeout(Duration::from_secs(5), sending).await;
    server.ended().await.unwrap();
    assert_eq!(told.recv().await, Some(1012));
    assert!(told.recv().await.is_none(), "the hook runs once");
    assert!(registry.is_empty());
}

#[tokio::test]
async fn requests_that_wait_for_a_slot_are_answered_before_the_close() {
    let (registry, gate) = (Registry::new(), Gate::closed());
    let held = gate.clone();
    let server = serve(gateway!(channel(
        "/",
        concurrency = 1,
        registry = registry.clone(),
        move |text: Text| {
            let held = held.clone();
            async move {
                held.pass().await;
                text
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for text in ["one", "two", "three"] {
        client.send(text).await;
    }
    client.send(WsMessage::Ping("read?".into())).await;
    assert!(matches!(client.next().await, WsMessage::Pong(_)));
    server.handle.drain();
    until("it is to close", || registry.connections()[0].is_closed()).await;
    gate.open.add_permits(3);
    for text in ["one", "two", "three"] {
        assert_eq!(client.text().await, text);
    }
    assert_eq!(client.closed().await.0, 1012);
}

#[tokio::test]
async fn a_drain_that_overtakes_a_handshake_leaves_its_answer_whole() {
    let (entered, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, held) = (Arc::clone(&entered), Arc::clone(&gate));
    let slow = axum::middleware::from_fn(
        move |req: axum::extract::Request, next: axum::middleware::Next| {
            let (tell, held) = (tell.clone(), held.clone());
            async move {
                let response = next.run(req).await;
                tell.notify_one();
                held.notified().await;
                response
            }
        },
    );
    let server = serve(gateway!(
        get("/readyz", readiness),
        channel("/", http = [slow], async |message: Message| message),
    ))
    .await;
    let url = server.url("/");
    let client = tokio::spawn(tokio_tungstenite::connect_async(url));
    soon(entered.notified()).await;
    server.handle.drain();
    while soon(server.get("/readyz")).await == 200 {}
    gate.notify_one();
    let (mut socket, _) = soon(client).await.unwrap().expect("a whole answer");
    match soon(socket.next()).await {
        Some(Ok(WsMessage::Close(Some(close)))) => assert_eq!(u16::from(close.code), 1012),
        other => panic!("expected a close frame, got {other:?}"),
    }
}

#[tokio::test]
async fn requests_that_are_cut_at_the_close_timeout_are_answered() {
    let server = serve(gateway!(channel(
        "/",
        concurrency = 2,
        close_timeout = 200ms,
        async |connection: Connection, text: Text| {
            if text == "close" {
                connection.close(CloseCode::new::<4000>());
            }
            std::future::pending::<()>().await;
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for text in ["one", "two", "waits"] {
        client.send(text).await;
    }
    client.send(WsMessage::Ping("".into())).await;
    client.next().await;
    let mut other = server.connect("/").await;
    other.send("close").await;
    let answer = other.text().await;
    assert!(answer.starts_with("interrupted: "), "{answer}");
    assert_eq!(other.closed().await.0, 4000);
    // The server's drain answers them too: the requests in flight, and the one that waits for a slot.
    server.handle.drain();
    for code in ["interrupted: ", "interrupted: ", "closing: "] {
        let answer = client.text().await;
        assert!(answer.starts_with(code), "{answer}");
    }
    assert_eq!(client.closed().await.0, 1012);
}

#[tokio::test]
async fn a_drain_delivers_what_is_in_flight_over_every_transport() {
    over_every_wire(async |wire| {
        let gate = Gate::closed();
        let held = gate.clone();
        let gateway = gateway!(channel("/", move |text: Text| {
            let held = held.clone();
            async move {
                held.pass().await;
                text
            }
        }));
        let server = wire.serve(gateway).await;
        let mut client = server.connect("/").await;
        for text in ["one", "two"] {
            soon(client.send(text.into())).await.unwrap();
        }
        until("both are in flight", || gate.running() == 2).await;
        server.server.handle.drain();
        gate.open.add_permits(2);
        for text in ["one", "two"] {
            let answer = soon(client.next()).await.unwrap().unwrap();
            assert_eq!(answer, WsMessage::text(text));
        }
        match soon(client.next()).await {
            Some(Ok(WsMessage::Close(Some(close)))) => assert_eq!(u16::from(close.code), 1012),
            other => panic!("expected a close frame, got {other:?}"),
        }
        // Reading on sends the answer.
        assert!(matches!(soon(client.next()).await, None | Some(Err(_))));
        server.server.ended().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_stop_tells_its_code_also_for_a_client_that_takes_nothing() {
    over_every_wire(async |wire| {
        let (hook, mut told) = told();
        let gateway = gateway!(channel("/", on_disconnect = hook, async |_: Text| {
            vec![7_u8; 24 << 20]
        }));
        let server = wire.serve_with(gateway, |server| {
            server.drain_timeout(Duration::from_millis(200))
        });
        let server = server.await;
        let mut line = server.open("/").await;
        line.write_all(&raw::frame(0x81, b"go")).await.unwrap();
        line.flush().await.unwrap();
        // The reply has started.
        soon(line.read_u8()).await.unwrap();
        server.server.drain().await.unwrap();
        assert_eq!(told.recv().await, Some(1012));
    })
    .await;
}
