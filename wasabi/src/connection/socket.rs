//! The protocol engine: tungstenite, driven directly by polling. Nothing outside this file knows it.

use std::{
    cell::Cell,
    io::{self, Read, Write},
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::{
    self, Utf8Bytes,
    error::{CapacityError, Error as WsError},
    protocol::{
        CloseFrame, Role, WebSocket, WebSocketConfig, frame::coding::CloseCode as WireCode,
    },
};

use crate::{Close, CloseCode, Message, Text};

/// A WebSocket over a byte stream.
///
/// tokio-tungstenite's waker proxies cost 17 % of the server's time per message under load, hence this adapter.
pub(crate) struct Socket<T> {
    ws: WebSocket<Adapter<T>>,
    /// Something was written since the last complete flush.
    dirty: bool,
}

/// What a peer may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) read_buffer_size: usize,
    pub(crate) max_message_size: usize,
}

pub(crate) enum Incoming {
    Message(Message),
    Ping,
    Pong,
    Close(Close),
}

/// Bytes that the frames of one message may have beside twice the largest message: a message in many small
/// fragments, or in endless empty ones, is too big although its payload is not.
const FRAGMENT_HEADS: u64 = 64 * 1024;

/// The end of the connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer broke a rule: it is to be told with this.
    Rule(Close),
    /// The closing handshake is complete.
    Closed,
    /// The stream broke.
    Broken(io::Error),
}

/// Bytes that are gathered before a write: replies of one wake-up go out together.
const WRITE_BUFFER: usize = 16 * 1024;

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// The server's side: of a client.
    pub(crate) fn server(io: T, read_already: Vec<u8>, limits: Limits) -> Self {
        Self::new(io, read_already, limits, Role::Server)
    }

    /// The client's side: of an upstream.
    pub(crate) fn client(io: T, read_already: Vec<u8>, limits: Limits) -> Self {
        Self::new(io, read_already, limits, Role::Client)
    }

    fn new(io: T, read_already: Vec<u8>, limits: Limits, role: Role) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(limits.read_buffer_size)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(limits.max_message_size))
            .max_frame_size(Some(limits.max_message_size));
        let adapter = Adapter {
            io,
            waker: Waker::noop().clone(),
            blocked: false,
            written: 0,
            received: 0,
            counted: 0,
            limit: (limits.max_message_size as u64)
                .saturating_mul(2)
                .saturating_add(FRAGMENT_HEADS),
            surplus: None,
        };
        Self {
            ws: WebSocket::from_partially_read(adapter, read_already, role, Some(config)),
            dirty: false,
        }
    }

    /// Names the task that is woken when the stream is ready again.
    pub(crate) fn register(&mut self, task: &Waker) {
        let adapter = self.ws.get_mut();
        if !adapter.waker.will_wake(task) {
            adapter.waker.clone_from(task);
        }
    }

    /// Whether the peer takes no more for now. What is written then only grows the buffer.
    pub(crate) fn is_blocked(&self) -> bool {
        self.ws.get_ref().blocked
    }

    /// Bytes that the peer has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.ws.get_ref().written
    }

    /// Bytes that have been received so far.
    pub(crate) fn received(&self) -> u64 {
        self.ws.get_ref().received
    }

    /// Reads the next message. Pings and closes are answered along the way.
    pub(crate) fn poll_read(&mut self) -> Poll<Result<Incoming, Failure>> {
        let read = self.ws.read();
        let adapter = self.ws.get_mut();
        match &read {
            Ok(tungstenite::Message::Text(_) | tungstenite::Message::Binary(_)) => {
                adapter.counted = adapter.received;
            }
            // Between the fragments of a message, and no part of it.
            Ok(tungstenite::Message::Ping(data) | tungstenite::Message::Pong(data)) => {
                adapter.counted += CONTROL_HEAD + data.len() as u64;
            }
            _ => {}
        }
        match read {
            Ok(tungstenite::Message::Text(text)) => {
                Poll::Ready(Ok(Incoming::Message(Message::Text(Text::from_wire(text)))))
            }
            Ok(tungstenite::Message::Binary(data)) => {
                Poll::Ready(Ok(Incoming::Message(Message::Binary(data))))
            }
            Ok(tungstenite::Message::Ping(_)) => {
                self.dirty = true;
                Poll::Ready(Ok(Incoming::Ping))
            }
            Ok(tungstenite::Message::Close(frame)) => {
                self.dirty = true;
                Poll::Ready(Ok(Incoming::Close(from_frame(frame))))
            }
            Ok(_) => Poll::Ready(Ok(Incoming::Pong)),
            Err(error) => pending_or(error).map(Err),
        }
    }

    /// Adds a message to what is to be sent. It is taken in any case; see [`is_blocked`](Self::is_blocked).
    pub(crate) fn write(&mut self, message: Message) -> Result<(), Failure> {
        self.write_frame(match message {
            Message::Text(text) => tungstenite::Message::Text(text.into_wire()),
            Message::Binary(data) => tungstenite::Message::Binary(data),
        })
    }

    pub(crate) fn write_ping(&mut self) -> Result<(), Failure> {
        self.write_frame(tungstenite::Message::Ping(bytes::Bytes::new()))
    }

    fn write_frame(&mut self, message: tungstenite::Message) -> Result<(), Failure> {
        self.dirty = true;
        match self.ws.write(message) {
            Ok(()) => Ok(()),
            Err(error) => match pending_or(error) {
                Poll::Pending => Ok(()),
                Poll::Ready(failure) => Err(failure),
            },
        }
    }

    /// Starts the closing handshake.
    pub(crate) fn close(&mut self, close: &Close) -> Result<(), Failure> {
        self.dirty = true;
        let frame = (close.code != CloseCode::NO_STATUS).then(|| CloseFrame {
            code: WireCode::from(close.code.as_u16()),
            reason: close.reason.clone().into_wire(),
        });
        match self.ws.close(frame) {
            Ok(()) => Ok(()),
            Err(error) => match pending_or(error) {
                Poll::Pending => Ok(()),
                Poll::Ready(failure) => Err(failure),
            },
        }
    }

    /// Sends what was written.
    pub(crate) fn poll_flush(&mut self) -> Poll<Result<(), Failure>> {
        if !self.dirty {
            return Poll::Ready(Ok(()));
        }
        self.ws.get_mut().blocked = false;
        match self.ws.flush() {
            Ok(()) => {
                self.dirty = false;
                Poll::Ready(Ok(()))
            }
            Err(error) => pending_or(error).map(Err),
        }
    }

    pub(crate) fn into_io(self) -> T {
        self.ws.into_inner().io
    }
}

