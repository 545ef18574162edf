//! A channel: one WebSocket endpoint of a gateway.

#[cfg(feature = "deflate")]
mod compression;
pub(crate) mod handshake;
mod hooks;
mod origin;

#[cfg(not(feature = "deflate"))]
use std::convert::Infallible as Compression;
use std::{sync::Arc, time::Duration};

use axum::routing::{MethodRouter, any};

#[cfg(feature = "deflate")]
pub use self::compression::Compression;
pub(crate) use self::hooks::NoHook;
pub use self::hooks::{IntoAdmission, OnConnect, OnDisconnect};
use self::{handshake::Endpoint, origin::Origins};
use wasabi_rules::setting_above_zero;

use crate::{
    Backend, ErrorFormat, Parser, Raw, Registry,
    connection::{heartbeat::Pings, socket::Limits},
    describe::ChannelInfo,
    hosts::Hosts,
    metrics::{Counted, Observer},
    middleware::http::HttpMiddleware,
    scope::{Absent, Scope},
    task::driver::Settings,
    time::FOREVER,
};

/// One WebSocket endpoint, as `channel(..)` declares it. Its methods are the channel's settings.
///
/// Zeros, origins that are none and subprotocols that cannot be named in a header are mistakes. As literals they are
/// compile errors; those that come from elsewhere, such as a configuration, keep the gateway from being served:
/// [`Gateway::check`](crate::Gateway::check).
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
    /// A channel with the defaults, and no target yet.
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
    /// `max_message_size`: the most bytes a client's message may have, 32 KiB if not set. A larger one closes
    /// the connection with 1009; so does one whose fragments need more than twice as many bytes and 64 KiB.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.parts.settings.limits.max_message_size = bytes;
        self
    }

    /// `max_header_size`: the most bytes that a handshake may have in its URI and in the names and values of its headers,
    /// 16 KiB if not set: the connection keeps them for as long as it lives, for
    /// [`Connection::headers`](crate::Connection::headers) and what is forwarded to upstreams. Common proxies take no more
    /// either. A larger one is refused with 431. The server takes no head over 64 KiB.
    #[must_use]
    pub fn max_header_size(mut self, bytes: usize) -> Self {
        self.parts.settings.max_header_size = bytes;
        self
    }

    /// `concurrency`: how many requests of one connection are in flight at the same time, 25 if not set.
    /// Further ones wait: up to 16 in memory, with at most `max_message_size` bytes or one message, the rest in the
    /// client (back-pressure).
    ///
    /// A close frame behind those that are not read is seen when requests have ended, or when the client hangs up
    /// without an answer to it. That is noticed within a second, over HTTP/2 also of a single stream, and requests that
    /// [owe a reply](crate::Backend::owes_reply) are cancelled; within three minutes where TCP's keep-alive must find out
    /// that a machine is gone; on another server than [`Server`](crate::Server), when the client is read or written to
    /// again.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.parts.settings.concurrency = requests;
        self
    }

    /// `max_connections`: how many connections the channel takes, any number if not set. Further handshakes are
    /// answered 503.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.parts.max_connections = Some(connections);
        self
    }

    /// `idle_timeout`: a connection without a message in either direction and without a request in flight for so
    /// long is closed with 1001; never if not set.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.idle_timeout = Some(timeout.min(FOREVER));
        self
    }

    /// `ping`: a client that has been silent for so long is pinged; 30 s if not set, so that proxies, which commonly
    /// cut what is silent for a minute, do not cut it. One that leaves the ping unanswered for `pong_timeout` is
    /// dropped, also when it has requests in flight: a client whose network or machine is gone says nothing. But
    /// nothing is expected of it while it is not read, because it takes no replies, or because `concurrency` requests
    /// are in flight and more have been read ahead. With `None` no client is pinged, and only TCP's keep-alive finds
    /// out. A client that sends more than 100 pings and pongs in a second is closed with 1008 in any case.
    #[must_use]
    pub fn ping(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.parts.settings.pings.interval = interval.into().map(|interval| interval.min(FOREVER));
        self
    }

    /// `pong_timeout`: how long a client may take to answer a ping; the ping interval if not set.
    #[must_use]
    pub fn pong_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.pings.timeout = Some(timeout.min(FOREVER));
        self
    }

    /// `send_timeout`: a client that lets what is sent to it wait, and takes less than 1 KiB a second for so long, is
    /// closed with 1008; 10 s if not set.
    ///
    /// What a client takes is seen in steps: its own system keeps some 100 KiB for it, and tells only when it has room
    /// for much more. Clients that read 16 KiB a second are safe with the default. For slower ones with large receive
    /// buffers set a time in which they read 128 KiB.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.send_timeout = timeout.min(FOREVER);
        self
    }

    /// `stream_idle_timeout`: a streaming reply whose source says nothing for so long ends with the error `timed_out`,
    /// and its source is dropped; 60 s if not set: sources that have nothing to say for a while commonly say so every
    /// 15 to 30 s, and a client cannot tell a silent one from one that is gone. The time does not run while the client
    /// takes nothing. With `None` a stream may be silent for ever, and keeps its place among the requests in flight.
    #[must_use]
    pub fn stream_idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.parts.settings.stream_idle_timeout =
            timeout.into().map(|timeout| timeout.min(FOREVER));
        self
    }

    /// `open_timeout`: how long `on_connect` may take; 10 s if not set. Then the connection is closed with 1011, and
    /// what the hook still waits for is dropped.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.open_timeout = timeout.min(FOREVER);
        self
    }

    /// `close_timeout`: how long a connection that the server closes waits for its requests in flight, which are
    /// answered `interrupted` after it, and then again for the client's answer to the close frame; 10 s if not set. A
    /// drain of the server waits no longer than its own deadline either. As long have the requests of a client that has
    /// gone, where they [owe no reply](crate::Backend::owes_reply).
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.parts.settings.close_timeout = timeout.min(FOREVER);
        self
    }

    /// `max_waiting_messages`: how many messages from [`Connection::send`](crate::Connection::send) wait for one client,
    /// 256 if not set.
    #[must_use]
    pub fn max_waiting_messages(mut self, messages: usize) -> Self {
        self.parts.settings.max_waiting_messages = messages;
        self
    }

    /// `max_waiting_bytes`: how many bytes from [`Connection::send`](crate::Connection::send) wait for one client, and how many
    /// of replies; 1 MiB if not set. A client that has so many bytes of replies to take makes its upstreams wait: bodies of
    /// HTTP services are read no further, beyond 16 KiB of each, and neither are answers of a WebSocket upstream that are
    /// matched by id. Before that, replies that are being read have so many bytes together, or are one reply. A reply that
    /// waited until the upstream's timeout is `overloaded`. What functions and queues return is there already, so that it is
    /// bounded by [`concurrency`](Self::concurrency). [`Server::max_waiting_bytes`](crate::Server::max_waiting_bytes) is for
    /// all clients together.
    #[must_use]
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.parts.settings.max_waiting_bytes = bytes;
        self
    }

    /// `hosts`: the names that the channel answers to: `api.example.com`, `api.example.com:8443`, `*.example.com` for all
    /// names below it, or `*`; all if not set. Without a port every port is meant. Who asks for another host is
    /// answered 421 (RFC 9110, section 15.5.20).
    ///
    /// Set it wherever browsers can reach the channel. Anybody can have a name of their own point to your address (DNS
    /// rebinding): to a browser their page then is of the same host, and `origins` lets it in, however few it lists.
    ///
    /// A proxy that writes another `Host` tells the right one in `X-Forwarded-Host`, or in `Forwarded` (RFC 7239), which
    /// counts when [`ClientIp`](crate::middleware::http::ClientIp) middleware trusts the proxy. For that reason the HTTP
    /// middleware of the channel runs before the host is looked at. As a setting of the gateway it is that of its HTTP
    /// endpoints and of what is mounted as well, which know the `Host` only, and which probes often ask by address.
    #[must_use]
    pub fn hosts<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let (hosts, mistakes) = Hosts::new(names);
        self.parts.hosts = Some(hosts);
        self.mistakes.extend(mistakes);
        self
    }

    /// `origins`: which web pages may connect beside those of the same host. Others get 403 (RFC 6455, section 10.2), and
    /// a line in the log at info that shows both sides. Clients that send no `Origin`, which browsers always do, are not
    /// restricted.
    ///
    /// | written | lets in |
    /// |---|---|
    /// | `https://app.example.com` | the pages of this host; another port than the scheme's is written with it |
    /// | `https://*.example.com` | those of all names below it |
    /// | `http://localhost:*` | those of every port |
    /// | `chrome-extension://*`, `capacitor://localhost` | extensions, and apps that are made of pages |
    /// | `file://`, `null` | local files; which of the two is sent depends on the browser. `null` is also sent by every page in a sandbox, which anybody can make: hardly better than `*` |
    /// | `*` | every page |
    ///
    /// The own host is that of the request, whoever made its name point here: [`hosts`](Self::hosts) says which names it
    /// may have. Its pages must come by `https` where the client speaks TLS with this server, or a proxy that is
    /// trusted says that it does with it (`X-Forwarded-Proto`). Where a proxy may have ended TLS, and none is trusted, the
    /// scheme is not known and not compared. Behind a proxy that writes another `Host`, list the origins, or trust the
    /// proxy: see [`hosts`](Self::hosts).
    #[must_use]
    pub fn origins<O: AsRef<str>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        let (origins, mistakes) = Origins::new(origins);
        self.parts.origins = origins;
        self.mistakes.extend(mistakes);
        self
    }

    /// `subprotocols`: the subprotocols that the channel speaks, best first. The client's offer decides which
    /// of them is chosen; a client that offers none of them gets none (RFC 6455, section 1.9).
    #[must_use]
    pub fn subprotocols<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.parts.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// `compression`: how messages are compressed, with the clients that offer it; not at all if not set. It needs the
    /// cargo feature `deflate`.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.mistakes
            .extend_from_slice(compression.mistakes().as_slice());
        self.parts.compression = Some(compression);
        self
    }

    /// `errors`: how error replies are written; as the parser's messages are if not set.
    #[must_use]
    pub fn errors(mut self, format: impl Into<ErrorFormat>) -> Self {
        self.parts.errors = Some(format.into());
        self
    }

    /// `registry`: where the channel lists its connections; one of its own if not set.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.parts.registry = registry;
        self
    }

    /// One entry of `http = [..]`; those that come first are outermost.
    #[must_use]
    pub fn http(mut self, middleware: impl HttpMiddleware) -> Self {
        self.mistakes.extend(middleware.check());
        self.layers
            .push(Box::new(|router| middleware.apply(router)));
        self
    }

    /// What answers.
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

    /// `parser`: reads the routing key from a message; [`Raw`] if not set.
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

    /// `on_connect`: an `async fn(Connection)` that runs before the first message is read. When it returns
    /// `Err(Close)`, or takes longer than `open_timeout`, the connection is closed with that, and `on_disconnect` does
    /// not run.
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

    /// `on_disconnect`: an `async fn(Connection, Close)` that runs exactly once for every connection that
    /// `on_connect` has admitted, however it ended.
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
    /// What is wrong with the settings and the target.
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

    /// The parameters of its path that the URLs of its upstreams have.
    pub(crate) fn parameters(&self) -> Vec<String> {
        let mut parameters = Vec::new();
        let mut visit = |part: &dyn crate::Lifecycle| parameters.extend(part.parameters());
        self.parts.backend.lifecycle(&mut visit);
        parameters
    }

    /// Whether it has said which names it answers to.
    pub(crate) fn has_hosts(&self) -> bool {
        self.parts.hosts.is_some()
    }

    /// Makes the channel's HTTP endpoint.
    pub(crate) fn into_router(self, state: Arc<S>) -> (MethodRouter, Observer) {
        let parts = self.parts;
        let errors = match parts.errors {
            Some(own) => own.or_from_parser(parts.parser.errors()),
            None => parts.parser.errors(),
        };
        let endpoint = Arc::new(Endpoint {
            state,
            backend: parts.backend,
            parser: parts.parser,
            on_connect: parts.on_connect,
            on_disconnect: parts.on_disconnect,
            errors,
            registry: parts.registry,
            hosts: parts.hosts,
            origins: parts.origins,
            subprotocols: parts.subprotocols,
            max_connections: parts.max_connections,
            compression: parts.compression,
            settings: parts.settings.at_least_one(),
            target: self.info.target.name(),
            counted: Counted::default(),
        });
        let observer = Observer::of(&endpoint);
        let mut router = any(move |req: axum::extract::Request| endpoint.accept(req));
        // The first layer is to be outermost, and each one that is added goes around the others.
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
