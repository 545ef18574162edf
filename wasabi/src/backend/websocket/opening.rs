//! The opening handshake with an upstream (RFC 6455, section 4.1).

use http::{HeaderMap, Request, Response, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::{
    client::Response as HandshakeResponse, derive_accept_key, machine::TryParse,
};

use super::{stream::Io, unreachable::DialError};
use crate::backend::retry_after::retry_after;

/// Performs the handshake over a stream; returns the bytes that arrived after it.
pub(super) async fn upgrade(io: &mut Io, request: &Request<()>) -> Result<Vec<u8>, DialError> {
    io.write_all(&head_of(request)).await?;
    io.flush().await?;
    let mut answer = Vec::with_capacity(1024);
    let mut interim = 0;
    loop {
        let parsed = HandshakeResponse::try_parse(&answer)
            .map_err(|_| DialError::Invalid("it is not HTTP/1.1"))?;
        match parsed {
            Some((length, response)) if is_interim(response.status()) => {
                interim += 1;
                if interim > MAX_INTERIM {
                    return Err(DialError::Invalid("too many interim answers"));
                }
                answer.drain(..length);
                continue;
            }
            Some((length, response)) => {
                check(&response, request.headers())?;
                return Ok(answer.split_off(length));
            }
            None if answer.len() > MAX_ANSWER => {
                return Err(DialError::Invalid("it is too long"));
            }
            None => {}
        }
        if io.read_buf(&mut answer).await? == 0 {
            return Err(DialError::Invalid("it ends too early"));
        }
    }
}

/// Whether another response follows this one, as after 100 and 103 (RFC 9110, section 15.2).
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// The maximum number of interim responses before the final one.
const MAX_INTERIM: usize = 16;

/// The maximum size in bytes of the response head.
const MAX_ANSWER: usize = 64 * 1024;

fn head_of(request: &Request<()>) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(b"GET ");
    let target = request.uri().path_and_query();
    head.extend_from_slice(target.map_or("/", |target| target.as_str()).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        // Header names are case-insensitive, but some servers expect the usual spelling.
        let name = name.as_str();
        let rest = match name.strip_prefix("sec-websocket-") {
            Some(rest) => {
                head.extend_from_slice(b"Sec-WebSocket-");
                rest
            }
            None => name,
        };
        let mut is_start = true;
        for byte in rest.bytes() {
            head.push(if is_start {
                byte.to_ascii_uppercase()
            } else {
                byte
            });
            is_start = byte == b'-';
        }
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn check<B>(response: &Response<B>, request: &HeaderMap) -> Result<(), DialError> {
    if response.status().is_success() {
        return Err(DialError::Invalid("it is a plain HTTP answer"));
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges = challenges.iter();
        return Err(DialError::Refused {
            status: response.status(),
            retry_after: retry_after(response.headers()),
            challenges: challenges.cloned().collect(),
        });
    }
    let headers = response.headers();
    let is = |name, token: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.eq_ignore_ascii_case(token))
    };
    let expected = request
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()));
    if !is(header::UPGRADE, "websocket") {
        return Err(DialError::Invalid("it upgrades to another protocol"));
    }
    if !has_upgrade(headers) {
        return Err(DialError::Invalid("it does not upgrade the connection"));
    }
    if header_bytes(headers, header::SEC_WEBSOCKET_ACCEPT) != expected.as_deref().map(str::as_bytes)
    {
        return Err(DialError::Invalid(
            "its Sec-WebSocket-Accept does not match the request",
        ));
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err(DialError::Invalid(
            "it uses an extension that was not offered",
        ));
    }
    if headers.get(header::SEC_WEBSOCKET_PROTOCOL) != request.get(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(DialError::Subprotocol);
    }
    Ok(())
}

fn has_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

fn header_bytes(headers: &HeaderMap, name: header::HeaderName) -> Option<&[u8]> {
    Some(headers.get(name)?.as_bytes().trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn header_names_are_written_as_servers_expect_them() {
        let request = Request::get("ws://up/a?b")
            .header("sec-websocket-key", "k")
            .header("x-client-ip", HeaderValue::from_bytes(b"\xe4").unwrap())
            .body(())
            .unwrap();
        let expected = b"GET /a?b HTTP/1.1\r\nSec-WebSocket-Key: k\r\nX-Client-Ip: \xe4\r\n\r\n";
        assert_eq!(head_of(&request), expected);
    }
}
