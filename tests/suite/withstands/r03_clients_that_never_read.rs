//! R3: a client that never reads costs only what its queues hold, is closed after the send timeout, and holds nothing
//! that others need. `memory.rs` measures its cost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};
use wasabi::prelude::*;
use wasabi_tests::{Gate, raw, serve, soon, told, until, wires::over_every_wire};

#[tokio::test]
async fn a_client_that_never_reads_is_closed_with_1008_and_memory_stays_bounded() {
    over_every_wire(async |wire| {
        let (hook, mut told) = told();
        let gateway = gateway!(channel(
            "/",
            send_timeout = 300ms,
            on_disconnect = hook,
            async |connection: Connection| {
                tokio::spawn(
                    async move { while connection.send(vec![0; 64 * 1024]).await.is_ok() {} },
                );
            },
        ));
        let server = wire.serve(gateway).await;
        let mut client = server.open("/").await;
        client.write_all(&raw::frame(0x81, b"go")).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(soon(told.recv()).await, Some(1008));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_nothing_that_others_need() {
    fn whole(message: &Message) -> Result<Option<Envelope<'_>>> {
        Ok(Some(Envelope::new(message.as_text().unwrap_or_default())))
    }
    let gate = Gate::closed();
    let held = gate.clone();
    let floods = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&floods);
    let server = serve(gateway!(channel(
        "/",
        parser = whole,
        match key {
            "flood" => move || {
                counted.fetch_add(1, Ordering::SeqCst);
                async { vec![0_u8; 4 << 20] }
            },
            _ => with([Throttle::new(1)], move || {
                let held = held.clone();
                async move {
                    held.pass().await;
                    "done"
                }
            }),
        },
    )))
    .await;
    let mut stuck = server.connect("/").await;
    stuck.send("throttled").await;
    until("the only permit is taken", || gate.running() == 1).await;
    for _ in 0..8 {
        stuck.send("flood").await;
    }
    until("it takes no more", || floods.load(Ordering::SeqCst) >= 1).await;
    gate.open.add_permits(2);
    let mut other = server.connect("/").await;
    let asking = async {
        while other.ask("throttled").await != "done" {
            tokio::task::yield_now().await;
        }
    };
    soon(asking).await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_is_not_closed() {
    let size = 24 << 20;
    let server = serve(gateway!(channel(
        "/",
        send_timeout = 300ms,
        async |_: Text| vec![7_u8; 24 << 20],
    )))
    .await;
    let mut stream = raw::open(&server).await;
    stream.write_all(&raw::frame(0x81, b"go")).await.unwrap();
    let start = Instant::now();
    let mut buffer = vec![0; 1 << 20];
    let mut left = 10 + size;
    while left > 0 {
        let read = soon(stream.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "closed, {left} bytes before the end");
        left -= read;
        sleep(Duration::from_millis(30)).await;
    }
    assert!(start.elapsed() > Duration::from_millis(600), "too easy");
}
