//! Turns an HTTP response into a reply.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::body::Body;
use crate::{Error, Reply, Result, Text, connection::held::Reading};

/// Reads a response of at most `limit` bytes, at the pace at which its client has room for it.
pub(super) async fn read(
    response: &mut Response<Body>,
    limit: usize,
    reading: &mut Reading,
) -> Result<Reply> {
    if response.status() == StatusCode::NO_CONTENT {
        return Ok(Reply::none());
    }
    let encoding = encoding_of(response.headers());
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let kind = BodyKind::of(content_type);
    let charset = content_type
        .filter(|_| kind == BodyKind::Text)
        .and_then(charset_of);
    let body = read_body(response.body_mut(), limit, reading).await?;
    if let Some(encoding) = encoding.filter(|_| !body.is_empty()) {
        let error = format!("a body in the unsupported encoding {encoding:?}");
        return Err(Error::UpstreamUnfit(error.into()));
    }
    if let Some(charset) = charset.filter(|charset| !is_utf_8_too(charset, &body)) {
        let error = format!("text in the unsupported charset {charset:?}");
        return Err(Error::UpstreamUnfit(error.into()));
    }
    Ok(match kind {
        BodyKind::Binary => Reply::message(body),
        BodyKind::Text => Reply::message(Text::try_from(body).map_err(|error| {
            Error::UpstreamUnfit(format!("text that is not UTF-8: {error}").into())
        })?),
        BodyKind::Unknown => match Text::try_from(body.clone()) {
            Ok(text) => Reply::message(text),
            Err(_) => Reply::message(body),
        },
    })
}

async fn read_body(arriving: &mut Body, limit: usize, reading: &mut Reading) -> Result<Bytes> {
    let too_large = || Error::UpstreamUnfit(format!("a body of more than {limit} bytes").into());
    let announced = arriving.announced();
    if announced > limit as u64 {
        return Err(too_large());
    }
    let Some(first) = arriving.chunk().await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit {
        return Err(too_large());
    }
    let Some(second) = arriving.chunk().await? else {
        return Ok(first); // as it was read, not copied
    };
    let (mut body, most) = match announced as usize {
        0 => (Vec::new(), limit), // unknown
        announced => (Vec::with_capacity(announced.min(AHEAD)), announced),
    };
    append(&mut body, &first, most);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if chunk.len() > limit - body.len() {
            return Err(too_large());
        }
        append(&mut body, &chunk, most);
        reading.has(body.len()).await?;
        next = arriving.chunk().await?;
    }
    Ok(body.into())
}

/// The most bytes to reserve for a length that is only announced. An upstream may lie.
const AHEAD: usize = 64 * 1024;

/// Appends a chunk; doubles the capacity when it is full, up to `most`, the size of the whole body.
fn append(body: &mut Vec<u8>, chunk: &[u8], most: usize) {
    let needed = body.len() + chunk.len();
    if needed > body.capacity() {
        let wanted = (2 * body.len()).min(most).max(needed);
        body.reserve_exact(wanted - body.len());
    }
    body.extend_from_slice(chunk);
}

