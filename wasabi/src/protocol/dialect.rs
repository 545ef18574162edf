//! What the dispatcher needs of a channel's parser or protocol.

use std::sync::Arc;

use super::{
    Call, Incoming, Protocol,
    batch::{self, Batch},
    elements::{Elements, joined},
    enveloped::enveloped,
    inbound::{Inbound, other, parse, plain, undecoded},
};
use crate::{
    Backend, Connection, ErrorFormat, Message, Parser, Reply, Request, Result, panics::discard,
};

/// A parser or a protocol, at work in a dispatcher.
pub trait Dialect: Send + Sync + 'static {
    /// Reads a message.
    fn read(&self, message: Message, connection: &Connection) -> Inbound;

    /// A connection is open.
    fn connected(&self, _connection: &Connection) {}

    /// Runs a request through the chain and writes its reply.
    fn call<S: Sync, B: Backend<S>>(
        &self,
        req: Request,
        connection: &Connection,
        chain: &B,
        state: &S,
    ) -> impl Future<Output = Result<Reply>> + Send;

    /// How errors are written, if the channel says `own`.
    fn errors(&self, own: Option<ErrorFormat>) -> ErrorFormat;

    /// Where key and id are.
    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places;

    /// Reports invalid settings, also beside this format of the channel's errors.
    fn check(&self, errors: Option<&ErrorFormat>) -> Result<(), String>;
}

/// A parser: replies go out as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain<P>(pub(crate) P);

impl<P: Parser> Dialect for Plain<P> {
    #[inline(always)]
    fn read(&self, message: Message, connection: &Connection) -> Inbound {
        parse(&self.0, message, connection)
    }

    #[inline(always)]
    fn call<S: Sync, B: Backend<S>>(
        &self,
        req: Request,
        _connection: &Connection,
        chain: &B,
        state: &S,
    ) -> impl Future<Output = Result<Reply>> + Send {
        chain.call(req, state)
    }

    fn errors(&self, own: Option<ErrorFormat>) -> ErrorFormat {
        match own {
            Some(own) => own.or_from_parser(self.0.errors()),
            None => self.0.errors(),
        }
    }

    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        self.0.places()
    }

    fn check(&self, _errors: Option<&ErrorFormat>) -> Result<(), String> {
        self.0.check()
    }
}

/// A protocol: it writes replies and errors.
#[derive(Debug)]
pub struct Enveloped<P>(pub(crate) Arc<P>);

impl<P: Protocol> Dialect for Enveloped<P> {
    #[inline(always)]
    fn read(&self, mut message: Message, connection: &Connection) -> Inbound {
        if let Err(error) = self.0.decode(&mut message, connection) {
            return undecoded(message, error, connection);
        }
        let mut incoming = self.0.read(&message, connection);
        if let Some(parts) = plain(&mut incoming, &message) {
            drop(incoming);
            return Inbound::Request(Request::new(message, parts, connection));
        }
        match incoming {
            Ok(Incoming::Batch(messages)) => self.read_batch(messages, connection),
            Ok(Incoming::Elements(elements)) => joined(elements, connection),
            incoming => other(incoming, &message, connection),
        }
    }

    fn connected(&self, connection: &Connection) {
        self.0.connected(connection);
    }

    async fn call<S: Sync, B: Backend<S>>(
        &self,
        req: Request,
        connection: &Connection,
        chain: &B,
        state: &S,
    ) -> Result<Reply> {
        if req.value::<Batch>().is_some() {
            let batch = batch::run(&*self.0, req, connection, chain, state);
            return Box::pin(batch).await;
        }
        if !req.wants_reply() {
            discard(chain.call(req, state).await?);
            return Ok(Reply::none());
        }
        let id = req.id().cloned();
        let reply = chain.call(req, state).await?;
        let id = id.as_ref();
        enveloped(&*self.0, &Call { id, connection }, reply)
    }

    fn errors(&self, _own: Option<ErrorFormat>) -> ErrorFormat {
        let protocol = Arc::clone(&self.0);
        ErrorFormat::with(move |error, id| protocol.error(error, id))
    }

    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        self.0.places()
    }

    fn check(&self, errors: Option<&ErrorFormat>) -> Result<(), String> {
        match errors {
            Some(_) => Err(
                "`errors` has no effect beside `protocol`, which writes error replies itself"
                    .to_owned(),
            ),
            None => self.0.check(),
        }
    }
}

impl<P: Protocol> Enveloped<P> {
    #[inline(never)]
    fn read_batch(&self, messages: Vec<Message>, connection: &Connection) -> Inbound {
        let mut elements = Elements::with_capacity(messages.len());
        for message in messages {
            let mut incoming = self.0.read(&message, connection);
            if let Some(parts) = plain(&mut incoming, &message) {
                drop(incoming);
                elements.push(message, parts, connection);
            } else if let Err(close) = elements.add(incoming, &message, connection) {
                return close;
            }
        }
        elements.join(connection)
    }
}
