//! What the log says of requests that fail: whose they were, and in which span.

use std::{
    io,
    sync::{Arc, Mutex},
};

use wasabi::{Error, middleware::request::ErrorHandler, prelude::*};
use wasabi_tests::{serve, subscribed::Subscribed};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn subscribe(&self) -> Subscribed {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        Subscribed::new(subscriber)
    }

    /// The lines about failed requests since the last time.
    fn failed(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("not poisoned"));
        let log = String::from_utf8(bytes).expect("UTF-8");
        let lines = log.lines().filter(|line| line.contains("request failed"));
        lines.map(str::to_owned).collect()
    }
}

fn has(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

async fn verify(user: String, _password: String) -> Option<Identity<u8>> {
    Some(Identity::new(7)).filter(|_| user == "alice")
}

#[tokio::test]
async fn a_failed_request_is_told_in_its_span_with_connection_route_id_and_user() {
    let log = Log::default();
    let _subscribed = log.subscribe();
    let server = serve(gateway!(channel(
        "/",
        http = [BasicAuth::verify("staff", verify)],
        parser = JsonKey::at("/do").id("/id"),
        middleware = [Trace::new()],
        match key {
            "fail" => async || Err::<(), _>(Error::internal("the cause")),
            "panic" => async || -> String { panic!("on purpose") },
            "rename" => async |connection: Connection| {
                connection.renew(Identity::new(8_u8).named("bob\nforged"));
                "renamed"
            },
            _ => NoRoute,
        },
    )))
    .await;
    // alice:secret
    let alice = [("authorization", "Basic YWxpY2U6c2VjcmV0")];
    let mut client = server.connect_with("/", &alice).await.expect("let in");
    client.ask(r#"{"do":"fail","id":"a-1"}"#).await;
    let [line] = &log.failed()[..] else {
        panic!("one line")
    };
    has(line, &["ERROR", "the cause", "code=\"internal\""]);
    let (span, fields) = line.split_once("request failed").expect("the message");
    has(span, &["request{", r#"route="fail""#, "connection="]);
    has(
        fields,
        &[r#"route="fail""#, "connection=", "a-1", r#"user="alice""#],
    );

    client.ask(r#"{"do":"panic"}"#).await;
    has(
        &log.failed()[0],
        &["ERROR", "request{", r#"route="panic""#, "user="],
    );
    client.ask("{").await;
    has(
        &log.failed()[0],
        &["DEBUG", "request{", r#"route="invalid""#, "bad_request"],
    );

    client.ask(r#"{"do":"rename"}"#).await;
    client.ask(r#"{"do":"nothing"}"#).await;
    let [line] = &log.failed()[..] else {
        panic!("one line")
    };
    has(line, &["no_route", r#"user="bob\nforged""#]);
    assert!(!line.contains("id="), "{line}");
}

/// A span that has been left is not that of the next failure.
#[tokio::test]
async fn a_failure_outside_of_a_span_is_told_outside_of_it() {
    let log = Log::default();
    let _subscribed = log.subscribe();
    #[middleware]
    async fn refuse(req: Request, next: impl Next) -> Result<Reply> {
        match req.message().as_text() {
            Some("refuse") => Err(Error::new("refused", "no")),
            _ => next.run(req).await,
        }
    }
    let server = serve(gateway!(
        channel("/", middleware = [refuse, Trace::new()], async || Err::<
            (),
            _,
        >(
            Error::NoRoute
        ),),
        channel(
            "/handled",
            middleware = [
                ErrorHandler::new(|_: &Request, _| Ok::<_, Error>("handled")),
                Trace::new(),
            ],
            async || Err::<(), _>(Error::NoRoute),
        ),
        channel("/plain", async || Err::<(), _>(Error::NoRoute)),
    ))
    .await;
    let mut handled = server.connect("/handled").await;
    let mut plain = server.connect("/plain").await;
    let mut client = server.connect("/").await;
    for _ in 0..2 {
        assert_eq!(handled.ask("x").await, "handled");
        plain.ask("x").await;
        client.ask("x").await;
        client.ask("refuse").await;
        let lines = log.failed();
        let in_span: Vec<bool> = lines.iter().map(|line| line.contains("request{")).collect();
        assert_eq!(in_span, [false, true, false], "{lines:#?}");
    }
}
