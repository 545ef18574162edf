//! Thousands of clients that come, go, stall and misbehave, for as long as `WASABI_SOAK` says (`90s`, `10m`, `4h`; a minute
//! if it is not set). At the end every message is accounted for, and nothing is left: no connection, no task, no memory.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::post};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Message as Frame, protocol::WebSocketConfig};
use wasabi::{Error, ServerHandle, prelude::*};

const MS: Duration = Duration::from_millis(1);

/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a life of a client is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Asks, reads every answer and closes.
    Polite,
    /// Asks for more at once than the gateway works on at the same time.
    Hasty,
    /// Ends the connection in the middle, without a close frame.
    Vanishing,
    /// Resets it.
    Resetting,
    /// Asks for much and reads nothing.
    Stalling,
    /// Breaks the protocol.
    Breaking,
    /// Leaves in the middle of the handshake.
    Hesitating,
}

const KINDS: [Kind; 7] = [
    Kind::Polite,
    Kind::Hasty,
    Kind::Vanishing,
    Kind::Resetting,
    Kind::Stalling,
    Kind::Breaking,
    Kind::Hesitating,
];

/// What became of the messages of one kind of client.
#[derive(Debug, Default)]
struct Account {
    lives: AtomicU64,
    sent: AtomicU64,
    replies: AtomicU64,
    errors: AtomicU64,
    /// Not answered because the connection ended first, which is what these clients are for.
    ended: AtomicU64,
}

type Balance = [Account; KINDS.len()];

fn add(count: &AtomicU64, number: usize) {
    count.fetch_add(number as u64, Ordering::Relaxed);
}

/// The requests that the gateway's functions have begun and ended.
#[derive(Debug, Default)]
struct Work {
    begun: AtomicU64,
    ended: AtomicU64,
}

struct Working(Arc<Work>);

impl Working {
    fn begin(work: &Arc<Work>) -> Self {
        add(&work.begun, 1);
        Self(Arc::clone(work))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        add(&self.0.ended, 1);
    }
}

fn gateway(registry: Registry, work: Arc<Work>, http: &str, websocket: &str) -> Gateway {
    gateway!(
        state = work,
        channel(
            "/",
            registry = registry,
            parser = JsonKey::at("/do").id("/id"),
            concurrency = 10,
            ping = 5s,
            send_timeout = 2s,
            middleware = [Timeout::new(20s)],
            match key {
                "echo" => async |State(work): State<Arc<Work>>, message: Message| {
                    let _working = Working::begin(&work);
                    message
                },
                "slow" => async |State(work): State<Arc<Work>>, message: Message| {
                    let _working = Working::begin(&work);
                    sleep(5 * MS).await;
                    message
                },
                "fail" => async |State(work): State<Arc<Work>>| -> Result<Message> {
                    let _working = Working::begin(&work);
                    Err(Error::new("refused", "on purpose"))
                },
                "large" => async |State(work): State<Arc<Work>>| {
                    let _working = Working::begin(&work);
                    vec![0; 256 * 1024]
                },
                "http" => Http::post(http),
                "websocket" => WebSocket::connect(websocket).correlate("/id"),
                _ => NoRoute,
            },
        ),
    )
}

/// The gateway in threads of its own, with nothing else in its runtime.
fn serve(gateway: Gateway) -> (Handle, ServerHandle) {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = Server::bind("127.0.0.1:0")
            .signals(false)
            .header_timeout(Duration::from_secs(2));
        let _ = tell.send((runtime.handle().clone(), server.handle()));
        runtime.block_on(server.serve(gateway)).expect("it serves");
    });
    told.recv().expect("the server starts")
}

/// An HTTP service and a WebSocket server that send back what they get.
async fn upstreams() -> (String, String) {
    let listen = || async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        (listener, addr)
    };
    let (http, http_addr) = listen().await;
    let router = Router::new().route("/", post(async |body: String| body));
    tokio::spawn(async move { axum::serve(http, router).await });
    let (websocket, websocket_addr) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = websocket.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    if !message.is_close() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (
        format!("http://{http_addr}/"),
        format!("ws://{websocket_addr}/"),
    )
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Xorshift, by Marsaglia.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn request(&mut self, id: usize) -> String {
        let what = ["echo", "slow", "fail", "http", "websocket", "nothing"][self.roll(6)];
        json!({"do": what, "id": id, "text": "x".repeat(self.roll(300))}).to_string()
    }
}

