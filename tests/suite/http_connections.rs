//! Keep-alive connections to HTTP services: how they end, and what happens to requests in the meantime.

use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use wasabi::prelude::*;
use wasabi_tests::{serve, soon};

/// A service that records what happens on its connections.
#[derive(Clone, Default)]
struct Service {
    connections: Arc<AtomicUsize>,
    /// The methods of all requests, in order.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Closes each connection on the request after this many answers.
    async fn closing_after(answers: usize) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let service = Self::default();
        service.clone().accept(listener, answers);
        (service, url)
    }

    fn accept(self, listener: TcpListener, answers: usize) {
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                self.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(self.clone().serve(stream, answers));
            }
        });
    }

    async fn serve(self, mut stream: TcpStream, answers: usize) {
        for nth in 0.. {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let head = String::from_utf8(head).expect("text");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().expect("a number"));
            if stream.read_exact(&mut vec![0; length]).await.is_err() {
                return;
            }
            let method = head.split(' ').next().expect("a method").to_owned();
            self.requests.lock().unwrap().push(method);
            if nth == answers {
                return;
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.expect("sent");
        }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_repeatable_request_is_sent_again_when_its_connection_closes() {
    for (method, is_declared) in [
        ("GET", false),
        ("PUT", false),
        ("DELETE", false),
        ("POST", true),
    ] {
        let (service, url) = Service::closing_after(1).await;
        let backend = Http::method(method.parse().expect("a method"), url);
        let backend = if is_declared {
            backend.idempotent()
        } else {
            backend
        };
        let server = serve(gateway!(channel("/", backend))).await;
        let mut client = server.connect("/").await;
        for _ in 0..3 {
            assert_eq!(client.ask("x").await, "ok", "{method}");
        }
        // The second request and the third were sent twice.
        assert_eq!(service.requests(), vec![method; 5]);
    }
}

#[tokio::test]
async fn a_post_that_may_have_been_carried_out_is_not_sent_again() {
    let (service, url) = Service::closing_after(1).await;
    let server = serve(gateway!(channel("/", Http::post(url)))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("x").await, "ok");
    assert!(client.ask("x").await.starts_with("upstream_lost"));
    assert_eq!(service.requests(), ["POST"; 2]);
    assert_eq!(client.ask("x").await, "ok");
}

/// Each time the gateway's runtime stands still while the service closes the connection, so that the gateway has a
/// request for a connection that it does not yet know to be closed.
#[tokio::test]
async fn a_post_that_meets_the_end_of_its_connection_before_it_is_written_is_sent_over_a_fresh_one()
{
    const ROUNDS: usize = 40;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (close, told_to_close) = std::sync::mpsc::channel();
    let (tell_closed, closed) = std::sync::mpsc::channel();
    let service = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for _ in 0..=ROUNDS {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).expect("a request");
            heads.push(String::from_utf8_lossy(&request[..read]).into_owned());
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).expect("sent");
            told_to_close.recv().expect("a word");
            drop(stream);
            tell_closed.send(()).expect("told");
        }
        heads
    });
    let server = serve(gateway!(channel("/", Http::post(url)))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    for round in 0..ROUNDS {
        assert_eq!(client.text().await, "ok");
        // The next message arrives before the connection closes, or after that, but the gateway sees neither before
        // both: this blocks the only thread of the runtime.
        if round % 2 == 0 {
            client.send("x").await;
        }
        close.send(()).expect("told");
        closed.recv().expect("closed");
        if round % 2 == 1 {
            client.send("x").await;
        }
    }
    assert_eq!(client.text().await, "ok");
    close.send(()).expect("told");
    let heads = service.join().expect("the service");
    assert!(
        heads.iter().all(|head| head.starts_with("POST /")),
        "{heads:?}"
    );
}

#[tokio::test]
async fn a_service_that_closes_every_connection_is_asked_twice_and_no_more() {
    let (service, url) = Service::closing_after(0).await;
    let server = serve(gateway!(channel("/", Http::get(url)))).await;
    let mut client = server.connect("/").await;
    assert!(client.ask("x").await.starts_with("upstream_lost"));
    assert_eq!(service.requests(), ["GET"; 2]);
}

#[tokio::test]
async fn connections_are_replaced_at_their_age_also_under_traffic() {
    let (young, url) = Service::closing_after(usize::MAX).await;
    let (kept, other) = Service::closing_after(usize::MAX).await;
    let age = Duration::from_millis(100);
    let server = serve(gateway!(
        channel("/young", Http::post(url).max_connection_age(age)),
        channel("/kept", Http::post(other)),
    ))
    .await;
    let (mut moves, mut stays) = (
        server.connect("/young").await,
        server.connect("/kept").await,
    );
    let moved = async {
        while young.connections() < 4 {
            assert_eq!(moves.ask("x").await, "ok");
            assert_eq!(stays.ask("x").await, "ok");
        }
    };
    soon(moved).await;
    assert_eq!(kept.connections(), 1);
}

