//! The accept loop of one listener.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::task::TaskTracker;

#[cfg(feature = "tls")]
use super::tls::Tls;
use super::{
    answers::Peer,
    control::ServerPhase,
    crowd::{Crowd, Worker},
    http::HttpService,
    listener::{Accepted, Listener},
    protocol,
};
use crate::{
    connection::{client_ip::subscriber, transport::Transport},
    log::limited,
    middleware::http::ClientIpLayer,
    per_client::{ClientPlace, PerClient},
    runtime::SocketPlace,
};

/// How the accept loops of a server handle sockets.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) http: HttpService,
    pub(super) sockets: TaskTracker,
    /// The socket limit per client, and the open sockets of each client.
    pub(super) per_client: Option<(usize, PerClient<IpAddr>)>,
    /// The proxies that begin with a PROXY protocol header, on listeners that require one.
    pub(super) proxies: Option<ClientIpLayer>,
    /// Set where new sockets do not wait for old ones.
    pub(super) crowd: Option<Crowd>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
}

impl Acceptor {
    pub(super) async fn run(self, listener: Listener) {
        let acceptor = Arc::new(self);
        loop {
            if acceptor.crowd.is_none() {
                // Do not hold the permit while no client connects: something else may need the place.
                drop(acceptor.http.places.acquire().await);
            }
            let accepted = listener.accept().await;
            if let Some(crowd) = &acceptor.crowd
                && acceptor.http.places.available_permits() == 0
            {
                crowd.make_room();
            }
            match accepted {
                Ok(accepted) => {
                    let Some(of_client) = acceptor.place_of(accepted.addr(), false) else {
                        continue; // closed, by being dropped
                    };
                    match Arc::clone(&acceptor.http.places).acquire_owned().await {
                        Ok(place) => {
                            let place = SocketPlace::new(place).of_client(of_client);
                            acceptor.serve(accepted, place);
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
    fn place_of(
        &self,
        addr: Option<SocketAddr>,
        is_told: bool,
    ) -> Option<Option<ClientPlace<IpAddr>>> {
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

    fn serve(self: &Arc<Self>, accepted: Accepted, place: SocketPlace) {
        let addr = accepted.addr();
        tracing::trace!(?addr, "accepted");
        let acceptor = Arc::clone(self);
        let member = self.crowd.as_ref().map(Crowd::enter);
        // Boxed, because tokio moves the future of a task several times.
        self.sockets.spawn(Box::pin(async move {
            let Some(member) = member else {
                return acceptor.serve_accepted(accepted, addr, place, None).await;
            };
            let worker = Some(member.worker());
            tokio::select! {
                () = acceptor.serve_accepted(accepted, addr, place, worker) => {}
                () = member.sent_away() => tracing::debug!(?addr, "made room for another socket"),
            }
        }));
    }

    async fn serve_accepted(
        &self,
        mut accepted: Accepted,
        mut addr: Option<SocketAddr>,
        mut place: SocketPlace,
        worker: Option<Worker>,
    ) {
        if let Some(proxies) = &self.proxies {
            if !proxies.trusts(addr) {
                tracing::debug!(?addr, "the peer is not a trusted proxy");
                return;
            }
            let told = tokio::select! {
                told = timeout(self.http.header_timeout, accepted.told()) => told,
                () = self.http.control.wait_for(ServerPhase::Closing) => return,
            };
            match told {
                Ok(Ok(client)) => addr = client.or(addr),
                Ok(Err(error)) => return tracing::debug!(?addr, %error, "no valid PROXY header"),
                Err(_) => return tracing::debug!(?addr, "no PROXY header in time"),
            }
            let Some(of_client) = self.place_of(addr, true) else {
                return;
            };
            place = place.of_client(of_client);
        }
        let transport = tokio::select! {
            transport = self.establish(accepted) => transport,
            () = self.http.control.wait_for(ServerPhase::Closing) => return,
        };
        let ended = match transport {
            Ok(transport) => {
                let peer = Peer {
                    addr,
                    permit: place.permit(),
                    worker,
                    #[cfg(feature = "tls")]
                    over_tls: matches!(transport, Transport::Tls(_)),
                    #[cfg(feature = "tls")]
                    certificates: transport.peer_certificates(),
                };
                protocol::serve(&self.http, transport, peer).await
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
            return Box::pin(tls.accept(stream, self.http.speaks_http2())).await;
        }
        Ok(accepted.into())
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
