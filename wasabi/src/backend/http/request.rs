//! A builder for HTTP requests that treats a client's data only as data.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::Url;
use serde::Serialize;
use wasabi_rules::{Place, schemes};

use super::origin::{Origin, Outgoing};
use crate::{
    Error, Result,
    backend::{credentials, headers::upstream_header},
};

/// An HTTP request that a function makes for [`Http::with`](crate::Http::with).
///
/// ```
/// use serde_json::json;
/// use wasabi::HttpRequest;
///
/// # let (customer, page) = ("4711", "2");
/// let request = HttpRequest::post("http://orders:8080/customers")
///     .segment(customer) // one segment of the path, whatever it contains
///     .segment("orders")
///     .query("page", page)
///     .header("x-source", "websocket")
///     .json(&json!({ "open": true }));
/// # drop(request);
/// ```
///
/// You may pass whatever comes from a client to [`segment`](Self::segment), [`query`](Self::query), the value of
/// [`header`](Self::header), and the body: it is encoded, or refused with the error `bad_request`, and then nothing is
/// sent. Do not put it into the URL that you make the request with.
#[derive(Debug)]
#[must_use = "a request is sent by the `Http` backend whose function returns it"]
pub struct HttpRequest(Result<Draft>);

/// A request whose URL may still change.
#[derive(Debug)]
struct Draft {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Draft {
    fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

impl HttpRequest {
    /// Makes a request to a URL that is already parsed.
    pub fn new(method: Method, url: Url) -> Self {
        Self(
            wasabi_rules::url(url.as_str(), schemes::HTTP)
                .and_then(|url| check_tls(url.scheme))
                .map(|()| Draft::new(method, url))
                .map_err(Error::internal),
        )
    }

    /// GET from this URL.
    pub fn get(url: impl AsRef<str>) -> Self {
        Self::method(Method::GET, url)
    }

    /// POST to this URL.
    pub fn post(url: impl AsRef<str>) -> Self {
        Self::method(Method::POST, url)
    }

    /// PUT to this URL.
    pub fn put(url: impl AsRef<str>) -> Self {
        Self::method(Method::PUT, url)
    }

    /// PATCH this URL.
    pub fn patch(url: impl AsRef<str>) -> Self {
        Self::method(Method::PATCH, url)
    }

    /// DELETE this URL.
    pub fn delete(url: impl AsRef<str>) -> Self {
        Self::method(Method::DELETE, url)
    }

    /// Makes a request with this method to this URL. An invalid URL is the error `internal`.
    pub fn method(method: Method, url: impl AsRef<str>) -> Self {
        Self(
            wasabi_rules::method(method.as_str())
                .and_then(|_| parse_url(url.as_ref()))
                .map(|url| Draft::new(method, url))
                .map_err(Error::internal),
        )
    }

    /// Appends one segment to the path, percent-encoded: `a/../b?c` stays one segment. Invalid segments are refused: an
    /// empty one, `.` and `..`, and those with a tab, CR, LF or NUL.
    pub fn segment(self, segment: impl AsRef<str>) -> Self {
        self.change(|request| {
            let segment = segment.as_ref();
            // URL parsers ignore tabs, so `..` with a tab in it would still lead up.
            if matches!(segment, "" | "." | "..") || breaks_lines(segment) || segment.contains('\t')
            {
                return Err(Error::bad_request(
                    "a value is not valid as a segment of a path",
                ));
            }
            request
                .url
                .path_segments_mut()
                .map_err(|()| Error::internal("this URL cannot have a path"))?
                .pop_if_empty()
                .push(segment);
            Ok(())
        })
    }

    /// Appends a parameter to the query, percent-encoded. CR, LF and NUL are refused.
    pub fn query(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.change(|request| {
            let (name, value) = (name.as_ref(), value.as_ref());
            if breaks_lines(name) || breaks_lines(value) {
                return Err(Error::bad_request(
                    "a value contains characters that a query cannot have",
                ));
            }
            request.url.query_pairs_mut().append_pair(name, value);
            Ok(())
        })
    }

    /// Sets a header. A value with CR, LF, NUL or another control character is refused. These headers cannot be set:
    /// those that belong to one connection or say where the request ends, such as `Content-Length`; those of a
    /// handshake, such as `Host`; and `Authorization` if the URL contains credentials, which is the error `internal`.
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.change(|request| {
            let name = upstream_header(name.as_ref()).map_err(Error::bad_request)?;
            if name == header::AUTHORIZATION && credentials::are_in(&request.url) {
                return Err(Error::internal(credentials::TWICE));
            }
            let value = HeaderValue::from_bytes(value.as_ref()).map_err(|_| {
                Error::bad_request("a value contains characters that a header cannot have")
            })?;
            request.headers.insert(name, value);
            Ok(())
        })
    }

    /// Sets the body. [`Request::payload`](crate::Request::payload) returns that of the message without copying it. Set
    /// the content type with [`header`](Self::header).
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.change(|request| {
            request.body = body.into();
            Ok(())
        })
    }

    /// Sets a value in JSON as the body, with its content type.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.change(|request| {
            let body = serde_json::to_vec(value)?;
            request.body = body.into();
            request.headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            Ok(())
        })
    }

    /// Applies a change, unless an earlier one has failed: the first mistake counts.
    fn change(self, change: impl FnOnce(&mut Draft) -> Result<()>) -> Self {
        Self(self.0.and_then(|mut request| {
            change(&mut request)?;
            Ok(request)
        }))
    }

    /// Returns the first mistake, with which the request would fail. For tests of the function that makes the request.
    ///
    /// ```
    /// use wasabi::HttpRequest;
    ///
    /// assert!(HttpRequest::get("http://orders:8080/").segment("7").check().is_ok());
    /// assert!(HttpRequest::get("orders:8080").check().is_err());
    /// ```
    pub fn check(&self) -> Result<(), &Error> {
        self.0.as_ref().map(drop)
    }

    pub(super) fn has_credentials(&self) -> bool {
        self.0
            .as_ref()
            .is_ok_and(|draft| credentials::are_in(&draft.url))
    }

    pub(super) fn into_outgoing(self) -> Result<(Origin, Outgoing)> {
        let Draft {
            method,
            url,
            headers,
            body,
        } = self.0?;
        let (origin, mut outgoing) = Outgoing::to(method, url)?;
        outgoing.headers.extend(headers);
        outgoing.body = body;
        Ok((origin, outgoing))
    }
}

pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    let parsed = wasabi_rules::url(text, schemes::HTTP)?;
    check_tls(parsed.scheme)?;
    let places = wasabi_rules::places(text)?;
    if !places.iter().all(|part| matches!(part, Place::Text(_))) {
        return Err(
            "this URL cannot have placeholders; write `%7B` or `%7D` for a literal brace"
                .to_owned(),
        );
    }
    Url::parse(text).map_err(|error| format!("the URL is invalid: {error}"))
}

fn check_tls(scheme: &str) -> Result<(), String> {
    match scheme {
        "https" if !cfg!(feature = "tls") => {
            Err("`https` needs the cargo feature `tls` of wasabi".to_owned())
        }
        _ => Ok(()),
    }
}

fn breaks_lines(text: &str) -> bool {
    text.contains(['\r', '\n', '\0'])
}
