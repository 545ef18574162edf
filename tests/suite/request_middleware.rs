//! Request middleware, as a client sees it.

use serde_json::json;
use tokio::sync::watch;
use wasabi::prelude::*;
use wasabi_tests::serve;

/// Changes what the backend sees.
#[middleware]
async fn shout(req: Request, next: impl Next) -> Result<Reply> {
    let loud = req.message().as_text().unwrap_or_default().to_uppercase();
    next.run(req.with_message(loud)).await
}

#[tokio::test]
async fn a_middleware_may_change_the_message_and_key_and_id_stay() {
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/action").id("/req_id"),
        with([shout], async |req: Request| {
            let id = req.id().map(ToString::to_string).unwrap_or_default();
            let text = req.message().as_text().unwrap_or_default().to_owned();
            format!("{} {id} {text}", req.key())
        }),
    )))
    .await;
    let mut client = server.connect("/").await;
    let told = client.ask(r#"{"action":"buy","req_id":"c-3"}"#).await;
    assert_eq!(told, r#"buy "c-3" {"ACTION":"BUY","REQ_ID":"C-3"}"#);
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
