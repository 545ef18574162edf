//! Under fire: clients that stall, flood, lie or leave, and code of the user's that panics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{Close, CloseCode, ErrorFormat, prelude::*};
use wasabi_tests::{TestServer, serve, serve_with, soon, until};

use super::connection::{frame, open_raw, raw_close};

const HANDSHAKE: &str = "connection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn echo() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

/// The status line that answers these bytes.
async fn status(server: &TestServer, bytes: &[u8]) -> String {
    let mut stream = server.tcp().await;
    stream.write_all(bytes).await.unwrap();
    let mut head = vec![0; 12];
    let _ = soon(stream.read_exact(&mut head)).await;
    String::from_utf8_lossy(&head).into_owned()
}

// Handshakes

#[tokio::test]
async fn a_handshake_with_a_body_gets_400() {
    let server = serve(echo()).await;
    for body in [
        "content-length: 4\r\n\r\nabcd",
        "content-length: 100000\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}{body}");
        let status = status(&server, request.as_bytes()).await;
        assert_eq!(status, "HTTP/1.1 400", "{body:?}");
    }
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}content-length: 0\r\n\r\n");
    assert_eq!(status(&server, request.as_bytes()).await, "HTTP/1.1 101");
}

#[tokio::test]
async fn a_missing_or_repeated_header_that_is_needed_once_gets_400() {
    let server = serve(echo()).await;
    for more in [
        "",
        "host: a\r\nhost: b\r\n",
        "host: a\r\nsec-websocket-version: 8\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\n{more}{HANDSHAKE}\r\n");
        let status = status(&server, request.as_bytes()).await;
        assert_eq!(status, "HTTP/1.1 400", "{more:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_no_base64_gets_400() {
    let server = serve(echo()).await;
    let handshake = HANDSHAKE.replace("dGhlIHNh", "d\u{7e}hlI.Nh");
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{handshake}\r\n");
    assert_eq!(status(&server, request.as_bytes()).await, "HTTP/1.1 400");
}

#[tokio::test]
async fn frames_right_behind_the_handshake_are_read() {
    let server = serve(echo()).await;
    let mut stream = server.tcp().await;
    let mut bytes = format!("GET / HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}\r\n").into_bytes();
    bytes.extend(frame(0x81, b"early"));
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x81\x05early") {
        answer.push(soon(stream.read_u8()).await.unwrap());
    }
}

#[tokio::test]
async fn a_head_over_64_kib_is_refused() {
    let server = serve(echo()).await;
    let filler = "x".repeat(100_000);
    let request = format!("GET / HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}x-filler: {filler}\r\n\r\n");
    assert_eq!(status(&server, request.as_bytes()).await, "HTTP/1.1 431");
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

/// The kernel's own probes; a client without `ping` would otherwise stay for ever when its machine is gone.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_probes_clients_that_are_silent() {
    let server = serve(echo()).await;
    let client = open_raw(&server).await;
    let ports = [server.addr.port(), client.local_addr().unwrap().port()];
    let [local, remote] = ports.map(|port| format!("0100007F:{port:04X}"));
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let socket = sockets
        .lines()
        .find(|line| line.contains(&format!("{local} {remote}")))
        .expect("the server's socket");
    let timer = socket.split_whitespace().nth(5).unwrap();
    assert!(timer.starts_with("02:"), "no keep-alive timer: {timer}");
}

// Plain HTTP endpoints

