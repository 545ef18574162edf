//! A connection: messages, limits, back-pressure, heartbeats, closing.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    sync::{Notify, mpsc},
};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{Close, CloseCode, SendError, TrySendError, prelude::*};
use wasabi_tests::{Gate, raw, serve, serve_with, soon, until};

#[tokio::test]
async fn every_message_comes_back_unchanged() {
    let server = serve(gateway!(channel("/", async |message: Message| message))).await;
    let mut client = server.connect("/").await;
    for text in ["", "hello", "grüße 👋", &"x".repeat(32 * 1024)] {
        assert_eq!(client.ask(text).await, text);
    }
    for data in [&b""[..], &[0, 1, 255], &[7; 20_000]] {
        client.send(data.to_vec()).await;
        assert_eq!(client.binary().await, data);
    }
}

#[tokio::test]
async fn replies_of_synchronous_backends_keep_the_order_of_the_requests() {
    let server = serve(gateway!(channel("/", async |text: Text| text))).await;
    let mut client = server.connect("/").await;
    for n in 0..500 {
        client.socket.send_text(n).await;
    }
    for n in 0..500 {
        assert_eq!(client.text().await, n.to_string());
    }
}

trait SendText {
    async fn send_text(&mut self, n: usize);
}

impl<S> SendText for tokio_tungstenite::WebSocketStream<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    async fn send_text(&mut self, n: usize) {
        use futures_util::SinkExt;
        self.feed(WsMessage::text(n.to_string())).await.unwrap();
        if n % 50 == 49 {
            self.flush().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_slow_request_does_not_hold_up_the_next() {
    let gate = Arc::new(Notify::new());
    let waiting = Arc::clone(&gate);
    let server = serve(gateway!(channel("/", move |text: Text| {
        let waiting = waiting.clone();
        async move {
            if text == "slow" {
                waiting.notified().await;
            }
            text
        }
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("slow").await;
    assert_eq!(client.ask("fast").await, "fast");
    gate.notify_one();
    assert_eq!(client.text().await, "slow");
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1009() {
    let server = serve(gateway!(channel(
        "/",
        max_message_size = 1KiB,
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask(&"x".repeat(1024)).await.len(), 1024);
    client.send("x".repeat(1025)).await;
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn breaking_the_protocol_closes_with_the_right_code() {
    let server = serve(gateway!(channel("/", async |message: Message| message))).await;
    let huge = [
        0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
    ];
    for (what, bytes, code) in [
        ("bad UTF-8", raw::frame(0x81, &[0xff, 0xfe]), 1007),
        ("a reserved bit", raw::frame(0xc1, b"x"), 1002),
        ("a reserved opcode", raw::frame(0x83, b"x"), 1002),
        ("no mask", vec![0x81, 1, b'x'], 1002),
        ("a continuation of nothing", raw::frame(0x80, b"x"), 1002),
        ("a fragmented ping", raw::frame(0x09, b"x"), 1002),
        ("a length of 2^63-1", huge.to_vec(), 1009),
        (
            "a bad close code",
            raw::frame(0x88, &1005_u16.to_be_bytes()),
            1002,
        ),
    ] {
        let mut stream = raw::open(&server).await;
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(raw::close_code(&mut stream).await, code, "{what}");
    }
}

#[tokio::test]
async fn messages_can_be_sent_from_anywhere_and_keep_their_order() {
    let server = serve(gateway!(channel("/", async |connection: Connection| {
        tokio::spawn(async move {
            for n in 0..1000 {
                connection.send(n.to_string()).await.unwrap();
            }
        });
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    for n in 0..1000 {
        assert_eq!(client.text().await, n.to_string());
    }
}

#[tokio::test]
async fn try_send_gives_the_message_back_when_the_queue_is_full() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = serve(gateway!(channel(
        "/",
        max_waiting_messages = 3,
        move |connection: Connection| {
            let tell = tell.clone();
            async move {
                // The connection's task is busy with this very function, so nothing leaves the queue in the meantime.
                let full = loop {
                    if let Err(error) = connection.try_send("x") {
                        break error;
                    }
                };
                tell.send(matches!(full, TrySendError::Full(_))).unwrap();
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    assert_eq!(soon(told.recv()).await, Some(true));
    for _ in 0..3 {
        assert_eq!(client.text().await, "x");
    }
    client.silent().await;
}

#[tokio::test]
async fn a_server_side_close_has_its_code_and_reason_and_the_client_sees_what_was_sent_before() {
    let server = serve(gateway!(channel("/", async |connection: Connection| {
        connection.try_send("before").unwrap();
        connection.close(Close::new(CloseCode::new::<4001>(), "bye"));
        assert!(matches!(
            connection.send("after").await,
            Err(SendError::Closed(_))
        ));
        "reply"
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let mut texts = vec![client.text().await, client.text().await];
    texts.sort();
    assert_eq!(texts, ["before", "reply"]);
    assert_eq!(client.closed().await, (4001, "bye".to_owned()));
}

#[tokio::test]
async fn a_request_to_a_closing_connection_is_answered_closing() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel("/", move |connection: Connection| {
        let held = held.clone();
        async move {
            connection.close(CloseCode::NORMAL);
            held.pass().await;
        }
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("close").await;
    until("the close is asked for", || gate.running() == 1).await;
    assert_eq!(
        client.ask("too late").await,
        "closing: the connection is being closed"
    );
    gate.open.add_permits(1);
    assert_eq!(client.closed().await.0, 1000);
}

#[tokio::test]
async fn the_close_code_of_the_client_is_echoed_and_reported() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = serve(gateway!(channel("/", move |connection: Connection| {
        let tell = tell.clone();
        async move {
            let tell = tell.clone();
            tokio::spawn(async move { tell.send(connection.closed().await) });
            "watching"
        }
    })))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("").await, "watching");
    client.close(4321, "enough").await;
    let close = soon(told.recv()).await.unwrap();
    assert_eq!((close.code.as_u16(), &*close.reason), (4321, "enough"));
}

#[tokio::test]
async fn a_connection_that_breaks_ends_with_1006() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = serve(gateway!(channel(
        "/",
        on_disconnect = move |_: Connection, close: Close| {
            let tell = tell.clone();
            async move { tell.send(close.code).unwrap() }
        },
        async |message: Message| message,
    )))
    .await;
    drop(server.connect("/").await);
    assert_eq!(soon(told.recv()).await, Some(CloseCode::ABNORMAL));
}

#[tokio::test]
async fn an_idle_connection_is_closed_with_1001_and_a_busy_one_is_not() {
    let server = serve(gateway!(channel(
        "/",
        idle_timeout = 200ms,
        async |text: Text| {
            if text == "busy" {
                tokio::time::sleep(Duration::from_millis(600)).await;
            }
            text
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("busy").await, "busy");
    assert_eq!(client.closed().await, (1001, "idle".to_owned()));
}

#[tokio::test]
async fn messages_in_either_direction_keep_a_connection_from_being_idle() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        idle_timeout = 4s,
        registry = registry.clone(),
        move |_: Text| {
            let _ = tell.send(());
            std::future::ready(Reply::none())
        },
    )))
    .await;
    let pause = || tokio::time::sleep(Duration::from_millis(2500));
    let mut taker = server.connect("/").await;
    until("it is listed", || registry.len() == 1).await;
    let connection = registry.connections().remove(0);
    let taking = async {
        for _ in 0..2 {
            pause().await;
            connection.send("hello").await.unwrap();
            assert_eq!(taker.text().await, "hello");
        }
    };
    let mut giver = server.connect("/").await;
    let giving = async {
        for _ in 0..2 {
            pause().await;
            giver.send("hello").await;
            soon(told.recv()).await.unwrap();
        }
    };
    futures_util::future::join(taking, giving).await;
}

#[tokio::test]
async fn a_sender_waiting_for_room_learns_that_the_connection_ended() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/").await;
    client.ask("hello").await;
    let connection = registry.connections().remove(0);
    let filling = async { while connection.send(vec![7; 256 * 1024]).await.is_ok() {} };
    let leaving = async {
        let full = || {
            matches!(
                connection.try_send(vec![7; 256 * 1024]),
                Err(TrySendError::Full(_))
            )
        };
        until("the queue is full", full).await;
        drop(client);
    };
    soon(futures_util::future::join(filling, leaving)).await;
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_stays_if_it_answers() {
    let server = serve(gateway!(channel(
        "/",
        ping = 50ms,
        pong_timeout = 100ms,
        async |message: Message| message,
    )))
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..5 {
        // The client's library answers while the test reads from it.
        assert!(matches!(client.next().await, WsMessage::Ping(_)));
    }
    client.send("alive").await;
    while !matches!(client.next().await, WsMessage::Text(_)) {}
}

#[tokio::test]
async fn a_panic_is_answered_by_one_error_and_the_connection_stays() {
    let server = serve(gateway!(channel("/", async |text: Text| {
        assert!(text != "panic", "on purpose");
        text
    })))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("panic").await, "internal: internal error");
    assert_eq!(client.ask("fine").await, "fine");
}

#[tokio::test]
async fn requests_are_cancelled_when_the_client_is_gone() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = serve(gateway!(channel("/", move |_: Text| {
        let held = held.clone();
        async move {
            held.pass().await;
            "done"
        }
    })))
    .await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    until("it is running", || gate.running() == 1).await;
    drop(client);
    until("it is cancelled", || gate.running() == 0).await;
}

#[tokio::test]
async fn an_endless_duration_is_valid() {
    let server = serve_with(
        gateway!(channel(
            "/",
            ping = Duration::MAX,
            pong_timeout = Duration::MAX,
            idle_timeout = Duration::MAX,
            send_timeout = Duration::MAX,
            close_timeout = Duration::MAX,
            async |connection: Connection, text: Text| {
                connection.close(CloseCode::NORMAL);
                text
            },
        )),
        |server| {
            server
                .header_timeout(Duration::MAX)
                .request_timeout(Duration::MAX)
                .drain_timeout(Duration::MAX)
        },
    )
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("fine").await, "fine");
    assert_eq!(client.closed().await.0, 1000);
    server.drain().await.unwrap();
}
