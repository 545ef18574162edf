//! Failing networks, between the client and the gateway and between the gateway and its upstreams. Every message ends
//! in one reply or one error reply, or its connection ends and both sides learn of it. Everything works again when the
//! network does.

mod clients;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message as Frame};
use wasabi::{Close, prelude::*};
use wasabi_tests::{
    Client, TestServer,
    chaos::Chaos,
    serve, soon, until,
    upstream::{slow_echo, slow_service},
};

const MS: Duration = Duration::from_millis(1);

/// A client on the other side of the proxy.
async fn client(proxy: &Chaos, path: &str) -> Client {
    let url = format!("ws://{}{path}", proxy.addr);
    let (socket, response) = soon(connect_async(url)).await.expect("handshake");
    Client { socket, response }
}

/// Sends requests one after the other, and runs `fault` when some of them are answered. Each request must have one
/// outcome; returns the number of replies and of error replies.
async fn one_outcome_each(
    client: &mut Client,
    requests: usize,
    fault: impl FnOnce(),
) -> (usize, usize) {
    for id in 0..requests {
        client.send(json!({"do": "x", "id": id}).to_string()).await;
    }
    let mut fault = Some(fault);
    let mut outcomes = vec![0; requests];
    let (mut replies, mut errors) = (0, 0);
    for count in 0..requests {
        if count == requests / 4
            && let Some(fault) = fault.take()
        {
            fault();
        }
        let reply = client.json().await;
        let id = reply["id"].as_u64().expect("the id of a request");
        outcomes[id as usize] += 1;
        if reply["error"].is_null() {
            replies += 1;
        } else {
            errors += 1;
        }
    }
    assert_eq!(outcomes, vec![1; requests]);
    client.silent().await;
    (replies, errors)
}

/// Asks until it gets a reply that is not an error.
async fn works(client: &mut Client) {
    let question = json!({"do": "x", "id": "works?"});
    let works = async {
        loop {
            let answer = client.ask_json(question.clone()).await;
            if answer == question {
                return;
            }
            assert!(!answer["error"].is_null(), "{answer}");
        }
    };
    soon(works).await;
}

/// A fault, with its name.
type Fault = (&'static str, fn(&Chaos));

const FAULTS: [Fault; 4] = [
    ("cut", Chaos::cut),
    ("reset", Chaos::reset),
    ("half open", Chaos::half_open),
    ("refuse", |proxy| {
        proxy.refuse();
        proxy.reset();
    }),
];

#[tokio::test]
async fn requests_to_an_http_service_over_a_failing_network_have_one_outcome_each() {
    let proxy = Chaos::to(slow_service().await).await;
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        Http::post(format!("http://{}/", proxy.addr)).timeout(300ms),
    )))
    .await;
    for (name, fault) in FAULTS {
        let mut client = server.connect("/").await;
        let (replies, errors) = one_outcome_each(&mut client, 100, || fault(&proxy)).await;
        assert!(replies > 0 && errors > 0, "{name}: {replies}, {errors}");
        proxy.calm();
        works(&mut client).await;
    }
}

#[tokio::test]
async fn requests_to_a_websocket_server_over_a_failing_network_have_one_outcome_each() {
    let proxy = Chaos::to(slow_echo().await).await;
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [Timeout::new(400ms)],
        WebSocket::connect(format!("ws://{}/", proxy.addr))
            .correlate("/id")
            .connect_timeout(200ms)
            .reconnect(Backoff::constant(10ms)),
    )))
    .await;
    for (name, fault) in FAULTS {
        let mut client = server.connect("/").await;
        let (replies, errors) = one_outcome_each(&mut client, 100, || fault(&proxy)).await;
        assert!(replies > 0 && errors > 0, "{name}: {replies}, {errors}");
        proxy.calm();
        if name == "half open" {
            // Neither side has been told yet that this line is dead.
            proxy.reset();
        }
        works(&mut client).await;
    }
}

