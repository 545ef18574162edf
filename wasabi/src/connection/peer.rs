//! What a socket, and the proxies in front of it, say about the client, as request extensions.

use std::{net::IpAddr, sync::Arc};

use http::uri::Authority;

/// Marks requests that arrived over a Unix socket, whose peers have no address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnixPeer;

/// Marks requests that reached this server over TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls;

/// The hops of a request, from its client to the proxy before the last one; present only if there is more than the
/// client.
#[derive(Debug, Clone)]
pub(crate) struct Hops(pub(crate) Arc<[IpAddr]>);

/// The host and the scheme that the client asked the proxy in front for. In the extensions of a request if the proxy is
/// trusted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Front {
    pub(crate) host: Option<Authority>,
    /// Whether the client asked over TLS.
    pub(crate) secure: Option<bool>,
}
