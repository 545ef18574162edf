//! Backends that are HTTP services.

mod again;
mod client;
mod dials;
mod host_limit;
mod reply;
mod request;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Client, ClientBuilder, Url};
use tokio::time::Instant;

#[cfg(feature = "jwt")]
pub(crate) use self::client::build as build_client;
pub(crate) use self::client::install_tls_provider;
pub use self::request::HttpRequest;
pub(crate) use self::request::parse_url;
use self::{client::Clients, dials::Dials, host_limit::HostLimit};
use super::{Probe, Way, backoff::MAX_DIAL_PAUSE, retry_after::retry_after};
use crate::{
    Backend, ConnectionId, Error, Lifecycle, Request, Result,
    connection::{driver::FOREVER, held::Reading},
};

/// An HTTP service as a backend: the message is the request's body, the response's body is the reply.
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
/// * The body is the payload of the message, except with GET and HEAD, which have none. Its content type is what
///   the parser knows of it: `application/json` with [`JsonKey`](crate::JsonKey), else
///   `text/plain; charset=utf-8` for a text message and `application/octet-stream` for a binary one, unless
///   [`content_type`](Self::content_type) says otherwise.
/// * A request that depends on the message in other ways is made by a function: [`Http::with`].
/// * With the cargo feature `otel` it carries the [trace context](crate::middleware::request::Trace#upstreams) of the
///   current span.
///
/// # Reply
///
/// * `text/*`, `application/json` and `..+json` are a text message, other content types a binary one. Without a
///   content type it is text if it is UTF-8. 204 is no reply, by intention.
/// * A status that is not accepted ([`accept_status`](Self::accept_status); 2xx if not set) is the error
///   `upstream_status`, with the time of the answer's `Retry-After`. Redirects are not followed: they are such a status.
/// * A body over [`max_response_size`](Self::max_response_size), text that is not UTF-8, and what is not HTTP, such as
///   a chunk without a size, are the error `upstream_invalid`. No answer within the [`timeout`](Self::timeout) is
///   `timed_out`; no connection is `upstream_unreachable`, one that broke before the end of the answer `upstream_lost`.
///
/// When the client goes away, or a middleware gives up, the HTTP request is abandoned.
///
/// The proxies of the environment (`HTTP_PROXY` ..) are not used. `https` needs the cargo feature `tls`. For
/// anything else about the connection, bring a [`client`](Self::client).
#[must_use = "a backend does nothing until it is a target"]
pub struct Http<T = Fixed> {
    target: T,
    static_headers: HeaderMap,
    forwarded: Vec<HeaderName>,
    timeout: Duration,
    limit: HostLimit,
    dials: Dials,
    max_response_size: usize,
    accept_status: Option<Box<dyn Fn(StatusCode) -> bool + Send + Sync>>,
    clients: Clients,
    /// Whether the ages of its connections were set.
    has_ages: bool,
    /// Whether requests of every method may be sent again.
    idempotent: bool,
    /// The first setting that makes no sense.
    mistake: Option<String>,
}

impl Http {
    /// POST to this URL. One that is none fails when the gateway is served, and in `gateway!` as a literal when
    /// it is compiled.
    pub fn post(url: impl AsRef<str>) -> Self {
        Self::method(Method::POST, url)
    }

    /// GET this URL; the message is not sent.
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

    /// A request with this method to this URL.
    pub fn method(method: Method, url: impl AsRef<str>) -> Self {
        Self::to(Fixed {
            method,
            url: parse_url(url.as_ref()),
        })
    }

    /// The client that this backend makes for itself, to be changed and given to [`client`](Self::client): no
    /// redirects, no proxies, 10 s for a connection.
    ///
    /// With the cargo feature `tls` a client that is made in another way, before there is a gateway, needs a
    /// default provider of rustls to be installed.
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

    /// The content type of the request's body, such as `application/json`.
    pub fn content_type(self, media_type: impl AsRef<str>) -> Self {
        self.header(header::CONTENT_TYPE, media_type.as_ref())
    }
}

impl<F> Http<With<F>>
where
    F: Fn(&Request) -> Result<HttpRequest> + Send + Sync,
{
    /// A function makes the HTTP request from the message.
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
        Self::to(With(factory))
    }
}

impl<T> Http<T> {
    fn to(target: T) -> Self {
        Self {
            target,
            static_headers: HeaderMap::new(),
            forwarded: Vec::new(),
            timeout: Duration::from_secs(30),
            limit: HostLimit::new(50),
            dials: Dials::new(MAX_DIAL_PAUSE),
            max_response_size: 1024 * 1024,
            accept_status: None,
            clients: Clients::default(),
            has_ages: false,
            idempotent: false,
            mistake: None,
        }
    }

