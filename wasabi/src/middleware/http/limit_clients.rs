//! Limits for each client, by address.

mod rates;

use std::{
    convert::Infallible,
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tower::{Layer, Service};

use self::rates::Rate;
use crate::{
    Error, Middleware, Next, Reply, Request, Result,
    connection::{
        client_ip::{ClientIp, subscriber},
        stash::until_end,
    },
    mistakes::{self, Mistakes},
    per_client::{ClientPlace, PerClient},
};

/// Limits what one client may do, by address: connections at the same time, handshakes per second and messages per
/// second. A limit that is not set does not apply.
///
/// An IPv6 client is its /64, the network that a subscriber gets. The address is the one that [`ClientIp`] middleware
/// *before* this one found. Without it, it is the address of the peer; behind a proxy all clients then count as the
/// proxy. All clients without an address, such as the peers of a Unix socket, count as one.
///
/// In `http = [..]` it limits connections and handshakes. Beyond the limits it answers 429 with `Retry-After` (RFC
/// 6585, section 4), before later entries run: put it before authentication. In `middleware = [..]` it limits messages,
/// and answers `rate_limited`. Clones share their counts, so a client has one allowance on all channels.
///
/// ```
/// use wasabi::prelude::*;
///
/// let limits = LimitClients::new()
///     .connections(50)
///     .handshakes_per_second(10)
///     .messages_per_second(200);
/// let gateway = gateway!(
///     http = [ClientIp::trusting(["10.0.0.0/8"]), limits.clone()],
///     middleware = [limits],
///     channel("/", async |text: Text| text),
/// );
/// assert!(gateway.check().is_ok());
/// ```
///
/// [`Server::max_sockets_per_client`](crate::Server::max_sockets_per_client) applies before this limit: to sockets that
/// have not sent a request yet.
#[derive(Clone)]
pub struct LimitClients(Arc<ClientLimits>);

struct ClientLimits {
    connections: Option<usize>,
    handshakes: Option<u32>,
    messages: Option<u32>,
    max_clients: usize,
    open: PerClient<Client>,
    handshake_rate: Option<Rate>,
    message_rate: Option<Rate>,
}

/// All clients without an address are one.
type Client = Option<IpAddr>;

impl LimitClients {
    /// Creates it without limits; leaving all of them unset is a mistake.
    #[expect(clippy::new_without_default, reason = "by default it limits nothing")]
    pub fn new() -> Self {
        Self::of(None, None, None, 65_536)
    }

    /// How many connections a client may have at the same time, including handshakes in progress; unlimited by default.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        let ClientLimits {
            handshakes,
            messages,
            max_clients,
            ..
        } = *self.0;
        Self::of(Some(connections), handshakes, messages, max_clients)
    }

    /// How many handshakes a client may start per second, and in one burst; unlimited by default. Refused ones do not
    /// count.
    #[must_use]
    pub fn handshakes_per_second(self, handshakes: u32) -> Self {
        let ClientLimits {
            connections,
            messages,
            max_clients,
            ..
        } = *self.0;
        Self::of(connections, Some(handshakes), messages, max_clients)
    }

    /// How many messages a client may send per second, and in one burst, on all its connections together; unlimited by
    /// default. Refused ones do not count.
    #[must_use]
    pub fn messages_per_second(self, messages: u32) -> Self {
        let ClientLimits {
            connections,
            handshakes,
            max_clients,
            ..
        } = *self.0;
        Self::of(connections, handshakes, Some(messages), max_clients)
    }

    /// About how many clients each of the two rates remembers; 65 536 by default, which takes at most 4 MiB. Beyond
    /// that, clients with most of their allowance left are forgotten, and so get all of it back. Open connections are
    /// counted for every client that has some.
    #[must_use]
    pub fn max_clients(self, clients: usize) -> Self {
        let ClientLimits {
            connections,
            handshakes,
            messages,
            ..
        } = *self.0;
        Self::of(connections, handshakes, messages, clients)
    }

    fn of(
        connections: Option<usize>,
        handshakes: Option<u32>,
        messages: Option<u32>,
        max_clients: usize,
    ) -> Self {
        let rate = |per_second: Option<u32>| {
            Some(Rate::per_second(NonZeroU32::new(per_second?)?, max_clients))
        };
        Self(Arc::new(ClientLimits {
            connections,
            handshakes,
            messages,
            max_clients,
            open: PerClient::default(),
            handshake_rate: rate(handshakes),
            message_rate: rate(messages),
        }))
    }

    fn mistakes(&self) -> Mistakes {
        let ClientLimits {
            connections,
            handshakes,
            messages,
            max_clients,
            ..
        } = *self.0;
        let mut mistakes = Mistakes::default();
        if let Some(connections) = connections {
            mistakes.above_zero("LimitClients::connections", connections);
        }
        if let Some(handshakes) = handshakes {
            mistakes.above_zero("LimitClients::handshakes_per_second", handshakes);
        }
        if let Some(messages) = messages {
            mistakes.above_zero("LimitClients::messages_per_second", messages);
        }
        mistakes.above_zero("LimitClients::max_clients", max_clients);
        if connections.is_none() && handshakes.is_none() && messages.is_none() {
            mistakes.push("`LimitClients` has no limit; set at least one".to_owned());
        }
        mistakes
    }
}

