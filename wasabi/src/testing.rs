//! Unit tests of functions and middleware, and tests of whole gateways without sockets.
//!
//! The cargo feature `testing` adds this module; enable it in `[dev-dependencies]`.
//!
//! * [`TestConnection`] is a connection without a client. It makes the [`Request`]s and the
//!   [`Connection`](crate::Connection) that functions, hooks and middleware take; [`next`] makes a middleware's
//!   [`Next`].
//! * [`TestGateway`] serves a gateway inside the process. A [`TestClient`] connects to it through the real handshake,
//!   HTTP middleware and protocol engine, over a pipe in memory.
//!
//! Nothing here uses a socket. With tokio's paused clock (`#[tokio::test(start_paused = true)]`, tokio's feature
//! `test-util`), a test of a timeout of an hour takes no time. Two clocks are not tokio's and do not pause: that of
//! `Cache`, and the wall clock by which credentials expire.
//!
//! ```
//! use wasabi::{prelude::*, testing::TestGateway};
//!
//! # #[tokio::main(flavor = "current_thread")] // in a test: `#[tokio::test]`
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = gateway!(channel("/greet", async |name: Text| format!("hello, {name}")));
//! let gateway = TestGateway::new(gateway)?;
//! let mut client = gateway.connect("/greet").await?;
//! client.send("Ada").await?;
//! assert_eq!(client.text().await?, "hello, Ada");
//! # Ok(())
//! # }
//! ```

mod client;
mod connection;
#[cfg(test)]
mod fixtures;
mod gateway;
mod handshake;
mod json_client;
mod transcript;

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use http::Response;

#[cfg(test)]
pub(crate) use self::fixtures::{Calls, backend, connection, request, request_on};
pub use self::{
    client::TestClient,
    connection::TestConnection,
    gateway::TestGateway,
    handshake::TestHandshake,
    json_client::JsonClient,
    transcript::{GoldenError, Transcript},
};
use crate::{Backend, Close, IntoBackend, Message, Next, Reply, Request, Result, reply::Body};

/// Why a test's client did not get what it waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The test declares an invalid handshake, such as a header name with a space.
    #[error("the test's handshake is invalid: {0}")]
    Handshake(http::Error),
    /// The gateway refused the handshake with this response.
    #[error("the gateway refused the handshake: {}: {}", .0.status(), String::from_utf8_lossy(.0.body()))]
    Refused(Box<Response<Bytes>>),
    /// The connection has ended: with the gateway's close frame, or, if `None`, without one.
    #[error("the connection has ended: {}", .0.as_ref().map_or_else(|| "no close frame".to_owned(), Close::to_string))]
    Ended(Option<Close>),
    /// No message arrived in time.
    #[error("no message within {0:?}")]
    Late(Duration),
    /// A message arrived that the test did not ask for.
    #[error("not {expected}: {message:?}")]
    Unexpected {
        /// What the test asked for.
        expected: &'static str,
        /// The message.
        message: Message,
    },
    /// HTTP or WebSocket failed between the client and the gateway.
    #[error("the protocol failed: {0}")]
    Protocol(String),
}

impl TestError {
    /// The response of a refused handshake.
    pub fn refused(&self) -> Option<&Response<Bytes>> {
        match self {
            Self::Refused(response) => Some(response),
            _ => None,
        }
    }

    fn protocol(error: impl fmt::Display) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// The rest of a chain, for a unit test of a middleware: a function in place of the backend.
///
/// ```
/// use wasabi::{Error, prelude::*, testing::{TestConnection, next}};
///
/// #[middleware]
/// async fn only_ada(req: Request, next: impl Next) -> Result<Reply> {
///     if req.message().as_text() != Some("Ada") {
///         return Err(Error::new("forbidden", "only Ada may ask"));
///     }
///     next.run(req).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let connection = TestConnection::new();
/// let answer = next(async |_req: Request| Ok(Reply::message("hello")));
///
/// let reply = only_ada.handle(connection.request("greet", "Ada"), answer).await;
/// assert_eq!(reply.unwrap().as_messages(), [Message::text("hello")]);
/// let reply = only_ada.handle(connection.request("greet", "Bob"), answer).await;
/// assert_eq!(reply.unwrap_err().code(), "forbidden");
/// # }
/// ```
pub fn next<F, Fut>(answer: F) -> impl Next
where
    F: Fn(Request) -> Fut + Copy + Send + Sync,
    Fut: Future<Output = Result<Reply>> + Send,
{
    Answer(answer)
}

#[derive(Clone, Copy)]
struct Answer<F>(F);

impl<F, Fut> Next for Answer<F>
where
    F: Fn(Request) -> Fut + Copy + Send + Sync,
    Fut: Future<Output = Result<Reply>> + Send,
{
    fn run(self, req: Request) -> impl Future<Output = Result<Reply>> + Send {
        (self.0)(req)
    }
}

/// Calls the target of a route, usually a function, with what its extractors take from the request and the state.
///
/// ```
/// use wasabi::{prelude::*, testing::{TestConnection, TestHandshake, call}};
///
/// #[backend]
/// async fn greet(State(greeting): State<&'static str>, user: Identity<String>) -> String {
///     format!("{greeting}, {}", user.into_inner())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ada = TestHandshake::to("/").identity(Identity::new("Ada".to_owned()));
/// let req = TestConnection::open(ada)?.request("greet", "");
/// let reply = call(greet, req, &"hello").await?;
/// assert_eq!(reply.as_messages(), [Message::text("hello, Ada")]);
/// # Ok(())
/// # }
/// ```
pub async fn call<T, S, M>(target: T, req: Request, state: &S) -> Result<Reply>
where
    T: IntoBackend<S, M, Backend: Backend<S>>,
{
    target.into_backend().call(req, state).await
}

/// All messages of a reply, also of a stream. Waits for the end of the stream; returns its first error.
///
/// ```
/// use futures_util::stream;
/// use wasabi::{IntoReply, prelude::*, testing::messages};
///
/// fn countdown() -> Replies<impl futures_util::Stream<Item = String>> {
///     Replies(stream::iter((0..3).rev().map(|n| n.to_string())))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let sent = messages(countdown().into_reply()?).await?;
/// assert_eq!(sent, ["2", "1", "0"].map(Message::text));
/// # Ok(())
/// # }
/// ```
pub async fn messages(reply: Reply) -> Result<Vec<Message>> {
    match reply.split().0.into_body() {
        Body::None | Body::Gated(_) => Ok(Vec::new()),
        Body::One(message) => Ok(vec![message]),
        Body::Many(messages) => Ok(messages.collect()),
        Body::Stream(mut stream) => {
            let mut messages = Vec::new();
            while let Some(message) = stream.next().await {
                messages.push(message?);
            }
            Ok(messages)
        }
    }
}
