//! The server: listens, hands connections to the gateway, and drains.

mod acceptor;
mod admin;
mod config;
mod crowd;
mod drain;
mod held;
#[cfg(feature = "http2")]
mod http2;
mod listener;
#[cfg(all(test, wasabi_loom))]
mod models;
#[cfg(all(feature = "profiling", unix))]
mod profile;
mod proxied;
#[cfg(feature = "tls")]
mod tls;

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet, time::sleep_until};
use tokio_util::task::TaskTracker;
use wasabi_rules::setting_above_zero;

use self::{
    acceptor::{Acceptor, LAST_ANSWER},
    crowd::Crowd,
    drain::{Control, Phase},
    listener::Listener,
};
pub use self::{
    admin::Admin,
    config::{ProxiedListener, ServerConfig},
    drain::ServerHandle,
    listener::OpenListener,
};
#[cfg(feature = "tls")]
pub use self::{
    config::TlsFiles,
    tls::{ClientAuth, Tls, TlsError},
};
use crate::{
    Gateway, GatewayError,
    middleware::http::{ClientIp, ClientIpLayer},
    per_client::PerClient,
    runtime::Runtime,
    time::FOREVER,
};

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
/// A client whose machine or network is gone says nothing. The system probes connections that have been silent for
/// a minute (TCP keep-alive) and ends those that leave the probes unanswered for another one or two. The channel
/// setting `ping` does so sooner, and through proxies.
///
/// # Paths
///
/// A path is brought into its normal form before anything is found by it: `/%61dmin` is `/admin`, and cannot go to a
/// parameter beside it (RFC 3986, section 6.2.2). Characters that need no `%` have none, others have it with capital
/// digits. Nothing else is repaired: a path with empty segments (`//`), with `.` or `..`, with a slash, a backslash or
/// NUL within a segment (`%2F`, `%5C`, `%00`), or with a `%` that stands before something else than two digits is
/// answered 400, because proxies and mounted services read it in different ways. A slash or a dot at the end is a part of
/// the path.
///
/// # In production
///
/// What is right depends on the machine and its clients, so these are off: [`max_sockets`](Self::max_sockets), below what
/// the process may have open (`ulimit -n`); [`max_sockets_per_client`](Self::max_sockets_per_client) where clients come
/// directly; `max_connections` of a channel, 5 to 20 KiB each; and
/// `LimitClients` (HTTP middleware) for what one client may do, behind proxies after
/// [`ClientIp`](crate::middleware::http::ClientIp). A start for a public channel: 50 connections of a client, 10
/// handshakes and 200 messages a second. Networks of many people behind one address need more.
/// [`hosts`](crate::Channel::hosts) lists the names that browsers may use.
///
/// # Stopping
///
/// SIGTERM and SIGINT (Ctrl-C) start a drain, unless [`signals(false)`](Self::signals); so does
/// [`ServerHandle::drain`]. [`readiness`](crate::readiness) answers 503 from then on, and so do new handshakes; listening goes on
/// until the end, so that a load balancer sees it. Every connection finishes its requests in flight and is
/// closed with 1012, and HTTP requests are answered to the end of their bodies, on sockets that are closed then. When all
/// are gone, or at the end of the [`drain_timeout`](Self::drain_timeout), `serve` returns: an answer that streams without
/// an end makes a drain that long. Sockets without a request are closed, and what operators ask of an [`Admin`] is waited
/// for no longer than a second. A second signal, or [`ServerHandle::stop`], ends everything at once: HTTP requests have
/// another second.
///
/// # Kubernetes
///
/// A pod that is to end gets SIGTERM at the same time as the services and load balancers that send traffic to it learn of
/// it. They need a few seconds, and a server without connections has drained and closed its port by then: clients are
/// refused. A [`drain_delay`](Self::drain_delay) of 5 s to 15 s covers that, as a `preStop` hook that sleeps does, but
/// needs no shell in the image, and the readiness probe fails from its beginning. Behind a load balancer that probes by
/// itself the delay is its interval times the failures that it waits for. `terminationGracePeriodSeconds` must be longer
/// than the delay, the [`drain_timeout`](Self::drain_timeout) and two seconds together.
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

#[derive(Debug)]
enum Source {
    Address(String),
    Plain(String),
    Proxied(String, ClientIpLayer),
    Listener(OpenListener),
}