#[tokio::test]
async fn a_client_whose_upstream_is_lost_for_good_is_closed() {
    for fault in [Chaos::cut, Chaos::reset] {
        let proxy = Chaos::to(slow_echo().await).await;
        let server = serve(gateway!(channel(
            "/",
            WebSocket::connect(format!("ws://{}/", proxy.addr)),
        )))
        .await;
        let mut client = server.connect("/").await;
        assert_eq!(client.ask("hello").await, "hello");
        fault(&proxy);
        assert_eq!(client.closed().await.0, 1011);
    }
}

#[tokio::test]
async fn a_slow_network_to_upstreams_loses_and_reorders_nothing() {
    let proxies = (
        Chaos::to(slow_service().await).await,
        Chaos::to(slow_echo().await).await,
    );
    let server = serve(gateway!(
        channel(
            "/http",
            concurrency = 1,
            Http::post(format!("http://{}/", proxies.0.addr))
        ),
        channel(
            "/ws",
            WebSocket::connect(format!("ws://{}/", proxies.1.addr))
        ),
    ))
    .await;
    for (path, proxy) in [("/http", &proxies.0), ("/ws", &proxies.1)] {
        proxy.delay(2 * MS);
        proxy.throttle(700);
        let mut client = server.connect(path).await;
        for n in 0..30 {
            client.send(format!("{n} {}", "x".repeat(n * 50))).await;
        }
        for n in 0..30 {
            assert_eq!(client.text().await, format!("{n} {}", "x".repeat(n * 50)));
        }
    }
}

/// A service that answers each connection with these bytes, after a moment, and then does nothing or closes it.
async fn liar(answer: &'static [u8], pause: Duration, closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = socket.read(&mut [0; 1024]).await;
                sleep(pause).await;
                let _ = socket.write_all(answer).await;
                if !closes {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    format!("http://{addr}/")
}

// Long: a table.
#[tokio::test]
async fn a_service_that_hangs_lies_or_is_late_causes_one_error_reply() {
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort";
    let long = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nlonger than it said";
    let none = b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n";
    let late = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate";
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n\xc3\x28";
    let chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx";
    let no_chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nmany\r\nx";
    let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal";
    let now = Duration::ZERO;
    for (what, upstream, code) in [
        ("hangs", liar(b"", now, false).await, "timed_out"),
        ("closes", liar(b"", now, true).await, "upstream_lost"),
        (
            "less than announced",
            liar(short, now, true).await,
            "upstream_lost",
        ),
        (
            "less, and waits",
            liar(short, now, false).await,
            "timed_out",
        ),
        ("no length", liar(none, now, true).await, "upstream_invalid"),
        (
            "an endless chunk",
            liar(chunk, now, true).await,
            "upstream_invalid",
        ),
        (
            "a chunk without a size",
            liar(no_chunk, now, true).await,
            "upstream_invalid",
        ),
        ("half a chunk", liar(half, now, true).await, "upstream_lost"),
        ("no text", liar(bytes, now, true).await, "upstream_invalid"),
        ("late", liar(late, 400 * MS, true).await, "timed_out"),
    ] {
        let server = serve(gateway!(channel(
            "/",
            parser = JsonKey::at("/do").id("/id"),
            Http::post(upstream).timeout(200ms),
        )))
        .await;
        let mut client = server.connect("/").await;
        let reply = client.ask_json(json!({"do": "x", "id": 1})).await;
        assert_eq!(
            (&reply["id"], &reply["error"]["code"]),
            (&json!(1), &json!(code)),
            "{what}: {reply}"
        );
        // The late answer belongs to no request.
        sleep(if what == "late" { 300 * MS } else { now }).await;
        client.silent().await;
    }
    // Bytes beyond the announced length are not an answer to the next request.
    let server = serve(gateway!(channel(
        "/",
        Http::post(liar(long, now, false).await)
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("1").await, "lo");
    assert_eq!(client.ask("2").await, "lo");
}
