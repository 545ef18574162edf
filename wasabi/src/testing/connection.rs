//! A connection without a client.

use std::sync::Mutex;

use axum::{Router, routing::any};
use futures_util::FutureExt;
use http::{Extensions, Request as HttpRequest, request::Parts};
use tower::ServiceExt;

use super::{TestError, TestHandshake};
use crate::{
    Close, CloseCode, Connection, Envelope, Error, InFlight, Message, Parser, Request, RequestId,
    Result,
    connection::{
        Handshake,
        few::Few,
        held::{Budget, Held},
        outbox::Outbox,
        socket::Limits,
    },
    metrics::Traffic,
    protocol::{self, Inbound},
    request::Cancellation,
    runtime::Runtime,
    sync::Unpoisoned,
};

/// A connection without a client, for unit tests of functions, hooks and middleware.
///
/// ```
/// use wasabi::{prelude::*, testing::TestConnection};
///
/// #[backend]
/// async fn subscribe(topic: Text, connection: Connection) -> Result<()> {
///     let _ = connection.send(format!("subscribed to {topic}")).await;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let client = TestConnection::new();
/// subscribe(Text::from("news"), client.handle()).await?;
/// assert_eq!(client.sent(), [Message::text("subscribed to news")]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestConnection {
    connection: Connection,
    sent: Mutex<Few<Message>>,
}

/// The most messages and bytes that wait for [`TestConnection::sent`]: the defaults of a channel.
const MAX_WAITING: (usize, usize) = (64, 1024 * 1024);

impl TestConnection {
    /// A connection to `/`.
    #[must_use]
    pub fn new() -> Self {
        let (parts, ()) = HttpRequest::new(()).into_parts();
        Self::from_parts(parts)
    }

    /// A connection with this handshake.
    ///
    /// # Errors
    ///
    /// Returns [`TestError::Handshake`] if the handshake is invalid.
    pub fn open(handshake: impl Into<TestHandshake>) -> Result<Self, TestError> {
        let (parts, ()) = handshake.into().into_request()?.into_parts();
        Ok(Self::from_parts(parts))
    }

    /// A connection with this handshake to a channel with this path, so that
    /// [`Path`](crate::Path) and [`Connection::path`] find its parameters.
    ///
    /// ```
    /// use wasabi::testing::TestConnection;
    ///
    /// let client = TestConnection::open_at("/v1/{tenant}", "/v1/acme")?;
    /// assert_eq!(client.handle().path::<String>().unwrap(), "acme");
    /// # Ok::<(), wasabi::testing::TestError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`TestError::Handshake`] if the handshake is invalid, and [`TestError::Protocol`] if the channel's path is
    /// invalid or does not match.
    pub fn open_at(path: &str, handshake: impl Into<TestHandshake>) -> Result<Self, TestError> {
        wasabi_rules::declared_path(path).map_err(TestError::Protocol)?;
        let request = handshake.into().into_request()?;
        // axum keeps the parameters in a private type, so that only its router can make them.
        let found = async |request: axum::extract::Request| {
            let (parts, _) = request.into_parts();
            axum::Extension(parts.extensions)
        };
        let router = Router::new().route(path, any(found));
        let (mut parts, ()) = request.into_parts();
        let mut routed = HttpRequest::new(axum::body::Body::empty());
        *routed.uri_mut() = parts.uri.clone();
        *routed.extensions_mut() = parts.extensions.clone();
        let response = router.oneshot(routed).now_or_never();
        let extensions = response.and_then(|response| match response {
            Ok(mut response) => response.extensions_mut().remove::<Extensions>(),
            Err(never) => match never {},
        });
        let Some(extensions) = extensions else {
            return Err(TestError::Protocol(format!(
                "a channel at `{path}` does not take the path `{}`",
                parts.uri.path()
            )));
        };
        parts.extensions = extensions;
        Ok(Self::from_parts(parts))
    }

    fn from_parts(parts: Parts) -> Self {
        let limits = Limits {
            max_message_size: 1024 * 1024,
        };
        let (messages, bytes) = MAX_WAITING;
        let connection = Connection::new(
            Runtime::default().next_id(),
            Handshake::of(parts),
            Outbox::new(messages, bytes),
            Held::new(bytes, Budget::default()),
            Traffic::default(),
            limits,
        );
        Cancellation::answer_all(&connection, 1);
        Self {
            connection,
            sent: Mutex::default(),
        }
    }

