//! HTTP services as backends.

mod data;
mod https;
mod limits;

use std::{
    convert::Infallible,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::Request as Incoming,
    response::{IntoResponse, Redirect, Response},
    routing::{any, get},
};
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};
use wasabi::{Error, Fault, Resend, ServeError, StatusCode, prelude::*, reqwest};
use wasabi_tests::{http_service as upstream, serve, soon, until};

const MS: Duration = Duration::from_millis(1);

/// A service that answers each connection with these bytes and closes it.
async fn raw_upstream(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(answer).await;
        }
    });
    format!("http://{addr}")
}

/// An address where nothing listens.
async fn refused() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

/// Answers with what it received.
async fn inspect(request: Incoming) -> axum::Json<Value> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .expect("a body");
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    axum::Json(json!({
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "headers": headers.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "body": String::from_utf8_lossy(&body),
    }))
}

/// A handler that counts its calls.
fn counting(calls: &Arc<AtomicUsize>) -> axum::routing::MethodRouter {
    let calls = Arc::clone(calls);
    any(move || {
        calls.fetch_add(1, Ordering::SeqCst);
        async { "here" }
    })
}

/// Returns what a client receives for one message when this backend answers.
async fn answer(backend: impl Backend + 'static, message: &str) -> String {
    let server = serve(gateway!(channel("/", backend))).await;
    server.connect("/").await.ask(message).await
}

#[tokio::test]
async fn the_message_is_the_body_and_the_body_is_the_reply() {
    let url = upstream(Router::new().fallback(inspect)).await;
    let server = serve(gateway!(
        channel("/raw", Http::post(&url)),
        channel(
            "/typed",
            Http::put(format!("{url}/x?y=z")).content_type("application/cbor")
        ),
        channel(
            "/json",
            parser = JsonKey::at("/k"),
            Http::method(wasabi::Method::PATCH, &url)
        ),
        channel("/get", Http::get(&url)),
    ))
    .await;
    let mut client = server.connect("/raw").await;
    client.send("hello").await;
    let seen = client.json().await;
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["uri"], "/");
    assert_eq!(seen["body"], "hello");
    assert_eq!(seen["headers"]["content-type"], "text/plain; charset=utf-8");
    client.send(vec![b'a']).await;
    let seen = client.json().await;
    assert_eq!(seen["body"], "a");
    assert_eq!(seen["headers"]["content-type"], "application/octet-stream");

    let mut client = server.connect("/typed").await;
    client.send("x").await;
    let seen = client.json().await;
    assert_eq!(
        (&seen["method"], &seen["uri"]),
        (&json!("PUT"), &json!("/x?y=z"))
    );
    assert_eq!(seen["headers"]["content-type"], "application/cbor");

    let mut client = server.connect("/json").await;
    client.send(r#"{"k":"a"}"#).await;
    let seen = client.json().await;
    assert_eq!(seen["method"], "PATCH");
    assert_eq!(seen["headers"]["content-type"], "application/json");

    let mut client = server.connect("/get").await;
    client.send("not sent").await;
    let seen = client.json().await;
    assert_eq!(
        (&seen["method"], &seen["body"]),
        (&json!("GET"), &json!(""))
    );
    assert_eq!(seen["headers"]["content-type"], Value::Null);
}

