//! Splits a response body into messages while it arrives.

mod lines;
mod sse;

use std::{fmt, sync::Arc};

use bytes::Bytes;

pub use self::sse::SseEvent;
use self::{lines::Cutter, sse::Events};
use crate::{Error, Message, Result, Text};

/// How the body of a streamed response is split into messages; see [`Http::streaming`](crate::Http::streaming).
/// [`Lines`] and [`Sse`] are such framings.
#[derive(Clone)]
pub struct Framing(FramingKind);

#[derive(Clone)]
enum FramingKind {
    Lines,
    Sse(Option<Arc<Tell>>),
}

/// Makes the message for a client from an event.
type Tell = dyn Fn(&SseEvent<'_>) -> Option<Message> + Send + Sync;

/// Sends each line as a text message, without its line ending: for NDJSON, logs, and other text that arrives bit by
/// bit.
///
/// Lines end with LF, or CR and LF; the last one may end with the body. Empty lines are left out. A line that is not
/// valid UTF-8 is the error `upstream_invalid`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines;

/// Server-Sent Events: the data of each event becomes a text message.
///
/// The body is parsed as the HTML standard says: the lines of `data` are joined by a line feed; lines end with LF, CR
/// or both; comments, `retry` and unknown fields are ignored, as are an event without data and an event that the end of
/// the body cuts off. The fields `event` and `id` are not sent to the client, unless [`tell`](Self::tell) does so.
///
/// The gateway asks the service for `text/event-stream`. A response of another type is the error `upstream_invalid`.
/// The reply ends with the body; the gateway does not reconnect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sse;

impl Sse {
    /// Makes the messages from events with a function; `None` skips an event.
    ///
    /// ```
    /// use wasabi::{Http, Message, Sse};
    ///
    /// let answers = Http::post("http://model:8080/complete")
    ///     .streaming(Sse.tell(|event| (event.name != "ping").then(|| Message::text(event.data.to_owned()))));
    /// # drop(answers);
    /// ```
    pub fn tell(
        self,
        message: impl Fn(&SseEvent<'_>) -> Option<Message> + Send + Sync + 'static,
    ) -> Framing {
        Framing(FramingKind::Sse(Some(Arc::new(message))))
    }
}

impl From<Lines> for Framing {
    fn from(_: Lines) -> Self {
        Self(FramingKind::Lines)
    }
}

impl From<Sse> for Framing {
    fn from(_: Sse) -> Self {
        Self(FramingKind::Sse(None))
    }
}

impl Framing {
    /// The media type that the gateway asks for, and that the response must have.
    pub(super) fn media_type(&self) -> Option<&'static str> {
        match self.0 {
            FramingKind::Lines => None,
            FramingKind::Sse(_) => Some("text/event-stream"),
        }
    }

    /// Starts on a body whose messages have at most `limit` bytes each.
    pub(super) fn start(&self, limit: usize) -> Frames {
        match &self.0 {
            FramingKind::Lines => Frames::Lines(Cutter::new(limit, false)),
            FramingKind::Sse(tell) => {
                // One line may hold all the data of an event.
                let line = limit.saturating_add("data: ".len());
                Frames::Sse(Cutter::new(line, true), Events::new(limit), tell.clone())
            }
        }
    }
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            FramingKind::Lines => "Lines",
            FramingKind::Sse(_) => "Sse",
        })
    }
}

/// The messages of one body.
pub(super) enum Frames {
    Lines(Cutter),
    Sse(Cutter, Events, Option<Arc<Tell>>),
}

impl Frames {
    /// Adds a chunk, once the earlier chunks hold no more messages.
    pub(super) fn feed(&mut self, chunk: Bytes) {
        match self {
            Self::Lines(cutter) | Self::Sse(cutter, ..) => cutter.feed(chunk),
        }
    }

    /// The bytes kept of an incomplete message.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Lines(cutter) => cutter.held(),
            Self::Sse(cutter, events, _) => cutter.held() + events.held(),
        }
    }

    /// The next complete message.
    pub(super) fn next(&mut self) -> Result<Option<Message>> {
        match self {
            Self::Lines(cutter) => {
                while let Some(line) = cutter.line()? {
                    if !line.is_empty() {
                        return text(line).map(Some);
                    }
                }
                Ok(None)
            }
            Self::Sse(cutter, events, tell) => {
                while let Some(line) = cutter.line()? {
                    let Some(event) = events.line(&line)? else {
                        continue;
                    };
                    let message = match tell {
                        Some(tell) => tell(&event),
                        None => Some(Message::text(event.data.to_owned())),
                    };
                    if message.is_some() {
                        return Ok(message);
                    }
                }
                Ok(None)
            }
        }
    }

    /// The message that ends with the body, if any.
    pub(super) fn end(&mut self) -> Result<Option<Message>> {
        match self {
            Self::Lines(cutter) => {
                let rest = cutter.rest();
                let message = (!rest.is_empty()).then(|| text(rest));
                message.transpose()
            }
            Self::Sse(..) => Ok(None),
        }
    }
}

fn text(line: Bytes) -> Result<Message> {
    // A copy, so that a line does not keep its whole chunk in memory.
    let text = Text::try_from(Bytes::copy_from_slice(&line));
    text.map(Message::from)
        .map_err(|error| Error::UpstreamUnfit(format!("text that is not UTF-8: {error}").into()))
}
