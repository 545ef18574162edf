//! Where a server listens.

use super::{
    ServeError,
    listener::{Listener, OpenListener},
};
use crate::middleware::http::{ClientIp, ClientIpLayer};

/// One address or listener, as it was given.
#[derive(Debug)]
pub(super) enum Source {
    Address(String),
    Plain(String),
    Proxied(String, ClientIpLayer),
    Listener(OpenListener),
}

impl Source {
    pub(super) fn proxied<N: AsRef<str>>(
        address: impl ToString,
        networks: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::Proxied(address.to_string(), ClientIp::trusting(networks))
    }

    /// Opens the listener.
    pub(super) async fn listen(self, unix_mode: Option<u32>) -> Result<Listener, ServeError> {
        let (address, listener) = match self {
            Self::Address(address) | Self::Plain(address) | Self::Proxied(address, _) => {
                let listener = Listener::bind(&address, unix_mode).await;
                (address, listener)
            }
            Self::Listener(OpenListener(listener)) => ("the given listener".to_owned(), listener),
        };
        listener.map_err(|source| ServeError::Bind { address, source })
    }
}
