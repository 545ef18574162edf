//! R4: a flood of control frames is closed with 1008, and a flood of anything does not starve other clients.
//! `memory.rs` measures the cost of 300 MB of unread pings.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use wasabi::prelude::*;
use wasabi_tests::{raw, serve, soon};

fn echo() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

#[tokio::test]
async fn a_flood_of_pings_or_pongs_is_closed_with_1008() {
    let server = serve(echo()).await;
    for (opcode, second) in [(0x89, 1), (0x8a, 1), (0x8a, 2)] {
        let mut stream = raw::open(&server).await;
        if second > 1 {
            let once = raw::frame(opcode, b"");
            stream.write_all(&once).await.unwrap();
            sleep(Duration::from_millis(1100)).await;
        }
        stream
            .write_all(&raw::frame(opcode, b"").repeat(1000))
            .await
            .unwrap();
        let mut answer = [0; 4];
        loop {
            soon(stream.read_exact(&mut answer[..2])).await.unwrap();
            if answer[0] == 0x88 {
                break;
            }
        }
        soon(stream.read_exact(&mut answer[2..])).await.unwrap();
        assert_eq!(u16::from_be_bytes([answer[2], answer[3]]), 1008);
    }
}

#[tokio::test]
async fn occasional_pings_are_always_allowed() {
    let server = serve(echo()).await;
    let mut stream = raw::open(&server).await;
    let mut answer = [0; 6];
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2500) {
        stream.write_all(&raw::frame(0x89, b"ping")).await.unwrap();
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"\x8a\x04ping");
        sleep(Duration::from_millis(15)).await;
    }
}

#[tokio::test]
async fn a_flood_of_one_client_does_not_starve_the_others() {
    let server = serve(echo()).await;
    let mut flood: TcpStream = raw::open(&server).await;
    let mut calm = server.connect("/").await;
    let (mut reader, mut writer) = flood.split();
    let messages = raw::frame(0x82, &[7; 10]).repeat(1000);
    let writes = Cell::new(0);
    let write = async {
        while writer.write_all(&messages).await.is_ok() {
            writes.set(writes.get() + 1);
        }
    };
    let mut sink = vec![0; 1 << 16];
    let read = async { while matches!(reader.read(&mut sink).await, Ok(1..)) {} };
    let most = tokio::select! {
        most = super::writes_during_a_question(&mut calm, &writes) => most,
        _ = futures_util::future::join(write, read) => panic!("the flood ended"),
    };
    assert!(most < 1000, "{most} writes of 16 KB");
}
