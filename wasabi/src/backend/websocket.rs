//! The backend that forwards messages to a WebSocket server.

mod correlate;
mod dial;
mod forward;
mod link;
mod opening;
mod probe;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod unreachable;
mod upstream;
mod watch;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, request::Parts};
use tokio::io::{AsyncRead, AsyncWrite};

use self::{dial::Target, forward::Forward, link::Link, stream::Dialer, unreachable::DialError};
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

/// Forwards messages to a WebSocket server, each client over an upstream connection of its own.
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
/// * The upstream connection is made with the first message, or with the client's connection when it is
///   [`eager`](Self::eager). Messages that come meanwhile wait in their order; each keeps its place among the
///   channel's `concurrency`.
/// * Payload and kind pass unchanged in both directions, in order; between gateway and upstream without compression.
///   Nothing goes back for a forwarded message by
///   itself: what the upstream sends reaches the client as a message of its own. See
///   [`correlate`](Self::correlate).
/// * Back-pressure passes too: the upstream is not read while the client's send queue is full, and the client is
///   not read while the upstream takes nothing.
/// * When the upstream cannot be reached, each waiting message is answered `upstream_unreachable`, and one that comes
///   after a [pause](Self::max_dial_pause) tries again. An upstream that answers the handshake with another status than 101 makes it `upstream_status`:
///   a 401 is about this client, a 503 about the upstream, as for [`Http`](crate::Http) and by
///   [`Error::fault`](crate::Error::fault). See [`close_on_failed_dial`](Self::close_on_failed_dial).
/// * When the client's connection ends, the upstream's is closed with the same code and reason; with 1001 when
///   the client was lost. What the client had sent before reaches the upstream first, also when there is no connection
///   to it yet, within the channel's `close_timeout` ([`Backend::owes_reply`]).
/// * When the upstream closes, the client is closed with the same code and reason. Instead of a code that says
///   nothing to the client (none at all, or 1002, which is about the gateway) it gets 1011, and so it does when
///   the upstream is lost, breaks the protocol, takes nothing for the [`send_timeout`](Self::send_timeout), or does
///   not answer a [`ping`](Self::ping).
///   See [`reconnect`](Self::reconnect). What was on its way is lost with the upstream.
/// * When the server drains, what was read of either side before is passed on, and both are closed with 1012. A
///   message that the client sends later is answered `closing`; what the upstream sends later is dropped, answers
///   that nobody has told the gateway to wait for among it: [`correlate`](Self::correlate) does.
///
/// A channel's clients do not wait for the upstream in the handshake, unless it is dialled
/// [before](Self::before_accept) that is accepted: they are connected first.
#[derive(Debug)]
pub struct WebSocket {
    /// Tells the upstream connections of this backend from those of others.
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
    /// Shared by the clients, whose dials go to the same address.
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
    /// The URL is that of the upstream's handshake; its query comes first, followed by what is forwarded. A user and a
    /// password in it are sent as `Authorization: Basic`, as by [`Http`](crate::Http). Its path and its query may have
    /// places for what a client sends in its handshake, by the rules of [`Http`](crate::Http#request): `{name}` is a
    /// parameter of the channel's path, `{?name}` one of the query. Where one cannot be filled in, messages are answered
    /// `bad_request` and nothing is dialled. A URL that is invalid keeps the gateway from being served.
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

    /// Connects to the upstream when a client has connected, not with its first message.
    #[must_use]
    pub fn eager(self) -> Self {
        self.change(|config| config.eager = true)
    }

    /// Connects to the upstream before the client's handshake is accepted, which is refused when there is no upstream
    /// connection: with the upstream's own status, its `WWW-Authenticate` and its `Retry-After`, when it has answered with a
    /// status of 400 or more; with 504 when it did not answer within the [`connect_timeout`](Self::connect_timeout); with
    /// 502 otherwise.
    ///
    /// The client waits for the upstream in its handshake, and has a place among the channel's `max_connections`
    /// meanwhile. Where `on_connect` refuses it later, the upstream has been dialled in vain. Nodes of a balanced group are
    /// connected to all together. For browsers a close may tell more than a status, which they do not show:
    /// [`close_on_failed_dial`](Self::close_on_failed_dial) with [`eager`](Self::eager).
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

    /// Passes these headers of the client's handshake on to the upstream, where the client sent them. None if
    /// not set. Headers that belong to the handshake itself, such as `Host`, cannot be passed on. What proxies say in
    /// `X-Forwarded-For` and `Forwarded`, and clients too, is told by [`forwarded_for`](Self::forwarded_for) and
    /// [`forwarded`](Self::forwarded).
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

    /// Like [`forward_headers`](Self::forward_headers), and a handshake without one of them, or with an empty
    /// one, is refused with 400.
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

