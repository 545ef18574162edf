//! What the upstream learns in its handshake.

use http::HeaderValue;

use crate::{
    Connection,
    backend::{headers, websocket::WebSocket},
};

impl WebSocket {
    /// Passes these headers of the client's handshake on to the upstream, if the client sent them. By default none are
    /// passed on. Headers that belong to the handshake itself, such as `Host`, cannot be passed on. Use
    /// [`forwarded_for`](Self::forwarded_for) and [`forwarded`](Self::forwarded) for `X-Forwarded-For` and `Forwarded`,
    /// which proxies and clients set.
    #[must_use]
    pub fn forward_headers<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(|config| {
            for name in names {
                let name = headers::forwarded_header(name.as_ref());
                if let Some(name) = config.mistakes.keep(name) {
                    config.forward.headers.forward(name);
                }
            }
        })
    }

    /// Like [`forward_headers`](Self::forward_headers), but refuses with 400 a handshake in which one of these headers
    /// is missing or empty.
    #[must_use]
    pub fn require_headers<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(|config| {
            for name in names {
                let name = headers::forwarded_header(name.as_ref());
                if let Some(name) = config.mistakes.keep(name) {
                    config.forward.required_headers.push(name.clone());
                    config.forward.headers.forward(name);
                }
            }
        })
    }

    /// Passes these parameters of the client's handshake query on to the upstream, exactly as they are written. By
    /// default none are passed on. A parameter that the upstream's URL already has is not passed on: a client cannot
    /// change it.
    #[must_use]
    pub fn forward_query<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(|config| {
            config
                .forward
                .query
                .extend(names.into_iter().map(Into::into))
        })
    }

    /// Like [`forward_query`](Self::forward_query), but refuses with 400 a handshake in which one of these parameters
    /// is missing or empty.
    #[must_use]
    pub fn require_query<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(|config| {
            for name in names {
                let name = name.into();
                config.forward.required_query.push(name.clone());
                config.forward.query.push(name);
            }
        })
    }

    /// Offers the upstream the subprotocol that was agreed with the client; see the channel's `subprotocols`. If the
    /// upstream does not accept it, the dial fails and messages are answered `upstream_invalid`.
    #[must_use]
    pub fn forward_subprotocol(self) -> Self {
        self.change(|config| config.forward.subprotocol = true)
    }

    /// Sends one of the gateway's own headers in the upstream's handshake, such as credentials. It replaces a forwarded
    /// header of the same name.
    #[must_use]
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.change(|config| {
            let header = headers::upstream_header(name.as_ref()).and_then(|name| {
                let mut value = HeaderValue::from_bytes(value.as_ref())
                    .map_err(|_| format!("the value of the header `{name}` is invalid"))?;
                value.set_sensitive(true); // for `Debug`
                Ok((name, value))
            });
            if let Some((name, value)) = config.mistakes.keep(header) {
                config.forward.headers.fix(name, value);
            }
        })
    }

    /// Sends a header whose value a function makes from the client's connection: from its
    /// [identity](crate::Connection::identity), its [address](crate::Connection::client_ip), its id, or what HTTP
    /// middleware has stored. With `None` the header is left out, and the client's own header of that name is not
    /// forwarded either.
    ///
    /// The function is called at each dial. An upstream that is dialled with the first message therefore learns who
    /// logged in before that message. A value with a line break or another control character is refused: messages are
    /// answered `bad_request` and the gateway does not dial.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// let feed = WebSocket::connect("ws://feed:9000/")
    ///     .header_with("x-request-id", |connection| Some(connection.id().to_string()))
    ///     .header_with("x-user", |connection| {
    ///         let user: Identity<User> = connection.identity()?;
    ///         Some(user.id.to_string())
    ///     });
    /// # drop(feed);
    /// ```
    #[must_use]
    pub fn header_with<V: AsRef<[u8]>>(
        self,
        name: impl AsRef<str>,
        value: impl Fn(&Connection) -> Option<V> + Send + Sync + 'static,
    ) -> Self {
        self.change(|config| {
            let name = headers::upstream_header(name.as_ref());
            if let Some(name) = config.mistakes.keep(name) {
                config.forward.headers.make(name, value);
            }
        })
    }

    /// Tells the upstream the client's address in `X-Forwarded-For`: the address of the client, those of the proxies
    /// that [`ClientIp`](crate::middleware::http::ClientIp) trusts, and that of the socket's peer. The gateway ignores
    /// what a client claims in this header, so without that middleware the header holds the peer alone. A peer behind a
    /// Unix socket has no address.
    ///
    /// `X-Forwarded-Proto` (`http` or `https`) is sent as well if it is known: from TLS, or from a trusted proxy.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// let gateway = gateway!(
    ///     http = [ClientIp::trusting(["10.0.0.0/8"])],
    ///     channel("/", WebSocket::connect("ws://feed:9000/").forwarded_for()),
    /// );
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub fn forwarded_for(self) -> Self {
        self.change(|config| config.forward.headers.tell_forwarded_for())
    }

    /// Tells the upstream the same in `Forwarded` (RFC 7239): an element `for=..` for each of these addresses,
    /// `for=unknown` for the peer of a Unix socket, and `proto` in the last element.
    #[must_use]
    pub fn forwarded(self) -> Self {
        self.change(|config| config.forward.headers.tell_forwarded())
    }
}
