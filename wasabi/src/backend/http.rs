//! Backends that are HTTP services.

mod body;
mod client;
#[cfg(feature = "decompress")]
mod decode;
mod dials;
mod exchange;
mod failure;
mod framing;
mod hosts;
mod idle;
mod lease;
mod origin;
mod pool;
mod reply;
mod request;
mod settings;
mod stream;
mod target;

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, StatusCode, header};
use reqwest::{ClientBuilder, Url};
use tokio::time::Instant;

#[cfg(feature = "jwt")]
pub(crate) use self::client::build as build_client;
pub(crate) use self::client::install_tls_provider;
pub(crate) use self::request::parse_url;
use self::{client::Client, dials::Dials, failure::Failure, hosts::Host, origin::Outgoing};
pub use self::{
    framing::{Framing, Lines, Sse, SseEvent},
    request::HttpRequest,
    target::{Destined, Fixed, Target, With},
};
use super::{
    Probe, Way, credentials, dial_memory::MAX_DIAL_PAUSE, headers::Headers, template::Template,
};
use crate::{
    Backend, Error, Lifecycle, Request, Result, connection::held::Reading, mistakes::Mistakes,
};

/// An HTTP service as a backend: the message becomes the request's body, and the response's body becomes the reply.
///
/// ```
/// use std::time::Duration;
/// use wasabi::Http;
///
/// let orders = Http::post("http://orders:8080/place")
///     .header("x-gateway", "wasabi")
///     .forward_headers(["authorization"])
///     .timeout(Duration::from_secs(5));
/// # drop(orders);
/// ```
///
/// # Request
///
/// * The body is the payload of the message; GET and HEAD have no body. The parser determines the content type:
///   `application/json` with [`JsonKey`](crate::JsonKey), otherwise `text/plain; charset=utf-8` for a text message and
///   `application/octet-stream` for a binary one. [`content_type`](Self::content_type) overrides it.
/// * The path and the query of the URL may have placeholders for what a client sends: `{name}` is a parameter of the
///   channel's path, `{?name}` a parameter of the handshake's query, `{/pointer}` the string, number or boolean of the
///   message at this JSON pointer (RFC 6901). Each value is filled in percent-encoded, as one segment or value. The
///   gateway answers `bad_request` and sends nothing if the value is missing or the parameter of the query occurs
///   twice; if a segment would be empty, `.` or `..`; and if a value contains a tab, CR, LF or NUL. Other braces are a
///   mistake.
/// * A user and a password in the URL, as in `http://user:password@orders/`, are percent-decoded and sent as
///   `Authorization: Basic` (RFC 7617). They replace a forwarded `Authorization` header. Setting that header as well is
///   a mistake; if a [function](Self::with) makes the URL, it is the error `internal`, and nothing is sent.
/// * A function makes requests that depend on the message in other ways: [`Http::with`].
/// * With the cargo feature `otel` the request carries the [trace context](crate::middleware::request::Trace#upstreams)
///   of the current span.
///
/// # Reply
///
/// * `text/*`, `application/json` and `..+json` become a text message, other content types a binary one. Without a
///   content type the body becomes text if it is valid UTF-8. Status 204 deliberately sends no reply.
/// * A status that is not accepted ([`accept_status`](Self::accept_status); 2xx by default) is the error
///   `upstream_status`, with the time from the response's `Retry-After`. Redirects are not followed; they count as such
///   a status.
/// * A body larger than [`max_reply_size`](Self::max_reply_size), text that is not valid UTF-8, and malformed
///   HTTP, such as a chunk without a size, are the error `upstream_invalid`. A response that takes longer than the
///   [`timeout`](Self::timeout) is `timed_out`, or `overloaded` if the gateway had stopped reading it because the client
///   takes too little. A failed connection is `upstream_unreachable`; a connection that breaks before the end of the
///   response is `upstream_lost`.
/// * Text must be UTF-8, or pure ASCII in a charset that contains ASCII. Text in any other charset is the error
///   `upstream_invalid`.
/// * Without the cargo feature `decompress` the gateway asks for an uncompressed body (`accept-encoding: identity`).
///   With it, the gateway asks for gzip, deflate, br and zstd and decodes them; `max_reply_size` then limits the
///   decoded size. A body in any other encoding is the error `upstream_invalid`.
///
/// The gateway abandons the HTTP request when the client disconnects or a middleware gives up.
///
/// The proxies of the environment (`HTTP_PROXY` ..) are not used. `https` needs the cargo feature `tls`. For other
/// settings of the connection, pass your own [`client`](Self::client).
#[must_use = "a backend does nothing until a route uses it"]
pub struct Http<T = Fixed> {
    target: T,
    headers: Headers,
    timeout: Duration,
    /// The most requests in flight to one host.
    concurrency: usize,
    dials: Dials,
    max_reply_size: usize,
    /// For responses that are forwarded while they arrive.
    framing: Option<Framing>,
    accept_status: Option<Box<dyn Fn(StatusCode) -> bool + Send + Sync>>,
    client: Client,
    /// Whether the ages of connections were set.
    has_ages: bool,
    /// Whether requests with any method may be sent again.
    idempotent: bool,
    mistakes: Mistakes,
}

