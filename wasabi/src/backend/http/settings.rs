//! The settings of an [`Http`].

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode};
use reqwest::Client;

use super::{Clients, Dials, Framing, HostLimit, Http};
use crate::{Connection, backend::headers, time::FOREVER};

impl<T> Http<T> {
    /// Sends this header with every request. It replaces a forwarded one of the same name, and a function's own
    /// header replaces it. What is set later under the same name replaces it too.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        let value = HeaderValue::from_bytes(value.as_ref());
        let value = value.map_err(|_| format!("the value of the header `{name}` is malformed"));
        let header = headers::header(name).and_then(|name| Ok((name, value?)));
        if let Some((name, value)) = self.mistakes.keep(header) {
            self.headers.fix(name, value);
        }
        self
    }

    /// Sends a header whose value a function makes of the client's connection: of its
    /// [identity](crate::Connection::identity), its [address](crate::Connection::client_ip), or what HTTP middleware has
    /// left. With `None` there is no such header, also not the one that the client may have sent.
    ///
    /// It is called for each request, with the identity of then. A value with a line break or another control character
    /// is refused: the request is answered `bad_request`, and nothing is sent.
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

    /// Tells the service in `X-Forwarded-For` where requests come from: the address of the client, those of the proxies
    /// that [`ClientIp`](crate::middleware::http::ClientIp) trusts, and that of the socket's peer. What a client claims in this header is
    /// left out, so that without such middleware it is the peer alone. A peer behind a Unix socket has no address.
    ///
    /// `X-Forwarded-Proto` is sent as well, `http` or `https`, where it is known: over TLS, or by the word of a trusted
    /// proxy.
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

    /// Passes these headers of the WebSocket handshake on with every request. Not those that belong to one
    /// connection, such as `Host`, `Upgrade` or `Sec-WebSocket-Key`, and not `Accept-Encoding`. What proxies say in
    /// `X-Forwarded-For` and `Forwarded`, and clients too, is told by [`forwarded_for`](Self::forwarded_for) and
    /// [`forwarded`](Self::forwarded).
    pub fn forward_headers<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            let name = headers::forwarded_header(name.as_ref());
            if let Some(name) = self.mistakes.keep(name) {
                self.headers.forward(name);
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
        self.timeout = self.mistakes.above_zero("Http::timeout", timeout);
        self
    }

    /// How many requests to one host are in flight at the same time, 50 if not set. Further ones wait, and connections
    /// take turns: who sends a lot waits behind itself, and a connection with one request waits for one of each other
    /// connection at most. When 10 000 requests wait already, further ones are answered `overloaded`.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.mistakes.above_zero("Http::concurrency", requests);
        self.limit = Arc::new(HostLimit::new(requests));
        self
    }

    /// Sends what the service answers on while it comes: the body becomes a stream of messages, divided by
    /// [`Lines`](crate::Lines) or [`Sse`](crate::Sse). A status that is not accepted is an error as before.
    ///
    /// * The [`timeout`](Self::timeout) is for the beginning of the answer. A service that then says nothing for the
    ///   channel's [`stream_idle_timeout`](crate::Channel::stream_idle_timeout), 60 s if not set, is `timed_out`; whatever
    ///   it sends counts, comments of Server-Sent Events too.
    /// * One message has at most [`max_response_size`](Self::max_response_size) bytes; the whole answer may have any number.
    /// * The request keeps its place among the [`concurrency`](Self::concurrency) until the answer has ended. It is
    ///   abandoned when the client goes away. The service is read as the client takes what it sends.
    /// * An answer that breaks off ends with the error `upstream_lost` after the messages that have come.
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

    /// The most bytes that the body of a response may have, 1 MiB if not set.
    pub fn max_response_size(mut self, bytes: usize) -> Self {
        self.max_response_size = self.mistakes.above_zero("Http::max_response_size", bytes);
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
            self.mistakes.push(mistake.to_owned());
        }
    }

    /// How long a connection is kept that nothing comes over; 50 s if not set, which is below the 60 s after which most
    /// services close it. For services that close sooner (Node.js after 5 s) set less than they do: a request that
    /// crosses with their close may fail.
    ///
    /// A [`client`](Self::client) of one's own has its own time, `pool_idle_timeout`: together they keep the gateway from
    /// being served.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.mistakes.above_zero("Http::idle_timeout", idle);
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
        self.mistakes.above_zero("Http::max_connection_age", age);
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
}
