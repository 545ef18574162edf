//! The trace context of requests, as upstreams receive it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::HeaderMap, routing::post};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::Sampler;
use serde_json::{Value, json};
use tracing::Instrument;
use wasabi::{StatusCode, prelude::*, queue::Memory};
use wasabi_tests::{
    TestServer, http_service, serve, soon,
    traces::{Exporting, attribute, traceparent},
};

/// Answers with the headers that matter here, and with the id.
async fn tell_headers(
    headers: HeaderMap,
    axum::Json(request): axum::Json<Value>,
) -> axum::Json<Value> {
    let all = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .map(|value| value.to_str().expect("text").to_owned())
            .collect()
    };
    axum::Json(json!({
        "id": request["id"],
        "traceparent": all("traceparent"),
        "tracestate": all("tracestate"),
    }))
}

async fn service() -> String {
    http_service(Router::new().route("/", post(tell_headers))).await
}

async fn traced(upstream: &str, trace: Trace) -> TestServer {
    let address = upstream.to_owned();
    let forwarded = ["traceparent", "tracestate"];
    serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [trace],
        match key {
            "ask" => Http::post(upstream),
            "forward" => Http::post(upstream).forward_headers(forwarded),
            "deeper" => with([deeper], Http::post(upstream)),
            "with" => Http::with(move |req| {
                let body = req.payload();
                Ok(HttpRequest::post(&address)
                    .header("content-type", "application/json")
                    .body(body))
            }),
            "who" => async |own: Connection| own.id().to_string(),
            "refuse" => async || Err::<(), _>(wasabi::Error::bad_request("no")),
            "fail" => async || Err::<(), _>(wasabi::Error::internal("broken")),
            _ => NoRoute,
        },
    )))
    .await
}

#[middleware]
async fn deeper(req: Request, next: impl Next) -> Result<Reply> {
    let span = tracing::info_span!("deeper", id = "deeper");
    next.run(req).instrument(span).await
}

/// The client's own trace context, from the handshake.
const CLIENTS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn an_http_upstream_gets_the_context_of_the_requests_span() {
    let exporting = Exporting::all();
    let server = traced(&service().await, Trace::new()).await;
    let mut client = server.connect("/").await;
    let mut contexts = Vec::new();
    for id in 0..10 {
        let key = if id % 2 == 0 { "ask" } else { "with" };
        let told = client.ask_json(json!({"do": key, "id": id})).await;
        let span = exporting.of(id);
        assert_eq!(told["traceparent"], json!([traceparent(&span)]));
        assert_eq!(told["tracestate"], json!([]), "there is none to tell");
        assert_eq!(span.parent_span_id.to_string(), "0".repeat(16));
        contexts.push(span.span_context);
    }
    for one in 0..10 {
        for other in 0..one {
            assert_ne!(contexts[one].span_id(), contexts[other].span_id());
            assert_ne!(contexts[one].trace_id(), contexts[other].trace_id());
        }
    }
}

