//! HTTP services as backends.

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

/// Puts the message everywhere it may go.
fn everywhere(url: String, place: &'static str) -> impl Backend {
    Http::with(move |req: &Request| {
        let text = req.message().as_text().unwrap_or_default();
        let request = HttpRequest::post(&url);
        Ok(match place {
            "segment" => request.segment("users").segment(text).segment("orders"),
            "query" => request.query("q", text).query("fixed", "1"),
            "header" => request.header("x-client", text),
            "json" => request.json(&json!({ "text": text })),
            _ => request.body(req.payload()),
        })
    })
}

#[tokio::test]
async fn client_data_stays_data_in_path_query_header_and_body() {
    let url = upstream(Router::new().fallback(inspect)).await;
    let at = |place| everywhere(format!("{url}/v1/?base=1"), place);
    let server = serve(gateway!(
        channel("/segment", at("segment")),
        channel("/query", at("query")),
        channel("/header", at("header")),
        channel("/json", at("json")),
        channel("/body", at("body")),
    ))
    .await;
    let nasty = r"../x?y#z&a=b\%2e%2F @:ä";
    let seen = |path| {
        let connecting = server.connect(path);
        async {
            let mut client = connecting.await;
            client.send(nasty).await;
            client.json().await
        }
    };
    assert_eq!(
        seen("/segment").await["uri"],
        "/v1/users/..%2Fx%3Fy%23z&a=b%5C%252e%252F%20@:%C3%A4/orders?base=1"
    );
    assert_eq!(
        seen("/query").await["uri"],
        "/v1/?base=1&q=..%2Fx%3Fy%23z%26a%3Db%5C%252e%252F+%40%3A%C3%A4&fixed=1"
    );
    assert_eq!(seen("/header").await["headers"]["x-client"], nasty);
    let json = seen("/json").await;
    assert_eq!(json["body"], json!({ "text": nasty }).to_string());
    assert_eq!(json["headers"]["content-type"], "application/json");
    let body = seen("/body").await;
    assert_eq!(
        (&body["body"], &body["uri"]),
        (&json!(nasty), &json!("/v1/?base=1"))
    );
}

