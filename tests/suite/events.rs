//! Log events: one for each step in the life of a server and its connections.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_tungstenite::tungstenite::Message as WsMessage;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use wasabi::{Error, prelude::*};
use wasabi_tests::{serve, serve_with, subscribed::Subscribed};

/// Collects level, message and fields of wasabi's events.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            name => self.0.push_str(&format!(" {name}={value:?}")),
        }
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wasabi")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let level = *event.metadata().level();
        self.0.lock().unwrap().push(format!("{level} {}", line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Events {
    fn has(&self, level: Level, start: &str, fields: &[&str]) {
        let events = self.0.lock().unwrap();
        let start = format!("{level} {start}");
        let found = events.iter().any(|event| {
            event.starts_with(&start) && fields.iter().all(|field| event.contains(field))
        });
        assert!(found, "no {start:?} with {fields:?} in {events:#?}");
    }
}

#[tokio::test]
async fn every_step_in_the_life_of_a_connection_is_an_event() {
    let events = Events::default();
    let _subscribed = Subscribed::new(events.clone());
    let server = serve(gateway!(channel("/", async |text: Text| match &*text {
        "inside" => Err::<(), _>(Error::internal("the cause")),
        "upstream" => Err(Error::UpstreamUnreachable("no way there".into())),
        _ => Err(Error::new("refused", "no")),
    },)))
    .await;
    let mut client = server.connect("/").await;
    for failure in ["inside", "upstream", "other"] {
        client.ask(failure).await;
    }
    let refused = server
        .connect_with("/", &[("origin", "https://evil.example")])
        .await;
    assert!(refused.is_err());
    client.close(4000, "enough").await;
    server.drain().await.unwrap();

    events.has(Level::INFO, "listening", &["127.0.0.1:"]);
    events.has(Level::TRACE, "accepted", &["127.0.0.1:"]);
    let both = [
        "origin=Some(\"https://evil.example\")",
        "host=Some(\"127.0.0.1:",
    ];
    events.has(Level::INFO, "handshake refused", &both);
    events.has(Level::DEBUG, "connected", &["connection="]);
    events.has(Level::ERROR, "request failed", &["the cause", "route="]);
    events.has(
        Level::WARN,
        "request failed",
        &["upstream_unreachable", "no way there"],
    );
    events.has(Level::DEBUG, "request failed", &["refused"]);
    events.has(
        Level::DEBUG,
        "disconnected",
        &["code=4000", "reason=\"enough\""],
    );
    events.has(Level::INFO, "draining", &["connections=0"]);
    events.has(Level::INFO, "drained", &["elapsed="]);
    events.has(Level::INFO, "stopped", &[]);
}

#[tokio::test]
async fn repeated_refusals_write_few_log_lines_with_escaped_client_data() {
    let events = Events::default();
    let _subscribed = Subscribed::new(events.clone());
    let server = serve(gateway!(channel(
        "/",
        hosts = ["a.test"],
        async |text: Text| text
    )))
    .await;
    let handshake = wasabi_tests::raw::HANDSHAKE;
    for _ in 0..50 {
        let request = format!(
            "GET / HTTP/1.1\r\nhost: evil.test\r\nx-forwarded-host: \u{202e}{}\r\n{handshake}\r\n",
            "x".repeat(10_000)
        );
        let status = wasabi_tests::raw::status(&server, request.as_bytes()).await;
        assert_eq!(status, "HTTP/1.1 421");
    }
    let events = events.0.lock().unwrap();
    let lines: Vec<_> = events
        .iter()
        .filter(|line| line.starts_with("INFO request refused"))
        .collect();
    assert!((1..=30).contains(&lines.len()), "{} lines", lines.len());
    assert!(
        lines
            .iter()
            .all(|line| line.len() < 600 && !line.contains("\u{202e}"))
    );
}

#[tokio::test]
async fn a_request_without_a_client_certificate_is_refused_and_logged() {
    let events = Events::default();
    let _subscribed = Subscribed::new(events.clone());
    let server = serve(gateway!(get(
        "/private",
        async |_: wasabi::PeerCertificates| "x"
    )))
    .await;
    let request = b"GET /private HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let status = wasabi_tests::raw::status(&server, request).await;
    assert_eq!(status, "HTTP/1.1 403");
    let fields = ["path=\"/private\"", "no client certificate"];
    events.has(Level::INFO, "request refused", &fields);
}

#[tokio::test]
async fn connections_that_outlast_a_drain_are_counted() {
    let events = Events::default();
    let _subscribed = Subscribed::new(events.clone());
    let gateway = gateway!(channel("/", async |_: Text| std::future::pending::<()>().await));
    let server = serve_with(gateway, |server| {
        server.drain_timeout(Duration::from_millis(500))
    })
    .await;
    let mut idle = server.connect("/").await;
    let mut busy = [server.connect("/").await, server.connect("/").await];
    for client in &mut busy {
        client.send("go").await;
        client.send(WsMessage::Ping("read?".into())).await;
        client.next().await;
    }
    server.handle.drain();
    assert_eq!(idle.closed().await.0, 1012);
    server.ended().await.unwrap();
    events.has(Level::INFO, "draining", &["connections=3"]);
    events.has(
        Level::WARN,
        "cutting the remaining connections",
        &["connections=2"],
    );
}
