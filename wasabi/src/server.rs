//! The server: listens, hands connections to the gateway, and drains.

mod drain;
mod patient;
mod runtime;
pub(crate) mod transport;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

pub(crate) use self::runtime::{Runtime, SocketPermit};
pub use self::{drain::ServerHandle, runtime::readiness};
use self::{
    drain::{Control, Phase},
    patient::Patient,
};
use crate::{Gateway, GatewayError, connection::driver::FOREVER};

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
/// # Stopping
///
/// SIGTERM and SIGINT (Ctrl-C) start a drain, unless [`signals(false)`](Self::signals); so does
/// [`ServerHandle::drain`]. [`readiness`] answers 503 from then on, and so do new handshakes; listening goes on
/// until the end, so that a load balancer sees it. Every connection finishes its requests in flight and is
/// closed with 1012. When all are gone, or at the end of the [`drain_timeout`](Self::drain_timeout), `serve`
/// returns. A second signal, or [`ServerHandle::stop`], ends everything at once.
#[derive(Debug)]
#[must_use = "a server does nothing until it serves a gateway"]
pub struct Server {
    source: Source,
    header_timeout: Duration,
    request_timeout: Duration,
    drain_timeout: Duration,
    drain_spread: Duration,
    max_sockets: usize,
    signals: bool,
    control: Arc<Control>,
}

#[derive(Debug)]
enum Source {
    Address(String),
    Listener(io::Result<TcpListener>),
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
    /// The gateway has mistakes that could not be seen at compile time.
    #[error("the gateway has mistakes:{}", .0.iter().map(|mistake| format!("\n  {mistake}")).collect::<String>())]
    Gateway(Vec<GatewayError>),
    /// The signal handlers cannot be installed.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}

impl Server {
    /// A server that will listen on `address`, such as `127.0.0.1:8080` or `[::]:8080`. With port 0 the system
    /// chooses one; [`ServerHandle::addr`] tells which.
    pub fn bind(address: impl ToString) -> Self {
        Self::new(Source::Address(address.to_string()))
    }

    /// A server on a listener that is open already.
    pub fn on(listener: std::net::TcpListener) -> Self {
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(listener));
        Self::new(Source::Listener(listener))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            header_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            drain_spread: Duration::from_secs(2),
            max_sockets: Semaphore::MAX_PERMITS,
            signals: true,
            control: Arc::new(Control::new()),
        }
    }

    /// How long a client may take to send the head of a request; 3 s if not set. Also an idle HTTP connection
    /// is closed after it.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout.min(FOREVER);
        self
    }

    /// How long an HTTP request, a handshake included, may take; 30 s if not set. Then it is answered 503. Also
    /// a client that takes nothing of an answer for so long is cut.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.min(FOREVER);
        self
    }

    /// How long a drain may take before the remaining connections are cut; 30 s if not set.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout.min(FOREVER);
        self
    }

    /// The window over which a drain spreads the closing of connections, so that clients do not all come back
    /// at the same moment; 2 s if not set.
    pub fn drain_spread(mut self, window: Duration) -> Self {
        self.drain_spread = window.min(FOREVER);
        self
    }

    /// How many sockets are open at the same time, WebSocket or not; any number if not set. Further ones wait
    /// in the system's queue.
    pub fn max_sockets(mut self, sockets: usize) -> Self {
        self.max_sockets = sockets.min(Semaphore::MAX_PERMITS);
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

    /// Serves the gateway until the server has drained or was stopped.
    pub async fn serve(self, gateway: Gateway) -> Result<(), ServeError> {
        gateway.check().map_err(ServeError::Gateway)?;
        let router = gateway.into_router();
        let (name, listener) = match self.source {
            Source::Address(address) => {
                let listener = TcpListener::bind(&address).await;
                (address, listener)
            }
            Source::Listener(listener) => ("the given listener".to_owned(), listener),
        };
        let failed = |source| ServeError::Bind {
            address: name.clone(),
            source,
        };
        let listener = listener.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        if self.signals {
            drain::on_signals(Arc::clone(&self.control)).map_err(ServeError::Signals)?;
        }
        let runtime = Runtime::default();
        let sockets = TaskTracker::new();
        let acceptor = Acceptor {
            router,
            runtime: runtime.clone(),
            sockets: sockets.clone(),
            permits: Arc::new(Semaphore::new(self.max_sockets)),
            header_timeout: self.header_timeout,
            request_timeout: self.request_timeout,
            control: Arc::clone(&self.control),
        };
        tracing::info!(%addr, "listening");
        self.control.bound(addr);
        let accepting = tokio::spawn(acceptor.run(listener));
        self.control.wait_for(Phase::Draining).await;
        drain::drain(
            &self.control,
            &runtime,
            self.drain_timeout,
            self.drain_spread,
        )
        .await;
        self.control.set(Phase::Stopped);
        accepting.abort();
        sockets.close();
        sockets.wait().await;
        // A handshake may have overtaken the drain.
        let _ = tokio::time::timeout(LAST_ANSWER, runtime.tasks().wait()).await;
        tracing::info!(%addr, "stopped");
        Ok(())
    }
}

/// How long an HTTP request that is being answered when everything else has ended may take.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// The most bytes that the head of a request may have; a larger one is answered 431. A connection keeps its head.
const MAX_HEAD: usize = 64 * 1024;

/// The accept loop.
struct Acceptor {
    router: Router,
    runtime: Runtime,
    sockets: TaskTracker,
    permits: Arc<Semaphore>,
    header_timeout: Duration,
    request_timeout: Duration,
    control: Arc<Control>,
}

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                return; // never closed
            };
            match listener.accept().await {
                Ok((stream, addr)) => self.serve(stream, addr, SocketPermit::new(permit)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Out of file descriptors, for instance: others must end first.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, addr: SocketAddr, permit: SocketPermit) {
        tracing::trace!(%addr, "accepted");
        let _ = stream.set_nodelay(true);
        let (router, runtime, timeout) = (
            self.router.clone(),
            self.runtime.clone(),
            self.request_timeout,
        );
        let service = service_fn(move |mut req: Request<Incoming>| {
            let extensions = req.extensions_mut();
            extensions.insert(ConnectInfo(addr));
            extensions.insert(runtime.clone());
            extensions.insert(permit.clone());
            let answer = router.clone().oneshot(req.map(Body::new));
            let runtime = runtime.clone();
            async move {
                let mut response = match tokio::time::timeout(timeout, answer).await {
                    Ok(Ok(response)) => response,
                    Err(_) => {
                        (StatusCode::SERVICE_UNAVAILABLE, "no answer in time").into_response()
                    }
                };
                if runtime.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<Response, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_header_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Patient::new(stream, timeout)), service)
            .with_upgrades();
        let control = Arc::clone(&self.control);
        self.sockets.spawn(async move {
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = control.wait_for(Phase::Stopped) => {
                    connection.as_mut().graceful_shutdown();
                    match tokio::time::timeout(LAST_ANSWER, connection).await {
                        Ok(ended) => ended,
                        Err(_) => return,
                    }
                }
            };
            if let Err(error) = ended {
                tracing::trace!(%addr, %error, "HTTP connection failed");
            }
        });
    }
}

/// Errors of `accept` that say something about one client only.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
