//! The event loop.

mod kinds;

use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    process::{Resource, getrlimit, setrlimit},
};
use rustls::ClientConfig;

use super::{
    Histogram, Load, Outcome, Payload,
    connection::{Connection, KEY, State},
    deflated,
    process::{self, Usage},
    tls::{self, Sessions},
};

const OPEN_LIMIT: Duration = Duration::from_secs(60);
/// The number of concurrent handshakes while connections are opened.
const RAMP: usize = 64;

pub(crate) struct Engine<'a> {
    load: &'a Load,
    addr: SocketAddr,
    pid: Option<u32>,
    tls: Option<Arc<ClientConfig>>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    /// The request of each fourth connection.
    requests: [Vec<u8>; 4],
    opened: u64,
    opening: usize,
    received: u64,
    closed: u64,
    /// Whole TLS handshakes although an earlier session was known.
    full: u64,
    /// Whether replies are answered with new messages.
    sending: bool,
    /// Whether an open connection is replaced by a new one.
    reopening: bool,
    /// Whether a connection sends one message, is closed, and is replaced by a new one.
    churning: bool,
    /// The connections that were closed from both sides.
    ended: u64,
    /// Whether every connection receives what the first one sends.
    shares_messages: bool,
    latency: Histogram,
}

struct Start {
    at: Instant,
    server: Usage,
    own: Usage,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(load: &'a Load, addr: SocketAddr, pid: Option<u32>) -> io::Result<Self> {
        let extensions = match load.payload {
            Payload::Deflated => format!("Sec-WebSocket-Extensions: {}\r\n", deflated::OFFER),
            _ => String::new(),
        };
        Ok(Self {
            load,
            addr,
            pid,
            tls: load.tls.map(tls::config).transpose().map_err(io::Error::other)?,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(load.connections),
            scratch: vec![0; 256 * 1024],
            requests: [0, 1, 2, 3].map(|connection| {
                let path = load.path(connection);
                format!(
                "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{extensions}\r\n"
            )
            .into_bytes()
            }),
            opened: 0,
            opening: 0,
            received: 0,
            closed: 0,
            full: 0,
            sending: false,
            reopening: false,
            churning: false,
            ended: 0,
            shares_messages: false,
            latency: Histogram::default(),
        })
    }

    fn usage(&self) -> Usage {
        self.pid.map(process::usage).unwrap_or_default()
    }

    fn start(&self) -> Start {
        Start {
            server: self.usage(),
            own: process::usage(std::process::id()),
            at: Instant::now(),
        }
    }

    fn end(&self, start: &Start) -> Outcome {
        let (seconds, server) = (start.at.elapsed().as_secs_f64(), self.usage());
        Outcome {
            seconds,
            cpu_us: server.cpu_us - start.server.cpu_us,
            own_cpu_us: process::usage(std::process::id()).cpu_us - start.own.cpu_us,
            peak_bytes: server.peak_bytes,
            grown_bytes: server
                .resident_bytes
                .saturating_sub(start.server.resident_bytes),
            ..Outcome::default()
        }
    }

    fn verdict(&self, outcome: &mut Outcome) {
        outcome.wrong = self.connections.iter().map(Connection::wrong).sum();
        outcome.missing = self.connections.iter().map(Connection::open_messages).sum();
        outcome.closed = self.closed;
    }

    fn open_all(&mut self) -> io::Result<()> {
        let total = self.load.connections as u64;
        while self.opened < total {
            while self.connections.len() < self.load.connections && self.opening < RAMP {
                self.open(None)?;
            }
            let before = self.opened;
            self.run_for(OPEN_LIMIT, |engine| engine.opened > before)?;
            if self.opened == before {
                return Err(io::Error::other(format!(
                    "only {before} of {total} connections opened"
                )));
            }
        }
        Ok(())
    }

