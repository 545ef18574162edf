//! A refusal that browsers can read: a close after the upgrade.

use axum::response::Response;
use http::{header, request::Parts};
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{answer, stream::Coming};
use crate::{
    Close,
    connection::transport::LINGER,
    metrics::Rejected,
    runtime::{Runtime, SocketPermit},
};

/// Accepts a WebSocket handshake and closes at once. `None` if the request is not a valid handshake: refuse it with an
/// HTTP answer.
///
/// Nothing behind this middleware learns about the client.
pub(crate) fn close_after_upgrade(parts: &mut Parts, close: Close) -> Option<Response> {
    let asked = answer::check(parts).ok()?;
    let mut coming = Coming::of(&mut parts.extensions)?;
    let runtime = parts.extensions.remove::<Runtime>().unwrap_or_default();
    let socket = parts.extensions.remove::<SocketPermit>();
    // A browser fails the connection if it has offered subprotocols and none is chosen.
    let offered = parts.headers.get(header::SEC_WEBSOCKET_PROTOCOL);
    let offered = offered.and_then(|value| value.to_str().ok());
    let first = offered.and_then(|value| value.split(',').map(str::trim).next());
    let response = asked.accepted(first, None);
    let server = runtime.clone();
    runtime.spawn(async move {
        let Ok((mut io, _)) = coming.arrive(&server).await else {
            return;
        };
        let sent = async {
            io.write_all(&frame(&close)).await?;
            io.flush().await
        };
        if let Ok(Ok(())) = timeout(LINGER, sent).await {
            io.linger().await;
        }
        drop(socket);
    });
    Some(Rejected::Credentials.mark(response))
}

/// A server's close frame (RFC 6455, section 5.5.1).
fn frame(close: &Close) -> Vec<u8> {
    const LONGEST: usize = 123;
    let reason = &close.reason[..close.reason.floor_char_boundary(LONGEST)];
    let mut frame = vec![0x88, 2 + reason.len() as u8];
    frame.extend_from_slice(&close.code.as_u16().to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}