/// Sockets of operators that are open at the same time; further ones take the place of the oldest.
const ADMIN_SOCKETS: usize = 64;

/// How long a request of theirs may take: longer than a profile.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(90);

/// How long the server waits in all for an operator that takes an answer too slowly.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

impl Source {
    fn proxied<N: AsRef<str>>(
        address: impl ToString,
        networks: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::Proxied(address.to_string(), ClientIp::trusting(networks))
    }

    async fn listen(self, unix_mode: Option<u32>) -> Result<Listener, ServeError> {
        let (address, listener) = match self {
            Self::Address(address) | Self::Plain(address) | Self::Proxied(address, _) => {
                let listener = Listener::bind(&address, unix_mode).await;
                (address, listener)
            }
            Self::Listener(OpenListener(listener)) => ("the given listener".to_owned(), listener),
        };
        listener.map_err(|source| ServeError::Bind { address, source })
    }
}

/// Why a server could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The gateway, or the server's settings, have mistakes that could not be seen at compile time: all of them.
    #[error("there are mistakes:{}", .0.iter().map(|mistake| format!("\n  {mistake}")).collect::<String>())]
    Mistakes(Vec<GatewayError>),
    /// The certificate cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The signal handlers cannot be installed.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}

impl Server {
    /// A server that will listen on `address`, such as `127.0.0.1:8080` or `[::]:8080`, or on a Unix socket,
    /// `unix:/run/gateway.sock`. With port 0 the system chooses one; [`ServerHandle::addr`] tells which.
    ///
    /// The file of a Unix socket is removed at the end, if it is still the same one, and before the beginning if nobody
    /// listens on it. Who may connect is a matter of the folder's permissions and of its own:
    /// [`unix_mode`](Self::unix_mode).
    pub fn bind(address: impl ToString) -> Self {
        Self::new(Source::Address(address.to_string()))
    }

    /// A server that will listen on `address` for proxies in these networks: see
    /// [`also_bind_proxied`](Self::also_bind_proxied).
    pub fn bind_proxied<N: AsRef<str>>(
        address: impl ToString,
        networks: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::new(Source::proxied(address, networks))
    }

    /// A server on a listener that is open already: one of the standard library or of tokio, for TCP or for a Unix
    /// socket, whose file is then left alone.
    ///
    /// systemd, and what works like it, opens sockets and hands them over, so that they stay open while the server is
    /// restarted. The crate `listenfd` takes them from the environment:
    ///
    /// ```ignore
    /// let mut given = listenfd::ListenFd::from_env();
    /// let listener = given.take_tcp_listener(0)?.ok_or("started without a socket")?;
    /// Server::on(listener).serve(gateway).await?;
    /// ```
    pub fn on(listener: impl Into<OpenListener>) -> Self {
        Self::new(Source::Listener(listener.into()))
    }

    /// A server as a configuration says, which can be changed further. Reads the certificate.
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

    /// Listens on this address as well; written as for [`bind`](Self::bind).
    pub fn also_bind(mut self, address: impl ToString) -> Self {
        self.sources.push(Source::Address(address.to_string()));
        self
    }

    /// Listens on this address as well, without TLS even if the others have it.
    pub fn also_bind_plain(mut self, address: impl ToString) -> Self {
        self.sources.push(Source::Plain(address.to_string()));
        self
    }

    /// Listens on this address as well, for proxies in these networks that begin every connection with a header of the
    /// PROXY protocol, version 1 or 2. The address that it tells is the peer's, for
    /// [`Connection::remote_addr`](crate::Connection::remote_addr) and
    /// [`ClientIp`](crate::middleware::http::ClientIp). It comes before TLS, and in the
    /// [`header_timeout`](Self::header_timeout).
    ///
    /// Networks are written as for `ClientIp::trusting`. Who else connects here, and who begins with something else, is
    /// cut off: nobody can claim an address by coming to the other listeners. Where the proxy speaks for itself, as
    /// when it probes, the peer is the proxy.
    pub fn also_bind_proxied<N: AsRef<str>>(
        mut self,
        address: impl ToString,
        networks: impl IntoIterator<Item = N>,
    ) -> Self {
        self.sources.push(Source::proxied(address, networks));
        self
    }

    /// Listens on a listener that is open already as well.
    pub fn also_on(mut self, listener: impl Into<OpenListener>) -> Self {
        self.sources.push(Source::Listener(listener.into()));
        self
    }

