//! Answers of HTTP services that become messages as they arrive.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use wasabi::prelude::*;
use wasabi_tests::{SOON, serve, soon};

/// A service that answers as the test tells it to, through the sockets of its requests.
struct Service {
    url: String,
    requests: mpsc::UnboundedReceiver<TcpStream>,
}

impl Service {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let (tell, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a head"));
                }
                let _ = tell.send(stream);
            }
        });
        Self { url, requests }
    }

    async fn request(&mut self) -> TcpStream {
        soon(self.requests.recv()).await.expect("a request")
    }

    /// Accepts the next request and sends the head of its answer.
    async fn answer(&mut self, content_type: &str) -> TcpStream {
        let mut stream = self.request().await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n");
        say(&mut stream, &head).await;
        stream
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    soon(stream.write_all(text.as_bytes())).await.expect("sent");
}

const EVENTS: &str = "text/event-stream; charset=utf-8";
const INVALID: &str = "upstream_invalid: upstream sent an invalid answer";

#[tokio::test]
async fn events_become_messages_as_soon_as_they_arrive() {
    let mut service = Service::new().await;
    let backend = Http::get(&service.url).streaming(Sse);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let mut stream = service.answer(EVENTS).await;
    say(
        &mut stream,
        ": hello\r\n\r\nevent: token\r\ndata: one\r\ndata: more\r\n\r\nda",
    )
    .await;
    assert_eq!(client.text().await, "one\nmore");
    say(&mut stream, "ta: two\r\n\r\ndata: never").await;
    assert_eq!(client.text().await, "two");
    drop(stream);
    // The reply has ended, so another request gets its turn.
    client.send("go").await;
    let mut stream = service.answer(EVENTS).await;
    say(&mut stream, "data: three\n\n").await;
    assert_eq!(client.text().await, "three");
}

#[tokio::test]
async fn a_function_decides_what_clients_receive_of_events() {
    let mut service = Service::new().await;
    let told = Sse.tell(|event| {
        let text = format!("{} {} {}", event.name, event.id, event.data);
        (event.name != "ping").then(|| text.into())
    });
    let backend = Http::get(&service.url).streaming(told);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let mut stream = service.answer(EVENTS).await;
    say(
        &mut stream,
        "id: 7\ndata: a\n\nevent: ping\ndata: b\n\nevent: end\ndata: c\n\n",
    )
    .await;
    assert_eq!(client.text().await, "message 7 a");
    assert_eq!(client.text().await, "end 7 c");
}

#[tokio::test]
async fn lines_become_messages_as_soon_as_they_arrive() {
    let mut service = Service::new().await;
    let backend = Http::post(&service.url).streaming(Lines);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("").await;
    let mut stream = service.answer("application/x-ndjson").await;
    say(&mut stream, "{\"n\":1}\n\n{\"n\"").await;
    assert_eq!(client.text().await, "{\"n\":1}");
    say(&mut stream, ":2}\r\n{\"n\":3}").await;
    assert_eq!(client.text().await, "{\"n\":2}");
    drop(stream);
    assert_eq!(client.text().await, "{\"n\":3}");
}

#[tokio::test]
async fn a_body_of_another_kind_is_an_error() {
    let mut service = Service::new().await;
    let server = serve(gateway!(
        channel("/sse", Http::get(&service.url).streaming(Sse)),
        channel(
            "/lines",
            Http::get(&service.url).streaming(Lines).max_reply_size(10)
        ),
    ))
    .await;
    let mut client = server.connect("/sse").await;
    client.send("go").await;
    drop(service.answer("application/json").await);
    assert_eq!(client.text().await, INVALID);
    client.send("go").await;
    say(
        &mut service.request().await,
        "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert!(client.text().await.starts_with("upstream_status: "));
    client.send("go").await;
    say(&mut service.request().await, "HTTP/1.1 204 None\r\n\r\n").await;
    client.silent().await;

    let mut client = server.connect("/lines").await;
    client.send("go").await;
    let mut stream = service.answer("text/plain").await;
    say(&mut stream, "0123456789\n01234567890").await;
    assert_eq!(client.text().await, "0123456789");
    assert_eq!(client.text().await, INVALID);
    client.send("go").await;
    drop(service.answer("text/plain; charset=utf-16").await);
    assert_eq!(client.text().await, INVALID);
    client.send("go").await;
    let mut stream = service.answer("text/plain").await;
    stream.write_all(b"n\xe9\n").await.expect("sent");
    assert_eq!(client.text().await, INVALID);
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_an_error_after_its_messages() {
    let mut service = Service::new().await;
    let backend = Http::get(&service.url).streaming(Sse);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let mut stream = service.request().await;
    let head =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n";
    say(&mut stream, head).await;
    say(&mut stream, "9\r\ndata: a\n\n\r\n").await;
    assert_eq!(client.text().await, "a");
    drop(stream);
    assert!(client.text().await.starts_with("upstream_lost: "));
}

#[tokio::test]
async fn a_service_that_sends_comments_is_not_silent_and_one_that_sends_nothing_is() {
    let mut service = Service::new().await;
    let backend = Http::get(&service.url)
        .timeout(Duration::from_millis(300))
        .streaming(Sse);
    let server = serve(gateway!(channel("/", stream_idle_timeout = 300ms, backend))).await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let mut stream = service.answer(EVENTS).await;
    for _ in 0..10 {
        say(&mut stream, ": still there\n\n").await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    say(&mut stream, "data: at last\n\n").await;
    assert_eq!(client.text().await, "at last");
    assert!(client.text().await.starts_with("timed_out: "));
    assert!(is_closed(&mut stream).await);
}

/// Whether the gateway has abandoned a request.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(SOON, stream.read(&mut [0; 64])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request_of_the_service_and_frees_its_place() {
    let mut service = Service::new().await;
    let backend = Http::get(&service.url).concurrency(1).streaming(Sse);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut first = server.connect("/").await;
    first.send("go").await;
    let mut stream = service.answer(EVENTS).await;
    say(&mut stream, "data: one\n\n").await;
    assert_eq!(first.text().await, "one");
    let mut second = server.connect("/").await;
    second.send("go").await;
    second.silent().await;
    assert!(service.requests.try_recv().is_err(), "there is one place");
    drop(first);
    assert!(is_closed(&mut stream).await);
    say(&mut service.answer(EVENTS).await, "data: two\n\n").await;
    assert_eq!(second.text().await, "two");
}

#[tokio::test]
async fn a_service_is_read_only_as_fast_as_the_client_reads() {
    let mut service = Service::new().await;
    let backend = Http::get(&service.url).streaming(Lines);
    let server = serve(gateway!(channel("/", send_timeout = 60s, backend))).await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let mut stream = service.answer("text/plain").await;
    let line: Arc<str> = format!("{}\n", "x".repeat(9_999)).into();
    let mut sent = 0;
    // Until there is no progress for a moment.
    while tokio::time::timeout(
        Duration::from_millis(500),
        stream.write_all(line.as_bytes()),
    )
    .await
    .is_ok()
    {
        sent += line.len();
        assert!(sent < 64 << 20, "the service can send without end");
    }
    for _ in 0..sent / line.len() {
        assert_eq!(client.text().await.len(), 9_999);
    }
}
