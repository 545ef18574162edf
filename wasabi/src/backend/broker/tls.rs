//! TLS to brokers.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::backend::tls;

/// The TLS configuration for the connections of a transport: the user's, or by default one that trusts the system's
/// certificates.
#[derive(Clone, Default)]
pub(crate) struct TlsSettings(Option<Arc<ClientConfig>>);

impl TlsSettings {
    pub(crate) fn set(&mut self, config: Arc<ClientConfig>) {
        self.0 = Some(config);
    }

    #[cfg(feature = "nats")]
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Checks the configuration for a URL that is encrypted or not.
    #[cfg(any(feature = "amqp", feature = "redis"))]
    pub(crate) fn check(&self, is_encrypted: bool, scheme: &str) -> Result<(), String> {
        match is_encrypted {
            true => self.config().map(drop),
            false if self.0.is_some() => Err(format!(
                "`tls_config` needs a URL with the scheme `{scheme}`"
            )),
            false => Ok(()),
        }
    }

    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        match &self.0 {
            Some(config) => Ok(Arc::clone(config)),
            None => tls::default_config(),
        }
    }
}
