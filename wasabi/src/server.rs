//! The server: listens, hands connections to the gateway, and drains.

mod accept;
mod admin;
mod answers;
mod config;
#[cfg(feature = "console")]
mod console;
mod control;
mod crowd;
mod direct;
mod drain;
mod error;
#[cfg(feature = "metrics")]
mod figures;
mod handle;
mod heads;
mod held;
mod http;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod listener;
mod manage;
#[cfg(all(test, wasabi_loom))]
mod models;
mod pace;
mod patient;
#[cfg(all(feature = "profiling", unix))]
mod profile;
mod protocol;
mod proxied;
mod serve;
mod source;
#[cfg(feature = "tls")]
mod tls;

use std::{sync::Arc, time::Duration};

pub use self::{
    admin::Admin,
    config::{ProxiedListener, ServerConfig},
    error::ServeError,
    handle::ServerHandle,
    listener::OpenListener,
    manage::Management,
};
#[cfg(feature = "tls")]
pub use self::{
    config::TlsFiles,
    tls::{ClientAuth, Tls, TlsError},
};
use self::{control::Control, source::Source};
use crate::time::FOREVER;

/// Listens on an address, serves a gateway, and drains when it is told to stop.
///
/// ```no_run
/// use wasabi::prelude::*;
///
/// #[tokio::main]
/// async fn main() -> Result<(), wasabi::ServeError> {
///     let gateway = gateway!(channel("/echo", async |message: Message| message));
///     Server::bind("127.0.0.1:8080").serve(gateway).await
/// }
/// ```
///
/// # Clients that are gone
///
/// A client whose machine or network is gone sends nothing. The operating system probes connections that have been
/// silent for a minute (TCP keep-alive) and closes those that leave the probes unanswered for another minute or two.
/// The channel setting `ping` detects it sooner, and through proxies.
///
/// # Paths
///
/// The server normalizes the path of every request before it routes the request: `/%61dmin` becomes `/admin`, so it
/// cannot match a parameter beside that path (RFC 3986, section 6.2.2). Characters that need no `%` lose it; all others
/// are encoded, with uppercase digits. The server repairs nothing else. Proxies and mounted services interpret some
/// paths differently, so the server answers 400 to a path with one of these:
///
/// * an empty segment (`//`);
/// * a segment `.` or `..`, also before a semicolon (`/..;x`);
/// * a backslash;
/// * an encoded slash, backslash or NUL (`%2F`, `%5C`, `%00`);
/// * a `%` without two hexadecimal digits after it.
///
/// A slash or a dot at the end of a path is part of it.
///
/// # In production
///
/// The right values depend on the machine and its clients, so these limits are off by default:
/// [`max_sockets`](Self::max_sockets), below the number of files that the process may open (`ulimit -n`);
/// [`max_sockets_per_client`](Self::max_sockets_per_client), where clients connect directly; `max_connections` of a
/// channel, at 5 to 20 KiB per connection; and `LimitClients` (HTTP middleware), for what one client may do, behind
/// proxies after [`ClientIp`](crate::middleware::http::ClientIp). For a public channel, start with 50 connections per
/// client, and 10 handshakes and 200 messages per second. Networks where many people share one address need more.
/// [`hosts`](crate::Channel::hosts) lists the names that browsers may use.
///
/// # Stopping
///
/// SIGTERM and SIGINT (Ctrl-C) start a drain, unless [`signals(false)`](Self::signals); so does
/// [`ServerHandle::drain`]. From then on [`readiness`](crate::readiness) answers 503, and so do new handshakes. The server keeps
/// listening until the end, so that a load balancer sees this. Every connection finishes its requests in flight and is
/// closed with 1012. HTTP requests are answered to the end of their bodies, and their sockets are closed afterwards.
/// Sockets without a request are closed.
///
/// `serve` returns when all connections and requests have ended, or at the end of the
/// [`drain_timeout`](Self::drain_timeout); an answer that streams without end makes the drain take that long. The
/// server waits at most a second for requests to an [`Admin`]. A second signal, or [`ServerHandle::stop`], ends
/// everything at once, except that HTTP requests get another second.
///
/// # Kubernetes
///
/// Kubernetes sends SIGTERM to a pod at the same time as it tells services and load balancers to stop sending it
/// traffic. They need a few seconds; by then a server without connections has drained and closed its port, and clients
/// are refused. A [`drain_delay`](Self::drain_delay) of 5 s to 15 s covers that time. A `preStop` hook that sleeps does
/// so too, but the delay needs no shell in the image, and the readiness probe fails as soon as it begins. Behind a load
/// balancer that probes on its own, set the delay to its probe interval times the number of failures that it waits for.
/// `terminationGracePeriodSeconds` must be longer than the delay, the [`drain_timeout`](Self::drain_timeout) and two
/// seconds together.
#[derive(Debug)]
#[must_use = "a server does nothing until it serves a gateway"]
pub struct Server {
    sources: Vec<Source>,
    unix_mode: Option<u32>,
    admin: Option<Admin>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    header_timeout: Duration,
    keep_alive_timeout: Duration,
    request_timeout: Duration,
    drain_delay: Duration,
    drain_timeout: Duration,
    drain_spread: Duration,
    max_sockets: Option<usize>,
    max_waiting_bytes: Option<usize>,
    max_sockets_per_client: Option<usize>,
    #[cfg(feature = "http2")]
    http2_streams: u32,
    signals: bool,
    control: Arc<Control>,
}