    /// Sends this header with every request. It replaces a forwarded one of the same name, and a function's own
    /// header replaces it.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        let parsed = HeaderName::try_from(name)
            .ok()
            .filter(|name| !request::is_framing(name));
        match (parsed, HeaderValue::from_bytes(value)) {
            (Some(name), Ok(value)) => {
                self.static_headers.insert(name, value);
            }
            (None, _) => self.mistaken(format!(
                "`{}` is not a header that can be set",
                name.escape_debug()
            )),
            (_, Err(_)) => self.mistaken(format!("the value of the header `{name}` is malformed")),
        }
        self
    }

    /// Passes these headers of the WebSocket handshake on with every request. Not those that belong to one
    /// connection, such as `Host`, `Upgrade` or `Sec-WebSocket-Key`.
    pub fn forward_headers<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            match HeaderName::try_from(name.as_ref()) {
                Ok(name) if is_forwardable(&name) => self.forwarded.push(name),
                _ => self.mistaken(format!(
                    "`{}` is not a header that can be forwarded",
                    name.as_ref().escape_debug()
                )),
            }
        }
        self
    }

    /// How long messages are answered `upstream_unreachable` at most when a host could not be connected to, instead of
    /// trying again; 2 s if not set, zero tries with every message.
    ///
    /// The pauses double from 10 ms up to it and are random in their upper half; they are the same for all clients. An
    /// answer ends them.
    pub fn max_dial_pause(mut self, pause: Duration) -> Self {
        self.dials = Dials::new(pause);
        self
    }

    /// How long everything together may take, waiting for a free place among the
    /// [`concurrency`](Self::concurrency) included; 30 s if not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() {
            self.mistaken("a `timeout` of zero leaves no time for an answer".to_owned());
        }
        self.timeout = timeout;
        self
    }

    /// How many requests to one host are in flight at the same time, 50 if not set. Further ones wait, and connections
    /// take turns: who sends a lot waits behind itself, and a connection with one request waits for one of each other
    /// connection at most. When 10 000 requests wait already, further ones are answered `overloaded`.
    pub fn concurrency(mut self, requests: usize) -> Self {
        if requests == 0 {
            self.mistaken("a `concurrency` of 0 lets no request through".to_owned());
        }
        self.limit = HostLimit::new(requests);
        self
    }

    /// The most bytes that the body of a response may have, 1 MiB if not set.
    pub fn max_response_size(mut self, bytes: usize) -> Self {
        self.max_response_size = bytes;
        self
    }

    /// Which statuses are answers and not errors; 2xx if not set.
    ///
    /// ```
    /// use wasabi::{Http, StatusCode};
    ///
    /// // That there is no such thing is an answer too.
    /// let lookup = Http::post("http://catalogue:8080/")
    ///     .accept_status(|status| status.is_success() || status == StatusCode::NOT_FOUND);
    /// # drop(lookup);
    /// ```
    pub fn accept_status(
        mut self,
        accepts: impl Fn(StatusCode) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.accept_status = Some(Box::new(accepts));
        self
    }

    /// Uses this client, with its own rules for connections, TLS, proxies and redirects. The timeout and the
    /// limits of this backend apply all the same.
    pub fn client(mut self, client: Client) -> Self {
        self.clients = Clients::Given(client);
        self.check_ages();
        self
    }

    /// A user's client has no ages that could be set here.
    fn check_ages(&mut self) {
        if self.has_ages && matches!(self.clients, Clients::Given(_)) {
            let mistake =
                "`idle_timeout` and `max_connection_age` do not go with a `client` of one's own";
            self.mistaken(mistake.to_owned());
        }
    }

    /// How long a connection is kept that nothing comes over; 50 s if not set, which is below the 60 s after which most
    /// services close it. For services that close sooner (Node.js after 5 s) set less than they do: a request that
    /// crosses with their close may fail.
    ///
    /// A [`client`](Self::client) of one's own has its own time, `pool_idle_timeout`: together they keep the gateway from
    /// being served.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        if idle.is_zero() {
            self.mistaken("an `idle_timeout` of zero keeps no connection".to_owned());
        }
        self.clients.set(|ages| ages.idle = idle.min(FOREVER));
        self.has_ages = true;
        self.check_ages();
        self
    }

    /// For how long connections are used at most, 5 min if not set, so that a service that moves, by DNS or behind a
    /// balancer, is followed while there is traffic. Requests in flight go on to their end. The time is up to a quarter
    /// shorter, by chance, so that many gateways do not connect at once; a new connection costs its handshakes.
    ///
    /// A [`client`](Self::client) of one's own lives as long as it likes: together they keep the gateway from being
    /// served.
    pub fn max_connection_age(mut self, age: Duration) -> Self {
        if age.is_zero() {
            self.mistaken("a `max_connection_age` of zero keeps no connection".to_owned());
        }
        self.clients.set(|ages| ages.max = age.min(FOREVER));
        self.has_ages = true;
        self.check_ages();
        self
    }

    /// Says that it does no harm when a request is carried out twice, whatever its method.
    ///
    /// Services close connections that are kept alive, and a request may be on its way just then. One with the method
    /// GET, HEAD, PUT, DELETE, OPTIONS or TRACE is sent once more over a fresh connection, when the connection ends before
    /// there is an answer (RFC 9110, section 9.2.2). So is every other one of which no byte was written. After that, a POST or
    /// PATCH may have been carried out: it fails with `upstream_lost`, unless this is set.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    fn mistaken(&mut self, mistake: String) {
        self.mistake.get_or_insert(mistake);
    }

    fn accepts(&self, status: StatusCode) -> bool {
        match &self.accept_status {
            Some(accepts) => accepts(status),
            None => status.is_success(),
        }
    }

    fn not_answered(&self, error: reqwest::Error, began: Instant) -> Error {
        let url = error.url().cloned();
        let error = Error::from(error);
        if let (Error::UpstreamUnreachable(why), Some(url)) = (&error, url) {
            self.dials.failed(url.authority(), began, why);
        }
        error
    }

    async fn exchange(
        &self,
        client: &Client,
        request: reqwest::Request,
        connection: ConnectionId,
        reading: &mut Reading,
    ) -> Result {
        let host = request.url().authority();
        let _permit = self.limit.acquire(host, connection).await?;
        self.dials.admit(host)?;
        let began = Instant::now();
        let may_repeat = self.idempotent || again::is_idempotent(request.method());
        let repeated = if may_repeat {
            request.try_clone()
        } else {
            None
        };
        let outcome = match (client.execute(request).await, repeated) {
            (Err(error), Some(request)) if again::was_closed(&error) => {
                tracing::debug!(%error, "sent once more over a fresh connection");
                let fresh = self.clients.without_connections();
                fresh.as_ref().unwrap_or(client).execute(request).await
            }
            (outcome, _) => outcome,
        };
        let response = match outcome {
            Ok(response) => response,
            Err(error) => return Err(self.not_answered(error, began)),
        };
        self.dials.reached(response.url().authority());
        if !self.accepts(response.status()) {
            return Err(Error::UpstreamStatus {
                status: response.status(),
                retry_after: retry_after(response.headers()),
                seen: true,
            });
        }
        reply::read(response, self.max_response_size, reading).await
    }
}

