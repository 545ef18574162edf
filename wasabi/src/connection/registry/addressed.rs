//! One connection, wherever it is.

use bytes::Bytes;

use super::{
    Registry,
    address::ConnectionAddress,
    asked::{Answer, Question},
    elsewhere::gone,
    info::ConnectionInfo,
};
use crate::{Close, Connection, Error, IntoMessage, Message};

/// A connection by its address, on whatever node of the gateway's [`Cluster`](crate::Cluster) it is.
/// [`Registry::connection`] returns it.
///
/// Keep an address where something has to come back to one client later, such as the result of a long job:
///
/// ```
/// use wasabi::{ConnectionAddress, prelude::*};
///
/// /// Answers with what others need to reach this client.
/// async fn start(State(registry): State<Registry>, connection: Connection) -> String {
///     registry.address(&connection).to_string()
/// }
///
/// /// Runs on any node.
/// async fn finished(registry: &Registry, client: ConnectionAddress) -> Result<()> {
///     registry.connection(client).send("the job is done").await
/// }
/// # let _ = (start, finished);
/// ```
///
/// # Errors
///
/// All its methods fail
/// * with `gone`: the connection has ended, or its node is not there any more. It is an
///   [`Error::Application`](crate::Error::Application).
/// * with `upstream_unreachable`: the connection is on another node, and for a second there was no connection to the
///   engine. The other node was not asked.
/// * with `upstream_lost`: the node has not answered within a second. It may have done what it was asked.
/// * with `overloaded`: too many questions to other nodes are open.
#[derive(Debug, Clone)]
pub struct Addressed {
    registry: Registry,
    address: ConnectionAddress,
}

impl Registry {
    /// The address of a connection of this registry. It is valid on all nodes, until the connection ends.
    pub fn address(&self, connection: &Connection) -> ConnectionAddress {
        ConnectionAddress::new(self.node(), connection.id())
    }

    /// The connection with this address, whether or not it is there.
    pub fn connection(&self, address: ConnectionAddress) -> Addressed {
        Addressed {
            registry: self.clone(),
            address,
        }
    }
}

impl Addressed {
    /// The address.
    pub fn address(&self) -> ConnectionAddress {
        self.address
    }

    /// Queues a message, as [`Connection::try_send`] does. Returns when it is in the queue. Fails with `overloaded` as well
    /// if the queue is full, and with `bad_request` if the engine does not allow so large a message.
    pub async fn send(&self, message: impl IntoMessage) -> Result<(), Error> {
        let message = message.into_message().map_err(Error::internal)?;
        let (is_text, payload) = match message {
            Message::Text(text) => (true, text.into_bytes()),
            Message::Binary(data) => (false, data),
        };
        let to = self.address.id().0;
        self.done(Question::Send { to, is_text }, payload).await
    }

    /// Closes the connection, as [`Connection::close`] does. Returns when it has begun to close.
    pub async fn close(&self, close: impl Into<Close>) -> Result<(), Error> {
        let close = close.into();
        let question = Question::Close {
            connection: self.address.id().0,
            code: close.code.as_u16(),
            reason: close.reason.to_string(),
        };
        self.done(question, Bytes::new()).await
    }

    /// What is known of the connection.
    pub async fn info(&self) -> Result<ConnectionInfo, Error> {
        let question = Question::Connection(self.address.id().0);
        match self.ask(question, Bytes::new()).await? {
            Answer::Connection(info) => Ok(info),
            other => Err(refused(&other)),
        }
    }

    async fn done(&self, question: Question, payload: Bytes) -> Result<(), Error> {
        match self.ask(question, payload).await? {
            Answer::Done(_) => Ok(()),
            other => Err(refused(&other)),
        }
    }

    async fn ask(&self, question: Question, payload: Bytes) -> Result<Answer, Error> {
        self.registry.ask_at(self.address, question, payload).await
    }
}

fn refused(answer: &Answer) -> Error {
    match answer {
        Answer::Gone => gone(),
        Answer::Full => Error::Overloaded,
        _ => Error::internal("a node of another version cannot answer"),
    }
}
