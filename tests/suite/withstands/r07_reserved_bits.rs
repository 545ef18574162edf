//! R7: a reserved bit without an agreed extension is a protocol error.

use tokio::io::AsyncWriteExt;
use wasabi::prelude::*;
use wasabi_tests::{raw, serve};

#[tokio::test]
async fn reserved_bits_are_answered_with_1002_in_every_kind_of_frame() {
    let server = serve(gateway!(channel("/", async |message: Message| message))).await;
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xa] {
            let mut stream = raw::open(&server).await;
            let frame = raw::frame(0x80 | bit | opcode, b"");
            stream.write_all(&frame).await.unwrap();
            let code = raw::close_code(&mut stream).await;
            assert_eq!(code, 1002, "{bit:x} {opcode:x}");
        }
        let mut stream = raw::open(&server).await;
        let begun = [raw::frame(0x01, b"x"), raw::frame(0x80 | bit, b"x")].concat();
        stream.write_all(&begun).await.unwrap();
        assert_eq!(raw::close_code(&mut stream).await, 1002, "{bit:x}");
    }
}

#[tokio::test]
async fn an_unsupported_extension_is_not_agreed_on() {
    let server = serve(gateway!(channel("/", async |message: Message| message))).await;
    let offer = [(
        "sec-websocket-extensions",
        "x-webkit-deflate-frame, bbf-usp",
    )];
    let client = server.connect_with("/", &offer).await.expect("handshake");
    let headers = client.response.headers();
    assert!(!headers.contains_key("sec-websocket-extensions"));
}
