//! One connection of the load generator.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use rustls::ClientConfig;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Histogram, Load, Payload, check::Check, frames::Ring, socket_io, tls::Stream};

/// Key and accept value of the example in RFC 6455, section 1.3.
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Handshake,
    Open,
    Gone,
}

pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) state: State,
    /// The server's handshake response.
    head: Vec<u8>,
    /// The Socket.IO session, if one must begin before anything is sent.
    session: Option<socket_io::Session>,
    ring: Ring,
    check: Check,
    /// Messages that have been written completely.
    sent: u64,
    /// Messages to write as soon as the socket takes them.
    owed: usize,
    /// The bytes of the first of them that have been written.
    partial: usize,
    /// Replies that have not been turned into new messages yet.
    credit: usize,
    /// For each batch, the number of replies that completes it, and when it was written.
    batches: VecDeque<(u64, Instant)>,
    pub(super) polls_write: bool,
    /// A close frame was sent.
    is_closing: bool,
}

impl Connection {
    /// Starts to connect. Sends nothing yet, but the request of the handshake after that of TLS.
    pub(super) fn open(
        index: usize,
        addr: SocketAddr,
        messages: Option<&Load>,
        tls: Option<&Arc<ClientConfig>>,
        request: &[u8],
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Closing resets the connection, so that no port stays in TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        match socket.connect(&addr.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            stream: match tls {
                None => Stream::Plain(socket.into()),
                Some(config) => Stream::tls(socket.into(), config, request)?,
            },
            state: State::Handshake,
            head: Vec::new(),
            session: messages
                .filter(|load| load.payload == Payload::SocketIo)
                .map(|_| socket_io::Session::default()),
            ring: messages.map_or_else(Ring::default, |load| Ring::new(index, load)),
            check: Check::default(),
            sent: 0,
            owed: 0,
            partial: 0,
            credit: 0,
            batches: VecDeque::new(),
            polls_write: true,
            is_closing: false,
        })
    }

    /// Reads the server's handshake response.
    pub(super) fn shake_hands(&mut self, data: &[u8]) -> io::Result<()> {
        self.head.extend_from_slice(data);
        let Some(end) = self.head.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Ok(());
        };
        let head = String::from_utf8_lossy(&self.head[..end]);
        if !head.starts_with("HTTP/1.1 101") || !head.contains(ACCEPT) {
            return Err(io::Error::other(format!("handshake refused: {head}")));
        }
        let is_deflated = head.contains("server_no_context_takeover");
        if self.ring.is_deflated && !is_deflated {
            return Err(io::Error::other(format!("not compressed: {head}")));
        }
        let said = &self.head[end + 4..];
        if let Some(session) = &mut self.session {
            let Some(rest) = session.begin(said, &mut self.stream)? else {
                return Ok(());
            };
            let fed = self.check.feed(rest, &self.ring, 0);
            fed.map_err(io::Error::other)?;
        } else if !said.is_empty() {
            return Err(io::Error::other("the server spoke first"));
        }
        self.head = Vec::new();
        self.state = State::Open;
        Ok(())
    }

    pub(super) fn owe(&mut self, messages: usize) {
        self.owed += messages;
    }

    /// Writes the owed messages. Returns whether some remain because the socket is full.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let before = self.sent;
        self.stream.push()?;
        while self.owed > 0 && self.state == State::Open {
            let wire = self.ring.wire(self.sent, self.owed, self.partial);
            match self.stream.write(wire) {
                Ok(count) => {
                    let written = self.partial + count;
                    let frames = written / self.ring.frame_len;
                    self.sent += frames as u64;
                    self.owed -= frames;
                    self.partial = written % self.ring.frame_len;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.sent > before {
            self.batches.push_back((self.sent, Instant::now()));
        }
        Ok((self.owed > 0 || self.stream.wants_write()) && self.state == State::Open)
    }

    /// Reads available data; `None` if there is none for now.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        match self.stream.read(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(Some(&buffer[..count])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks replies and returns their number.
    pub(super) fn replies(
        &mut self,
        data: &[u8],
        mut latency: Option<&mut Histogram>,
    ) -> io::Result<u64> {
        let before = self.check.received;
        let fed = self.check.feed(data, &self.ring, self.sent);
        fed.map_err(io::Error::other)?;
        let received = self.check.received;
        // After its own close frame, the client waits for the end of the stream.
        if self.check.closed && !self.is_closing {
            self.state = State::Gone;
        }
        while let Some((last, at)) = self.batches.front()
            && *last <= received
        {
            if let Some(latency) = &mut latency {
                latency.record(at.elapsed());
            }
            self.batches.pop_front();
        }
        self.credit += (received - before) as usize;
        Ok(received - before)
    }

    /// Turns replies into new messages once at least this many have arrived.
    pub(super) fn refill(&mut self, at_least: usize) {
        if self.credit >= at_least {
            self.owed += std::mem::take(&mut self.credit);
        }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn received(&self) -> u64 {
        self.check.received
    }

    pub(super) fn wrong(&self) -> u64 {
        self.check.wrong
    }

    /// The number of messages without a reply.
    pub(super) fn open_messages(&self) -> u64 {
        self.sent - self.check.received.min(self.sent)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.owed == 0 && self.open_messages() == 0
    }

    /// Sends a close frame, after everything else has been answered.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.is_closing = true;
        // Code 1000, with a mask of zeros.
        self.stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Whether the server has answered the close frame, after the right replies.
    pub(super) fn is_closed_well(&self) -> bool {
        self.is_closing && self.check.closed && self.check.received == 1 && self.check.wrong == 0
    }

    /// Stops writing, except for the rest of a partly written message.
    pub(super) fn stop(&mut self) {
        if self.partial == 0 {
            self.owed = 0;
        } else {
            self.owed = self.owed.min(1);
        }
    }
}
