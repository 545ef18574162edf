//! The gateways that are measured: `gateway echo|routed|calls|deflate|http|http-wide|passthrough|broadcast|group|published|`
//! `published-redis|cluster|mixed|flooded`, with `--addr 127.0.0.1:9001`, `--upstream URL`, `--tls FOLDER` and `--threads N`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use wasabi::{Cluster, Compression, JsonRpc, Params, Tls, prelude::*};

/// A gateway to be measured.
#[derive(Debug, clap::Parser)]
struct Args {
    kind: Kind,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9001")]
    addr: SocketAddr,
    /// The upstream of `http`, `http-wide`, `passthrough`, `mixed`, `flooded`, `published-redis` and `cluster`, such as
    /// `http://127.0.0.1:9002/`, `ws://127.0.0.1:9003/` or `redis://127.0.0.1:6379/`.
    #[arg(
        long,
        required_if_eq_any([
            ("kind", "http"),
            ("kind", "http-wide"),
            ("kind", "passthrough"),
            ("kind", "mixed"),
            ("kind", "flooded"),
            ("kind", "published-redis"),
            ("kind", "cluster")
        ])
    )]
    upstream: Option<String>,
    /// A folder with `cert.pem` and `key.pem`, to serve with TLS.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// The number of worker threads; by default one for each core that the process may use.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// One function for every message.
    Echo,
    /// JSON messages with the key at `/action`, 16 routes, a timeout and a throttle around them.
    Routed,
    /// JSON-RPC calls to 16 methods, alone and in batches, answered with their parameters.
    Calls,
    /// As `echo`, with permessage-deflate.
    Deflate,
    /// Every message is POSTed to the upstream, at most 50 at the same time.
    Http,
    /// The same, at most 10 000 at the same time.
    HttpWide,
    /// Every message is forwarded to a WebSocket server.
    Passthrough,
    /// Every message goes to all connections.
    Broadcast,
    /// Every message goes to a group that all connections join.
    Group,
    /// The same in a cluster in memory.
    Published,
    /// The same in a cluster over Redis.
    PublishedRedis,
    /// A room in a cluster over Redis, with messages of JSON.
    Cluster,
    /// A channel for echoes, one for routed JSON, one for an HTTP service, and one that pushes.
    Mixed,
    /// A channel for a calm client, and one for each kind of work that the flooding clients cause.
    Flooded,
}

/// Answers with the message.
#[backend]
async fn echo(message: Message) -> Message {
    message
}

fn echoing() -> Gateway {
    gateway!(channel("/", echo))
}

fn deflating() -> Gateway {
    gateway!(channel("/", compression = Compression::deflate(), echo))
}

fn routed() -> Gateway {
    gateway!(channel(
        "/",
        parser = JsonKey::at("/action").id("/id"),
        middleware = [Timeout::new(5s), Throttle::new(100_000)],
        match key {
            "route.00" => echo,
            "route.01" => echo,
            "route.02" => echo,
            "route.03" => echo,
            "route.04" => echo,
            "route.05" => echo,
            "route.06" => echo,
            "route.07" => echo,
            "route.08" => echo,
            "route.09" => echo,
            "route.10" => echo,
            "route.11" => echo,
            "route.12" => echo,
            "route.13" => echo,
            "route.14" => echo,
            "route.15" => echo,
            _ => NoRoute,
        },
    ))
}

/// The parameters of a call, which are also its result.
#[derive(Serialize, Deserialize)]
struct Order {
    from: String,
    price: f64,
    text: String,
}

/// Answers a call with its own parameters.
#[backend]
async fn call(Params(order): Params<Order>) -> Json<Order> {
    Json(order)
}

fn calls() -> Gateway {
    gateway!(channel(
        "/",
        protocol = JsonRpc::new(),
        match key {
            "route.00" => call,
            "route.01" => call,
            "route.02" => call,
            "route.03" => call,
            "route.04" => call,
            "route.05" => call,
            "route.06" => call,
            "route.07" => call,
            "route.08" => call,
            "route.09" => call,
            "route.10" => call,
            "route.11" => call,
            "route.12" => call,
            "route.13" => call,
            "route.14" => call,
            "route.15" => call,
            _ => NoRoute,
        },
    ))
}

fn http(upstream: &str) -> Gateway {
    gateway!(channel("/", Http::post(upstream)))
}

fn http_wide(upstream: &str) -> Gateway {
    gateway!(channel("/", Http::post(upstream).concurrency(10_000)))
}

fn passthrough(upstream: &str) -> Gateway {
    gateway!(channel("/", WebSocket::connect(upstream)))
}

