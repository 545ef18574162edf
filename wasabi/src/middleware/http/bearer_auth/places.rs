//! The places where browsers can put a token.

use http::{
    HeaderMap, HeaderValue, Uri, header,
    uri::{self, PathAndQuery},
};

/// Removes every parameter of this name from the query and returns their values.
pub(super) fn take_parameter(uri: &mut Uri, name: &str) -> Vec<String> {
    let mut values = Vec::new();
    let Some(query) = uri.query() else {
        return values;
    };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match form_urlencoded::parse(pair.as_bytes()).next() {
            Some((found, value)) if found == name => values.push(value.into_owned()),
            _ => kept.push(pair),
        }
    }
    if !values.is_empty() {
        let path = uri.path();
        let rest = match kept.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", kept.join("&")),
        };
        if let Some(changed) = with_path_and_query(uri, &rest) {
            *uri = changed;
        } else {
            // Cannot happen, because this was part of a URI before; leaving the token in would be worse.
            *uri = Uri::from_static("/");
        }
    }
    values
}

fn with_path_and_query(uri: &Uri, path_and_query: &str) -> Option<Uri> {
    let mut parts: uri::Parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

/// Removes every offer `bearer.<token>` from the subprotocols and returns the tokens.
pub(super) fn take_subprotocol(headers: &mut HeaderMap) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut kept = Vec::new();
    for line in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        let Ok(text) = line.to_str() else {
            kept.push(line.clone());
            continue;
        };
        let offers = || text.split(',').map(str::trim);
        let before = tokens.len();
        let found = offers().filter_map(|offer| offer.strip_prefix("bearer."));
        tokens.extend(found.map(str::to_owned));
        if tokens.len() == before {
            kept.push(line.clone());
            continue;
        }
        let rest: Vec<_> = offers()
            .filter(|offer| !offer.starts_with("bearer."))
            .collect();
        if !rest.is_empty() {
            // Always succeeds: this was part of a header before.
            kept.extend(HeaderValue::try_from(rest.join(", ")));
        }
    }
    if !tokens.is_empty() {
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        for line in kept {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, line);
        }
    }
    tokens
}

/// Returns the values of every cookie of this name (RFC 6265, section 5.4), and marks their headers so that no log
/// shows them.
pub(super) fn cookie(headers: &mut HeaderMap, name: &str) -> Vec<String> {
    let header::Entry::Occupied(mut lines) = headers.entry(header::COOKIE) else {
        return Vec::new();
    };
    let mut values = Vec::new();
    for line in lines.iter_mut() {
        line.set_sensitive(true);
        let pairs = line.to_str().unwrap_or_default().split(';');
        let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        let found = pairs.filter(|(found, _)| found.trim_end() == name);
        values.extend(found.map(|(_, value)| unquoted(value.trim()).to_owned()));
    }
    values
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"');
    inner
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_taken_out_of_the_query_and_nothing_else_changes() {
        let cases = [
            ("/?token=x", "/", vec!["x"]),
            ("/a%20b?x=%20y&token=%41&z", "/a%20b?x=%20y&z", vec!["A"]),
            ("/?token=1&token=2", "/", vec!["1", "2"]),
            ("/?%74oken=1&tokens=2", "/?tokens=2", vec!["1"]),
            ("http://host/?token=", "http://host/", vec![""]),
            ("/?a=token", "/?a=token", vec![]),
            ("/", "/", vec![]),
        ];
        for (before, after, values) in cases {
            let mut uri = Uri::from_static(before);
            assert_eq!(take_parameter(&mut uri, "token"), values, "{before}");
            assert_eq!(uri, *after, "{before}");
        }
    }

    #[test]
    fn a_token_is_taken_out_of_the_offer_of_subprotocols() {
        let cases = [
            (vec!["chat, bearer.a.b.c"], vec!["chat"], vec!["a.b.c"]),
            (vec!["bearer.x"], vec![], vec!["x"]),
            (vec!["bearer.x", "chat,v2"], vec!["chat,v2"], vec!["x"]),
            (
                vec!["a,bearer.x , b", "bearer.y"],
                vec!["a, b"],
                vec!["x", "y"],
            ),
            (vec!["bearer.", "chat"], vec!["chat"], vec![""]),
            (
                vec!["bearer", "Bearer.x"],
                vec!["bearer", "Bearer.x"],
                vec![],
            ),
        ];
        for (before, after, tokens) in cases {
            let mut headers = HeaderMap::new();
            for line in &before {
                let value = HeaderValue::from_static(line);
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, value);
            }
            assert_eq!(take_subprotocol(&mut headers), tokens, "{before:?}");
            let left: Vec<_> = headers
                .get_all(header::SEC_WEBSOCKET_PROTOCOL)
                .iter()
                .collect();
            assert_eq!(left, after, "{before:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let cases = [
            (vec!["token=a"], vec!["a"]),
            (vec!["x=1; token=a.b-c; y"], vec!["a.b-c"]),
            (vec!["x=1", "token=\"a\""], vec!["a"]),
            (vec!["token=a; token=b"], vec!["a", "b"]),
            (vec!["mytoken=a; Token=b; token"], vec![]),
            (vec!["token="], vec![""]),
        ];
        for (lines, tokens) in cases {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(cookie(&mut headers, "token"), tokens, "{lines:?}");
            assert!(headers.values().all(HeaderValue::is_sensitive));
        }
    }
}
