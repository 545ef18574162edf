//! Compressed messages: permessage-deflate (RFC 7692), with frames written by hand.

use std::time::Duration;

use flate2::{Compress, Decompress};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wasabi::prelude::*;
use wasabi_tests::{
    TestServer,
    deflate::{alone, compress, inflate, read},
    raw::{close_code, frame},
    serve, soon,
};

fn echo() -> Gateway {
    gateway!(
        compression = Compression::deflate().threshold(64B),
        max_message_size = 4KiB,
        channel("/", async |message: Message| message),
        channel(
            "/none",
            compression = Compression::none(),
            async |message: Message| message
        ),
        channel(
            "/kept",
            compression = Compression::deflate().threshold(1B).context_takeover(12),
            async |message: Message| message,
        ),
    )
}

/// Opens a WebSocket; returns `None` if no extension was agreed on.
async fn open(server: &TestServer, path: &str, offers: &str) -> (TcpStream, Option<String>) {
    let mut stream = server.tcp().await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-extensions: {offers}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("an answer"));
    }
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let answer = head
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
    (stream, answer.map(str::to_owned))
}

async fn deflated(server: &TestServer) -> TcpStream {
    open(server, "/", "permessage-deflate").await.0
}

#[tokio::test]
async fn the_answer_names_the_agreed_extension_parameters_and_no_others() {
    let server = serve(echo()).await;
    for (path, offers, expected) in [
        (
            "/",
            "permessage-deflate; client_max_window_bits",
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        (
            "/",
            "x-webkit-deflate-frame, permessage-deflate; mystery, permessage-deflate; server_max_window_bits=10",
            Some(
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_no_context_takeover",
            ),
        ),
        (
            "/kept",
            "permessage-deflate; client_max_window_bits",
            Some("permessage-deflate; client_max_window_bits=12"),
        ),
        ("/", "permessage-deflate; mystery", None),
        ("/", "permessage-bzip2", None),
        ("/", "permessage-deflate; server_max_window_bits=\"", None),
        ("/none", "permessage-deflate", None),
    ] {
        let (_, answer) = open(&server, path, offers).await;
        assert_eq!(answer.as_deref(), expected, "{offers}");
    }
    let client = server.connect("/").await;
    let headers = client.response.headers();
    assert!(!headers.contains_key("sec-websocket-extensions"));
}

#[tokio::test]
async fn messages_are_compressed_in_both_directions() {
    let server = serve(echo()).await;
    let mut stream = deflated(&server).await;
    let text = "to and fro, ".repeat(50);
    for (opcode, payload) in [(1, text.as_bytes()), (2, &[7; 1000])] {
        for _ in 0..3 {
            let message = frame(0xc0 | opcode, &alone(payload));
            stream.write_all(&message).await.expect("write");
            let (first, reply) = read(&mut stream).await;
            assert_eq!(first, 0xc0 | opcode);
            assert!(reply.len() < payload.len() / 5, "{} bytes", reply.len());
            assert_eq!(inflate(&mut Decompress::new(false), &reply), payload);
        }
    }
}

#[tokio::test]
async fn messages_below_the_threshold_are_sent_as_they_are() {
    let server = serve(echo()).await;
    let mut stream = deflated(&server).await;
    for payload in [&[b'a'; 63][..], b""] {
        let message = frame(0xc2, &alone(payload));
        stream.write_all(&message).await.expect("write");
        assert_eq!(read(&mut stream).await, (0x82, payload.to_vec()));
    }
    // A message that the client did not compress may be compressed on the way back.
    stream
        .write_all(&frame(0x82, &[b'a'; 64]))
        .await
        .expect("write");
    let (first, reply) = read(&mut stream).await;
    assert_eq!(first, 0xc2);
    assert_eq!(inflate(&mut Decompress::new(false), &reply), [b'a'; 64]);
}

#[tokio::test]
async fn a_compressed_message_may_come_in_fragments_with_a_ping_between() {
    let server = serve(echo()).await;
    let mut stream = deflated(&server).await;
    let payload = alone("grüße ".repeat(10).as_bytes());
    let mut bytes = frame(0x41, &payload[..1]);
    for byte in &payload[1..] {
        bytes.extend(frame(0x00, &[*byte]));
    }
    bytes.extend(frame(0x89, b"p"));
    bytes.extend(frame(0x80, b""));
    stream.write_all(&bytes).await.expect("write");
    assert_eq!(read(&mut stream).await, (0x8a, b"p".to_vec()));
    let (first, reply) = read(&mut stream).await;
    assert_eq!(first, 0xc1);
    let reply = inflate(&mut Decompress::new(false), &reply);
    assert_eq!(reply, "grüße ".repeat(10).as_bytes());
}

#[tokio::test]
async fn a_misplaced_reserved_bit_closes_with_1002() {
    let server = serve(echo()).await;
    for (path, bytes) in [
        // Compression was not agreed on.
        ("/none", frame(0xc1, &alone(b"x"))),
        ("/", frame(0xa1, b"x")),
        ("/", frame(0x91, b"x")),
        ("/", frame(0xe1, &alone(b"x"))),
        ("/", frame(0xc9, b"x")),
        ("/", frame(0xc8, &[3, 0xe8])),
        ("/", [frame(0x41, b"x"), frame(0xc0, b"x")].concat()),
        ("/", [frame(0x01, b"x"), frame(0xc0, b"x")].concat()),
    ] {
        let (mut stream, _) = open(&server, path, "permessage-deflate").await;
        stream.write_all(&bytes).await.expect("write");
        assert_eq!(close_code(&mut stream).await, 1002, "{path} {bytes:x?}");
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_inflated_closes_with_1007() {
    let server = serve(echo()).await;
    let whole = alone("a message that is cut off".as_bytes());
    for (path, bytes) in [
        ("/", frame(0xc2, &[0x06, 0xff])),
        ("/kept", frame(0xc2, &[0x06, 0xff])),
        ("/", frame(0xc2, &whole[..whole.len() / 2])),
        ("/", frame(0xc1, &alone(b"no text: \xff"))),
        // Half a character, and an uncompressed invalid text.
        ("/", frame(0xc1, &alone(b"\xc3"))),
        ("/", frame(0x81, b"\xff")),
        // It refers to an earlier message, which is not allowed.
        (
            "/",
            [
                frame(0xc2, &alone(b"Hello")),
                frame(0xc2, &[0xf2, 0x00, 0x11, 0x00, 0x00]),
            ]
            .concat(),
        ),
    ] {
        let (mut stream, _) = open(&server, path, "permessage-deflate").await;
        stream.write_all(&bytes).await.expect("write");
        let mut answer = read(&mut stream).await;
        if answer.0 != 0x88 {
            answer = read(&mut stream).await;
        }
        assert_eq!(
            (answer.0, &answer.1[..2]),
            (0x88, &1007_u16.to_be_bytes()[..]),
            "{bytes:x?}"
        );
    }
}

#[tokio::test]
async fn an_inflated_message_is_bounded_by_the_maximum_message_size() {
    let server = serve(echo()).await;
    for path in ["/", "/kept"] {
        let (mut stream, _) = open(&server, path, "permessage-deflate").await;
        let message = frame(0xc2, &alone(&[0; 4096]));
        stream.write_all(&message).await.expect("write");
        assert_eq!(read(&mut stream).await.0, 0xc2);
        let bomb = frame(0xc2, &alone(&[0; 4097]));
        stream.write_all(&bomb).await.expect("write");
        assert_eq!(close_code(&mut stream).await, 1009, "{path}");
    }
    // The largest message fits even if compression has made it longer.
    let mut stream = deflated(&server).await;
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..4096)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let payload = alone(&noise);
    assert!(payload.len() > 4096);
    stream
        .write_all(&frame(0xc2, &payload))
        .await
        .expect("write");
    let (first, reply) = read(&mut stream).await;
    assert_eq!(first, 0xc2);
    assert_eq!(inflate(&mut Decompress::new(false), &reply), noise);
}

#[tokio::test]
async fn messages_refer_to_earlier_ones_if_both_sides_agreed() {
    let server = serve(echo()).await;
    let offer = "permessage-deflate; client_max_window_bits";
    let (mut stream, _) = open(&server, "/kept", offer).await;
    let mut outgoing = Compress::new_with_window_bits(flate2::Compression::new(6), false, 12);
    let mut incoming = Decompress::new(false);
    let mut sizes = Vec::new();
    for n in 0..40 {
        let payload: Vec<u8> = (0..500_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        let payload = [&payload[..], format!("message {n}").as_bytes()].concat();
        let message = frame(0xc2, &compress(&mut outgoing, &payload));
        stream.write_all(&message).await.expect("write");
        let (first, reply) = read(&mut stream).await;
        assert_eq!(first, 0xc2);
        sizes.push(reply.len());
        assert_eq!(inflate(&mut incoming, &reply), payload);
    }
    assert!(
        sizes[1..].iter().all(|size| *size < sizes[0] / 10),
        "{sizes:?}"
    );
}

#[tokio::test]
async fn a_broadcast_reaches_clients_with_and_without_compression() {
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        compression = Compression::deflate(),
        async |message: Message| message,
    )))
    .await;
    let mut plain = server.connect("/").await;
    let mut streams = Vec::new();
    for offer in [
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=9",
    ] {
        streams.push(open(&server, "/", offer).await.0);
        streams.push(open(&server, "/", offer).await.0);
    }
    for stream in &mut streams {
        // The answer shows that the connection is listed.
        stream
            .write_all(&frame(0x81, b"there?"))
            .await
            .expect("write");
        assert_eq!(read(stream).await, (0x81, b"there?".to_vec()));
    }
    assert_eq!(plain.ask("there?").await, "there?");
    for n in 0..20 {
        let news = format!("{n} ").repeat(1000);
        let other = format!("{n}-").repeat(1000);
        assert_eq!(registry.broadcast(news.clone()).sent, 5);
        assert_eq!(registry.broadcast(other.clone()).sent, 5);
        for text in [news, other] {
            assert_eq!(plain.text().await, text);
            for stream in &mut streams {
                let (first, payload) = read(stream).await;
                assert_eq!(first, 0xc1);
                let inflated = inflate(&mut Decompress::new(false), &payload);
                assert_eq!(inflated, text.as_bytes());
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_within_a_compressed_message_affects_no_other() {
    let server = serve(echo()).await;
    for _ in 0..10 {
        let mut stream = deflated(&server).await;
        let message = frame(0xc2, &alone(&[1; 3000]));
        stream
            .write_all(&message[..message.len() / 2])
            .await
            .expect("write");
    }
    let mut stream = deflated(&server).await;
    stream
        .write_all(&frame(0xc2, &alone(&[1; 3000])))
        .await
        .expect("write");
    assert_eq!(read(&mut stream).await.0, 0xc2);
    let moment = Duration::from_millis(50);
    assert!(
        timeout(moment, stream.read_u8()).await.is_err(),
        "nothing else comes"
    );
}
