//! The accept loop of one listener.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

#[cfg(feature = "http2")]
use super::http2;
#[cfg(feature = "tls")]
use super::tls::Tls;
use super::{
    crowd::{Crowd, Worker},
    drain::{Control, Phase},
    held::holding,
    listener::{Accepted, Listener},
};
#[cfg(feature = "tls")]
use crate::connection::PeerCertificates;
use crate::{
    connection::{
        client_ip::subscriber,
        peer::UnixPeer,
        transport::{Transport, heads::Heads, patient::Patient},
    },
    gateway::path,
    log::limited,
    middleware::http::ClientIpLayer,
    panics::caught_future,
    per_client::{PerClient, Place},
    runtime::{Runtime, SocketPermit},
};

/// How long an HTTP request may still take once the server no longer waits for it.
pub(super) const LAST_ANSWER: Duration = Duration::from_secs(1);

/// The maximum size of a request head in bytes; a larger one is answered 431. A connection keeps its head in memory.
/// With HTTP/1.1 hyper also limits a head to 100 lines, because it needs memory for that many lines with each request.
/// With HTTP/2 each field counts 32 bytes more than its own (RFC 9113, section 10.5.1).
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// How the accept loops of a server handle sockets.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) router: Router,
    pub(super) runtime: Runtime,
    pub(super) sockets: TaskTracker,
    /// The HTTP requests that a drain waits for; `None` if it waits for none.
    pub(super) requests: Option<TaskTracker>,
    pub(super) permits: Arc<Semaphore>,
    /// The socket limit per client, and the open sockets of each client.
    pub(super) per_client: Option<(usize, PerClient<IpAddr>)>,
    /// The proxies that begin with a PROXY protocol header, on listeners that require one.
    pub(super) proxies: Option<ClientIpLayer>,
    /// Set where new sockets do not wait for old ones.
    pub(super) crowd: Option<Crowd>,
    pub(super) header_timeout: Duration,
    pub(super) keep_alive_timeout: Duration,
    pub(super) request_timeout: Duration,
    /// How long the server waits for a client that reads answers too slowly.
    pub(super) patience: Duration,
    pub(super) control: Arc<Control>,
    /// The maximum number of HTTP/2 streams on one socket; `None` without HTTP/2.
    #[cfg(feature = "http2")]
    pub(super) http2: Option<u32>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
}

