//! The protocol engine: RFC 6455 over a byte stream, driven by polling.

mod buffers;
mod frame;
mod reader;
mod sending;
mod writer;

#[cfg(feature = "deflate")]
pub(crate) mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "socket/deflate_absent.rs"]
pub(crate) mod deflate;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use self::{
    buffers::Input,
    deflate::{Agreed, Deflater, Inflater},
    frame::{MAX_CONTROL, Opcode, Role},
    reader::{Event, Reader},
    writer::Writer,
};
use super::work;
use crate::{Close, CloseCode, Message, pieces};

/// A stream that may know that its peer has hung up before it is read to its end.
#[allow(unreachable_pub, reason = "a fuzz target implements it")]
pub trait HangUp {
    /// Whether the peer will send nothing beyond what has already arrived; `false` if unknown. The call may replace the
    /// waker of the last write, so both must use the same waker.
    fn has_hung_up(&mut self, _cx: &mut Context<'_>) -> bool {
        false
    }
}

/// A WebSocket over a byte stream.
pub(crate) struct Socket<T> {
    io: T,
    role: Role,
    state: SocketState,
    reader: Reader,
    writer: Writer,
    /// Bytes read from the stream but not parsed yet.
    input: Option<Box<Input>>,
    /// The answer to the last ping, while the peer takes no data.
    pong: Option<Box<Bytes>>,
    waker: Waker,
    /// Data was written since the last complete flush.
    dirty: bool,
    /// The last write found no room.
    blocked: bool,
    written: u64,
    received: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SocketState {
    Open,
    /// Our close frame is written; the peer's has not arrived yet.
    Closing,
    /// The peer's close frame has arrived and is answered.
    Closed,
}

/// Limits on what a peer may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_message_size: usize,
}

pub(crate) enum Incoming {
    Message(Message),
    Ping,
    Pong,
    /// A part of an incomplete message.
    Part,
    Close(Close),
}

