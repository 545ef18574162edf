//! R43: clients and upstreams cannot forge log lines, and the log never contains a secret from a URL.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use tracing::Level;
use wasabi::{
    Close, CloseCode, Envelope, Error, RequestId, middleware::request::Measured, prelude::*,
};
use wasabi_tests::{log::Log, serve, soon, until};

const FORGED: &str = "7\n2026-01-01T00:00:00Z ERROR wasabi: all is lost \u{1b}[31m";

/// Asserts that the gateway itself began every line of the log.
fn assert_unforged(log: &Log) {
    for line in log.text().lines() {
        assert!(!line.starts_with("2026-01-01"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

#[tokio::test]
async fn text_from_clients_stays_on_one_log_line() {
    let log = Log::of(Level::TRACE);
    fn parser(message: &Message) -> wasabi::Result<Option<Envelope<'_>>> {
        let key = message.as_text().unwrap_or_default();
        Ok(Some(Envelope::new(key).id(RequestId::new(FORGED))))
    }
    let server = serve(gateway!(channel(
        "/",
        parser = parser,
        middleware = [Trace::new()],
        match key {
            "refused" => async || Err::<String, _>(Error::bad_request(FORGED)),
            "internal" => async || Err::<String, _>(Error::internal(FORGED)),
            _ => async || {
                tracing::info!("inside of the request's span");
                "ok"
            },
        },
    )))
    .await;
    let mut client = server.connect("/").await;
    for what in ["refused", "internal", "fine"] {
        client.ask(what).await;
    }
    client.close(4000, FORGED).await;
    until("the close is logged", || {
        !log.lines("disconnected").is_empty()
    })
    .await;
    assert!(!log.lines("all is lost").is_empty());
    assert_unforged(&log);
}

#[tokio::test]
async fn text_from_upstreams_stays_on_one_log_line() {
    let log = Log::of(Level::TRACE);
    let upstream = serve(gateway!(channel("/", async |connection: Connection| {
        connection.close(Close::new(CloseCode::POLICY, FORGED));
    })))
    .await;
    let backend = WebSocket::connect(upstream.url("/")).correlate("/id");
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send(r#"{"id":1}"#).await;
    while let Some(Ok(_)) = soon(client.socket.next()).await {}
    until("the end is logged", || {
        !log.lines("upstream connection ended").is_empty()
    })
    .await;
    assert_unforged(&log);
}

#[tokio::test]
async fn secrets_of_urls_are_neither_logged_nor_in_names() {
    let log = Log::of(Level::TRACE);
    let routes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&routes);
    let measure = Measure::new(move |measured: Measured<'_>| {
        seen.lock().expect("no panic").push(measured.route);
    });
    let lost = String::from("http://ada:s3cret@localhost:1/?token=s3cret");
    let gateway = gateway!(
        middleware = [measure],
        channel(
            "/literal",
            Http::post("http://ada:s3cret@localhost:1/?api_key=s3cret")
                .header("x-api-key", "s3cret")
        ),
        channel(
            "/upstream",
            WebSocket::connect("ws://localhost:1/?token=s3cret").header("cookie", "s3cret")
        ),
        channel("/lost", Http::post(lost)),
    );
    let described = gateway.describe().to_string();
    assert!(
        described.contains(r#"Http::post("http://localhost:1/")"#),
        "{described}"
    );
    let server = serve(gateway).await;
    for path in [
        "/literal?token=s3cret",
        "/upstream?token=s3cret",
        "/lost?token=s3cret",
    ] {
        let mut client = server.connect(path).await;
        let answer = client.ask("x").await;
        assert!(answer.starts_with("upstream_unreachable"), "{answer}");
    }
    let backend = WebSocket::connect("ws://localhost:1/?token=s3cret").header("cookie", "s3cret");
    let texts = [
        // Without hyper's messages about its pool, at TRACE.
        log.lines(" wasabi").join("\n"),
        described,
        format!("{:?}", routes.lock().expect("no panic")),
        format!(
            "{backend:?} {:?}",
            Http::post("http://localhost:1/?token=s3cret")
        ),
    ];
    assert!(!log.lines("request failed").is_empty());
    for text in texts {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn the_mistake_of_an_invalid_url_hides_its_secrets() {
    for gateway in [
        gateway!(channel(
            "/",
            WebSocket::connect(String::from("wss:///x?token=s3cret"))
        )),
        gateway!(channel(
            "/",
            WebSocket::connect(String::from("ws://ada:s3cret@/"))
        )),
        gateway!(channel(
            "/",
            Http::post(String::from("ftp://ada:s3cret@up/?token=s3cret"))
        )),
        gateway!(channel(
            "/",
            Http::post(String::from("http://ada:s3cret@:x/?token=s3cret"))
        )),
    ] {
        let mistakes = gateway.check().expect_err("a mistake");
        let said = format!("{} {mistakes:?}", mistakes[0]);
        assert!(!said.contains("s3cret"), "{said}");
    }
}
