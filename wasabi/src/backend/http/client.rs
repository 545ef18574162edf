//! What sends the requests of a backend.

use reqwest::{ClientBuilder, redirect::Policy};

use super::pool::Ages;

/// The client of a backend.
#[derive(Clone)]
pub(super) enum Client {
    /// Connections of ours.
    Own(Ages),
    /// The user's.
    Given(reqwest::Client),
}

impl Default for Client {
    fn default() -> Self {
        Self::Own(Ages::default())
    }
}

impl Client {
    /// Changes how long connections are kept; a user's client has its own settings.
    pub(super) fn set(&mut self, set: impl FnOnce(&mut Ages)) {
        if let Self::Own(ages) = self {
            set(ages);
        }
    }
}

/// The settings that `Http::client_builder` begins with.
pub(super) fn builder() -> ClientBuilder {
    install_tls_provider();
    reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(super::pool::CONNECT_TIMEOUT)
        .pool_idle_timeout(Ages::default().idle)
}

/// A client for requests of the gateway itself, such as those for keys.
#[cfg(feature = "jwt")]
pub(crate) fn build(https: bool) -> Result<reqwest::Client, String> {
    use std::error::Error as _;

    with_roots(builder(), https).build().map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("cannot create the HTTP client: {error}: {cause}")
    })
}

pub(crate) fn install_tls_provider() {
    // Fails if the program has installed its own provider; then that one is used.
    #[cfg(feature = "tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(all(feature = "jwt", feature = "tls"))]
fn with_roots(builder: ClientBuilder, https: bool) -> ClientBuilder {
    if https {
        builder
    } else {
        // Plain HTTP needs no certificates, so this saves reading those of the system.
        builder.tls_certs_only([])
    }
}

#[cfg(all(feature = "jwt", not(feature = "tls")))]
fn with_roots(builder: ClientBuilder, _https: bool) -> ClientBuilder {
    builder
}