fn broadcasting() -> Gateway {
    let registry = Registry::new();
    gateway!(
        state = registry.clone(),
        channel(
            "/",
            registry = registry,
            async |State(registry): State<Registry>, message: Message| {
                registry.broadcast(message);
            }
        ),
    )
}

/// The group that all connections join.
const ROOM: &str = "room";

async fn entered(State(registry): State<Registry>, connection: Connection) {
    registry.join(ROOM, &connection);
}

fn grouped() -> Gateway {
    let registry = Registry::new();
    gateway!(
        state = registry.clone(),
        channel(
            "/",
            registry = registry,
            on_connect = entered,
            async |State(registry): State<Registry>, message: Message| {
                registry.group(ROOM).broadcast(message);
            }
        ),
    )
}

#[backend]
async fn publish(State(registry): State<Registry>, message: Message) -> Result<()> {
    registry.group(ROOM).publish(message).await.elsewhere
}

fn published(cluster: Cluster) -> Gateway {
    let registry = Registry::new();
    gateway!(
        state = registry.clone(),
        cluster = cluster,
        channel("/", registry = registry, on_connect = entered, publish),
    )
}

/// What a client says, and what all in the room receive.
#[derive(Serialize, Deserialize)]
struct Said {
    from: u32,
    n: u64,
    text: String,
}

#[backend]
async fn say(State(registry): State<Registry>, Json(said): Json<Said>) -> Result<()> {
    registry.group(ROOM).publish(Json(said)).await.elsewhere
}

fn clustered(redis: &str) -> Gateway {
    let registry = Registry::new();
    gateway!(
        state = registry.clone(),
        cluster = Cluster::redis(redis),
        channel("/", registry = registry, on_connect = entered, say),
    )
}

fn mixed(upstream: &str) -> Gateway {
    gateway!(
        channel("/echo", echo),
        mount("/json", routed()),
        channel("/http", Http::post(upstream)),
        channel("/push", async |connection: Connection, message: Message| {
            let _ = connection.send(message).await;
        }),
    )
}

fn flooded(upstream: &str) -> Gateway {
    let registry = Registry::new();
    gateway!(
        state = registry.clone(),
        channel("/calm", echo),
        channel("/small", echo),
        channel(
            "/key",
            parser = JsonKey::at("/a").or("x"),
            async |_: Message| {}
        ),
        channel("/value", async |Json(value): Json<serde_json::Value>| {
            std::hint::black_box(value);
        }),
        channel(
            "/inflate",
            compression = Compression::deflate(),
            async |_: Message| {}
        ),
        channel("/replies", async |_: Message| vec![
            Message::text("a reply");
            1000
        ]),
        channel("/streams", async |_: Message| {
            Replies(futures_util::stream::repeat(Message::text("a reply")))
        }),
        channel(
            "/broadcast",
            registry = registry,
            async |State(registry): State<Registry>, message: Message| {
                registry.broadcast(message);
            }
        ),
        channel("/upstream", WebSocket::connect(upstream)),
    )
}

fn main() -> ExitCode {
    let args = Args::parse();
    let upstream = args.upstream.unwrap_or_default();
    let gateway = match args.kind {
        Kind::Echo => echoing(),
        Kind::Routed => routed(),
        Kind::Calls => calls(),
        Kind::Deflate => deflating(),
        Kind::Http => http(&upstream),
        Kind::HttpWide => http_wide(&upstream),
        Kind::Passthrough => passthrough(&upstream),
        Kind::Broadcast => broadcasting(),
        Kind::Group => grouped(),
        Kind::Published => published(Cluster::memory()),
        Kind::PublishedRedis => published(Cluster::redis(&upstream)),
        Kind::Cluster => clustered(&upstream),
        Kind::Mixed => mixed(&upstream),
        Kind::Flooded => flooded(&upstream),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads.max(1));
    }
    let server = Server::bind(args.addr)
        .drain_timeout(Duration::from_secs(1))
        .signals(false);
    let server = match args.tls {
        Some(folder) => match Tls::from_pem(folder.join("cert.pem"), folder.join("key.pem")) {
            Ok(tls) => server.tls(tls),
            Err(error) => {
                eprintln!("{}: {error}", folder.display());
                return ExitCode::FAILURE;
            }
        },
        None => server,
    };
    let served = runtime.enable_all().build().map(|runtime| {
        // Spawned, so that a worker thread serves: another thread would have to wake the main thread for every
        // connection.
        runtime.block_on(async { tokio::spawn(server.serve(gateway)).await })
    });
    match served {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        failed => {
            eprintln!("{failed:?}");
            ExitCode::FAILURE
        }
    }
}
