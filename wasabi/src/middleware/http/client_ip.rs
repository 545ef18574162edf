//! Finds the address of the client, also behind proxies.

mod front;
mod hops;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{Extensions, HeaderMap, StatusCode, request::Parts};
use ipnet::IpNet;
use tower::{Layer, Service};
use wasabi_rules::Network;

use crate::{
    Connection, Error, FromConnection, FromRequest, Request, Result,
    connection::{
        ClientIp,
        peer::{Front, Hops, UnixPeer},
    },
    extract::also_when_ended,
    mistakes::{self, Mistakes},
};

impl ClientIp {
    /// Uses the address of the peer and ignores headers: for gateways that clients reach directly.
    pub fn peer() -> ClientIpLayer {
        ClientIpLayer::new(Source::Peer, [] as [&str; 0])
    }

    /// For gateways behind proxies with addresses in these networks, each of which adds the address of its peer to
    /// `X-Forwarded-For`. The client is the rightmost address that is not one of theirs.
    ///
    /// A network is written `10.0.0.0/8`, `fd00::/8` or `192.0.2.1`; `::ffff:10.0.0.0/104` is `10.0.0.0/8`, and `unix:`
    /// stands for the peers of Unix sockets. An invalid network trusts no peer and is a mistake, so the server does not
    /// start.
    ///
    /// If a proxy along the way names no address, or an unreadable one, nothing to the left of it is trusted, and the
    /// client is the last hop that was named.
    ///
    /// Their `X-Forwarded-Host` and `X-Forwarded-Proto` headers, if they have a single value, count for the channel
    /// settings `hosts` and `origins`. The proxies must set these headers themselves, and never pass on those of
    /// clients.
    pub fn trusting<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> ClientIpLayer {
        ClientIpLayer::new(Source::XForwardedFor, networks)
    }

    /// For gateways behind Cloudflare: uses `CF-Connecting-IP` if the peer is in these networks. Cloudflare publishes
    /// its networks at <https://www.cloudflare.com/ips/>.
    pub fn cloudflare<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> ClientIpLayer {
        ClientIpLayer::new(Source::Cloudflare, networks)
    }

    /// For gateways behind Amazon CloudFront: uses `CloudFront-Viewer-Address` if the peer is in these networks. AWS
    /// publishes them as `CLOUDFRONT_ORIGIN_FACING` at <https://ip-ranges.amazonaws.com/ip-ranges.json>. CloudFront
    /// sends the header if the origin request policy asks for it.
    pub fn cloudfront<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> ClientIpLayer {
        ClientIpLayer::new(Source::CloudFront, networks)
    }

    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        let found = extensions.get::<Self>().copied();
        found.or_else(|| Peer::of(extensions).ip().map(Self))
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for ClientIp {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        of(req.connection())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Gateway, &["internal"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromConnection<S> for ClientIp {
    async fn from_connection(connection: &Connection, _state: &S) -> Result<Self> {
        of(connection)
    }
}

also_when_ended! {
    [] ClientIp;
}

fn of(connection: &Connection) -> Result<ClientIp> {
    let ip = connection.client_ip();
    ip.map(ClientIp).ok_or_else(|| Error::internal(UNKNOWN))
}

impl<S: Sync> FromRequestParts<S> for ClientIp {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Self::of(&parts.extensions).ok_or((StatusCode::INTERNAL_SERVER_ERROR, UNKNOWN))
    }
}

const UNKNOWN: &str = "the address of the client is unknown";

/// Sets the [`ClientIp`]: a `tower::Layer` for `http = [..]` and for axum routers.
#[derive(Debug, Clone)]
pub struct ClientIpLayer(Arc<Rules>);

#[derive(Debug, Clone)]
struct Rules {
    source: Source,
    trusted: Vec<IpNet>,
    trusts_unix: bool,
    mistakes: Mistakes,
}

/// Where the address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Peer,
    XForwardedFor,
    Forwarded,
    Cloudflare,
    CloudFront,
}

impl ClientIpLayer {
    fn new<N: AsRef<str>>(source: Source, networks: impl IntoIterator<Item = N>) -> Self {
        let mut rules = Rules {
            source,
            trusted: Vec::new(),
            trusts_unix: false,
            mistakes: Mistakes::default(),
        };
        for network in networks {
            match wasabi_rules::network(network.as_ref()) {
                Ok(Network::Unix) => rules.trusts_unix = true,
                Ok(Network::Ip(ip, bits)) => rules.trusted.extend(IpNet::new(ip, bits)),
                Err(mistake) => rules.mistakes.push(mistake),
            }
        }
        Self(Arc::new(rules))
    }