impl<T: Target> Http<T> {
    fn ready_client(&self) -> Result<Client, &String> {
        if let Some(mistake) = self.mistake.as_ref().or(self.target.mistake()) {
            return Err(mistake);
        }
        self.clients.current(self.target.may_be_https())
    }

    fn health_url(&self, path: &str) -> Result<Url, String> {
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(format!(
                "`{}` is not a path: it starts with one `/`",
                path.escape_debug()
            ));
        }
        let base = self.target.url().ok_or(
            "a function makes the URLs of this node, so that it has no host: use `HealthCheck::with`",
        )?;
        base.join(path)
            .map_err(|error| format!("`{}` is not a path: {error}", path.escape_debug()))
    }

    fn request(&self, req: &Request) -> Result<reqwest::Request> {
        let mut request = self.target.request(req)?;
        let headers = request.headers_mut();
        for (name, value) in &self.static_headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        for name in &self.forwarded {
            if !headers.contains_key(name) {
                for value in req.connection().headers().get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        if let Some(content_type) = self.target.content_type(req) {
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert_with(|| HeaderValue::from_static(content_type));
        }
        #[cfg(feature = "otel")]
        crate::trace_context::inject(&mut crate::trace_context::HttpHeaders(headers));
        tell_empty(&mut request);
        Ok(request)
    }
}

impl<S: Sync, T: Target> Backend<S> for Http<T> {
    async fn call(&self, req: Request, _state: &S) -> Result {
        let client = self
            .ready_client()
            .map_err(|mistake| Error::internal(mistake.as_str()))?;
        let request = self.request(&req)?;
        let connection = req.connection().id();
        let mut reading = Reading::new(req.connection().clone());
        drop(req);
        let exchange = self.exchange(&client, request, connection, &mut reading);
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(outcome) => outcome,
            // The upstream would have gone on: it is the client that takes too little.
            Err(_) if reading.waits() => Err(Error::Overloaded),
            Err(_) => Err(Error::TimedOut(self.timeout)),
        }
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        visit(self);
    }
}

