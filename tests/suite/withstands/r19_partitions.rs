//! R19: a client that disappears silently is dropped; a busy one is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::prelude::*;
use wasabi_tests::{raw, serve, soon, until, wires::over_every_wire};

fn echo() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

#[tokio::test]
async fn a_client_behind_a_cut_wire_is_dropped_after_ping_and_timeout() {
    over_every_wire(async |wire| {
        let registry = Registry::new();
        let gateway = gateway!(channel(
            "/",
            ping = 50ms,
            pong_timeout = 50ms,
            registry = registry.clone(),
            async |message: Message| message,
        ));
        let server = wire.serve(gateway).await;
        let line = server.open("/").await;
        until("the connection is listed", || registry.len() == 1).await;
        // It neither answers pings nor closes.
        until("the connection is dropped", || registry.is_empty()).await;
        drop(line);
    })
    .await;
}

#[tokio::test]
async fn work_in_flight_is_activity_and_its_client_is_not_idle() {
    let server = serve(gateway!(channel(
        "/",
        idle_timeout = 200ms,
        async |text: Text| {
            sleep(Duration::from_millis(500)).await;
            text
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for text in ["one", "two"] {
        assert_eq!(client.ask(text).await, text);
    }
    assert_eq!(client.closed().await, (1001, "idle".to_owned()));
}

/// The kernel's own probes; without them a client without `ping` would stay for ever when its machine is gone.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_probes_clients_that_are_silent() {
    let server = serve(echo()).await;
    let client = raw::open(&server).await;
    wasabi_tests::tcp::assert_probed(client.local_addr().expect("an address"));
}

#[tokio::test]
async fn a_long_upload_is_a_sign_of_life() {
    let server = serve(gateway!(channel(
        "/",
        ping = 100ms,
        pong_timeout = 100ms,
        async |data: Binary| data.0.len().to_string(),
    )))
    .await;
    let mut stream = raw::open(&server).await;
    // A pong cannot be sent in the middle of a frame.
    let message = raw::frame(0x82, &[7; 20_000]);
    for part in message.chunks(1000) {
        stream.write_all(part).await.unwrap();
        sleep(Duration::from_millis(30)).await;
    }
    let mut answer = [0; 7];
    loop {
        soon(stream.read_exact(&mut answer[..2])).await.unwrap();
        if answer[0] == 0x81 {
            break;
        }
    }
    soon(stream.read_exact(&mut answer[..5])).await.unwrap();
    assert_eq!(&answer[..5], b"20000");
}

#[tokio::test]
async fn queued_messages_arrive_even_if_the_connection_becomes_idle() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let server = serve(gateway!(channel(
        "/",
        idle_timeout = 200ms,
        on_connect = move |connection: Connection| {
            let count = count.clone();
            tokio::spawn(async move {
                while connection.send(vec![7; 256 * 1024]).await.is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
            std::future::ready(())
        },
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/").await;
    sleep(Duration::from_millis(500)).await;
    let mut arrived = 0;
    let close = loop {
        match soon(client.socket.next()).await {
            Some(Ok(WsMessage::Binary(_))) => arrived += 1,
            Some(Ok(WsMessage::Close(close))) => break close,
            other => panic!("expected a message or a close frame, got {other:?}"),
        }
    };
    assert_eq!(close.map(|close| close.code.into()), Some(1001_u16));
    assert_eq!(arrived, accepted.load(Ordering::SeqCst));
}
