//! Tells clients apart, for data that is kept per client.

use std::{
    hash::Hash,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Extensions, header, request::Parts};

use super::{Connection, ConnectionId};
use crate::digest::{Digest, Secret};

static SECRET: LazyLock<Secret> = LazyLock::new(Secret::new);

/// A digest of the credentials that authenticated a client, in the extensions of its handshake. The identity itself can
/// have any type, so it cannot be compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credentials(Digest);

impl Credentials {
    /// All parts of the head that may contain credentials. Must be called before a token is removed from the URI.
    pub(crate) fn of(head: &Parts) -> Self {
        let mut hasher = SECRET.hasher();
        head.uri.hash(&mut hasher);
        for name in [
            header::AUTHORIZATION,
            header::COOKIE,
            header::SEC_WEBSOCKET_PROTOCOL,
        ] {
            for value in head.headers.get_all(name) {
                value.hash(&mut hasher);
            }
            0_u8.hash(&mut hasher);
        }
        Self(hasher.digest())
    }

    /// Unique credentials, for an identity whose origin only the application knows.
    pub(crate) fn unknown() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(SECRET.digest(&NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Combines them with credentials that are there already.
    pub(crate) fn insert_into(self, extensions: &mut Extensions) {
        let all = match extensions.get::<Self>() {
            Some(others) => Self(SECRET.digest(&(others.0, self.0))),
            None => self,
        };
        extensions.insert(all);
    }
}

/// Everything known about a client when its connection opens: all that functions can see, and all that can be
/// forwarded.
pub(super) fn of(connection: &Connection) -> Digest {
    let mut hasher = SECRET.hasher();
    connection.client_ip().hash(&mut hasher);
    connection.uri().hash(&mut hasher);
    for (name, value) in connection.headers() {
        name.hash(&mut hasher);
        value.hash(&mut hasher);
    }
    let extensions = connection.extensions();
    let credentials = extensions.get::<Credentials>();
    credentials.map(|known| known.0).hash(&mut hasher);
    #[cfg(feature = "tls")]
    if let Some(certificates) = extensions.get::<crate::PeerCertificates>() {
        for certificate in certificates.iter() {
            certificate.as_ref().hash(&mut hasher);
        }
    }
    hasher.digest()
}

/// The client after a renewal of its identity.
pub(super) fn renewed(client: Digest, connection: ConnectionId, place: u64) -> Digest {
    SECRET.digest(&(client, connection, place))
}