#[tokio::test]
async fn a_connection_is_not_reused_after_the_idle_timeout() {
    let (service, url) = Service::closing_after(usize::MAX).await;
    let backend = Http::post(url).idle_timeout(Duration::from_millis(50));
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("x").await, "ok");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(client.ask("x").await, "ok");
    assert_eq!(service.connections(), 2);
}

/// Answers every request on every connection; the first connection's first answer comes before the body is read, which
/// it never is.
async fn serve_early(listener: TcpListener) {
    let (mut first, _) = listener.accept().await.expect("a connection");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly";
    first.write_all(answer).await.expect("sent");
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(Service::default().serve(stream, usize::MAX));
    }
}

#[tokio::test]
async fn a_connection_that_still_sends_its_request_holds_up_no_other_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let service = tokio::spawn(serve_early(listener));
    let gateway = gateway!(channel("/", max_message_size = 32MiB, Http::post(url)));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    // More than the buffers of both sockets take.
    assert_eq!(client.ask(&"x".repeat(16 * 1024 * 1024)).await, "early");
    assert_eq!(soon(client.ask("x")).await, "ok");
    service.abort();
}

#[tokio::test]
async fn answers_that_are_errors_keep_their_connection() {
    let (service, url) = Service::closing_after(usize::MAX).await;
    let backend = Http::post(url).accept_status(|_| false);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    for _ in 0..5 {
        assert!(client.ask("x").await.starts_with("upstream_status"));
    }
    assert_eq!((service.requests().len(), service.connections()), (5, 1));
}

#[tokio::test]
async fn a_function_may_name_many_hosts_and_each_keeps_its_connection() {
    const HOSTS: usize = 100;
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let service = Service::default();
    service.clone().accept(listener, usize::MAX);
    // All of them are this machine.
    let backend = Http::with(move |req: &Request| {
        let n = req.message().as_text().unwrap_or_default();
        Ok(HttpRequest::get(format!("http://127.0.1.{n}:{port}/")))
    });
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    for _ in 0..2 {
        for n in 1..=HOSTS {
            assert_eq!(client.ask(&n.to_string()).await, "ok", "{n}");
        }
    }
    assert_eq!(service.connections(), HOSTS);
}

#[tokio::test]
async fn a_value_that_is_too_long_for_a_url_is_the_clients_mistake() {
    let (service, url) = Service::closing_after(usize::MAX).await;
    let gateway = gateway!(channel(
        "/",
        Http::with(move |req: &Request| {
            let name = req.message().as_text().unwrap_or_default();
            Ok(HttpRequest::get(&url).segment(name))
        }),
    ));
    let server = serve(gateway).await;
    let mut client = server.connect("/").await;
    let refused = client.ask(&" ".repeat(30_000)).await;
    assert!(refused.starts_with("bad_request"), "{refused}");
    assert_eq!(service.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn the_host_is_that_of_the_url_unless_a_header_sets_it() {
    let host = async |headers: wasabi::HeaderMap| headers["host"].to_str().unwrap().to_owned();
    let url = wasabi_tests::http_service(axum::Router::new().fallback(host)).await;
    let server = serve(gateway!(
        channel("/own", Http::post(&url)),
        channel("/set", Http::post(&url).header("host", "orders.internal")),
    ))
    .await;
    let own = url.trim_start_matches("http://");
    assert_eq!(server.connect("/own").await.ask("x").await, own);
    assert_eq!(
        server.connect("/set").await.ask("x").await,
        "orders.internal"
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_timeout_also_without_traffic() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let backend = Http::post(url).idle_timeout(Duration::from_millis(50));
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    let (mut stream, _) = soon(listener.accept()).await.expect("a connection");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\nx") {
        request.push(stream.read_u8().await.expect("a byte"));
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    stream.write_all(answer).await.expect("sent");
    assert_eq!(client.text().await, "ok");
    let read = soon(stream.read(&mut request)).await;
    assert_eq!(read.expect("closed in order"), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_probes_services_that_are_silent() {
    let (_service, url) = Service::closing_after(2).await;
    let server = serve(gateway!(channel("/", Http::post(&url)))).await;
    let mut client = server.connect("/").await;
    client.ask("hello").await;
    let addr = url.trim_start_matches("http://").trim_end_matches('/');
    wasabi_tests::tcp::assert_probed(addr.parse().expect("an address"));
}

#[test]
fn ages_without_effect_are_mistakes() {
    let url = "http://127.0.0.1:9/";
    let own = || Http::client_builder().build().expect("a client");
    let second = Duration::from_secs(1);
    for (backend, expected) in [
        (
            Http::post(url).idle_timeout(Duration::ZERO),
            "zero makes no sense in `Http::idle_timeout(..)`",
        ),
        (
            Http::post(url).max_connection_age(Duration::ZERO),
            "zero makes no sense in `Http::max_connection_age(..)`",
        ),
        (
            Http::post(url).client(own()).idle_timeout(second),
            "your own `client`",
        ),
        (
            Http::post(url).max_connection_age(second).client(own()),
            "your own `client`",
        ),
    ] {
        let mistakes = gateway!(channel("/", backend)).check().expect_err(expected);
        assert!(mistakes[0].to_string().contains(expected), "{mistakes:?}");
    }
}
