//! The address of a client.

use std::{fmt, net::IpAddr};

/// The address of the client, as an extractor, and the name of the HTTP middleware that finds it.
///
/// Without this middleware, it is the address of the peer; behind a proxy, that is the proxy's. A proxy's header is
/// believed only if the peer belongs to one of the trusted networks, because anyone can send the header.
///
/// The extractor works in backend functions and in axum handlers; elsewhere, use
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

/// The address that counts as one client: an IPv6 subscriber has a whole /64 (RFC 6177).
pub(crate) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
    }
}
