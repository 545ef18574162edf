//! The backend that forwards messages to a WebSocket server.

mod correlate;
mod dial;
mod forward;
mod opening;
mod probe;
mod relay;
mod sending;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod unreachable;
mod upstream;
mod waiting;
mod watch;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, request::Parts};
use tokio::io::{AsyncRead, AsyncWrite};

use self::{dial::Target, forward::Forward, relay::Relay, stream::Dialer, unreachable::DialError};
use super::{
    Preparing, Probe, Way,
    dial_memory::{DialMemory, MAX_DIAL_PAUSE},
    headers, next_id,
    template::Template,
};
use crate::{
    Backend, Backoff, Connection, HandshakeError, Lifecycle, Reply, Request, Result,
    connection::{heartbeat::Pings, socket::Limits},
    log::said,
    mistakes::Mistakes,
    parser::IdAt,
    time::FOREVER,
};

/// Forwards messages to a WebSocket server, over a separate upstream connection for each client.
///
/// ```
/// use wasabi::prelude::*;
///
/// let gateway = gateway!(channel(
///     "/",
///     match key {
///         "text" => WebSocket::connect("ws://legacy:9000/v3")
///             .forward_query(["l"])
///             .require_query(["app_id"])
///             .forward_headers(["user-agent"])
///             .connect_timeout(2s),
///         _ => WebSocket::connect("ws://blobs:9001/").eager(),
///     },
/// ));
/// # drop(gateway);
/// ```
///
/// * The gateway opens the upstream connection with the first message, or with the client's connection if it is
///   [`eager`](Self::eager). Messages that arrive meanwhile wait in order; each keeps its place among the channel's
///   `concurrency`.
/// * Payload and kind pass unchanged and in order in both directions. The connection to the upstream is not compressed.
///   A forwarded message has no reply of its own: what the upstream sends reaches the client as a separate message. See
///   [`correlate`](Self::correlate).
/// * Back-pressure passes too: the gateway does not read from the upstream while the client's send queue is full, and
///   does not read from the client while the upstream takes nothing.
/// * When the upstream cannot be reached, each waiting message is answered `upstream_unreachable`, and a message that
///   arrives after a [pause](Self::max_dial_pause) tries again. If the upstream answers the handshake with a status
///   other than 101, the error is `upstream_status`: a 401 concerns this client, a 503 the upstream, as for
///   [`Http`](crate::Http) and by [`Error::fault`](crate::Error::fault). See
///   [`close_on_failed_dial`](Self::close_on_failed_dial).
/// * When the client's connection ends, the gateway closes the upstream's with the same code and reason, or with 1001
///   if the client was lost. What the client sent before reaches the upstream first, even if the upstream is not
///   connected yet, within the channel's `close_timeout` ([`Backend::owes_reply`]).
/// * When the upstream closes, the gateway closes the client with the same code and reason. If the code means nothing
///   to the client (no code, or 1002, which is about the gateway), the client gets 1011. It also gets 1011 when the
///   upstream is lost, breaks the protocol, takes nothing for the [`send_timeout`](Self::send_timeout), or does not
///   answer a [`ping`](Self::ping). See [`reconnect`](Self::reconnect). Messages in transit are lost with the upstream.
/// * When the server drains, the gateway passes on what it has already read from either side and closes both with 1012.
///   A message that the client sends later is answered `closing`. What the upstream sends later is dropped, including
///   answers that the gateway does not know to wait for; with [`correlate`](Self::correlate) it waits for them.
///
/// A client's handshake does not wait for the upstream, unless the upstream is dialled [before](Self::before_accept)
/// the handshake is accepted.
#[derive(Debug)]
pub struct WebSocket {
    /// The key of this backend's upstream connections in a connection's state.
    id: u64,
    config: Arc<Config>,
}

