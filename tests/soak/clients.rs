//! What the clients do, and what becomes of their messages.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message as Frame,
        protocol::{Role, WebSocketConfig},
    },
};
use wasabi_tests::chaos::Chaos;

use super::{
    PATIENCE,
    gateway::{ASKED, HASTY, LARGE, PATIENT},
    lines::{Line, Road, handshake, narrow},
};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Longer than the gateway waits for a client to read.
const STALL: Duration = Duration::from_secs(5);

/// What a life of a client is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
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
    /// Asks for much and reads 16 KiB a second.
    Dripping,
    /// Its line goes dead in the middle, and stays so.
    Dead,
}

pub(crate) const KINDS: [Kind; 9] = [
    Kind::Polite,
    Kind::Hasty,
    Kind::Vanishing,
    Kind::Resetting,
    Kind::Stalling,
    Kind::Breaking,
    Kind::Hesitating,
    Kind::Dripping,
    Kind::Dead,
];

/// The last two live so long that few of them are many.
const QUICK: usize = KINDS.len() - 2;

impl Kind {
    pub(crate) fn any(dice: &mut Dice) -> Self {
        match dice.roll(100) {
            0 => Self::Dripping,
            1 => Self::Dead,
            _ => KINDS[dice.roll(QUICK)],
        }
    }
}

/// What became of the messages of one kind of client.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) lives: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) replies: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Not answered because the connection ended first, which is what these clients are for.
    pub(crate) ended: AtomicU64,
}

pub(crate) fn add(count: &AtomicU64, number: usize) {
    count.fetch_add(number as u64, Ordering::Relaxed);
}

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ (seed + 1))
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // Xorshift, by Marsaglia.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn request(&mut self, id: usize) -> String {
        let what = ASKED[self.roll(ASKED.len())];
        json!({"do": what, "id": id, "text": "x".repeat(self.roll(300))}).to_string()
    }
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

pub(crate) async fn websocket(line: Line) -> WebSocketStream<Line> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096);
    WebSocketStream::from_raw_socket(line, Role::Client, Some(config)).await
}

/// Asks and reads every answer: each id has one, and no more come.
async fn ask(line: Line, requests: usize, dice: &mut Dice, account: &Account) {
    let mut socket = websocket(line).await;
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

/// Reads slowly what it has asked for, and gets all of it.
async fn drip(mut line: Line, account: &Account) {
    let request = json!({"do": "large"}).to_string();
    add(&account.sent, 1);
    let _ = line.write_all(&frame(0x81, request.as_bytes())).await;
    let _ = line.flush().await;
    let (mut buffer, mut read) = (vec![0; 16 * 1024], 0);
    while read < LARGE {
        let more = timeout(PATIENCE, line.read(&mut buffer)).await;
        let count = more.expect("more").expect("more");
        assert_ne!(count, 0, "closed after {read} bytes of {LARGE}");
        read += count;
        // A second for 16 KiB.
        sleep(Duration::from_secs(1) * count as u32 / (16 * 1024)).await;
    }
    add(&account.replies, 1);
}

/// Sends requests as raw bytes; all of them end with the connection.
async fn send(line: &mut Line, requests: &[String], account: &Account) {
    add(&account.sent, requests.len());
    add(&account.ended, requests.len());
    for request in requests {
        let _ = line.write_all(&frame(0x81, request.as_bytes())).await;
    }
    let _ = line.flush().await;
}

/// Lines that are dead for good, and the clients at their ends, who do not know.
pub(crate) type DeadLines = Mutex<Vec<(Chaos, Line, Road)>>;

/// There is no need for more.
const DEAD_LINES: usize = 50;

/// One client, from its coming to its going.
// Long: one arm for each thing that a client may do.
pub(crate) async fn live(
    kind: Kind,
    road: &Road,
    addr: SocketAddr,
    dice: &mut Dice,
    account: &Account,
    dead: &DeadLines,
) {
    add(&account.lives, 1);
    match kind {
        Kind::Polite | Kind::Hasty => {
            let requests = match kind {
                Kind::Polite => 1 + dice.roll(20),
                _ => 50 + dice.roll(50),
            };
            if let Some(line) = road.open(addr, HASTY).await {
                ask(line, requests, dice, account).await;
            }
            return;
        }
        Kind::Hesitating => {
            let Ok(mut stream) = TcpStream::connect(addr).await else {
                return;
            };
            let said = match road {
                Road::Http1 | Road::Proxied(_) => &handshake(HASTY),
                Road::Http2(_) => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            };
            let _ = stream
                .write_all(&said.as_bytes()[..dice.roll(said.len())])
                .await;
            sleep(MS * dice.roll(50) as u32).await;
            return;
        }
        Kind::Dripping => {
            let line = match road {
                Road::Http1 => narrow(addr, PATIENT).await,
                Road::Http2(_) | Road::Proxied(_) => road.open(addr, PATIENT).await,
            };
            if let Some(line) = line {
                drip(line, account).await;
            }
            return;
        }
        Kind::Dead => {
            if dead.lock().await.len() >= DEAD_LINES {
                return;
            }
            let wire = Chaos::to(addr).await;
            let road = match road {
                Road::Http1 | Road::Proxied(_) => road.clone(),
                // The others on its socket would be dead, too.
                Road::Http2(_) => Road::http2(),
            };
            let Some(mut line) = road.open(wire.addr, HASTY).await else {
                return;
            };
            let requests: Vec<_> = (0..10).map(|id| dice.request(id)).collect();
            send(&mut line, &requests, account).await;
            wire.half_open();
            dead.lock().await.push((wire, line, road));
            return;
        }
        _ => {}
    }
    let requests = match kind {
        Kind::Stalling => vec![json!({"do": "large"}).to_string(); 40],
        _ => (0..dice.roll(30)).map(|id| dice.request(id)).collect(),
    };
    let Some(mut line) = road.open(addr, HASTY).await else {
        return;
    };
    send(&mut line, &requests, account).await;
    match kind {
        Kind::Stalling => {
            sleep(STALL).await;
            // It has been closed meanwhile, unless the machine was too busy to begin before.
            let mut rest = vec![0; 64 * 1024];
            let ends = async { while matches!(line.read(&mut rest).await, Ok(1..)) {} };
            let _ = timeout(Duration::from_secs(1), ends).await;
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
            let _ = line.write_all(broken).await;
            let _ = line.flush().await;
            let mut rest = Vec::new();
            let ends = timeout(PATIENCE, line.read_to_end(&mut rest)).await;
            let _ = ends.expect("the gateway ends it");
        }
        Kind::Resetting => {
            sleep(MS * dice.roll(20) as u32).await;
            line.reset();
        }
        _ => sleep(MS * dice.roll(20) as u32).await,
    }
}