/// The encoding that the body still has. The HTTP client removes the header when it has decoded the body.
pub(super) fn encoding_of(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut values = values.map(HeaderValue::as_bytes);
    values
        .find(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"))
        .map(in_words)
}

/// The charset of a content type in lower case; `None` for UTF-8 or no charset.
pub(super) fn charset_of(content_type: &HeaderValue) -> Option<String> {
    let mut parameters = content_type.as_bytes().split(|&byte| byte == b';').skip(1);
    let charset = parameters.find_map(|parameter| {
        let mut parts = parameter.splitn(2, |&byte| byte == b'=');
        let (name, value) = (parts.next()?, parts.next()?);
        let is_charset = name.trim_ascii().eq_ignore_ascii_case(b"charset");
        is_charset.then(|| value.trim_ascii())
    })?;
    let charset = charset.strip_prefix(b"\"").unwrap_or(charset);
    let charset = charset.strip_suffix(b"\"").unwrap_or(charset);
    let names: [&[u8]; 3] = [b"", b"utf-8", b"utf8"];
    let is_utf_8 = names.iter().any(|name| charset.eq_ignore_ascii_case(name));
    (!is_utf_8).then(|| in_words(charset).to_ascii_lowercase())
}

fn in_words(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Whether a text in this charset has the same bytes in UTF-8.
fn is_utf_8_too(charset: &str, text: &[u8]) -> bool {
    let has_ascii = ["us-ascii", "ascii", "latin1"].contains(&charset)
        || charset.starts_with("iso-8859-")
        || charset.starts_with("windows-125");
    has_ascii && text.is_ascii()
}

/// The kind of message that a body becomes.
#[derive(Debug, PartialEq)]
enum BodyKind {
    Text,
    Binary,
    /// Text if it is valid UTF-8.
    Unknown,
}

impl BodyKind {
    fn of(content_type: Option<&HeaderValue>) -> Self {
        let Some(content_type) = content_type else {
            return Self::Unknown;
        };
        let media_type = content_type
            .as_bytes()
            .split(|&byte| byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let starts_with = |prefix: &[u8]| {
            media_type
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let ends_with = |suffix: &[u8]| {
            media_type
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|start| media_type[start..].eq_ignore_ascii_case(suffix))
        };
        let is_text = starts_with(b"text/")
            || media_type.eq_ignore_ascii_case(b"application/json")
            || ends_with(b"+json");
        if is_text { Self::Text } else { Self::Binary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_for_a_body_doubles_and_is_never_more_than_it_needs_at_most() {
        for most in [100, 8100, 1 << 20, usize::MAX] {
            let (mut body, mut moves) = (Vec::new(), 0);
            while body.len() < most.min(1 << 20) {
                let chunk = (most - body.len()).min(8100);
                let before = body.capacity();
                append(&mut body, &[7; 8100][..chunk], most);
                assert!(body.capacity() <= most.min(2 * body.len()));
                moves += usize::from(body.capacity() != before);
            }
            assert!(moves <= 9, "{moves} times for {most}");
            assert!(body.capacity() == most || most > 1 << 20);
        }
    }

    #[test]
    fn a_charset_is_utf_8_unless_the_content_type_says_otherwise() {
        for (content_type, charset) in [
            ("text/plain", None),
            ("text/plain; charset=UTF-8", None),
            ("text/plain;charset=\"utf-8\"; x=y", None),
            ("text/plain; x=y; Charset=ISO-8859-1", Some("iso-8859-1")),
            ("application/json; charset=utf-16", Some("utf-16")),
            ("text/plain; charset", None),
        ] {
            let value = HeaderValue::from_static(content_type);
            assert_eq!(charset_of(&value).as_deref(), charset, "{content_type}");
        }
        assert!(is_utf_8_too("iso-8859-1", b"text") && is_utf_8_too("windows-1252", b""));
        assert!(!is_utf_8_too("iso-8859-1", b"\xe9") && !is_utf_8_too("utf-16", b"a\0"));
    }

    #[test]
    fn the_content_type_decides_between_text_and_binary() {
        for (content_type, kind) in [
            ("text/plain; charset=utf-8", BodyKind::Text),
            ("TEXT/HTML", BodyKind::Text),
            ("application/json", BodyKind::Text),
            ("Application/JSON;charset=utf-8", BodyKind::Text),
            ("application/problem+json", BodyKind::Text),
            ("application/octet-stream", BodyKind::Binary),
            ("application/jsonl", BodyKind::Binary),
            ("image/svg+xml", BodyKind::Binary),
            ("nonsense", BodyKind::Binary),
            ("", BodyKind::Binary),
        ] {
            let value = HeaderValue::from_static(content_type);
            assert_eq!(BodyKind::of(Some(&value)), kind, "{content_type}");
        }
        assert_eq!(BodyKind::of(None), BodyKind::Unknown);
    }
}