#[derive(Debug, Clone)]
struct Config {
    target: Target,
    forward: Forward,
    dialer: Dialer,
    eager: bool,
    before_accept: bool,
    close_on_failed_dial: bool,
    connect_timeout: Duration,
    send_timeout: Duration,
    pings: Pings,
    max_message_size: Option<usize>,
    /// Shared by all clients, because their dials go to the same address.
    dials: Arc<DialMemory<Arc<DialError>>>,
    reconnect: Option<Backoff>,
    max_connection_age: Option<Duration>,
    correlate: Option<IdAt>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
    mistakes: Mistakes,
}

impl WebSocket {
    /// Forwards to the server at a `ws` or `wss` URL. `wss` needs the cargo feature `tls`.
    ///
    /// This is the URL of the upstream's handshake. Its query comes first, followed by the forwarded parameters. A user
    /// and a password in it are sent as `Authorization: Basic`, as by [`Http`](crate::Http). Its path and its query may
    /// have placeholders for what a client sends in its handshake, by the rules of [`Http`](crate::Http#request):
    /// `{name}` is a parameter of the channel's path, `{?name}` a parameter of the query. If a placeholder cannot be
    /// filled in, messages are answered `bad_request` and the gateway does not dial. An invalid URL prevents the
    /// gateway from being served.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// let gateway = gateway!(channel("/rooms/{room}", WebSocket::connect("ws://chat:9000/v2/{room}")));
    /// # drop(gateway);
    /// ```
    pub fn connect(url: impl AsRef<str>) -> Self {
        let (target, mistakes) = match Target::parse(url.as_ref()) {
            Ok(target) => (target, Mistakes::default()),
            Err(mistake) => (Target::default(), vec![mistake].into()),
        };
        Self {
            id: next_id(),
            config: Arc::new(Config {
                target,
                forward: Forward::default(),
                dialer: Dialer::default(),
                eager: false,
                before_accept: false,
                close_on_failed_dial: false,
                connect_timeout: Duration::from_secs(10),
                send_timeout: Duration::from_secs(10),
                pings: Pings::default(),
                max_message_size: None,
                dials: Arc::new(DialMemory::new(MAX_DIAL_PAUSE)),
                reconnect: None,
                max_connection_age: None,
                correlate: None,
                #[cfg(feature = "tls")]
                tls: None,
                mistakes,
            }),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// Connects to the upstream when a client connects, not with its first message.
    #[must_use]
    pub fn eager(self) -> Self {
        self.change(|config| config.eager = true)
    }

    /// Connects to the upstream before the client's handshake is accepted. Without an upstream connection the handshake
    /// is refused:
    ///
    /// * with the upstream's own status, `WWW-Authenticate` and `Retry-After` if it answered with a status of 400 or
    ///   more;
    /// * with 504 if the upstream did not answer within the [`connect_timeout`](Self::connect_timeout);
    /// * with 400 if the client's handshake cannot fill in the URL or a header, with 500 if a function that makes a
    ///   header panics;
    /// * with 502 otherwise.
    ///
    /// The client's handshake waits for the upstream, and the client has a place among the channel's `max_connections`
    /// meanwhile. If `on_connect` refuses the client later, the upstream was dialled in vain. All nodes of a balanced
    /// group are connected to at the same time. Browsers do not show the status of a refused handshake, so for them a
    /// close code may say more: use [`close_on_failed_dial`](Self::close_on_failed_dial) with [`eager`](Self::eager).
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// // Who may connect is the upstream's decision.
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     WebSocket::connect("ws://legacy:9000/")
    ///         .forward_headers(["authorization"])
    ///         .before_accept(),
    /// ));
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub fn before_accept(self) -> Self {
        self.change(|config| config.before_accept = true)
    }

    /// Passes these headers of the client's handshake on to the upstream, if the client sent them. By default none are
    /// passed on. Headers that belong to the handshake itself, such as `Host`, cannot be passed on. Use
    /// [`forwarded_for`](Self::forwarded_for) and [`forwarded`](Self::forwarded) for `X-Forwarded-For` and `Forwarded`,
    /// which proxies and clients set.
    #[must_use]
    pub fn forward_headers<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(|config| {
            for name in names {
                let name = headers::forwarded_header(name.as_ref());
                if let Some(name) = config.mistakes.keep(name) {
                    config.forward.headers.forward(name);
                }
            }
        })
    }

    /// Like [`forward_headers`](Self::forward_headers), but refuses with 400 a handshake in which one of these headers
    /// is missing or empty.
    #[must_use]
    pub fn require_headers<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(|config| {
            for name in names {
                let name = headers::forwarded_header(name.as_ref());
                if let Some(name) = config.mistakes.keep(name) {
                    config.forward.required_headers.push(name.clone());
                    config.forward.headers.forward(name);
                }
            }
        })
    }

