//! A channel: one WebSocket endpoint of a gateway.

#[cfg(feature = "deflate")]
mod compression;
mod handshake;
mod origin;

#[cfg(not(feature = "deflate"))]
use std::convert::Infallible as Compression;
use std::{sync::Arc, time::Duration};

use axum::routing::{MethodRouter, any};

#[cfg(feature = "deflate")]
pub use self::compression::Compression;
use self::{handshake::Endpoint, origin::Origins};
use wasabi_rules::setting_above_zero;

use crate::{
    Backend, ErrorFormat, Parser, Raw, Registry,
    connection::{heartbeat::Pings, socket::Limits},
    describe::ChannelInfo,
    dispatcher::Dispatcher,
    hosts::Hosts,
    metrics::{Counted, Observer},
    middleware::http::HttpMiddleware,
    scope::{Absent, Scope},
    task::{
        Runner,
        hooks::{NoHook, OnConnect, OnDisconnect},
        settings::Settings,
    },
    time::FOREVER,
};

/// A WebSocket endpoint, as declared by `channel(..)`. Its methods are the channel's settings.
///
/// Zeros, invalid origins and subprotocols that cannot appear in a header are mistakes. As literals they are compile
/// errors. Values from elsewhere, such as a configuration, are found by [`Gateway::check`](crate::Gateway::check), and
/// the server does not start.
///
/// ```
/// use std::time::Duration;
/// use wasabi::{Close, prelude::*};
///
/// async fn joined(connection: Connection) {
///     tracing::info!(connection = %connection.id(), "joined");
/// }
///
/// async fn left(connection: Connection, close: Close) {
///     tracing::info!(connection = %connection.id(), %close, "left");
/// }
///
/// // As read from a configuration.
/// let (origins, idle) = (vec!["https://app.example.com"], Duration::from_secs(600));
/// let gateway = gateway!(
///     max_message_size = 64KiB, // of both channels
///     channel(
///         "/chat/{room}",
///         origins = origins,
///         idle_timeout = idle,
///         max_connections = 10_000,
///         errors = Json,
///         on_connect = joined,
///         on_disconnect = left,
///         async |text: Text| text,
///     ),
///     channel("/upload", max_message_size = 1MiB, concurrency = 1, async |_data: Bytes| ()),
/// );
/// assert!(gateway.check().is_ok());
/// ```
pub struct Channel<S, B, P = Raw, C = NoHook, D = NoHook> {
    pub(crate) path: String,
    pub(crate) info: ChannelInfo,
    pub(crate) layers: Vec<Apply>,
    pub(crate) mistakes: Vec<String>,
    parts: Parts<S, B, P, C, D>,
}

struct Parts<S, B, P, C, D> {
    scope: Scope<S>,
    backend: B,
    parser: P,
    on_connect: C,
    on_disconnect: D,
    errors: Option<ErrorFormat>,
    registry: Registry,
    hosts: Option<Hosts>,
    origins: Origins,
    subprotocols: Vec<String>,
    max_connections: Option<usize>,
    compression: Option<Compression>,
    settings: Settings,
}

type Apply = Box<dyn FnOnce(MethodRouter) -> MethodRouter + Send>;

impl<S> Channel<S, Absent> {
    /// A channel with default settings and no target yet.
    pub fn new(scope: &Scope<S>, path: impl AsRef<str>, info: ChannelInfo) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            info,
            layers: Vec::new(),
            mistakes: Vec::new(),
            parts: Parts {
                scope: *scope,
                backend: Absent,
                parser: Raw,
                on_connect: NoHook,
                on_disconnect: NoHook,
                errors: None,
                registry: Registry::new(),
                hosts: None,
                origins: Origins::default(),
                subprotocols: Vec::new(),
                max_connections: None,
                compression: None,
                settings: Settings {
                    limits: Limits {
                        max_message_size: 32 * 1024,
                    },
                    max_header_size: 16 * 1024,
                    concurrency: 25,
                    idle_timeout: None,
                    open_timeout: Duration::from_secs(10),
                    pings: Pings::default(),
                    send_timeout: Duration::from_secs(10),
                    stream_idle_timeout: Some(Duration::from_secs(60)),
                    close_timeout: Duration::from_secs(10),
                    max_waiting_messages: 256,
                    max_waiting_bytes: 1024 * 1024,
                },
            },
        }
    }
}

