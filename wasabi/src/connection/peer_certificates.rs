//! What a client has shown in the TLS handshake.

use std::{ops::Deref, sync::Arc};

use rustls::pki_types::CertificateDer;

/// The certificates that the client has shown in the TLS handshake and that were verified: its own first, then those
/// that vouch for it, each in DER.
///
/// They are in the extensions of the handshake and of every HTTP request, for middleware, and an extractor for backend
/// functions and axum handlers; `Option<PeerCertificates>` where [clients may have none](crate::ClientAuth::optional).
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