#[tokio::test]
async fn the_content_type_decides_between_text_and_binary() {
    fn typed(content_type: &'static str, body: &'static [u8]) -> Response {
        ([(CONTENT_TYPE, content_type)], body).into_response()
    }
    let service = Router::new().fallback(async |body: String| match body.as_str() {
        "text" => typed("text/plain; charset=utf-8", b"t"),
        "json" => typed("application/json", b"{}"),
        "problem" => typed("application/problem+json", b"{}"),
        "bytes" => typed("application/octet-stream", b"text too"),
        "latin1" => typed("text/plain", b"caf\xe9"),
        "untyped text" => Body::from("u").into_response(),
        "untyped bytes" => Body::from(&b"\xff\x00"[..]).into_response(),
        "nothing" => StatusCode::NO_CONTENT.into_response(),
        _ => "".into_response(),
    });
    let url = upstream(service).await;
    let server = serve(gateway!(channel("/", Http::post(&url)))).await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("text").await, "t");
    assert_eq!(client.ask("json").await, "{}");
    assert_eq!(client.ask("problem").await, "{}");
    client.send("bytes").await;
    assert_eq!(client.binary().await, b"text too");
    assert_eq!(client.ask("untyped text").await, "u");
    client.send("untyped bytes").await;
    assert_eq!(client.binary().await, b"\xff\x00");
    assert_eq!(client.ask("empty").await, "");
    client.send("nothing").await;
    client.silent().await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_an_error_and_never_sent() {
    let service = async || ([(CONTENT_TYPE, "text/plain")], &b"caf\xe9"[..]);
    let url = upstream(Router::new().fallback(service)).await;
    let error = "upstream_invalid: upstream sent an invalid answer";
    assert_eq!(answer(Http::post(url), "x").await, error);
}