impl<S, B, P, C, D> Channel<S, B, P, C, D> {
    /// `max_message_size`: the maximum size of a client's message in bytes, 32 KiB by default. A larger message closes
    /// the connection with 1009; so does one whose fragments take more than twice that size plus 64 KiB.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.parts.settings.limits.max_message_size = bytes;
        self
    }

    /// `max_header_size`: the maximum size in bytes of a handshake's URI and of the names and values of its headers
    /// together, 16 KiB by default. The connection keeps them for its whole life, for
    /// [`Connection::headers`](crate::Connection::headers) and for headers forwarded to upstreams. Common proxies
    /// accept no more either. A larger handshake is refused with 431. The server accepts no head over 64 KiB.
    #[must_use]
    pub fn max_header_size(mut self, bytes: usize) -> Self {
        self.parts.settings.max_header_size = bytes;
        self
    }

    /// `concurrency`: how many requests of one connection may be in flight at the same time, 25 by default. Further
    /// ones wait: up to 16 in memory, with at most `max_message_size` bytes or one message, and the rest at the client
    /// (back-pressure).
    ///
    /// The gateway sees a close frame behind unread requests only when requests have ended, or when the client hangs up
    /// without waiting for the answer. It notices a hang-up within a second, over HTTP/2 also that of a single stream,
    /// and cancels requests that [owe a reply](crate::Backend::owes_reply). It takes up to three minutes where only TCP
    /// keep-alive can detect that a machine is gone. On a server other than [`Server`](crate::Server), the gateway
    /// notices when it next reads from or writes to the client.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.parts.settings.concurrency = requests;
        self
    }

    /// `max_connections`: how many connections the channel accepts, unlimited by default. Further handshakes are
    /// answered 503.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.parts.max_connections = Some(connections);
        self
    }

    /// `idle_timeout`: closes a connection with 1001 after this time without a message in either direction and without
    /// a request in flight; never by default.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.idle_timeout = Some(timeout.min(FOREVER));
        self
    }

    /// `ping`: how long a client may be silent before the gateway pings it; 30 s by default, because proxies commonly
    /// cut connections that are silent for a minute. The gateway drops a client that leaves a ping unanswered for
    /// `pong_timeout`, even if it has requests in flight: a client whose network or machine is gone sends nothing.
    ///
    /// The gateway expects no answer while it does not read from the client: because the client takes no replies, or
    /// because `concurrency` requests are in flight and more have been read ahead. With `None` the gateway pings no
    /// client, and only TCP keep-alive detects a lost one. A client that sends more than 100 pings and pongs in a
    /// second is always closed with 1008.
    #[must_use]
    pub fn ping(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.parts.settings.pings.interval = interval.into().map(|interval| interval.min(FOREVER));
        self
    }

    /// `pong_timeout`: how long a client may take to answer a ping; the ping interval by default.
    #[must_use]
    pub fn pong_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.pings.timeout = Some(timeout.min(FOREVER));
        self
    }

    /// `send_timeout`: closes a client with 1008 when data has been waiting for it this long and it has taken less than
    /// 1 KiB per second; 10 s by default.
    ///
    /// The gateway sees progress only in steps: the client's system buffers some 100 KiB, and reports free space only
    /// when it has much of it. Clients that read 16 KiB per second are safe with the default. For slower ones with
    /// large receive buffers, set a time in which they read 128 KiB.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.send_timeout = timeout.min(FOREVER);
        self
    }

    /// `stream_idle_timeout`: ends a streaming reply with the error `timed_out`, and drops its source, when the source
    /// has been silent this long; 60 s by default. Sources without news commonly send a keep-alive every 15 to 30 s,
    /// and a client cannot tell a silent source from a dead one. The time does not run while the client takes nothing.
    /// With `None` a stream may be silent for ever, and keeps its place among the requests in flight.
    #[must_use]
    pub fn stream_idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.parts.settings.stream_idle_timeout =
            timeout.into().map(|timeout| timeout.min(FOREVER));
        self
    }

    /// `open_timeout`: how long `on_connect` may take; 10 s by default. After that the gateway drops the hook and
    /// closes the connection with 1011.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.open_timeout = timeout.min(FOREVER);
        self
    }

    /// `close_timeout`: how long a connection that the server closes waits for its requests in flight, and then again
    /// for the client's answer to the close frame; 10 s by default. Requests that take longer are answered
    /// `interrupted`. During a drain the connection also waits no longer than the server's deadline. If the client goes
    /// away, requests that [owe no reply](crate::Backend::owes_reply) get the same time.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.close_timeout = timeout.min(FOREVER);
        self
    }

    /// `max_waiting_messages`: how many messages from [`Connection::send`](crate::Connection::send) may wait for one
    /// client, 256 by default.
    #[must_use]
    pub fn max_waiting_messages(mut self, messages: usize) -> Self {
        self.parts.settings.max_waiting_messages = messages;
        self
    }

    /// `max_waiting_bytes`: how many bytes from [`Connection::send`](crate::Connection::send) may wait for one client,
    /// and how many bytes of replies; 1 MiB each by default.
    ///
    /// When this many bytes of replies wait for a client, its upstreams wait as well: the gateway stops reading bodies
    /// of HTTP services, beyond 16 KiB of each, and answers of WebSocket upstreams that are matched by id. Until then,
    /// it reads replies side by side as long as they have at most this many bytes together, and beyond that one of them
    /// at a time. A reply that waited until the upstream's timeout is `overloaded`. What functions and queues return is
    /// already in memory, so [`concurrency`](Self::concurrency) limits it.
    /// [`Server::max_waiting_bytes`](crate::Server::max_waiting_bytes) applies to all clients together.
    #[must_use]
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.parts.settings.max_waiting_bytes = bytes;
        self
    }

    /// `hosts`: the names that the channel answers to: `api.example.com`, `api.example.com:8443`, `*.example.com` for
    /// all names below it, or `*`; all by default. A name without a port matches every port. Requests for another host
    /// are answered 421 (RFC 9110, section 15.5.20).
    ///
    /// Set it wherever browsers can reach the channel. Anyone can point a name of their own to your address (DNS
    /// rebinding). For a browser their page then has the same host as the channel, and `origins` admits it, however few
    /// origins it lists.
    ///
    /// A proxy that changes `Host` sends the original one in `X-Forwarded-Host` or in `Forwarded` (RFC 7239). The
    /// channel uses it when [`ClientIp`](crate::middleware::http::ClientIp) middleware trusts the proxy; for that
    /// reason the channel's HTTP middleware runs before the host is checked. As a setting of the gateway, `hosts` also
    /// applies to HTTP endpoints and mounted services. These see only `Host`, and probes often request them by address.
    #[must_use]
    pub fn hosts<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let (hosts, mistakes) = Hosts::new(names);
        self.parts.hosts = Some(hosts);
        self.mistakes.extend(mistakes);
        self
    }

    /// `origins`: which web pages may connect in addition to those of the same host. Others get 403 (RFC 6455, section
    /// 10.2), and the gateway logs both sides at info level. Clients that send no `Origin` are not restricted; browsers
    /// always send it.
    ///
    /// | written | lets in |
    /// |---|---|
    /// | `https://app.example.com` | the pages of this host; a port other than the scheme's default must be written |
    /// | `https://*.example.com` | the pages of all names below it |
    /// | `http://localhost:*` | the pages of every port |
    /// | `chrome-extension://*`, `capacitor://localhost` | extensions, and apps built from web pages |
    /// | `file://`, `null` | local files; the browser decides which of the two it sends. Every sandboxed page also sends `null`, and anyone can make one: hardly better than `*` |
    /// | `*` | every page |
    ///
    /// "The same host" is the host of the request, whoever pointed that name here: [`hosts`](Self::hosts) limits which
    /// names it may have. Its pages must use `https` where the client speaks TLS with this server, or with a trusted
    /// proxy that says so (`X-Forwarded-Proto`). Where an untrusted proxy may have ended TLS, the scheme is unknown and
    /// not compared. Behind a proxy that changes `Host`, list the origins, or trust the proxy: see
    /// [`hosts`](Self::hosts).
    #[must_use]
    pub fn origins<O: AsRef<str>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        let (origins, mistakes) = Origins::new(origins);
        self.parts.origins = origins;
        self.mistakes.extend(mistakes);
        self
    }

    /// `subprotocols`: the subprotocols that the channel speaks, best first. The gateway chooses one that the client
    /// offers; a client that offers none of them gets none (RFC 6455, section 1.9).
    #[must_use]
    pub fn subprotocols<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.parts.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// `compression`: how messages are compressed for clients that offer it; off by default. Requires the cargo feature
    /// `deflate`.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.mistakes
            .extend_from_slice(compression.mistakes().as_slice());
        self.parts.compression = Some(compression);
        self
    }

    /// `errors`: how error replies are written; by default in the format of the parser's messages.
    #[must_use]
    pub fn errors(mut self, format: impl Into<ErrorFormat>) -> Self {
        self.parts.errors = Some(format.into());
        self
    }

    /// `registry`: where the channel lists its connections; a registry of its own by default.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.parts.registry = registry;
        self
    }

    /// Adds one entry of `http = [..]`. The first entry is outermost.
    #[must_use]
    pub fn http(mut self, middleware: impl HttpMiddleware) -> Self {
        self.mistakes.extend(middleware.check());
        self.layers
            .push(Box::new(|router| middleware.apply(router)));
        self
    }

    /// Sets the target, which answers the requests.
    #[must_use]
    pub fn target<B2>(self, backend: B2) -> Channel<S, B2, P, C, D> {
        self.map(|parts| Parts {
            backend,
            scope: parts.scope,
            parser: parts.parser,
            on_connect: parts.on_connect,
            on_disconnect: parts.on_disconnect,
            errors: parts.errors,
            registry: parts.registry,
            hosts: parts.hosts,
            origins: parts.origins,
            subprotocols: parts.subprotocols,
            max_connections: parts.max_connections,
            compression: parts.compression,
            settings: parts.settings,
        })
    }

    /// `parser`: reads the routing key from a message; [`Raw`] by default.
    #[must_use]
    pub fn parser<P2: Parser>(self, parser: P2) -> Channel<S, B, P2, C, D> {
        self.map(|parts| Parts {
            parser,
            scope: parts.scope,
            backend: parts.backend,
            on_connect: parts.on_connect,
            on_disconnect: parts.on_disconnect,
            errors: parts.errors,
            registry: parts.registry,
            hosts: parts.hosts,
            origins: parts.origins,
            subprotocols: parts.subprotocols,
            max_connections: parts.max_connections,
            compression: parts.compression,
            settings: parts.settings,
        })
    }

    /// `on_connect`: an `async fn(Connection)` that runs before the gateway reads the first message. When it returns
    /// `Err(Close)`, the connection is closed with that; when it exceeds `open_timeout`, with 1011. In both cases
    /// `on_disconnect` does not run.
    #[must_use]
    pub fn on_connect<C2: OnConnect>(self, on_connect: C2) -> Channel<S, B, P, C2, D> {
        self.map(|parts| Parts {
            on_connect,
            scope: parts.scope,
            backend: parts.backend,
            parser: parts.parser,
            on_disconnect: parts.on_disconnect,
            errors: parts.errors,
            registry: parts.registry,
            hosts: parts.hosts,
            origins: parts.origins,
            subprotocols: parts.subprotocols,
            max_connections: parts.max_connections,
            compression: parts.compression,
            settings: parts.settings,
        })
    }

    /// `on_disconnect`: an `async fn(Connection, Close)` that runs exactly once for every connection that `on_connect`
    /// has admitted, however the connection ended.
    #[must_use]
    pub fn on_disconnect<D2: OnDisconnect>(self, on_disconnect: D2) -> Channel<S, B, P, C, D2> {
        self.map(|parts| Parts {
            on_disconnect,
            scope: parts.scope,
            backend: parts.backend,
            parser: parts.parser,
            on_connect: parts.on_connect,
            errors: parts.errors,
            registry: parts.registry,
            hosts: parts.hosts,
            origins: parts.origins,
            subprotocols: parts.subprotocols,
            max_connections: parts.max_connections,
            compression: parts.compression,
            settings: parts.settings,
        })
    }

    fn map<B2, P2, C2, D2>(
        self,
        change: impl FnOnce(Parts<S, B, P, C, D>) -> Parts<S, B2, P2, C2, D2>,
    ) -> Channel<S, B2, P2, C2, D2> {
        Channel {
            path: self.path,
            info: self.info,
            layers: self.layers,
            mistakes: self.mistakes,
            parts: change(self.parts),
        }
    }
}