    /// Passes these parameters of the query of the client's handshake on to the upstream, as they are written
    /// there. None if not set. A parameter that the upstream's URL has already is not passed on: a client cannot
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

    /// Like [`forward_query`](Self::forward_query), and a handshake without one of them, or with an empty one,
    /// is refused with 400.
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

    /// Offers the upstream the subprotocol that was agreed with the client; see the channel's `subprotocols`.
    /// When the upstream does not take it, there is no connection, and messages are answered `upstream_invalid`.
    #[must_use]
    pub fn forward_subprotocol(self) -> Self {
        self.change(|config| config.forward.subprotocol = true)
    }

    /// Sends a header of the gateway's own in the upstream's handshake, such as the credentials for it. It replaces a
    /// forwarded one of the same name.
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

    /// Sends a header whose value a function makes of the client's connection: of its
    /// [identity](crate::Connection::identity), its [address](crate::Connection::client_ip), its id, or what HTTP middleware
    /// has left. With `None` there is no such header, also not the one that the client may have sent.
    ///
    /// It is called at each dial, so that an upstream that is dialled with the first message is told who has logged in
    /// before. A value with a line break or another control character is refused: messages are answered `bad_request`, and
    /// nothing is dialled.
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

    /// Tells the upstream in `X-Forwarded-For` where its client is: the address of the client, those of the proxies that
    /// [`ClientIp`](crate::middleware::http::ClientIp) trusts, and that of the socket's peer. What a client claims in this header is left out,
    /// so that without such middleware it is the peer alone. A peer behind a Unix socket has no address.
    ///
    /// `X-Forwarded-Proto` is sent as well, `http` or `https`, where it is known: over TLS, or by the word of a trusted
    /// proxy.
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

