//! What clients cost that read nothing (R3, R4), announce much (R6), or send what becomes large, and upstreams that
//! announce much. A program of its own: it measures the memory of its process.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use flate2::{Compress, FlushCompress};
use futures_util::SinkExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use wasabi::prelude::*;
use wasabi_tests::{
    http_service, http2::Http2, raw, serve_with, soon, told, upstream::announcing_service,
};

const MIB: usize = 1 << 20;

const OFFER: &str = "sec-websocket-extensions: permessage-deflate\r\n";

/// Bytes of this process: those it has asked for, and those of them that are in memory.
fn size() -> (usize, usize) {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let mut pages = pages.split(' ').map(|pages| {
        let pages: usize = pages.parse().expect("a number");
        pages * 4096
    });
    let mut next = || pages.next().expect("pages");
    (next(), next())
}

fn resident() -> usize {
    size().1
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

/// A message that may be sent, but becomes 900 times as long.
fn bomb() -> Vec<u8> {
    let mut payload = Vec::with_capacity(MIB);
    let mut compress = Compress::new(flate2::Compression::best(), false);
    let zeros = vec![0; MIB];
    for _ in 0..900 {
        compress
            .compress_vec(&zeros, &mut payload, FlushCompress::None)
            .expect("it compresses");
    }
    compress
        .compress_vec(&[], &mut payload, FlushCompress::Sync)
        .expect("it compresses");
    payload.truncate(payload.len() - 4);
    assert!(payload.len() < MIB);
    let mut frame = vec![0xc2, 0x80 | 127];
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// One test, for the measurements of two would mix.
// Long: one server, measured under one kind of client after the other.
#[tokio::test]
async fn clients_that_read_nothing_or_send_bombs_cost_what_the_limits_say_and_are_closed() {
    let (hook, mut told) = told();
    let (hook_of_invalid, mut told_of_invalid) = wasabi_tests::told();
    let pushed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pushed);
    let reply = Bytes::from(vec![7; 32 * MIB]);
    let (announcing, sent) = announcing_service(16 * MIB).await;
    let megabyte = Bytes::from(vec![b'x'; 1_000_000]);
    let megabytes =
        axum::Router::new().route("/", axum::routing::post(async move || megabyte.clone()));
    let megabytes = http_service(megabytes).await;
    let gateway = gateway!(
        get("/livez", async || "alive"),
        channel("/echo", async |message: Message| message),
        channel(
            "/flood",
            send_timeout = 1s,
            on_disconnect = hook,
            async |message: Message| message,
        ),
        channel(
            "/large",
            max_message_size = 16MiB,
            async |message: Message| message,
        ),
        channel(
            "/inflate",
            compression = Compression::deflate(),
            max_message_size = 1MiB,
            async |message: Message| message,
        ),
        channel(
            "/invalid",
            send_timeout = 1s,
            on_disconnect = hook_of_invalid,
            parser = JsonKey::at("/key"),
            async |message: Message| message,
        ),
        channel(
            "/upstream",
            concurrency = 50,
            Http::post(format!("http://{announcing}/")).max_reply_size(16MiB),
        ),
        channel("/megabytes", Http::post(format!("{megabytes}/"))),
        channel("/reply", send_timeout = 1s, move || {
            let reply = reply.clone();
            async { reply }
        }),
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
    );
    let server = serve_with(gateway, |server| server.http2_streams(100)).await;
    let mut calm = server.connect("/echo").await;
    // What is allocated once.
    for _ in 0..2 {
        let mut stream = raw::open_at(&server, "/flood").await;
        raw::flood(&mut stream, &raw::frame(0x89, &[7; 125]), MIB).await;
        assert_eq!(soon(told.recv()).await, Some(1008));
    }

    let mut stream = raw::open_at(&server, "/flood").await;
    let pings = growth(raw::flood(
        &mut stream,
        &raw::frame(0x89, &[7; 125]),
        300 * MIB,
    ))
    .await;
    assert_eq!(soon(told.recv()).await, Some(1008));
    assert!(pings < 8 * MIB, "300 MiB of pings cost {pings} bytes");

    let mut stream = raw::open_at(&server, "/flood").await;
    let echoes = growth(raw::flood(
        &mut stream,
        &raw::frame(0x82, &[7; 125]),
        300 * MIB,
    ))
    .await;
    assert_eq!(soon(told.recv()).await, Some(1008));
    assert!(echoes < 8 * MIB, "300 MiB of messages cost {echoes} bytes");

    let mut stream = raw::open_at(&server, "/invalid").await;
    let invalid = growth(raw::flood(
        &mut stream,
        &raw::frame(0x81, &[b'x'; 20]),
        100 * MIB,
    ))
    .await;
    assert_eq!(soon(told_of_invalid.recv()).await, Some(1008));
    assert!(
        invalid < 8 * MIB,
        "100 MiB of what is no request cost {invalid} bytes"
    );

    let mut announcing = Vec::new();
    for _ in 0..100 {
        announcing.push(raw::open_at(&server, "/large").await);
    }
    let (before, _) = size();
    for stream in &mut announcing {
        // A message of 16 MiB, of which one byte comes.
        let head = [0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        stream.write_all(&head).await.expect("write");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let announced = size().0.saturating_sub(before);
    drop(announcing);
    assert!(
        announced < 16 * MIB,
        "1600 MiB that were only announced cost {announced} bytes"
    );

    let mut asking = server.connect("/upstream").await;
    let (before, _) = size();
    for _ in 0..50 {
        asking.send("how much?").await;
    }
    let all = sent.acquire_many(50);
    drop(soon(all).await.expect("never closed"));
    // Time to read what has come.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let announced = size().0.saturating_sub(before);
    drop(asking);
    assert!(
        announced < 16 * MIB,
        "800 MiB that an upstream only announced cost {announced} bytes"
    );

    let mut asking = Vec::new();
    let held = growth(async {
        for _ in 0..8 {
            let mut stream = raw::open_at(&server, "/megabytes").await;
            let many = raw::frame(0x81, b"x").repeat(41);
            stream.write_all(&many).await.expect("write");
            asking.push(stream);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    })
    .await;
    let with_them = resident();
    drop(asking);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let given_back = with_them.saturating_sub(resident());
    assert!(
        held < 8 * 8 * MIB,
        "8 times 41 megabytes that nobody reads cost {held} bytes"
    );

    let bomb = bomb();
    let mut stream = raw::open_with(&server, "/inflate", OFFER).await;
    stream.write_all(&bomb).await.expect("write");
    let mut close = Vec::new();
    soon(stream.read_to_end(&mut close)).await.expect("the end");
    let bombs = growth(async {
        for _ in 0..50 {
            let mut stream = raw::open_with(&server, "/inflate", OFFER).await;
            stream.write_all(&bomb).await.expect("write");
            let mut close = Vec::new();
            soon(stream.read_to_end(&mut close)).await.expect("the end");
            assert_eq!(&close[..4], &[0x88, close[1], 0x03, 0xf1], "1009");
        }
    })
    .await;
    assert!(bombs < 4 * MIB, "50 bombs of 900 MB cost {bombs} bytes");

    let mut stream = raw::open_at(&server, "/push").await;
    stream
        .write_all(&raw::frame(0x81, b"go"))
        .await
        .expect("write");
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

    let mut http2 = Http2::connect(&server).await;
    let mut stalled = http2.open("/push").await;
    let before = pushed.load(Ordering::SeqCst);
    soon(stalled.send("go".into())).await.expect("send");
    let streams = growth(async {
        tokio::time::sleep(Duration::from_millis(800)).await;
    })
    .await;
    let taken = pushed.load(Ordering::SeqCst) - before;
    drop(stalled);
    assert!(
        streams < 2 * MIB,
        "{taken} bytes on a stream that nobody reads cost {streams} bytes"
    );
    let mut stalled = http2.open("/reply").await;
    soon(stalled.send("go".into())).await.expect("send");
    let reply = growth(async {
        tokio::time::sleep(Duration::from_millis(800)).await;
    })
    .await;
    drop(stalled);
    assert!(
        reply < 40 * MIB,
        "32 MiB on a stream that nobody reads cost {reply} bytes"
    );
    println!(
        "grown by: pings {pings}, messages {echoes}, no requests {invalid}, streams {streams} of {taken} and {reply}, lengths {announced}, bombs {bombs}, pushes {pushes}, megabytes {held} of which {given_back} went back; slowest {slowest:?}"
    );
}