impl Acceptor {
    pub(super) async fn run(self, listener: Listener) {
        let acceptor = Arc::new(self);
        loop {
            if acceptor.crowd.is_none() {
                // Do not hold the permit while no client connects: something else may need the place.
                drop(acceptor.permits.acquire().await);
            }
            let accepted = listener.accept().await;
            if let Some(crowd) = &acceptor.crowd
                && acceptor.permits.available_permits() == 0
            {
                crowd.make_room();
            }
            match accepted {
                Ok(accepted) => {
                    let Some(of_client) = acceptor.place_of(accepted.addr(), false) else {
                        continue; // closed, by being dropped
                    };
                    match Arc::clone(&acceptor.permits).acquire_owned().await {
                        Ok(permit) => {
                            let permit = SocketPermit::new(permit).of_client(of_client);
                            acceptor.serve(accepted, permit);
                        }
                        Err(_) => return, // never closed
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Out of file descriptors, for instance: other sockets must close first.
                    limited!(WARN, %error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Takes a place among the client's sockets, if these are limited; `None` if the client has too many.
    fn place_of(&self, addr: Option<SocketAddr>, is_told: bool) -> Option<Option<Place<IpAddr>>> {
        let (Some((most, sockets)), Some(addr)) = (&self.per_client, addr) else {
            return Some(None);
        };
        if self.proxies.is_some() != is_told {
            return Some(None); // the proxy has yet to name the client
        }
        let place = sockets.enter(subscriber(addr.ip().to_canonical()), *most);
        if place.is_none() {
            tracing::debug!(?addr, "too many sockets of this client");
        }
        place.map(Some)
    }

    fn serve(self: &Arc<Self>, accepted: Accepted, permit: SocketPermit) {
        let addr = accepted.addr();
        tracing::trace!(?addr, "accepted");
        let acceptor = Arc::clone(self);
        let member = self.crowd.as_ref().map(Crowd::enter);
        self.sockets.spawn(async move {
            let Some(member) = member else {
                return acceptor.serve_accepted(accepted, addr, permit, None).await;
            };
            let worker = Some(member.worker());
            tokio::select! {
                () = acceptor.serve_accepted(accepted, addr, permit, worker) => {}
                () = member.sent_away() => tracing::debug!(?addr, "made room for another socket"),
            }
        });
    }

    async fn serve_accepted(
        &self,
        mut accepted: Accepted,
        mut addr: Option<SocketAddr>,
        mut permit: SocketPermit,
        worker: Option<Worker>,
    ) {
        if let Some(proxies) = &self.proxies {
            if !proxies.trusts(addr) {
                tracing::debug!(?addr, "not a proxy that is trusted");
                return;
            }
            let told = tokio::select! {
                told = timeout(self.header_timeout, accepted.told()) => told,
                () = self.control.wait_for(Phase::Closing) => return,
            };
            match told {
                Ok(Ok(client)) => addr = client.or(addr),
                Ok(Err(error)) => return tracing::debug!(?addr, %error, "no header of a proxy"),
                Err(_) => return tracing::debug!(?addr, "no header of a proxy in time"),
            }
            let Some(of_client) = self.place_of(addr, true) else {
                return;
            };
            permit = permit.of_client(of_client);
        }
        let transport = tokio::select! {
            transport = self.establish(accepted) => transport,
            () = self.control.wait_for(Phase::Closing) => return,
        };
        let ended = match transport {
            Ok(transport) => {
                let peer = Peer {
                    addr,
                    permit,
                    worker,
                    #[cfg(feature = "tls")]
                    over_tls: matches!(transport, Transport::Tls(_)),
                    #[cfg(feature = "tls")]
                    certificates: transport.peer_certificates(),
                };
                self.talk(transport, peer).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            tracing::trace!(?addr, %error, "HTTP connection failed");
        }
    }

    async fn establish(&self, accepted: Accepted) -> io::Result<Transport> {
        #[cfg(feature = "tls")]
        if let (Some(tls), Accepted::Tcp(..)) = (&self.tls, &accepted)
            && let Accepted::Tcp(stream, _) = accepted
        {
            // Boxed, so that sockets without TLS do not pay for the size of its handshake.
            return Box::pin(tls.accept(stream, self.speaks_http2())).await;
        }
        Ok(accepted.into())
    }

    #[cfg(feature = "tls")]
    fn speaks_http2(&self) -> bool {
        #[cfg(feature = "http2")]
        return self.http2.is_some();
        #[cfg(not(feature = "http2"))]
        false
    }

    #[cfg(feature = "http2")]
    async fn talk(&self, mut transport: Transport, peer: Peer) -> Result<(), crate::BoxError> {
        let Some(streams) = self.http2 else {
            return self.talk_http1(transport, Ahead::default(), peer).await;
        };
        let head_by = Instant::now() + self.header_timeout;
        let mut ahead = Vec::new();
        let reading = http2::preface(&mut transport, &mut ahead);
        let is_http2 = tokio::select! {
            read = tokio::time::timeout_at(head_by, reading) => read??,
            () = self.control.wait_for(Phase::Closing) => return Ok(()),
        };
        if is_http2 {
            let talking = http2::Talk {
                acceptor: self,
                streams,
                peer,
                head_by,
            };
            Box::pin(talking.run(transport, ahead)).await
        } else {
            let ahead = Ahead {
                bytes: ahead,
                head_by: Some(head_by),
            };
            self.talk_http1(transport, ahead, peer).await
        }
    }

    #[cfg(not(feature = "http2"))]
    async fn talk(&self, transport: Transport, peer: Peer) -> Result<(), crate::BoxError> {
        self.talk_http1(transport, Ahead::default(), peer).await
    }

    async fn talk_http1(
        &self,
        transport: Transport,
        ahead: Ahead,
        peer: Peer,
    ) -> Result<(), crate::BoxError> {
        let answers = self.answers(peer);
        let runtime = self.runtime.clone();
        let first = ahead.head_by;
        let first = first.unwrap_or_else(|| Instant::now() + self.header_timeout);
        let heads = Heads::new(first, self.header_timeout);
        let served = heads.clone();
        let has_head = Arc::new(AtomicBool::new(false));
        let had_head = Arc::clone(&has_head);
        let service = service_fn(move |req: Request<Incoming>| {
            had_head.store(true, Ordering::Relaxed);
            let serving = served.serve();
            let answer = answers.to(req.map(Body::new));
            let runtime = runtime.clone();
            async move {
                let mut response = answer.await;
                if runtime.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                let response = response.map(|body| holding(serving, body));
                Ok::<Response, Infallible>(response)
            }
        });
        let io = Patient::new(transport, ahead.bytes, self.patience).tell(heads.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.keep_alive_timeout.max(self.header_timeout))
            .max_header_size(MAX_HEAD)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = heads.late() => return Err("no head in time".into()),
            () = self.control.wait_for(Phase::Closing) => {}
        }
        // Closes the connection unless a request is there, or may be on its way.
        connection.as_mut().graceful_shutdown();
        let cut = async {
            if !has_head.load(Ordering::Relaxed) {
                sleep(LAST_ANSWER).await;
            }
            if has_head.load(Ordering::Relaxed) {
                self.control.wait_for(self.cut_in()).await;
                sleep(LAST_ANSWER).await;
            }
        };
        tokio::select! {
            ended = connection => Ok(ended?),
            () = cut => Ok(()),
        }
    }

    /// The phase in which requests get a last second for their answers.
    fn cut_in(&self) -> Phase {
        match self.requests {
            Some(_) => Phase::Stopped,
            None => Phase::Closing,
        }
    }

    pub(super) fn answers(&self, peer: Peer) -> Answers {
        Answers {
            router: self.router.clone(),
            runtime: self.runtime.clone(),
            requests: self.requests.clone(),
            timeout: self.request_timeout,
            peer,
        }
    }
}

/// Bytes already read while detecting which protocol a client speaks.
#[derive(Default)]
struct Ahead {
    bytes: Vec<u8>,
    /// When the first head must be there: the time spent on detection counts.
    head_by: Option<Instant>,
}

/// The client at the other end of a socket.
#[derive(Clone)]
pub(super) struct Peer {
    addr: Option<SocketAddr>,
    pub(super) permit: SocketPermit,
    worker: Option<Worker>,
    #[cfg(feature = "tls")]
    over_tls: bool,
    #[cfg(feature = "tls")]
    certificates: Option<PeerCertificates>,
}

/// Answers the requests of one socket.
pub(super) struct Answers {
    router: Router,
    runtime: Runtime,
    requests: Option<TaskTracker>,
    timeout: Duration,
    peer: Peer,
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

/// Whether an `accept` error concerns only one client.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
