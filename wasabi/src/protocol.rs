//! Protocols: how a channel's messages become requests, and how replies and errors are written.

mod batch;
mod decoded;
mod dialect;
mod elements;
mod enveloped;
mod graphql_ws;
mod inbound;
mod json_rpc;

pub(crate) use self::batch::Batch;
#[cfg(any(test, fuzzing, feature = "testing"))]
pub(crate) use self::inbound::parse;
pub use self::{
    decoded::Decoded,
    dialect::{Dialect, Enveloped, Plain},
    graphql_ws::{Ack, GraphqlWs, Init, NoInit, OnInit},
    inbound::{Cancel, Inbound},
    json_rpc::{JsonRpc, Unsubscribe},
};
use crate::{Close, Connection, Envelope, Error, Message, Reply, RequestId, Result};

/// The language of a channel: it reads messages, and writes replies and errors in the client's form.
///
/// Set it with `protocol = ..`: [`JsonRpc`], [`GraphqlWs`], or a type of your own. A [`Parser`](crate::Parser), set with
/// `parser = ..`, only reads: functions then write whole messages, and `errors = ..` says how errors are written.
///
/// A protocol surrounds everything else: middleware and functions see replies without their envelope, so they work
/// under every protocol. A channel with a parser pays nothing for this.
///
/// ```
/// use wasabi::{Call, CloseCode, Error, Incoming, Protocol, prelude::*};
///
/// /// `7 greet` is answered with `7 = hello`, and an error with `7 ! no_route`. Other lines ask for nothing.
/// struct Numbered;
///
/// impl Protocol for Numbered {
///     fn read<'m>(&self, message: &'m Message, _from: &Connection) -> Result<Incoming<'m>> {
///         let text = message.as_text().ok_or(Error::bad_request("expected text"))?;
///         Ok(match text.split_once(' ') {
///             Some((id, key)) => {
///                 Incoming::Request(Envelope::new(key).id(RequestId::new(id.to_owned())))
///             }
///             None if text == "hi" => Incoming::Answer("hi".into()),
///             None if text == "bye" => Incoming::Close(CloseCode::NORMAL.into()),
///             None => Incoming::Nothing,
///         })
///     }
///
///     fn reply(&self, call: &Call<'_>, reply: Reply) -> Result<Reply> {
///         let id = call.id().cloned();
///         Ok(reply.map(move |message| match (&id, message.as_text()) {
///             (Some(id), Some(text)) => Message::text(format!("{id} = {text}")),
///             _ => message,
///         }))
///     }
///
///     fn error(&self, error: &Error, id: Option<&RequestId>) -> Reply {
///         let id = id.map_or("-", RequestId::as_str);
///         Reply::message(format!("{id} ! {}", error.code()))
///     }
/// }
///
/// async fn greet() -> &'static str {
///     "hello"
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     protocol = Numbered,
///     match key {
///         "greet" => greet,
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a protocol",
    label = "cannot read messages and write replies",
    note = "a protocol is `JsonRpc::new()`, `GraphqlWs::new()`, or a type that implements `Protocol`",
    note = "a parser, which only reads, is set with `parser = ..`"
)]
pub trait Protocol: Send + Sync + 'static {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// An error is answered to the client, by [`error`](Self::error) without an id. As with a parser, the message
    /// becomes an [invalid](crate::Request::invalid) request, and more than 100 of them in a second close the
    /// connection.
    fn read<'m>(&self, message: &'m Message, connection: &Connection) -> Result<Incoming<'m>>;

    /// Replaces a message by what is in it, before [`read`](Self::read) sees it, if messages arrive compressed or
    /// encrypted. By default a message stays as it is. [`Decoded`](crate::Decoded) does this for protocols that exist.
    /// The messages of a batch are not decoded again.
    ///
    /// # Errors
    ///
    /// An error is answered to the client, like one of [`read`](Self::read).
    #[inline(always)]
    fn decode(&self, _message: &mut Message, _connection: &Connection) -> Result<()> {
        Ok(())
    }

    /// Writes the reply to a request: one message, several, none, or a stream of them; [`Reply::map`] treats all alike.
    /// It is not called for requests that [want no reply](Envelope::without_reply).
    ///
    /// # Errors
    ///
    /// An error is answered instead of the reply.
    fn reply(&self, call: &Call<'_>, reply: Reply) -> Result<Reply>;

    /// Writes the error of the request with this id. It has none if the message could not be read, or if the protocol
    /// found none. A batch whose requests all fail at once, for example because the connection is being closed, has their
    /// ids as its id, as written, between brackets and with commas: `[7,8]`. Requests without an id, and those that want no
    /// reply, are left out. It is not called for requests that [want no reply](Envelope::without_reply).
    fn error(&self, error: &Error, id: Option<&RequestId>) -> Reply;

    /// Joins the replies and errors of a batch, which are in the order of its requests. By default they are messages of
    /// their own.
    fn batch(&self, replies: Vec<Message>) -> Reply {
        Reply::messages(replies)
    }

    /// A connection is open, and `on_connect` has admitted it. Its first message is read afterwards.
    fn connected(&self, _connection: &Connection) {}

    /// The subprotocols of the protocol, best first: those of the channel, unless it sets `subprotocols = ..`.
    fn subprotocols(&self) -> &[&'static str] {
        &[]
    }

    /// Where it finds what it reads.
    #[doc(hidden)]
    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        crate::schema::Places::unknown(crate::schema::Language::Unknown)
    }

    /// Reports invalid settings; called once, when the gateway is built.
    #[doc(hidden)]
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a [`Protocol`] found in a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming<'m> {
    /// A request.
    Request(Envelope<'m>),
    /// Several requests in one message. Each element is read as a message of its own, and a request in it has its own
    /// route, middleware, id and outcome. They run side by side, 16 at a time, in one place of the connection's
    /// `concurrency`; [`Protocol::batch`] joins their replies. The protocol bounds their number. A client that goes takes
    /// all of them along, unless [none owes a reply](crate::Backend::owes_reply).
    Batch(Vec<Message>),
    /// The same, of elements that are read already. Each is a message of its own with what was found in it.
    Elements(Vec<(Message, Result<Incoming<'m>>)>),
    /// Something that the protocol answers itself, such as a ping. It is not a request: no middleware sees it.
    Answer(Message),
    /// The connection is closed at once, because the client violates the protocol or has asked for it. Requests in
    /// flight are cancelled.
    Close(Close),
    /// Requests in flight are cancelled: those of this connection with this id. [`Envelope::cancel`] says what happens to
    /// them; [`Protocol::error`] writes the error `cancelled`. The request `Envelope::cancel(id).without_reply()` cancels
    /// without an answer. A cancellation inside a batch is carried out before the requests of the batch run.
    Cancel(RequestId),
    /// Nothing: the message is dropped on purpose.
    Nothing,
}

/// The request that a [`Protocol`] writes a reply to.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    id: Option<&'a RequestId>,
    connection: &'a Connection,
}

impl<'a> Call<'a> {
    /// The id that the protocol read from the request.
    pub fn id(&self) -> Option<&'a RequestId> {
        self.id
    }

    /// The connection of the request.
    pub fn connection(&self) -> &'a Connection {
        self.connection
    }
}
