//! Data of a client in the parts of a request.

use super::*;

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
