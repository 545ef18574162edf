//! When and how the upstream is dialled.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    backend::{
        dial_memory::DialMemory,
        websocket::{WebSocket, stream::Dialer},
    },
    time::FOREVER,
};

impl WebSocket {
    /// Connects to the upstream when a client connects, not with its first message.
    #[must_use]
    pub fn eager(self) -> Self {
        self.change(|config| config.eager = true)
    }

    /// Connects to the upstream before the client's handshake is accepted. Without an upstream connection the handshake
    /// is refused:
    ///
    /// * with the upstream's own status, `WWW-Authenticate` and `Retry-After` if it answered with a status of 400 or
    ///   more;
    /// * with 504 if the upstream did not answer within the [`connect_timeout`](Self::connect_timeout);
    /// * with 400 if the client's handshake cannot fill in the URL or a header, with 500 if a function that makes a
    ///   header panics;
    /// * with 502 otherwise.
    ///
    /// The client's handshake waits for the upstream, and the client has a place among the channel's `max_connections`
    /// meanwhile. If `on_connect` refuses the client later, the upstream was dialled in vain. All nodes of a balanced
    /// group are connected to at the same time. Browsers do not show the status of a refused handshake, so for them a
    /// close code may say more: use [`close_on_failed_dial`](Self::close_on_failed_dial) with [`eager`](Self::eager).
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// // Who may connect is the upstream's decision.
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     WebSocket::connect("ws://legacy:9000/")
    ///         .forward_headers(["authorization"])
    ///         .before_accept(),
    /// ));
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub fn before_accept(self) -> Self {
        self.change(|config| config.before_accept = true)
    }

    /// Sets how long the upstream may take to accept a connection, including the handshake, and how long a message
    /// waits for a connection while the upstream is gone; the default is 10 s.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.change(|config| {
            let timeout = config
                .mistakes
                .above_zero("WebSocket::connect_timeout", timeout);
            config.connect_timeout = timeout.min(FOREVER);
        })
    }

    /// Sets how long, at most, messages are answered from memory after the upstream could not be reached, instead of
    /// dialling again. The default is 2 s; with zero every message dials.
    ///
    /// The pauses double from 10 ms up to this maximum and are random in their upper half. A failed connection is
    /// remembered for all clients together; the upstream's answer to a handshake is remembered for that client. A
    /// successful dial clears both.
    #[must_use]
    pub fn max_dial_pause(self, pause: Duration) -> Self {
        self.change(|config| config.dials = Arc::new(DialMemory::new(pause)))
    }

    /// Closes the client with 1014 when the upstream cannot be reached or refuses the handshake.
    #[must_use]
    pub fn close_on_failed_dial(self) -> Self {
        self.change(|config| config.close_on_failed_dial = true)
    }

    /// Opens the stream to the upstream with your own function: through a proxy, over a Unix socket, or over an
    /// in-memory pipe.
    ///
    /// The function gets the handshake that will be sent over the stream, for its URI and headers. For `wss` it must
    /// also do TLS. The [`connect_timeout`](Self::connect_timeout) covers it. If the function panics, this dial fails
    /// as unreachable; if the stream panics, the upstream is lost.
    ///
    /// ```
    /// use wasabi::WebSocket;
    ///
    /// let local = WebSocket::connect("ws://localhost/feed").dial_with(async |_handshake| {
    ///     tokio::net::UnixStream::connect("/run/feed.sock").await
    /// });
    /// # drop(local);
    /// ```
    #[must_use]
    pub fn dial_with<F, Fut, T>(self, dial: F) -> Self
    where
        F: Fn(http::Request<()>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.dial_by(Dialer::custom(dial))
    }

    /// Resolves the URL's host and port with your own function at each dial, instead of the system's resolver: for
    /// service discovery, or addresses that are already known.
    ///
    /// The addresses are tried like those of the system: in their order, IPv4 and IPv6 in turn, each a quarter of a
    /// second after the previous one. The first one to answer is used (Happy Eyeballs, RFC 8305). The certificate of a
    /// `wss` upstream must still match the URL's host. The [`connect_timeout`](Self::connect_timeout) covers the
    /// function; if it panics, this dial fails as unreachable.
    ///
    /// ```
    /// use wasabi::WebSocket;
    ///
    /// let feed = WebSocket::connect("ws://feed.service.consul:9000/").resolve_with(async |host, port| {
    ///     let addresses = tokio::net::lookup_host((format!("eu.{host}"), port)).await?;
    ///     Ok(addresses.collect())
    /// });
    /// # drop(feed);
    /// ```
    #[must_use]
    pub fn resolve_with<F, Fut>(self, resolve: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.dial_by(Dialer::resolved(resolve))
    }

    fn dial_by(self, dialer: Dialer) -> Self {
        self.change(|config| {
            if !matches!(config.dialer, Dialer::Tcp) {
                let mistake =
                    "`WebSocket`: `dial_with` and `resolve_with` cannot be combined; remove one of them";
                config.mistakes.push(mistake.to_owned());
            }
            config.dialer = dialer;
        })
    }

    /// Sets the TLS configuration for `wss`, for your own certificates or a client certificate. By default the system's
    /// certificates are trusted, whatever crypto provider the program has installed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use wasabi::{WebSocket, rustls::{ClientConfig, RootCertStore, crypto::ring}};
    ///
    /// let roots = RootCertStore::empty(); // add the certificates of the house here
    /// let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
    ///     .with_safe_default_protocol_versions()?
    ///     .with_root_certificates(roots)
    ///     .with_no_client_auth();
    /// let backend = WebSocket::connect("wss://inside.example/").tls_config(config);
    /// # drop(backend);
    /// # Ok::<_, wasabi::rustls::Error>(())
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_config(self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.change(|own| own.tls = Some(config.into()))
    }
}
