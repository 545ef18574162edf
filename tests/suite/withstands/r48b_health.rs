//! R48b: nodes that fail their health checks get no requests until they pass again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use tokio::net::TcpListener;
use wasabi::prelude::*;
use wasabi_tests::{TestServer, http_service, serve, until};

/// What a test observes of a node, and controls.
#[derive(Clone, Default)]
struct Node {
    fails: Arc<AtomicBool>,
    checks: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Node {
    fn checked(&self) -> bool {
        self.checks.fetch_add(1, Ordering::SeqCst);
        !self.fails.load(Ordering::SeqCst)
    }

    /// Waits for more than three further checks: the first may have started before, and the third starts once the
    /// second has been noted.
    async fn is_checked_twice(&self) {
        let before = self.checks.load(Ordering::SeqCst);
        let checks = || self.checks.load(Ordering::SeqCst);
        until("it is asked", || checks() > before + 3).await;
    }

    async fn http(&self, name: &'static str) -> String {
        let (health, requests) = (self.clone(), Arc::clone(&self.requests));
        let health = async move |headers: http::HeaderMap| match health.checked() {
            true if headers["x-node"] == name => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let service = Router::new()
            .route("/healthz", get(health))
            .fallback(async move || {
                requests.fetch_add(1, Ordering::SeqCst);
                name
            });
        http_service(service).await + "/some/where?x=y"
    }

    /// A WebSocket server that answers each message with its name, and drops handshakes while it fails.
    async fn websocket(&self, name: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("ws://{}/", listener.local_addr().expect("an address"));
        let node = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let node = node.clone();
                tokio::spawn(async move {
                    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                        return;
                    };
                    while let Some(Ok(message)) = socket.next().await {
                        if message.is_ping() && !node.checked() {
                            return;
                        }
                        if message.is_text() {
                            node.requests.fetch_add(1, Ordering::SeqCst);
                            let _ = socket.send(name.into()).await;
                        }
                    }
                });
            }
        });
        url
    }
}

/// Each node gets half of the requests; all go to the other node while one fails its checks, and half again afterwards.
async fn drains_and_recovers(server: TestServer, failing: Node) {
    let mut client = server.connect("/").await;
    let mut shares = async || {
        for _ in 0..20 {
            client.ask("x").await;
        }
    };
    let requests = || failing.requests.load(Ordering::SeqCst);
    shares().await;
    assert_eq!(requests(), 10);
    failing.fails.store(true, Ordering::SeqCst);
    failing.is_checked_twice().await;
    shares().await;
    assert_eq!(requests(), 10);
    failing.fails.store(false, Ordering::SeqCst);
    failing.is_checked_twice().await;
    shares().await;
    assert_eq!(requests(), 20);
}

const OFTEN: Duration = Duration::from_millis(20);

fn twice(check: HealthCheck) -> HealthCheck {
    check
        .every(OFTEN)
        .rise(2)
        .fall(2)
        .timeout(Duration::from_secs(60))
}

