//! One room at several nodes: the clients of the first node say something, and the clients of all nodes hear it.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

use super::{
    Load, Outcome, Payload, Window,
    blocking::{open, read, watch},
    process::{self, Usage},
    room::{Heard, Room, unframed},
    socket_io,
};

/// The processes of a cluster.
pub(crate) struct Nodes {
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) pids: Vec<u32>,
    /// What passes messages on between them.
    pub(crate) engine: Option<u32>,
}

/// How long nodes may take until they hear each other, and the last messages to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between the messages that find out whether all clients hear each other.
const PROBE: Duration = Duration::from_millis(50);

struct Client {
    stream: TcpStream,
    /// What has arrived and is not a whole frame yet.
    said: Vec<u8>,
    /// The Socket.IO session, until it has begun.
    session: Option<socket_io::Session>,
    /// How many messages of each publisher it has heard.
    heard: Vec<u64>,
    /// Whether it has heard a probe.
    is_reached: bool,
}

/// One of the first node's clients. It says the next message as soon as all clients have heard the one before.
struct Publisher {
    said: u64,
    /// How many clients have not heard its last message.
    left: u64,
    at: Instant,
}

struct Crowd {
    room: Room,
    epoll: OwnedFd,
    /// The first ones are the publishers; each has the node after that of the one before it.
    clients: Vec<Client>,
    nodes: usize,
    publishers: Vec<Publisher>,
    is_saying: bool,
    count: u64,
    outcome: Outcome,
}

/// Measures the nodes together. Each client must hear every message once, and those of a publisher in their order.
pub(crate) fn run(load: &Load, nodes: &Nodes, window: Window) -> io::Result<Outcome> {
    let mut crowd = Crowd::open(load, nodes)?;
    crowd.meet()?;
    crowd.is_saying = true;
    for publisher in 0..crowd.publishers.len() {
        crowd.say(publisher)?;
    }
    crowd.run_for(window.warmup, |_| false)?;
    crowd.outcome.latency = Default::default();
    let (first, own, at) = (crowd.count, own_cpu_us(), Instant::now());
    let before = (nodes.usage(), nodes.engine_cpu_us());
    crowd.run_for(window.length, |_| false)?;
    let after = (nodes.usage(), nodes.engine_cpu_us());
    let seconds = at.elapsed().as_secs_f64();
    let (count, own_cpu_us) = (crowd.count - first, own_cpu_us() - own);
    // Later messages are part of the check, but not of the figures.
    let latency = std::mem::take(&mut crowd.outcome.latency);
    crowd.is_saying = false;
    crowd.run_for(PATIENCE, |crowd| crowd.left() == 0)?;
    // Whatever comes now has come before.
    crowd.run_for(PROBE, |_| false)?;
    Ok(Outcome {
        seconds,
        count,
        cpu_us: after.0.cpu_us - before.0.cpu_us,
        engine_cpu_us: after.1 - before.1,
        own_cpu_us,
        peak_bytes: after.0.peak_bytes,
        latency,
        missing: crowd.left(),
        ..crowd.outcome
    })
}

fn own_cpu_us() -> f64 {
    process::usage(std::process::id()).cpu_us
}

impl Nodes {
    fn engine_cpu_us(&self) -> f64 {
        self.engine
            .map_or(0.0, |engine| process::usage(engine).cpu_us)
    }

    /// What all nodes together have used.
    fn usage(&self) -> Usage {
        let usages = self.pids.iter().copied().map(process::usage);
        usages.fold(Usage::default(), |sum, usage| Usage {
            cpu_us: sum.cpu_us + usage.cpu_us,
            resident_bytes: sum.resident_bytes + usage.resident_bytes,
            peak_bytes: sum.peak_bytes + usage.peak_bytes,
        })
    }
}

