//! R36: messages that cannot be read are requests with their own route: measured, limited, and few.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use wasabi::{
    Error,
    middleware::request::{ErrorHandler, Measured},
    prelude::*,
};
use wasabi_tests::{raw, serve, soon};

/// What a middleware has seen.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn push(&self, text: String) {
        self.0.lock().expect("no panic").push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }

    fn measure(&self) -> Measure<impl Fn(Measured<'_>) + Send + Sync + use<>> {
        let seen = self.clone();
        Measure::new(move |measured: Measured<'_>| {
            seen.push(format!("{} {}", measured.route, measured.outcome.code()));
        })
    }
}

#[tokio::test]
async fn invalid_messages_are_measured_and_limited_by_gateway_and_channel() {
    let (outer, inner) = (Seen::default(), Seen::default());
    let server = serve(gateway!(
        parser = JsonKey::at("/do").id("/id"),
        middleware = [outer.measure()],
        channel(
            "/limited",
            middleware = [RateLimit::per_hour(3), inner.measure()],
            match key {
                "ask" => async || "answer",
                _ => NoRoute,
            },
        ),
        channel(
            "/throttled",
            middleware = [Throttle::new(inner.take().len())],
            NoRoute
        ),
    ))
    .await;
    let mut client = server.connect("/limited").await;
    assert_eq!(client.ask(r#"{"do":"ask"}"#).await, "answer");
    for (message, code) in [
        ("{", "unreadable"),
        ("{}", "no_key"),
        ("[", "rate_limited"),
        (r#"{"do":"ask"}"#, "rate_limited"),
    ] {
        client.send(message).await;
        assert_eq!(client.json().await["error"]["code"], code, "{message}");
    }
    let limited = ["ask ok", "invalid unreadable", "invalid no_key"];
    assert_eq!(inner.take(), limited);
    let refused = ["invalid rate_limited", "ask rate_limited"];
    assert_eq!(outer.take(), [&limited[..], &refused].concat());

    let mut client = server.connect("/throttled").await;
    client.send("{").await;
    assert_eq!(client.json().await["error"]["code"], "overloaded");
}

#[tokio::test]
async fn more_than_100_invalid_messages_a_second_close_with_1008() {
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        move || {
            called.fetch_add(1, Ordering::SeqCst);
            async { "answer" }
        },
    )))
    .await;
    let start = Instant::now();
    let mut stream = raw::open(&server).await;
    let (mut reader, mut writer) = stream.split();
    let flood = raw::frame(0x81, b"{").repeat(1000);
    let write = async { while writer.write_all(&flood).await.is_ok() {} };
    let read = async {
        let mut answer = Vec::new();
        let _ = soon(reader.read_to_end(&mut answer)).await;
        answer
    };
    let answer = tokio::select! {
        answer = read => answer,
        () = async { write.await; std::future::pending().await } => unreachable!(),
    };
    let text = String::from_utf8_lossy(&answer);
    // A slow machine may have needed more than a second.
    let seconds = start.elapsed().as_secs() as usize + 1;
    let replies = text.matches("unreadable").count();
    assert!((100..=100 * seconds).contains(&replies), "{replies}");
    assert!(text.ends_with("too many invalid messages"), "{text}");
    let close = answer.len() - "too many invalid messages".len() - 2;
    assert_eq!(answer[close..close + 2], 1008_u16.to_be_bytes());
    assert_eq!(calls.load(Ordering::SeqCst), 0);

    let mut other = server.connect("/").await;
    assert_eq!(other.ask(r#"{"do":"x"}"#).await, "answer");
}

/// Even if the parser reports in its own way what is wrong.
#[tokio::test]
async fn valid_messages_between_invalid_ones_do_not_count() {
    fn parse(message: &Message) -> Result<Option<Envelope<'_>>> {
        Ok(Some(match message.as_text() {
            Some("wrong") => Envelope::invalid(Error::new("wrong", "no")),
            _ => Envelope::from_static("right"),
        }))
    }
    let server = serve(gateway!(channel(
        "/",
        parser = parse,
        async |text: Text| text
    )))
    .await;
    let mut client = server.connect("/").await;
    for n in 0..1000 {
        assert_eq!(client.ask("right").await, "right");
        if n % 10 == 0 {
            assert_eq!(client.ask("wrong").await, "wrong: no");
        }
    }
    for _ in 0..200 {
        client.send("wrong").await;
    }
    let close = loop {
        match client.next().await {
            tokio_tungstenite::tungstenite::Message::Close(close) => break close,
            message => assert!(message.is_text(), "{message:?}"),
        }
    };
    assert_eq!(close.map(|close| close.code.into()), Some(1008_u16));
}

#[middleware]
async fn look(seen: Seen, req: Request, next: impl Next) -> Result<Reply> {
    seen.push(format!(
        "{} key={:?} id={:?} value={:?} {} {}",
        req.route(),
        req.key(),
        req.id().map(RequestId::as_str),
        req.value::<u8>(),
        req.message().as_text().unwrap_or("no text"),
        req.invalid()
            .map_or("valid".to_owned(), ToString::to_string),
    ));
    next.run(req).await
}

/// Whatever the middleware does with it.
#[tokio::test]
async fn an_invalid_message_meets_middleware_and_no_target() {
    fn parse(message: &Message) -> Result<Option<Envelope<'_>>> {
        match message.as_text() {
            Some("none") => Err(Error::bad_request("not that")),
            Some("panic") => panic!("on purpose"),
            Some(text) if text.starts_with("wrong") => {
                let error = Error::new("wrong", "no");
                let envelope = Envelope::invalid(error).id(RequestId::new("7"));
                Ok(Some(envelope.value(5_u8)))
            }
            _ => Ok(Some(Envelope::from_static("a"))),
        }
    }
    #[middleware]
    async fn twice(req: Request, next: impl Next) -> Result<Reply> {
        let _ = next.run(req.clone()).await;
        next.run(req.with_message("changed")).await
    }
    let (seen, called) = (Seen::default(), Seen::default());
    let (inside, target) = (called.clone(), called.clone());
    let server = serve(gateway!(channel(
        "/",
        parser = parse,
        middleware = [look(seen.clone()), twice],
        with([look(inside)], move |text: Text| {
            target.push(text.to_string());
            async { "answer" }
        }),
    )))
    .await;
    let mut client = server.connect("/").await;
    assert_eq!(client.ask("wrong").await, "7 wrong: no");
    assert_eq!(client.ask("none").await, "bad_request: not that");
    assert_eq!(client.ask("panic").await, "internal: internal error");
    assert_eq!(called.take(), [""; 0]);
    assert_eq!(
        seen.take(),
        [
            r#"invalid key="" id=Some("7") value=Some(5) wrong wrong: no"#,
            r#"invalid key="" id=None value=None none bad request: not that"#,
            r#"invalid key="" id=None value=None no text internal error: the request parser panicked"#,
        ]
    );
    assert_eq!(client.ask("right").await, "answer");
    assert_eq!(seen.take()[0].split(' ').nth(1), Some(r#"key="a""#));
}

#[tokio::test]
async fn invalid_messages_are_neither_cached_nor_retried_and_open_no_breaker() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    #[middleware]
    async fn count(tries: Arc<AtomicUsize>, req: Request, next: impl Next) -> Result<Reply> {
        tries.fetch_add(1, Ordering::SeqCst);
        next.run(req).await
    }
    let server = serve(gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        middleware = [
            ErrorHandler::new(|_: &Request, error: Error| Ok::<_, Error>(error.code().to_owned())),
            Cache::new(1h).by(|_| Some(())),
            Retry::new(Backoff::constant(1ms).retries(3)).when(|_: &Error| true),
            CircuitBreaker::new(1, 1h).when(|_: &Error| true),
            count(counted),
        ],
        async || "answer",
    )))
    .await;
    let mut client = server.connect("/").await;
    for n in 1..=3 {
        assert_eq!(client.ask("{").await, "unreadable");
        assert_eq!(tries.load(Ordering::SeqCst), n);
    }
    assert_eq!(client.ask(&json!({"do": "x"}).to_string()).await, "answer");
    assert_eq!(client.ask("{").await, "unreadable");
}