impl Server {
    /// Creates a server that will listen on `address`: `127.0.0.1:8080`, `[::]:8080`, or a Unix socket,
    /// `unix:/run/gateway.sock`. With port 0 the system chooses a port; [`ServerHandle::addr`] returns it.
    ///
    /// The server removes the file of a Unix socket when it stops, if it is still the same file, and before it starts,
    /// if no process listens on it. The permissions of the folder and of the file decide who may connect:
    /// [`unix_mode`](Self::unix_mode).
    pub fn bind(address: impl ToString) -> Self {
        Self::new(Source::Address(address.to_string()))
    }

    /// Creates a server that will listen on `address` for proxies in these networks: see
    /// [`also_bind_proxied`](Self::also_bind_proxied).
    pub fn bind_proxied<N: AsRef<str>>(
        address: impl ToString,
        networks: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::new(Source::proxied(address, networks))
    }

    /// Creates a server on a listener that is already open: one of the standard library or of tokio, for TCP or for a
    /// Unix socket. The server does not remove that socket's file.
    ///
    /// systemd and similar supervisors open sockets and pass them on, so that they stay open while the server restarts.
    /// The crate `listenfd` takes them from the environment:
    ///
    /// ```ignore
    /// let mut given = listenfd::ListenFd::from_env();
    /// let listener = given.take_tcp_listener(0)?.ok_or("started without a socket")?;
    /// Server::on(listener).serve(gateway).await?;
    /// ```
    pub fn on(listener: impl Into<OpenListener>) -> Self {
        Self::new(Source::Listener(listener.into()))
    }

    /// Creates a server from a configuration; the result can be changed further. Reads the certificate.
    pub fn configured(config: &ServerConfig) -> Result<Self, ServeError> {
        config.server()
    }

    fn new(source: Source) -> Self {
        Self {
            sources: vec![source],
            unix_mode: None,
            admin: None,
            #[cfg(feature = "tls")]
            tls: None,
            header_timeout: Duration::from_secs(3),
            keep_alive_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            drain_spread: Duration::from_secs(2),
            max_sockets: None,
            max_waiting_bytes: None,
            max_sockets_per_client: None,
            #[cfg(feature = "http2")]
            http2_streams: 0,
            signals: true,
            control: Arc::new(Control::new()),
        }
    }

    /// Also listens on this address, written as for [`bind`](Self::bind).
    pub fn also_bind(mut self, address: impl ToString) -> Self {
        self.sources.push(Source::Address(address.to_string()));
        self
    }

    /// Also listens on this address, without TLS even if the other addresses use it.
    pub fn also_bind_plain(mut self, address: impl ToString) -> Self {
        self.sources.push(Source::Plain(address.to_string()));
        self
    }