    /// How long the upstream may take to accept a connection, its handshake included, and how long a message
    /// waits for one while the upstream is gone; 10 s if not set.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.change(|config| {
            let timeout = config
                .mistakes
                .above_zero("WebSocket::connect_timeout", timeout);
            config.connect_timeout = timeout.min(FOREVER);
        })
    }

    /// How long messages are answered from memory at most when the upstream could not be reached, instead of dialling
    /// again; 2 s if not set, zero dials for every message.
    ///
    /// The pauses double from 10 ms up to it and are random in their upper half. That no connection came about is
    /// remembered for all clients together; what the upstream answered to a handshake, for that client. A successful dial
    /// ends both.
    #[must_use]
    pub fn max_dial_pause(self, pause: Duration) -> Self {
        self.change(|config| config.dials = Arc::new(DialMemory::new(pause)))
    }

    /// An upstream that takes nothing of what is sent for so long is lost; 10 s if not set. The time while the
    /// client takes nothing of what the upstream sends does not count.
    #[must_use]
    pub fn send_timeout(self, timeout: Duration) -> Self {
        self.change(|config| {
            let timeout = config
                .mistakes
                .above_zero("WebSocket::send_timeout", timeout);
            config.send_timeout = timeout.min(FOREVER);
        })
    }

    /// An upstream that has been silent for so long is pinged; 30 s if not set, so that balancers, which commonly cut what
    /// is silent for a minute, do not cut it. One that leaves the ping unanswered for the
    /// [`pong_timeout`](Self::pong_timeout) is lost, as one whose connection has broken is. `None` pings never: then only
    /// the system's own probes notice an upstream that is gone without a word, after a few minutes, and nothing
    /// notices one that hangs.
    #[must_use]
    pub fn ping(self, interval: impl Into<Option<Duration>>) -> Self {
        self.change(|config| {
            let interval = config
                .mistakes
                .above_zero("WebSocket::ping", interval.into());
            config.pings.interval = interval.map(|interval| interval.min(FOREVER));
        })
    }

    /// How long the upstream may take to answer a [`ping`](Self::ping); the ping interval if not set. Everything that it
    /// sends is an answer.
    #[must_use]
    pub fn pong_timeout(self, timeout: Duration) -> Self {
        self.change(|config| {
            let timeout = config
                .mistakes
                .above_zero("WebSocket::pong_timeout", timeout);
            config.pings.timeout = Some(timeout.min(FOREVER));
        })
    }

    /// The most bytes that a message of the upstream may have; 1 MiB if not set, or that of the channel if it is more.
    /// The upstream is lost with a larger one.
    #[must_use]
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.change(|config| {
            let bytes = config
                .mistakes
                .above_zero("WebSocket::max_message_size", bytes);
            config.max_message_size = Some(bytes);
        })
    }

    /// Closes the client with 1014 when the upstream cannot be reached, or refuses the handshake.
    #[must_use]
    pub fn close_on_failed_dial(self) -> Self {
        self.change(|config| config.close_on_failed_dial = true)
    }

    /// Keeps the client connected when the upstream is lost or restarts, and connects to it again.
    ///
    /// That is: it is gone without a close frame, or closes without a code or with 1001, 1011, 1012, 1013 or 1014.
    /// Messages wait meanwhile for up to the [`connect_timeout`](Self::connect_timeout) and are answered
    /// `upstream_unreachable` then. After the last retry, without end if not set, or when the upstream refuses the new handshake as that of this
    /// client (with 401, for instance), the client is closed with 1011. The upstream sees a new connection, with the same
    /// handshake: what it knew of the client before is its own matter.
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

    /// For how long an upstream connection is used at most; as long as it lasts if not set. With it an upstream that moves,
    /// by DNS or behind a balancer, is followed while its clients stay. It goes with [`reconnect`](Self::reconnect).
    ///
    /// The upstream is closed with 1001 then, what it sends before its own close frame reaches the client, and it is
    /// connected to again at once, its addresses being asked for anew. The client's messages wait meanwhile. From three
    /// quarters of the time on, at a random moment so that not all clients connect at once, the connection is replaced when
    /// no request waits for its answer ([`correlate`](Self::correlate)); at the end in any case, and requests that still wait
    /// then are answered `upstream_lost`. Without `correlate` nobody knows what the upstream was going to answer, and such
    /// an answer is lost.
    #[must_use]
    pub fn max_connection_age(self, age: Duration) -> Self {
        self.change(|config| {
            let age = config
                .mistakes
                .above_zero("WebSocket::max_connection_age", age);
            config.max_connection_age = Some(age.min(FOREVER));
        })
    }

    /// Makes request and reply of the messages that have an id, a string or a number, at this JSON pointer (RFC
    /// 6901).
    ///
    /// The next message of the upstream with the same id at the same place is the reply: the request is in
    /// flight until then, and timeouts, retries, breakers and measuring cover it. Without a
    /// [`Timeout`](crate::middleware::request::Timeout) it waits for as long as the connections last.
    ///
    /// * A request whose id is that of one in flight is answered `bad_request`.
    /// * When the upstream is lost, requests that were sent and not answered are answered `upstream_lost`, or
    ///   `upstream_invalid` when it has broken a rule: the upstream may have carried them out.
    /// * The late answer to a request that has been given up, by a timeout for instance, is dropped.
    /// * Everything else of the upstream reaches the client as before: messages without an id, and further ones
    ///   with the id of a request that has been answered, such as those of a subscription.
    /// * Messages without an id are forwarded and nothing goes back for them by itself.
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
    /// A text that is not a JSON pointer is a mistake that keeps the gateway from being served.
    #[must_use]
    pub fn correlate(self, pointer: impl AsRef<str>) -> Self {
        self.change(|config| {
            let at = config.mistakes.keep(IdAt::new(pointer.as_ref()));
            config.correlate = at.or(config.correlate.take());
        })
    }

    /// Makes the stream to the upstream by a function of the user's: through a proxy, a Unix socket, an
    /// in-memory pipe.
    ///
    /// The function gets the handshake that will be sent over the stream, for its URI and headers. For `wss` it
    /// does the TLS too. The [`connect_timeout`](Self::connect_timeout) covers it. When it panics, the upstream cannot
    /// be reached this time; with a stream that panics it is lost.
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

    /// Asks a function of the user's for the addresses of the URL's host and port, at each dial, instead of the system: for
    /// service discovery, or addresses that are known already.
    ///
    /// They are tried as the system's are: in their order, IPv4 and IPv6 in turn, each a quarter of a second after the one
    /// before, and the first one to answer is taken (Happy Eyeballs, RFC 8305). The certificate of a `wss` upstream
    /// must still be for the URL's host. The [`connect_timeout`](Self::connect_timeout) covers the function; when it
    /// panics, the upstream cannot be reached this time.
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

    /// The TLS configuration for `wss`: for certificates of one's own, or one for this client. If not set, the
    /// system's certificates are trusted, whatever provider of cryptography the program has installed.
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

    fn link(&self, connection: &Connection) -> Arc<Link> {
        connection.state_of(self.id, || Arc::new(Link::new(Arc::clone(&self.config))))
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
        let link = self.link(req.connection());
        link.forward(req.message().clone(), req.connection()).await
    }

    fn owes_reply(&self, req: &Request) -> bool {
        let Some(at) = &self.config.correlate else {
            return false;
        };
        // What the parser has found spares looking for it twice.
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
        let dialing = self.link(connection).prepare(connection.clone());
        Some(Box::pin(async {
            dialing.await.map_err(|error| {
                tracing::debug!(error = %said(&error), "no upstream for a handshake");
                error.refusal()
            })
        }))
    }

    fn connected(&self, connection: &Connection) {
        if self.config.eager || self.config.before_accept {
            // The first message learns of it.
            let _ = self.link(connection).start(connection);
        }
    }
}