#[tokio::test]
async fn invalid_data_is_refused_and_never_reaches_the_upstream() {
    let calls = Arc::new(AtomicUsize::new(0));
    let url = upstream(Router::new().fallback(counting(&calls))).await;
    for (place, texts) in [
        (
            "header",
            &["a\r\nx-admin: 1", "a\nb", "a\rb", "a\0b", "\u{7f}"][..],
        ),
        (
            "segment",
            &[
                "", ".", "..", "a\r\nb", "a\0b", "a\nb", // Parsers of URLs overlook tabs.
                ".\t.", "\t..", ".\t", "\t", "a\tb",
            ],
        ),
        ("query", &["a\r\nb", "a\nb", "a\0b"]),
    ] {
        let server = serve(gateway!(channel("/", everywhere(url.clone(), place)))).await;
        let mut client = server.connect("/").await;
        for text in texts {
            let reply = client.ask(text).await;
            assert!(
                reply.starts_with("bad_request: "),
                "{place} {text:?}: {reply}"
            );
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_function_cannot_set_the_headers_that_say_where_a_request_goes_and_where_it_ends() {
    let calls = Arc::new(AtomicUsize::new(0));
    let url = upstream(Router::new().fallback(counting(&calls))).await;
    let backend = Http::with(move |req: &Request| {
        let name = req.message().as_text().unwrap_or_default();
        Ok(HttpRequest::post(&url).header(name, "7"))
    });
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "keep-alive",
        "proxy-connection",
        "a\r\nhost",
        "",
    ] {
        let reply = client.ask(name).await;
        assert!(reply.starts_with("bad_request: "), "{name:?}: {reply}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    client.ask("x-seven").await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_empty_body_is_announced_as_empty() {
    let url = upstream(Router::new().fallback(inspect)).await;
    let made = url.clone();
    let server = serve(gateway!(
        channel("/post", Http::post(&url)),
        channel("/put", Http::put(&url)),
        channel("/patch", Http::patch(&url)),
        channel("/get", Http::get(&url)),
        channel("/delete", Http::delete(&url)),
        channel(
            "/made",
            Http::with(move |_: &Request| Ok(HttpRequest::post(&made)))
        ),
    ))
    .await;
    for (path, length) in [
        ("/post", "0"),
        ("/put", "0"),
        ("/patch", "0"),
        ("/made", "0"),
        ("/get", "null"),
        ("/delete", "null"),
    ] {
        let mut client = server.connect(path).await;
        client.send("").await;
        let seen = client.json().await;
        let said = seen["headers"]["content-length"].to_string();
        assert_eq!(said.trim_matches('"'), length, "{path}");
    }
    let mut client = server.connect("/post").await;
    client.send("four").await;
    assert_eq!(client.json().await["headers"]["content-length"], "4");
}

#[tokio::test]
async fn headers_of_the_handshake_are_forwarded_by_name_only() {
    let url = upstream(Router::new().fallback(inspect)).await;
    let backend = Http::post(url)
        .forward_headers(["X-Tenant", "x-internal"])
        .header("x-internal", "gateway");
    let server = serve(gateway!(channel("/", backend))).await;
    let headers = [
        ("x-tenant", "acme"),
        ("x-internal", "forged"),
        ("x-other", "o"),
    ];
    let mut client = server.connect_with("/", &headers).await.expect("handshake");
    client.send("x").await;
    let seen = client.json().await;
    assert_eq!(seen["headers"]["x-tenant"], "acme");
    assert_eq!(seen["headers"]["x-internal"], "gateway");
    assert_eq!(seen["headers"]["x-other"], Value::Null);
    assert_eq!(seen["headers"]["upgrade"], Value::Null);
}

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
            "the value of the header `x` is malformed",
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
            "the header `accept-encoding` cannot be forwarded: it is about the answer to the handshake, and the \
             gateway asks for what it can decode",
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

/// A service whose requests stay in flight until the test releases them.
struct Gate {
    arrived: AtomicUsize,
    abandoned: AtomicUsize,
    open: Semaphore,
}

struct Abandoned(Arc<Gate>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.abandoned.fetch_add(1, Ordering::SeqCst);
    }
}

impl Gate {
    async fn upstream() -> (Arc<Self>, String) {
        let gate = Arc::new(Self {
            arrived: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
            open: Semaphore::new(0),
        });
        let service = Arc::clone(&gate);
        let handler = move || {
            let gate = Arc::clone(&service);
            async move {
                gate.arrived.fetch_add(1, Ordering::SeqCst);
                let guard = Abandoned(Arc::clone(&gate));
                gate.open.acquire().await.expect("never closed").forget();
                std::mem::forget(guard);
                "done"
            }
        };
        (gate, upstream(Router::new().fallback(handler)).await)
    }

    fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn the_51st_request_to_a_host_waits() {
    let (gate, url) = Gate::upstream().await;
    let server = serve(gateway!(channel("/", concurrency = 60, Http::post(&url)))).await;
    let mut client = server.connect("/").await;
    for _ in 0..51 {
        client.send("x").await;
    }
    until("50 requests have arrived", || gate.arrived() == 50).await;
    client.silent().await;
    assert_eq!(gate.arrived(), 50);
    gate.open.add_permits(1);
    assert_eq!(client.text().await, "done");
    until("the 51st request has arrived", || gate.arrived() == 51).await;
    gate.open.add_permits(50);
    for _ in 0..50 {
        assert_eq!(client.text().await, "done");
    }
}

#[tokio::test]
async fn the_timeout_covers_the_wait_for_a_free_place() {
    let (gate, url) = Gate::upstream().await;
    let backend = Http::post(url).concurrency(1).timeout(1000 * MS);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("held for the whole timeout").await;
    tokio::time::sleep(500 * MS).await;
    assert_eq!(gate.arrived(), 1);
    let sent = Instant::now();
    client.send("waits for half of its own").await;
    for _ in 0..2 {
        assert_eq!(client.text().await, "timed_out: no reply in time");
    }
    assert!(sent.elapsed() < 1400 * MS);
}

#[tokio::test]
async fn hosts_do_not_wait_for_each_other() {
    let (gate, url) = Gate::upstream().await;
    let free = upstream(Router::new().fallback(async || "free")).await;
    let backend = Http::with(move |req: &Request| {
        let is_free = req.message().as_text() == Some("free");
        Ok(HttpRequest::post(if is_free { &free } else { &url }))
    });
    let server = serve(gateway!(channel("/", backend.concurrency(1)))).await;
    let mut client = server.connect("/").await;
    client.send("held").await;
    client.send("waits").await;
    assert_eq!(client.ask("free").await, "free");
    assert_eq!(gate.arrived(), 1);
    gate.open.add_permits(2);
    for _ in 0..2 {
        assert_eq!(client.text().await, "done");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_call_of_the_upstream() {
    let (gate, url) = Gate::upstream().await;
    let server = serve(gateway!(channel("/", Http::post(&url)))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    until("the request has arrived", || gate.arrived() == 1).await;
    drop(client);
    until("the request is abandoned", || {
        gate.abandoned.load(Ordering::SeqCst) == 1
    })
    .await;
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

/// A TLS service for `localhost` with its own certificate; also returns the certificate.
async fn tls_upstream() -> (String, reqwest::Certificate) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate with its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Ok(mut socket) = acceptor.accept(socket).await {
                let _ = socket.read(&mut [0; 1024]).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
                let _ = socket.write_all(answer.as_bytes()).await;
                let _ = socket.shutdown().await;
            }
        }
    });
    let root = reqwest::Certificate::from_der(cert.der()).expect("a certificate");
    (format!("https://localhost:{port}/"), root)
}

#[tokio::test]
async fn https_works_with_services_whose_certificate_is_trusted() {
    let (url, root) = tls_upstream().await;
    let error = "upstream_unreachable: upstream cannot be reached";
    assert_eq!(answer(Http::post(&url), "x").await, error);
    let client = Http::client_builder().tls_certs_only([root]).build();
    let backend = Http::post(&url).client(client.expect("a client"));
    assert_eq!(answer(backend, "x").await, "secret");
}

#[tokio::test]
async fn the_http_client_of_the_application_is_used() {
    let url = upstream(Router::new().fallback(async |headers: HeaderMap| {
        headers["user-agent"]
            .to_str()
            .unwrap_or_default()
            .to_owned()
    }))
    .await;
    let client = Http::client_builder()
        .user_agent("mine/1")
        .build()
        .expect("a client");
    assert_eq!(answer(Http::post(url).client(client), "x").await, "mine/1");
}
