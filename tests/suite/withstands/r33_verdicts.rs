//! R33: an upstream's verdict on one client, or an answer that one client provokes, does not affect other clients.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    middleware::{Next, from_fn},
    response::IntoResponse,
    routing::post,
};
use futures_util::StreamExt;
use http::{HeaderValue, Request as HttpRequest, StatusCode};
use serde_json::{Value, json};
use wasabi::{Close, CloseCode, Fault, middleware::request::Measured, prelude::*};
use wasabi_tests::{Client, TestServer, http_service, serve, soon, until};

/// Answers the handshake with the status in its query, if there is one; counts handshakes.
async fn verdicts() -> (TestServer, Arc<AtomicUsize>) {
    let handshakes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&handshakes);
    let judge = from_fn(move |req: HttpRequest<Body>, next: Next| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            let query = req.uri().query().unwrap_or_default();
            let mut values = query.split('&').filter_map(|pair| pair.split('=').nth(1));
            let Some(status) = values.next() else {
                return next.run(req).await;
            };
            let status: u16 = status.parse().expect("a number");
            let mut refusal = StatusCode::from_u16(status)
                .expect("a status")
                .into_response();
            if let Some(after) = values.next() {
                let after = HeaderValue::from_str(after).expect("a header");
                refusal.headers_mut().insert("retry-after", after);
            }
            refusal
        }
    });
    let upstream = gateway!(channel("/", http = [judge], answer));
    (serve(upstream).await, handshakes)
}

/// Does to the connection what the message says, and echoes everything else.
async fn answer(connection: Connection, text: Text) -> Option<String> {
    match serde_json::from_str::<Value>(&text).ok()?["do"].as_str() {
        Some("close") => connection.close(Close::new(CloseCode::POLICY, "not you")),
        Some("big") => return Some(format!("{{\"id\":1,\"x\":\"{}\"}}", "x".repeat(100_000))),
        Some("hang") => {}
        _ => return Some(text.to_string()),
    }
    None
}

/// Waits for the end, whatever comes before it.
async fn ended(client: &mut Client) {
    while let Some(Ok(_)) = soon(client.socket.next()).await {}
}

fn upstream_of(server: &TestServer) -> WebSocket {
    WebSocket::connect(server.url("/"))
        .forward_query(["token", "after"])
        .max_message_size(64 * 1024)
        .correlate("/id")
}

#[tokio::test]
async fn a_handshake_that_is_refused_is_a_status_and_opens_no_breaker() {
    let (upstream, _) = verdicts().await;
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/id"),
        middleware = [CircuitBreaker::new(3, 60s)],
        upstream_of(&upstream),
    )))
    .await;
    let mut bad = server.connect("/?token=401").await;
    for _ in 0..6 {
        let reply = bad.ask_json(json!({"k": "x", "id": 1})).await;
        assert_eq!(reply["error"]["code"], "upstream_status");
        assert_eq!(reply["error"]["message"], "upstream answered 401");
    }
    let mut good = server.connect("/").await;
    let request = json!({"k": "x", "id": 1});
    assert_eq!(good.ask_json(request.clone()).await, request);

    // A 503 counts for the breaker, and tells the client when to come back.
    let mut busy = server.connect("/?token=503&after=7").await;
    for code in [
        "upstream_status",
        "upstream_status",
        "upstream_status",
        "breaker_open",
    ] {
        let reply = busy.ask_json(request.clone()).await;
        assert_eq!(reply["error"]["code"], code);
        if code == "upstream_status" {
            assert_eq!(reply["error"]["retry_after_ms"], 7000);
        }
    }
}

