//! Client certificates.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{Pem, TlsError};

/// Which client certificates are accepted: those issued by the given authorities. For
/// [`Tls::client_auth`](crate::Tls::client_auth).
///
/// The TLS handshake refuses a client without a certificate, unless certificates are [`optional`](Self::optional). The
/// [`PeerCertificates`](crate::PeerCertificates) extension then holds the client's certificates; HTTP middleware
/// derives the client's identity from them:
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
    /// Reads the authorities' certificates from a PEM file. [`Tls::reload`](crate::Tls::reload) reads it again.
    pub fn from_pem(authorities: impl Into<PathBuf>) -> Self {
        Self {
            authorities: Pem::File(authorities.into()),
            optional: false,
        }
    }

    /// Like [`from_pem`](Self::from_pem), with the contents of the file.
    pub fn from_pem_bytes(authorities: &[u8]) -> Self {
        Self {
            authorities: Pem::Bytes(authorities.into()),
            optional: false,
        }
    }

    /// Also admits clients without a certificate; an invalid certificate is still refused.
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
