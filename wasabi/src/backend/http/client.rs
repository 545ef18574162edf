//! The HTTP client that a backend makes for itself.

use std::{error::Error as _, time::Duration};

use reqwest::{Client, ClientBuilder, redirect::Policy};

/// How long a connection may take, within the timeout of the request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What all clients are made from.
pub(super) fn builder() -> ClientBuilder {
    install_tls_provider();
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
}

pub(crate) fn build(https: bool) -> Result<Client, String> {
    with_roots(builder(), https).build().map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("the HTTP client cannot be made: {error}: {cause}")
    })
}

/// reqwest panics when there is no provider by the time that a client is made.
pub(crate) fn install_tls_provider() {
    // Fails when the program has chosen a provider of its own: then that one is used.
    #[cfg(feature = "tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(feature = "tls")]
fn with_roots(builder: ClientBuilder, https: bool) -> ClientBuilder {
    if https {
        builder
    } else {
        // Saves reading the system's certificates, and needs none.
        builder.tls_certs_only([])
    }
}

#[cfg(not(feature = "tls"))]
fn with_roots(builder: ClientBuilder, _https: bool) -> ClientBuilder {
    builder
}
