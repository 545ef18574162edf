//! The HTTP clients that a backend makes for itself.

use std::{
    error::Error as _,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use reqwest::{Client, ClientBuilder, redirect::Policy};
use tokio::time::Instant;

use crate::sync::Unpoisoned;

/// How long a connection may take, within the timeout of the request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Below the 60 s after which most servers close a connection that nothing comes over.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Long enough that a handshake more makes no difference, and short enough for those who move a service by DNS.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// What all clients are made from.
pub(super) fn builder() -> ClientBuilder {
    install_tls_provider();
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

/// The client of a backend.
pub(super) enum Clients {
    /// The user's.
    Given(Client),
    /// Made when the gateway is built, which is once all settings are known.
    Own(Ages, OnceLock<Result<Own, String>>),
}

/// How long connections are used again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ages {
    pub(super) idle: Duration,
    pub(super) max: Duration,
}

impl Default for Clients {
    fn default() -> Self {
        Self::Own(
            Ages {
                idle: IDLE_TIMEOUT,
                max: MAX_AGE,
            },
            OnceLock::new(),
        )
    }
}

impl Clients {
    /// Changes the ages of connections, where they are not the user's.
    pub(super) fn set(&mut self, set: impl FnOnce(&mut Ages)) {
        if let Self::Own(ages, _) = self {
            set(ages);
        }
    }

    /// The client of now.
    pub(super) fn current(&self, https: bool) -> Result<Client, &String> {
        match self {
            Self::Given(client) => Ok(client.clone()),
            Self::Own(ages, own) => own
                .get_or_init(|| Own::new(*ages, https))
                .as_ref()
                .map(Own::current),
        }
    }

    /// A client that has no connections yet and keeps none; the user's is as it is.
    pub(super) fn without_connections(&self) -> Option<Client> {
        match self {
            Self::Given(client) => Some(client.clone()),
            Self::Own(_, own) => own.get()?.as_ref().ok()?.without_connections(),
        }
    }
}

/// Clients of which each takes the place of the one before, so that no connection is used for ever: requests in flight
/// go on, and the connections that nobody uses are closed.
pub(super) struct Own {
    ages: Ages,
    https: bool,
    state: Mutex<State>,
    without_connections: OnceLock<Option<Client>>,
}

struct State {
    client: Client,
    until: Instant,
}

impl Own {
    fn new(ages: Ages, https: bool) -> Result<Self, String> {
        let state = State {
            client: build_with(ages.idle, https)?,
            until: Instant::now() + age(ages.max),
        };
        Ok(Self {
            ages,
            https,
            state: Mutex::new(state),
            without_connections: OnceLock::new(),
        })
    }

    fn current(&self) -> Client {
        let now = Instant::now();
        let mut state = self.state.lock().unpoisoned();
        if now < state.until {
            return state.client.clone();
        }
        // The others use the old one meanwhile.
        state.until = now + age(self.ages.max);
        let old = state.client.clone();
        drop(state);
        match build_with(self.ages.idle, self.https) {
            Ok(client) => {
                let mut state = self.state.lock().unpoisoned();
                let replaced = std::mem::replace(&mut state.client, client.clone());
                drop(state);
                drop(replaced);
                client
            }
            Err(error) => {
                tracing::warn!(%error, "the old HTTP client stays");
                old
            }
        }
    }

    fn without_connections(&self) -> Option<Client> {
        let fresh = self.without_connections.get_or_init(|| {
            let builder = builder().pool_max_idle_per_host(0);
            with_roots(builder, self.https).build().ok()
        });
        fresh.clone()
    }
}

/// Three quarters of it to all of it, so that gateways that were started together do not connect together.
fn age(max: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness it is the longest.
    let _ = getrandom::fill(&mut random);
    max.mul_f64(1.0 - 0.25 * f64::from(random[0]) / 255.0)
}

/// A client for one purpose, with the times of all.
#[cfg(feature = "jwt")]
pub(crate) fn build(https: bool) -> Result<Client, String> {
    build_with(IDLE_TIMEOUT, https)
}

fn build_with(idle: Duration, https: bool) -> Result<Client, String> {
    let builder = builder().pool_idle_timeout(idle);
    with_roots(builder, https).build().map_err(|error| {
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