    /// Also listens on this address, for proxies in these networks that begin every connection with a PROXY protocol
    /// header, version 1 or 2. The address in the header becomes the peer's address, for
    /// [`Connection::remote_addr`](crate::Connection::remote_addr) and [`ClientIp`](crate::middleware::http::ClientIp).
    /// The header comes before TLS, and must arrive within the [`header_timeout`](Self::header_timeout).
    ///
    /// Networks are written as for `ClientIp::trusting`. The server closes connections from other addresses, and those
    /// that begin with anything else. The other listeners accept no such header, so no client can claim an address
    /// there. When the proxy speaks for itself, for example when it probes, the peer is the proxy.
    pub fn also_bind_proxied<N: AsRef<str>>(
        mut self,
        address: impl ToString,
        networks: impl IntoIterator<Item = N>,
    ) -> Self {
        self.sources.push(Source::proxied(address, networks));
        self
    }

    /// Also listens on a listener that is already open.
    pub fn also_on(mut self, listener: impl Into<OpenListener>) -> Self {
        self.sources.push(Source::Listener(listener.into()));
        self
    }

    /// The permissions of the Unix sockets that the server opens, such as `0o660`; by default `0o777` less the umask.
    /// Connecting requires write permission: with the usual umask of `0o022` only the same user may connect. A proxy
    /// under another user needs a common group and `0o660`, or `0o666` in a folder that no one else can enter.
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.unix_mode = Some(mode);
        self
    }

    /// Uses TLS on every address except Unix sockets and those bound [without it](Self::also_bind_plain). The server
    /// closes the connection of a client that speaks something else or takes too long for the handshake.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Answers operators, such as probes, on an address apart from the public ones: an [`Admin`] or just its address.
    /// It keeps answering until the server has drained. Its sockets do not count towards
    /// [`max_sockets`](Self::max_sockets).
    ///
    /// A request there may take 90 s. A client that reads its answer too slowly, as defined at
    /// [`request_timeout`](Self::request_timeout), is closed after 10 s. At most 64 sockets may be open; a further one
    /// takes the place of the oldest that waits for its client, so that slow clients cannot keep a probe from being
    /// answered.
    pub fn admin(mut self, admin: impl Into<Admin>) -> Self {
        self.admin = Some(admin.into());
        self
    }

    /// How long a client may take to send the head of a request; 3 s by default. The time starts when the client
    /// connects, and for later requests with their first byte.
    ///
    /// A head may have 64 KiB, and with HTTP/1.1 100 lines. A larger one is answered 431.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout.min(FOREVER);
        self
    }

    /// How long an HTTP connection may be idle between two requests before the server closes it; 75 s by default, or
    /// the [`header_timeout`](Self::header_timeout) if that is longer. Load balancers commonly keep connections for 60
    /// s. They must be the first to close; otherwise one of their requests may meet the server's close. An idle
    /// connection still counts towards [`max_sockets`](Self::max_sockets). Idle operator connections are closed after
    /// the `header_timeout`.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive_timeout = timeout.min(FOREVER);
        self
    }

    /// How long an HTTP request, including a handshake, may take before it is answered 503; 30 s by default.
    ///
    /// This is also how long, in total, the server waits for a client that reads an answer too slowly: nothing, or less
    /// than 1 KiB for each second in which the answer waits for the client. Then the server closes the socket, or
    /// resets the HTTP/2 stream. Time in which a streamed answer has nothing to send does not count.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.min(FOREVER);
        self
    }

    /// How long the server keeps serving everything after it is told to stop, while
    /// [`readiness`](crate::readiness) already answers 503; no time by default. Then the drain begins. See [Kubernetes](Self#kubernetes).
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.drain_delay = delay.min(FOREVER);
        self
    }

    /// How long a drain may take before the server cuts the remaining connections and HTTP requests; 30 s by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout.min(FOREVER);
        self
    }

    /// The window over which a drain spreads the closing of connections, so that clients do not all reconnect at the
    /// same moment; 2 s by default. It is at most half of the [`drain_timeout`](Self::drain_timeout), so that the
    /// connections that are closed last also have time for their requests.
    pub fn drain_spread(mut self, window: Duration) -> Self {
        self.drain_spread = window.min(FOREVER);
        self
    }

    /// How many sockets may be open at the same time, WebSocket or not, on all addresses together; unlimited by
    /// default. Further ones wait in the system's queue.
    pub fn max_sockets(mut self, sockets: usize) -> Self {
        self.max_sockets = Some(sockets);
        self
    }

    /// How many bytes of replies may wait for, or be read for, all clients of this server together; unlimited by
    /// default, because the right value depends on the machine. A quarter of its memory leaves room for everything
    /// else.
    ///
    /// Each client also has its own budget, the channel's `max_waiting_bytes`, beyond which the gateway stops reading
    /// from upstreams for that client. When all clients together exceed this limit, the gateway stops reading replies
    /// for clients that do not take what waits for them, and answers their requests `overloaded`. It always reads
    /// replies that fit into 16 KiB. What a function returns is already in memory, so only `concurrency` limits it.
    ///
    /// # What the allocator keeps
    ///
    /// Memory used by replies is free once they are sent or their clients have gone, but the C library's allocator may
    /// keep it for the next ones. glibc has up to eight arenas per core, and returns only free memory at the end of an
    /// arena. Blocks over 128 KiB go back at once, until a larger one has been freed: that raises the limit, up to 32
    /// MiB.
    ///
    /// In the environment of the process, `MALLOC_ARENA_MAX=2` limits the arenas, `MALLOC_MMAP_THRESHOLD_=131072` keeps
    /// the limit fixed, and `MALLOC_TRIM_THRESHOLD_=131072` makes glibc return the free ends. Of 30 MiB that eight
    /// clients made a server hold, 27 MiB went back to the system within two seconds with these three settings, and 0
    /// to 13 MiB without them (`tests/memory.rs`). Large blocks then cost two system calls each.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.max_waiting_bytes = Some(bytes);
        self
    }

    /// How many sockets one client may have open at the same time, on all addresses together; unlimited by default. The
    /// server closes further ones at once. An IPv6 client is its /64, the network that a subscriber gets.
    ///
    /// Use it for servers that clients reach directly: the client is the peer of the socket, so all clients behind a
    /// proxy count as one. A socket counts before it has sent a request. `LimitClients`, HTTP middleware, limits
    /// requests, and recognizes clients behind proxies. Clients that share an address, as in an office or on a mobile
    /// network, share the limit.
    pub fn max_sockets_per_client(mut self, sockets: usize) -> Self {
        self.max_sockets_per_client = Some(sockets);
        self
    }

    /// Also speaks HTTP/2, with at most this many streams on a socket at the same time; 0 by default, which means
    /// HTTP/1.1 only. Clients expect at least 100 (RFC 9113, section 6.5.2).
    ///
    /// A stream is a request or a WebSocket (RFC 8441), so browsers can open WebSockets on a connection that they
    /// already have. Over TLS, ALPN selects the protocol. Without TLS the first bytes decide, as sent by proxies that
    /// know in advance what they talk to. There is no upgrade from HTTP/1.1.
    ///
    /// It is off by default because one socket then stands for many connections, so per-socket limits at a proxy or a
    /// firewall no longer limit connections. The limits of this server still do: each WebSocket takes a place of
    /// [`max_sockets`](Self::max_sockets) in addition to that of its socket, and is answered 503 when none is left. The
    /// server closes a socket without streams after the [`keep_alive_timeout`](Self::keep_alive_timeout), one without a
    /// first stream after the [`header_timeout`](Self::header_timeout), and one that resets more than 100 streams
    /// within a second at once. A client may send 64 KiB on a stream, and 1 MiB on a socket, before the server reads
    /// them: WebSockets whose requests all wait can delay other streams of the same socket, but no other socket.
    #[cfg(feature = "http2")]
    pub fn http2_streams(mut self, streams: u32) -> Self {
        self.http2_streams = streams;
        self
    }

    /// Whether SIGTERM and SIGINT drain the server; `true` by default. The handlers stay installed for the rest of the
    /// process.
    pub fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }

    /// Returns a handle to watch and stop the server from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.control))
    }
}