    /// Passes these parameters of the client's handshake query on to the upstream, exactly as they are written. By
    /// default none are passed on. A parameter that the upstream's URL already has is not passed on: a client cannot
    /// change it.
    #[must_use]
    pub fn forward_query<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(|config| {
            config
                .forward
                .query
                .extend(names.into_iter().map(Into::into))
        })
    }

    /// Like [`forward_query`](Self::forward_query), but refuses with 400 a handshake in which one of these parameters
    /// is missing or empty.
    #[must_use]
    pub fn require_query<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(|config| {
            for name in names {
                let name = name.into();
                config.forward.required_query.push(name.clone());
                config.forward.query.push(name);
            }
        })
    }

    /// Offers the upstream the subprotocol that was agreed with the client; see the channel's `subprotocols`. If the
    /// upstream does not accept it, the dial fails and messages are answered `upstream_invalid`.
    #[must_use]
    pub fn forward_subprotocol(self) -> Self {
        self.change(|config| config.forward.subprotocol = true)
    }

    /// Sends one of the gateway's own headers in the upstream's handshake, such as credentials. It replaces a forwarded
    /// header of the same name.
    #[must_use]
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.change(|config| {
            let header = headers::upstream_header(name.as_ref()).and_then(|name| {
                let mut value = HeaderValue::from_bytes(value.as_ref())
                    .map_err(|_| format!("the value of the header `{name}` is malformed"))?;
                value.set_sensitive(true); // for `Debug`
                Ok((name, value))
            });
            if let Some((name, value)) = config.mistakes.keep(header) {
                config.forward.headers.fix(name, value);
            }
        })
    }

    /// Sends a header whose value a function makes from the client's connection: from its
    /// [identity](crate::Connection::identity), its [address](crate::Connection::client_ip), its id, or what HTTP
    /// middleware has stored. With `None` the header is left out, and the client's own header of that name is not
    /// forwarded either.
    ///
    /// The function is called at each dial. An upstream that is dialled with the first message therefore learns who
    /// logged in before that message. A value with a line break or another control character is refused: messages are
    /// answered `bad_request` and the gateway does not dial.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// let feed = WebSocket::connect("ws://feed:9000/")
    ///     .header_with("x-request-id", |connection| Some(connection.id().to_string()))
    ///     .header_with("x-user", |connection| {
    ///         let user: Identity<User> = connection.identity()?;
    ///         Some(user.id.to_string())
    ///     });
    /// # drop(feed);
    /// ```
    #[must_use]
    pub fn header_with<V: AsRef<[u8]>>(
        self,
        name: impl AsRef<str>,
        value: impl Fn(&Connection) -> Option<V> + Send + Sync + 'static,
    ) -> Self {
        self.change(|config| {
            let name = headers::upstream_header(name.as_ref());
            if let Some(name) = config.mistakes.keep(name) {
                config.forward.headers.make(name, value);
            }
        })
    }

    /// Tells the upstream the client's address in `X-Forwarded-For`: the address of the client, those of the proxies
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
    ///     channel("/", WebSocket::connect("ws://feed:9000/").forwarded_for()),
    /// );
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub fn forwarded_for(self) -> Self {
        self.change(|config| config.forward.headers.tell_forwarded_for())
    }

    /// Tells the upstream the same in `Forwarded` (RFC 7239): an element `for=..` for each of these addresses,
    /// `for=unknown` for the peer of a Unix socket, and `proto` in the last element.
    #[must_use]
    pub fn forwarded(self) -> Self {
        self.change(|config| config.forward.headers.tell_forwarded())
    }

    /// Sets how long the upstream may take to accept a connection, including the handshake, and how long a message
    /// waits for a connection while the upstream is gone; the default is 10 s.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.change(|config| {
            let timeout = config
                .mistakes
                .above_zero("WebSocket::connect_timeout", timeout);
            config.connect_timeout = timeout.min(FOREVER);
        })
    }

    /// Sets how long, at most, messages are answered from memory after the upstream could not be reached, instead of
    /// dialling again. The default is 2 s; with zero every message dials.
    ///
    /// The pauses double from 10 ms up to this maximum and are random in their upper half. A failed connection is
    /// remembered for all clients together; the upstream's answer to a handshake is remembered for that client. A
    /// successful dial clears both.
    #[must_use]
    pub fn max_dial_pause(self, pause: Duration) -> Self {
        self.change(|config| config.dials = Arc::new(DialMemory::new(pause)))
    }

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

    /// Closes the client with 1014 when the upstream cannot be reached or refuses the handshake.
    #[must_use]
    pub fn close_on_failed_dial(self) -> Self {
        self.change(|config| config.close_on_failed_dial = true)
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

    /// Opens the stream to the upstream with your own function: through a proxy, over a Unix socket, or over an
    /// in-memory pipe.
    ///
    /// The function gets the handshake that will be sent over the stream, for its URI and headers. For `wss` it must
    /// also do TLS. The [`connect_timeout`](Self::connect_timeout) covers it. If the function panics, this dial fails
    /// as unreachable; if the stream panics, the upstream is lost.
    ///
    /// ```
    /// use wasabi::WebSocket;
    ///
    /// let local = WebSocket::connect("ws://localhost/feed").dial_with(async |_handshake| {
    ///     tokio::net::UnixStream::connect("/run/feed.sock").await
    /// });
    /// # drop(local);
    /// ```
    #[must_use]
    pub fn dial_with<F, Fut, T>(self, dial: F) -> Self
    where
        F: Fn(http::Request<()>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.dial_by(Dialer::custom(dial))
    }

    /// Resolves the URL's host and port with your own function at each dial, instead of the system's resolver: for
    /// service discovery, or addresses that are already known.
    ///
    /// The addresses are tried like those of the system: in their order, IPv4 and IPv6 in turn, each a quarter of a
    /// second after the previous one. The first one to answer is used (Happy Eyeballs, RFC 8305). The certificate of a
    /// `wss` upstream must still match the URL's host. The [`connect_timeout`](Self::connect_timeout) covers the
    /// function; if it panics, this dial fails as unreachable.
    ///
    /// ```
    /// use wasabi::WebSocket;
    ///
    /// let feed = WebSocket::connect("ws://feed.service.consul:9000/").resolve_with(async |host, port| {
    ///     let addresses = tokio::net::lookup_host((format!("eu.{host}"), port)).await?;
    ///     Ok(addresses.collect())
    /// });
    /// # drop(feed);
    /// ```
    #[must_use]
    pub fn resolve_with<F, Fut>(self, resolve: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.dial_by(Dialer::resolved(resolve))
    }

    fn dial_by(self, dialer: Dialer) -> Self {
        self.change(|config| {
            if !matches!(config.dialer, Dialer::Tcp) {
                let mistake =
                    "`WebSocket`: only one of `dial_with` and `resolve_with` can make the stream";
                config.mistakes.push(mistake.to_owned());
            }
            config.dialer = dialer;
        })
    }

    /// Sets the TLS configuration for `wss`, for your own certificates or a client certificate. By default the system's
    /// certificates are trusted, whatever crypto provider the program has installed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use wasabi::{WebSocket, rustls::{ClientConfig, RootCertStore, crypto::ring}};
    ///
    /// let roots = RootCertStore::empty(); // add the certificates of the house here
    /// let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
    ///     .with_safe_default_protocol_versions()?
    ///     .with_root_certificates(roots)
    ///     .with_no_client_auth();
    /// let backend = WebSocket::connect("wss://inside.example/").tls_config(config);
    /// # drop(backend);
    /// # Ok::<_, wasabi::rustls::Error>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_config(self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.change(|own| own.tls = Some(config.into()))
    }

    fn relay(&self, connection: &Connection) -> Arc<Relay> {
        connection.state_of(self.id, || Arc::new(Relay::new(Arc::clone(&self.config))))
    }
}

