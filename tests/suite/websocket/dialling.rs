//! When and how the gateway connects to the upstream.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use wasabi::{Close, GatewayError, prelude::*};
use wasabi_tests::{serve, serve_with, soon};

use wasabi_tests::websocket_upstream::Upstream;

#[tokio::test]
async fn twenty_concurrent_first_messages_make_one_dial_and_arrive_in_order() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel("/", WebSocket::connect(upstream.url("/"))));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    assert_eq!(upstream.dials(), 0);
    for n in 0..20 {
        client.send(n.to_string()).await;
    }
    let mut peer = upstream.accept().await;
    for n in 0..20 {
        assert_eq!(peer.text().await, n.to_string());
    }
    assert_eq!(upstream.dials(), 1);
}

#[tokio::test]
async fn an_eager_backend_dials_when_the_client_connects() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway!(channel("/", WebSocket::connect(upstream.url("/")).eager()));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let mut peer = upstream.accept().await;
    peer.send("welcome").await;
    assert_eq!(client.text().await, "welcome");
    client.send("thanks").await;
    assert_eq!(peer.text().await, "thanks");
    assert_eq!(upstream.dials(), 1);
}

#[tokio::test]
async fn a_failed_dial_answers_each_waiting_message_and_the_next_one_dials_again() {
    let upstream = Upstream::start().await;
    let url = upstream.url("/");
    let addr = upstream.stop().await;
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/id"),
        WebSocket::connect(url),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    for id in 0..3 {
        let reply = client
            .ask_json(serde_json::json!({"k": "x", "id": id}))
            .await;
        assert_eq!(reply["error"]["code"], "upstream_unreachable");
        assert_eq!(reply["id"], id);
    }
    let mut upstream = Upstream::start_at(addr).await;
    // The result of the last dial is remembered for a moment.
    let again = r#"{"k":"again"}"#;
    let mut peer = loop {
        client.send(again).await;
        tokio::select! {
            refused = client.json() => assert_eq!(refused["error"]["code"], "upstream_unreachable"),
            peer = upstream.accept() => break peer,
        }
    };
    assert_eq!(peer.text().await, again);
}

#[tokio::test]
async fn a_failed_dial_can_close_the_client_with_1014() {
    let upstream = Upstream::start().await;
    let url = upstream.url("/");
    upstream.stop().await;
    // tungstenite, the client here, does not allow sending 1014.
    let (send, mut closes) = tokio::sync::mpsc::unbounded_channel();
    let gateway = gateway!(channel(
        "/",
        on_disconnect = move |_, close: Close| {
            let _ = send.send(close.code.as_u16());
            async {}
        },
        WebSocket::connect(url).close_on_failed_dial(),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let reply = client.ask("hello").await;
    assert_eq!(reply, "upstream_unreachable: upstream cannot be reached");
    client.closed().await;
    assert_eq!(soon(closes.recv()).await, Some(1014));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_the_handshake_is_given_up_after_the_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/", silent.local_addr().expect("address"));
    let gateway = gateway!(channel("/", WebSocket::connect(url).connect_timeout(100ms)));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let reply = client.ask("hello").await;
    assert_eq!(reply, "upstream_unreachable: upstream cannot be reached");
}

#[tokio::test]
async fn an_upstream_that_only_supports_http_is_unreachable() {
    let refusing = serve(gateway!(get("/", async || "no WebSocket here"))).await;
    let gateway = gateway!(channel("/", WebSocket::connect(refusing.url("/"))));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let reply = client.ask("hello").await;
    assert_eq!(reply, "upstream_unreachable: upstream cannot be reached");
}

#[tokio::test]
async fn a_message_whose_request_was_given_up_while_it_waited_is_not_sent() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let mut upstream = Upstream::start().await;
    let (open, addr) = (Arc::clone(&gate), upstream.addr);
    let slow = WebSocket::connect("ws://upstream/").dial_with(move |_| {
        let open = Arc::clone(&open);
        async move {
            open.notified().await;
            tokio::net::TcpStream::connect(addr).await
        }
    });
    let gateway = gateway!(channel("/", middleware = [Timeout::new(50ms)], slow));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("too late").await, "timed_out: no reply in time");
    gate.notify_one();
    let mut peer = upstream.accept().await;
    client.send("in time").await;
    assert_eq!(peer.text().await, "in time");
}

#[tokio::test]
async fn a_custom_dialler_makes_the_stream() {
    let mut upstream = Upstream::start().await;
    let addr = upstream.addr;
    let dialler = WebSocket::connect("ws://somewhere.test/feed")
        .forward_headers(["x-user"])
        .dial_with(move |handshake| async move {
            assert_eq!(handshake.uri().host(), Some("somewhere.test"));
            assert_eq!(handshake.headers()["x-user"], "ada");
            tokio::net::TcpStream::connect(addr).await
        });
    let server = serve(gateway!(channel("/", dialler))).await;
    let mut client = server
        .connect_with("/", &[("x-user", "ada")])
        .await
        .expect("handshake");
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.uri.path(), "/feed");
    assert_eq!(peer.headers["host"], "somewhere.test");
    assert_eq!(peer.text().await, "hello");
}

#[tokio::test]
async fn endless_durations_are_valid() {
    let upstream = Upstream::start().await;
    let url = upstream.url("/");
    let echoing = upstream.echo();
    let patient = WebSocket::connect(url)
        .connect_timeout(Duration::MAX)
        .send_timeout(Duration::MAX);
    let server = serve(gateway!(channel("/", patient))).await;
    let mut client = server.connect("/").await;
    let large = "x".repeat(30_000);
    for _ in 0..100 {
        client.send(large.as_str()).await;
    }
    for _ in 0..100 {
        assert!(client.text().await == large);
    }
    echoing.abort();
}

