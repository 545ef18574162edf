//! The default HTTP clients of backends.

use std::{
    error::Error as _,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use reqwest::{Client, ClientBuilder, redirect::Policy};
use tokio::time::Instant;

use crate::sync::Unpoisoned;

/// How long connecting may take, within the timeout of the request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Less than 60 s, after which most servers close an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Long enough that the extra handshakes do not matter, short enough to follow a service that moves by DNS.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// The settings of all clients.
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
    /// Made when the gateway is built, when all settings are known.
    Own(Ages, OnceLock<Result<Own, String>>),
}

/// How long connections are reused.
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
    /// Changes the ages of connections, unless the client is the user's.
    pub(super) fn set(&mut self, set: impl FnOnce(&mut Ages)) {
        if let Self::Own(ages, _) = self {
            set(ages);
        }
    }

    /// The current client.
    pub(super) fn current(&self, https: bool) -> Result<Client, &String> {
        match self {
            Self::Given(client) => Ok(client.clone()),
            Self::Own(ages, own) => own
                .get_or_init(|| Own::new(*ages, https))
                .as_ref()
                .map(Own::current),
        }
    }

    /// A client that has no connections and keeps none. A user's client is returned as it is.
    pub(super) fn without_connections(&self) -> Option<Client> {
        match self {
            Self::Given(client) => Some(client.clone()),
            Self::Own(_, own) => own.get()?.as_ref().ok()?.without_connections(),
        }
    }
}

/// A series of clients, each replacing the previous one, so that no connection is used forever. Requests in flight
/// continue, and unused connections are closed.
pub(super) struct Own {
    ages: Ages,
    https: bool,
    state: Mutex<CurrentClient>,
    without_connections: OnceLock<Option<Client>>,
}

struct CurrentClient {
    client: Client,
    until: Instant,
}

impl Own {
    fn new(ages: Ages, https: bool) -> Result<Self, String> {
        let state = CurrentClient {
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
        // Other requests use the old client meanwhile.
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
                tracing::warn!(%error, "cannot create a new HTTP client; the old one stays in use");
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

/// Three quarters of `max` to all of it, so that gateways that started together do not reconnect together.
fn age(max: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness it is `max`.
    let _ = getrandom::fill(&mut random);
    max.mul_f64(1.0 - 0.25 * f64::from(random[0]) / 255.0)
}

/// Makes a client for another purpose, with the default timeouts.
#[cfg(feature = "jwt")]
pub(crate) fn build(https: bool) -> Result<Client, String> {
    build_with(IDLE_TIMEOUT, https)
}

fn build_with(idle: Duration, https: bool) -> Result<Client, String> {
    let builder = builder().pool_idle_timeout(idle);
    with_roots(builder, https).build().map_err(|error| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("cannot create the HTTP client: {error}: {cause}")
    })
}

/// Installs the default crypto provider, without which reqwest panics when it makes a client.
pub(crate) fn install_tls_provider() {
    // Fails if the program has installed its own provider; then that one is used.
    #[cfg(feature = "tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(feature = "tls")]
fn with_roots(builder: ClientBuilder, https: bool) -> ClientBuilder {
    if https {
        builder
    } else {
        // Plain HTTP needs no certificates, so this saves reading those of the system.
        builder.tls_certs_only([])
    }
}

#[cfg(not(feature = "tls"))]
fn with_roots(builder: ClientBuilder, _https: bool) -> ClientBuilder {
    builder
}
