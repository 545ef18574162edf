//! Handshakes that the server reads and answers itself.
//!
//! hyper and its timers are a large part of what a short connection costs. So the server reads the first head of a socket.
//! If that asks a channel for an upgrade, and the channel accepts, hyper has no part in it. Everything else, also a head
//! with anything unusual in it, goes to hyper with all that was read; a refusal goes with it and is sent by hyper.

use std::{future::pending, io};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{timeout, timeout_at},
};

use super::{
    answers::Answers,
    control::ServerPhase,
    http::{Ahead, HttpService},
};
use crate::{
    BoxError, connection::transport::Transport, gateway::ChannelPaths, upgrade::stream::promise,
};

/// Reading stops here: hyper reads the rest of a long head. Handshakes of browsers have about 600 bytes.
const MAX_READ: usize = 4 * 1024;

/// A head of more lines goes to hyper.
const MAX_LINES: usize = 48;

/// How many bytes a client may send before its handshake is answered. What is more stays in the socket until then.
const MAX_AHEAD: usize = 16 * 1024;

/// The room for the first bytes, and at least what is added when little is left.
const ROOM: usize = 1024;

/// How a handshake begins.
const METHOD: &[u8] = b"GET ";

/// A socket for hyper.
pub(super) struct ForHttp {
    pub(super) transport: Transport,
    pub(super) ahead: Ahead,
    pub(super) answers: Answers,
    /// The answer to the first request, if there is one already.
    pub(super) answer: Option<Response>,
}

/// Reads the first head of a socket and answers it if it is the handshake of a channel. `None` if its connection has the
/// stream, or nobody needs it any more.
pub(super) async fn first(
    http: &HttpService,
    answers: Answers,
    mut transport: Transport,
    mut ahead: Ahead,
) -> Result<Option<ForHttp>, BoxError> {
    let mut answer = None;
    if let Some((mut handshake, length)) = read(http, &mut transport, &mut ahead).await? {
        let stream = promise(handshake.extensions_mut());
        let response = tokio::select! {
            biased;
            response = answers.to(handshake) => response,
            () = gone(&mut transport, &mut ahead.bytes) => return Ok(None),
            () = http.cut() => return Ok(None),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            timeout(http.patience, send(&mut transport, response.headers())).await??;
            // The connection takes the place of the socket.
            drop(answers);
            // Fails if the connection has been given up.
            let _ = stream.send((transport, ahead.bytes.split_off(length)));
            return Ok(None);
        }
        answer = Some(response);
    }
    Ok(Some(ForHttp {
        transport,
        ahead,
        answers,
        answer,
    }))
}

/// Reads the handshake of a channel, and returns it with the length of its head. `None` if hyper should see to what was
/// read.
async fn read(
    http: &HttpService,
    transport: &mut Transport,
    ahead: &mut Ahead,
) -> Result<Option<(Request<Body>, usize)>, BoxError> {
    let Some(channels) = &http.channels else {
        return Ok(None);
    };
    let reading = read_head(transport, &mut ahead.bytes);
    let is_complete = tokio::select! {
        biased;
        read = timeout_at(ahead.head_by, reading) => read.map_err(|_| "no request head in time")??,
        // A request may be on its way, for which hyper waits a little.
        () = http.control.wait_for(ServerPhase::Closing) => false,
    };
    let handshake = is_complete.then(|| parse(&ahead.bytes, channels));
    Ok(handshake.flatten())
}

/// Reads until a head is complete, and returns whether it is. It is not if the client sends something else, or nothing
/// more.
async fn read_head(transport: &mut Transport, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut from = 0;
    loop {
        let both = bytes.len().min(METHOD.len());
        if bytes[..both] != METHOD[..both] {
            return Ok(false);
        }
        if has_end(&bytes[from..]) {
            return Ok(true);
        }
        from = bytes.len().saturating_sub(2);
        if bytes.len() >= MAX_READ || read_more(transport, bytes).await? == 0 {
            return Ok(false);
        }
    }
}

/// Whether the empty line after a head is among these bytes. Like hyper, a line may end without a carriage return.
fn has_end(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\n\r\n")
        || bytes.windows(2).any(|each| each == b"\n\n")
        || bytes.windows(3).any(|each| each == b"\n\r\n")
}

async fn read_more(transport: &mut Transport, bytes: &mut Vec<u8>) -> io::Result<usize> {
    if bytes.capacity() - bytes.len() < ROOM / 2 {
        bytes.reserve(ROOM);
    }
    transport.read_buf(bytes).await
}

/// Waits until the client hangs up. A client that also shuts down its half after early frames has gone: it may not send
/// any before the answer (RFC 6455, section 4.1).
async fn gone(transport: &mut Transport, bytes: &mut Vec<u8>) {
    while bytes.len() < MAX_AHEAD {
        if !matches!(read_more(transport, bytes).await, Ok(1..)) {
            return;
        }
    }
    pending().await
}

/// The handshake of a channel, and the length of its head; `None` if hyper should see to it.
fn parse(bytes: &[u8], channels: &ChannelPaths) -> Option<(Request<Body>, usize)> {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
    let mut head = httparse::Request::new(&mut lines);
    let Ok(httparse::Status::Complete(length)) = head.parse(&bytes) else {
        return None;
    };
    let (Some("GET"), Some(1), Some(path)) = (head.method, head.version, head.path) else {
        return None;
    };
    // The authority of a proxy's request line would be the host.
    if !path.starts_with('/') {
        return None;
    }
    let uri = Uri::from_maybe_shared(bytes.slice_ref(path.as_bytes())).ok()?;
    if !channels.lead_from(uri.path()) {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for line in head.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
        headers.append(name, value);
    }
    let upgrade = headers.get(header::UPGRADE)?;
    let has_more = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::EXPECT,
    ];
    if !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
        || has_more.iter().any(|name| headers.contains_key(name))
    {
        return None;
    }
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Some((request, length))
}

/// Sends the head of an answer that accepts a handshake.
async fn send(transport: &mut Transport, headers: &HeaderMap) -> io::Result<()> {
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in headers {
        // There is no body (RFC 9110, section 8.6).
        if name == header::CONTENT_LENGTH || name == header::TRANSFER_ENCODING {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    transport.write_all(&head).await?;
    transport.flush().await
}

#[cfg(test)]
mod tests;
