use std::{convert::Infallible, sync::Arc};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::duplex;

use super::*;
use crate::sync::{Mutex, Unpoisoned};

type Parsed = (Method, Uri, Version, HeaderMap);

/// What hyper makes of these bytes; `None` if it refuses them.
async fn by_hyper(bytes: &[u8]) -> Option<Parsed> {
    let seen = Arc::new(Mutex::new(None));
    let sees = Arc::clone(&seen);
    let service = service_fn(move |request: Request<Incoming>| {
        let (parts, _) = request.into_parts();
        let parsed = (parts.method, parts.uri, parts.version, parts.headers);
        sees.lock().unpoisoned().get_or_insert(parsed);
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(bytes).await.expect("room");
    near.shutdown().await.expect("open");
    let connection = http1::Builder::new().serve_connection(TokioIo::new(far), service);
    let _ = connection.await;
    let mut seen = seen.lock().unpoisoned();
    seen.take()
}

fn ours(bytes: &[u8]) -> Option<Parsed> {
    let (request, _) = parse(bytes, &ChannelPaths::all())?;
    let (parts, _) = request.into_parts();
    Some((parts.method, parts.uri, parts.version, parts.headers))
}

/// Lines of heads, with and without mistakes.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "host: a",
        "Host:b",
        "connection: keep-alive, Upgrade",
        "upgrade: websocket",
        "Upgrade: \t WebSocket \t",
        "upgrade: h2c",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "cookie: a=b; c=d",
        "cookie:",
        "content-length: 0",
        "expect: 100-continue",
        " folded",
        "no colon",
        "space : a",
    ]);
    let known = known.prop_map(|line| line.as_bytes().to_vec());
    let odd = (any::<u8>(), any::<u8>())
        .prop_map(|(name, value)| [&b"x"[..], &[name], b": a", &[value], b"b"].concat());
    prop_oneof![8 => known, 1 => odd]
}

fn head() -> impl Strategy<Value = Vec<u8>> {
    let target = prop::sample::select(vec![
        "/",
        "/a?b=c",
        "/a%20b",
        "/a#b",
        "/\u{e9}",
        "//a",
        "http://a/b",
        "*",
        "/a b",
        "",
    ]);
    let version = prop::sample::select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"]);
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\n"]);
    let lines = prop::collection::vec(line(), 0..6);
    (target, version, end, lines, any::<bool>()).prop_map(|(target, version, end, lines, asks)| {
        let mut head = format!("GET {target} {version}{end}").into_bytes();
        if asks {
            head.extend(format!("upgrade: websocket{end}").bytes());
        }
        for line in lines {
            head.extend(line);
            head.extend(end.bytes());
        }
        head.extend(end.bytes());
        head
    })
}

proptest! {
    #[test]
    fn what_is_a_handshake_is_the_same_to_hyper(head in head()) {
        if let Some(ours) = ours(&head) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            prop_assert_eq!(Some(ours), runtime.block_on(by_hyper(&head)));
        }
    }
}

#[test]
fn the_head_of_a_browser_is_a_handshake() {
    let head = b"GET /room?a=b HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nbehind";
    let (request, length) = parse(head, &ChannelPaths::all()).expect("a handshake");
    assert_eq!(request.uri(), "/room?a=b");
    assert_eq!(request.headers().len(), 5);
    assert_eq!(&head[length..], b"behind");
}
