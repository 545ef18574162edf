//! Request middleware, as a client sees it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, routing::get};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use wasabi::{StatusCode, prelude::*, reqwest};
use wasabi_tests::serve;

async fn done() -> Json<Value> {
    Json(json!("done"))
}

#[tokio::test]
async fn routes_that_share_a_rate_limit_are_limited_together_and_by_client_address() {
    let trade = RateLimit::per_minute(2).by(|req| req.connection().remote_addr().map(|a| a.ip()));
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/action").id("/req_id"),
        match key {
            "buy" => with([trade.clone()], done),
            "sell" => with([trade], done),
            _ => done,
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for action in ["buy", "sell"] {
        let reply = client
            .ask_json(json!({"action": action, "req_id": 1}))
            .await;
        assert_eq!(reply, "done");
    }

    let refusal = client
        .ask_json(json!({"action": "buy", "req_id": "c-3"}))
        .await;
    assert_eq!(refusal["req_id"], "c-3");
    assert_eq!(refusal["error"]["code"], "rate_limited");
    let after = refusal["error"]["retry_after_ms"]
        .as_u64()
        .expect("a number");
    assert!((25_000..=30_000).contains(&after), "{after} ms");

    let reply = client
        .ask_json(json!({"action": "quote", "req_id": 4}))
        .await;
    assert_eq!(reply, "done");
    let mut same_address = server.connect("/").await;
    let refusal = same_address.ask_json(json!({"action": "sell"})).await;
    assert_eq!(refusal["error"]["code"], "rate_limited");
    let mut other_address = server.connect_from([127, 0, 0, 2], "/").await;
    assert_eq!(
        other_address.ask_json(json!({"action": "buy"})).await,
        "done"
    );
}

#[tokio::test]
async fn a_request_over_the_throttle_is_refused_with_its_own_id() {
    let (open, gate) = watch::channel(false);
    let slow = move || {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
            "done"
        }
    };
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/action").id("/req_id"),
        middleware = [Throttle::new(2)],
        slow,
    )))
    .await;
    let mut client = server.connect("/").await;
    for id in 1..=3 {
        client
            .send(json!({"action": "x", "req_id": id}).to_string())
            .await;
    }
    let refusal = client.json().await;
    assert_eq!(refusal["req_id"], 3);
    assert_eq!(refusal["error"]["code"], "overloaded");
    open.send_replace(true);
    assert_eq!(client.text().await, "done");
    assert_eq!(client.text().await, "done");
    assert_eq!(client.ask(r#"{"action":"x"}"#).await, "done");
}

/// Two HTTP services; the second one fails so many times first. Counts the calls of the second.
async fn services(failures: usize) -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let balance = async move |Path(user): Path<String>| match counted.fetch_add(1, Ordering::SeqCst)
    {
        nth if nth < failures => Err(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Ok(format!("{user} has 100")),
    };
    let router = Router::new()
        .route("/user", get(async || "alice"))
        .route("/balance/{user}", get(balance));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{addr}"), calls)
}

/// Asks one service with the answer of another.
#[derive(Clone)]
struct Services(Arc<str>, reqwest::Client);

async fn balance_of_user(State(Services(base, client)): State<Services>) -> Result<String> {
    let user = client.get(format!("{base}/user")).send().await?;
    let user = user.error_for_status()?.text().await?;
    let balance = client.get(format!("{base}/balance/{user}")).send().await?;
    Ok(balance.error_for_status()?.text().await?)
}

fn banking(base: &str) -> Gateway {
    gateway!(
        state = Services(
            base.into(),
            Http::client_builder().build().expect("a client")
        ),
        channel(
            "/",
            parser = JsonKey::at("/action").id("/req_id"),
            with(
                [
                    Retry::exponential(2, 1ms),
                    CircuitBreaker::new(3, 1h),
                    Timeout::new(1s),
                ],
                balance_of_user,
            ),
        ),
    )
}

#[tokio::test]
async fn a_composed_call_that_fails_twice_succeeds_with_the_second_retry() {
    let (base, calls) = services(2).await;
    let server = serve(banking(&base)).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask(r#"{"action":"x"}"#).await, "alice has 100");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    client.silent().await;
}

#[tokio::test]
async fn a_composed_call_that_keeps_failing_is_one_error_reply_and_three_failures_for_the_breaker()
{
    let (base, calls) = services(usize::MAX).await;
    let server = serve(banking(&base)).await;
    let mut client = server.connect("/").await;
    for (id, code) in [(1, "upstream_status"), (2, "breaker_open")] {
        let reply = client.ask_json(json!({"action": "x", "req_id": id})).await;
        assert_eq!(
            (&reply["req_id"], &reply["error"]["code"]),
            (&json!(id), &json!(code))
        );
        client.silent().await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}
