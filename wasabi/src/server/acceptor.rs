//! The accept loop of one listener.

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
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

#[cfg(feature = "tls")]
use super::tls::Tls;
use super::{
    drain::{Control, Phase},
    listener::{Accepted, Listener, UnixPeer},
    patient::Patient,
    runtime::{Runtime, SocketPermit},
    transport::Transport,
};

/// How long an HTTP request that is being answered when everything else has ended may take.
pub(super) const LAST_ANSWER: Duration = Duration::from_secs(1);

/// The most bytes that the head of a request may have; a larger one is answered 431. A connection keeps its head.
const MAX_HEAD: usize = 64 * 1024;

/// What the accept loops of a server do with sockets.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) router: Router,
    pub(super) runtime: Runtime,
    pub(super) sockets: TaskTracker,
    pub(super) permits: Arc<Semaphore>,
    pub(super) header_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) control: Arc<Control>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
}

impl Acceptor {
    pub(super) async fn run(self, listener: Listener) {
        let acceptor = Arc::new(self);
        loop {
            let Ok(permit) = Arc::clone(&acceptor.permits).acquire_owned().await else {
                return; // never closed
            };
            match listener.accept().await {
                Ok(accepted) => acceptor.serve(accepted, SocketPermit::new(permit)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Out of file descriptors, for instance: others must end first.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn serve(self: &Arc<Self>, accepted: Accepted, permit: SocketPermit) {
        let addr = accepted.addr();
        tracing::trace!(?addr, "accepted");
        let acceptor = Arc::clone(self);
        self.sockets.spawn(async move {
            let transport = tokio::select! {
                transport = acceptor.establish(accepted) => transport,
                () = acceptor.control.wait_for(Phase::Stopped) => return,
            };
            let ended = match transport {
                Ok(transport) => acceptor.talk(transport, addr, permit).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = ended {
                tracing::trace!(?addr, %error, "HTTP connection failed");
            }
        });
    }

    async fn establish(&self, accepted: Accepted) -> io::Result<Transport> {
        #[cfg(feature = "tls")]
        if let (Some(tls), Accepted::Tcp(..)) = (&self.tls, &accepted)
            && let Accepted::Tcp(stream, _) = accepted
        {
            // Boxed, so that sockets without TLS do not pay for the size of its handshake.
            return Box::pin(tls.accept(stream)).await;
        }
        Ok(accepted.into())
    }

    async fn talk(
        &self,
        transport: Transport,
        addr: Option<SocketAddr>,
        permit: SocketPermit,
    ) -> Result<(), crate::BoxError> {
        let (router, runtime) = (self.router.clone(), self.runtime.clone());
        let timeout = self.request_timeout;
        let service = service_fn(move |mut req: Request<Incoming>| {
            let extensions = req.extensions_mut();
            match addr {
                Some(addr) => extensions.insert(ConnectInfo(addr)).map(drop),
                None => extensions.insert(UnixPeer).map(drop),
            };
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
            .serve_connection(TokioIo::new(Patient::new(transport, timeout)), service)
            .with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = self.control.wait_for(Phase::Stopped) => {}
        }
        connection.as_mut().graceful_shutdown();
        match tokio::time::timeout(LAST_ANSWER, connection).await {
            Ok(ended) => Ok(ended?),
            Err(_) => Ok(()),
        }
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