impl Config {
    fn limits(&self, connection: &Connection) -> Limits {
        let channel = connection.limits();
        Limits {
            max_message_size: self
                .max_message_size
                .unwrap_or(channel.max_message_size.max(1024 * 1024)),
        }
    }
}

impl<S: Sync> Backend<S> for WebSocket {
    async fn call(&self, req: Request, _state: &S) -> Result<Reply> {
        let relay = self.relay(req.connection());
        sending::forward(&relay, req.message().clone(), req.connection()).await
    }

    fn owes_reply(&self, req: &Request) -> bool {
        let Some(at) = &self.config.correlate else {
            return false;
        };
        // The parser may have found the id already; this saves a second search.
        req.id().is_some() || at.find(req.message()).is_some()
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        visit(self);
    }
}

impl Lifecycle for WebSocket {
    fn check(&self) -> Result<(), String> {
        let config = &self.config;
        config.mistakes.check()?;
        if config.max_connection_age.is_some() && config.reconnect.is_none() {
            return Err("`WebSocket`: `max_connection_age` goes with `reconnect`".to_owned());
        }
        if config.target.has_credentials()
            && config.forward.headers.owns(&http::header::AUTHORIZATION)
        {
            return Err(super::credentials::TWICE.to_owned());
        }
        config.check_tls()
    }

