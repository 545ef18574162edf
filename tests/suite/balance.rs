//! Backends that share requests.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use http::StatusCode;
use wasabi::prelude::*;
use wasabi_tests::serve;

/// Answers with its name, or fails with this status.
struct Node(&'static str, Arc<AtomicU16>);

impl<S: Sync> Backend<S> for Node {
    async fn call(&self, _req: Request, _state: &S) -> Result<Reply> {
        match StatusCode::from_u16(self.1.load(Ordering::SeqCst)) {
            Ok(status) if !status.is_success() => Err(wasabi::Error::upstream_status(status)),
            _ => Ok(Reply::message(self.0)),
        }
    }
}

#[tokio::test]
async fn a_node_that_keeps_failing_gets_no_requests() {
    let status = Arc::new(AtomicU16::new(503));
    let healthy = Arc::new(AtomicU16::new(200));
    let nodes = vec![(1, Node("a", status.clone())), (1, Node("b", healthy))];
    let balance = Balance::new(nodes).failures(3);
    let server = serve(gateway!(channel("/", balance))).await;
    let mut client = server.connect("/").await;
    let mut failures = 0;
    for _ in 0..50 {
        failures += usize::from(client.ask("x").await != "b");
    }
    assert_eq!(failures, 3);
}

#[tokio::test]
async fn a_retry_around_a_balance_tries_another_node() {
    let (down, up) = (Arc::new(AtomicU16::new(502)), Arc::new(AtomicU16::new(200)));
    let server = serve(gateway!(channel(
        "/",
        with(
            [Retry::new(Backoff::constant(1ms).retries(1))],
            balance([(1, Node("a", down)), (1, Node("b", up))]),
        ),
    )))
    .await;
    let mut client = server.connect("/").await;
    for _ in 0..20 {
        assert_eq!(client.ask("x").await, "b");
    }
}

#[tokio::test]
async fn mistakes_in_nodes_are_reported_by_the_gateway() {
    let (wrong, right) = ("nonsense", "http://127.0.0.1:9/");
    let (wrong, right) = (|| Http::post(wrong), || Http::post(right));
    let nodes = vec![(1, right()), (1, wrong())];
    let at_run_time = Balance::new(nodes);
    for gateway in [
        gateway!(channel("/", at_run_time)),
        gateway!(channel("/", balance([(1, right()), (1, wrong())]))),
    ] {
        let mistakes = gateway.check().expect_err("a mistake");
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].to_string().contains("nonsense"));
    }
}
