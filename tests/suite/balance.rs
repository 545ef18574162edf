//! Backends that share requests.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use http::StatusCode;
use wasabi::{BalanceError, prelude::*};
use wasabi_tests::serve;

async fn first() -> &'static str {
    "first"
}

async fn second() -> &'static str {
    "second"
}

#[tokio::test]
async fn requests_in_sequence_are_shared_by_weight() {
    let server = serve(gateway!(channel("/", balance([(1, first), (9, second)])))).await;
    let mut client = server.connect("/").await;
    let mut firsts = 0;
    for _ in 0..100 {
        firsts += usize::from(client.ask("x").await == "first");
    }
    assert_eq!(firsts, 10);
}

/// Answers with its name, or fails with this status.
struct Node(&'static str, Arc<AtomicU16>);

impl<S: Sync> Backend<S> for Node {
    async fn call(&self, _req: Request, _state: &S) -> Result<Reply> {
        match StatusCode::from_u16(self.1.load(Ordering::SeqCst)) {
            Ok(status) if !status.is_success() => Err(wasabi::Error::UpstreamStatus(status)),
            _ => Ok(Reply::message(self.0)),
        }
    }
}

#[tokio::test]
async fn a_node_that_keeps_failing_is_left_out() {
    let status = Arc::new(AtomicU16::new(503));
    let healthy = Arc::new(AtomicU16::new(200));
    let nodes = vec![(1, Node("a", status.clone())), (1, Node("b", healthy))];
    let balance = Balance::new(nodes).expect("two nodes").failures(3);
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
            [Retry::linear(1, 1ms)],
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
async fn a_weight_of_0_at_run_time_is_an_error_when_the_gateway_is_checked() {
    let weight = std::hint::black_box(0);
    let gateway = gateway!(channel("/v1", balance([(1, first), (weight, second)])));
    let mistakes = gateway.check().expect_err("a mistake");
    let [mistake] = mistakes.as_slice() else {
        panic!("expected one mistake, got {mistakes:?}");
    };
    let text = mistake.to_string();
    assert!(text.contains("/v1") && text.contains("weight 0"), "{text}");

    let none = Balance::new(vec![(0, first), (0, first)]).err();
    assert_eq!(none, Some(BalanceError::ZeroWeight(0)));
}
