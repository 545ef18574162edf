//! What is measured, and which servers take part.

// Long: every server, every work and every bar, one after another.

use crate::load::{Flood, Kind, Load, Payload, Sessions};

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
    /// The number of connections, if it is not that of the work.
    pub(super) connections: Option<usize>,
    /// Whether its upstream is Redis.
    pub(super) redis: bool,
}

/// How a server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// A gateway of this package, of this kind.
    Gateway(&'static str),
    /// One of the servers in `peers`.
    Peer(&'static str),
    /// `ws` from npm, with these options.
    Node(&'static [&'static str]),
    /// `socket.io` from npm, with this adapter for Redis.
    SocketIo(&'static str),
    /// `redis-server`, which keeps nothing on disk.
    Redis,
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

impl Work {
    /// How many processes serve together.
    pub(super) fn nodes(&self) -> usize {
        match self.kind {
            Kind::Nodes => 3,
            _ => 1,
        }
    }
}

const fn wasabi(name: &'static str, kind: &'static str) -> Contender {
    Contender {
        name,
        program: Program::Gateway(kind),
        threads: 1,
        payload: None,
        flood: Flood::Nothing,
        connections: None,
        redis: false,
    }
}

const fn peer(name: &'static str, peer: &'static str) -> Contender {
    Contender {
        name,
        program: Program::Peer(peer),
        threads: 1,
        payload: None,
        flood: Flood::Nothing,
        connections: None,
        redis: false,
    }
}

const fn node(options: &'static [&'static str]) -> Contender {
    Contender {
        program: Program::Node(options),
        ..peer("ws (Node.js)", "")
    }
}

pub(super) const REDIS: Contender = Contender {
    program: Program::Redis,
    ..peer("Redis", "")
};

const fn over_redis(contender: Contender) -> Contender {
    Contender {
        redis: true,
        ..contender
    }
}

/// Its clients speak Socket.IO.
const fn socket_io(contender: Contender) -> Contender {
    Contender {
        payload: Some(Payload::SocketIo),
        ..contender
    }
}

const ECHO: &[Contender] = &[
    wasabi("wasabi", "echo"),
    peer(BARE, "raw"),
    peer("a small codec on tokio", "own"),
    peer(DIRECT, "tungstenite"),
    peer("axum ws, as people write it", "axum"),
    peer("axum ws, tuned", "axum-tuned"),
    peer("fastwebsockets", "fastwebsockets"),
    peer("tokio-websockets", "tokio-websockets"),
    peer("sockudo-ws", "sockudo-ws"),
    peer("actix-ws", "actix-ws"),
    node(&[]),
];

/// What a server costs that only turns frames around: the least that is possible with tokio.
const BARE: &str = "tokio, frames as they are";
/// What a server costs that does nothing but the protocol.
const DIRECT: &str = "tungstenite, driven directly";

const CHURN: &[Contender] = &[
    wasabi("wasabi", "echo"),
    peer(DIRECT, "tungstenite"),
    peer("axum ws, tuned", "axum-tuned"),
];

const DIRECT_TLS: &str = "tungstenite, driven directly over tokio-rustls";

const TLS: &[Contender] = &[
    wasabi("wasabi", "echo"),
    peer(DIRECT_TLS, "tungstenite-tls"),
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
    socket_io(peer("socketioxide, Socket.IO", "socketioxide")),
];

const DEFLATE: &[Contender] = &[
    wasabi("wasabi", "deflate"),
    peer("sockudo-ws", "sockudo-ws-deflate"),
    node(&["--deflate"]),
];

const BATCHES: &[Contender] = &[
    wasabi("wasabi, JSON-RPC", "calls"),
    peer(BY_HAND, "calls-axum"),
    peer("jsonrpsee, JSON-RPC", "jsonrpsee"),
];

const BARE_HTTP: &str = "axum ws tuned, bare connections of hyper";

const HTTP: &[Contender] = &[
    wasabi("wasabi", "http"),
    wasabi("wasabi, no limit of requests at once", "http-wide"),
    peer("axum ws tuned, reqwest in one task", "http-reqwest"),
    peer("axum ws tuned, hyper-util in one task", "http-hyper"),
    peer(BARE_HTTP, "http-bare"),
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

const SOCKETIOXIDE_REDIS: &str = "socketioxide, socketioxide-redis";
const SOCKET_IO_REDIS: &str = "socket.io (Node.js), redis-adapter";
const SOCKET_IO_STREAMS: &str = "socket.io (Node.js), redis-streams-adapter";

const OXIDE: Contender = over_redis(socket_io(peer(SOCKETIOXIDE_REDIS, "socketioxide-redis")));

/// The two that are close to each other.
const CROWD: &[Contender] = &[over_redis(wasabi("wasabi", "cluster")), OXIDE];

const CLUSTER: &[Contender] = &[
    over_redis(wasabi("wasabi", "cluster")),
    OXIDE,
    over_redis(socket_io(Contender {
        program: Program::SocketIo("pubsub"),
        ..peer(SOCKET_IO_REDIS, "")
    })),
    over_redis(socket_io(Contender {
        program: Program::SocketIo("streams"),
        ..peer(SOCKET_IO_STREAMS, "")
    })),
];

const LOCAL: &str = "wasabi, Group::broadcast, without a cluster";

const PUBLISH: &[Contender] = &[
    wasabi(LOCAL, "group"),
    wasabi("wasabi, Group::publish, in memory", "published"),
    over_redis(wasabi(
        "wasabi, Group::publish, over Redis",
        "published-redis",
    )),
];

const fn of(connections: usize, contender: Contender) -> Contender {
    Contender {
        connections: Some(connections),
        ..contender
    }
}

const DIRECT_MANY: &str = "tungstenite, driven directly, 10 000 connections";

const GROWTH: &[Contender] = &[
    of(100, wasabi("wasabi, 100 connections", "echo")),
    of(1_000, wasabi("wasabi, 1 000 connections", "echo")),
    of(10_000, wasabi("wasabi, 10 000 connections", "echo")),
    of(
        100,
        peer(
            "tungstenite, driven directly, 100 connections",
            "tungstenite",
        ),
    ),
    of(10_000, peer(DIRECT_MANY, "tungstenite")),
];

const BROADCAST_GROWTH: &[Contender] = &[
    of(100, wasabi("wasabi, 100 members", "broadcast")),
    of(1_000, wasabi("wasabi, 1 000 members", "broadcast")),
    of(10_000, wasabi("wasabi, 10 000 members", "broadcast")),
    of(
        100,
        peer(
            "writes to one of 100 sockets after the other",
            "broadcast-raw",
        ),
    ),
    of(
        1_000,
        peer(
            "writes to one of 1 000 sockets after the other",
            "broadcast-raw",
        ),
    ),
];

const MIXED: &[Contender] = &[wasabi("wasabi", "mixed")];

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
        tls: None,
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

/// Fewer rounds: these differ by more than the rounds do.
const FEW: Option<usize> = Some(5);

const fn over_tls(kind: Kind, sessions: Sessions, work: Work) -> Work {
    Work {
        kind,
        load: Load {
            tls: Some(sessions),
            ..work.load
        },
        rounds: FEW,
        ..work
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
        rounds: FEW,
        ..messages(
            "growth",
            "Echo, 64 bytes, 1 message in flight, on more and more connections",
            text(100, 1, 64),
            GROWTH,
        )
    },
    Work {
        kind: Kind::Broadcasts,
        rounds: FEW,
        ..messages(
            "broadcast-growth",
            "Broadcast, 128 bytes, to more and more connections",
            text(100, 4, 128),
            BROADCAST_GROWTH,
        )
    },
    Work {
        kind: Kind::Broadcasts,
        ..messages(
            "publish",
            "Broadcast in one process, 128 bytes, 1 000 members of a group, without a cluster and with one",
            text(1_000, 4, 128),
            PUBLISH,
        )
    },
    Work {
        kind: Kind::Nodes,
        rounds: FEW,
        ..messages(
            "cluster",
            "A room at three nodes over Redis, 128 bytes of JSON, 30 members, 10 of one node publish, 1 message in flight each",
            text(30, 1, 128),
            CLUSTER,
        )
    },
    Work {
        kind: Kind::Nodes,
        rounds: FEW,
        ..messages(
            "cluster-crowd",
            "The same with 300 members, 100 of one node publish",
            text(300, 1, 128),
            CROWD,
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
        rounds: FEW,
        ..messages(
            "deflate",
            "Echo, 4 KiB of JSON, compressed in both directions, 50 connections, 4 messages in flight",
            Load {
                payload: Payload::Deflated,
                ..text(50, 4, 4096)
            },
            DEFLATE,
        )
    },
    Work {
        kind: Kind::Churn,
        rounds: FEW,
        ..messages(
            "churn",
            "Connect, handshake, one message, close from both sides, 32 at a time",
            text(32, 1, 64),
            CHURN,
        )
    },
    over_tls(
        Kind::Messages,
        Sessions::Full,
        messages(
            "tls-pipelined",
            "TLS: echo, 64 bytes, 100 connections, 32 messages in flight",
            text(100, 32, 64),
            TLS,
        ),
    ),
    over_tls(
        Kind::Messages,
        Sessions::Full,
        messages(
            "tls-pingpong",
            "TLS: echo, 64 bytes, 100 connections, 1 message in flight",
            text(100, 1, 64),
            TLS,
        ),
    ),
    over_tls(
        Kind::Messages,
        Sessions::Full,
        messages(
            "tls-large",
            "TLS: echo, 16 KiB binary, 50 connections, 4 messages in flight",
            Load {
                payload: Payload::Binary,
                ..text(50, 4, 16 * 1024)
            },
            TLS,
        ),
    ),
    over_tls(
        Kind::Handshakes,
        Sessions::Full,
        messages(
            "tls-handshakes-full",
            "TLS: handshakes, each with a new session, 32 at a time",
            text(32, 1, 64),
            TLS,
        ),
    ),
    over_tls(
        Kind::Handshakes,
        Sessions::Resumed,
        messages(
            "tls-handshakes-resumed",
            "TLS: handshakes that resume a session, 32 at a time",
            text(32, 1, 64),
            TLS,
        ),
    ),
    Work {
        rounds: Some(2),
        ..over_tls(
            Kind::Idle,
            Sessions::Resumed,
            messages(
                "tls-idle",
                "TLS: memory, 2 000 connections after one message each",
                text(2_000, 1, 64),
                TLS,
            ),
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
        kind: Kind::Mixed,
        upstream: Some(("http", &peer("HTTP upstream", "http-upstream"))),
        rounds: FEW,
        ..messages(
            "mixed",
            "Echoes, routed JSON, an HTTP service and pushes at once, 100 connections, 1 message in flight",
            Load {
                payload: Payload::Mixed,
                answer: Some(r#"{"status":"ok","id":1}"#),
                ..text(100, 1, 128)
            },
            MIXED,
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
    bar("echo-pipelined", "wasabi", 1.15, DIRECT),
    bar("echo-pipelined", "wasabi", 1.0, "axum ws, tuned"),
    bar("echo-pingpong", "wasabi", 1.15, DIRECT),
    bar("routed", "wasabi, routed", 2.0, "wasabi, echo"),
    bar("calls", "wasabi, JSON-RPC", 1.05, BY_HAND),
    Bar {
        work: "batches",
        contender: "wasabi, JSON-RPC",
        than: Than::TimesItself(1.0, "calls"),
    },
    bar("batches", "wasabi, JSON-RPC", 1.05, BY_HAND),
    bar("echo-large", "wasabi", 1.0, "sockudo-ws"),
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
        "http",
        "wasabi, no limit of requests at once",
        1.1,
        BARE_HTTP,
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
        1.15,
        "writes to one socket after the other",
    ),
    bar("publish", "wasabi, Group::publish, in memory", 1.1, LOCAL),
    bar("publish", "wasabi, Group::publish, over Redis", 1.1, LOCAL),
    bar("cluster", "wasabi", 0.5, SOCKETIOXIDE_REDIS),
    bar("cluster", "wasabi", 0.5, SOCKET_IO_REDIS),
    bar("cluster", "wasabi", 0.5, SOCKET_IO_STREAMS),
    bar("cluster-crowd", "wasabi", 0.5, SOCKETIOXIDE_REDIS),
    // With enough cores: 1.7 times the messages.
    bar(
        "threads",
        "wasabi, 2 threads",
        2.0 / 1.7,
        "wasabi, 1 thread",
    ),
    bar("handshakes", "wasabi", 1.15, "axum ws, tuned"),
    bar("churn", "wasabi", 1.2, DIRECT),
    bar("growth", "wasabi, 10 000 connections", 1.15, DIRECT_MANY),
    bar(
        "broadcast-growth",
        "wasabi, 100 members",
        1.15,
        "writes to one of 100 sockets after the other",
    ),
    bar(
        "broadcast-growth",
        "wasabi, 1 000 members",
        1.15,
        "writes to one of 1 000 sockets after the other",
    ),
    bar("tls-pipelined", "wasabi", 1.15, DIRECT_TLS),
    bar("tls-pingpong", "wasabi", 1.15, DIRECT_TLS),
    bar("tls-large", "wasabi", 1.05, DIRECT_TLS),
    bar("tls-handshakes-full", "wasabi", 1.15, DIRECT_TLS),
    bar("tls-handshakes-resumed", "wasabi", 1.15, DIRECT_TLS),
    bar("deflate", "wasabi", 1.0, "sockudo-ws"),
    bar("tls-idle", "wasabi", 1.0, DIRECT_TLS),
    Bar {
        work: "mixed",
        contender: "wasabi",
        than: Than::Millis(20.0),
    },
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
