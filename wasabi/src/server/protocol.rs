//! Which version of HTTP a client speaks.

#[cfg(feature = "http2")]
use std::io;

#[cfg(feature = "http2")]
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::{
    answers::Peer,
    http::{Ahead, HttpService},
    http1,
};
#[cfg(feature = "http2")]
use super::{control::ServerPhase, http2};
use crate::{BoxError, connection::transport::Transport};

/// The client connection preface of HTTP/2 (RFC 9113, section 3.4).
#[cfg(feature = "http2")]
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a socket in the version of HTTP that its first bytes announce.
#[cfg(feature = "http2")]
pub(super) async fn serve(
    http: &HttpService,
    mut transport: Transport,
    peer: Peer,
) -> Result<(), BoxError> {
    let head_by = Instant::now() + http.header_timeout;
    let mut bytes = Vec::new();
    let Some(streams) = http.streams else {
        return http1::serve(http, transport, Ahead { bytes, head_by }, peer).await;
    };
    let reading = preface(&mut transport, &mut bytes);
    let is_http2 = tokio::select! {
        read = tokio::time::timeout_at(head_by, reading) => read??,
        () = http.control.wait_for(ServerPhase::Closing) => return Ok(()),
    };
    let ahead = Ahead { bytes, head_by };
    if is_http2 {
        Box::pin(http2::serve(http, streams, transport, ahead, peer)).await
    } else {
        http1::serve(http, transport, ahead, peer).await
    }
}

#[cfg(not(feature = "http2"))]
pub(super) async fn serve(
    http: &HttpService,
    transport: Transport,
    peer: Peer,
) -> Result<(), BoxError> {
    let ahead = Ahead {
        bytes: Vec::new(),
        head_by: Instant::now() + http.header_timeout,
    };
    http1::serve(http, transport, ahead, peer).await
}

/// Whether a client speaks HTTP/2. Puts the bytes read to find out into `ahead`.
#[cfg(feature = "http2")]
async fn preface(io: &mut (impl AsyncRead + Unpin), ahead: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; PREFACE.len()];
    while PREFACE.starts_with(ahead) {
        let left = PREFACE.len() - ahead.len();
        if left == 0 {
            return Ok(true);
        }
        match io.read(&mut buffer[..left]).await? {
            0 => return Ok(false),
            read => ahead.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(false)
}
