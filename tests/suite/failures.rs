//! The log of failed requests: it names connection, route, id and user.

use std::{
    io,
    sync::{Arc, Mutex},
};

use wasabi::{Error, prelude::*};
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

    /// Returns the lines about failed requests since the last call.
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
async fn a_failed_request_is_logged_with_connection_route_id_and_user() {
    let log = Log::default();
    let _subscribed = log.subscribe();
    let server = serve(gateway!(channel(
        "/",
        http = [BasicAuth::verify(verify)],
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
    let (_, fields) = line.split_once("request failed").expect("the message");
    has(
        fields,
        &[r#"route="fail""#, "connection=", "a-1", r#"user="alice""#],
    );

    client.ask(r#"{"do":"panic"}"#).await;
    has(&log.failed()[0], &["ERROR", r#"route="panic""#, "user="]);
    client.ask("{").await;
    has(
        &log.failed()[0],
        &["DEBUG", r#"route="invalid""#, "unreadable"],
    );

    client.ask(r#"{"do":"rename"}"#).await;
    client.ask(r#"{"do":"nothing"}"#).await;
    let [line] = &log.failed()[..] else {
        panic!("one line")
    };
    has(line, &["no_route", r#"user="bob\nforged""#]);
    assert!(!line.contains("id="), "{line}");
}