impl<S, B, P, C, D> Channel<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Parser,
    C: OnConnect,
    D: OnDisconnect,
{
    /// Returns the mistakes in the settings and the target.
    pub(crate) fn check(&self) -> Vec<String> {
        let parts = &self.parts;
        let settings = &parts.settings;
        let counts = [
            ("max_message_size", Some(settings.limits.max_message_size)),
            ("max_header_size", Some(settings.max_header_size)),
            ("concurrency", Some(settings.concurrency)),
            ("max_connections", parts.max_connections),
            ("max_waiting_messages", Some(settings.max_waiting_messages)),
            ("max_waiting_bytes", Some(settings.max_waiting_bytes)),
        ];
        let times = [
            ("idle_timeout", settings.idle_timeout),
            ("ping", settings.pings.interval),
            ("pong_timeout", settings.pings.timeout),
            ("send_timeout", Some(settings.send_timeout)),
            ("stream_idle_timeout", settings.stream_idle_timeout),
            ("open_timeout", Some(settings.open_timeout)),
            ("close_timeout", Some(settings.close_timeout)),
        ];
        let counts = counts.map(|(name, count)| setting_above_zero(name, count).err());
        let times = times.map(|(name, time)| setting_above_zero(name, time).err());
        let mut mistakes = self.mistakes.clone();
        mistakes.extend(counts.into_iter().chain(times).flatten());
        mistakes.extend(
            parts
                .errors
                .as_ref()
                .and_then(|errors| errors.check().err()),
        );
        mistakes.extend(parts.parser.check().err());
        let subprotocols = parts.subprotocols.iter();
        mistakes.extend(subprotocols.filter_map(|name| wasabi_rules::subprotocol(name).err()));
        parts
            .backend
            .lifecycle(&mut |part| mistakes.extend(part.check().err()));
        mistakes
    }

    /// The path parameters that the URLs of its upstreams use.
    pub(crate) fn parameters(&self) -> Vec<String> {
        let mut parameters = Vec::new();
        let mut visit = |part: &dyn crate::Lifecycle| parameters.extend(part.parameters());
        self.parts.backend.lifecycle(&mut visit);
        parameters
    }

    /// Whether the channel sets `hosts`.
    pub(crate) fn has_hosts(&self) -> bool {
        self.parts.hosts.is_some()
    }

    /// Builds the channel's HTTP endpoint.
    pub(crate) fn into_router(self, state: Arc<S>) -> (MethodRouter, Observer) {
        let parts = self.parts;
        let errors = match parts.errors {
            Some(own) => own.or_from_parser(parts.parser.errors()),
            None => parts.parser.errors(),
        };
        let runner = Arc::new(Runner {
            dispatcher: Dispatcher {
                parser: parts.parser,
                chain: parts.backend,
                state,
                target: self.info.target.name(),
            },
            on_connect: parts.on_connect,
            on_disconnect: parts.on_disconnect,
            errors,
            registry: parts.registry,
            settings: parts.settings.at_least_one(),
            counted: Counted::default(),
        });
        let observer = Observer::of(&runner);
        let endpoint = Arc::new(Endpoint {
            hosts: parts.hosts,
            origins: parts.origins,
            subprotocols: parts.subprotocols,
            max_connections: parts.max_connections,
            compression: parts.compression,
            runner,
        });
        let mut router = any(move |req: axum::extract::Request| endpoint.accept(req));
        // The first layer must be outermost, and each added layer wraps the earlier ones.
        for layer in self.layers.into_iter().rev() {
            router = layer(router);
        }
        (router, observer)
    }
}

impl<S, B, P, C, D> std::fmt::Debug for Channel<S, B, P, C, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("path", &self.path)
            .field("settings", &self.parts.settings)
            .finish_non_exhaustive()
    }
}
