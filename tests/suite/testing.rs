//! Gateways without sockets, and connections without clients.

// Long: one test for each thing that the module does.

use std::time::Duration;

use axum::{Router, routing::post};
use http::{Request as HttpRequest, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};
use wasabi::{
    Close, CloseCode, Error,
    prelude::*,
    testing::{TestConnection, TestError, TestGateway, TestHandshake, call, messages, next},
};

const HOUR: Duration = Duration::from_secs(3600);

fn echo() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_an_hour_takes_no_time() {
    let gateway = gateway!(channel("/", middleware = [Timeout::new(1h)], async || {
        std::future::pending::<()>().await
    },));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let mut client = gateway
        .connect("/")
        .await
        .expect("connected")
        .patience(2 * HOUR);
    let began = Instant::now();
    client.send("x").await.expect("sent");
    let reply = client.text().await.expect("a reply");
    assert!(reply.starts_with("timed_out"), "{reply}");
    let waited = began.elapsed();
    assert!(
        (HOUR..HOUR + Duration::from_secs(1)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_is_closed_as_in_production() {
    let gateway = gateway!(channel(
        "/",
        send_timeout = 10s,
        max_waiting_bytes = 64KiB,
        async |connection: Connection| {
            let kib = Bytes::from(vec![0; 1024]);
            while connection.send(Binary(kib.clone())).await.is_ok() {}
        },
    ));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let mut client = gateway.connect("/").await.expect("connected");
    client.send("start").await.expect("sent");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let end = loop {
        match client.receive().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(end, TestError::Ended(_)), "{end}");
}

#[tokio::test]
async fn a_refused_handshake_is_a_response() {
    let gateway = gateway!(channel(
        "/",
        http = [BearerAuth::new(
            async |token: String| (token == "4711").then(|| Identity::new(token))
        )],
        async |user: Identity<String>| user.into_inner(),
    ));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let error = gateway.connect("/").await.expect_err("refused");
    let response = error.refused().expect("a response");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key("www-authenticate"));

    let handshake = TestHandshake::to("/").header("authorization", "Bearer 4711");
    let mut client = gateway.connect(handshake).await.expect("connected");
    assert_eq!(
        client.ask("who am I?").await.expect("a reply"),
        Message::text("4711")
    );
    let error = gateway.connect("/elsewhere").await.expect_err("refused");
    assert_eq!(
        error.refused().expect("a response").status(),
        StatusCode::NOT_FOUND
    );
    let handshake = TestHandshake::to("/").header("a b", "c");
    let error = gateway.connect(handshake).await.expect_err("invalid");
    assert!(matches!(error, TestError::Handshake(_)), "{error}");
}

#[tokio::test]
async fn the_mistakes_of_a_gateway_are_told() {
    let configured = String::from("nowhere");
    let gateway = gateway!(channel("/", Http::post(configured)));
    let error = TestGateway::new(gateway).expect_err("a mistake");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn both_sides_may_close() {
    let gateway = gateway!(channel("/", async |connection: Connection| {
        connection.close(Close::new(CloseCode::POLICY, "go away"));
    }));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let mut client = gateway.connect("/").await.expect("connected");
    client.send("x").await.expect("sent");
    let close = client.closed().await.expect("a close frame");
    assert_eq!(close, Close::new(CloseCode::POLICY, "go away"));
    let error = client.send("x").await.expect_err("the end");
    assert!(matches!(error, TestError::Ended(None)), "{error}");

    let gateway = TestGateway::new(echo()).expect("no mistakes");
    let mut client = gateway.connect("/").await.expect("connected");
    let answer = client
        .close(CloseCode::GOING_AWAY)
        .await
        .expect("a close frame");
    assert_eq!(answer.code, CloseCode::GOING_AWAY);
}

#[tokio::test]
async fn a_drain_finishes_requests_and_refuses_handshakes() {
    let gateway = gateway!(channel("/", async |text: Text| {
        tokio::task::yield_now().await;
        text
    }));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let mut client = gateway.connect("/").await.expect("connected");
    client.send("last").await.expect("sent");
    let reading = async {
        let reply = client.text().await.expect("a reply");
        (reply, client.closed().await.expect("a close frame"))
    };
    let ((), (reply, close)) = tokio::join!(
        async {
            // The message is on its way before the drain begins.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            gateway.drain().await;
        },
        reading
    );
    assert_eq!(
        (reply.as_str(), close.code),
        ("last", CloseCode::SERVICE_RESTART)
    );
    let error = gateway.connect("/").await.expect_err("refused");
    assert_eq!(
        error.refused().expect("a response").status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn endpoints_answer_and_paths_are_normalized() {
    let gateway = gateway!(
        get("/name", async || "the gateway"),
        get("/panic", async || -> &'static str {
            panic!("in an endpoint")
        }),
        channel("/", async |message: Message| message),
    );
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let get = |path: &str| HttpRequest::get(path).body("").expect("a request");
    let response = gateway.http(get("/n%61me")).await.expect("a response");
    assert_eq!(
        (response.status(), &response.body()[..]),
        (StatusCode::OK, &b"the gateway"[..])
    );
    let response = gateway.http(get("/panic")).await.expect("a response");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let response = gateway.http(get("/a//b")).await.expect("a response");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

/// A service that fails twice, under a paused clock, with pauses of minutes between the attempts.
#[tokio::test(start_paused = true)]
async fn routers_answer_in_place_of_services() {
    let attempts = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = attempts.clone();
    let orders = Router::new().route(
        "/place",
        post(async move |order: String| {
            match counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 | 1 => Err(StatusCode::SERVICE_UNAVAILABLE),
                _ => Ok(format!("placed {order}")),
            }
        }),
    );
    let gateway = gateway!(channel(
        "/",
        match key {
            "text" => with(
                [Retry::new(Backoff::exponential(1min).retries(3))],
                Http::post("http://Orders:80/place"),
            ),
            _ => NoRoute,
        },
    ));
    let gateway = TestGateway::new(gateway)
        .expect("no mistakes")
        .upstream("http://orders", orders);
    let mut client = gateway
        .connect("/")
        .await
        .expect("connected")
        .patience(HOUR);
    assert_eq!(
        client.ask("tea").await.expect("a reply"),
        Message::text("placed tea")
    );
    assert_eq!(attempts.load(std::sync::atomic::Ordering::SeqCst), 3);
}

/// The clock does not run ahead while a router that stands for a service does work that takes real time.
#[tokio::test(start_paused = true)]
async fn a_timeout_does_not_fire_while_a_real_upstream_works() {
    let orders = Router::new().route(
        "/place",
        post(async |order: String| {
            let work = || std::thread::sleep(Duration::from_millis(50));
            tokio::task::spawn_blocking(work).await.expect("it works");
            order
        }),
    );
    let gateway = gateway!(channel(
        "/",
        with([Timeout::new(10ms)], Http::post("http://orders/place")),
    ));
    let gateway = TestGateway::new(gateway)
        .expect("no mistakes")
        .upstream("http://orders", orders);
    let mut client = gateway.connect("/").await.expect("connected");
    let reply = client.ask("tea").await.expect("a reply");
    assert_eq!(reply, Message::text("tea"));
}

/// A gateway behind a gateway; the one behind answers after an hour, refuses one client, and goes away.
#[tokio::test(start_paused = true)]
async fn gateways_answer_in_place_of_websocket_servers() {
    let quotes = gateway!(channel(
        "/{market}",
        async |connection: Connection, text: Text| {
            let market: String = connection.path().expect("a market");
            if text == "bye" {
                connection.close(CloseCode::TRY_AGAIN_LATER);
            }
            tokio::time::sleep(HOUR).await;
            format!("{market} {text}")
        }
    ));
    let gateway = gateway!(
        channel("/quotes", WebSocket::connect("ws://quotes:9000/oslo")),
        channel("/nowhere", WebSocket::connect("ws://quotes:9000/too/long")),
    );
    let gateway = TestGateway::new(gateway).expect("no mistakes").upstream(
        "ws://quotes:9000",
        quotes.into_router().expect("no mistakes"),
    );
    let mut client = gateway
        .connect("/quotes")
        .await
        .expect("connected")
        .patience(2 * HOUR);
    assert_eq!(
        client.ask("x").await.expect("a reply"),
        Message::text("oslo x")
    );
    let interrupted = client.ask("bye").await.expect("an error");
    assert!(
        interrupted
            .as_text()
            .is_some_and(|text| text.starts_with("interrupted")),
        "{interrupted:?}"
    );
    let close = client.closed().await.expect("a close frame");
    assert_eq!(close.code, CloseCode::TRY_AGAIN_LATER);

    let mut client = gateway.connect("/nowhere").await.expect("connected");
    let reply = client.ask("x").await.expect("an error");
    assert!(
        reply
            .as_text()
            .is_some_and(|text| text.starts_with("upstream_status")),
        "{reply:?}"
    );
}

#[tokio::test]
async fn replies_are_found_by_id_and_the_rest_waits() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/meta/do").id("/meta/id"),
        concurrency = 4,
        match key {
            "first" => async |Json(call): Json<Value>| {
                tokio::task::yield_now().await;
                Json(json!({ "meta": call["meta"], "n": 1 }))
            },
            "push" => async |Json(call): Json<Value>, connection: Connection| {
                let _ = connection.send(r#"{"event":true}"#).await;
                Json(json!({ "meta": call["meta"], "n": 2 }))
            },
            _ => NoRoute,
        },
    ));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let mut client = gateway
        .connect("/")
        .await
        .expect("connected")
        .json("/meta/do", "/meta/id");
    let first = client.send("first", json!({})).await.expect("sent");
    let reply = client
        .request("push", json!({ "meta": { "more": 0 } }))
        .await
        .expect("a reply");
    assert_eq!(
        (&reply["n"], &reply["meta"]["more"]),
        (&json!(2), &json!(0))
    );
    let mut others = [
        client.receive().await.expect("a message"),
        client.receive().await.expect("a message"),
    ];
    others.sort_by_key(|other| other["event"] == true);
    assert_eq!(others[0]["meta"]["id"], first);
    assert_eq!(others[1], json!({ "event": true }));
}

#[tokio::test(start_paused = true)]
async fn a_transcript_has_exact_times_and_no_secrets() {
    let gateway = gateway!(channel("/", async |message: Message| {
        tokio::time::sleep(Duration::from_millis(250)).await;
        message
    }));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let handshake = TestHandshake::to("/?lang=en&access_token=s3cret")
        .header("authorization", "Bearer s3cret")
        .header("cookie", "session=s3cret")
        .header("x-api-key", "s3cret")
        .header("sec-websocket-protocol", "chat, bearer.s3cret")
        .subprotocol("bearer.s3cret");
    let mut client = gateway.connect(handshake).await.expect("connected");
    client
        .ask(r#"{"do":"login","list":[{"Refresh-Token":"s3cret"}],"password":"s3cret"}"#)
        .await
        .expect("a reply");
    client.ask("plain").await.expect("a reply");
    client
        .ask(Binary(Bytes::from_static(&[0, 1, 2])))
        .await
        .expect("a reply");
    client
        .close(CloseCode::NORMAL)
        .await
        .expect("a close frame");
    let text = client.transcript().to_string();
    assert!(!text.contains("s3cret"), "{text}");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let login = json!({ "do": "login", "list": [{ "Refresh-Token": "***" }], "password": "***" });
    assert_eq!(
        lines,
        [
            json!({ "ms": 0, "to": "gateway", "open": "/?lang=en&access_token=***", "headers": {
                "authorization": "***", "cookie": "***", "host": "gateway.test", "x-api-key": "***",
                "sec-websocket-protocol": "chat, ***, ***",
            } }),
            json!({ "ms": 0, "to": "gateway", "json": login }),
            json!({ "ms": 250, "to": "client", "json": login }),
            json!({ "ms": 250, "to": "gateway", "text": "plain" }),
            json!({ "ms": 500, "to": "client", "text": "plain" }),
            json!({ "ms": 500, "to": "gateway", "base64": "AAEC" }),
            json!({ "ms": 750, "to": "client", "base64": "AAEC" }),
            json!({ "ms": 750, "to": "gateway", "close": 1000, "reason": "" }),
            json!({ "ms": 750, "to": "client", "close": 1000, "reason": "" }),
        ]
    );
}

#[tokio::test]
async fn a_golden_file_shows_the_first_difference() {
    let gateway = TestGateway::new(echo()).expect("no mistakes");
    let mut client = gateway.connect("/").await.expect("connected");
    client.ask("one").await.expect("a reply");
    let golden = std::env::temp_dir().join(format!("wasabi-golden-{}.jsonl", std::process::id()));
    let error = client.transcript().compare(&golden).expect_err("no file");
    assert!(error.to_string().contains("UPDATE=1"), "{error}");

    let said = client.transcript().to_string();
    std::fs::write(&golden, said.replace("\"ms\":0", "\"ms\":7")).expect("written");
    client
        .transcript()
        .compare(&golden)
        .expect("the same but for the times");
    std::fs::write(&golden, said.replace("one", "two")).expect("written");
    let error = client
        .transcript()
        .compare(&golden)
        .expect_err("a difference")
        .to_string();
    assert!(
        error.contains("line 2") && error.contains("two") && error.contains("one"),
        "{error}"
    );
    client.ask("more").await.expect("a reply");
    std::fs::write(&golden, said).expect("written");
    let error = client
        .transcript()
        .compare(&golden)
        .expect_err("a difference")
        .to_string();
    assert!(
        error.contains("line 4") && error.contains("expected: nothing"),
        "{error}"
    );
    std::fs::remove_file(golden).expect("removed");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_late_says_so() {
    let gateway = gateway!(channel("/", ping = 10min, async || {
        std::future::pending::<()>().await
    }));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let mut client = gateway.connect("/").await.expect("connected");
    let error = client.receive().await.expect_err("nothing comes");
    assert!(matches!(error, TestError::Late(_)), "{error}");
}

#[tokio::test]
async fn functions_and_middleware_are_called_without_a_gateway() {
    #[backend]
    async fn whoami(
        Path(tenant): Path<String>,
        Query(query): Query<std::collections::HashMap<String, String>>,
        user: Identity<u32>,
        RemoteAddr(addr): RemoteAddr,
    ) -> String {
        format!("{tenant} {} {} {addr}", query["lang"], user.into_inner())
    }
    let handshake = TestHandshake::to("/v1/acme?lang=en")
        .identity(Identity::new(7_u32))
        .remote_addr(std::net::SocketAddr::from(([127, 0, 0, 1], 9)));
    let client = TestConnection::open_at("/v1/{tenant}", handshake).expect("a connection");
    let req = client.request("whoami", "");
    let reply = call(whoami, req, &()).await.expect("a reply");
    assert_eq!(
        reply.as_messages(),
        [Message::text("acme en 7 127.0.0.1:9")]
    );

    #[middleware]
    async fn twice(req: Request, next: impl Next) -> Result<Reply> {
        let mut sent = messages(next.run(req.clone()).await?).await?;
        sent.extend(messages(next.run(req).await?).await?);
        Ok(Reply::messages(sent))
    }
    let answer = next(async |req: Request| Ok(Reply::message(req.key().to_owned())));
    let req = client
        .parsed(&JsonKey::at("/do").id("/id"), r#"{"do":"x","id":3}"#)
        .expect("a request");
    assert_eq!(req.id().expect("an id").to_string(), "3");
    let reply = twice.handle(req, answer).await.expect("a reply");
    assert_eq!(reply.as_messages(), ["x", "x"].map(Message::text));
    let error = client
        .parsed(&JsonKey::at("/do"), "not JSON")
        .expect_err("an error");
    assert_eq!(error.code(), "unreadable");
    let error = TestConnection::open_at("/v1/{tenant}", "/v2").expect_err("another path");
    assert!(error.to_string().contains("/v1/{tenant}"), "{error}");
}

#[tokio::test]
async fn what_is_sent_to_a_connection_without_a_client_is_seen() {
    let client = TestConnection::new();
    let connection = client.handle();
    for round in 0..3 {
        for n in 0..64 {
            connection.try_send(format!("{round} {n}")).expect("room");
        }
        assert!(connection.try_send("too many").is_err());
        assert_eq!(client.sent().len(), 64);
    }
    assert_eq!(client.sent(), []);
    assert_eq!(client.closing(), None);
    connection.close(CloseCode::POLICY);
    assert_eq!(client.closing(), Some(CloseCode::POLICY.into()));
    client.leave();
    assert_eq!(connection.closed().await.code, CloseCode::GOING_AWAY);
    assert!(connection.send("too late").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_hook_waits_for_the_paused_clock() {
    async fn hello(connection: Connection) -> Result<(), Error> {
        tokio::time::sleep(HOUR).await;
        let _ = connection.send("hello").await;
        Ok(())
    }
    let client = TestConnection::new();
    let hook = tokio::spawn(hello(client.handle()));
    advance(HOUR / 2).await;
    assert!(client.sent().is_empty());
    hook.await.expect("no panic").expect("no error");
    assert_eq!(client.sent(), [Message::text("hello")]);
}

/// The gateway pings a silent client and frees the memory of its past requests then.
#[tokio::test(start_paused = true)]
async fn requests_and_pushes_after_a_long_silence_work_as_before() {
    let gateway = gateway!(channel(
        "/",
        concurrency = 4,
        async |message: Message, connection: Connection| {
            tokio::spawn(async move { connection.send("pushed").await });
            tokio::time::sleep(Duration::from_secs(1)).await;
            message
        },
    ));
    let gateway = TestGateway::new(gateway).expect("no mistakes");
    let mut client = gateway.connect("/").await.expect("connected");
    for round in 0..3 {
        for n in 0..4 {
            client.send(format!("{round} {n}")).await.expect("sent");
        }
        let mut received = Vec::new();
        while received.len() < 8 {
            received.push(client.text().await.expect("a message"));
        }
        received.sort();
        let replies = (0..4).map(|n| format!("{round} {n}"));
        let pushed = (0..4).map(|_| "pushed".to_owned());
        assert_eq!(received, Vec::from_iter(replies.chain(pushed)));
        // Pings are answered while the client waits for a message.
        let silence = tokio::time::timeout(Duration::from_secs(50), client.text());
        silence.await.expect_err("no message");
    }
}
