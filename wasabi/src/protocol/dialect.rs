//! What the dispatcher needs of a channel's parser or protocol.

use std::sync::Arc;

use super::{
    Call, Incoming, Protocol,
    batch::{self, Batch, Part},
};
use crate::{
    Backend, Close, Connection, Envelope, Error, ErrorFormat, Message, Parser, Reply, Request,
    Result,
    panics::discard,
    parser::Duplicate,
    request::{Cancelled, RequestParts},
};

/// What a client's message is, after reading.
#[derive(Debug)]
pub enum Inbound {
    /// A request.
    Request(Request),
    /// The same, but the connection ends if a request with its id is in flight.
    Unique(Request, Duplicate),
    /// A request that no target sees.
    Invalid(Request),
    /// Requests that take one slot, by a request that stands for them, and how many of them are invalid.
    Batch(Request, u32),
    /// The protocol's own answer.
    Answer(Box<Message>),
    /// The connection ends.
    Close(Box<Close>),
    /// Requests end.
    Cancel(Box<Cancel>),
    /// Intentionally.
    Dropped,
}

/// Requests that end, and what the message is besides.
#[derive(Debug)]
pub struct Cancel {
    pub(crate) requests: Vec<Cancelled>,
    /// What has its turn after them. It is no cancellation.
    pub(crate) then: Inbound,
}

impl Inbound {
    /// The request, if it is one.
    pub(crate) fn request(&self) -> Option<&Request> {
        match self {
            Self::Request(request)
            | Self::Unique(request, _)
            | Self::Invalid(request)
            | Self::Batch(request, _) => Some(request),
            Self::Answer(_) | Self::Close(_) | Self::Cancel(_) | Self::Dropped => None,
        }
    }

    /// The request, if it is one.
    pub(crate) fn into_request(self) -> Option<Request> {
        match self {
            Self::Request(request)
            | Self::Unique(request, _)
            | Self::Invalid(request)
            | Self::Batch(request, _) => Some(request),
            Self::Answer(_) | Self::Close(_) | Self::Cancel(_) | Self::Dropped => None,
        }
    }
}

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
    fn read(&self, message: Message, connection: &Connection) -> Inbound {
        let incoming = match self.0.read(&message, connection) {
            Ok(Incoming::Batch(messages)) => return self.read_batch(messages, connection),
            Ok(Incoming::Elements(elements)) => return joined(elements, connection),
            incoming => incoming,
        };
        match parts(incoming, &message, connection) {
            Ok((parts, invalid)) => request(message, parts, invalid, connection),
            Err(inbound) => inbound,
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
        self.0.reply(&Call { id, connection }, reply)
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
            let incoming = self.0.read(&message, connection);
            let parts = element(incoming, &message, connection);
            if let Err(close) = elements.add(parts, message, connection) {
                return close;
            }
        }
        elements.join(connection)
    }
}

