//! A channel: one WebSocket endpoint of a gateway, as it is declared.

#[cfg(feature = "deflate")]
mod compression;
mod groups;
pub(crate) mod hooks;
pub(crate) mod origin;
#[cfg(feature = "schema")]
mod sends;
mod settings;
mod user;

#[cfg(not(feature = "deflate"))]
use std::convert::Infallible as Compression;
use std::sync::Arc;

use axum::routing::MethodRouter;

#[cfg(feature = "deflate")]
pub use self::compression::Compression;
#[cfg(feature = "schema")]
pub use self::sends::Sent;
#[cfg(feature = "schema")]
pub(crate) use self::sends::of_groups;
pub use self::settings::ChannelConfig;
pub(crate) use self::settings::Settings;
use self::{
    hooks::{NoHook, OnConnect, OnDisconnect},
    origin::Origins,
    user::UserOf,
};
use crate::{
    Backend, ErrorFormat, Kept, Parser, Protocol, Raw, Registry,
    absent::Absent,
    connection::path_types::PathType,
    describe::{ChannelInfo, TargetInfo},
    hosts::Hosts,
    middleware::http::HttpMiddleware,
    protocol::{Dialect, Enveloped, Plain},
    scope::Scope,
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
pub struct Channel<S, B, P = Plain<Raw>, C = NoHook, D = NoHook> {
    pub(crate) declared: Declared,
    pub(crate) layers: Vec<Apply>,
    pub(crate) backend: B,
    pub(crate) dialect: P,
    pub(crate) on_connect: C,
    pub(crate) on_disconnect: D,
    scope: Scope<S>,
}

/// What is declared of a channel, except for the code that runs in it.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) path: String,
    pub(crate) info: ChannelInfo,
    mistakes: Vec<String>,
    pub(crate) errors: Option<ErrorFormat>,
    pub(crate) registry: Registry,
    pub(crate) user: Option<UserOf>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) hosts: Option<Hosts>,
    pub(crate) origins: Origins,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) compression: Option<Compression>,
    pub(crate) settings: Settings,
    /// How clients log in.
    #[cfg(feature = "schema")]
    pub(crate) logins: Vec<crate::schema::Login>,
    #[cfg(feature = "schema")]
    pub(crate) sends: Vec<Sent>,
}

type Apply = Box<dyn FnOnce(MethodRouter) -> MethodRouter + Send>;

impl<S> Channel<S, Absent> {
    /// A channel with default settings and no target yet.
    pub fn new(scope: &Scope<S>, path: impl AsRef<str>, info: ChannelInfo) -> Self {
        Self {
            declared: Declared {
                path: path.as_ref().to_owned(),
                info,
                mistakes: Vec::new(),
                errors: None,
                registry: Registry::new(),
                user: None,
                kept: Vec::new(),
                hosts: None,
                origins: Origins::default(),
                subprotocols: Vec::new(),
                compression: None,
                settings: Settings::default(),
                #[cfg(feature = "schema")]
                logins: Vec::new(),
                #[cfg(feature = "schema")]
                sends: Vec::new(),
            },
            layers: Vec::new(),
            backend: Absent,
            dialect: Plain(Raw),
            on_connect: NoHook,
            on_disconnect: NoHook,
            scope: *scope,
        }
    }
}

