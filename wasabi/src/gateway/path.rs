//! The one form of a path that requests are routed by.

use std::{borrow::Cow, mem::take};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{StatusCode, Uri, uri::PathAndQuery};

/// Whether a declared path has this parameter.
pub(crate) fn has_parameter(path: &str, name: &str) -> bool {
    let braces = [format!("{{{name}}}"), format!("{{*{name}}}")];
    // Braces that are doubled are none.
    let path = path.replace("{{", "").replace("}}", "");
    braces.iter().any(|braces| path.contains(&**braces))
}

/// The path in its normal form, in which a character is written in one way (RFC 3986, section 6.2.2): `/%61dmin` is
/// `/admin`. Otherwise it would go by the literal that it is, to a parameter beside it.
///
/// Refused, and never repaired, is what others along the way take for another path: segments without anything in them,
/// `.` and `..`, a slash, backslash or NUL in a segment, and `%` before something else than two digits.
pub(crate) fn normal(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if !path.starts_with('/') {
        return Ok(Cow::Borrowed(path)); // `*`, and CONNECT without a path
    }
    let is_normal = path.bytes().all(|byte| is_plain(byte) || byte == b'/')
        && !path.contains("//")
        && !path.contains("/.");
    if is_normal {
        return Ok(Cow::Borrowed(path));
    }
    let mut normal = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'/' => normal.push('/'),
            b'\\' => return Err("a path has no backslash"),
            b'%' => match hex(bytes.next()).zip(hex(bytes.next())) {
                None => return Err("`%` stands before two hexadecimal digits"),
                Some((high, low)) => match (high << 4) | low {
                    b'/' | b'\\' | 0 => return Err("a segment of a path has no slash in it"),
                    byte => push(byte, &mut normal),
                },
            },
            byte => push(byte, &mut normal),
        }
    }
    check_segments(&normal)?;
    Ok(Cow::Owned(normal))
}

fn check_segments(path: &str) -> Result<(), &'static str> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // What follows a semicolon is left out by some, and `..` is what remains.
        let name = segment.split(';').next().unwrap_or_default();
        if matches!(name, "." | "..") {
            return Err("a path has no dot segments");
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err("a path has no empty segments");
        }
    }
    Ok(())
}

/// What may stand in a segment as it is, and braces and `|`, which RFC 3986 wants encoded and many do not.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@{}|".contains(&byte)
}

fn push(byte: u8, normal: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if is_plain(byte) {
        normal.push(char::from(byte));
    } else {
        let digit = |four: u8| char::from(DIGITS[usize::from(four & 15)]);
        normal.extend(['%', digit(byte >> 4), digit(byte)]);
    }
}

fn hex(digit: Option<u8>) -> Option<u8> {
    let digit = char::from(digit?).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Gives a URI the normal path.
pub(crate) fn normalise(uri: &mut Uri) -> Result<(), &'static str> {
    let Cow::Owned(mut path) = normal(uri.path())? else {
        return Ok(());
    };
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let path = PathAndQuery::try_from(path).map_err(|_| "the path is too long")?;
    let mut parts = take(uri).into_parts();
    parts.path_and_query = Some(path);
    *uri = Uri::from_parts(parts).map_err(|_| "this is not a path")?;
    Ok(())
}

/// Refuses what has another path than the normal one, where routing has been done already.
pub(super) async fn only_normal(req: Request, next: Next) -> Response {
    match normal(req.uri().path()) {
        Ok(Cow::Borrowed(_)) => next.run(req).await,
        Ok(Cow::Owned(_)) => refusal("the path is not in its normal form"),
        Err(why) => refusal(why),
    }
}

pub(crate) fn refusal(why: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, why).into_response()
}

/// What is wrong with a declared path: what no request could ever have.
pub(super) fn unreachable(path: &str) -> Option<String> {
    // Parameters stand for whole ends of segments.
    let segments = path.split('/').map(|segment| {
        let text = segment.replace("{{", "\u{1}").replace("}}", "\u{2}");
        let text = match text.split_once('{') {
            Some((before, _)) => format!("{before}x"),
            None => text,
        };
        text.replace('\u{1}', "{").replace('\u{2}', "}")
    });
    let path = segments.collect::<Vec<_>>().join("/");
    match normal(&path) {
        Ok(Cow::Borrowed(_)) => None,
        Ok(Cow::Owned(normal)) if normal == path => None,
        Ok(Cow::Owned(normal)) => Some(format!("requests come as `{normal}`")),
        Err(why) => Some(why.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_character_is_written_in_one_way() {
        let cases = [
            ("/", "/"),
            ("/api/", "/api/"),
            ("/%61pi/%41", "/api/A"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/a%3Ab%40c", "/a:b@c"),
            ("/a%20b", "/a%20b"),
            ("/%2561", "/%2561"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a.", "/a."),
            ("/...", "/..."),
            ("/%7Bx%7d", "/{x}"),
            ("*", "*"),
        ];
        for (path, expected) in cases {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_others_take_for_another_path_is_refused() {
        for path in [
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a/./",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/%",
            "/%6",
            "/%zz",
            "/%+1",
            "/..;x/a",
            "/a/..%3b",
        ] {
            assert!(normal(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_query_stays_as_it_is() {
        let mut uri: Uri = "http://a/%61?b=%61//..".parse().expect("a URI");
        normalise(&mut uri).expect("a path");
        assert_eq!(uri, "http://a/a?b=%61//..");
    }

    #[test]
    fn declared_paths_that_no_request_has_are_found() {
        for path in ["/", "/a/{b}", "/a-{b}/", "/{*rest}", "/{{x}}", "/caf%C3%A9"] {
            assert_eq!(unreachable(path), None, "{path}");
        }
        for path in [
            "/%61",
            "/caf%c3%a9",
            "/caf\u{e9}",
            "/a//{b}",
            "/../{b}",
            "/a%2Fb",
        ] {
            assert!(unreachable(path).is_some(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_of_a_path_is_its_own_normal_form(path in "/[a-c./%2561eF;\\\\{é]{0,12}") {
            if let Ok(normalised) = normal(&path) {
                let again = normal(&normalised);
                prop_assert_eq!(again.as_deref(), Ok(&*normalised));
            }
        }
    }
}