/// The end of the connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer broke a rule and must be sent this close.
    Rule(Close),
    /// The closing handshake is complete.
    Closed,
    /// The stream broke.
    Broken(io::Error),
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// The server's side, towards a client with which `agreed` was negotiated.
    pub(crate) fn server(
        io: T,
        read_already: Vec<u8>,
        limits: Limits,
        agreed: Option<Agreed>,
    ) -> Self {
        Self::new(io, read_already, limits, agreed, Role::Server)
    }

    /// The client's side, towards an upstream.
    pub(crate) fn client(io: T, read_already: Vec<u8>, limits: Limits) -> Self {
        Self::new(io, read_already, limits, None, Role::Client)
    }

    fn new(
        io: T,
        read_already: Vec<u8>,
        limits: Limits,
        agreed: Option<Agreed>,
        role: Role,
    ) -> Self {
        Self {
            io,
            role,
            state: SocketState::Open,
            reader: Reader::new(role, limits.max_message_size, agreed.map(Inflater::new)),
            writer: Writer::new(agreed.map(Deflater::new)),
            received: read_already.len() as u64,
            input: (!read_already.is_empty()).then(|| Input::of(&read_already)),
            pong: None,
            waker: Waker::noop().clone(),
            dirty: false,
            blocked: false,
            written: 0,
        }
    }

    /// Sets the task to wake when the stream is ready again.
    pub(crate) fn register(&mut self, task: &Waker) {
        if !self.waker.will_wake(task) {
            self.waker.clone_from(task);
        }
    }

    /// Whether the peer currently takes no data. Writing then only grows the buffer.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether messages may be written: neither side has begun to close.
    pub(crate) fn is_open(&self) -> bool {
        self.state == SocketState::Open
    }

    /// Bytes that the peer has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    #[cfg(fuzzing)]
    pub(crate) fn unsent(&self) -> usize {
        self.writer.output().map_or(0, |output| output.len())
    }

    /// Bytes that have been received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Reads the next message, or a part of one. Answers pings and closes along the way.
    #[inline(always)]
    pub(crate) fn poll_read(&mut self) -> Poll<Result<Incoming, Failure>> {
        loop {
            if self.state == SocketState::Closed && self.role == Role::Server {
                // The server ends the stream (RFC 6455, section 7.1.1).
                return Poll::Ready(Err(Failure::Closed));
            }
            let Some(input) = &mut self.input else {
                ready!(self.fill())?;
                continue;
            };
            if self.state == SocketState::Closed {
                self.give_input();
                continue;
            }
            let unparsed = input.rest().len();
            let event = self.reader.read(input).map_err(Failure::Rule)?;
            let left = input.rest().len();
            if left == 0 {
                self.give_input();
            }
            work::spend(unparsed - left + 2 * work::EACH);
            return Poll::Ready(match event {
                Some(event) => self.incoming(event),
                None => Ok(Incoming::Part),
            });
        }
    }

    #[inline(always)]
    fn incoming(&mut self, event: Event) -> Result<Incoming, Failure> {
        Ok(match event {
            Event::Message(message) => Incoming::Message(message),
            Event::Ping(payload) => {
                self.answer_ping(payload)?;
                Incoming::Ping
            }
            Event::Pong => Incoming::Pong,
            Event::Close(close) => {
                if self.state == SocketState::Open {
                    self.write_close(&close)?;
                }
                self.state = SocketState::Closed;
                Incoming::Close(close)
            }
        })
    }

    /// Of several pings, only the last needs an answer (RFC 6455, section 5.5.3).
    fn answer_ping(&mut self, payload: Bytes) -> Result<(), Failure> {
        if self.state != SocketState::Open {
            return Ok(());
        }
        if self.blocked {
            self.pong = Some(Box::new(Bytes::copy_from_slice(&payload)));
            return Ok(());
        }
        self.write_frame(Opcode::Pong, &payload)
    }

    /// Reads from the stream.
    fn fill(&mut self) -> Poll<Result<(), Failure>> {
        let mut input = Input::take();
        let mut cx = Context::from_waker(&self.waker);
        let io = Pin::new(&mut self.io);
        let error = match poll_read_buf(io, &mut cx, input.room()) {
            Poll::Ready(Ok(0)) => io::ErrorKind::UnexpectedEof.into(),
            Poll::Ready(Ok(count)) => {
                self.received += count as u64;
                pieces::rewind();
                self.input = Some(input);
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(error)) => error,
            Poll::Pending => {
                input.give();
                return Poll::Pending;
            }
        };
        input.give();
        Poll::Ready(Err(self.broken(error)))
    }

    #[inline(always)]
    fn give_input(&mut self) {
        if let Some(input) = self.input.take() {
            input.give();
        }
    }

    fn broken(&self, error: io::Error) -> Failure {
        match self.state {
            SocketState::Open | SocketState::Closing => Failure::Broken(error),
            SocketState::Closed => Failure::Closed,
        }
    }

    /// Adds a message to the output. It is always accepted; see [`is_blocked`](Self::is_blocked).
    #[inline]
    pub(crate) fn write(&mut self, message: &Message) -> Result<(), Failure> {
        if self.state != SocketState::Open {
            return Err(Failure::Closed);
        }
        if self.takes_uncopied(message.len()) {
            return self.write_uncopied(message.clone());
        }
        let written = match message {
            Message::Text(text) => {
                (self.writer).write_message(self.role, Opcode::Text, text.as_bytes())
            }
            Message::Binary(data) => self.writer.write_message(self.role, Opcode::Binary, data),
        };
        self.gathered(written)
    }

    /// Adds a message that may go to other connections too.
    pub(crate) fn write_shared(&mut self, message: Message) -> Result<(), Failure> {
        if self.state != SocketState::Open {
            return Err(Failure::Closed);
        }
        if self.takes_uncopied(message.len()) {
            return self.write_uncopied(message);
        }
        let opcode = opcode(&message);
        let written = self
            .writer
            .write_shared(self.role, opcode, &message.into_bytes());
        self.gathered(written)
    }

    pub(crate) fn write_ping(&mut self) -> Result<(), Failure> {
        if self.state != SocketState::Open {
            return Ok(());
        }
        self.write_frame(Opcode::Ping, &[])
    }

    fn write_frame(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Failure> {
        let written = self.writer.write(self.role, opcode, payload);
        self.gathered(written)
    }

    /// Starts the closing handshake.
    pub(crate) fn close(&mut self, close: &Close) -> Result<(), Failure> {
        if self.state == SocketState::Open {
            self.state = SocketState::Closing;
            self.write_close(close)?;
        }
        let _ = self.poll_flush()?;
        Ok(())
    }

    fn write_close(&mut self, close: &Close) -> Result<(), Failure> {
        let mut payload = [0; MAX_CONTROL];
        let mut room = &mut payload[..];
        if close.code != CloseCode::NO_STATUS {
            room.put_u16(close.code.as_u16());
            let end = close.reason.floor_char_boundary(room.len());
            room.put_slice(&close.reason.as_bytes()[..end]);
        }
        let len = MAX_CONTROL - room.len();
        self.write_frame(Opcode::Close, &payload[..len])
    }

    /// Whether the peer will send nothing beyond what has already arrived.
    pub(crate) fn has_hung_up(&mut self) -> bool
    where
        T: HangUp,
    {
        let mut cx = Context::from_waker(&self.waker);
        self.io.has_hung_up(&mut cx)
    }

    pub(crate) fn into_io(self) -> T {
        self.io
    }
}

fn opcode(message: &Message) -> Opcode {
    match message {
        Message::Text(_) => Opcode::Text,
        Message::Binary(_) => Opcode::Binary,
    }
}
