//! A client that sends messages in any fragments and chunks, and then whatever it likes: each message has one
//! outcome, what the server sends is a WebSocket, and it comes to an end.
#![no_main]

use std::{
    collections::{BTreeSet, VecDeque},
    sync::LazyLock,
    time::Duration,
};

use arbitrary::Arbitrary;
use axum::Router;
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    time::sleep,
};
use wasabi::{Error, prelude::*};
use wasabi_fuzz::{
    client::{head, run, serve, within},
    frames::{self, CLOSE, PING, PONG, Sent, TEXT},
};

#[derive(Debug, Arbitrary)]
struct Session {
    /// Bytes that the pipe holds in each direction.
    pipe: u8,
    /// Sizes of what the client sends at once.
    chunks: Vec<u8>,
    /// How long the client waits between two reads, in milliseconds.
    pause: u8,
    mask: [u8; 4],
    steps: Vec<Step>,
    end: End,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Request {
        key: Key,
        padding: u16,
        cuts: Vec<u8>,
    },
    /// A text that may be anything, and is answered all the same.
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Wait(u8),
}

#[derive(Debug, Arbitrary)]
enum Key {
    Now,
    Later,
    Fails,
    Panics,
    Unknown,
}

#[derive(Debug, Arbitrary)]
enum End {
    Close(Option<u16>, String),
    Eof,
    Abandon,
    Bytes(Vec<u8>),
    Frames(Vec<(u8, Vec<u8>)>),
}