const HANDSHAKE: &[u8] =
    b"GET / HTTP/1.1\r\nhost: soak\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A connection after its handshake; `None` when the gateway was too busy for it.
async fn open(addr: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    stream.write_all(HANDSHAKE).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
    Some(stream)
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(len @ ..126) => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            frame.extend((payload.len() as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Asks and reads every answer: each id has one, and no more come.
async fn ask(addr: SocketAddr, requests: usize, dice: &mut Dice, account: &Account) {
    let Some(stream) = open(addr).await else {
        return;
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096);
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket =
        tokio_tungstenite::WebSocketStream::from_raw_socket(stream, role, Some(config)).await;
    for id in 0..requests {
        let request = dice.request(id);
        socket.feed(request.into()).await.expect("it reads");
    }
    socket.flush().await.expect("it reads");
    add(&account.sent, requests);
    let mut outcomes = HashMap::new();
    while outcomes.len() < requests {
        let frame = timeout(PATIENCE, socket.next()).await;
        let message = match frame.expect("an answer in time") {
            Some(Ok(Frame::Text(text))) => text,
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
            other => panic!("{other:?} after {} of {requests}", outcomes.len()),
        };
        let reply: Value = serde_json::from_str(&message).expect("JSON");
        let id = reply["id"].as_u64().expect("an id");
        let is_error = !reply["error"].is_null();
        assert_eq!(
            outcomes.insert(id, is_error),
            None,
            "a second answer to {id}"
        );
    }
    let errors = outcomes.values().filter(|is_error| **is_error).count();
    add(&account.errors, errors);
    add(&account.replies, requests - errors);
    socket.close(None).await.expect("it is there");
    while let Some(Ok(message)) = timeout(PATIENCE, socket.next()).await.expect("an end") {
        assert!(!message.is_text(), "an answer to nothing: {message:?}");
    }
}

/// Sends requests as raw bytes; all of them end with the connection.
async fn send(stream: &mut TcpStream, requests: &[String], account: &Account) {
    add(&account.sent, requests.len());
    add(&account.ended, requests.len());
    for request in requests {
        let _ = stream.write_all(&frame(0x81, request.as_bytes())).await;
    }
}

/// One client, from its coming to its going.
async fn live(kind: Kind, addr: SocketAddr, dice: &mut Dice, account: &Account) {
    add(&account.lives, 1);
    let requests = match kind {
        Kind::Polite => return ask(addr, 1 + dice.roll(20), dice, account).await,
        Kind::Hasty => return ask(addr, 50 + dice.roll(50), dice, account).await,
        Kind::Stalling => vec![json!({"do": "large"}).to_string(); 40],
        _ => (0..dice.roll(30)).map(|id| dice.request(id)).collect(),
    };
    if kind == Kind::Hesitating {
        let Ok(mut stream) = TcpStream::connect(addr).await else {
            return;
        };
        let _ = stream
            .write_all(&HANDSHAKE[..dice.roll(HANDSHAKE.len())])
            .await;
        sleep(MS * dice.roll(50) as u32).await;
        return;
    }
    let Some(mut stream) = open(addr).await else {
        return;
    };
    send(&mut stream, &requests, account).await;
    match kind {
        Kind::Stalling => {
            // The gateway has to put an end to it.
            sleep(3000 * MS).await;
            let mut rest = vec![0; 64 * 1024];
            let ends = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
            timeout(PATIENCE, ends).await.expect("the gateway ends it");
        }
        Kind::Breaking => {
            let broken: &[u8] = [
                &b"\x81\x01x"[..],
                b"\x83\x80\0\0\0\0",
                b"\xf1\x80\0\0\0\0",
                b"\x80\x80\0\0\0\0",
                b"\x81\x81\0\0\0\0\xff",
                b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
                b"GET / HTTP/1.1\r\n\r\n",
            ][dice.roll(7)];
            let _ = stream.write_all(broken).await;
            let mut rest = Vec::new();
            let ends = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
            let _ = ends.expect("the gateway ends it");
        }
        Kind::Resetting => {
            sleep(MS * dice.roll(20) as u32).await;
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        _ => sleep(MS * dice.roll(20) as u32).await,
    }
}

/// Clients live one after the other in each of `places` until the end.
async fn run(places: usize, until: Instant, addr: SocketAddr, balance: &Arc<Balance>) {
    let mut clients = JoinSet::new();
    for place in 0..places {
        let balance = Arc::clone(balance);
        clients.spawn(async move {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (place as u64 + 1));
            while Instant::now() < until {
                let kind = KINDS[dice.roll(KINDS.len())];
                live(kind, addr, &mut dice, &balance[kind as usize]).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client finds nothing wrong");
    }
}

/// Waits until nothing is left of the clients, and tells the resident bytes of the process and the tasks of the gateway.
async fn rest(registry: &Registry, work: &Work, gateway: &Handle, tasks: usize) -> (usize, usize) {
    let alive = || gateway.metrics().num_alive_tasks();
    let ended = || work.begun.load(Ordering::Relaxed) == work.ended.load(Ordering::Relaxed);
    let start = Instant::now();
    while !(registry.is_empty() && ended() && alive() <= tasks) && start.elapsed() < PATIENCE {
        sleep(20 * MS).await;
    }
    assert!(
        registry.is_empty(),
        "{} connections are left",
        registry.len()
    );
    assert!(ended(), "requests are left: {work:?}");
    assert!(alive() <= tasks, "{} tasks are left, of {tasks}", alive());
    (resident(), alive())
}

fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = pages.split(' ').nth(1).expect("pages");
    pages.parse::<usize>().expect("a number") * 4096
}

/// Connections have two ends in this process, and some have an upstream's two.
fn places() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files: usize = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(1024);
    (files.saturating_sub(100) / 5).min(2000)
}

fn duration() -> Duration {
    let text = std::env::var("WASABI_SOAK").unwrap_or("60s".to_owned());
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("WASABI_SOAK is `{text}`, and should be like `90s`, `10m` or `4h`"),
    };
    Duration::from_secs(number.parse::<u64>().expect("a number") * seconds)
}

#[test]
#[ignore = "takes a minute: run tests/run"]
fn every_message_is_accounted_for_and_nothing_is_left() {
    let clients = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    clients.block_on(async {
        let (http, websocket) = upstreams().await;
        let (registry, work) = (Registry::new(), Arc::new(Work::default()));
        let served = gateway(registry.clone(), Arc::clone(&work), &http, &websocket);
        let (gateway, server) = serve(served);
        let addr = server.addr().await;
        let (places, duration) = (places(), duration());
        let balance = Arc::new(Balance::default());

        // What stays after the first clients is there for good: connections to the HTTP service, the allocator's pages.
        run(places, Instant::now() + duration / 4, addr, &balance).await;
        let tasks = gateway.metrics().num_alive_tasks();
        let (before, tasks) = rest(&registry, &work, &gateway, tasks).await;
        run(places, Instant::now() + duration * 3 / 4, addr, &balance).await;
        // A task for each connection that the HTTP client keeps open.
        let (after, _) = rest(&registry, &work, &gateway, tasks + 64).await;

        let mut table = format!("\n{places} clients at the same time for {duration:?}\n");
        let _ = writeln!(
            table,
            "{:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>5}",
            "", "clients", "sent", "replies", "errors", "cut off", "lost"
        );
        for (kind, account) in KINDS.iter().zip(balance.iter()) {
            let [lives, sent, replies, errors, ended] = [
                &account.lives,
                &account.sent,
                &account.replies,
                &account.errors,
                &account.ended,
            ]
            .map(|count| count.load(Ordering::Relaxed));
            let lost = sent - replies - errors - ended;
            let _ = writeln!(
                table,
                "{:>10} {lives:>9} {sent:>9} {replies:>9} {errors:>9} {ended:>9} {lost:>5}",
                format!("{kind:?}")
            );
            assert_eq!(lost, 0, "{table}");
            assert!(lives > 0, "{table}");
        }
        let mib = |bytes: usize| bytes / 1024 / 1024;
        let _ = writeln!(
            table,
            "{} MiB after the first quarter, {} MiB at the end",
            mib(before),
            mib(after)
        );
        // Past the capturing of the test harness: this is what the run is for.
        let _ = std::io::stderr().write_all(table.as_bytes());
        assert!(after < before + before / 4 + 16 * 1024 * 1024, "{table}");
        server.drain();
    });
}