impl Http {
    /// POST to this URL. An invalid URL prevents the gateway from being served; an invalid literal in `gateway!` fails
    /// to compile.
    pub fn post(url: impl AsRef<str>) -> Self {
        Self::method(Method::POST, url)
    }

    /// GET from this URL; the message is not sent.
    pub fn get(url: impl AsRef<str>) -> Self {
        Self::method(Method::GET, url)
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

    /// Makes a request with this method to this URL.
    pub fn method(method: Method, url: impl AsRef<str>) -> Self {
        Self::to(Fixed::new(method, url.as_ref()))
    }

    /// A builder of reqwest clients that behave like this backend without one: no redirects, no proxies, 10 s to connect.
    /// Change it and pass the result to [`client`](Self::client). Such a client keeps its own connections, without a
    /// maximum age.
    ///
    /// With the cargo feature `tls`, a client that is built in another way, before any gateway exists, needs an
    /// installed default crypto provider of rustls.
    ///
    /// ```
    /// use wasabi::Http;
    ///
    /// # fn main() -> Result<(), wasabi::reqwest::Error> {
    /// let client = Http::client_builder().user_agent("gateway/1").build()?;
    /// let orders = Http::post("http://orders:8080/place").client(client);
    /// # drop(orders);
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_builder() -> ClientBuilder {
        client::builder()
    }

    /// Sets the content type of the request's body, such as `application/json`.
    pub fn content_type(self, media_type: impl AsRef<str>) -> Self {
        self.header(header::CONTENT_TYPE, media_type.as_ref())
    }
}

impl<F> Http<With<F>>
where
    F: Fn(&Request) -> Result<HttpRequest> + Send + Sync,
{
    /// Makes the HTTP request from the message with a function.
    ///
    /// ```
    /// use wasabi::{Http, HttpRequest};
    ///
    /// let user = Http::with(|req| {
    ///     let name = req.message().as_text().unwrap_or_default();
    ///     Ok(HttpRequest::get("http://users:8080/users").segment(name).query("by", req.key()))
    /// });
    /// # drop(user);
    /// ```
    pub fn with(factory: F) -> Self {
        Self::to(With::new(factory))
    }
}

impl<T> Http<T> {
    fn to(target: T) -> Self {
        Self {
            target,
            headers: Headers::default(),
            timeout: wasabi_rules::UPSTREAM_TIMEOUT,
            concurrency: 50,
            dials: Dials::new(MAX_DIAL_PAUSE),
            max_reply_size: 1024 * 1024,
            framing: None,
            accept_status: None,
            client: Client::default(),
            has_ages: false,
            idempotent: false,
            mistakes: Mistakes::default(),
        }
    }
}

impl<T: Target> Http<T> {
    /// The first mistake in the settings.
    fn mistake(&self) -> Result<(), &String> {
        let mistake = self.mistakes.as_slice().first();
        mistake.or(self.target.mistake()).map_or(Ok(()), Err)
    }

    fn health_url(&self, path: &str) -> Result<Url, String> {
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(format!(
                "`{}` is not a path; start it with one `/`",
                path.escape_debug()
            ));
        }
        let base = self.target.url().ok_or(
            "a function makes the URLs of this node, so its host is unknown; use `HealthCheck::with`",
        )?;
        base.join(path)
            .map_err(|error| format!("`{}` is not a path: {error}", path.escape_debug()))
    }