fn id(req: &Request) -> String {
    format!(r#"{{"i":{}}}"#, req.id().map_or("null", |id| id.as_str()))
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

static GATEWAY: LazyLock<Router> = LazyLock::new(|| {
    std::panic::set_hook(Box::new(|info| {
        if info.payload_as_str() != Some("on purpose") {
            eprintln!("{info}");
            std::process::abort();
        }
    }));
    gateway!(channel(
        "/",
        parser = JsonKey::at("/k").id("/i"),
        concurrency = 3,
        max_message_size = 8KiB,
        ping = 20s,
        registry = REGISTRY.clone(),
        match key {
            "now" => async |req: Request| id(&req),
            "later" => async |req: Request| {
                let time = req.message().len() as u64 % 100;
                sleep(Duration::from_millis(time)).await;
                id(&req)
            },
            "fails" => async |_req: Request| Err::<String, _>(Error::bad_request("no")),
            "panics" => async |_req: Request| -> String { panic!("on purpose") },
            _ => NoRoute,
        },
    ))
    .into_router()
});

const HANDSHAKE: &[u8] =
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// What the client sends, and what it must get for it.
#[derive(Default)]
struct Script {
    sends: Vec<Send>,
    messages: usize,
    ids: BTreeSet<u64>,
    pings: usize,
}

enum Send {
    Bytes(Vec<u8>),
    Wait(Duration),
}

/// The id of the last request.
const LAST: usize = 1000;

impl Script {
    fn new(steps: Vec<Step>, mask: [u8; 4]) -> Self {
        let mut script = Self::default();
        for (number, step) in steps.into_iter().take(24).enumerate() {
            let frame = |opcode, payload: &[u8]| frames::client(true, opcode, payload, mask);
            let short = |mut payload: Vec<u8>| {
                payload.truncate(125);
                payload
            };
            let bytes = match step {
                Step::Request { key, padding, cuts } => {
                    script.messages += 1;
                    script.ids.insert(number as u64);
                    fragments(&request(&key, number, padding), &cuts, mask)
                }
                Step::Text(text) => {
                    script.messages += 1;
                    // Its id could be that of another one.
                    frame(TEXT, text.replace('"', "'").as_bytes())
                }
                Step::Binary(data) => {
                    script.messages += 1;
                    let data: Vec<u8> = data.into_iter().filter(|byte| *byte != b'"').collect();
                    frame(2, &data)
                }
                Step::Ping(payload) => {
                    script.pings += 1;
                    frame(PING, &short(payload))
                }
                Step::Pong(payload) => frame(PONG, &short(payload)),
                Step::Wait(time) => {
                    let time = Duration::from_millis(time.into());
                    script.sends.push(Send::Wait(time));
                    continue;
                }
            };
            script.sends.push(Send::Bytes(bytes));
        }
        // Until it is answered the client reads, so that nothing before it waits for that.
        script.messages += 1;
        script.ids.insert(LAST as u64);
        let last = request(&Key::Now, LAST, 0);
        script.sends.push(Send::Bytes(frames::client(
            true,
            TEXT,
            last.as_bytes(),
            mask,
        )));
        script
    }
}

fn request(key: &Key, id: usize, padding: u16) -> String {
    let key = match key {
        Key::Now => "now",
        Key::Later => "later",
        Key::Fails => "fails",
        Key::Panics => "panics",
        Key::Unknown => "unknown",
    };
    let padding = "\u{e4}".repeat(usize::from(padding) % 4000);
    format!(r#"{{"k":"{key}","p":"{padding}","i":{id}}}"#)
}

/// One message in fragments, maybe with a pong in between.
fn fragments(text: &str, cuts: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let (mut rest, mut bytes, mut opcode) = (text.as_bytes(), Vec::new(), TEXT);
    for cut in cuts.iter().take(16) {
        let (fragment, others) = rest.split_at(usize::from(*cut).min(rest.len()));
        bytes.extend(frames::client(false, opcode, fragment, mask));
        if opcode == TEXT && cut % 7 == 0 {
            bytes.extend(frames::client(true, PONG, b"", mask));
        }
        (rest, opcode) = (others, 0);
    }
    bytes.extend(frames::client(true, opcode, rest, mask));
    bytes
}

/// What the server has sent.
#[derive(Default)]
struct Seen {
    messages: usize,
    ids: BTreeSet<u64>,
    pongs: usize,
    close: Option<Option<u16>>,
    /// The client sends what it likes, ids of its own among it.
    is_wild: bool,
}

impl Seen {
    fn see(&mut self, sent: Sent) {
        assert!(self.close.is_none(), "nothing follows a close: {sent:?}");
        match sent {
            Sent::Message(payload) => {
                self.messages += 1;
                let reply: serde_json::Value =
                    serde_json::from_slice(&payload).expect("a reply is JSON");
                if let Some(id) = reply["i"].as_u64() {
                    let is_new = self.ids.insert(id);
                    assert!(is_new || self.is_wild, "two replies to {id}");
                }
            }
            Sent::Pong(_) => self.pongs += 1,
            Sent::Ping => {}
            Sent::Close(code) => self.close = Some(code),
        }
    }

    /// Reads until there are so many messages, or to the end.
    async fn read(
        &mut self,
        stream: &mut ReadHalf<DuplexStream>,
        messages: usize,
        pause: Duration,
    ) {
        while self.messages < messages {
            let Some(sent) = frames::server(stream).await else {
                return;
            };
            self.see(sent);
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
    }
}

/// What the client writes to, in chunks of such sizes.
struct Writes {
    stream: WriteHalf<DuplexStream>,
    sizes: VecDeque<usize>,
}

impl Writes {
    /// `false` when the server has ended the connection.
    async fn write(&mut self, mut rest: &[u8]) -> bool {
        while !rest.is_empty() {
            let size = self.sizes.front().map_or(rest.len(), |size| 1 + size);
            self.sizes.rotate_left(self.sizes.len().min(1));
            let (chunk, others) = rest.split_at(size.min(rest.len()));
            if self.stream.write_all(chunk).await.is_err() {
                return false;
            }
            tokio::task::yield_now().await;
            rest = others;
        }
        true
    }
}

async fn session(session: Session) {
    let Session {
        pipe,
        chunks,
        pause,
        mask,
        steps,
        end,
    } = session;
    let mut stream = serve(&GATEWAY, 64 + usize::from(pipe) * 16);
    stream.write_all(HANDSHAKE).await.expect("a server");
    let response = head(&mut stream).await.expect("a response");
    assert!(response.starts_with("HTTP/1.1 101"), "{response}");

    let script = Script::new(steps, mask);
    let (mut reads, stream) = tokio::io::split(stream);
    let sizes = chunks.into_iter().map(usize::from).collect();
    let mut writes = Writes { stream, sizes };
    let mut seen = Seen::default();
    let pause = Duration::from_millis(u64::from(pause) % 16);
    within(async {
        let sends = async {
            for send in &script.sends {
                match send {
                    Send::Bytes(bytes) => assert!(writes.write(bytes).await, "nothing was wrong"),
                    Send::Wait(time) => sleep(*time).await,
                }
            }
        };
        tokio::join!(sends, seen.read(&mut reads, script.messages, pause));
    })
    .await;
    assert_eq!(seen.messages, script.messages, "{:?}", seen.close);
    assert_eq!(seen.ids, script.ids);
    assert!(seen.close.is_none() && seen.pongs <= script.pings);

    seen.is_wild = true;
    let mut expected = None;
    let last = match end {
        End::Close(code, reason) => {
            let mut payload = Vec::new();
            if let Some(code) = code {
                payload.extend(code.to_be_bytes());
                let end = reason.floor_char_boundary(123);
                payload.extend(&reason.as_bytes()[..end]);
            }
            expected = Some(match code {
                Some(code) if !frames::may_be_sent(code) => Some(1002),
                code => code,
            });
            frames::client(true, CLOSE, &payload, mask)
        }
        End::Eof => Vec::new(),
        End::Abandon => return,
        End::Bytes(bytes) => bytes,
        End::Frames(frames) => {
            let frames = frames.into_iter().take(64);
            let frames = frames.map(|(first, payload)| {
                frames::client(first & 0x80 != 0, first & 0x7f, &payload, mask)
            });
            frames.flatten().collect()
        }
    };
    within(async {
        let sends = async {
            if writes.write(&last).await && expected.is_none() {
                let _ = writes.stream.shutdown().await;
            }
        };
        tokio::join!(sends, seen.read(&mut reads, usize::MAX, pause));
    })
    .await;
    if let Some(expected) = expected {
        assert_eq!(seen.close, Some(expected));
    }
}

fuzz_target!(|input: Session| {
    run(async {
        session(input).await;
        within(async {
            while !REGISTRY.is_empty() {
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
    });
});
