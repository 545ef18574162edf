//! WebSockets over HTTP/2 streams (RFC 8441), and other requests beside them.

use bytes::Bytes;
use flate2::Decompress;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use wasabi::{Close, prelude::*};
use wasabi_tests::{
    TestServer, deflate,
    http2::{Http2, Stream, upgraded},
    raw::frame,
    serve_with, soon, told, until,
};

async fn serve(gateway: Gateway) -> TestServer {
    serve_with(gateway, |server| server.http2_streams(100)).await
}

async fn next(stream: &mut Stream) -> WsMessage {
    soon(stream.next()).await.unwrap().unwrap()
}

async fn echo(stream: &mut Stream, text: &str) {
    soon(stream.send(text.into())).await.unwrap();
    assert_eq!(next(stream).await, WsMessage::text(text));
}

fn gateway() -> Gateway {
    gateway!(
        get("/livez", async || "alive"),
        channel(
            "/echo",
            max_message_size = 4MiB,
            async |message: Message| message
        ),
    )
}

#[tokio::test]
async fn any_number_of_requests_may_be_answered_on_a_socket() {
    let server = serve(gateway()).await;
    let mut http2 = Http2::connect(&server).await;
    for _ in 0..500 {
        assert_eq!(http2.get("/livez").await.status(), 200);
    }
}

