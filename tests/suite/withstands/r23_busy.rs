//! R23: a connection with all slots busy still answers pings, and its end cancels its work even if nothing more is read
//! from it, over every transport.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::{io::AsyncWriteExt, sync::mpsc::UnboundedReceiver, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message as WsMessage,
        protocol::{CloseFrame, Role},
    },
};
use wasabi::prelude::*;
use wasabi_tests::{
    Gate, raw, soon, told, until,
    wires::{EVERY, Line, Wire, Wired, over_every_wire},
};

/// Two requests at once, which wait until the gate opens.
async fn gated(wire: Wire) -> (Wired, Gate, UnboundedReceiver<u16>) {
    let gate = Gate::closed();
    let held = gate.clone();
    let (hook, told) = told();
    let server = wire
        .serve(gateway!(channel(
            "/",
            concurrency = 2,
            ping = None,
            on_disconnect = hook,
            move |_: Text| {
                let held = held.clone();
                async move {
                    held.pass().await;
                    "done"
                }
            },
        )))
        .await;
    (server, gate, told)
}

#[tokio::test]
async fn a_ping_is_answered_while_every_slot_is_busy() {
    over_every_wire(async |wire| {
        let (server, gate, _) = gated(wire).await;
        let mut client = server.connect("/").await;
        for _ in 0..10 {
            soon(client.send("x".into())).await.unwrap();
        }
        until("both slots are busy", || gate.running() == 2).await;
        let ping = WsMessage::Ping("still there?".into());
        soon(client.send(ping)).await.unwrap();
        let answer = soon(client.next()).await.unwrap().unwrap();
        assert_eq!(answer, WsMessage::Pong("still there?".into()));
    })
    .await;
}

#[tokio::test]
async fn a_close_of_the_client_cancels_its_requests_while_every_slot_is_busy() {
    over_every_wire(async |wire| {
        let (server, gate, mut told) = gated(wire).await;
        let mut client = server.connect("/").await;
        for _ in 0..5 {
            soon(client.send("x".into())).await.unwrap();
        }
        until("both slots are busy", || gate.running() == 2).await;
        soon(client.close(None)).await.unwrap();
        until("the requests are cancelled", || gate.running() == 0).await;
        assert_eq!(soon(told.recv()).await, Some(1005));
    })
    .await;
}

/// A client that has sent more than the server reads, and whose requests are not answered.
async fn overdone(wire: Wire) -> (Wired, Gate, UnboundedReceiver<u16>, Line) {
    let (server, gate, told) = gated(wire).await;
    let mut client = server.open("/").await;
    let many = raw::frame(0x81, b"x").repeat(100);
    soon(client.write_all(&many)).await.unwrap();
    soon(client.flush()).await.unwrap();
    until("both slots are busy", || gate.running() == 2).await;
    (server, gate, told, client)
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_is_not_read_is_noticed_and_its_requests_are_cancelled() {
    over_every_wire(async |wire| {
        let (_server, gate, mut told, client) = overdone(wire).await;
        drop(client);
        until("the requests are cancelled", || gate.running() == 0).await;
        assert_eq!(soon(told.recv()).await, Some(1006));
    })
    .await;
}

#[tokio::test]
async fn a_socket_of_http_2_that_is_gone_ends_its_streams_however_much_of_them_is_not_read() {
    for wire in EVERY.iter().filter(|wire| wire.is_http2()) {
        println!("over {wire:?}");
        let (_server, gate, mut told, mut client) = overdone(*wire).await;
        let many = raw::frame(0x81, b"x").repeat(100);
        let flooding = async {
            for _ in 0..1000 {
                client.write_all(&many).await.unwrap();
            }
        };
        let taken = timeout(Duration::from_millis(200), flooding).await;
        assert!(taken.is_err(), "the window is full");
        drop(client);
        until("the requests are cancelled", || gate.running() == 0).await;
        assert_eq!(soon(told.recv()).await, Some(1006));
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_while_it_is_not_read_ends_although_its_socket_stays() {
    for wire in EVERY.iter().filter(|wire| wire.is_http2()) {
        println!("over {wire:?}");
        let (_server, gate, mut told, client) = overdone(*wire).await;
        let _socket = client.reset();
        until("the requests are cancelled", || gate.running() == 0).await;
        assert_eq!(soon(told.recv()).await, Some(1006));
    }
}

#[tokio::test]
async fn the_close_of_a_client_that_is_not_read_is_found_when_it_hangs_up() {
    // Over HTTP/2 a reset discards what was sent before it.
    for wire in EVERY.iter().filter(|wire| !wire.is_http2()) {
        println!("over {wire:?}");
        let (_server, gate, mut told, client) = overdone(*wire).await;
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let close = CloseFrame {
            code: 4000.into(),
            reason: "never mind".into(),
        };
        let close = WsMessage::Close(Some(close));
        soon(client.send(close)).await.unwrap();
        let answer = timeout(Duration::from_millis(50), client.next()).await;
        assert!(answer.is_err(), "expected silence, got {answer:?}");
        assert_eq!(gate.running(), 2);
        drop(client);
        until("the requests are cancelled", || gate.running() == 0).await;
        assert_eq!(soon(told.recv()).await, Some(4000));
    }
}
