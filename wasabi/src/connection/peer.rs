//! What a socket and the proxies before it say of the client, in the extensions of what comes through it.

use std::{net::IpAddr, sync::Arc};

use http::uri::Authority;

/// Marks requests that came through a Unix socket, whose peers have no address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnixPeer;

/// Marks requests that have come over TLS with this server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls;

/// The hops of a request from its client to the proxy before the last one, where there are more than the client.
#[derive(Debug, Clone)]
pub(crate) struct Hops(pub(crate) Arc<[IpAddr]>);

/// The host and the scheme that the proxy in front was asked for; left in the extensions of a request when the proxy is
/// trusted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Front {
    pub(crate) host: Option<Authority>,
    /// Whether it was asked over TLS.
    pub(crate) secure: Option<bool>,
}
