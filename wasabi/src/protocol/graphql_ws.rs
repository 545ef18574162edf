//! `graphql-transport-ws`: GraphQL operations over a WebSocket.

mod closes;
mod init;
mod read;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::timeout;

use self::init::Session;
pub use self::init::{Ack, Init, NoInit, OnInit};
use super::{Call, Incoming, Protocol};
use crate::{
    Close, Connection, Error, Message, Reply, RequestId, Result, backend::next_id,
    mistakes::Mistakes, time::FOREVER,
};

/// The protocol `graphql-transport-ws`, which [`graphql-ws`](https://the-guild.dev/graphql/ws), Apollo, urql and Relay
/// speak. It carries operations and their results; it does not execute GraphQL.
///
/// The client first sends `connection_init`, and the gateway acknowledges it. Each `subscribe` is then a request: its key
/// is the `operationName`, or `subscribe` if the client gives none, and its message is the payload `{query, variables,
/// operationName, extensions}`. So a target may be a function, or an HTTP service that speaks GraphQL:
///
/// ```
/// use futures_util::{Stream, stream};
/// use serde::Deserialize;
/// use serde_json::{Value, json};
/// use wasabi::{Close, GraphqlWs, Init, prelude::*};
///
/// #[derive(Deserialize)]
/// struct Credentials {
///     token: String,
/// }
///
/// /// Authenticates the client by the payload of `connection_init`.
/// async fn login(init: Init) -> Result<(), Close> {
///     let Credentials { token } = init.payload()?;
///     match token.as_str() {
///         "secret" => Ok(()),
///         _ => Err(GraphqlWs::forbidden()),
///     }
/// }
///
/// async fn countdown() -> Replies<impl Stream<Item = Json<Value>>> {
///     let results = [3, 2, 1].map(|n| Json(json!({ "data": { "countdown": n } })));
///     Replies(stream::iter(results))
/// }
///
/// let gateway = gateway!(channel(
///     "/graphql",
///     protocol = GraphqlWs::new().init(login),
///     match key {
///         "Countdown" => countdown,
///         _ => Http::post("http://graphql:4000/"),
///     },
/// ));
/// assert!(gateway.check().is_ok());
/// ```
///
/// * Each message of a reply is sent as `next`, and `complete` after the last one. It must be a JSON object, the result of
///   an execution: `{"data": .., "errors": ..}`.
/// * An error is sent as `error`, with the code in `extensions.code`. It ends the operation.
/// * A client's `complete` [cancels](crate::Envelope::cancel) the operation; nothing more is sent for it.
/// * The gateway answers `ping` with a `pong` that has the same payload, also while every place of `concurrency` is taken,
///   until 16 messages wait for one.
/// * The gateway closes the connection as the protocol says: 4400 for an invalid message, 4401 for an operation before the
///   acknowledgement, 4408 without `connection_init` in [time](Self::init_timeout), 4409 for an id that is in flight, 4429
///   for a second `connection_init`. `init` may refuse, usually with 4403.
/// * The channel's subprotocol is `graphql-transport-ws`, unless it sets `subprotocols`.
///
/// The name of an operation is the client's word. What executes the query must insist on the operation of that name, as
/// GraphQL says, or else a client can reach one route's target with another route's name.
///
/// In front of a WebSocket server that speaks the protocol itself, use [`relay`](Self::relay).
pub struct GraphqlWs<H = NoInit> {
    /// Under which connections keep their sessions.
    id: u64,
    init_timeout: Duration,
    relays: bool,
    init: Arc<H>,
    mistakes: Mistakes,
}

/// The default of the protocol's reference implementation.
const INIT_TIMEOUT: Duration = Duration::from_secs(3);

