//! A load generator: one thread, plain epoll and precomputed frames, so that it costs far less per message than any
//! server that it measures.

mod blocking;
mod calm;
mod check;
mod connection;
mod deflated;
mod engine;
mod frames;
mod histogram;
mod nodes;
pub(crate) mod process;
mod room;
mod socket_io;
pub(crate) mod tls;

use std::{net::SocketAddr, time::Duration};

use self::engine::Engine;
pub(crate) use self::{
    calm::Flood,
    engine::raise_file_limit,
    histogram::Histogram,
    nodes::{Nodes, run as run_nodes},
    tls::Sessions,
};

/// What is sent, and what must come back.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// Messages in flight on each connection.
    pub(crate) depth: usize,
    pub(crate) payload: Payload,
    /// The size of a message in bytes; for a call, the size of its arguments.
    pub(crate) size: usize,
    /// The answer to every message; `None` if the message itself comes back.
    pub(crate) answer: Option<&'static str>,
    /// What the other connections do beside a calm client.
    pub(crate) flood: Flood,
    /// How connections begin; `None` without TLS.
    pub(crate) tls: Option<Sessions>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Payload {
    Text,
    Binary,
    /// JSON objects whose `action` is one of `route.00` to `route.15`.
    Json,
    /// JSON with permessage-deflate in both directions, each message compressed on its own. A connection sends the same
    /// again and again.
    Deflated,
    /// On each connection one of four kinds, on channels with paths of their own: echoes, routed JSON, messages that an HTTP
    /// service answers, and messages that are pushed.
    Mixed,
    /// JSON-RPC 2.0 calls to methods of these names, answered in any order with their parameters.
    JsonRpc,
    /// Batches of 50 such calls, each answered by one array in the order of the calls. Each call counts.
    JsonRpcBatch,
    /// The same as Socket.IO events that ask for an acknowledgement. Pings are not answered.
    SocketIo,
}

impl Load {
    /// What a connection does.
    fn of(&self, connection: usize) -> Self {
        let (payload, answer) = match (self.payload, connection % 4) {
            (Payload::Mixed, 0 | 3) => (Payload::Text, None),
            (Payload::Mixed, 1) => (Payload::Json, None),
            (Payload::Mixed, _) => (Payload::Text, self.answer),
            (payload, _) => (payload, self.answer),
        };
        Self {
            payload,
            answer,
            ..self.clone()
        }
    }

    /// The path of a connection's channel.
    fn path(&self, connection: usize) -> &'static str {
        match self.payload {
            Payload::SocketIo => socket_io::PATH,
            Payload::Mixed => ["/echo", "/json", "/http", "/push"][connection % 4],
            _ => "/",
        }
    }
}

impl Payload {
    /// How many requests are in a message, each of which counts.
    pub(crate) fn requests(self) -> usize {
        match self {
            Self::JsonRpcBatch => 50,
            Self::Text
            | Self::Binary
            | Self::Json
            | Self::Deflated
            | Self::Mixed
            | Self::JsonRpc
            | Self::SocketIo => 1,
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages on open connections.
    Messages,
    /// Messages from one connection that all connections receive; each receipt counts.
    Broadcasts,
    /// Handshakes, one connection after another.
    Handshakes,
    /// Connections from beginning to end: connect, handshake, one message, and a close from both sides.
    Churn,
    /// The memory of connections that are open and silent, after one message each.
    Idle,
    /// How long clients of all kinds wait for their answers together.
    Mixed,
    /// Messages that clients of one node send to a room, and clients of several nodes receive; each receipt counts.
    Nodes,
    /// How long an occasional client waits for its answers while all other connections send without a pause.
    Calm,
}

/// The duration of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) warmup: Duration,
    pub(crate) length: Duration,
    /// Ends the window early, after this many messages or handshakes.
    pub(crate) limit: Option<u64>,
}

/// The result of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    /// Messages (requests, if there are several in a message), handshakes or connections in the window.
    pub(crate) count: u64,
    /// User and system time of the server.
    pub(crate) cpu_us: f64,
    /// That of the server that passes messages on between the nodes of a cluster.
    pub(crate) engine_cpu_us: f64,
    /// User and system time of this process.
    pub(crate) own_cpu_us: f64,
    pub(crate) peak_bytes: u64,
    /// Growth of the server's resident memory.
    pub(crate) grown_bytes: u64,
    /// From writing a batch to receiving the last of its replies.
    pub(crate) latency: Histogram,
    /// Replies that differ from what was expected: in kind, length, content or order.
    pub(crate) wrong: u64,
    /// Replies that did not arrive.
    pub(crate) missing: u64,
    /// Connections that the server closed.
    pub(crate) closed: u64,
    /// Connections with a whole TLS handshake, although they could have gone on with an earlier session.
    pub(crate) full: u64,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds.max(1e-9)
    }

    pub(crate) fn cpu_us_each(&self) -> f64 {
        self.cpu_us / self.count.max(1) as f64
    }

    pub(crate) fn engine_cpu_us_each(&self) -> f64 {
        self.engine_cpu_us / self.count.max(1) as f64
    }

    pub(crate) fn bytes_each(&self) -> f64 {
        self.grown_bytes as f64 / self.count.max(1) as f64
    }

    /// Describes what is wrong with the replies, if anything.
    pub(crate) fn complaint(&self) -> Option<String> {
        let is_right = self.wrong + self.missing + self.closed + self.full == 0 && self.count > 0;
        (!is_right).then(|| {
            format!(
                "{} replies, {} wrong, {} missing, {} connections closed, {} not resumed",
                self.count, self.wrong, self.missing, self.closed, self.full
            )
        })
    }
}

/// Measures one server.
pub(crate) fn run(
    kind: Kind,
    load: &Load,
    addr: SocketAddr,
    pid: Option<u32>,
    window: Window,
) -> Result<Outcome, String> {
    if kind == Kind::Calm {
        return calm::run(load.flood, load.connections, addr, pid, window)
            .map_err(|error| error.to_string());
    }
    let mut engine = Engine::new(load, addr, pid).map_err(|error| error.to_string())?;
    match kind {
        Kind::Messages | Kind::Mixed => engine.messages(window),
        Kind::Broadcasts => engine.broadcasts(window),
        Kind::Handshakes => engine.handshakes(window),
        Kind::Churn => engine.churn(window),
        Kind::Idle => engine.idle(window),
        Kind::Calm | Kind::Nodes => unreachable!("have event loops of their own"),
    }
    .map_err(|error| error.to_string())
}
