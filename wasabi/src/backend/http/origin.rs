//! Where requests go, and what they are before a client sends them.

use std::mem;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use reqwest::{Body, Url};

use crate::{Error, Result, backend::credentials};

/// A scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) is_tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// As `Host` has it: the port only if it is not the scheme's.
    pub(super) authority: HeaderValue,
}

impl Origin {
    /// The origin of a URL, which must be `http` or `https`.
    pub(super) fn of(url: &Url) -> Result<Self, String> {
        let none = || format!("`{}` has no host", url.scheme());
        let bracketed = url.host_str().ok_or_else(none)?;
        let host = bracketed.trim_start_matches('[').trim_end_matches(']');
        let authority = match url.port() {
            Some(port) => format!("{bracketed}:{port}"),
            None => bracketed.to_owned(),
        };
        Ok(Self {
            is_tls: url.scheme() == "https",
            host: host.to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            authority: HeaderValue::try_from(authority).map_err(|error| error.to_string())?,
        })
    }

    /// The host, and the port if it is not the scheme's.
    pub(super) fn name(&self) -> &str {
        // Made from a string.
        self.authority.to_str().unwrap_or_default()
    }

    /// `http://orders:8080`.
    pub(super) fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.name())
    }
}

/// A request without its origin. A copy costs that of its headers.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// The path and the query.
    pub(super) path: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Outgoing {
    pub(super) fn new(method: Method, path: Uri) -> Self {
        Self {
            method,
            path,
            headers: HeaderMap::with_capacity(8),
            body: Bytes::new(),
        }
    }

    /// The origin of a URL, and a request to its path and query. Credentials in the URL become a header.
    pub(super) fn to(method: Method, mut url: Url) -> Result<(Origin, Self)> {
        let authorization = credentials::take(&mut url).map_err(Error::internal)?;
        let origin = Origin::of(&url).map_err(Error::internal)?;
        let mut outgoing = Self::new(method, path(&url).map_err(Error::bad_request)?);
        if let Some(value) = authorization {
            outgoing.headers.insert(header::AUTHORIZATION, value);
        }
        Ok((origin, outgoing))
    }

    /// Sets `Content-Length: 0` for an empty body if the method usually has one (RFC 9110, section 8.6). Without the
    /// header some servers wait for a body, or answer 411. hyper sets the length only for bodies that are not empty.
    pub(super) fn tell_empty(&mut self) {
        if self.body.is_empty() && matches!(self.method, Method::POST | Method::PUT | Method::PATCH)
        {
            let none = HeaderValue::from_static("0");
            self.headers.insert(header::CONTENT_LENGTH, none);
        }
    }

    /// Takes what goes over a connection to its origin. What is large is moved once, not through each function between
    /// the backend and the connection.
    pub(super) fn take_http(&mut self, origin: &Origin) -> http::Request<Body> {
        let mut request = http::Request::new(Body::from(mem::take(&mut self.body)));
        mem::swap(request.method_mut(), &mut self.method);
        mem::swap(request.uri_mut(), &mut self.path);
        mem::swap(request.headers_mut(), &mut self.headers);
        let host = request.headers_mut().entry(header::HOST);
        host.or_insert_with(|| origin.authority.clone());
        request
    }

    /// Takes what a user's client sends.
    pub(super) fn take_reqwest(&mut self, origin: &Origin) -> Result<reqwest::Request> {
        let url = format!("{}{}", origin.url(), self.path);
        let url = Url::parse(&url).map_err(Error::internal)?;
        let mut request = reqwest::Request::new(mem::take(&mut self.method), url);
        *request.headers_mut() = mem::take(&mut self.headers);
        if !self.body.is_empty() {
            *request.body_mut() = Some(mem::take(&mut self.body).into());
        }
        Ok(request)
    }
}

/// The path and the query of a URL.
pub(super) fn path(url: &Url) -> Result<Uri, String> {
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Uri::try_from(path).map_err(|error| format!("the path of the URL is invalid: {error}"))
}