#[tokio::test]
async fn many_websockets_share_a_socket() {
    let server = serve(gateway()).await;
    let mut http2 = Http2::connect(&server).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(http2.open("/echo").await);
    }
    for (n, stream) in streams.iter_mut().enumerate() {
        echo(stream, &n.to_string()).await;
    }
    let large = Bytes::from(vec![7; 3 << 20]);
    soon(streams[0].send(large.clone().into())).await.unwrap();
    assert_eq!(next(&mut streams[0]).await, WsMessage::Binary(large));
    assert_eq!(http2.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn http_1_works_on_the_same_address() {
    let server = serve(gateway()).await;
    let mut client = server.connect("/echo").await;
    assert_eq!(client.ask("hello").await, "hello");
    assert_eq!(server.get("/livez").await, 200);
    // Begins like the preface.
    let answer = server
        .raw("PRI / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn without_the_setting_http_2_is_off() {
    let server = wasabi_tests::serve(gateway()).await;
    let answer = server.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
}

#[tokio::test]
async fn hooks_and_backends_see_the_same_as_over_http_1() {
    let server = serve(gateway!(
        get("/livez", async || "alive"),
        channel(
            "/v1/{tenant}",
            subprotocols = ["chat.v2", "chat.v1"],
            async |connection: Connection| {
                let header = |name: &str| {
                    let value = connection.headers().get(name);
                    value
                        .map_or("-", |value| value.to_str().unwrap())
                        .to_owned()
                };
                format!(
                    "{} {} {} {} {} {}",
                    connection.uri(),
                    connection.path::<String>().unwrap(),
                    header("host"),
                    header("x-app"),
                    connection.subprotocol().unwrap_or("-"),
                    connection.remote_addr().is_some(),
                )
            }
        )
    ))
    .await;
    let mut http2 = Http2::connect(&server).await;
    let headers = [("x-app", "7"), ("sec-websocket-protocol", "chat.v1")];
    let response = http2.ask("/v1/acme?a=b", &headers).await;
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v1");
    let mut stream = upgraded(response).await;
    soon(stream.send("?".into())).await.unwrap();
    let expected = format!("/v1/acme?a=b acme {} 7 chat.v1 true", server.addr);
    assert_eq!(next(&mut stream).await, WsMessage::text(expected));
}

#[tokio::test]
async fn an_invalid_handshake_is_refused() {
    let server = serve(gateway()).await;
    let mut http2 = Http2::connect(&server).await;
    let status = async |http2: &mut Http2, protocol: Option<&'static str>, version: &str| {
        let mut request = http2.request(Method::CONNECT, "/echo");
        if let Some(protocol) = protocol {
            let protocol = Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
        }
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert("sec-websocket-version", version.parse().unwrap());
        soon(http2.requests.send_request(request))
            .await
            .map(|response| response.status().as_u16())
    };
    assert_eq!(
        status(&mut http2, Some("websocket"), "8").await.unwrap(),
        400
    );
    assert_eq!(
        status(&mut http2, Some("connect-udp"), "13").await.unwrap(),
        501
    );
    assert_eq!(http2.get("/echo").await.status(), 400);
    // A tunnel to a host, which has no path.
    assert_eq!(status(&mut http2, None, "13").await.unwrap(), 404);
    let forbidden = http2
        .ask("/echo", &[("origin", "https://evil.example")])
        .await;
    assert_eq!(forbidden.status(), 403);
    let own = format!("http://{}", server.addr);
    let allowed = http2.ask("/echo", &[("origin", &own)]).await;
    assert_eq!(allowed.status(), 200);
}

#[tokio::test]
async fn a_close_ends_the_stream_and_leaves_the_socket_open() {
    let registry = Registry::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = serve(gateway!(
        get("/livez", async || "alive"),
        channel(
            "/",
            registry = registry.clone(),
            on_disconnect = move |_: Connection, close: Close| {
                let _ = tell.send((close.code.as_u16(), close.reason.to_string()));
                std::future::ready(())
            },
            async |connection: Connection, text: Text| {
                connection.close(wasabi::Close::new(
                    wasabi::CloseCode::new::<4000>(),
                    "server",
                ));
                text
            }
        )
    ))
    .await;
    let mut http2 = Http2::connect(&server).await;

    let mut stream = http2.open("/").await;
    echo(&mut stream, "close").await;
    match next(&mut stream).await {
        WsMessage::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 4000),
        other => panic!("expected a close frame, got {other:?}"),
    }
    assert!(soon(stream.next()).await.is_none());
    assert_eq!(soon(told.recv()).await, Some((4000, "server".into())));

    // A reset stream is a lost connection.
    drop(http2.open("/").await);
    assert_eq!(soon(told.recv()).await.unwrap().0, 1006);
    until("the registry is empty", || registry.is_empty()).await;
    assert_eq!(http2.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn limits_count_streams_and_not_sockets() {
    let server = serve_with(
        gateway!(
            get("/livez", async || "alive"),
            channel("/few", max_connections = 2, async |text: Text| text),
            channel("/many", async |text: Text| text),
        ),
        // One place is for the socket itself.
        |server| server.http2_streams(100).max_sockets(4),
    )
    .await;
    let mut http2 = Http2::connect(&server).await;
    let first = http2.open("/few").await;
    let _second = http2.open("/few").await;
    let refused = http2.ask("/few", &[]).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (http::StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    let _third = http2.open("/many").await;
    let refused = http2.ask("/many", &[]).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (http::StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    // Requests that end soon are not limited by this.
    assert_eq!(http2.get("/livez").await.status(), 200);
    drop(first);
    let asking = async { while http2.ask("/few", &[]).await.status() != 200 {} };
    soon(asking).await;
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight_closes_with_1012_and_ends_the_socket() {
    let server = serve(gateway!(
        get("/livez", async || "alive"),
        channel("/", async |text: Text| {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            text
        })
    ))
    .await;
    let mut http2 = Http2::connect(&server).await;
    let mut stream = http2.open("/").await;
    let mut idle = http2.open("/").await;
    soon(stream.send("in flight".into())).await.unwrap();
    soon(stream.send(WsMessage::Ping(Bytes::new())))
        .await
        .unwrap();
    assert!(next(&mut stream).await.is_pong());
    server.handle.drain();
    assert_eq!(next(&mut stream).await, WsMessage::text("in flight"));
    for stream in [&mut stream, &mut idle] {
        match next(stream).await {
            WsMessage::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1012),
            other => panic!("expected a close frame, got {other:?}"),
        }
        assert!(soon(stream.next()).await.is_none());
    }
    server.ended().await.unwrap();
    until("the socket is closed", || http2.requests.is_closed()).await;
}

/// Frames written by hand, because tungstenite does not compress.
#[tokio::test]
async fn messages_on_streams_are_compressed_as_well() {
    let server = serve(gateway!(
        get("/livez", async || "alive"),
        channel(
            "/echo",
            compression = Compression::deflate().threshold(64B),
            async |message: Message| message
        ),
    ))
    .await;
    let mut socket = Http2::connect(&server).await;
    let offer = ("sec-websocket-extensions", "permessage-deflate");
    let response = socket.ask("/echo", &[offer]).await;
    assert_eq!(
        response.headers()["sec-websocket-extensions"],
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    );
    let mut stream = TokioIo::new(soon(hyper::upgrade::on(response)).await.unwrap());
    let text = "up and down, ".repeat(100);
    for _ in 0..3 {
        let message = frame(0xc1, &deflate::alone(text.as_bytes()));
        assert!(message.len() < 100);
        stream.write_all(&message).await.unwrap();
        let (first, reply) = deflate::read(&mut stream).await;
        assert_eq!(first, 0xc1);
        assert!(reply.len() < 100, "{} bytes", reply.len());
        let reply = deflate::inflate(&mut Decompress::new(false), &reply);
        assert_eq!(reply, text.as_bytes());
    }
    // Another stream of the same socket works without compression.
    let mut plain = socket.open("/echo").await;
    echo(&mut plain, &text).await;
}

#[tokio::test]
async fn a_stream_whose_client_reads_nothing_is_closed_with_1008_and_others_continue() {
    let (hook, mut told) = told();
    let server = serve(gateway!(
        get("/livez", async || "alive"),
        channel("/echo", async |text: Text| text),
        channel(
            "/",
            send_timeout = 300ms,
            on_disconnect = hook,
            async |_: Text| vec![7_u8; 16 << 20],
        ),
    ))
    .await;
    let mut http2 = Http2::connect(&server).await;
    let mut calm = http2.open("/echo").await;
    let mut stalled = http2.open("/").await;
    soon(stalled.send("go".into())).await.unwrap();
    echo(&mut calm, "meanwhile").await;
    assert_eq!(soon(told.recv()).await, Some(1008));
    echo(&mut calm, "afterwards").await;
    assert_eq!(http2.get("/livez").await.status(), 200);
}