#[tokio::test]
async fn an_exported_span_has_the_outcome_of_the_request() {
    let exporting = Exporting::all();
    let server = traced(&service().await, Trace::new()).await;
    let mut client = server.connect("/").await;
    let connection = client.ask(r#"{"do":"who","id":9}"#).await;
    for (id, key, outcome, fails) in [
        (0, "ask", "ok", false),
        (1, "refuse", "bad_request", false),
        (2, "fail", "internal", true),
    ] {
        let _ = client.ask_json(json!({"do": key, "id": id})).await;
        let span = exporting.of(id);
        assert_eq!(span.name, key);
        assert_eq!(span.span_kind, SpanKind::Server);
        assert_eq!(attribute(&span, "route").as_deref(), Some(key));
        assert_eq!(attribute(&span, "connection").as_ref(), Some(&connection));
        assert_eq!(attribute(&span, "outcome").as_deref(), Some(outcome));
        assert_eq!(matches!(span.status, Status::Error { .. }), fails);
        assert_eq!(span.links.len(), 0);
    }
}

#[tokio::test]
async fn a_span_inside_that_of_the_request_is_the_parent_of_calls_inside_it() {
    let exporting = Exporting::all();
    let server = traced(&service().await, Trace::new()).await;
    let mut client = server.connect("/").await;
    let told = client.ask_json(json!({"do": "deeper", "id": 1})).await;
    let request = exporting.of(1);
    let spans = exporting.ended();
    let inner = spans.iter().find(|span| span.name == "deeper");
    let inner = inner.expect("it has ended");
    assert_eq!(inner.parent_span_id, request.span_context.span_id());
    assert_eq!(told["traceparent"], json!([traceparent(inner)]));
}

#[tokio::test]
async fn without_trace_an_upstream_gets_no_context() {
    let _exporting = Exporting::all();
    let upstream = service().await;
    let broker = Memory::new();
    let mut worker = broker.worker("orders");
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        match key {
            "ask" => Http::post(&upstream),
            _ => Queue::new(broker, "orders"),
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    let told = client.ask_json(json!({"do": "ask", "id": 1})).await;
    assert_eq!(told["traceparent"], json!([]));
    client.send(r#"{"do":"queue"}"#).await;
    assert_eq!(soon(worker.next()).await.header("traceparent"), None);
}

#[tokio::test]
async fn each_try_of_a_retry_has_the_context() {
    let exporting = Exporting::all();
    let tries = Arc::new(AtomicUsize::new(0));
    let contexts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (nth, seen) = (Arc::clone(&tries), Arc::clone(&contexts));
    let twice_unavailable = move |headers: HeaderMap| async move {
        let context = headers.get("traceparent").cloned();
        seen.lock().expect("no panic").push(context);
        match nth.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(StatusCode::SERVICE_UNAVAILABLE),
            _ => Ok("at last"),
        }
    };
    let upstream = http_service(Router::new().route("/", post(twice_unavailable))).await;
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [Trace::new(), Retry::new(Backoff::constant(1ms).retries(2))],
        Http::post(upstream),
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask(r#"{"do":"x","id":1}"#).await, "at last");
    let expected = traceparent(&exporting.of(1));
    let contexts = contexts.lock().expect("no panic");
    assert_eq!(contexts.len(), 3);
    for context in contexts.iter() {
        assert_eq!(context.as_ref().expect("a context"), expected.as_str());
    }
}

#[tokio::test]
async fn an_unsampled_trace_is_marked_as_unsampled() {
    let exporting = Exporting::sampling(Sampler::AlwaysOff);
    let server = traced(&service().await, Trace::new()).await;
    let mut client = server.connect("/").await;
    let told = client.ask_json(json!({"do": "ask", "id": 1})).await;
    let context = told["traceparent"][0].as_str().expect("a context");
    assert!(context.ends_with("-00"), "{context}");
    let spans = exporting.ended();
    assert_eq!(spans.len(), 0);
}

#[tokio::test]
async fn a_forwarded_context_gives_way_to_that_of_the_span() {
    let exporting = Exporting::all();
    let server = traced(&service().await, Trace::new()).await;
    let own = [("traceparent", CLIENTS), ("tracestate", "client=1")];
    let mut client = server.connect_with("/", &own).await.expect("handshake");
    let told = client.ask_json(json!({"do": "forward", "id": 1})).await;
    let span = exporting.of(1);
    assert_eq!(told["traceparent"], json!([traceparent(&span)]));
    assert_eq!(told["tracestate"], json!([]));
    assert_eq!(span.links.len(), 0, "nobody asked for a link");
    assert_ne!(span.span_context.trace_id().to_string(), CLIENTS[3..35]);
}

#[tokio::test]
async fn a_span_can_be_linked_to_that_of_the_client() {
    let exporting = Exporting::all();
    let server = traced(&service().await, Trace::new().link_handshake()).await;
    let own = [("traceparent", CLIENTS), ("tracestate", "client=1")];
    let nonsense = [("traceparent", "00-0-0-01")];
    for (id, headers) in [&own[..], &[], &nonsense].into_iter().enumerate() {
        let mut client = server.connect_with("/", headers).await.expect("handshake");
        let told = client.ask_json(json!({"do": "ask", "id": id})).await;
        let span = exporting.of(id);
        assert_eq!(told["traceparent"], json!([traceparent(&span)]));
        let links: Vec<_> = span.links.iter().map(|link| &link.span_context).collect();
        assert_eq!(links.len(), usize::from(id == 0));
        for link in links {
            assert_eq!(link.trace_id().to_string(), CLIENTS[3..35]);
            assert_eq!(link.span_id().to_string(), CLIENTS[36..52]);
        }
    }
}

#[tokio::test]
async fn a_message_for_a_worker_has_the_context_beside_its_own_headers() {
    let exporting = Exporting::all();
    let broker = Memory::new();
    let mut worker = broker.worker("orders");
    let orders = Queue::new(broker, "orders")
        .header_with("key", |req| req.key().to_owned())
        .header_with("traceparent", |_| "of another span".to_owned());
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [Trace::new()],
        orders,
    )))
    .await;
    let mut client = server.connect("/").await;
    for id in 0..3 {
        client
            .send(json!({"do": "place", "id": id}).to_string())
            .await;
        let job = soon(worker.next()).await;
        assert!(job.reply("{}"));
        assert_eq!(client.text().await, "{}");
        let expected = traceparent(&exporting.of(id));
        assert_eq!(job.header("traceparent"), Some(expected.as_str()));
        assert_eq!(job.header("tracestate"), None);
        assert_eq!(job.header("key"), Some("place"));
    }
}