/// Makes requests of the elements of a batch.
#[inline(never)]
fn joined(elements: Vec<(Message, Result<Incoming<'_>>)>, connection: &Connection) -> Inbound {
    let mut joined = Elements::with_capacity(elements.len());
    for (message, incoming) in elements {
        let parts = element(incoming, &message, connection);
        if let Err(close) = joined.add(parts, message, connection) {
            return close;
        }
    }
    joined.join(connection)
}

/// What an element of a batch is made of.
#[inline(always)]
fn element(
    incoming: Result<Incoming<'_>>,
    message: &Message,
    connection: &Connection,
) -> Result<(RequestParts, Option<Error>), Inbound> {
    let incoming = match incoming {
        Ok(Incoming::Batch(_) | Incoming::Elements(_)) => {
            Err(Error::bad_request("a batch inside a batch"))
        }
        incoming => incoming,
    };
    parts(incoming, message, connection)
}

/// The elements of a batch so far.
struct Elements {
    parts: Vec<Part>,
    /// How many of them are invalid.
    invalid: u32,
    cancelled: Vec<Cancelled>,
}

impl Elements {
    fn with_capacity(count: usize) -> Self {
        Self {
            parts: Vec::with_capacity(count),
            invalid: 0,
            cancelled: Vec::new(),
        }
    }

    /// Adds an element. Fails if it ends the connection.
    #[inline(always)]
    fn add(
        &mut self,
        parts: Result<(RequestParts, Option<Error>), Inbound>,
        message: Message,
        connection: &Connection,
    ) -> Result<(), Inbound> {
        let inbound = match parts {
            Ok((parts, invalid)) => request(message, parts, invalid, connection),
            Err(Inbound::Cancel(cancel)) => {
                self.cancelled.extend(cancel.requests);
                cancel.then
            }
            Err(inbound) => inbound,
        };
        match inbound {
            Inbound::Request(request) | Inbound::Unique(request, _) => {
                self.parts.push(Part::Request(request));
            }
            Inbound::Invalid(request) => {
                self.invalid += 1;
                self.parts.push(Part::Request(request));
            }
            Inbound::Answer(answer) => self.parts.push(Part::Answer(*answer)),
            Inbound::Close(_) => return Err(inbound),
            Inbound::Batch(..) | Inbound::Cancel(_) | Inbound::Dropped => {}
        }
        Ok(())
    }

    fn join(self, connection: &Connection) -> Inbound {
        let batch = match self.parts.is_empty() {
            true => Inbound::Dropped,
            false => Inbound::Batch(batch::request(self.parts, connection), self.invalid),
        };
        match self.cancelled.is_empty() {
            true => batch,
            false => Inbound::Cancel(Box::new(Cancel {
                requests: self.cancelled,
                then: batch,
            })),
        }
    }
}

/// What a request is made of, with the error of an invalid one; or something that is no request.
#[inline(always)]
fn parts(
    incoming: Result<Incoming<'_>>,
    message: &Message,
    connection: &Connection,
) -> Result<(RequestParts, Option<Error>), Inbound> {
    let mut envelope = match incoming {
        Ok(Incoming::Request(envelope)) => envelope,
        Ok(Incoming::Answer(answer)) => return Err(Inbound::Answer(Box::new(answer))),
        Ok(Incoming::Close(close)) => return Err(Inbound::Close(Box::new(close))),
        Ok(Incoming::Cancel(id)) => Envelope::cancel(id),
        Ok(Incoming::Nothing | Incoming::Batch(_) | Incoming::Elements(_)) => {
            return Err(Inbound::Dropped);
        }
        Err(error) => Envelope::invalid(error),
    };
    if envelope.cancels() {
        return Err(cancel(envelope, message, connection));
    }
    if envelope.is_special() {
        return Err(special(envelope, message, connection));
    }
    let invalid = envelope.take_invalid();
    Ok((envelope.into_parts(message), invalid))
}

/// Makes a request of a part of a message, or one whose id must not be in flight.
#[inline(never)]
fn special(mut envelope: Envelope<'_>, message: &Message, connection: &Connection) -> Inbound {
    let (unique, invalid) = (envelope.is_unique(), envelope.take_invalid());
    let seen = envelope.part_of(message).unwrap_or_else(|| message.clone());
    let parts = envelope.into_parts(&seen);
    match (request(seen, parts, invalid, connection), unique) {
        (Inbound::Request(request), Some(otherwise)) => Inbound::Unique(request, otherwise),
        (inbound, _) => inbound,
    }
}

/// Cancels requests, and makes a request of the message if it is one too.
#[cold]
fn cancel(envelope: Envelope<'_>, message: &Message, connection: &Connection) -> Inbound {
    let (cancelled, rest) = envelope.take_cancelled();
    let then = rest.map(|envelope| special(envelope, message, connection));
    Inbound::Cancel(Box::new(Cancel {
        requests: cancelled.into_iter().collect(),
        then: then.unwrap_or(Inbound::Dropped),
    }))
}

/// Makes a request of a message by a parser.
#[inline(always)]
pub(crate) fn parse(parser: &impl Parser, message: Message, connection: &Connection) -> Inbound {
    let mut envelope = match parser.parse(&message) {
        Ok(Some(envelope)) => envelope,
        Ok(None) => return Inbound::Dropped,
        Err(error) => Envelope::invalid(error),
    };
    if envelope.cancels() {
        return cancel(envelope, &message, connection);
    }
    let invalid = envelope.take_invalid();
    let parts = envelope.into_parts(&message);
    request(message, parts, invalid, connection)
}

#[inline(always)]
fn request(
    message: Message,
    parts: RequestParts,
    invalid: Option<Error>,
    connection: &Connection,
) -> Inbound {
    let request = Request::new(message, parts, connection);
    match invalid {
        None => Inbound::Request(request),
        Some(error) => Inbound::Invalid(request.into_invalid(error)),
    }
}
