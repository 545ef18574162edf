//! What is measured, and which servers take part.

// Long: every server, every work and every bar, one after another.

use crate::load::{Flood, Kind, Load, Payload};

/// A server in the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) program: Program,
    pub(super) threads: usize,
    /// What the server is sent, if its protocol differs.
    pub(super) payload: Option<Payload>,
    /// What the flooding clients do beside a calm client.
    pub(super) flood: Flood,
}

/// How a server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// A gateway of this package, of this kind.
    Gateway(&'static str),
    /// One of the servers in `peers`.
    Peer(&'static str),
    /// `ws` from npm.
    Node,
}

pub(super) struct Work {
    /// Short, without spaces.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    pub(super) load: Load,
    pub(super) contenders: &'static [Contender],
    /// The scheme of the upstream's URL, and the upstream.
    pub(super) upstream: Option<(&'static str, &'static Contender)>,
    /// A smaller number of rounds than requested.
    pub(super) rounds: Option<usize>,
}

const fn wasabi(name: &'static str, kind: &'static str) -> Contender {
    Contender {
        name,
        program: Program::Gateway(kind),
        threads: 1,
        payload: None,
        flood: Flood::Nothing,
    }
}

const fn peer(name: &'static str, peer: &'static str) -> Contender {
    Contender {
        name,
        program: Program::Peer(peer),
        threads: 1,
        payload: None,
        flood: Flood::Nothing,
    }
}

const ECHO: &[Contender] = &[
    wasabi("wasabi", "echo"),
    peer("tungstenite, driven directly", "tungstenite"),
    peer("axum ws, as people write it", "axum"),
    peer("axum ws, tuned", "axum-tuned"),
    peer("fastwebsockets", "fastwebsockets"),
    peer("tokio-websockets", "tokio-websockets"),
    peer("sockudo-ws", "sockudo-ws"),
    peer("actix-ws", "actix-ws"),
    Contender {
        name: "ws (Node.js)",
        program: Program::Node,
        threads: 1,
        payload: None,
        flood: Flood::Nothing,
    },
];

const ROUTED: &[Contender] = &[
    wasabi("wasabi, routed", "routed"),
    wasabi("wasabi, echo", "echo"),
    peer("axum ws tuned, serde_json::Value and match", "axum-routed"),
];

/// It does what the protocol asks for, as wasabi does.
const BY_HAND: &str = "axum ws tuned, structs and match, JSON-RPC";

const CALLS: &[Contender] = &[
    wasabi("wasabi, JSON-RPC", "calls"),
    peer(BY_HAND, "calls-axum"),
    peer(
        "axum ws tuned, one struct for all calls, no errors and no batches",
        "calls-axum-plain",
    ),
    peer("jsonrpsee, JSON-RPC", "jsonrpsee"),
    Contender {
        payload: Some(Payload::SocketIo),
        ..peer("socketioxide, Socket.IO", "socketioxide")
    },
];

const BATCHES: &[Contender] = &[
    wasabi("wasabi, JSON-RPC", "calls"),
    peer(BY_HAND, "calls-axum"),
    peer("jsonrpsee, JSON-RPC", "jsonrpsee"),
];

const HTTP: &[Contender] = &[
    wasabi("wasabi", "http"),
    wasabi("wasabi, no limit of requests at once", "http-wide"),
    peer("axum ws tuned, reqwest in one task", "http-reqwest"),
    peer("axum ws tuned, hyper-util in one task", "http-hyper"),
    peer(
        "axum ws and reqwest, as people write it",
        "http-reqwest-spawn",
    ),
];

const PASSTHROUGH: &[Contender] = &[
    wasabi("wasabi", "passthrough"),
    peer("tokio-tungstenite, tuned, one task", "proxy"),
    peer("tokio-tungstenite, as people write it", "proxy-split"),
];

const THREADS: &[Contender] = &[
    wasabi("wasabi, 1 thread", "echo"),
    Contender {
        threads: 2,
        ..wasabi("wasabi, 2 threads", "echo")
    },
    peer("tungstenite, 1 thread", "tungstenite"),
    Contender {
        threads: 2,
        ..peer("tungstenite, 2 threads", "tungstenite")
    },
];

const BROADCAST: &[Contender] = &[
    wasabi("wasabi", "broadcast"),
    peer("writes to one socket after the other", "broadcast-raw"),
    peer("axum ws and tokio's broadcast channel", "broadcast-axum"),
];

/// As many clients that never stop as the server has threads: one.
const CALM: &[Contender] = &[
    flooded("nothing else", Flood::Nothing),
    flooded("messages of a byte", Flood::Small),
    flooded("32 KiB of JSON, looked through for a key", Flood::Parse),
    flooded("32 KiB of JSON, made into values", Flood::Json),
    flooded("32 KiB of JSON with 3200 keys", Flood::ManyKeys),
    flooded("36 KB that inflate to nothing", Flood::Inflate),
    flooded("1000 replies to each message", Flood::Replies),
    flooded("streams without end", Flood::Streams),
    flooded("broadcasts to 200 clients", Flood::Broadcast),
    flooded("messages to and from a WebSocket upstream", Flood::Upstream),
];

const fn flooded(name: &'static str, flood: Flood) -> Contender {
    Contender {
        flood,
        ..wasabi(name, "flooded")
    }
}

const fn text(connections: usize, depth: usize, size: usize) -> Load {
    Load {
        connections,
        depth,
        payload: Payload::Text,
        size,
        answer: None,
        flood: Flood::Nothing,
    }
}

const fn messages(
    name: &'static str,
    title: &'static str,
    load: Load,
    contenders: &'static [Contender],
) -> Work {
    Work {
        name,
        title,
        kind: Kind::Messages,
        load,
        contenders,
        upstream: None,
        rounds: None,
    }
}

pub(super) const WORK: &[Work] = &[
    messages(
        "echo-pipelined",
        "Echo, 64 bytes, 100 connections, 32 messages in flight",
        text(100, 32, 64),
        ECHO,
    ),
    messages(
        "echo-pingpong",
        "Echo, 64 bytes, 100 connections, 1 message in flight",
        text(100, 1, 64),
        ECHO,
    ),
    messages(
        "echo-large",
        "Echo, 16 KiB binary, 50 connections, 4 messages in flight",
        Load {
            payload: Payload::Binary,
            ..text(50, 4, 16 * 1024)
        },
        ECHO,
    ),
    messages(
        "routed",
        "Routing by JSON key, 128 bytes, 100 connections, 32 messages in flight",
        Load {
            payload: Payload::Json,
            ..text(100, 32, 128)
        },
        ROUTED,
    ),
    messages(
        "calls",
        "Calls by name, 96 bytes of JSON there and back, 100 connections, 32 calls in flight",
        Load {
            payload: Payload::JsonRpc,
            ..text(100, 32, 96)
        },
        CALLS,
    ),
    messages(
        "batches",
        "The same calls in batches of 50, each call counts, 100 connections, 2 batches in flight",
        Load {
            payload: Payload::JsonRpcBatch,
            ..text(100, 2, 96)
        },
        BATCHES,
    ),
    Work {
        upstream: Some(("http", &peer("HTTP upstream", "http-upstream"))),
        ..messages(
            "http",
            "WebSocket to HTTP, 64 bytes, 100 connections, 8 messages in flight",
            Load {
                answer: Some(r#"{"status":"ok","id":1}"#),
                ..text(100, 8, 64)
            },
            HTTP,
        )
    },
    Work {
        upstream: Some(("ws", &peer("WebSocket upstream", "tungstenite"))),
        ..messages(
            "passthrough",
            "WebSocket to WebSocket, 64 bytes, 100 connections, 8 messages in flight",
            text(100, 8, 64),
            PASSTHROUGH,
        )
    },
    messages(
        "threads",
        "Echo, 64 bytes, 100 connections, 32 messages in flight, on one and on two cores",
        text(100, 32, 64),
        THREADS,
    ),
    Work {
        kind: Kind::Broadcasts,
        ..messages(
            "broadcast",
            "Broadcast, 128 bytes, 10 000 connections",
            text(10_000, 4, 128),
            BROADCAST,
        )
    },
    Work {
        kind: Kind::Handshakes,
        ..messages(
            "handshakes",
            "Handshakes, 32 at a time",
            text(32, 1, 64),
            ECHO,
        )
    },
    Work {
        kind: Kind::Idle,
        rounds: Some(2),
        ..messages(
            "idle",
            "Memory, 10 000 connections after one message each",
            text(10_000, 1, 64),
            ECHO,
        )
    },
    Work {
        kind: Kind::Calm,
        upstream: Some(("ws", &wasabi("WebSocket upstream", "echo"))),
        ..messages(
            "calm",
            "A client that asks each millisecond, on one thread with one that never stops",
            text(1, 1, 64),
            CALM,
        )
    },
];

/// A requirement on the cost of a server: at most this many times that of another one, or an absolute limit.
pub(super) struct Bar {
    pub(super) work: &'static str,
    pub(super) contender: &'static str,
    pub(super) than: Than,
}

pub(super) enum Than {
    Times(f64, &'static str),
    /// Times the cost of the same server under another load.
    TimesItself(f64, &'static str),
    Bytes(f64),
    /// The maximum time in milliseconds within which 99 of 100 answers arrive.
    Millis(f64),
}

pub(super) const BARS: &[Bar] = &[
    bar(
        "echo-pipelined",
        "wasabi",
        1.15,
        "tungstenite, driven directly",
    ),
    bar("echo-pipelined", "wasabi", 1.0, "axum ws, tuned"),
    bar(
        "echo-pingpong",
        "wasabi",
        1.15,
        "tungstenite, driven directly",
    ),
    bar("routed", "wasabi, routed", 2.0, "wasabi, echo"),
    bar("calls", "wasabi, JSON-RPC", 1.05, BY_HAND),
    Bar {
        work: "batches",
        contender: "wasabi, JSON-RPC",
        than: Than::TimesItself(1.0, "calls"),
    },
    bar("batches", "wasabi, JSON-RPC", 1.05, BY_HAND),
    bar("echo-large", "wasabi", 1.05, "axum ws, tuned"),
    Bar {
        work: "idle",
        contender: "wasabi",
        than: Than::Bytes(2000.0),
    },
    bar("http", "wasabi", 1.05, "axum ws tuned, reqwest in one task"),
    // A fair comparison: wasabi by default limits the requests to one host to 50, and the peer has no limit.
    bar(
        "http",
        "wasabi, no limit of requests at once",
        1.05,
        "axum ws tuned, reqwest in one task",
    ),
    bar(
        "passthrough",
        "wasabi",
        1.5,
        "tokio-tungstenite, tuned, one task",
    ),
    bar(
        "broadcast",
        "wasabi",
        1.5,
        "writes to one socket after the other",
    ),
    // With enough cores: 1.7 times the messages.
    bar(
        "threads",
        "wasabi, 2 threads",
        2.0 / 1.7,
        "wasabi, 1 thread",
    ),
    bar("handshakes", "wasabi", 1.15, "axum ws, tuned"),
    calm("messages of a byte"),
    calm("32 KiB of JSON, looked through for a key"),
    calm("32 KiB of JSON, made into values"),
    calm("32 KiB of JSON with 3200 keys"),
    calm("36 KB that inflate to nothing"),
    calm("1000 replies to each message"),
    calm("streams without end"),
    calm("broadcasts to 200 clients"),
    calm("messages to and from a WebSocket upstream"),
];

const fn calm(contender: &'static str) -> Bar {
    Bar {
        work: "calm",
        contender,
        than: Than::Millis(20.0),
    }
}

const fn bar(work: &'static str, contender: &'static str, times: f64, than: &'static str) -> Bar {
    Bar {
        work,
        contender,
        than: Than::Times(times, than),
    }
}
