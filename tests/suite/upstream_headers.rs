//! Headers that tell upstreams who the client is.

use axum::{Router, extract::Request as Incoming};
use http::HeaderMap;
use serde_json::{Value, json};
use wasabi::prelude::*;
use wasabi_tests::{Client, TestServer, http_service, serve, serve_with};

/// Answers with the headers that it received; several lines of one header become a list.
async fn headers(request: Incoming) -> axum::Json<Value> {
    axum::Json(seen(request.headers()))
}

fn seen(headers: &HeaderMap) -> Value {
    let mut seen = json!({});
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| value.to_str().expect("text"));
        seen[name.as_str()] = values.collect::<Vec<_>>().join(", ").into();
    }
    seen
}

async fn service() -> String {
    http_service(Router::new().fallback(headers)).await
}

#[derive(Clone)]
struct User(String);

async fn verify(token: String) -> Result<Identity<User>, Denied> {
    Ok(Identity::new(User(token)))
}

fn user(connection: &Connection) -> Option<String> {
    connection
        .identity()
        .map(|user: Identity<User>| user.0.clone())
}

async fn ask(client: &mut Client, message: &str) -> Value {
    client.send(message).await;
    client.json().await
}

#[tokio::test]
async fn a_header_is_made_of_the_identity_that_the_client_has_when_it_asks() {
    let url = service().await;
    let auth = BearerAuth::new(verify).optional();
    let server = serve(gateway!(channel(
        "/",
        http = [auth],
        parser = JsonKey::at("/do"),
        match key {
            "login" => async |connection: Connection| {
                connection.renew(Identity::new(User("zoe".into())));
                "in"
            },
            _ => Http::post(url)
                .header_with("x-user", user)
                .forward_headers(["x-user"]),
        },
    )))
    .await;
    let forged = [("x-user", "root")];
    let mut client = server.connect_with("/", &forged).await.expect("connected");
    assert_eq!(
        ask(&mut client, r#"{"do":"before"}"#).await["x-user"],
        Value::Null
    );
    assert_eq!(client.ask(r#"{"do":"login"}"#).await, "in");
    assert_eq!(ask(&mut client, r#"{"do":"after"}"#).await["x-user"], "zoe");
    let headers = [("authorization", "Bearer ann"), ("x-user", "root")];
    let mut client = server.connect_with("/", &headers).await.expect("connected");
    assert_eq!(ask(&mut client, r#"{"do":"x"}"#).await["x-user"], "ann");
}

#[tokio::test]
async fn a_value_that_is_invalid_in_a_header_is_refused_and_nothing_is_sent() {
    let url = service().await;
    let backend = Http::post(url).header_with("x-user", |_| Some("a\r\nx-admin: yes"));
    let server = serve(gateway!(channel("/", backend))).await;
    let answer = server.connect("/").await.ask("x").await;
    assert_eq!(
        answer,
        "bad_request: a value contains characters that a header cannot have"
    );
}

/// Three ways to pass on the address, behind proxies that are trusted or not.
async fn telling(trusted: &[&str], over_unix: Option<&std::path::Path>) -> TestServer {
    let url = service().await;
    let trusted = ClientIp::trusting(trusted);
    let gateway = gateway!(
        http = [trusted.clone()],
        channel("/x", Http::post(&url).forwarded_for()),
        channel("/rfc", Http::post(&url).forwarded()),
        channel(
            "/forwarded",
            http = [trusted.forwarded()],
            Http::post(&url).forwarded()
        ),
        channel("/neither", Http::post(&url)),
    );
    serve_with(gateway, |server| match over_unix {
        Some(path) => server.also_bind(format!("unix:{}", path.display())),
        None => server,
    })
    .await
}

async fn told(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> [Value; 3] {
    let mut client = server.connect_with(path, headers).await.expect("connected");
    let seen = ask(&mut client, "x").await;
    ["x-forwarded-for", "x-forwarded-proto", "forwarded"].map(|name| seen[name].clone())
}

#[tokio::test]
async fn forwarded_headers_of_an_untrusted_client_are_never_passed_on() {
    let server = telling(&["10.0.0.0/8"], None).await;
    let claims = [
        ("x-forwarded-for", "6.6.6.6, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=6.6.6.6;proto=https"),
    ];
    let none = Value::Null;
    for headers in [&claims[..], &[]] {
        assert_eq!(
            told(&server, "/x", headers).await,
            [json!("127.0.0.1"), none.clone(), none.clone()]
        );
        let expected = [none.clone(), none.clone(), json!("for=127.0.0.1")];
        assert_eq!(told(&server, "/rfc", headers).await, expected);
        assert_eq!(told(&server, "/forwarded", headers).await, expected);
        assert_eq!(
            told(&server, "/neither", headers).await,
            [none.clone(), none.clone(), none.clone()]
        );
    }
}

#[tokio::test]
async fn trusted_proxies_are_listed_after_the_client() {
    let server = telling(&["127.0.0.0/8", "10.0.0.0/8"], None).await;
    let chain = [
        ("x-forwarded-for", "6.6.6.6, 2001:db8::1, 10.0.0.7"),
        ("x-forwarded-proto", "https"),
    ];
    let none = Value::Null;
    assert_eq!(
        told(&server, "/x", &chain).await,
        [
            json!("2001:db8::1, 10.0.0.7, 127.0.0.1"),
            json!("https"),
            none.clone()
        ]
    );
    let elements = "for=\"[2001:db8::1]\", for=10.0.0.7, for=127.0.0.1;proto=https";
    assert_eq!(
        told(&server, "/rfc", &chain).await,
        [none.clone(), none.clone(), json!(elements)]
    );
    // Only the headers that this layer reads count, and a single hop is a single hop.
    let chain = [
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=1.1.1.1;proto=http"),
    ];
    assert_eq!(
        told(&server, "/forwarded", &chain).await,
        [
            none.clone(),
            none,
            json!("for=1.1.1.1, for=127.0.0.1;proto=http")
        ]
    );
}

#[cfg(unix)]
#[tokio::test]
async fn the_peer_of_a_unix_socket_is_unknown() {
    let path = std::env::temp_dir().join(format!("wasabi-headers-{}", std::process::id()));
    let server = telling(&["unix:"], Some(&path)).await;
    for (channel, name, header, expected) in [
        (
            "/x",
            "x-forwarded-for",
            "x-forwarded-for: 1.1.1.1",
            json!("1.1.1.1"),
        ),
        ("/x", "x-forwarded-for", "x-other: 1", Value::Null),
        (
            "/rfc",
            "forwarded",
            "x-forwarded-for: 1.1.1.1",
            json!("for=1.1.1.1, for=unknown"),
        ),
        ("/rfc", "forwarded", "x-other: 1", json!("for=unknown")),
    ] {
        let stream = tokio::net::UnixStream::connect(&path)
            .await
            .expect("a socket");
        let (key, value) = header.split_once(": ").expect("a header");
        let request = http::Request::get(format!("ws://localhost{channel}"))
            .header("host", "localhost")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
            .header(key, value)
            .body(())
            .expect("a request");
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .expect("101");
        let asked = futures_util::SinkExt::send(&mut socket, "x".into());
        asked.await.expect("sent");
        let answer = futures_util::StreamExt::next(&mut socket).await;
        let answer = answer
            .expect("an answer")
            .expect("a message")
            .into_text()
            .expect("text");
        let seen: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(seen[name], expected, "{channel} {header}");
    }
    drop(server);
}

#[tokio::test]
async fn a_shared_cache_around_a_header_of_the_client_is_a_mistake() {
    let url = "http://localhost/";
    for (backend, name) in [
        (Http::post(url).header_with("x-user", user), "x-user"),
        (Http::post(url).forwarded_for(), "x-forwarded-for"),
        (Http::post(url).forwarded(), "forwarded"),
    ] {
        let cache = Cache::new(std::time::Duration::from_secs(1)).shared();
        let gateway = gateway!(channel("/", with([cache], backend)));
        let mistakes = gateway.check().expect_err(name);
        assert!(
            mistakes[0].to_string().contains(&format!("`{name}`")),
            "{mistakes:?}"
        );
    }
}

const ADA: &str = "Basic YWRhOnAvdw==";

#[tokio::test]
async fn credentials_in_the_url_of_a_service_are_sent_as_authorization() {
    let url = service().await.replace("http://", "http://ada:p%2Fw@");
    let by_function = url.clone();
    let server = serve(gateway!(
        channel(
            "/fixed",
            Http::post(&url).forward_headers(["authorization"])
        ),
        channel("/{x}/filled", Http::post(format!("{url}/{{x}}"))),
        channel(
            "/function",
            Http::with(move |_| Ok(HttpRequest::get(&by_function)))
        ),
    ))
    .await;
    let headers = [("authorization", "Bearer of-the-client")];
    for (path, expected) in [("/fixed", ADA), ("/x/filled", ADA), ("/function", ADA)] {
        let mut client = server
            .connect_with(path, &headers)
            .await
            .expect("connected");
        let seen = ask(&mut client, "x").await;
        assert_eq!(seen["authorization"], expected, "{path}");
        assert!(
            seen["host"].to_string().starts_with("\"127.0.0.1:"),
            "{path}: {seen}"
        );
    }
}

#[tokio::test]
async fn credentials_in_the_url_from_a_function_and_in_a_header_are_an_error() {
    let url = service().await.replace("http://", "http://ada:p%2Fw@");
    let by_request = url.clone();
    let server = serve(gateway!(
        channel(
            "/request",
            Http::with(move |_| {
                Ok(HttpRequest::get(&by_request).header("authorization", "Own x"))
            })
        ),
        channel(
            "/backend",
            Http::with(move |_| Ok(HttpRequest::get(&url))).header("authorization", "Own x")
        ),
    ))
    .await;
    for path in ["/request", "/backend"] {
        let mut client = server.connect(path).await;
        assert_eq!(client.ask("x").await, "internal: internal error", "{path}");
    }
    let request = HttpRequest::get("http://a:b@c/").header("Authorization", "x");
    let error = request.check().expect_err("a mistake").to_string();
    assert!(error.contains("remove one of them"), "{error}");
}

#[tokio::test]
async fn credentials_in_the_url_of_a_websocket_server_are_sent_as_authorization() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = listener.local_addr().expect("an address");
    let url = format!("ws://ada:p%2Fw@{addr}/feed");
    let server = serve(gateway!(channel("/", WebSocket::connect(url)))).await;
    let mut client = server.connect("/").await;
    client.send("x").await;
    let (mut stream, _) = wasabi_tests::soon(listener.accept())
        .await
        .expect("a socket");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(
            tokio::io::AsyncReadExt::read_u8(&mut stream)
                .await
                .expect("a head"),
        );
    }
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("GET /feed HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("\r\nAuthorization: {ADA}\r\n")),
        "{head}"
    );
    assert!(head.contains(&format!("\r\nHost: {addr}\r\n")), "{head}");
}

#[test]
fn credentials_in_two_places_or_with_a_colon_are_mistakes() {
    let http = |url: &str| Http::post(url);
    let checked = |gateway: Gateway, why: &str| {
        let mistakes = gateway.check().expect_err(why);
        assert!(mistakes[0].to_string().contains(why), "{mistakes:?}");
    };
    let both = http("http://a:b@c/").header("authorization", "x");
    checked(gateway!(channel("/", both)), "remove one of them");
    let both = WebSocket::connect(String::from("ws://a:b@c/")).header("authorization", "x");
    checked(gateway!(channel("/", both)), "remove one of them");
    checked(
        gateway!(channel("/", http("http://a%3Ab:c@d/"))),
        "contains a colon",
    );
}
