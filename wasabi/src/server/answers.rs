//! Answers to the HTTP requests of one socket.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use hyper::Request;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{crowd::Worker, held::holding};
#[cfg(feature = "tls")]
use crate::connection::PeerCertificates;
use crate::{
    connection::peer::UnixPeer,
    gateway::path,
    log::limited,
    panics::caught_future,
    runtime::{Runtime, SocketPermit},
};

/// The client at the other end of a socket.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) addr: Option<SocketAddr>,
    pub(super) permit: SocketPermit,
    pub(super) worker: Option<Worker>,
    #[cfg(feature = "tls")]
    pub(super) over_tls: bool,
    #[cfg(feature = "tls")]
    pub(super) certificates: Option<PeerCertificates>,
}

/// Answers the requests of one socket.
pub(super) struct Answers {
    pub(super) router: Router,
    pub(super) runtime: Runtime,
    /// The requests that a drain waits for; `None` if it waits for none.
    pub(super) requests: Option<TaskTracker>,
    pub(super) timeout: Duration,
    pub(super) peer: Peer,
}

impl Answers {
    pub(super) fn to(
        &self,
        mut req: Request<Body>,
    ) -> impl Future<Output = Response> + Send + use<> {
        let refused = path::normalise(req.uri_mut()).err();
        let extensions = req.extensions_mut();
        match self.peer.addr {
            Some(addr) => extensions.insert(ConnectInfo(addr)).map(drop),
            None => extensions.insert(UnixPeer).map(drop),
        };
        #[cfg(feature = "tls")]
        if self.peer.over_tls {
            extensions.insert(crate::connection::peer::OverTls);
        }
        #[cfg(feature = "tls")]
        if let Some(certificates) = &self.peer.certificates {
            extensions.insert(certificates.clone());
        }
        extensions.insert(self.runtime.clone());
        if extensions.get::<SocketPermit>().is_none() {
            extensions.insert(self.peer.permit.clone());
        }
        // New requests during a drain are not waited for: they could keep coming for ever.
        let waited_for = match &self.requests {
            Some(requests) if !self.runtime.is_draining() => Some(requests.token()),
            _ => None,
        };
        let answer = tokio::time::timeout(self.timeout, self.router.clone().oneshot(req));
        let working = self.peer.worker.as_ref().map(Worker::work);
        async move {
            let _working = working;
            if let Some(why) = refused {
                return path::refusal(why);
            }
            let response = match caught_future(answer).await {
                Ok(Ok(Ok(response))) => response,
                Ok(Err(_)) => {
                    (StatusCode::SERVICE_UNAVAILABLE, "no answer in time").into_response()
                }
                Err(_) => {
                    limited!(ERROR, "an HTTP endpoint or middleware panicked");
                    (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
                }
            };
            response.map(|body| holding(waited_for, body))
        }
    }
}
