//! How an open upstream connection is served.

use std::time::Duration;

use crate::{Backoff, backend::websocket::WebSocket, parser::IdAt, time::FOREVER};

impl WebSocket {
    /// Sets after how long an upstream that accepts none of the gateway's data counts as lost; the default is 10 s. The
    /// time during which the client accepts none of the upstream's data does not count.
    #[must_use]
    pub fn send_timeout(self, timeout: Duration) -> Self {
        self.change(|config| {
            let timeout = config
                .mistakes
                .above_zero("WebSocket::send_timeout", timeout);
            config.send_timeout = timeout.min(FOREVER);
        })
    }

    /// Sets after how long a silent upstream is pinged. The default is 30 s, because load balancers commonly cut
    /// connections that are silent for a minute. An upstream that does not answer the ping within the
    /// [`pong_timeout`](Self::pong_timeout) is lost, like one whose connection has broken. `None` disables pings: then
    /// only the system's own probes notice an upstream that has vanished, after a few minutes, and nothing notices one
    /// that hangs.
    #[must_use]
    pub fn ping(self, interval: impl Into<Option<Duration>>) -> Self {
        self.change(|config| {
            let interval = config
                .mistakes
                .above_zero("WebSocket::ping", interval.into());
            config.pings.interval = interval.map(|interval| interval.min(FOREVER));
        })
    }

    /// Sets how long the upstream may take to answer a [`ping`](Self::ping); the default is the ping interval. Anything
    /// that the upstream sends counts as an answer.
    #[must_use]
    pub fn pong_timeout(self, timeout: Duration) -> Self {
        self.change(|config| {
            let timeout = config
                .mistakes
                .above_zero("WebSocket::pong_timeout", timeout);
            config.pings.timeout = Some(timeout.min(FOREVER));
        })
    }

    /// Sets the maximum size in bytes of a message from the upstream. The default is 1 MiB, or the channel's maximum if
    /// that is larger. The upstream is lost if it sends a larger message.
    #[must_use]
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.change(|config| {
            let bytes = config
                .mistakes
                .above_zero("WebSocket::max_message_size", bytes);
            config.max_message_size = Some(bytes);
        })
    }

    /// Keeps the client connected when the upstream is lost or restarts, and reconnects to the upstream.
    ///
    /// This applies when the upstream is gone without a close frame, or closes without a code or with 1001, 1011, 1012,
    /// 1013 or 1014. Messages wait meanwhile for up to the [`connect_timeout`](Self::connect_timeout) and are then
    /// answered `upstream_unreachable`. The client is closed with 1011 after the last retry (unlimited if not set), or
    /// when the upstream refuses the new handshake because of this client (with 401, for instance). The upstream sees a
    /// new connection with the same handshake; restoring what it knew of the client is up to the upstream.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use wasabi::{Backoff, WebSocket};
    ///
    /// let patient = WebSocket::connect("ws://legacy:9000/").reconnect(
    ///     Backoff::exponential(Duration::from_millis(100)).max_pause(Duration::from_secs(5)).retries(20),
    /// );
    /// # drop(patient);
    /// ```
    #[must_use]
    pub fn reconnect(self, backoff: Backoff) -> Self {
        self.change(|config| {
            config.mistakes.extend(backoff.mistakes());
            config.reconnect = Some(backoff);
        })
    }

    /// Sets how long an upstream connection is used at most; by default it is used as long as it lasts. With a limit
    /// the gateway follows an upstream that moves, by DNS or behind a balancer, while its clients stay connected. It
    /// requires [`reconnect`](Self::reconnect).
    ///
    /// At the end of that time the gateway closes the upstream with 1001, passes on to the client what the upstream
    /// sends before its own close frame, and reconnects at once, after resolving the addresses again. The client's
    /// messages wait meanwhile. From three quarters of the time on, at a random moment so that not all clients
    /// reconnect at once, the gateway replaces the connection as soon as no request waits for its answer
    /// ([`correlate`](Self::correlate)). At the end it replaces the connection in any case, and answers requests that
    /// still wait `upstream_lost`. Without `correlate` the gateway does not know which answers are outstanding, and
    /// they are lost.
    #[must_use]
    pub fn max_connection_age(self, age: Duration) -> Self {
        self.change(|config| {
            let age = config
                .mistakes
                .above_zero("WebSocket::max_connection_age", age);
            config.max_connection_age = Some(age.min(FOREVER));
        })
    }

    /// Matches requests with replies, for messages that have an id, a string or a number, at this JSON pointer
    /// (RFC 6901).
    ///
    /// The next message of the upstream with the same id at the same place is the reply. The request is in flight until
    /// then, and timeouts, retries, breakers and metrics cover it. Without a
    /// [`Timeout`](crate::middleware::request::Timeout) it waits for as long as the connections last.
    ///
    /// * A request with the id of another request in flight is answered `bad_request`.
    /// * When the upstream is lost, requests that were sent but not answered are answered `upstream_lost`, or
    ///   `upstream_invalid` if the upstream broke a rule. The upstream may have carried them out.
    /// * The late answer to a request that was given up, for instance by a timeout, is dropped.
    /// * Everything else that the upstream sends reaches the client as before: messages without an id, and further ones
    ///   with the id of a request that has been answered, such as those of a subscription.
    /// * Messages without an id are forwarded and have no reply.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     parser = JsonKey::at("/method").id("/req_id"),
    ///     middleware = [Timeout::new(5s)],
    ///     WebSocket::connect("ws://legacy:9000/").correlate("/req_id"),
    /// ));
    /// # drop(gateway);
    /// ```
    ///
    /// An invalid JSON pointer is a mistake that prevents the gateway from being served.
    #[must_use]
    pub fn correlate(self, pointer: impl AsRef<str>) -> Self {
        self.change(|config| {
            let at = config.mistakes.keep(IdAt::new(pointer.as_ref()));
            config.correlate = at.or(config.correlate.take());
        })
    }
}
