//! The settings of a WebSocket upstream.

mod dialling;
mod handshake;
mod serving;

use std::{sync::Arc, time::Duration};

use super::{forward::Forward, stream::Dialer, target::Target, unreachable::DialError};
use crate::{
    Backoff, Connection,
    backend::dial_memory::{DialMemory, MAX_DIAL_PAUSE},
    connection::{heartbeat::Pings, socket::Limits},
    mistakes::Mistakes,
    parser::IdAt,
};

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) target: Target,
    pub(super) forward: Forward,
    pub(super) dialer: Dialer,
    pub(super) eager: bool,
    pub(super) before_accept: bool,
    pub(super) close_on_failed_dial: bool,
    pub(super) connect_timeout: Duration,
    pub(super) send_timeout: Duration,
    pub(super) pings: Pings,
    pub(super) max_message_size: Option<usize>,
    /// Shared by all clients, because their dials go to the same address.
    pub(super) dials: Arc<DialMemory<Arc<DialError>>>,
    pub(super) reconnect: Option<Backoff>,
    pub(super) max_connection_age: Option<Duration>,
    pub(super) correlate: Option<IdAt>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) mistakes: Mistakes,
}

impl Config {
    pub(super) fn new(target: Target, mistakes: Mistakes) -> Self {
        Self {
            target,
            forward: Forward::default(),
            dialer: Dialer::default(),
            eager: false,
            before_accept: false,
            close_on_failed_dial: false,
            connect_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(10),
            pings: Pings::default(),
            max_message_size: None,
            dials: Arc::new(DialMemory::new(MAX_DIAL_PAUSE)),
            reconnect: None,
            max_connection_age: None,
            correlate: None,
            #[cfg(feature = "tls")]
            tls: None,
            mistakes,
        }
    }

    /// The limits on what the upstream sends for this client.
    pub(super) fn limits(&self, connection: &Connection) -> Limits {
        let channel = connection.limits();
        Limits {
            max_message_size: self
                .max_message_size
                .unwrap_or(channel.max_message_size.max(1024 * 1024)),
        }
    }
}
