//! A calm client that asks now and then, beside others that never stop.

use std::{
    io::{self, ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

use super::{
    Outcome, Window,
    blocking::{open, read, watch},
    process,
};

/// What the others have the server do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Flood {
    Nothing,
    /// Answer messages of a byte.
    Small,
    /// Look for a key in 32 KiB of JSON that has none.
    Parse,
    /// Parse 32 KiB of JSON into a value.
    Json,
    /// The same for an object with as many keys as fit.
    ManyKeys,
    /// Inflate 36 KB to nothing.
    Inflate,
    /// Answer each request with 1000 messages.
    Replies,
    /// Answer with endless messages.
    Streams,
    /// Send messages on to 200 clients.
    Broadcast,
    /// Forward messages and their answers.
    Upstream,
}

/// The number of clients that receive broadcasts.
const MEMBERS: usize = 200;

/// The pause from an answer to the next question.
const PAUSE: Duration = Duration::from_millis(1);

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The frames that the calm client sends and receives; the mask is zero.
const QUESTION: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, b'?'];
const ANSWER: &[u8] = &[0x81, 1, b'?'];

/// The clients may use compression.
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

impl Flood {
    fn path(self) -> &'static str {
        match self {
            Self::Nothing => "/calm",
            Self::Small => "/small",
            Self::Parse => "/key",
            Self::Json | Self::ManyKeys => "/value",
            Self::Inflate => "/inflate",
            Self::Replies => "/replies",
            Self::Streams => "/streams",
            Self::Broadcast => "/broadcast",
            Self::Upstream => "/upstream",
        }
    }

    /// Some messages of this flood, which are sent over and over.
    fn wire(self) -> Vec<u8> {
        let array = |item: &str| {
            let items = vec![item; 32_700 / (item.len() + 1)];
            format!("[{}]", items.join(",")).into_bytes()
        };
        let message = match self {
            Self::Nothing => return Vec::new(),
            Self::Small | Self::Replies | Self::Streams => frame(0x81, b"x"),
            Self::Broadcast | Self::Upstream => frame(0x81, &[b'x'; 64]),
            Self::Parse => frame(0x81, &array("[]")),
            Self::Json => frame(0x81, &array(r#"{"":[]}"#)),
            Self::ManyKeys => {
                let keys: Vec<_> = (0..3200).map(|n| format!("\"{n:04}\":[]")).collect();
                frame(0x81, format!("{{{}}}", keys.join(",")).as_bytes())
            }
            Self::Inflate => {
                let mut blocks = [0, 0, 0, 0xff, 0xff].repeat(7000);
                // Completed by the bytes that the sender strips (RFC 7692, section 7.2.1).
                blocks.push(0);
                frame(0xc1, &blocks)
            }
        };
        message.repeat((1 << 20) / message.len())
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// One of the flooding clients.
struct Other {
    stream: TcpStream,
    wire: Vec<u8>,
    at: usize,
}

/// Measures how long answers take beside this many floods.
// Long: the loop over the sockets and what it counts.
pub(super) fn run(
    flood: Flood,
    floods: usize,
    addr: SocketAddr,
    pid: Option<u32>,
    window: Window,
) -> io::Result<Outcome> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut calm = open(addr, "/calm", DEFLATE)?;
    let mut others = Vec::new();
    if flood == Flood::Broadcast {
        for _ in 0..MEMBERS {
            others.push(Other::open(addr, flood, Vec::new())?);
        }
    }
    for _ in 0..floods {
        others.push(Other::open(addr, flood, flood.wire())?);
    }
    watch(&epoll, &calm, 0, epoll::EventFlags::IN)?;
    for (index, other) in others.iter().enumerate() {
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, !other.wire.is_empty());
        watch(&epoll, &other.stream, index as u64 + 1, flags)?;
    }
    let usage = || pid.map(process::usage).unwrap_or_default();
    let (start, mut first) = (Instant::now(), None);
    let mut outcome = Outcome::default();
    let mut scratch = vec![0; 256 * 1024];
    let mut events = Vec::with_capacity(512);
    let (mut asked, mut next, mut answer) = (None::<Instant>, start, Vec::new());
    loop {
        let now = Instant::now();
        if first.is_none() && now >= start + window.warmup {
            first = Some((now, usage()));
        }
        let is_over = now >= start + window.warmup + window.length;
        match asked {
            None if is_over => break,
            Some(asked) if now > asked + PATIENCE => {
                outcome.missing = 1;
                break;
            }
            None if now >= next => {
                calm.write_all(QUESTION)?;
                asked = Some(now);
            }
            _ => {}
        }
        let until = match asked {
            None => next.saturating_duration_since(now),
            Some(_) => Duration::from_millis(100),
        };
        let timeout = Timespec::try_from(until).map_err(io::Error::other)?;
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let (flags, data) = (event.flags, event.data);
            let Some(index) = (data.u64() as usize).checked_sub(1) else {
                let count = read(&mut calm, &mut scratch)?;
                answer.extend_from_slice(&scratch[..count]);
                continue;
            };
            let other = &mut others[index];
            if flags.contains(epoll::EventFlags::OUT) {
                other.write()?;
            }
            if flags.intersects(!epoll::EventFlags::OUT) {
                read(&mut other.stream, &mut scratch)?;
            }
        }
        if let Some(at) = asked
            && answer.len() >= ANSWER.len()
        {
            outcome.wrong += u64::from(answer != ANSWER);
            answer.clear();
            if first.is_some() {
                outcome.count += 1;
                outcome.latency.record(at.elapsed());
            }
            asked = None;
            next = Instant::now() + PAUSE;
        }
    }
    let (since, before) = first.unwrap_or_else(|| (start, usage()));
    let after = usage();
    outcome.seconds = since.elapsed().as_secs_f64();
    outcome.cpu_us = after.cpu_us - before.cpu_us;
    outcome.peak_bytes = after.peak_bytes;
    Ok(outcome)
}

impl Other {
    fn open(addr: SocketAddr, flood: Flood, wire: Vec<u8>) -> io::Result<Self> {
        let stream = open(addr, flood.path(), DEFLATE)?;
        Ok(Self {
            stream,
            wire,
            at: 0,
        })
    }

    /// Writes as much as the server takes at once.
    fn write(&mut self) -> io::Result<()> {
        match self.stream.write(&self.wire[self.at..]) {
            Ok(count) => self.at = (self.at + count) % self.wire.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
