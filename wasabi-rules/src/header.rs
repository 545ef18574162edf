//! Names that HTTP defines: tokens, header names, methods (RFC 9110, sections 5.1, 5.6.2 and 9.1).

use crate::suggest::{distance, list};

const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT",
];

/// The longest header name that the `http` crate takes.
const MAX_HEADER_NAME: usize = u16::MAX as usize;

const OF_ONE_CONNECTION: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that `Queue` writes itself.
const OF_QUEUES: [&str; 6] = ["expires_at", "id", "kind", "more", "payload", "reply_to"];

fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// The name of a header.
pub fn header_name(name: &str) -> Result<&str, String> {
    if is_token(name) && name.len() < MAX_HEADER_NAME {
        return Ok(name);
    }
    Err(format!(
        "`{}` is not a header name; use letters, digits and `-`",
        name.escape_debug()
    ))
}

/// Parses a header for requests to an HTTP service, in lower case. Headers of the connection and of the framing are invalid
/// (RFC 9110, section 7.6.1).
pub fn header(name: &str) -> Result<String, String> {
    let name = header_name(name)?.to_ascii_lowercase();
    match OF_ONE_CONNECTION.contains(&&*name) {
        true => Err(format!(
            "the header `{name}` cannot be set: it belongs to one connection"
        )),
        false => Ok(name),
    }
}

/// Parses a header for requests whose host and handshake the gateway sets, in lower case. `Host` and `Sec-WebSocket-Key` are
/// invalid too.
pub fn upstream_header(name: &str) -> Result<String, String> {
    let name = header(name)?;
    match name == "host" || name.starts_with("sec-websocket-") {
        true => Err(format!(
            "the header `{name}` cannot be set: it belongs to the handshake"
        )),
        false => Ok(name),
    }
}

/// Parses a header that a client may pass to an upstream, in lower case. Headers that only proxies may set are invalid too.
pub fn forwarded_header(name: &str) -> Result<String, String> {
    let name = upstream_header(name)?;
    let why = match &*name {
        "x-forwarded-for" | "x-forwarded-proto" => {
            "a client may write anything there; use `forwarded_for()`"
        }
        "forwarded" => "a client may write anything there; use `forwarded()`",
        "accept-encoding" => "the gateway itself asks for the encodings that it can decode",
        _ => return Ok(name),
    };
    Err(format!("the header `{name}` cannot be forwarded: {why}"))
}

/// Whether a header of a message to a broker may have this value.
pub fn is_queue_header_value(value: &str) -> bool {
    !value.contains(['\r', '\n', '\0'])
}

/// A header that a message to any broker may have: not one that queues use themselves.
pub fn queue_header(name: &str) -> Result<&str, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if OF_QUEUES.contains(&name) {
        return Err(format!(
            "the header `{name}` cannot be set: `Queue` uses it itself"
        ));
    }
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(format!(
            "`{}` is not the name of a header of a `Queue`; use letters, digits, `_`, `-` and `.`",
            name.escape_debug()
        ));
    }
    Ok(name)
}

/// The name of a WebSocket subprotocol (RFC 6455, section 4.1).
pub fn subprotocol(name: &str) -> Result<&str, String> {
    if is_token(name) {
        return Ok(name);
    }
    Err(format!(
        "`{}` is not the name of a subprotocol; use letters, digits, `-` and `.`, without white space",
        name.escape_debug()
    ))
}

/// An HTTP method. A misspelt standard one is a mistake; an unknown one, such as `PROPFIND`, is not.
pub fn method(method: &str) -> Result<&str, String> {
    if !is_token(method) {
        return Err(format!(
            "`{}` is not an HTTP method; the standard ones are {}",
            method.escape_debug(),
            list(METHODS)
        ));
    }
    let upper = method.to_ascii_uppercase();
    match METHODS
        .iter()
        .find(|standard| distance(standard, &upper) <= 1)
    {
        Some(standard) if *standard != method => Err(format!(
            "`{method}` is not an HTTP method; did you mean `{standard}`?"
        )),
        _ => Ok(method),
    }
}

/// What credentials are for, as a 401 answer names it.
pub fn realm(realm: &str) -> Result<&str, String> {
    match realm.chars().all(|c| matches!(c, ' '..='~')) {
        true => Ok(realm),
        false => Err(format!(
            "the realm `{}` is not printable ASCII",
            realm.escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_no_white_space() {
        assert!(header_name("x-request-id").is_ok());
        assert!(subprotocol("v2.chat").is_ok());
        for name in ["", "a b", "a:b", "a\nb", "é"] {
            assert!(header_name(name).is_err(), "{name:?}");
            assert!(subprotocol(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn headers_of_one_connection_cannot_be_set_and_those_of_the_handshake_cannot_be_passed_on() {
        assert_eq!(header("X-Tenant"), Ok("x-tenant".to_owned()));
        assert_eq!(header("Host"), Ok("host".to_owned()));
        for name in ["Transfer-Encoding", "te", "a b"] {
            assert!(header(name).is_err() && forwarded_header(name).is_err());
        }
        for name in ["Host", "Sec-WebSocket-Key"] {
            assert!(upstream_header(name).is_err(), "{name}");
            assert!(forwarded_header(name).is_err(), "{name}");
        }
        for name in ["X-Forwarded-For", "Forwarded", "Accept-Encoding"] {
            assert!(upstream_header(name).is_ok(), "{name}");
            assert!(forwarded_header(name).is_err(), "{name}");
        }
        assert!(forwarded_header("X-User").is_ok());
    }

    #[test]
    fn headers_of_queues_have_names_that_every_broker_takes() {
        assert_eq!(queue_header("x.tenant"), Ok("x.tenant"));
        for name in ["", "id", "a b", "a:b", "\u{e9}"] {
            assert!(queue_header(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_misspelt_method_is_named() {
        for good in ["GET", "PATCH", "PROPFIND"] {
            assert_eq!(method(good), Ok(good));
        }
        assert_eq!(
            method("POTS"),
            Err("`POTS` is not an HTTP method; did you mean `POST`?".to_owned())
        );
        assert_eq!(
            method("get"),
            Err("`get` is not an HTTP method; did you mean `GET`?".to_owned())
        );
        assert!(method("a b").is_err());
    }
}
