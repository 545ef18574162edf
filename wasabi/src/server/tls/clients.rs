//! Clients that say with a certificate who they are.

use std::{ops::Deref, path::PathBuf, sync::Arc};

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};
use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::CertificateDer,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{Pem, TlsError};
use crate::{Error, FromRequest, Request, Result};

/// Which certificates clients may have: those that certain authorities vouch for. For
/// [`Tls::client_auth`](crate::Tls::client_auth).
///
/// A client without one is refused in the TLS handshake, unless they are [`optional`](Self::optional).
/// [`PeerCertificates`] are what is known of a client then; who it is, HTTP middleware finds out from them:
///
/// ```no_run
/// use wasabi::{
///     ClientAuth, PeerCertificates, Tls,
///     middleware::http::{Next, Request, Response},
///     prelude::*,
/// };
///
/// #[derive(Clone)]
/// struct Device {
///     name: String,
/// }
/// # fn name_of(certificate: &[u8]) -> String { String::new() }
///
/// #[middleware(http)]
/// async fn known_devices(mut request: Request, next: Next) -> Response {
///     if let Some(certificates) = request.extensions().get::<PeerCertificates>() {
///         let name = name_of(&certificates[0]);
///         Identity::new(Device { name }).insert_into(request.extensions_mut());
///     }
///     next.run(request).await
/// }
///
/// # async fn run() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// let clients = ClientAuth::from_pem("devices-ca.pem");
/// let tls = Tls::from_pem("cert.pem", "key.pem")?.client_auth(clients)?;
/// let gateway = gateway!(channel(
///     "/",
///     http = [known_devices],
///     async |device: Identity<Device>| device.into_inner().name,
/// ));
/// Server::bind("0.0.0.0:443").tls(tls).serve(gateway).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ClientAuth {
    authorities: Pem,
    optional: bool,
}

impl ClientAuth {
    /// The certificates of the authorities, in a PEM file. [`Tls::reload`](crate::Tls::reload) reads it again.
    pub fn from_pem(authorities: impl Into<PathBuf>) -> Self {
        Self {
            authorities: Pem::File(authorities.into()),
            optional: false,
        }
    }

    /// As [`from_pem`](Self::from_pem), from what would be in the file.
    pub fn from_pem_bytes(authorities: &[u8]) -> Self {
        Self {
            authorities: Pem::Bytes(authorities.into()),
            optional: false,
        }
    }

    /// Lets clients without a certificate in as well; a wrong one is refused all the same.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub(super) fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in self.authorities.certificates("client authority")? {
            let added = roots.add(authority);
            added.map_err(|error| TlsError::Clients(error.into()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match self.optional {
            true => builder.allow_unauthenticated(),
            false => builder,
        };
        builder
            .build()
            .map_err(|error| TlsError::Clients(error.into()))
    }
}

/// The certificates that the client has shown in the TLS handshake and that were verified: its own first, then those
/// that vouch for it, each in DER.
///
/// They are in the extensions of the handshake and of every HTTP request, for middleware, and an extractor for backend
/// functions and axum handlers; `Option<PeerCertificates>` where [clients may have none](ClientAuth::optional).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificates(Arc<[CertificateDer<'static>]>);

impl PeerCertificates {
    pub(in crate::server) fn of(certificates: Option<&[CertificateDer<'_>]>) -> Option<Self> {
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

const NONE: &str = "a client certificate is needed";

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for PeerCertificates {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        let certificates = req.connection().extensions().get::<Self>();
        certificates
            .cloned()
            .ok_or_else(|| Error::new("unauthorized", NONE))
    }
}

impl<S: Sync> FromRequestParts<S> for PeerCertificates {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let certificates = parts.extensions.get::<Self>();
        certificates.cloned().ok_or((StatusCode::FORBIDDEN, NONE))
    }
}
