//! The certificates from a client's TLS handshake.

use std::{ops::Deref, sync::Arc};

use rustls::pki_types::CertificateDer;

/// The client's verified certificates from the TLS handshake, each in DER: its own first, then the chain that vouches
/// for it.
///
/// Middleware finds them in the extensions of the handshake and of every HTTP request. For backend functions and axum
/// handlers, they are an extractor. If a client has none, a message is answered with the error `unauthorized` and an
/// HTTP request with 403, which is logged at info; use `Option<PeerCertificates>` if [clients may have
/// none](crate::ClientAuth::optional).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificates(Arc<[CertificateDer<'static>]>);

impl PeerCertificates {
    pub(crate) fn of(certificates: Option<&[CertificateDer<'_>]>) -> Option<Self> {
        let certificates = certificates.filter(|certificates| !certificates.is_empty())?;
        let owned = certificates.iter().cloned();
        Some(Self(owned.map(CertificateDer::into_owned).collect()))
    }
}

impl Deref for PeerCertificates {
    type Target = [CertificateDer<'static>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
