//! What an application decides about a connection.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{BoxError, time::FOREVER};

type Hook = Arc<dyn Fn() -> BoxFuture<'static, Result<Handshake, BoxError>> + Send + Sync>;
type Again = Arc<dyn Fn(u16, &str) -> bool + Send + Sync>;

/// What an application decides about the connection of a [`Client`](super::Client).
#[derive(Clone)]
#[must_use = "options do nothing until they are given to a client"]
pub struct Options {
    pub(super) hook: Option<Hook>,
    again: Option<Again>,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) ping: Duration,
    pub(super) first: Duration,
    pub(super) busy: Duration,
    pub(super) longest: Duration,
    pub(super) limit: usize,
    pub(super) buffer: usize,
    pub(super) max_message_size: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hook: None,
            again: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            ping: Duration::from_secs(20),
            first: Duration::from_millis(500),
            busy: Duration::from_secs(5),
            longest: Duration::from_secs(30),
            limit: 1024,
            buffer: 1024,
            max_message_size: 4 * 1024 * 1024,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the handshake carries. It is asked before each attempt to connect, so it may fetch a fresh token. If it fails,
    /// the attempt has failed. It has the time of [`connect_timeout`](Self::connect_timeout), together with the handshake.
    pub fn handshake<F, R>(mut self, hook: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Handshake, BoxError>> + Send + 'static,
    {
        self.hook = Some(Arc::new(move || Box::pin(hook())));
        self
    }

    /// Decides whether the client connects again, by the close code and the reason why there is no connection. The code is
    /// 1006 if there was none, as after a refused handshake. Default: yes, except after 1000 (the gateway is done with the
    /// client) and 4403 (it is not allowed).
    pub fn reconnect(mut self, decide: impl Fn(u16, &str) -> bool + Send + Sync + 'static) -> Self {
        self.again = Some(Arc::new(decide));
        self
    }

    pub(super) fn connects_again(&self, code: u16, reason: &str) -> bool {
        match &self.again {
            Some(decide) => decide(code, reason),
            None => !matches!(code, 1000 | 4403),
        }
    }

    /// The deadline of requests, from the call to the reply, also of those that leave a group; streams have none. Default:
    /// 30 s. [`Client::with_timeout`](super::Client::with_timeout) changes it for a call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(FOREVER);
        self
    }

    /// How long an attempt to connect may take. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.min(FOREVER);
        self
    }

    /// How often the client pings the gateway. When it hears nothing for two and a half times as long, the connection
    /// counts as lost; so it does when one message takes as long to be sent or to arrive. Default: 20 s; at least 10 ms.
    pub fn ping(mut self, interval: Duration) -> Self {
        self.ping = interval.clamp(Duration::from_millis(10), FOREVER / 4);
        self
    }

    /// The pause before the next attempt to connect is random: up to `first` (0.5 s), doubled with each attempt since a
    /// connection was open for `longest`, at most `longest` (30 s). After the close codes 1012 (restart), 1013 (try again later)
    /// and 4429 (too many requests), and after the HTTP statuses 429 and 503, it is up to `busy` (5 s) at least.
    pub fn pauses(mut self, first: Duration, busy: Duration, longest: Duration) -> Self {
        let least = Duration::from_millis(1);
        self.longest = longest.clamp(least, FOREVER);
        self.first = first.clamp(least, self.longest);
        self.busy = busy.min(self.longest);
        self
    }

    /// How many requests, streams and messages may wait at the same time, sent or not. More fail at once, with
    /// [`RequestError::NotSent`](super::RequestError::NotSent). A subscription that was dropped before its first reply counts
    /// until then. Default: 1024; at least 1.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.max(1);
        self
    }

    /// How many messages of each stream, and of each [`Events`](super::Events), may wait to be taken. A stream with more
    /// fails with [`RequestError::TooSlow`](super::RequestError::TooSlow). Default: 1024; 1 to 65 536.
    pub fn buffer(mut self, messages: usize) -> Self {
        self.buffer = messages.clamp(1, 65_536);
        self
    }

    /// The largest message in bytes. A larger one of the gateway ends the connection, which counts as lost; a larger one of
    /// the client fails with [`RequestError::NotSent`](super::RequestError::NotSent). The gateway has a limit of its own for
    /// what it reads. Default: 4 MiB; at least 1.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes.max(1);
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("timeout", &self.timeout)
            .field("limit", &self.limit)
            .field("buffer", &self.buffer)
            .field("max_message_size", &self.max_message_size)
            .finish_non_exhaustive()
    }
}

/// What a handshake carries besides the path of the channel.
#[derive(Clone, Default)]
#[must_use = "a handshake does nothing until the hook of `Options` returns it"]
pub struct Handshake {
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
}

impl Handshake {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter to the query of the URL.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Sets a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets `Authorization: Bearer` with a token.
    ///
    /// # Errors
    ///
    /// Returns the error of a token that cannot be in a header.
    pub fn bearer(self, token: &str) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        Ok(self.header(header::AUTHORIZATION, value))
    }
}

/// Without values: tokens are secret.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query: Vec<_> = self.query.iter().map(|(name, _)| name).collect();
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("Handshake")
            .field("query", &query)
            .field("headers", &headers)
            .finish()
    }
}