    /// The permissions of the Unix sockets that the server opens, such as `0o660`; what the umask leaves of `0o777` if
    /// not set. Connecting needs permission to write: with the usual umask of `0o022` only the same user may, and a proxy
    /// under another user needs a group in common and `0o660`, or `0o666` in a folder that lets nobody else in.
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.unix_mode = Some(mode);
        self
    }

    /// Speaks TLS on every address, except on Unix sockets and where it is
    /// [left out](Self::also_bind_plain). A client that speaks something else, or takes too long for the handshake, is
    /// cut off.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Answers what operators ask, such as probes, on an address apart from the public ones: an [`Admin`] or just its
    /// address. It goes on until the server has drained; its sockets do not count as
    /// [`max_sockets`](Self::max_sockets). A request there may take 90 s, and a client that takes its answer too slowly, as
    /// with [`request_timeout`](Self::request_timeout), is closed after 10 s. There are 64 sockets: a further one takes the
    /// place of the oldest that waits for its client, so that a probe is answered whoever is slow.
    pub fn admin(mut self, admin: impl Into<Admin>) -> Self {
        self.admin = Some(admin.into());
        self
    }

    /// How long a client may take to send the head of a request; 3 s if not set. It begins when the client has connected,
    /// and for later requests with their first byte.
    ///
    /// A head may have 64 KiB, with HTTP/1.1 in 100 lines. A larger one is answered 431.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout.min(FOREVER);
        self
    }

    /// How long an HTTP connection may be idle between two requests before it is closed; 75 s if not set, or the
    /// [`header_timeout`](Self::header_timeout) if that is longer. Load balancers keep connections for 60 s commonly: they
    /// must be the first to close, or a request of theirs meets the close. An idle connection keeps its place of
    /// [`max_sockets`](Self::max_sockets). Those of operators are closed after the `header_timeout`.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive_timeout = timeout.min(FOREVER);
        self
    }

    /// How long an HTTP request, a handshake included, may take; 30 s if not set. Then it is answered 503.
    ///
    /// The server also waits so long, in all, for a client that takes an answer too slowly: less than 1 KiB for each second
    /// in which the answer waits for it, or nothing. Then it closes the socket, or resets the stream of HTTP/2. Time in
    /// which an answer that streams has nothing to send does not count.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.min(FOREVER);
        self
    }

    /// How long everything is served still after the server is told to stop, while [`readiness`](crate::readiness) says 503 already; not at
    /// all if not set. Then the drain begins. See [Kubernetes](Self#kubernetes).
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.drain_delay = delay.min(FOREVER);
        self
    }

    /// How long a drain may take before the remaining connections and HTTP requests are cut; 30 s if not set.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout.min(FOREVER);
        self
    }

    /// The window over which a drain spreads the closing of connections, so that clients do not all come back
    /// at the same moment; 2 s if not set. It is half of the [`drain_timeout`](Self::drain_timeout) at most, so that
    /// those that are closed last have time for their requests, too.
    pub fn drain_spread(mut self, window: Duration) -> Self {
        self.drain_spread = window.min(FOREVER);
        self
    }

    /// How many sockets are open at the same time, WebSocket or not, on all addresses together; any number if not
    /// set. Further ones wait in the system's queue.
    pub fn max_sockets(mut self, sockets: usize) -> Self {
        self.max_sockets = Some(sockets);
        self
    }

    /// How many bytes of replies may wait for all clients of this server together, and be read for them; any number if not
    /// set, for what is right depends on the machine: a quarter of its memory leaves room for everything else.
    ///
    /// Each client has a budget of its own, the channel's `max_waiting_bytes`, beyond which upstreams are not read for it. When
    /// all together have more than this, requests whose clients do not take what waits for them are answered `overloaded`
    /// instead of their replies being read from upstreams any further. What fits into 16 KiB is always read, and what a
    /// function returns is there already: these are bounded by `concurrency`.
    ///
    /// # What the allocator keeps
    ///
    /// Memory that replies had is free when they are sent or their clients have gone, but the C library's allocator may
    /// keep it for the next ones. glibc has up to eight arenas for each core, and gives back what is free at the end of one.
    /// Pieces over 128 KiB go back at once, until a larger one has been freed, which raises that limit, up to 32 MiB. In the
    /// environment of the process, `MALLOC_ARENA_MAX=2` bounds the arenas, `MALLOC_MMAP_THRESHOLD_=131072` keeps the limit
    /// where it is, and `MALLOC_TRIM_THRESHOLD_=131072` has free ends given back: of 30 MiB that eight clients made a server
    /// hold, 27 MiB went back to the system within two seconds with these three, and 0 to 13 MiB without (`tests/memory.rs`).
    /// Large pieces then cost two system calls each.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.max_waiting_bytes = Some(bytes);
        self
    }

    /// How many sockets one client may have open at the same time, on all addresses together; any number if not set.
    /// Further ones are closed at once. An IPv6 client is its /64, which is what a subscriber has.
    ///
    /// It is for servers that clients reach directly: the client is the peer of the socket, and all that come through a
    /// proxy are one. Sockets count before they have asked for anything; what they ask for is limited by
    /// `LimitClients`, HTTP middleware, which knows clients behind proxies. Those who share an
    /// address, as in an office or on a mobile network, share the number.
    pub fn max_sockets_per_client(mut self, sockets: usize) -> Self {
        self.max_sockets_per_client = Some(sockets);
        self
    }

    /// Speaks HTTP/2 as well, with so many streams on a socket at the same time; 0, HTTP/1.1 only, if not set. 100 is
    /// what clients expect at least (RFC 9113, section 6.5.2).
    ///
    /// A stream may be a request or a WebSocket (RFC 8441), so that browsers open theirs on the connection that they
    /// have already. Over TLS the protocol is agreed on by ALPN; without TLS the first bytes tell, as proxies send
    /// them that know beforehand what they talk to. There is no upgrade from HTTP/1.1.
    ///
    /// It is not the default because one socket then stands for many connections: limits by socket at a proxy or a
    /// firewall no longer limit them. Here they do: each WebSocket takes a place of [`max_sockets`](Self::max_sockets)
    /// beside that of its socket, and is answered 503 when there is none. A socket without streams is closed after the
    /// [`keep_alive_timeout`](Self::keep_alive_timeout), and without a first one after the
    /// [`header_timeout`](Self::header_timeout); one that resets more than 100 streams in a second at once. A client
    /// may be ahead of what is read from a stream by 64 KiB, and of what is read from a socket by 1 MiB: WebSockets
    /// whose requests all wait can hold up others of the same socket, and only those.
    #[cfg(feature = "http2")]
    pub fn http2_streams(mut self, streams: u32) -> Self {
        self.http2_streams = streams;
        self
    }

    /// Whether SIGTERM and SIGINT drain the server; `true` if not set. The handlers stay for the rest of the
    /// process.
    pub fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }

    /// A handle to watch and stop the server from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.control))
    }

    /// Everything that is wrong with the settings.
    fn mistakes(&self) -> Vec<String> {
        let counts = [
            ("max_sockets", self.max_sockets),
            ("max_waiting_bytes", self.max_waiting_bytes),
            ("max_sockets_per_client", self.max_sockets_per_client),
        ];
        let times = [
            ("header_timeout", self.header_timeout),
            ("keep_alive_timeout", self.keep_alive_timeout),
            ("request_timeout", self.request_timeout),
            #[cfg(feature = "tls")]
            (
                "handshake_timeout",
                self.tls
                    .as_ref()
                    .map_or(FOREVER, |tls| tls.handshake_timeout),
            ),
        ];
        let counts = counts.map(|(name, count)| setting_above_zero(name, count).err());
        let times = times.map(|(name, time)| setting_above_zero(name, time).err());
        let mode = self.unix_mode.filter(|mode| *mode > 0o777);
        let mode = mode
            .map(|mode| format!("{mode:#o} is not a mode for Unix sockets; write it like `0o660`"));
        let proxies = self.sources.iter().filter_map(|source| match source {
            Source::Proxied(_, proxies) => proxies.check().err(),
            _ => None,
        });
        let admin = self.admin.iter().flat_map(Admin::check);
        (counts.into_iter().chain(times).flatten())
            .chain(mode)
            .chain(proxies)
            .chain(admin)
            .collect()
    }

    /// Serves the gateway until the server has drained or was stopped. Mistakes in the gateway and in the settings of the
    /// server are told all at once, before anything is listened on.
    pub async fn serve(self, gateway: Gateway) -> Result<(), ServeError> {
        let mut mistakes = gateway.check().err().unwrap_or_default();
        mistakes.extend(self.mistakes().into_iter().map(GatewayError::Setting));
        if !mistakes.is_empty() {
            return Err(ServeError::Mistakes(mistakes));
        }
        let max_sockets = self.max_sockets.unwrap_or(usize::MAX);
        let max_sockets = max_sockets.min(Semaphore::MAX_PERMITS);
        let runtime = Runtime::new(self.max_waiting_bytes);
        let (sockets, requests) = (TaskTracker::new(), TaskTracker::new());
        #[cfg(feature = "metrics")]
        let observers = gateway.observers();
        let permits = Arc::new(Semaphore::new(max_sockets));
        let acceptor = Acceptor {
            router: gateway.routed(),
            runtime: runtime.clone(),
            sockets: sockets.clone(),
            requests: Some(requests.clone()),
            permits: Arc::clone(&permits),
            per_client: self
                .max_sockets_per_client
                .map(|most| (most, PerClient::default())),
            proxies: None,
            crowd: None,
            header_timeout: self.header_timeout,
            keep_alive_timeout: self.keep_alive_timeout,
            request_timeout: self.request_timeout,
            patience: self.request_timeout,
            control: Arc::clone(&self.control),
            #[cfg(feature = "http2")]
            http2: (self.http2_streams > 0).then_some(self.http2_streams),
            #[cfg(feature = "tls")]
            tls: self.tls,
        };
        #[cfg(feature = "metrics")]
        let figures = Arc::new(crate::metrics::Figures {
            channels: observers,
            runtime: runtime.clone(),
            sockets: permits,
            max_sockets,
        });
        #[cfg(feature = "metrics")]
        self.control.serves(&figures);
        let mut accepting = JoinSet::new();
        let mut listening = Vec::new();
        for source in self.sources {
            let mut acceptor = acceptor.clone();
            if let Source::Proxied(_, proxies) = &source {
                acceptor.proxies = Some(proxies.clone());
            }
            #[cfg(feature = "tls")]
            if matches!(source, Source::Plain(_)) {
                acceptor.tls = None;
            }
            listening.push((source.listen(self.unix_mode).await?, acceptor));
        }
        let mut admin_addr = None;
        if let Some(admin) = self.admin {
            let listener = Source::Plain(admin.address.clone())
                .listen(self.unix_mode)
                .await?;
            admin_addr = listener.local_addr();
            let mut acceptor = acceptor.clone();
            // No web page can reach a Unix socket.
            let control = Arc::clone(&self.control);
            acceptor.router = admin.into_router(admin_addr.is_some(), move || control.observe());
            acceptor.per_client = None;
            acceptor.crowd = Some(Crowd::default());
            acceptor.permits = Arc::new(Semaphore::new(ADMIN_SOCKETS));
            acceptor.request_timeout = ADMIN_TIMEOUT;
            acceptor.keep_alive_timeout = self.header_timeout;
            acceptor.patience = ADMIN_PATIENCE;
            acceptor.requests = None;
            #[cfg(feature = "http2")]
            {
                acceptor.http2 = None;
            }
            #[cfg(feature = "tls")]
            {
                acceptor.tls = None;
            }
            tracing::info!(on = %listener, "listening for operators");
            accepting.spawn(acceptor.run(listener));
        }
        if self.signals {
            drain::on_signals(Arc::clone(&self.control)).map_err(ServeError::Signals)?;
        }
        let mut addrs = Vec::new();
        for (listener, acceptor) in listening {
            listener.keep_alive();
            listener.take_little();
            tracing::info!(on = %listener, "listening");
            addrs.extend(listener.local_addr());
            accepting.spawn(acceptor.run(listener));
        }
        drop(acceptor);
        self.control.bound(addrs, admin_addr);
        drain::leave(&self.control, &runtime, self.drain_delay).await;
        let deadline = drain::drain(
            &self.control,
            &runtime,
            &requests,
            self.drain_timeout,
            self.drain_spread,
        )
        .await;
        self.control.set(Phase::Closing);
        accepting.shutdown().await;
        sockets.close();
        tokio::select! {
            () = sockets.wait() => {}
            () = sleep_until(deadline) => {}
            () = self.control.wait_for(Phase::Stopped) => {}
        }
        self.control.set(Phase::Stopped);
        sockets.wait().await;
        // A handshake may have overtaken the drain.
        let _ = tokio::time::timeout(LAST_ANSWER, runtime.tasks().wait()).await;
        tracing::info!("stopped");
        Ok(())
    }
}