    /// The extractor [`InFlight`] of this connection. Each cancellation finds one request; [`cancelled`](Self::cancelled)
    /// returns the ids.
    ///
    /// ```
    /// use wasabi::{InFlight, RequestId, prelude::*, testing::TestConnection};
    ///
    /// #[backend]
    /// async fn unsubscribe(id: Text, in_flight: InFlight) -> String {
    ///     format!("{} ended", in_flight.cancel(&RequestId::new(id)).await)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let client = TestConnection::new();
    /// assert_eq!(unsubscribe(Text::from("7"), client.in_flight()).await, "1 ended");
    /// assert_eq!(client.cancelled(), [RequestId::new("7")]);
    /// # }
    /// ```
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        InFlight::of(&self.connection)
    }

    /// Takes the ids of the requests that were cancelled since the last call.
    pub fn cancelled(&self) -> Vec<RequestId> {
        let cancellations = Cancellation::take(&self.connection);
        cancellations
            .into_iter()
            .map(|cancellation| cancellation.id)
            .collect()
    }

    /// The handle that functions and hooks take.
    #[must_use]
    pub fn handle(&self) -> Connection {
        self.connection.clone()
    }

    /// A request with this key on this connection.
    pub fn request(&self, key: &str, message: impl Into<Message>) -> Request {
        self.enveloped(Envelope::new(key), message)
    }

    /// A request with this envelope (key, id, value) on this connection.
    pub fn enveloped(&self, envelope: Envelope<'_>, message: impl Into<Message>) -> Request {
        let message = message.into();
        let parts = envelope.into_parts(&message);
        Request::new(message, parts, &self.connection)
    }

    /// The request that this parser reads from a message.
    ///
    /// ```
    /// use wasabi::{prelude::*, testing::TestConnection};
    ///
    /// let client = TestConnection::new();
    /// let req = client.parsed(&JsonKey::at("/do"), r#"{"do":"greet","name":"Ada"}"#)?;
    /// assert_eq!(req.key(), "greet");
    /// # Ok::<(), wasabi::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the parser's error, and `bad_request` for a message that is no request: one that the parser drops, or that
    /// [cancels](Envelope::cancel).
    pub fn parsed(&self, parser: &impl Parser, message: impl Into<Message>) -> Result<Request> {
        match protocol::parse(parser, message.into(), &self.connection) {
            Inbound::Request(request) | Inbound::Unique(request, _) => Ok(request),
            Inbound::Dropped | Inbound::Answer(_) | Inbound::Close(_) | Inbound::Batch(..) => {
                Err(Error::bad_request("the parser drops this message"))
            }
            Inbound::Cancel(cancel) => {
                let id = cancel.requests.first().map(|cancelled| &cancelled.id);
                Err(Error::bad_request(format!(
                    "the parser cancels the request `{}` with this message",
                    id.map_or("", RequestId::as_str)
                )))
            }
            Inbound::Invalid(mut request) => Err(request
                .take_invalid()
                .unwrap_or_else(|| Error::bad_request("the parser cannot read this message"))),
        }
    }

    /// Takes the messages that were sent to the client since the last call.
    ///
    /// Until then they wait in the connection's queue, which has room for 64 messages of 1 MiB in total; beyond that
    /// [`Connection::send`] waits.
    pub fn sent(&self) -> Vec<Message> {
        let mut sent = self.sent.lock().unpoisoned();
        let outbox = self.connection.outbox();
        outbox.take(&mut sent);
        let messages = sent.drain().collect::<Vec<_>>();
        drop(sent);
        outbox.release(messages.len(), messages.iter().map(Message::len).sum());
        messages
    }

    /// The close that the server has requested.
    pub fn closing(&self) -> Option<Close> {
        self.connection.outbox().requested_close()
    }

    /// The client leaves: [`Connection::closed`] returns, and sending fails from now on.
    pub fn leave(&self) {
        self.connection.end(CloseCode::GOING_AWAY.into());
    }
}

impl Default for TestConnection {
    fn default() -> Self {
        Self::new()
    }
}