impl GraphqlWs {
    /// The protocol; every client is acknowledged.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: next_id(),
            init_timeout: INIT_TIMEOUT,
            relays: false,
            init: Arc::new(NoInit),
            mistakes: Mistakes::default(),
        }
    }

    /// The protocol in front of a [`WebSocket`](crate::WebSocket) server that speaks it too. Both see each other's
    /// messages unchanged: also `connection_init`, `complete`, `ping` and `pong`, which are the keys of these messages. The
    /// server acknowledges the client. The gateway still routes operations by name, limits them, and closes connections
    /// that violate the protocol. An operation with one of these keys as its name has the key `subscribe`.
    ///
    /// The gateway does not wait for the acknowledgement. The operations that it answers itself also run for clients that
    /// have only sent `connection_init`, and that the server may refuse: authenticate them in the handshake. `complete` ends
    /// such an operation too.
    ///
    /// ```
    /// use wasabi::{GraphqlWs, prelude::*};
    ///
    /// let gateway = gateway!(channel(
    ///     "/graphql",
    ///     protocol = GraphqlWs::relay(),
    ///     middleware = [Throttle::new(1000)],
    ///     WebSocket::connect("ws://graphql:4000/").forward_subprotocol().close_on_failed_dial(),
    /// ));
    /// assert!(gateway.check().is_ok());
    /// ```
    #[must_use]
    pub fn relay() -> Self {
        Self {
            relays: true,
            ..Self::new()
        }
    }

    /// The close 4403, with which `init` refuses a client.
    #[must_use]
    pub fn forbidden() -> Close {
        closes::forbidden()
    }
}

impl<H> GraphqlWs<H> {
    /// Decides about each client by the payload of its `connection_init`: an `async fn(Init)` that returns `()`, or
    /// [`Json`](crate::Json) for the payload of the acknowledgement, or a `Result` of these and a [`Close`]. The connection
    /// ends with that close.
    ///
    /// Middleware does not see `connection_init`, and the function needs no slot. It has no time limit of its own.
    #[must_use]
    pub fn init<F: OnInit>(self, function: F) -> GraphqlWs<F> {
        let mut mistakes = self.mistakes;
        if self.relays {
            mistakes.keep::<()>(Err(
                "`GraphqlWs::init` has no effect with `relay`: the server acknowledges clients"
                    .to_owned(),
            ));
        }
        GraphqlWs {
            id: self.id,
            init_timeout: self.init_timeout,
            relays: self.relays,
            init: Arc::new(function),
            mistakes,
        }
    }

    /// How long the client may take until its `connection_init`; otherwise it is closed with 4408. 3 s by default.
    #[must_use]
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        let call = "GraphqlWs::init_timeout";
        self.init_timeout = self.mistakes.above_zero(call, timeout).min(FOREVER);
        self
    }

    fn session(&self, connection: &Connection) -> Arc<Session> {
        connection.state_of(self.id, Arc::default)
    }
}

impl Default for GraphqlWs {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: OnInit> Protocol for GraphqlWs<H> {
    fn read<'m>(&self, message: &'m Message, connection: &Connection) -> Result<Incoming<'m>> {
        let session = self.session(connection);
        let read = match self.relays {
            true => read::relayed(message, &session),
            false => self.read_own(message, connection, &session),
        };
        Ok(read.unwrap_or_else(Incoming::Close))
    }

    fn reply(&self, call: &Call<'_>, reply: Reply) -> Result<Reply> {
        match call.id() {
            // A relayed message: the server answers.
            _ if self.relays && reply.is_none() => Ok(reply),
            Some(id) => write::results(id, reply),
            None => Ok(Reply::none()),
        }
    }

    fn error(&self, error: &Error, id: Option<&RequestId>) -> Reply {
        match id {
            Some(id) => Reply::message(write::error(id, error)),
            None => Reply::none(),
        }
    }

    fn connected(&self, connection: &Connection) {
        let (session, limit) = (self.session(connection), self.init_timeout);
        let client = connection.clone();
        let deadline = async move {
            tokio::select! {
                in_time = timeout(limit, session.began()) => if in_time.is_err() {
                    client.close(closes::late());
                },
                _ = client.outbox().finished() => {}
            }
        };
        connection.accompany(Box::pin(deadline));
    }

    fn subprotocols(&self) -> &[&'static str] {
        &["graphql-transport-ws"]
    }

    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        use crate::schema::{Codes, Language, Places};
        let places = Places {
            // An invalid message closes the connection.
            codes: Codes::default(),
            closes: closes::all(!H::ACKNOWLEDGES_ALL),
            ..Places::unknown(match self.relays {
                true => Language::Unknown,
                false => Language::GraphqlWs,
            })
        };
        match self.relays {
            true => places,
            false => Places {
                key: Some("/payload/operationName".to_owned()),
                id: Some("/id".to_owned()),
                ..places
            },
        }
    }

    fn check(&self) -> Result<(), String> {
        self.mistakes.check()
    }
}

impl<H> fmt::Debug for GraphqlWs<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphqlWs")
            .field("init_timeout", &self.init_timeout)
            .field("relays", &self.relays)
            .finish_non_exhaustive()
    }
}
