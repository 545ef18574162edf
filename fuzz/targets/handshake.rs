//! The head of an HTTP request that may be anything: it becomes a WebSocket exactly when it asks for one in the way
//! of RFC 6455, section 4.2.1.
#![no_main]

use std::sync::LazyLock;

use axum::Router;
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncWriteExt;
use wasabi::prelude::*;
use wasabi_fuzz::{
    client::{frame, head, run, serve},
    frames::{self, Sent, TEXT},
    lines,
};

static GATEWAY: LazyLock<Router> = LazyLock::new(|| {
    gateway!(channel(
        "/",
        subprotocols = ["a", "b"],
        async |message: Message| message
    ))
    .into_router()
    .expect("no mistakes")
});

/// What a request says, read in the simplest way.
struct Asked<'a> {
    line: &'a str,
    headers: Vec<(String, &'a str)>,
}

impl<'a> Asked<'a> {
    /// `None` when it is not of the simplest kind.
    fn read(request: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(request).ok()?;
        let mut lines = text.split("\r\n");
        let line = lines.next()?;
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let is_value = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            (is_name && is_value).then(|| (name.to_ascii_lowercase(), value.trim()))
        });
        let headers: Vec<_> = headers.collect::<Option<_>>()?;
        (headers.len() < 50).then_some(Self { line, headers })
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let values = self.headers.iter().filter(move |(other, _)| other == name);
        values.map(|(_, value)| *value)
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    fn is_only(&self, name: &str, good: impl Fn(&str) -> bool) -> bool {
        let values: Vec<_> = self.all(name).collect();
        matches!(values.as_slice(), [value] if good(value))
    }

    /// Whether it may become a WebSocket.
    fn may(&self) -> bool {
        let is_key = |key: &str| {
            let digits = key.strip_suffix("==").unwrap_or_default();
            let mut bytes = digits.bytes();
            digits.len() == 22
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        };
        self.line.starts_with("GET ")
            && self.line.ends_with(" HTTP/1.1")
            && self.has_token("connection", "upgrade")
            && self.has_token("upgrade", "websocket")
            && self.is_only("host", |_| true)
            && self.is_only("sec-websocket-version", |version| version == "13")
            && self.is_only("sec-websocket-key", is_key)
    }

    /// Whether it must: there is nothing else about it.
    fn must(&self) -> bool {
        let others = ["origin", "content-length", "transfer-encoding", "expect"];
        self.may()
            && self.line == "GET / HTTP/1.1"
            && others.iter().all(|name| self.all(name).next().is_none())
    }
}

fuzz_target!(|data: &[u8]| {
    let mut request = Vec::new();
    for line in lines(data) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if !request.is_empty() {
            request.extend(b"\r\n");
        }
        request.extend(line);
    }
    if request.is_empty() {
        return;
    }
    let asked = Asked::read(&request);
    run(async {
        let mut stream = serve(&GATEWAY, 64 * 1024);
        // It may be refused before its end.
        let _ = stream
            .write_all(&[&request, &b"\r\n\r\n"[..]].concat())
            .await;
        let response = head(&mut stream).await;
        let accepted = response.is_some_and(|response| response.starts_with("HTTP/1.1 101"));
        if let Some(asked) = asked {
            assert!(accepted || !asked.must(), "refused");
            assert!(!accepted || asked.may(), "accepted");
        }
        if accepted {
            let hello = frames::client(true, TEXT, b"hello", *b"mask");
            stream.write_all(&hello).await.expect("a server");
            match frame(&mut stream).await {
                Some(Sent::Text(reply)) if reply == "hello" => {}
                other => panic!("{other:?}"),
            }
        }
    });
});
