//! R8: invalid UTF-8 in a text message is closed with 1007, and never sent.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wasabi::prelude::*;
use wasabi_tests::{raw, serve, soon};

#[tokio::test]
async fn text_that_is_not_utf_8_is_closed_with_1007() {
    let server = serve(gateway!(channel("/", async |message: Message| message))).await;
    let bad: [&[u8]; 8] = [
        b"\xff\xfe",
        b"fine until \xc3\x28",
        b"\x80",
        // An overlong encoding, half of a surrogate pair, and beyond the last character.
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5",
        // Ends in the middle of a character.
        b"\xf0\x9f\x91",
    ];
    for bytes in bad {
        let whole = raw::frame(0x81, bytes);
        let (head, tail) = bytes.split_at(bytes.len() - 1);
        let parts = [raw::frame(0x01, head), raw::frame(0x80, tail)].concat();
        for written in [whole, parts] {
            let mut stream = raw::open(&server).await;
            stream.write_all(&written).await.unwrap();
            let code = raw::close_code(&mut stream).await;
            assert_eq!(code, 1007, "{bytes:x?}");
        }
    }
}

#[tokio::test]
async fn bad_text_is_refused_before_its_message_has_ended() {
    let server = serve(gateway!(channel("/", async |message: Message| message))).await;
    let fragment = raw::frame(0x01, b"fine until \xff");
    let half = raw::frame(0x81, b"fine until \xff, and then nothing more");
    for written in [&fragment[..], &half[..half.len() - 5]] {
        let mut stream = raw::open(&server).await;
        stream.write_all(written).await.unwrap();
        assert_eq!(raw::close_code(&mut stream).await, 1007);
    }
}

#[tokio::test]
async fn a_character_in_two_fragments_is_text() {
    let server = serve(gateway!(channel("/", async |message: Message| message))).await;
    let text = "grüße 👋".as_bytes();
    for at in 0..=text.len() {
        let (head, tail) = text.split_at(at);
        let mut stream = raw::open(&server).await;
        let parts = [raw::frame(0x01, head), raw::frame(0x80, tail)].concat();
        stream.write_all(&parts).await.unwrap();
        let mut answer = vec![0; 2 + text.len()];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!((answer[0], &answer[2..]), (0x81, text), "{at}");
    }
}

#[tokio::test]
async fn invalid_utf_8_of_an_upstream_is_an_error_reply() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n\xff\xfe";
            let _ = stream.write_all(answer).await;
        }
    });
    let server = serve(gateway!(channel("/", Http::post(url)))).await;
    let reply = server.connect("/").await.ask("x").await;
    assert!(reply.starts_with("upstream_invalid"), "{reply}");
}