#[tokio::test]
async fn other_statuses_can_be_accepted() {
    let service = async || (StatusCode::NOT_FOUND, "no such thing");
    let url = upstream(Router::new().fallback(service)).await;
    let backend = Http::post(url).accept_status(|status| status == StatusCode::NOT_FOUND);
    assert_eq!(answer(backend, "x").await, "no such thing");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let calls = Arc::new(AtomicUsize::new(0));
    let service = Router::new()
        .route("/", any(async || Redirect::temporary("/elsewhere")))
        .route("/elsewhere", counting(&calls));
    let url = upstream(service).await;
    let error = "upstream_status: upstream answered 307";
    assert_eq!(answer(Http::post(url), "x").await, error);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_service_that_hangs_is_timed_out_also_in_the_middle_of_its_answer() {
    let service = Router::new()
        .route("/", any(std::future::pending::<()>))
        .route(
            "/body",
            any(async || {
                let first = stream::iter([Ok::<_, Infallible>("first")]);
                Body::from_stream(first.chain(stream::pending()))
            }),
        );
    let url = upstream(service).await;
    for path in ["/", "/body"] {
        let backend = Http::post(format!("{url}{path}")).timeout(100 * MS);
        assert_eq!(
            answer(backend, "x").await,
            "timed_out: no reply in time",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_refused_connection_is_upstream_unreachable_and_a_broken_one_upstream_lost() {
    let refused = format!("http://{}", refused().await);
    let silent = raw_upstream(b"").await;
    let halfway = raw_upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    let unreachable = "upstream_unreachable: upstream cannot be reached";
    let lost = "upstream_lost: upstream was lost; the request may have been carried out";
    for (url, error) in [(refused, unreachable), (silent, lost), (halfway, lost)] {
        assert_eq!(answer(Http::post(&url), "x").await, error, "{url}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_invalid() {
    let url = raw_upstream(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    let error = "upstream_invalid: upstream sent an invalid answer";
    assert_eq!(answer(Http::post(url), "x").await, error);
}

#[tokio::test]
async fn failures_tell_whether_the_upstream_has_seen_the_request() {
    let failures = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&failures);
    let errors = move |error: &Error, _: Option<&RequestId>| {
        assert_eq!(error.fault(), Fault::Upstream);
        seen.lock()
            .expect("no panic")
            .push(error.resend() == Resend::Safe);
        "failed"
    };
    let refused = format!("http://{}", refused().await);
    let silent = raw_upstream(b"").await;
    let server = serve(gateway!(
        errors = ErrorFormat::with(errors),
        channel("/refused", Http::post(refused)),
        channel("/silent", Http::post(silent)),
    ))
    .await;
    for path in ["/refused", "/silent"] {
        assert_eq!(server.connect(path).await.ask("x").await, "failed");
    }
    assert_eq!(*failures.lock().expect("no panic"), [true, false]);
}

#[tokio::test]
async fn functions_that_call_a_service_pass_its_errors_on_with_a_question_mark() {
    let url = upstream(Router::new().route("/", get(async || StatusCode::BAD_GATEWAY))).await;
    let refused = format!("http://{}", refused().await);
    async fn fetch(url: String) -> Result<String> {
        Ok(reqwest::get(url).await?.error_for_status()?.text().await?)
    }
    let call = |url: String| move || fetch(url.clone());
    let server = serve(gateway!(
        channel("/status", call(url)),
        channel("/refused", call(refused)),
        channel("/builder", call("no URL".to_owned())),
    ))
    .await;
    for (path, error) in [
        ("/status", "upstream_status: upstream answered 502"),
        (
            "/refused",
            "upstream_unreachable: upstream cannot be reached",
        ),
        ("/builder", "internal: internal error"),
    ] {
        assert_eq!(server.connect(path).await.ask("x").await, error);
    }
}

// Long: a table.
#[tokio::test]
async fn an_invalid_value_keeps_the_gateway_from_being_served() {
    let url = "http://localhost/";
    let mistakes = [
        (
            Http::post(String::from("localhost:1")),
            "`localhost:1` is not a complete URL; start it with `http://` or `https://`",
        ),
        (
            Http::post(String::from("/path")),
            "`/path` is not a complete URL; start it with `http://` or `https://`",
        ),
        (
            Http::post(url).header("a b", "c"),
            "`a b` is not a header name; use letters, digits and `-`",
        ),
        (
            Http::post(url).header("content-length", "0"),
            "the header `content-length` cannot be set: it belongs to one connection",
        ),
        (
            Http::post(url).header("x", "\n"),
            "the value of the header `x` is invalid",
        ),
        (
            Http::post(url).forward_headers(["host"]),
            "the header `host` cannot be set: it belongs to the handshake",
        ),
        (
            Http::post(url).forward_headers(["X-Forwarded-For"]),
            "the header `x-forwarded-for` cannot be forwarded: a client may write anything there; use \
             `forwarded_for()`",
        ),
        (
            Http::post(url).forward_headers(["accept-encoding"]),
            "the header `accept-encoding` cannot be forwarded: the gateway itself asks for the encodings that it \
             can decode",
        ),
        (
            Http::post(url).header_with("te", |_| Some("gzip")),
            "the header `te` cannot be set: it belongs to one connection",
        ),
        (
            Http::post(url).timeout(Duration::ZERO),
            "zero makes no sense in `Http::timeout(..)`; write a value above zero",
        ),
        (
            Http::post(url).concurrency(0),
            "zero makes no sense in `Http::concurrency(..)`; write a value above zero",
        ),
    ];
    for (backend, mistake) in mistakes {
        let gateway = gateway!(channel(
            "/a",
            match key {
                "x" => backend,
                _ => NoRoute,
            }
        ));
        let served = Server::bind("127.0.0.1:0").signals(false).serve(gateway);
        let Err(ServeError::Mistakes(found)) = soon(served).await else {
            panic!("served in spite of: {mistake}");
        };
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), format!("`/a`: {mistake}"));
    }
}

#[test]
fn the_proxies_of_the_environment_are_not_used() {
    // Environment variables affect the whole process, so this runs another test in its own process.
    let this = std::env::current_exe().expect("a path");
    let nowhere = "http://127.0.0.1:9";
    let output = Command::new(this)
        .args([
            "--exact",
            "suite::http_backend::other_statuses_can_be_accepted",
        ])
        .env("HTTP_PROXY", nowhere)
        .env("http_proxy", nowhere)
        .env("ALL_PROXY", nowhere)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .expect("the test program");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}"
    );
}