// The settings that are numbers and times are in `channel/settings.rs`, and `user` is in `channel/user.rs`.
impl<S, B, P, C, D> Channel<S, B, P, C, D> {
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
        self.declared.hosts = Some(hosts);
        self.declared.mistakes.extend(mistakes);
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
        self.declared.origins = origins;
        self.declared.mistakes.extend(mistakes);
        self
    }

    /// `subprotocols`: the subprotocols that the channel speaks, best first. The gateway chooses one that the client
    /// offers; a client that offers none of them gets none (RFC 6455, section 1.9).
    #[must_use]
    pub fn subprotocols<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.declared.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// `compression`: how messages are compressed for clients that offer it; off by default. Requires the cargo feature
    /// `deflate`.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        let mistakes = compression.mistakes().as_slice();
        self.declared.mistakes.extend_from_slice(mistakes);
        self.declared.compression = Some(compression);
        self
    }

    /// `errors`: how error replies are written; by default in the format of the parser's messages.
    #[must_use]
    pub fn errors(mut self, format: impl Into<ErrorFormat>) -> Self {
        self.declared.errors = Some(format.into());
        self
    }

    /// `registry`: where the channel lists its connections; a registry of its own by default.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.declared.registry = registry;
        self
    }

    /// Adds one entry of `http = [..]`. The first entry is outermost.
    #[must_use]
    pub fn http(mut self, middleware: impl HttpMiddleware) -> Self {
        self.declared.mistakes.extend(middleware.check());
        #[cfg(feature = "schema")]
        self.declared.logins.extend(middleware.logins());
        self.layers
            .push(Box::new(|router| middleware.apply(router)));
        self
    }

    /// Replaces the description of the target.
    #[doc(hidden)]
    #[must_use]
    pub fn declares(mut self, target: TargetInfo) -> Self {
        self.declared.info.target = target;
        self
    }

    /// Sets the target, which answers the requests.
    #[must_use]
    pub fn target<B2>(self, backend: B2) -> Channel<S, B2, P, C, D> {
        Channel {
            backend,
            declared: self.declared,
            layers: self.layers,
            dialect: self.dialect,
            on_connect: self.on_connect,
            on_disconnect: self.on_disconnect,
            scope: self.scope,
        }
    }

    /// `parser`: reads the routing key from a message; [`Raw`] by default. It replaces a `protocol` of the gateway.
    #[must_use]
    pub fn parser<P2: Parser>(self, parser: P2) -> Channel<S, B, Plain<P2>, C, D> {
        self.dialect(Plain(parser))
    }

    /// `protocol`: reads messages, and writes replies and errors in the client's form; see [`Protocol`]. It takes the
    /// place of `parser` and `errors`, and replaces those of the gateway.
    #[must_use]
    pub fn protocol<P2: Protocol>(mut self, protocol: P2) -> Channel<S, B, Enveloped<P2>, C, D> {
        self.declared.errors = None;
        if self.declared.subprotocols.is_empty() {
            self = self.subprotocols(protocol.subprotocols().iter().copied());
        }
        self.dialect(Enveloped(Arc::new(protocol)))
    }

    fn dialect<P2>(self, dialect: P2) -> Channel<S, B, P2, C, D> {
        Channel {
            dialect,
            declared: self.declared,
            layers: self.layers,
            backend: self.backend,
            on_connect: self.on_connect,
            on_disconnect: self.on_disconnect,
            scope: self.scope,
        }
    }

    /// `on_connect`: an `async fn` of [extractors](crate::FromConnection) that runs before the gateway reads the first
    /// message. When it returns `Err(Close)`, the connection is closed with that; when it exceeds `open_timeout`, with
    /// 1011. In both cases `on_disconnect` does not run.
    #[must_use]
    pub fn on_connect<C2: OnConnect<S>>(self, on_connect: C2) -> Channel<S, B, P, C2, D> {
        Channel {
            on_connect,
            declared: self.declared,
            layers: self.layers,
            backend: self.backend,
            dialect: self.dialect,
            on_disconnect: self.on_disconnect,
            scope: self.scope,
        }
    }

    /// `on_disconnect`: an `async fn` of [extractors](crate::FromEnded) that runs exactly once for every connection that
    /// `on_connect` has admitted, however the connection ended, unless an extractor fails. A hook that undoes what
    /// `on_connect` did takes only the `Connection`, or the extractors of `on_connect`.
    #[must_use]
    pub fn on_disconnect<D2: OnDisconnect<S>>(self, on_disconnect: D2) -> Channel<S, B, P, C, D2> {
        Channel {
            on_disconnect,
            declared: self.declared,
            layers: self.layers,
            backend: self.backend,
            dialect: self.dialect,
            on_connect: self.on_connect,
            scope: self.scope,
        }
    }
}

impl<S, B, P, C, D> Channel<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Dialect,
    C: OnConnect<S>,
    D: OnDisconnect<S>,
{
    /// Returns the mistakes in the settings and the target.
    pub(crate) fn check(&self) -> Vec<String> {
        let declared = &self.declared;
        let mut mistakes = declared.mistakes.clone();
        let errors = declared.errors.as_ref();
        mistakes.extend(errors.and_then(|errors| errors.check().err()));
        mistakes.extend(self.dialect.check(errors).err());
        let subprotocols = declared.subprotocols.iter();
        mistakes.extend(subprotocols.filter_map(|name| wasabi_rules::subprotocol(name).err()));
        self.backend
            .lifecycle(&mut |part| mistakes.extend(part.check().err()));
        mistakes
    }

    /// The path parameters that the URLs of its upstreams use.
    pub(crate) fn parameters(&self) -> Vec<String> {
        let mut parameters = Vec::new();
        let mut visit = |part: &dyn crate::Lifecycle| parameters.extend(part.parameters());
        self.backend.lifecycle(&mut visit);
        parameters
    }

    /// The routes that are known only at run time, and the names of their backends.
    pub(crate) fn tabled(&self) -> Vec<(&'static str, &'static str)> {
        let mut routes = Vec::new();
        let mut visit = |part: &dyn crate::Lifecycle| routes.extend(part.tabled());
        self.backend.lifecycle(&mut visit);
        routes
    }

    /// What its routes take and answer.
    #[cfg(feature = "schema")]
    pub(crate) fn describer(&self) -> crate::schema::Describer {
        let mut describer = self.declared.describer();
        self.backend.describe(&mut describer);
        describer
    }

    /// The types that its functions read from the path.
    pub(crate) fn path_types(&self) -> Vec<PathType> {
        let mut types = Vec::new();
        let mut visit = |part: &dyn crate::Lifecycle| types.extend(part.path_types());
        self.backend.lifecycle(&mut visit);
        types.extend(self.on_connect.path_types());
        types.extend(self.on_disconnect.path_types());
        types
    }
}

impl Declared {
    #[cfg(feature = "schema")]
    fn describer(&self) -> crate::schema::Describer {
        use crate::schema::{Codes, Describer};
        // Every request may come too late, and every function may panic.
        let codes = Codes::of(&["closing", "internal", "interrupted"]);
        Describer::new(self.info.docs, self.info.target.name(), codes)
    }

    /// Records the mistake, if there is one.
    fn keep<T>(&mut self, checked: Result<T, String>) {
        self.mistakes.extend(checked.err());
    }
}

impl<S, B, P, C, D> std::fmt::Debug for Channel<S, B, P, C, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("path", &self.declared.path)
            .field("settings", &self.declared.settings)
            .finish_non_exhaustive()
    }
}
