//! R24: floods of streams and of resets over HTTP/2 are limited, and a socket cannot stay open without a stream.

mod late;

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wasabi::prelude::*;
use wasabi_tests::{TestServer, serve_with, soon};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET / http` to the host `test`, in HPACK.
const GET: &[u8] = b"\x82\x86\x84\x41\x04test";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, GET)
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// Reads the next frame: its kind, flags, stream and payload; `None` at the end.
async fn read(stream: &mut TcpStream) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | u32::from(*byte))
    };
    let mut payload = vec![0; number(&head[..3]) as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], number(&head[5..]), payload))
}

/// A socket on which both sides have sent their settings.
async fn open(server: &TestServer) -> TcpStream {
    let mut stream = server.tcp().await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let (kind, ..) = soon(read(&mut stream)).await.unwrap();
    assert_eq!(kind, SETTINGS);
    stream
}

/// Calls of an endpoint that never answers.
#[derive(Default)]
struct Calls {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

struct Call(Arc<Calls>);

impl Call {
    fn new(calls: &Arc<Calls>) -> Self {
        let now = calls.now.fetch_add(1, Ordering::SeqCst) + 1;
        calls.most.fetch_max(now, Ordering::SeqCst);
        calls.all.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(calls))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn pending(streams: u32) -> (TestServer, Arc<Calls>) {
    let calls = Arc::new(Calls::default());
    let counted = Arc::clone(&calls);
    let gateway = gateway!(get("/", async move || {
        let _call = Call::new(&counted);
        std::future::pending::<()>().await;
    }));
    let server = serve_with(gateway, |server| server.http2_streams(streams)).await;
    (server, calls)
}

#[tokio::test]
async fn streams_over_the_limit_are_refused() {
    let (server, calls) = pending(10).await;
    let mut stream = open(&server).await;
    for n in 0..50 {
        stream.write_all(&get(2 * n + 1)).await.unwrap();
    }
    for _ in 0..40 {
        loop {
            let (kind, _, _, payload) = soon(read(&mut stream)).await.unwrap();
            if kind == RST_STREAM {
                // REFUSED_STREAM: the client may send the request again.
                assert_eq!(payload, 7_u32.to_be_bytes());
                break;
            }
        }
    }
    assert_eq!(calls.most.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn a_flood_of_streams_that_are_reset_at_once_ends_the_socket() {
    let (server, calls) = pending(100).await;
    let mut stream = open(&server).await;
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        for n in 0..100_000 {
            let id = 2 * n + 1;
            if writer
                .write_all(&[get(id), reset(id)].concat())
                .await
                .is_err()
            {
                return;
            }
        }
        panic!("100 000 streams were taken");
    };
    let mut rest = Vec::new();
    let reading = async {
        let _ = reader.read_to_end(&mut rest).await;
    };
    soon(futures_util::future::join(flood, reading)).await;
    assert!(calls.most.load(Ordering::SeqCst) <= 100);
    wasabi_tests::until("no call is left", || calls.now.load(Ordering::SeqCst) == 0).await;
}

/// Slow enough for each stream to be handled, so that hyper's own limit does not count it.
#[tokio::test]
async fn a_flood_of_streams_that_are_reset_a_little_later_ends_the_socket() {
    let (server, calls) = pending(100).await;
    let mut stream = open(&server).await;
    let mut taken = 0;
    let flood = async {
        for n in 0..100_000 {
            let id = 2 * n + 1;
            if stream.write_all(&get(id)).await.is_err() {
                return;
            }
            let start = Instant::now();
            while calls.all.load(Ordering::SeqCst) <= taken {
                if start.elapsed() > Duration::from_millis(500) {
                    return;
                }
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            if stream.write_all(&reset(id)).await.is_err() {
                return;
            }
            taken += 1;
        }
    };
    wasabi_tests::soon(flood).await;
    assert!((100..1000).contains(&taken), "{taken} streams were taken");
}

#[tokio::test]
async fn a_flood_of_one_socket_does_not_starve_the_others() {
    let gateway = gateway!(
        get("/", async || "hello"),
        channel("/echo", async |text: Text| text)
    );
    let server = serve_with(gateway, |server| server.http2_streams(100)).await;
    let mut calm = server.connect("/echo").await;
    let mut stream = open(&server).await;
    let (mut reader, mut writer) = stream.split();
    let ping = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let settings = frame(SETTINGS, 0, 0, &[]).repeat(1000);
    let writes = Cell::new(0);
    let flood = async {
        while writer.write_all(&ping).await.is_ok() && writer.write_all(&settings).await.is_ok() {
            writes.set(writes.get() + 1);
        }
        std::future::pending::<()>().await;
    };
    let mut sink = vec![0; 1 << 16];
    let reading = async {
        while matches!(reader.read(&mut sink).await, Ok(1..)) {}
        std::future::pending::<()>().await;
    };
    let most = tokio::select! {
        most = super::writes_during_a_question(&mut calm, &writes) => most,
        _ = futures_util::future::join(flood, reading) => unreachable!(),
    };
    assert!(most < 1000, "{most} writes of 26 KB");
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let (server, calls) = pending(100).await;
    let mut stream = open(&server).await;
    stream
        .write_all(&frame(HEADERS, END_STREAM, 1, GET))
        .await
        .unwrap();
    // Literal headers, 8 KiB each.
    let mut header = b"\x00\x01x\x7f\x81\x3f".to_vec();
    header.extend(vec![b'x'; 8192]);
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        for _ in 0..10_000 {
            if writer
                .write_all(&frame(CONTINUATION, 0, 1, &header))
                .await
                .is_err()
            {
                return;
            }
        }
        panic!("80 MB of headers were taken");
    };
    let mut rest = Vec::new();
    let reading = async {
        let _ = reader.read_to_end(&mut rest).await;
    };
    soon(futures_util::future::join(flood, reading)).await;
    assert_eq!(calls.most.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_head_that_becomes_large_is_refused() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let gateway = gateway!(get("/", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { "hello" }
    }));
    let server = serve_with(gateway, |server| server.http2_streams(100)).await;
    let mut stream = open(&server).await;
    // A header of 4 000 bytes for the table, then the same one repeatedly, one byte each.
    let mut header = b"\x40\x01x\x7f\xa1\x1e".to_vec();
    header.extend([b'x'; 4000]);
    for (times, is_called) in [(2, true), (20, false), (10_000, false)] {
        let id = 2 * calls.load(Ordering::SeqCst) as u32 + 1;
        let head = [GET, &header, &vec![0xbe; times]].concat();
        let bytes = frame(HEADERS, END_STREAM | END_HEADERS, id, &head);
        stream.write_all(&bytes).await.unwrap();
        let answered = loop {
            match soon(read(&mut stream)).await {
                Some((HEADERS, _, answered, head)) if answered == id => {
                    // `:status` 200, or another one.
                    break head[0] == 0x88;
                }
                Some((RST_STREAM | GOAWAY, ..)) | None => break false,
                Some(_) => {}
            }
        };
        assert_eq!(answered, is_called, "{times}");
        if !answered {
            stream = open(&server).await;
            calls.store(0, Ordering::SeqCst);
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

/// The protocol engine alone answers, so the counter of client resets sees nothing of it.
#[tokio::test]
async fn streams_that_break_the_protocol_end_the_socket_before_long() {
    let (server, calls) = pending(100).await;
    let mut stream = open(&server).await;
    // A header that HTTP/2 forbids (RFC 9113, section 8.2.2).
    let malformed = [GET, b"\x00\x0aconnection\x01y"].concat();
    let flood: Vec<_> = (0..200)
        .flat_map(|n| frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &malformed))
        .collect();
    stream.write_all(&flood).await.unwrap();
    let code = loop {
        if let (GOAWAY, _, _, payload) = soon(read(&mut stream)).await.unwrap() {
            break payload[4..8].to_vec();
        }
    };
    // ENHANCE_YOUR_CALM.
    assert_eq!(code, 11_u32.to_be_bytes());
    assert_eq!(calls.all.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_may_change_its_mind_about_a_page_of_streams_at_once() {
    let (server, calls) = pending(100).await;
    let mut stream = open(&server).await;
    let page: Vec<_> = (0..60)
        .flat_map(|n| [get(2 * n + 1), reset(2 * n + 1)].concat())
        .collect();
    stream.write_all(&page).await.unwrap();
    stream.write_all(&get(2001)).await.unwrap();
    let called = || calls.now.load(Ordering::SeqCst) == 1;
    wasabi_tests::until("the stream that is left is looked at", called).await;
}

#[tokio::test]
async fn a_stream_may_be_ahead_of_its_reader_by_64_kib_and_all_together_by_1_mib() {
    let (server, _calls) = pending(100).await;
    let mut stream = server.tcp().await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let (kind, _, _, settings) = soon(read(&mut stream)).await.unwrap();
    assert_eq!(kind, SETTINGS);
    // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.5.2).
    let window = settings.chunks(6).find(|entry| entry[..2] == [0, 4]);
    let window = window.map_or(65_535, |entry| {
        u32::from_be_bytes(entry[2..].try_into().unwrap())
    });
    assert!(window <= 64 * 1024, "{window}");
    stream.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
    let mut ahead = 65_535;
    loop {
        match soon(read(&mut stream)).await.unwrap() {
            (WINDOW_UPDATE, _, 0, payload) => {
                ahead += u32::from_be_bytes(payload.try_into().unwrap());
            }
            (PING, ..) => break,
            _ => {}
        }
    }
    assert!(ahead <= 1024 * 1024, "{ahead}");
}
