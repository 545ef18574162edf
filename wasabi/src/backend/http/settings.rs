//! The settings of an [`Http`].

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use reqwest::Client;

use super::{Clients, Dials, HostLimit, Http, request};
use crate::connection::driver::FOREVER;

impl<T> Http<T> {
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

    pub(super) fn mistaken(&mut self, mistake: String) {
        self.mistake.get_or_insert(mistake);
    }
}

/// Whether a header is about the client and not about its connection to the gateway (RFC 9110, section 7.6.1).
fn is_forwardable(name: &HeaderName) -> bool {
    !request::is_framing(name)
        && *name != header::HOST
        && !name.as_str().starts_with("sec-websocket-")
}