#[tokio::test]
async fn a_node_that_refuses_one_client_still_gets_requests() {
    let (strict, dials) = verdicts().await;
    let lax = serve(gateway!(channel("/", answer))).await;
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/id"),
        balance([(1, upstream_of(&strict)), (1, upstream_of(&lax))]),
    )))
    .await;
    let mut bad = server.connect("/?token=403").await;
    let mut good = server.connect("/").await;
    let request = json!({"k": "x", "id": 1});
    for n in 0..20 {
        let reply = bad.ask_json(request.clone()).await;
        assert_eq!(reply.get("error").is_some(), n % 2 == 0, "{reply}");
    }
    let before = dials.load(Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(good.ask_json(request.clone()).await, request);
    }
    assert_eq!(dials.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn a_verdict_on_the_client_is_not_retried() {
    let (upstream, handshakes) = verdicts().await;
    let retry = || Retry::new(Backoff::constant(Duration::from_millis(50)).retries(2));
    let server = serve(gateway!(
        channel("/retry", with([retry()], upstream_of(&upstream))),
        // However the handshake was refused, the message has not been sent.
        channel(
            "/not_sent",
            with([retry().if_not_sent()], upstream_of(&upstream))
        ),
    ))
    .await;
    for path in ["/retry", "/not_sent"] {
        for (token, tries) in [
            ("401", 1),
            ("404", 1),
            ("302", 1),
            ("429", 1),
            ("503", 3),
            ("500", 3),
        ] {
            handshakes.store(0, Ordering::SeqCst);
            let mut client = server.connect(&format!("{path}?token={token}")).await;
            let reply = client.ask("x").await;
            assert_eq!(reply, format!("upstream_status: upstream answered {token}"));
            assert_eq!(handshakes.load(Ordering::SeqCst), tries, "{path} {token}");
        }
    }
}

#[tokio::test]
async fn a_client_that_its_upstream_closes_or_that_leaves_opens_no_breaker() {
    let (upstream, _) = verdicts().await;
    let faults = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&faults);
    let measure = Measure::new(move |measured: Measured<'_>| {
        let outcome = (measured.outcome.code().to_owned(), measured.outcome.fault());
        seen.lock().expect("no panic").push(outcome);
    });
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id").or("nothing"),
        middleware = [measure, CircuitBreaker::new(2, 60s)],
        upstream_of(&upstream),
    )))
    .await;
    for what in ["close", "big"] {
        for _ in 0..3 {
            let mut bad = server.connect("/").await;
            bad.send(json!({"do": "hang", "id": 2}).to_string()).await;
            bad.send(json!({"do": what, "id": 1}).to_string()).await;
            ended(&mut bad).await;
        }
    }
    for _ in 0..3 {
        let mut leaves = server.connect("/").await;
        leaves
            .send(json!({"do": "hang", "id": 1}).to_string())
            .await;
        leaves
            .send(json!({"do": "echo", "id": 2}).to_string())
            .await;
        leaves.json().await;
        leaves.close(1000, "").await;
    }
    until("all have ended", || {
        faults.lock().expect("no panic").len() == 18
    })
    .await;
    let mut good = server.connect("/").await;
    let request = json!({"do": "echo", "id": 1});
    assert_eq!(good.ask_json(request.clone()).await, request);
    for (code, fault) in &*faults.lock().expect("no panic") {
        assert_ne!(*fault, Some(Fault::Upstream), "{code}");
    }
}

#[tokio::test]
async fn a_subprotocol_that_the_upstream_does_not_take_opens_no_breaker() {
    let upstream = serve(gateway!(channel("/", subprotocols = ["v1"], answer))).await;
    let server = serve(gateway!(channel(
        "/",
        subprotocols = ["v1", "v2"],
        with(
            [CircuitBreaker::new(2, 60s)],
            upstream_of(&upstream).forward_subprotocol()
        ),
    )))
    .await;
    let speaks = async |protocol| {
        let offer = [("sec-websocket-protocol", protocol)];
        server.connect_with("/", &offer).await.expect("handshake")
    };
    let mut bad = speaks("v2").await;
    for _ in 0..4 {
        let error = "upstream_invalid: upstream sent an invalid answer";
        assert_eq!(bad.ask("x").await, error);
    }
    let mut good = speaks("v1").await;
    let request = json!({"id": 1});
    assert_eq!(good.ask_json(request.clone()).await, request);
}

#[tokio::test]
async fn an_unfit_answer_provoked_by_a_client_opens_no_breaker() {
    let service = Router::new().route(
        "/",
        post(async |body: Bytes| match &*body {
            b"big" => "x".repeat(2_000_000).into_bytes(),
            b"latin1" => b"\xe9".to_vec(),
            body => body.to_vec(),
        }),
    );
    let service = service.layer(axum::middleware::map_response(
        async |mut response: axum::response::Response| {
            let text = http::HeaderValue::from_static("text/plain");
            response.headers_mut().insert("content-type", text);
            response
        },
    ));
    let url = http_service(service).await;
    let server = serve(gateway!(channel(
        "/",
        with([CircuitBreaker::new(3, 60s)], Http::post(url)),
    )))
    .await;
    let mut bad = server.connect("/").await;
    let mut good = server.connect("/").await;
    for what in ["big", "latin1"] {
        for _ in 0..5 {
            let error = "upstream_invalid: upstream sent an invalid answer";
            assert_eq!(bad.ask(what).await, error);
        }
        assert_eq!(good.ask("x").await, "x", "{what}");
    }
}