    fn request(&self, req: &Request) -> Result<Destined> {
        let mut destined = self.target.request(req)?;
        if destined.has_credentials && self.headers.owns(&header::AUTHORIZATION) {
            return Err(Error::internal(credentials::TWICE));
        }
        let headers = &mut destined.outgoing.headers;
        if let Some(media_type) = self.framing.as_ref().and_then(Framing::media_type) {
            headers
                .entry(header::ACCEPT)
                .or_insert(HeaderValue::from_static(media_type));
        }
        self.headers.add(req.connection(), headers)?;
        // Some services take a request without it for that of a browser.
        headers
            .entry(header::ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        if let Some(content_type) = self.target.content_type(req) {
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert_with(|| HeaderValue::from_static(content_type));
        }
        headers
            .entry(header::ACCEPT_ENCODING)
            .or_insert(HeaderValue::from_static(ACCEPTED));
        #[cfg(feature = "otel")]
        crate::trace_context::inject(&mut crate::trace_context::HttpHeaders(headers));
        destined.outgoing.tell_empty();
        Ok(destined)
    }
}

/// The encodings that are asked for (RFC 9110, section 12.5.3).
const ACCEPTED: &str = if cfg!(feature = "decompress") {
    "gzip, br, zstd, deflate"
} else {
    "identity"
};

impl<S: Sync, T: Target> Backend<S> for Http<T> {
    async fn call(&self, req: Request, _state: &S) -> Result {
        self.mistake()
            .map_err(|mistake| Error::internal(mistake.as_str()))?;
        let Destined {
            host, mut outgoing, ..
        } = self.request(&req)?;
        let connection = req.connection().clone();
        let mut reading = Reading::new(connection.clone());
        drop(req);
        let exchange = self.exchange(&host, &mut outgoing, &connection, &mut reading);
        // Pinned, because the timeout would move all of it otherwise.
        let outcome = tokio::time::timeout(self.timeout, pin!(exchange)).await;
        match outcome {
            Ok(outcome) => outcome,
            // The upstream would have gone on; the client reads too slowly.
            Err(_) if reading.waits() => Err(Error::Overloaded),
            Err(_) => Err(Error::TimedOut(self.timeout)),
        }
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        visit(self);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        let codes = crate::schema::Codes::of(&super::CODES);
        // A function that makes the request fails with errors of its own.
        let codes = match self.target.url().is_some() || self.target.template().is_some() {
            true => codes,
            false => codes.or_others(),
        };
        let mut answers = crate::schema::Answers::unknown::<Self>(codes);
        let template = self.target.template().into_iter();
        let query = template.flat_map(Template::of_queries);
        answers.passed_on = super::passed_on(self.headers.of_handshakes(), query);
        to.answers(answers);
    }
}

impl<T: Target> Lifecycle for Http<T> {
    fn check(&self) -> Result<(), String> {
        self.mistake().map_err(String::clone)?;
        #[cfg(feature = "tls")]
        if self.target.may_be_https() && matches!(self.client, Client::Own(_)) {
            super::tls::http1_config()?;
        }
        let Some(url) = self.target.url() else {
            return Ok(());
        };
        if !credentials::are_in(url) {
            return Ok(());
        }
        if self.headers.owns(&header::AUTHORIZATION) {
            return Err(credentials::TWICE.to_owned());
        }
        credentials::basic(url.username(), url.password().unwrap_or_default()).map(drop)
    }

    fn forwards(&self) -> Vec<String> {
        let headers = self.headers.of_clients().map(ToString::to_string);
        let template = self.target.template();
        let of_url = template.into_iter().flat_map(|template| {
            let names = template.parameters().chain(template.of_queries());
            names.map(str::to_owned)
        });
        headers.chain(of_url).collect()
    }

    fn parameters(&self) -> Vec<String> {
        let template = self.target.template().into_iter();
        let names = template.flat_map(Template::parameters);
        names.map(str::to_owned).collect()
    }

    fn probe(&self, way: &Way) -> Option<Result<Probe, String>> {
        let path = way.path.as_ref()?;
        Some(self.health_url(path).and_then(|url| {
            self.mistake().map_err(String::clone)?;
            let (origin, mut outgoing) =
                Outgoing::to(Method::GET, url).map_err(|error| error.to_string())?;
            self.headers.add_fixed(&mut outgoing.headers);
            let (host, client, way) = (
                Arc::new(Host::new(origin)),
                self.client.clone(),
                way.clone(),
            );
            Ok(Arc::new(move || -> BoxFuture<'static, _> {
                let (host, client, way) = (Arc::clone(&host), client.clone(), way.clone());
                let mut outgoing = outgoing.clone();
                Box::pin(async move {
                    let response = client
                        .send(&host, &mut outgoing, Instant::now())
                        .await
                        .map_err(Failure::into_error)?;
                    let status = response.status();
                    match way.accepts(status) {
                        true => Ok(()),
                        false => Err(format!("the node answered {status}").into()),
                    }
                })
            }) as Probe)
        }))
    }
}

impl<T> fmt::Debug for Http<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("timeout", &self.timeout)
            .field("max_reply_size", &self.max_reply_size)
            .finish_non_exhaustive()
    }
}