impl Crowd {
    fn open(load: &Load, nodes: &Nodes) -> io::Result<Self> {
        let is_socket_io = load.payload == Payload::SocketIo;
        let publishers = load.connections.div_ceil(nodes.addrs.len());
        let publisher = || Publisher {
            said: 0,
            left: 0,
            at: Instant::now(),
        };
        let mut crowd = Self {
            room: Room::new(load.size, is_socket_io),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            clients: Vec::with_capacity(load.connections),
            nodes: nodes.addrs.len(),
            publishers: (0..publishers).map(|_| publisher()).collect(),
            is_saying: false,
            count: 0,
            outcome: Outcome::default(),
        };
        for index in 0..load.connections {
            let stream = open(nodes.addrs[index % nodes.addrs.len()], load.path(index), "")?;
            watch(&crowd.epoll, &stream, index as u64, epoll::EventFlags::IN)?;
            crowd.clients.push(Client {
                stream,
                said: Vec::new(),
                session: is_socket_io.then(socket_io::Session::default),
                heard: vec![0; publishers],
                is_reached: false,
            });
        }
        Ok(crowd)
    }

    /// Waits until all clients hear what is said at the first node.
    fn meet(&mut self) -> io::Result<()> {
        self.run_for(PATIENCE, |crowd| {
            crowd.clients.iter().all(|client| client.session.is_none())
        })?;
        let deadline = Instant::now() + PATIENCE;
        while !self.clients.iter().all(|client| client.is_reached) {
            if Instant::now() > deadline {
                return Err(io::Error::other("the nodes do not hear each other"));
            }
            let probe = self.room.say(0, 0);
            self.clients[0].stream.write_all(&probe)?;
            self.run_for(PROBE, |_| false)?;
        }
        Ok(())
    }

    /// Says the next message of a publisher.
    fn say(&mut self, publisher: usize) -> io::Result<()> {
        let clients = self.clients.len() as u64;
        let own = &mut self.publishers[publisher];
        own.said += 1;
        own.left = clients;
        own.at = Instant::now();
        let frame = self.room.say(publisher, own.said);
        // One message of at most a few kilobytes is on its way: the socket has room for it.
        self.clients[publisher * self.nodes]
            .stream
            .write_all(&frame)
    }

    /// How many messages clients have not heard yet.
    fn left(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.left).sum()
    }

    fn run_for(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + time;
        let mut events = Vec::with_capacity(512);
        let mut scratch = vec![0; 64 * 1024];
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let data = event.data;
                self.readable(data.u64() as usize, &mut scratch)?;
            }
        }
        Ok(())
    }

    fn readable(&mut self, index: usize, scratch: &mut [u8]) -> io::Result<()> {
        let client = &mut self.clients[index];
        let count = read(&mut client.stream, scratch)?;
        client.said.extend_from_slice(&scratch[..count]);
        let said = std::mem::take(&mut client.said);
        let mut rest = &said[..];
        if let Some(session) = &mut client.session {
            match session.begin(rest, &mut client.stream)? {
                Some(more) => rest = more,
                None => {
                    client.said = said;
                    return Ok(());
                }
            }
            client.session = None;
        }
        while let Some((body, end)) = unframed(rest)? {
            match self.room.hear(body) {
                Heard::Message { from, n } => self.hear(index, from, n)?,
                Heard::Ping => self.clients[index].stream.write_all(&Room::pong())?,
                Heard::Wrong => self.outcome.wrong += 1,
            }
            rest = &rest[end..];
        }
        let rest = rest.to_vec();
        self.clients[index].said = rest;
        Ok(())
    }

    fn hear(&mut self, index: usize, from: usize, n: u64) -> io::Result<()> {
        let client = &mut self.clients[index];
        let Some(publisher) = self.publishers.get_mut(from) else {
            self.outcome.wrong += 1;
            return Ok(());
        };
        if n == 0 {
            client.is_reached = true;
            return Ok(());
        }
        // Neither twice, nor too early, nor too late.
        if n != publisher.said || client.heard[from] + 1 != n {
            self.outcome.wrong += 1;
            return Ok(());
        }
        client.heard[from] = n;
        self.count += 1;
        publisher.left -= 1;
        if publisher.left == 0 {
            self.outcome.latency.record(publisher.at.elapsed());
            if self.is_saying {
                return self.say(from);
            }
        }
        Ok(())
    }
}
