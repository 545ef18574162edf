//! The HTTP client that a backend makes for itself.

use std::{error::Error as _, time::Duration};

use reqwest::{Client, ClientBuilder, redirect::Policy};

/// How long a connection may take, within the timeout of the request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn build(https: bool) -> Result<Client, String> {
    let builder = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT);
    with_tls(builder, https).build().map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("the HTTP client cannot be made: {error}: {cause}")
    })
}

#[cfg(feature = "tls")]
fn with_tls(builder: ClientBuilder, https: bool) -> ClientBuilder {
    // Fails when the program has chosen a provider of its own: then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if https {
        builder
    } else {
        // Saves reading the system's certificates, and needs none.
        builder.tls_certs_only([])
    }
}

#[cfg(not(feature = "tls"))]
fn with_tls(builder: ClientBuilder, _https: bool) -> ClientBuilder {
    builder
}