    /// For proxies that write `Forwarded` (RFC 7239) instead of `X-Forwarded-For`, with `host` and `proto` instead of
    /// the other headers. Only one kind is ever read, because a proxy that writes one kind passes the other through as
    /// the client sent it.
    #[must_use]
    pub fn forwarded(mut self) -> Self {
        let rules = Arc::make_mut(&mut self.0);
        match rules.source {
            Source::XForwardedFor | Source::Forwarded => rules.source = Source::Forwarded,
            Source::Peer | Source::Cloudflare | Source::CloudFront => rules
                .mistakes
                .push("`.forwarded()` is only for `ClientIp::trusting(..)`; remove it".to_owned()),
        }
        self
    }

    /// Whether a peer with this address is trusted; `None` is the peer of a Unix socket.
    pub(crate) fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        self.0.trusts(match peer {
            Some(addr) => Peer::Ip(addr.ip().to_canonical()),
            None => Peer::Unix,
        })
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.0.mistakes.check()
    }
}

impl Rules {
    /// The hops from the client to the last proxy before the peer, as far as trusted hops name them.
    fn hops(&self, peer: Peer, headers: &HeaderMap) -> Vec<IpAddr> {
        if !self.trusts(peer) {
            return Vec::new();
        }
        let named = match self.source {
            Source::Peer => None,
            Source::XForwardedFor => return self.trusted(hops::x_forwarded_for(headers)),
            Source::Forwarded => return self.trusted(hops::forwarded(headers)),
            Source::Cloudflare => hops::only(headers, "cf-connecting-ip").and_then(hops::address),
            Source::CloudFront => {
                hops::only(headers, "cloudfront-viewer-address").and_then(hops::address_then_port)
            }
        };
        Vec::from_iter(named)
    }

    /// The host and the scheme that the client requested, according to a trusted proxy.
    fn front(&self, headers: &HeaderMap) -> Option<Front> {
        match self.source {
            Source::Peer => None,
            Source::Forwarded => Front::forwarded(headers),
            Source::XForwardedFor | Source::Cloudflare | Source::CloudFront => {
                Front::x_forwarded(headers)
            }
        }
    }

    /// The hops, starting at the first from the right that is not trusted, or at the last that can be read.
    fn trusted(&self, from_right: impl Iterator<Item = Option<IpAddr>>) -> Vec<IpAddr> {
        let mut hops = Vec::new();
        for hop in from_right {
            let Some(ip) = hop else { break };
            hops.push(ip);
            if !self.trusts(Peer::Ip(ip)) {
                break;
            }
        }
        hops.reverse();
        hops
    }

    fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(ip) => self.trusted.iter().any(|network| network.contains(&ip)),
            Peer::Unix => self.trusts_unix,
            Peer::Unknown => false,
        }
    }
}

/// The other end of the socket.
#[derive(Debug, Clone, Copy)]
enum Peer {
    Ip(IpAddr),
    Unix,
    Unknown,
}

impl Peer {
    fn of(extensions: &Extensions) -> Self {
        match extensions.get::<ConnectInfo<SocketAddr>>() {
            // A dual-stack socket shows IPv4 clients as IPv4-mapped IPv6 addresses.
            Some(ConnectInfo(addr)) => Self::Ip(addr.ip().to_canonical()),
            None if extensions.get::<UnixPeer>().is_some() => Self::Unix,
            None => Self::Unknown,
        }
    }

    fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            Self::Unix | Self::Unknown => None,
        }
    }
}

impl<S> Layer<S> for ClientIpLayer {
    type Service = ClientIpService<S>;

    fn layer(&self, inner: S) -> ClientIpService<S> {
        mistakes::tell(&self.0.mistakes);
        let rules = Arc::clone(&self.0);
        ClientIpService { inner, rules }
    }
}

/// The service that [`ClientIpLayer`] creates.
#[derive(Debug, Clone)]
pub struct ClientIpService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S, B> Service<http::Request<B>> for ClientIpService<S>
where
    S: Service<http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut req: http::Request<B>) -> S::Future {
        let peer = Peer::of(req.extensions());
        if self.rules.trusts(peer)
            && let Some(front) = self.rules.front(req.headers())
        {
            req.extensions_mut().insert(front);
        }
        let hops = self.rules.hops(peer, req.headers());
        if let Some(ip) = hops.first().copied().or(peer.ip()) {
            req.extensions_mut().insert(ClientIp(ip));
        }
        // An outer layer of this kind may have set others.
        req.extensions_mut().remove::<Hops>();
        if hops.len() > 1 {
            req.extensions_mut().insert(Hops(hops.into()));
        }
        self.inner.call(req)
    }
}