/// Bytes of the head of a control frame; of one from a server they are 4 fewer, which does not matter.
const CONTROL_HEAD: u64 = 6;

fn from_frame(frame: Option<CloseFrame>) -> Close {
    match frame {
        Some(frame) => Close::new(
            CloseCode::from_wire(frame.code.into()),
            Text::from_wire(frame.reason),
        ),
        None => Close::from(CloseCode::NO_STATUS),
    }
}

fn pending_or(error: WsError) -> Poll<Failure> {
    let rule = |code, reason: String| Failure::Rule(Close::new(code, Utf8Text(reason)));
    Poll::Ready(match error {
        WsError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
        WsError::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            rule(CloseCode::TOO_BIG, "too many fragments".to_owned())
        }
        WsError::Io(error) => Failure::Broken(error),
        // The first bit of a length must be 0 (RFC 6455, section 5.2).
        WsError::Capacity(CapacityError::MessageTooLong { size, .. }) if size > LONGEST => rule(
            CloseCode::PROTOCOL_ERROR,
            "not a length of a frame".to_owned(),
        ),
        WsError::ConnectionClosed | WsError::AlreadyClosed => Failure::Closed,
        WsError::Capacity(CapacityError::MessageTooLong { max_size, .. }) => rule(
            CloseCode::TOO_BIG,
            format!("a message may have {max_size} bytes"),
        ),
        WsError::Utf8(_) => rule(CloseCode::INVALID_PAYLOAD, "text must be UTF-8".to_owned()),
        WsError::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Failure::Broken(io::ErrorKind::UnexpectedEof.into())
        }
        error => rule(CloseCode::PROTOCOL_ERROR, error.to_string()),
    })
}

const LONGEST: usize = usize::MAX >> 1;

struct Utf8Text(String);

impl From<Utf8Text> for Text {
    fn from(text: Utf8Text) -> Self {
        Text::from_wire(Utf8Bytes::from(text.0))
    }
}

/// Shows an asynchronous stream to tungstenite as a non-blocking one.
struct Adapter<T> {
    io: T,
    waker: Waker,
    /// The last write found no room.
    blocked: bool,
    written: u64,
    /// Bytes that the engine has got.
    received: u64,
    /// Of these, the bytes before the message that is being read.
    counted: u64,
    /// The most bytes that a message may come in.
    limit: u64,
    /// Read from the stream, but more than the engine has asked for.
    surplus: Option<Shared>,
}

impl<T: AsyncRead + Unpin> Read for Adapter<T> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.received.saturating_sub(self.counted) > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if let Some(surplus) = &mut self.surplus {
            let count = surplus.copy(target);
            self.received += count as u64;
            if surplus.is_empty() {
                self.surplus = None;
            }
            return Ok(count);
        }
        let mut buffer = Shared::take();
        let mut filled = ReadBuf::new(&mut buffer.bytes);
        let mut cx = Context::from_waker(&self.waker);
        match Pin::new(&mut self.io).poll_read(&mut cx, &mut filled) {
            Poll::Ready(result) => result?,
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
        }
        buffer.end = filled.filled().len();
        let count = buffer.copy(target);
        self.received += count as u64;
        if !buffer.is_empty() {
            self.surplus = Some(buffer);
        }
        Ok(count)
    }
}

/// Bytes that are taken from a stream at once.
const READ: usize = 16 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The buffer that the connections of a thread read into, one after the other. A connection keeps it only while it
/// may not go on with what it has read.
struct Shared {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Shared {
    fn take() -> Self {
        let mut bytes = BUFFER.take();
        if bytes.is_empty() {
            bytes = vec![0; READ];
        }
        Self {
            bytes,
            start: 0,
            end: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn copy(&mut self, target: &mut [u8]) -> usize {
        let count = target.len().min(self.end - self.start);
        target[..count].copy_from_slice(&self.bytes[self.start..][..count]);
        self.start += count;
        count
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        // At the end of a thread there is no such buffer any more.
        let _ = BUFFER.try_with(|buffer| buffer.set(bytes));
    }
}

impl<T: AsyncWrite + Unpin> Write for Adapter<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut cx = Context::from_waker(&self.waker);
        match Pin::new(&mut self.io).poll_write(&mut cx, buffer) {
            Poll::Ready(result) => {
                self.written += *result.as_ref().unwrap_or(&0) as u64;
                result
            }
            Poll::Pending => {
                self.blocked = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut cx = Context::from_waker(&self.waker);
        match Pin::new(&mut self.io).poll_flush(&mut cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                self.blocked = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }
}
