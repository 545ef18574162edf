//! TLS with certificates that can be replaced while the server runs.

mod clients;

use std::{
    borrow::Cow,
    fmt, io,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

pub use self::clients::ClientAuth;

use crate::{connection::transport::Transport, sync::Unpoisoned, time::FOREVER};

/// The TLS settings of a [`Server`](crate::Server): a certificate with its key, or a rustls configuration.
///
/// Clones share their state, so keep a clone to replace the certificate of a running server. Open connections keep
/// using the old certificate.
///
/// Supports TLS 1.2 and 1.3, with ring. ALPN selects `http/1.1`, or `h2` if the server speaks HTTP/2.
///
/// ```no_run
/// use wasabi::{Tls, prelude::*};
///
/// # async fn run(gateway: Gateway) -> Result<(), Box<dyn std::error::Error>> {
/// let tls = Tls::from_pem("cert.pem", "key.pem")?;
/// let renewed = tls.clone();
/// tokio::spawn(async move {
///     // When the files have changed:
///     if let Err(error) = renewed.reload() {
///         tracing::error!(%error, "the old certificate stays");
///     }
/// });
/// Server::bind("0.0.0.0:443").tls(tls).serve(gateway).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    shared: Arc<TlsState>,
    pub(super) handshake_timeout: Duration,
}

struct TlsState {
    config: RwLock<Configs>,
    /// The parts that the configuration was built from; `None` for a given configuration.
    parts: Option<TlsParts>,
}

#[derive(Clone)]
struct TlsParts {
    certificate: Pem,
    key: Pem,
    clients: Option<ClientAuth>,
}

/// The source of PEM data.
#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system reports.
        source: io::Error,
    },
    /// The PEM data has no certificate or no private key, or is damaged.
    #[error("no valid {what}: {source}")]
    Pem {
        /// What is missing.
        what: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// rustls cannot use this certificate and key; they may not belong together.
    #[error("cannot use the certificate and key: {0}")]
    Unusable(rustls::Error),
    /// Client certificates cannot be verified with these authorities.
    #[error("cannot verify clients: {0}")]
    Clients(crate::BoxError),
    /// There are no files to reload: the certificate did not come from files.
    #[error("this was not read from files, so it cannot be reloaded")]
    NoFiles,
}

impl Tls {
    /// Reads a certificate, followed by its chain, and its private key from PEM files. [`reload`](Self::reload) reads
    /// them again.
    pub fn from_pem(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        Self::of_parts(TlsParts {
            certificate: Pem::File(certificate.into()),
            key: Pem::File(key.into()),
            clients: None,
        })
    }

    /// Like [`from_pem`](Self::from_pem), with the contents of the files.
    pub fn from_pem_bytes(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::of_parts(TlsParts {
            certificate: Pem::Bytes(certificate.into()),
            key: Pem::Bytes(key.into()),
            clients: None,
        })
    }

    /// Uses your own configuration, built with the rustls that is [`wasabi::rustls`](crate::rustls): for several names,
    /// other algorithms, or another way to verify clients. The server replaces its ALPN protocols.
    pub fn from_config(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self::new(config.into(), None)
    }

    /// Requests certificates from clients: see [`ClientAuth`]. Clones made earlier do not.
    ///
    /// Returns an error for [your own configuration](Self::from_config), which specifies its client authentication
    /// itself.
    pub fn client_auth(self, clients: ClientAuth) -> Result<Self, TlsError> {
        let Some(parts) = &self.shared.parts else {
            let message = "your own configuration must include its own verifier of clients";
            return Err(TlsError::Clients(message.into()));
        };
        let made = Self::of_parts(TlsParts {
            clients: Some(clients),
            ..parts.clone()
        })?;
        Ok(made.handshake_timeout(self.handshake_timeout))
    }

    fn of_parts(parts: TlsParts) -> Result<Self, TlsError> {
        Ok(Self::new(parts.config()?, Some(parts)))
    }

    fn new(config: impl Into<Arc<ServerConfig>>, parts: Option<TlsParts>) -> Self {
        let shared = TlsState {
            config: RwLock::new(Configs::new(config.into())),
            parts,
        };
        Self {
            shared: Arc::new(shared),
            handshake_timeout: Duration::from_secs(3),
        }
    }

    /// How long a client may take for the TLS handshake; 3 s by default.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout.min(FOREVER);
        self
    }

    /// Reads the files again; later handshakes use them. On an error nothing changes. Blocks the calling thread while
    /// it reads.
    pub fn reload(&self) -> Result<(), TlsError> {
        let parts = self.shared.parts.as_ref().ok_or(TlsError::NoFiles)?;
        let Pem::File(certificate) = &parts.certificate else {
            return Err(TlsError::NoFiles);
        };
        self.replace(parts.config()?);
        tracing::info!(certificate = %certificate.display(), "certificate reloaded");
        Ok(())
    }

    /// Uses another configuration for later handshakes.
    pub fn replace(&self, config: impl Into<Arc<ServerConfig>>) {
        let config = Configs::new(config.into());
        let current = self.shared.config.write();
        *current.unpoisoned() = config;
    }

    fn config(&self, http2: bool) -> Arc<ServerConfig> {
        let config = self.shared.config.read();
        let config = config.unpoisoned();
        Arc::clone(if http2 { &config.http2 } else { &config.http1 })
    }

    pub(super) async fn accept(&self, stream: TcpStream, http2: bool) -> io::Result<Transport> {
        let handshake = TlsAcceptor::from(self.config(http2)).accept(stream);
        let stream = tokio::time::timeout(self.handshake_timeout, handshake).await??;
        Ok(Transport::Tls(Box::new(stream)))
    }
}

/// One configuration for each set of protocols that a server may speak.
struct Configs {
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
}

impl Configs {
    fn new(config: Arc<ServerConfig>) -> Self {
        let speaking = |protocols: &[&[u8]]| {
            let mut config = Arc::clone(&config);
            if config.alpn_protocols != protocols {
                let protocols = protocols.iter().map(|name| name.to_vec());
                Arc::make_mut(&mut config).alpn_protocols = protocols.collect();
            }
            config
        };
        Self {
            http1: speaking(&[b"http/1.1"]),
            http2: speaking(&[b"h2", b"http/1.1"]),
        }
    }
}

impl TlsParts {
    fn config(&self) -> Result<ServerConfig, TlsError> {
        let chain = self.certificate.certificates("certificate")?;
        let key = PrivateKeyDer::from_pem_slice(&self.key.read()?);
        let key = key.map_err(|source| TlsError::Pem {
            what: "private key",
            source,
        })?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let builder = match &self.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier(provider)?),
            None => builder.with_no_client_auth(),
        };
        builder
            .with_single_cert(chain, key)
            .map_err(TlsError::Unusable)
    }
}

impl Pem {
    fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match self {
            Self::File(path) => match std::fs::read(path) {
                Ok(bytes) => Ok(Cow::Owned(bytes)),
                Err(source) => Err(TlsError::Read {
                    path: path.clone(),
                    source,
                }),
            },
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// Returns at least one certificate, or an error.
    fn certificates(&self, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = self.read()?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(TlsError::Pem {
                what,
                source: pem::Error::NoItemsFound,
            }),
            Err(source) => Err(TlsError::Pem { what, source }),
        }
    }
}

/// Never shows the bytes: some of them are a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Bytes(_) => f.write_str("[..]"),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.shared.parts.as_ref();
        f.debug_struct("Tls")
            .field("certificate", &parts.map(|parts| &parts.certificate))
            .field("clients", &parts.map(|parts| &parts.clients))
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}