    fn forwards(&self) -> Vec<String> {
        let forward = &self.config.forward;
        let headers = forward.headers.of_clients().map(ToString::to_string);
        let template = self.config.target.template();
        let of_url = template.into_iter().flat_map(|template| {
            let names = template.parameters().chain(template.of_queries());
            names.map(str::to_owned)
        });
        let of_query = forward.query.iter().cloned();
        headers.chain(of_query).chain(of_url).collect()
    }

    fn parameters(&self) -> Vec<String> {
        let template = self.config.target.template().into_iter();
        let names = template.flat_map(Template::parameters);
        names.map(str::to_owned).collect()
    }

    fn probe(&self, way: &Way) -> Option<Result<Probe, String>> {
        match way.path {
            Some(_) => None,
            None if self.config.target.template().is_some() => Some(Err(
                "the URL of this WebSocket server is another one for each client; ask it by a function".to_owned(),
            )),
            None => Some(Ok(probe::probe(&self.config, way))),
        }
    }

    fn handshake(&self, parts: &Parts) -> Result<(), HandshakeError> {
        self.config.forward.check(&parts.uri, &parts.headers)
    }

    fn prepare(&self, connection: &Connection) -> Option<Preparing> {
        if !self.config.before_accept {
            return None;
        }
        let dialing = self.relay(connection).prepare(connection.clone());
        Some(Box::pin(async {
            dialing.await.map_err(|error| {
                tracing::debug!(error = %said(&error), "no upstream for a handshake");
                error.refusal()
            })
        }))
    }

    fn connected(&self, connection: &Connection) {
        if self.config.eager || self.config.before_accept {
            // An error here reaches the first message.
            let _ = sending::start(&self.relay(connection), connection);
        }
    }
}
