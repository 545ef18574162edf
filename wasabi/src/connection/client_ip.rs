//! The address of a client.

use std::{fmt, net::IpAddr};

/// The address of the client: as an extractor the address itself, and the names of the HTTP middleware that finds
/// it out.
///
/// Without such middleware it is the address of the peer, which behind a proxy is the proxy's. What a proxy says in a
/// header is believed only when the peer is one of the networks that are trusted: anybody can send the header.
///
/// As an extractor it stands in backend functions and in axum handlers; elsewhere there is
/// [`Connection::client_ip`](crate::Connection::client_ip).
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn whoami(ClientIp(ip): ClientIp) -> String {
///     ip.to_string()
/// }
///
/// let gateway = gateway!(
///     http = [ClientIp::trusting(["10.0.0.0/8", "fd00::/8"])],
///     channel(
///         "/",
///         middleware = [RateLimit::per_minute(100).by(|req| req.connection().client_ip())],
///         whoami,
///     ),
/// );
/// # drop(gateway);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientIp(pub IpAddr);

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What stands for one client where addresses are counted: an IPv6 subscriber has a /64 of them (RFC 6177).
pub(crate) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
    }
}