impl ClientLimits {
    /// Takes a place for a connection; otherwise returns how long to wait, and why.
    fn admit(
        &self,
        client: Client,
    ) -> Result<Option<ClientPlace<Client>>, (Duration, &'static str)> {
        let place = match self.connections {
            None => None,
            Some(most) => match self.open.enter(client, most) {
                Some(place) => Some(place),
                None => {
                    return Err((
                        Duration::from_secs(1),
                        "too many connections of this client",
                    ));
                }
            },
        };
        if let Some(rate) = &self.handshake_rate {
            rate.take(client)
                .map_err(|wait| (wait, "too many handshakes of this client"))?;
        }
        Ok(place)
    }
}

impl Middleware for LimitClients {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        if let Some(rate) = &self.0.message_rate {
            let client: Client = req.connection().client_ip().map(subscriber);
            rate.take(client).map_err(|wait| Error::RateLimited {
                retry_after: Some(wait),
            })?;
        }
        next.run(req).await
    }
}

impl<S> Layer<S> for LimitClients {
    type Service = LimitClientsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        mistakes::tell(&self.mistakes());
        let limits = Arc::clone(&self.0);
        LimitClientsService { inner, limits }
    }
}

/// The service that [`LimitClients`] creates.
#[derive(Clone)]
pub struct LimitClientsService<S> {
    inner: S,
    limits: Arc<ClientLimits>,
}

impl<S, B> Service<http::Request<B>> for LimitClientsService<S>
where
    S: Service<http::Request<B>, Error = Infallible>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut req: http::Request<B>) -> Self::Future {
        let client: Client = ClientIp::of(req.extensions()).map(|ClientIp(ip)| subscriber(ip));
        match self.limits.admit(client) {
            Ok(place) => {
                if let Some(place) = place {
                    until_end(req.extensions_mut(), place);
                }
                let answer = self.inner.call(req);
                Box::pin(async { answer.await.map(IntoResponse::into_response) })
            }
            Err((wait, why)) => {
                tracing::debug!(path = req.uri().path(), ?client, why, "request refused");
                Box::pin(async move { Ok(refusal(wait, why)) })
            }
        }
    }
}

fn refusal(wait: Duration, why: &'static str) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let after = HeaderValue::from(seconds.max(1));
    (
        StatusCode::TOO_MANY_REQUESTS,
        [(header::RETRY_AFTER, after)],
        why,
    )
        .into_response()
}

impl fmt::Debug for LimitClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitClients")
            .field("connections", &self.0.connections)
            .field("handshakes_per_second", &self.0.handshakes)
            .field("messages_per_second", &self.0.messages)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for LimitClientsService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitClientsService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