impl<T: Target> Lifecycle for Http<T> {
    fn check(&self) -> Result<(), String> {
        self.ready_client().map(drop).map_err(String::clone)
    }

    fn forwards(&self) -> Vec<String> {
        self.forwarded.iter().map(ToString::to_string).collect()
    }

    fn probe(&self, way: &Way) -> Option<Result<Probe, String>> {
        let path = way.path.as_ref()?;
        Some(self.health_url(path).and_then(|url| {
            let client = self.ready_client().map_err(String::clone)?;
            let (headers, way) = (self.static_headers.clone(), way.clone());
            Ok(Arc::new(move || -> BoxFuture<'static, _> {
                let asking = client.get(url.clone()).headers(headers.clone()).send();
                let way = way.clone();
                Box::pin(async move {
                    let status = asking.await?.status();
                    match way.accepts(status) {
                        true => Ok(()),
                        false => Err(format!("it answered {status}").into()),
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
            .field("max_response_size", &self.max_response_size)
            .finish_non_exhaustive()
    }
}

/// Where requests come from: [`Fixed`] or [`With`].
pub trait Target: Send + Sync {
    #[doc(hidden)]
    fn request(&self, req: &Request) -> Result<reqwest::Request>;

    /// That of the body, unless a header says it.
    #[doc(hidden)]
    fn content_type(&self, req: &Request) -> Option<&'static str> {
        let _ = req;
        None
    }

    #[doc(hidden)]
    fn mistake(&self) -> Option<&String> {
        None
    }

    #[doc(hidden)]
    fn may_be_https(&self) -> bool {
        true
    }

    /// That of every request, where it is always the same.
    #[doc(hidden)]
    fn url(&self) -> Option<&Url> {
        None
    }
}

/// The same method and URL for every message.
#[derive(Debug)]
pub struct Fixed {
    method: Method,
    url: Result<Url, String>,
}

impl Fixed {
    fn has_body(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD
    }
}

impl Target for Fixed {
    fn request(&self, req: &Request) -> Result<reqwest::Request> {
        let url = self
            .url
            .clone()
            .map_err(|mistake| Error::internal(mistake.as_str()))?;
        let mut request = reqwest::Request::new(self.method.clone(), url);
        if self.has_body() {
            *request.body_mut() = Some(req.payload().into());
        }
        Ok(request)
    }

    fn content_type(&self, req: &Request) -> Option<&'static str> {
        self.has_body().then(|| req.content_type())
    }

    fn mistake(&self) -> Option<&String> {
        self.url.as_ref().err()
    }

    fn may_be_https(&self) -> bool {
        self.url.as_ref().is_ok_and(|url| url.scheme() == "https")
    }

    fn url(&self) -> Option<&Url> {
        self.url.as_ref().ok()
    }
}

/// A request that a function makes from the message.
#[derive(Debug)]
pub struct With<F>(F);

impl<F> Target for With<F>
where
    F: Fn(&Request) -> Result<HttpRequest> + Send + Sync,
{
    fn request(&self, req: &Request) -> Result<reqwest::Request> {
        (self.0)(req)?.into_inner()
    }
}

/// Says that there is no content where the method means that there is some (RFC 9110, section 8.6): some servers wait
/// for it, or answer 411. The HTTP client says how much there is, but not that there is none.
fn tell_empty(request: &mut reqwest::Request) {
    let is_empty = request
        .body()
        .is_none_or(|body| body.as_bytes().is_some_and(<[u8]>::is_empty));
    if is_empty
        && matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH
        )
    {
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(header::CONTENT_LENGTH, none);
    }
}

/// Whether a header is about the client and not about its connection to the gateway (RFC 9110, section 7.6.1).
fn is_forwardable(name: &HeaderName) -> bool {
    !request::is_framing(name)
        && *name != header::HOST
        && !name.as_str().starts_with("sec-websocket-")
}
