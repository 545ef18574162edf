//! R5: an endless message is closed with 1009, however small its fragments are.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasabi::prelude::*;
use wasabi_tests::{deflate, raw, serve, soon};

fn echo() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

#[tokio::test]
async fn endless_empty_fragments_are_closed_with_1009() {
    let server = serve(echo()).await;
    let mut stream = raw::open(&server).await;
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        let _ = writer.write_all(&raw::frame(0x01, b"")).await;
        let many = raw::frame(0x00, b"").repeat(1000);
        // 600 000 frames; an occasional ping makes no difference.
        for _ in 0..600 {
            if writer.write_all(&many).await.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    let mut head = [0; 4];
    tokio::select! {
        read = soon(reader.read_exact(&mut head)) => drop(read.unwrap()),
        () = flood => panic!("cut without a close frame"),
    }
    assert_eq!(
        (head[0], u16::from_be_bytes([head[2], head[3]])),
        (0x88, 1009)
    );
}

#[tokio::test]
async fn a_message_in_fragments_over_the_limit_closes_with_1009() {
    let server = serve(gateway!(channel(
        "/",
        max_message_size = 1KiB,
        async |message: Message| message,
    )))
    .await;
    let mut stream = raw::open(&server).await;
    stream
        .write_all(&raw::frame(0x01, &[b'x'; 600]))
        .await
        .unwrap();
    stream
        .write_all(&raw::frame(0x80, &[b'x'; 600]))
        .await
        .unwrap();
    assert_eq!(raw::close_code(&mut stream).await, 1009);
}

#[tokio::test]
async fn without_a_limit_a_large_message_arrives_in_one_frame_in_fragments_and_compressed() {
    let server = serve(gateway!(channel(
        "/",
        max_message_size = usize::MAX,
        compression = Compression::deflate(),
        async |message: Message| message.len().to_string(),
    )))
    .await;
    let mut stream = raw::open(&server).await;
    for fragments in [1, 4, 100] {
        for n in 1..=fragments {
            let first = match n {
                1 => 0x02,
                _ => 0x00,
            };
            let last = if n == fragments { 0x80 } else { 0 };
            let frame = raw::frame(first | last, &[7; 60_000]);
            stream.write_all(&frame).await.unwrap();
        }
        let expected = (fragments * 60_000).to_string();
        let mut answer = vec![0; 2 + expected.len()];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer[2..], expected.as_bytes());
    }
    let offer = "sec-websocket-extensions: permessage-deflate\r\n";
    let mut stream = raw::open_with(&server, "/", offer).await;
    let payload = deflate::alone(&[0; 1 << 20]);
    stream.write_all(&raw::frame(0xc2, &payload)).await.unwrap();
    let mut answer = [0; 2 + 7];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer[2..], b"1048576");
}

#[tokio::test]
async fn a_message_in_fragments_of_a_few_bytes_arrives_whole_between_pings() {
    let server = serve(echo()).await;
    let mut stream = raw::open(&server).await;
    for _ in 0..20 {
        stream.write_all(&raw::frame(0x01, b"")).await.unwrap();
        for n in 0..1000 {
            stream
                .write_all(&raw::frame(0x00, b"12345678"))
                .await
                .unwrap();
            if n % 500 == 0 {
                stream.write_all(&raw::frame(0x89, b"ping")).await.unwrap();
            }
        }
        stream.write_all(&raw::frame(0x80, b"")).await.unwrap();
        let mut answer = vec![0; 2 * 6 + 4 + 8000];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert!(answer.ends_with(b"12345678"));
    }
}

#[tokio::test]
async fn endless_fragments_of_a_byte_are_closed_with_1009() {
    let server = serve(echo()).await;
    let mut stream = raw::open(&server).await;
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        let _ = writer.write_all(&raw::frame(0x02, b"x")).await;
        let many = raw::frame(0x00, b"x").repeat(1000);
        for _ in 0..100 {
            if writer.write_all(&many).await.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    let mut head = [0; 4];
    tokio::select! {
        read = soon(reader.read_exact(&mut head)) => drop(read.unwrap()),
        () = flood => panic!("cut without a close frame"),
    }
    assert_eq!(
        (head[0], u16::from_be_bytes([head[2], head[3]])),
        (0x88, 1009)
    );
}