    /// Starts a connection, in the slot of an earlier one or in a new slot.
    fn open(&mut self, slot: Option<usize>) -> io::Result<()> {
        let index = slot.unwrap_or(self.connections.len());
        let load = (!self.reopening).then_some(self.load);
        let ring = if self.shares_messages { 0 } else { index };
        let connection = Connection::open(
            ring,
            self.addr,
            load,
            self.tls.as_ref(),
            &self.requests[index % 4],
        )?;
        epoll::add(
            &self.epoll,
            connection.stream.socket(),
            epoll::EventData::new_u64(index as u64),
            epoll::EventFlags::IN | epoll::EventFlags::OUT,
        )?;
        match slot {
            // Dropping the old connection closes it, which removes it from the epoll instance.
            Some(slot) => self.connections[slot] = connection,
            None => self.connections.push(connection),
        }
        self.opening += 1;
        Ok(())
    }

    fn run_for(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + time;
        let mut events = Vec::with_capacity(512);
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let timeout = Timespec::try_from(left.min(Duration::from_millis(100)))
                .map_err(io::Error::other)?;
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let (flags, data) = (event.flags, event.data);
                let index = data.u64() as usize;
                if flags.contains(epoll::EventFlags::OUT) {
                    self.writable(index)?;
                }
                if flags.intersects(!epoll::EventFlags::OUT) {
                    self.readable(index)?;
                }
            }
        }
        Ok(())
    }

    fn writable(&mut self, index: usize) -> io::Result<()> {
        let request = &self.requests[index % 4];
        let connection = &mut self.connections[index];
        if connection.state != State::Handshake {
            return self.write(index);
        }
        if self.tls.is_some() {
            connection.stream.push()?;
            let is_full = connection.stream.wants_write();
            return self.poll_write(index, is_full);
        }
        let count = io::Write::write(&mut connection.stream, request)?;
        if count != request.len() {
            return Err(io::Error::other("the request of the handshake was cut"));
        }
        self.poll_write(index, false)
    }

    fn poll_write(&mut self, index: usize, write: bool) -> io::Result<()> {
        let connection = &mut self.connections[index];
        if connection.polls_write == write {
            return Ok(());
        }
        connection.polls_write = write;
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, write);
        let data = epoll::EventData::new_u64(index as u64);
        Ok(epoll::modify(
            &self.epoll,
            connection.stream.socket(),
            data,
            flags,
        )?)
    }

    fn readable(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let data = match connection.read(&mut self.scratch) {
            Ok(Some(data)) => data,
            Ok(None) => return Ok(()),
            Err(error) if connection.state == State::Handshake => return Err(error),
            Err(_) if connection.is_closed_well() => {
                self.ended += 1;
                return self.open(Some(index));
            }
            Err(_) => return self.gone(index),
        };
        match connection.state {
            State::Gone => Ok(()),
            State::Handshake => {
                connection.shake_hands(data)?;
                if connection.state == State::Open {
                    self.opened += 1;
                    self.opening -= 1;
                    if self.load.tls == Some(Sessions::Resumed) && !connection.stream.is_resumed() {
                        self.full += 1;
                    }
                    if self.reopening {
                        self.open(Some(index))?;
                    }
                    if self.churning {
                        self.connections[index].owe(1);
                        return self.write(index);
                    }
                }
                Ok(())
            }
            State::Open => {
                let timed = (!self.shares_messages).then_some(&mut self.latency);
                self.received += connection.replies(data, timed)?;
                if connection.state == State::Gone {
                    return self.gone(index);
                }
                if self.churning && connection.received() == 1 && !connection.is_closing() {
                    return connection.close();
                }
                if self.sending {
                    connection.refill((self.load.depth / 2).max(1));
                    return self.write(index);
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, index: usize) -> io::Result<()> {
        match self.connections[index].write() {
            Ok(is_full) => self.poll_write(index, is_full),
            Err(_) => self.gone(index),
        }
    }

    fn gone(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.state = State::Gone;
        self.closed += 1;
        Ok(epoll::delete(&self.epoll, connection.stream.socket())?)
    }
}

/// Raises the limit of open files as far as the system allows.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