#[tokio::test]
async fn a_body_that_trickles_in_is_cut_after_the_request_timeout() {
    let server = serve_with(gateway!(post("/", async |body: String| body)), |server| {
        server.request_timeout(Duration::from_millis(200))
    })
    .await;
    let mut stream = server.tcp().await;
    let head = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let (mut reader, mut writer) = stream.split();
    let trickle = async {
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        read = soon(reader.read_to_string(&mut answer)) => drop(read),
        () = trickle => {}
    }
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer:?}");
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_cut_after_the_request_timeout() {
    let server = serve_with(
        gateway!(get("/", async || vec![b'x'; 64 << 20])),
        |server| {
            server
                .request_timeout(Duration::from_millis(300))
                .max_sockets(1)
        },
    )
    .await;
    let mut stalled = server.tcp().await;
    let request = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    stalled.write_all(request.as_bytes()).await.unwrap();
    // Its place is free again although it is still connected.
    let mut next = server.tcp().await;
    next.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    soon(next.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    drop(stalled);
}

// Panics

/// Closed by the server while a request is in flight; the next message is parsed while it drains.
#[tokio::test]
async fn a_panic_in_the_parser_of_a_closing_connection_costs_one_reply() {
    fn parse(message: &Message) -> Result<Option<Envelope<'_>>> {
        assert!(message.as_text() != Some("panic"), "on purpose");
        Ok(Some(Envelope::from_static("x")))
    }
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let (hook, mut told) = told();
    let server = serve(gateway!(channel(
        "/",
        parser = parse,
        on_disconnect = hook,
        move |connection: Connection| {
            let held = held.clone();
            async move {
                connection.close(CloseCode::new(4000));
                held.notified().await;
                "done"
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("close").await;
    client.send("too late").await;
    let early = client.text().await;
    assert!(early.starts_with("closing: "), "{early}");
    client.send("panic").await;
    let answer = client.text().await;
    assert!(answer.starts_with("closing: "), "{answer}");
    gate.notify_one();
    assert_eq!(client.text().await, "done");
    assert_eq!(client.closed().await.0, 4000);
    assert_eq!(soon(told.recv()).await, Some(4000));
}

#[tokio::test]
async fn a_panic_in_the_error_format_costs_one_reply() {
    let (hook, mut told) = told();
    let server = serve(gateway!(channel(
        "/",
        errors = ErrorFormat::with(|error, _| -> String {
            assert!(!error.to_string().contains("boom"), "on purpose");
            "an error".to_owned()
        }),
        on_disconnect = hook,
        async |text: Text| -> Result<Text> {
            match &*text {
                "boom" => Err(wasabi::Error::bad_request("boom")),
                "bad" => Err(wasabi::Error::bad_request("bad")),
                _ => Ok(text),
            }
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("boom").await, "internal: internal error");
    assert_eq!(client.ask("bad").await, "an error");
    assert_eq!(client.ask("fine").await, "fine");
    client.close(4001, "").await;
    assert_eq!(soon(told.recv()).await, Some(4001));
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("on purpose");
        }
    }
}

impl Stream for Bomb {
    type Item = String;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<String>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_panic_in_a_destructor_does_not_keep_the_hook_from_running() {
    let registry = Registry::new();
    let (hook, mut told) = told();
    let server = serve(gateway!(channel(
        "/{what}",
        registry = registry.clone(),
        on_disconnect = hook,
        async |connection: Connection| -> Result<Reply> {
            match connection.uri().path() {
                "/stream" => Replies(Bomb).into_reply(),
                _ => {
                    let _bomb = Bomb;
                    std::future::pending::<Result<Reply>>().await
                }
            }
        },
    )))
    .await;
    for path in ["/stream", "/future"] {
        let mut client = server.connect(path).await;
        client.send("x").await;
        client.send(WsMessage::Ping("".into())).await;
        client.next().await;
        let connection = registry.connections().pop().unwrap();
        client.close(4002, "").await;
        assert_eq!(soon(told.recv()).await, Some(4002), "{path}");
        assert_eq!(soon(connection.closed()).await.code.as_u16(), 4002);
        until("the registry is empty", || registry.is_empty()).await;
    }
    // Lost, and not closed.
    let mut client = server.connect("/future").await;
    client.send("x").await;
    client.send(WsMessage::Ping("".into())).await;
    client.next().await;
    drop(client);
    assert_eq!(soon(told.recv()).await, Some(1006));
}

#[tokio::test]
async fn a_place_is_free_again_whatever_panicked() {
    let server = serve(gateway!(channel(
        "/{what}",
        max_connections = 1,
        on_connect = async |connection: Connection| {
            assert!(connection.uri().path() != "/connect", "on purpose");
        },
        on_disconnect = async |connection: Connection, _: Close| {
            assert!(connection.uri().path() != "/disconnect", "on purpose");
        },
        async |text: Text| -> Result<Text> {
            match &*text {
                "panic" => panic!("on purpose"),
                "bomb" => {
                    let _bomb = Bomb;
                    std::future::pending().await
                }
                _ => Ok(text),
            }
        },
    )))
    .await;
    for path in ["/connect", "/disconnect", "/panic", "/bomb"] {
        let mut client = place(&server, path).await;
        client.send(&path[1..]).await;
        if path == "/panic" {
            assert_eq!(client.text().await, "internal: internal error");
        }
        client.close(1000, "").await;
    }
    let mut last = place(&server, "/fine").await;
    assert_eq!(last.ask("fine").await, "fine");
    let refused = server.connect_with("/fine", &[]).await.err().unwrap();
    assert_eq!(refused.status(), 503);
}

/// A connection, as soon as there is a place for it.
async fn place(server: &TestServer, path: &str) -> wasabi_tests::Client {
    let asking = async {
        loop {
            if let Ok(client) = server.connect_with(path, &[]).await {
                return client;
            }
        }
    };
    soon(asking).await
}

/// An `on_disconnect` hook that tells the codes.
fn told() -> (
    impl Fn(Connection, Close) -> std::future::Ready<()> + Send + Sync + 'static,
    mpsc::UnboundedReceiver<u16>,
) {
    let (tell, told) = mpsc::unbounded_channel();
    let hook = move |_: Connection, close: Close| {
        let _ = tell.send(close.code.as_u16());
        std::future::ready(())
    };
    (hook, told)
}

// Slow clients

#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_is_not_closed() {
    let size = 24 << 20;
    let server = serve(gateway!(channel(
        "/",
        send_timeout = 300ms,
        async |_: Text| vec![7_u8; 24 << 20],
    )))
    .await;
    let mut stream = open_raw(&server).await;
    stream.write_all(&frame(0x81, b"go")).await.unwrap();
    let start = Instant::now();
    let mut buffer = vec![0; 1 << 20];
    let mut left = 10 + size;
    while left > 0 {
        let read = soon(stream.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "closed, {left} bytes before the end");
        left -= read;
        sleep(Duration::from_millis(30)).await;
    }
    assert!(start.elapsed() > Duration::from_millis(600), "too easy");
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
    let mut stream = open_raw(&server).await;
    // In the middle of a frame no pong can be sent.
    let message = frame(0x82, &[7; 20_000]);
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
async fn what_was_queued_arrives_although_the_connection_goes_idle() {
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

#[tokio::test]
async fn a_stop_tells_its_code_also_for_a_client_that_takes_nothing() {
    let (hook, mut told) = told();
    let server = serve_with(
        gateway!(channel("/", on_disconnect = hook, async |_: Text| {
            vec![7_u8; 24 << 20]
        },)),
        |server| server.drain_timeout(Duration::from_millis(200)),
    )
    .await;
    let mut stream = open_raw(&server).await;
    stream.write_all(&frame(0x81, b"go")).await.unwrap();
    // The reply is on its way.
    soon(stream.read_u8()).await.unwrap();
    server.drain().await.unwrap();
    assert_eq!(told.recv().await, Some(1012));
}

#[tokio::test]
async fn requests_that_are_cut_at_the_close_timeout_are_answered_closing() {
    let server = serve(gateway!(channel(
        "/",
        concurrency = 2,
        close_timeout = 200ms,
        async |connection: Connection, text: Text| {
            if text == "close" {
                connection.close(CloseCode::new(4000));
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
    for (client, requests) in [(&mut other, 1)] {
        for _ in 0..requests {
            let answer = client.text().await;
            assert!(answer.starts_with("closing: "), "{answer}");
        }
        assert_eq!(client.closed().await.0, 4000);
    }
    // Of the server's drain, too: those in flight, and the one that waits for a slot.
    server.handle.drain();
    for _ in 0..3 {
        let answer = client.text().await;
        assert!(answer.starts_with("closing: "), "{answer}");
    }
    assert_eq!(client.closed().await.0, 1012);
}

#[tokio::test]
async fn a_time_without_end_is_no_mistake() {
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

// Floods

#[tokio::test]
async fn endless_empty_fragments_are_closed_with_1009() {
    let server = serve(echo()).await;
    let mut stream = open_raw(&server).await;
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        let _ = writer.write_all(&frame(0x01, b"")).await;
        let many = frame(0x00, b"").repeat(1000);
        // 600 000 frames; a ping now and then makes no difference.
        for _ in 0..600 {
            if writer.write_all(&many).await.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    let mut head = [0; 4];
    tokio::select! {
        read = soon(reader.read_exact(&mut head)) => drop(read.unwrap()),
        () = flood => panic!("cut without a close frame"),
    }
    assert_eq!(
        (head[0], u16::from_be_bytes([head[2], head[3]])),
        (0x88, 1009)
    );
}

#[tokio::test]
async fn a_message_in_fragments_of_a_few_bytes_arrives_whole_between_pings() {
    let server = serve(echo()).await;
    let mut stream = open_raw(&server).await;
    for _ in 0..20 {
        stream.write_all(&frame(0x01, b"")).await.unwrap();
        for n in 0..1000 {
            stream.write_all(&frame(0x00, b"12345678")).await.unwrap();
            if n % 500 == 0 {
                stream.write_all(&frame(0x89, b"ping")).await.unwrap();
            }
        }
        stream.write_all(&frame(0x80, b"")).await.unwrap();
        let mut answer = vec![0; 2 * 6 + 4 + 8000];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert!(answer.ends_with(b"12345678"));
    }
}

#[tokio::test]
async fn a_flood_of_pings_or_pongs_is_closed_with_1008() {
    let server = serve(echo()).await;
    for opcode in [0x89, 0x8a] {
        let mut stream = open_raw(&server).await;
        stream
            .write_all(&frame(opcode, b"").repeat(1000))
            .await
            .unwrap();
        let mut answer = [0; 4];
        loop {
            soon(stream.read_exact(&mut answer[..2])).await.unwrap();
            if answer[0] == 0x88 {
                break;
            }
        }
        soon(stream.read_exact(&mut answer[2..])).await.unwrap();
        assert_eq!(u16::from_be_bytes([answer[2], answer[3]]), 1008);
    }
}

#[tokio::test]
async fn pings_now_and_then_are_welcome_for_ever() {
    let server = serve(echo()).await;
    let mut stream = open_raw(&server).await;
    let mut answer = [0; 6];
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2500) {
        stream.write_all(&frame(0x89, b"ping")).await.unwrap();
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"\x8a\x04ping");
        sleep(Duration::from_millis(15)).await;
    }
}

#[tokio::test]
async fn close_codes_that_may_not_be_sent_are_answered_with_1002_and_never_repeated() {
    let server = serve(echo()).await;
    for code in [
        0_u16,
        999,
        1004,
        1005,
        1006,
        1015,
        1016,
        2999,
        5000,
        u16::MAX,
    ] {
        let mut stream = open_raw(&server).await;
        stream
            .write_all(&frame(0x88, &code.to_be_bytes()))
            .await
            .unwrap();
        assert_eq!(raw_close(&mut stream).await, 1002, "{code}");
    }
    for code in [1000_u16, 1003, 1007, 1011, 1013, 3000, 4999] {
        let mut stream = open_raw(&server).await;
        stream
            .write_all(&frame(0x88, &code.to_be_bytes()))
            .await
            .unwrap();
        assert_eq!(raw_close(&mut stream).await, code);
    }
}

#[tokio::test]
async fn lengths_that_lie_are_answered_without_allocating_them() {
    let server = serve(echo()).await;
    for (length, code) in [(i64::MAX as u64, 1009), (u64::MAX, 1002), (1 << 63, 1002)] {
        let mut stream = open_raw(&server).await;
        let mut bytes = vec![0x82, 0xff];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(raw_close(&mut stream).await, code, "{length:x}");
    }
}

#[tokio::test]
async fn a_flood_of_one_client_does_not_starve_the_others() {
    let server = serve(echo()).await;
    let mut flood: TcpStream = open_raw(&server).await;
    let mut calm = server.connect("/").await;
    let (mut reader, mut writer) = flood.split();
    let messages = frame(0x82, &[7; 10]).repeat(1000);
    let write = async { while writer.write_all(&messages).await.is_ok() {} };
    let mut sink = vec![0; 1 << 16];
    let read = async { while matches!(reader.read(&mut sink).await, Ok(1..)) {} };
    let ask = async {
        let mut slowest = Duration::ZERO;
        for n in 0..50 {
            let start = Instant::now();
            assert_eq!(calm.ask(&n.to_string()).await, n.to_string());
            slowest = slowest.max(start.elapsed());
        }
        slowest
    };
    let slowest = tokio::select! {
        slowest = ask => slowest,
        _ = futures_util::future::join(write, read) => panic!("the flood ended"),
    };
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn a_client_that_keeps_sending_through_a_drain_ends_once_and_all_it_was_owed_arrives() {
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
