//! Messages that are decoded before they are read.

use std::fmt;

use super::{Call, Incoming, Protocol};
use crate::{Connection, Envelope, Error, ErrorFormat, Message, Parser, Reply, RequestId, Result};

/// A parser or a protocol whose messages are decoded first: decompressed, decrypted, or taken out of what carries them.
///
/// A function `fn(&Message, &Connection) -> Result<Message>` decodes each message of a client; what it returns is the
/// message, for the parser, for middleware and for targets. Keys, ids, cancellations and batches inside therefore work
/// as if they had arrived in the open.
///
/// ```
/// use wasabi::{Decoded, Error, prelude::*};
///
/// /// Text whose characters are hexadecimal digits.
/// fn unhex(message: &Message, _from: &Connection) -> Result<Message> {
///     let text = message.as_text().ok_or(Error::bad_request("expected text"))?;
///     let digits = |at| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
///     let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digits).collect();
///     let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
///     text.map(Message::text).ok_or(Error::bad_request("expected text in hexadecimal digits"))
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     parser = Decoded::with(unhex, JsonKey::at("/action").id("/id")),
///     match key {
///         "ping" => async || "pong",
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
///
/// The function runs in the connection's task, for one message after the other: it must be quick, and it has to bound
/// what it makes of a message, because `max_message_size` is a limit of what arrives. A message that it returns an error
/// for is answered with that error, without an id, and is [invalid](crate::Request::invalid), as one that the parser
/// cannot read. So is one for which it panics.
///
/// Replies go out as they are. To encode them too, let middleware do it with [`Reply::map`], and set
/// [`ErrorFormat::with`] for errors.
pub struct Decoded<F, P> {
    decode: F,
    reader: P,
}

impl<F, P> Decoded<F, P>
where
    F: Fn(&Message, &Connection) -> Result<Message> + Send + Sync + 'static,
{
    /// Decodes messages with this function, and has this parser or protocol read them.
    pub fn with(decode: F, reader: P) -> Self {
        Self { decode, reader }
    }

    fn decoded(&self, message: &mut Message, connection: &Connection) -> Result<()> {
        *message = (self.decode)(message, connection)?;
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<F, P: Parser> Parser for Decoded<F, P>
where
    F: Fn(&Message, &Connection) -> Result<Message> + Send + Sync + 'static,
{
    fn decode(&self, message: &mut Message, connection: &Connection) -> Result<()> {
        self.decoded(message, connection)?;
        self.reader.decode(message, connection)
    }

    fn parse<'m>(&self, message: &'m Message) -> Result<Option<Envelope<'m>>> {
        self.reader.parse(message)
    }

    fn errors(&self) -> ErrorFormat {
        self.reader.errors()
    }

    fn check(&self) -> Result<(), String> {
        self.reader.check()
    }

    /// Not where the parser finds it: that is inside.
    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        use crate::schema::{Language, Places};
        Places {
            closes: self.reader.places().closes,
            ..Places::unknown(Language::Decoded)
        }
    }
}

#[diagnostic::do_not_recommend]
impl<F, P: Protocol> Protocol for Decoded<F, P>
where
    F: Fn(&Message, &Connection) -> Result<Message> + Send + Sync + 'static,
{
    fn decode(&self, message: &mut Message, connection: &Connection) -> Result<()> {
        self.decoded(message, connection)?;
        self.reader.decode(message, connection)
    }

    fn read<'m>(&self, message: &'m Message, connection: &Connection) -> Result<Incoming<'m>> {
        self.reader.read(message, connection)
    }

    fn reply(&self, call: &Call<'_>, reply: Reply) -> Result<Reply> {
        self.reader.reply(call, reply)
    }

    fn error(&self, error: &Error, id: Option<&RequestId>) -> Reply {
        self.reader.error(error, id)
    }

    fn batch(&self, replies: Vec<Message>) -> Reply {
        self.reader.batch(replies)
    }

    fn connected(&self, connection: &Connection) {
        self.reader.connected(connection);
    }

    fn subprotocols(&self) -> &[&'static str] {
        self.reader.subprotocols()
    }

    fn check(&self) -> Result<(), String> {
        self.reader.check()
    }

    /// Not where the protocol finds it: that is inside.
    #[cfg(feature = "schema")]
    fn places(&self) -> crate::schema::Places {
        use crate::schema::{Language, Places};
        Places {
            closes: self.reader.places().closes,
            ..Places::unknown(Language::Decoded)
        }
    }
}

impl<F, P: fmt::Debug> fmt::Debug for Decoded<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}