#[tokio::test]
async fn a_node_that_fails_its_checks_gets_nothing_and_recovers() {
    let (a, b) = (Node::default(), Node::default());
    let (a_url, b_url) = (a.http("a").await, b.http("b").await);
    let server = serve(gateway!(channel(
        "/",
        balance([
            (
                1,
                with([Timeout::new(60s)], Http::post(a_url).header("x-node", "a")),
                twice(HealthCheck::path("/healthz")),
            ),
            (1, Http::post(b_url)),
        ]),
    )))
    .await;
    drains_and_recovers(server, a).await;
    assert_eq!(b.checks.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nodes_that_are_known_only_at_run_time_are_checked_too() {
    let (a, b) = (Node::default(), Node::default());
    let nodes = vec![
        (1, Http::post(a.http("a").await).header("x-node", "a")),
        (1, Http::post(b.http("b").await).header("x-node", "b")),
    ];
    let balance = Balance::new(nodes);
    let balance = balance.health_check(twice(HealthCheck::path("/healthz")));
    let server = serve(gateway!(channel("/", balance))).await;
    drains_and_recovers(server, b.clone()).await;
    assert!(a.checks.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_websocket_node_is_checked_by_a_handshake_and_a_ping() {
    let (a, b) = (Node::default(), Node::default());
    let (a_url, b_url) = (a.websocket("a").await, b.websocket("b").await);
    let server = serve(gateway!(channel(
        "/",
        balance([
            (
                1,
                WebSocket::connect(a_url),
                twice(HealthCheck::handshake())
            ),
            (1, WebSocket::connect(b_url)),
        ]),
    )))
    .await;
    drains_and_recovers(server, a).await;
}

#[tokio::test]
async fn a_function_can_check_any_backend_and_its_panic_is_a_failure() {
    let (a, b) = (Node::default(), Node::default());
    let (asked, counted) = (a.clone(), Arc::clone(&a.requests));
    let check = HealthCheck::with(move || {
        let asked = asked.clone();
        async move {
            assert!(asked.checked(), "on purpose");
            Ok::<_, std::io::Error>(())
        }
    });
    let server = serve(gateway!(channel(
        "/",
        balance([
            (
                1,
                move || {
                    counted.fetch_add(1, Ordering::SeqCst);
                    async { "a" }
                },
                twice(check),
            ),
            (1, async || "b"),
        ]),
    )))
    .await;
    drains_and_recovers(server, a).await;
    drop(b);
}

#[tokio::test]
async fn checks_end_with_the_gateway() {
    let node = Node::default();
    let asked = node.clone();
    let check = HealthCheck::with(move || {
        asked.checked();
        async { Ok::<_, std::io::Error>(()) }
    });
    let server = serve(gateway!(channel(
        "/",
        balance([(1, async || "a", twice(check)), (1, async || "b")]),
    )))
    .await;
    let client = server.connect("/").await;
    node.is_checked_twice().await;
    client.close(1000, "").await;
    server.drain().await.expect("it ends");
    let before = node.checks.load(Ordering::SeqCst);
    tokio::time::sleep(10 * OFTEN).await;
    // One check may have been in progress.
    assert!(node.checks.load(Ordering::SeqCst) <= before + 1);
}

#[test]
fn impossible_checks_are_mistakes_of_the_gateway() {
    async fn ok() -> &'static str {
        "ok"
    }
    let fixed = || Http::get("http://127.0.0.1:9/");
    let by_function = Http::with(|_: &Request| Ok(HttpRequest::get("http://127.0.0.1:9/")));
    let every = Duration::ZERO;
    let gateways = [
        (
            gateway!(channel(
                "/",
                balance([(1, ok, HealthCheck::path("/x")), (1, ok)])
            )),
            "`HealthCheck::path` is only for `Http` nodes",
        ),
        (
            gateway!(channel(
                "/",
                balance([(1, fixed(), HealthCheck::handshake()), (1, ok)])
            )),
            "a handshake can only check `WebSocket` nodes",
        ),
        (
            gateway!(channel(
                "/",
                balance([(1, by_function, HealthCheck::path("/x")), (1, ok)])
            )),
            "its host is unknown",
        ),
        (
            gateway!(channel(
                "/",
                balance([(1, fixed(), HealthCheck::path("x")), (1, ok)])
            )),
            "`x` is not a path",
        ),
        (
            gateway!(channel(
                "/",
                balance([(1, fixed(), HealthCheck::path("/x").every(every)), (1, ok)])
            )),
            "zero makes no sense in `HealthCheck::every(..)`",
        ),
        (
            gateway!(channel(
                "/",
                balance([
                    (1, balance([(1, fixed()), (1, ok)]), HealthCheck::path("/x")),
                    (1, ok),
                ])
            )),
            "a group inside a group",
        ),
    ];
    for (gateway, expected) in gateways {
        let mistakes = gateway.check().expect_err(expected);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].to_string().contains(expected), "{mistakes:?}");
    }
}
