//! What clients that read nothing cost. A program of its own: it measures the memory of its process.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use wasabi::{Close, prelude::*};
use wasabi_tests::{TestServer, serve, soon};

const MIB: usize = 1 << 20;

/// Resident bytes of this process.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = pages
        .split(' ')
        .nth(1)
        .expect("pages")
        .parse()
        .expect("a number");
    pages * 4096
}

/// Awaits something and tells how much the process had grown at most meanwhile.
async fn growth(future: impl Future) -> usize {
    let start = resident();
    let mut most = start;
    let mut future = std::pin::pin!(future);
    while timeout(Duration::from_millis(5), future.as_mut())
        .await
        .is_err()
    {
        most = most.max(resident());
    }
    most.max(resident()) - start
}

async fn open(server: &TestServer, path: &str) -> TcpStream {
    let mut stream = server.tcp().await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("an answer"));
    }
    stream
}

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend(payload);
    frame
}

/// Writes this many bytes of one frame after the other, or as many as the server takes.
async fn flood(stream: &mut TcpStream, frame: &[u8], bytes: usize) {
    let many = frame.repeat(MIB / frame.len());
    for _ in 0..bytes.div_ceil(many.len()) {
        if stream.write_all(&many).await.is_err() {
            return;
        }
    }
}

/// One test, for the measurements of two would mix.
#[tokio::test]
async fn clients_that_read_nothing_cost_what_their_queues_hold_and_end_with_1008() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let pushed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pushed);
    let server = serve(gateway!(
        channel("/echo", async |message: Message| message),
        channel(
            "/flood",
            send_timeout = 1s,
            on_disconnect = move |_: Connection, close: Close| {
                let _ = tell.send(close.code.as_u16());
                std::future::ready(())
            },
            async |message: Message| message,
        ),
        channel("/push", send_timeout = 1s, move |connection: Connection| {
            let count = count.clone();
            async move {
                drop(tokio::spawn(async move {
                    // 100 MB, if they were taken.
                    for _ in 0..1600 {
                        if connection.send(vec![7; 64 * 1024]).await.is_err() {
                            return;
                        }
                        count.fetch_add(64 * 1024, Ordering::SeqCst);
                    }
                }))
            }
        }),
    ))
    .await;
    let mut calm = server.connect("/echo").await;
    // What is allocated once.
    for _ in 0..2 {
        let mut stream = open(&server, "/flood").await;
        flood(&mut stream, &frame(0x89, &[7; 125]), MIB).await;
        assert_eq!(soon(told.recv()).await, Some(1008));
    }

    let mut stream = open(&server, "/flood").await;
    let pings = growth(flood(&mut stream, &frame(0x89, &[7; 125]), 300 * MIB)).await;
    assert_eq!(soon(told.recv()).await, Some(1008));
    assert!(pings < 8 * MIB, "300 MiB of pings cost {pings} bytes");

    let mut stream = open(&server, "/flood").await;
    let echoes = growth(flood(&mut stream, &frame(0x82, &[7; 125]), 300 * MIB)).await;
    assert_eq!(soon(told.recv()).await, Some(1008));
    assert!(echoes < 8 * MIB, "300 MiB of messages cost {echoes} bytes");

    let mut stream = open(&server, "/push").await;
    stream.write_all(&frame(0x81, b"go")).await.expect("write");
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    let pushes = growth(async {
        while start.elapsed() < Duration::from_millis(1500) {
            let asked = Instant::now();
            assert_eq!(calm.ask("still there?").await, "still there?");
            slowest = slowest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(
        pushes < 2 * MIB,
        "100 MB that nobody reads cost {pushes} bytes"
    );
    assert!(
        slowest < Duration::from_millis(500),
        "others waited {slowest:?}"
    );
    let sent = pushed.load(Ordering::SeqCst);
    assert!(sent < 100 * 1000 * 1000, "the client took all of it");
    // Everything that its system had taken, and then the end: it is closed.
    let mut rest = vec![0; MIB];
    let read = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
    soon(read).await;
    println!("grown by: pings {pings}, messages {echoes}, pushes {pushes}; slowest {slowest:?}");
}
