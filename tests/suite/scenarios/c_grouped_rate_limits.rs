//! Routes that share a rate limit, counted by the address of the client.

use serde_json::json;
use wasabi::prelude::*;
use wasabi_tests::serve;

async fn done() -> Json<&'static str> {
    Json("done")
}

#[tokio::test]
async fn buying_and_selling_share_a_limit_by_the_clients_address() {
    let trades = RateLimit::per_minute(2).by(|req| req.connection().client_ip());
    let server = serve(gateway!(channel(
        "/",
        http = [ClientIp::trusting(["127.0.0.1"])],
        parser = JsonKey::at("/action").id("/req_id"),
        match key {
            "buy" => with([trades.clone()], done),
            "sell" => with([trades], done),
            _ => done,
        },
    )))
    .await;

    let mut client = server.connect("/").await;
    for (id, action) in [(1, "buy"), (2, "sell")] {
        let reply = client
            .ask_json(json!({"action": action, "req_id": id}))
            .await;
        assert_eq!(reply, "done");
    }
    for (id, action) in [(json!(3), "buy"), (json!("c-4"), "sell")] {
        let refusal = client
            .ask_json(json!({"action": action, "req_id": id}))
            .await;
        assert_eq!(refusal["req_id"], id);
        assert_eq!(refusal["error"]["code"], "rate_limited");
        let after = refusal["error"]["retry_after_ms"].as_u64();
        let after = after.expect("a number");
        assert!((20_000..=30_000).contains(&after), "{after} ms");
    }
    assert_eq!(client.ask_json(json!({"action": "quote"})).await, "done");

    let mut same = server.connect("/").await;
    let refusal = same.ask_json(json!({"action": "sell"})).await;
    assert_eq!(refusal["error"]["code"], "rate_limited");

    let direct = server.connect_from([127, 0, 0, 2], "/").await;
    let proxied = [("x-forwarded-for", "2001:db8::1")];
    let proxied = server.connect_with("/", &proxied).await.expect("handshake");
    for mut other in [direct, proxied] {
        for code in [None, None, Some("rate_limited")] {
            let reply = other.ask_json(json!({"action": "buy"})).await;
            assert_eq!(reply["error"]["code"].as_str(), code, "{reply}");
        }
    }
}
