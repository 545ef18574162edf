//! The settings of an [`Http`].

use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::{Dials, Framing, Http, client::Client};
use crate::{Connection, backend::headers, time::FOREVER};

impl<T> Http<T> {
    /// Sends this header with every request. It replaces a forwarded header of the same name. A function's own header
    /// replaces it, and so does a later setting of the same name.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        let value = HeaderValue::from_bytes(value.as_ref());
        let value = value.map_err(|_| format!("the value of the header `{name}` is invalid"));
        let header = headers::header(name).and_then(|name| Ok((name, value?)));
        if let Some((name, value)) = self.mistakes.keep(header) {
            self.headers.fix(name, value);
        }
        self
    }

    /// Sends a header whose value a function makes from the client's connection: from its
    /// [identity](crate::Connection::identity), its [address](crate::Connection::client_ip), or what HTTP middleware
    /// has stored. With `None` the header is left out, and the client's own header of that name is not forwarded
    /// either.
    ///
    /// The function is called for each request, with the identity at that time. A value with a line break or another
    /// control character is refused: the request is answered `bad_request` and nothing is sent.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// let orders = Http::post("http://orders:8080/place").header_with("x-user", |connection| {
    ///     let user: Identity<User> = connection.identity()?;
    ///     Some(user.id.to_string())
    /// });
    /// # drop(orders);
    /// ```
    pub fn header_with<V: AsRef<[u8]>>(
        mut self,
        name: impl AsRef<str>,
        value: impl Fn(&Connection) -> Option<V> + Send + Sync + 'static,
    ) -> Self {
        if let Some(name) = self.mistakes.keep(headers::header(name.as_ref())) {
            self.headers.make(name, value);
        }
        self
    }

    /// Tells the service the client's address in `X-Forwarded-For`: the address of the client, those of the proxies
    /// that [`ClientIp`](crate::middleware::http::ClientIp) trusts, and that of the socket's peer. The gateway ignores
    /// what a client claims in this header, so without that middleware the header holds the peer alone. A peer behind a
    /// Unix socket has no address.
    ///
    /// `X-Forwarded-Proto` (`http` or `https`) is sent as well if it is known: from TLS, or from a trusted proxy.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// let gateway = gateway!(
    ///     http = [ClientIp::trusting(["10.0.0.0/8"])],
    ///     channel("/", Http::post("http://orders:8080/place").forwarded_for()),
    /// );
    /// # drop(gateway);
    /// ```
    pub fn forwarded_for(mut self) -> Self {
        self.headers.tell_forwarded_for();
        self
    }

    /// Tells the service the same in `Forwarded` (RFC 7239): an element `for=..` for each of these addresses,
    /// `for=unknown` for the peer of a Unix socket, and `proto` in the last element.
    pub fn forwarded(mut self) -> Self {
        self.headers.tell_forwarded();
        self
    }

    /// Passes these headers of the WebSocket handshake on with every request. Headers that belong to one connection,
    /// such as `Host`, `Upgrade` or `Sec-WebSocket-Key`, cannot be passed on, nor can `Accept-Encoding`. Use
    /// [`forwarded_for`](Self::forwarded_for) and [`forwarded`](Self::forwarded) for `X-Forwarded-For` and `Forwarded`,
    /// which proxies and clients set.
    pub fn forward_headers<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            let name = headers::forwarded_header(name.as_ref());
            if let Some(name) = self.mistakes.keep(name) {
                self.headers.forward(name);
            }
        }
        self
    }

    /// Sets how long, at most, messages are answered `upstream_unreachable` after a host could not be connected to,
    /// instead of trying again. The default is 2 s; with zero every message tries.
    ///
    /// The pauses double from 10 ms up to this maximum and are random in their upper half. They are the same for all
    /// clients. A response ends them.
    pub fn max_dial_pause(mut self, pause: Duration) -> Self {
        self.dials = Dials::new(pause);
        self
    }

    /// Sets how long the whole exchange may take, including the wait for a free place among the
    /// [`concurrency`](Self::concurrency); the default is 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = self.mistakes.above_zero("Http::timeout", timeout);
        self
    }

    /// Sets how many requests to one host may be in flight at the same time; the default is 50. Further requests wait,
    /// and connections take turns: a connection that sends a lot waits behind its own requests, and a connection with
    /// one request waits for at most one of each other connection. When 10 000 requests are waiting, further ones are
    /// answered `overloaded`.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = self.mistakes.above_zero("Http::concurrency", requests);
        self
    }

    /// Sends the response on while it arrives: the body becomes a stream of messages, split by [`Lines`](crate::Lines)
    /// or [`Sse`](crate::Sse). A status that is not accepted is still an error.
    ///
    /// * The [`timeout`](Self::timeout) covers only the beginning of the response. A service that then sends nothing
    ///   for the channel's [`stream_idle_timeout`](crate::Channel::stream_idle_timeout) (60 s by default) is
    ///   `timed_out`. Whatever it sends counts, including comments of Server-Sent Events.
    /// * One message has at most [`max_reply_size`](Self::max_reply_size) bytes; the size of the whole response
    ///   is not limited.
    /// * The request keeps its place among the [`concurrency`](Self::concurrency) until the response has ended. It is
    ///   abandoned when the client disconnects. The gateway reads from the service as fast as the client takes the
    ///   messages.
    /// * A response that breaks off ends with the error `upstream_lost`, after the messages that have arrived.
    ///
    /// ```
    /// use wasabi::{Http, Lines, Sse};
    ///
    /// let tokens = Http::post("http://model:8080/complete").streaming(Sse);
    /// let rows = Http::post("http://reports:8080/rows.ndjson").streaming(Lines);
    /// # drop((tokens, rows));
    /// ```
    pub fn streaming(mut self, framing: impl Into<Framing>) -> Self {
        self.framing = Some(framing.into());
        self
    }

    /// Sets the maximum size of a response body in bytes; the default is 1 MiB.
    pub fn max_reply_size(mut self, bytes: usize) -> Self {
        self.max_reply_size = self.mistakes.above_zero("Http::max_reply_size", bytes);
        self
    }

    /// Sets which statuses are replies and not errors; the default is 2xx.
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

    /// Uses this client, with its own rules for connections, TLS, proxies and redirects. The timeout and the limits of
    /// this backend still apply.
    pub fn client(mut self, client: reqwest::Client) -> Self {
        self.client = Client::Given(client);
        self.check_ages();
        self
    }

    /// Reports a mistake if ages are set for a user's client, which has its own.
    fn check_ages(&mut self) {
        if self.has_ages && matches!(self.client, Client::Given(_)) {
            let mistake = "`idle_timeout` and `max_connection_age` have no effect on your own `client`; remove them";
            self.mistakes.push(mistake.to_owned());
        }
    }

    /// Sets how long an idle connection is kept. The default is 50 s, less than the 60 s after which most services
    /// close it. For services that close sooner (Node.js after 5 s) set a shorter time than theirs: a request that
    /// crosses with their close may fail.
    ///
    /// Your own [`client`](Self::client) has its own setting, `pool_idle_timeout`. Setting both prevents the gateway
    /// from being served.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.mistakes.above_zero("Http::idle_timeout", idle);
        self.client.set(|ages| ages.idle = idle.min(FOREVER));
        self.has_ages = true;
        self.check_ages();
        self
    }

    /// Sets how long connections are used at most; the default is 5 min. The limit lets the gateway follow a service
    /// that moves, by DNS or behind a balancer, under continuous traffic. Requests in flight continue to their end. The
    /// time is randomly shortened by up to a quarter, so that many gateways do not reconnect at once. Each new
    /// connection costs its handshakes.
    ///
    /// Your own [`client`](Self::client) decides itself how long it uses connections. Setting both prevents the gateway
    /// from being served.
    pub fn max_connection_age(mut self, age: Duration) -> Self {
        self.mistakes.above_zero("Http::max_connection_age", age);
        self.client.set(|ages| ages.max = age.min(FOREVER));
        self.has_ages = true;
        self.check_ages();
        self
    }

    /// Declares that carrying out a request twice does no harm, whatever its method.
    ///
    /// A service may close an idle connection just while a request is in transit. If the connection ends before the
    /// response begins, the gateway sends a request with the method GET, HEAD, PUT, DELETE, OPTIONS or TRACE once more
    /// over a fresh connection (RFC 9110, section 9.2.2). It sends any request of which no byte was written over the next
    /// connection. A POST or PATCH that was written may have been carried out: it fails with `upstream_lost`, unless this
    /// is set.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}