#[tokio::test]
async fn the_dial_is_given_up_when_the_client_leaves() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let given_up = Arc::new(AtomicBool::new(false));
    let noticed = Arc::clone(&given_up);
    let slow = WebSocket::connect("ws://upstream/")
        .eager()
        .dial_with(move |_| {
            let dropped = Dropped(Arc::clone(&noticed));
            async move {
                let _dropped = dropped;
                std::future::pending::<io::Result<tokio::net::TcpStream>>().await
            }
        });
    let server = serve(gateway!(channel("/", slow))).await;
    let client = server.connect("/").await;
    client.close(1000, "").await;
    wasabi_tests::until("the dial is given up", || given_up.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn an_invalid_url_is_a_mistake_before_the_gateway_is_served() {
    let urls = [
        (
            "http://upstream/",
            "the scheme `http://` is not supported here",
        ),
        ("ws://user:secret@/", "has no host"),
        ("nonsense", "nonsense"),
    ];
    for (url, shown) in urls {
        let gateway = gateway!(channel("/", WebSocket::connect(url)));
        let mistakes = gateway.check().expect_err("a mistake");
        assert!(
            matches!(&mistakes[..], [GatewayError::Setting(text)] if text.contains(shown) && !text.contains("secret")),
            "{mistakes:?}"
        );
    }
    let host = ["Host"];
    let header = gateway!(channel(
        "/",
        WebSocket::connect("ws://upstream/").forward_headers(host)
    ));
    assert!(header.check().is_err());
}

#[tokio::test]
async fn a_client_that_waits_for_the_upstream_can_still_leave_and_the_server_drain() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/", silent.local_addr().expect("address"));
    let gateway = gateway!(channel("/", close_timeout = 50ms, WebSocket::connect(url)));
    let server = serve_with(gateway, |server| {
        server.drain_timeout(Duration::from_secs(4))
    })
    .await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    let (silent, _) = soon(silent.accept()).await.expect("a dial");
    let mut other = server.connect("/").await;
    other.send("hello").await;
    other.close(1000, "").await;
    server.handle.drain();
    assert!(client.text().await.starts_with("interrupted: "));
    assert_eq!(client.closed().await.0, 1012);
    server.ended().await.expect("drained");
    drop(silent);
}

/// An answer of this length does not end either: the connection stays open after it.
const ENDLESS: usize = 200_000;

/// Answers every handshake with these bytes.
async fn answering(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/", listener.local_addr().expect("address"));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer).await;
            if answer.len() < ENDLESS {
                let _ = stream.shutdown().await;
            }
            kept.push(stream);
        }
    });
    url
}

#[tokio::test]
async fn an_answer_may_come_in_pieces_with_the_first_message_behind_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/", listener.local_addr().expect("address"));
    let server = serve(gateway!(channel("/", WebSocket::connect(url).eager()))).await;
    let mut client = server.connect("/").await;
    let (mut stream, _) = soon(listener.accept()).await.expect("a dial");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("a handshake").into());
    }
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value)
    });
    let accept = derive_accept_key(key.expect("a key").as_bytes());
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    )
    .into_bytes();
    answer.extend(b"\x81\x05hello");
    for piece in answer.chunks(50) {
        stream.write_all(piece).await.expect("write");
        // Long enough for most pieces to be read separately.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.text().await, "hello");

    // No two frames have the same mask (RFC 6455, section 5.3).
    let mut masks = HashSet::new();
    for _ in 0..100 {
        client.send("hello").await;
        let mut frame = [0; 2 + 4 + 5];
        soon(stream.read_exact(&mut frame)).await.expect("a frame");
        masks.insert(frame[2..6].to_vec());
    }
    assert!(masks.len() > 95, "{}", masks.len());
}

#[tokio::test]
async fn interim_answers_before_the_handshakes_are_skipped_but_not_without_end() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    for (times, is_connected) in [(1, true), (8, true), (9, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("ws://{}/", listener.local_addr().expect("address"));
        let server = serve(gateway!(channel("/", WebSocket::connect(url)))).await;
        let mut client = server.connect("/").await;
        client.send("hello").await;
        let (mut stream, _) = soon(listener.accept()).await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            soon(stream.read_buf(&mut head)).await.expect("a head");
        }
        let head = String::from_utf8(head).expect("text");
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = derive_accept_key(key.expect("a key").as_bytes());
        let answer = format!(
            "{}HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: {accept}\r\n\r\n",
            interim.repeat(times)
        );
        stream.write_all(answer.as_bytes()).await.expect("write");
        stream.write_all(b"\x81\x05there").await.expect("write");
        let expected = match is_connected {
            true => "there",
            false => "upstream_unreachable: upstream cannot be reached",
        };
        assert_eq!(client.text().await, expected, "{times}");
    }
}

#[tokio::test]
async fn an_invalid_answer_to_the_handshake_is_refused() {
    let endless = &*format!("HTTP/1.1 101 OK\r\nx: {}", "y".repeat(ENDLESS)).leak();
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
          sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        b"HTTP/1.1 101",
        b"\x81\x05hello",
        endless.as_bytes(),
    ] {
        let url = answering(answer).await;
        let server = serve(gateway!(channel("/", WebSocket::connect(url)))).await;
        let mut client = server.connect("/").await;
        let reply = client.ask("hello").await;
        assert_eq!(reply, "upstream_unreachable: upstream cannot be reached");
    }
}
