//! A function that asks one HTTP service, then another with the answer of the first.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, routing::get};
use serde_json::json;
use wasabi::{StatusCode, prelude::*, reqwest};
use wasabi_tests::{http_service, serve};

/// Two services, of which the second first fails this many times. Counts the calls of the second.
async fn services(failures: usize) -> (Services, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let balance = async move |Path(user): Path<String>| match counted.fetch_add(1, Ordering::SeqCst)
    {
        nth if nth < failures => Err(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Ok(format!("{user} has 100")),
    };
    let users = http_service(Router::new().route("/user", get(async || "alice"))).await;
    let accounts = http_service(Router::new().route("/balance/{user}", get(balance))).await;
    let http = Http::client_builder().build().expect("a client");
    (
        Services {
            users,
            accounts,
            http,
        },
        calls,
    )
}

#[derive(Clone)]
struct Services {
    users: String,
    accounts: String,
    http: reqwest::Client,
}

impl Services {
    async fn get(&self, url: String) -> Result<String> {
        let answer = self.http.get(url).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

async fn balance_of_user(State(services): State<Services>) -> Result<String> {
    let user = services.get(format!("{}/user", services.users)).await?;
    services
        .get(format!("{}/balance/{user}", services.accounts))
        .await
}

/// Three tries (two retries) of a second each; this many failures open the breaker.
fn banking(services: Services, failures: usize) -> Gateway {
    gateway!(
        state = services,
        channel(
            "/",
            parser = JsonKey::at("/action").id("/req_id"),
            with(
                [
                    Retry::new(Backoff::exponential(1ms).retries(2)),
                    CircuitBreaker::new(failures, 1h),
                    Timeout::new(1s),
                ],
                balance_of_user,
            ),
        ),
    )
}

#[tokio::test]
async fn two_failures_are_retried_to_a_success_and_three_are_one_error_and_open_the_breaker() {
    let (services_, calls) = services(2).await;
    let server = serve(banking(services_, 3)).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask(r#"{"action":"x"}"#).await, "alice has 100");
    client.silent().await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);

    // After the first request a breaker for 3 is open; one for 4 opens with the first try of the second request.
    for failures in [3, 4] {
        let (services, calls) = services(usize::MAX).await;
        let server = serve(banking(services, failures)).await;
        let mut client = server.connect("/").await;
        for (id, code) in [(1, "upstream_status"), (2, "breaker_open")] {
            let reply = client.ask_json(json!({"action": "x", "req_id": id})).await;
            assert_eq!(reply["req_id"], id);
            assert_eq!(reply["error"]["code"], code);
            client.silent().await;
        }
        assert_eq!(calls.load(Ordering::SeqCst), failures);
    }
}
