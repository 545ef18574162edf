//! R9: reserved close codes are protocol errors and never forwarded; a lost upstream is 1011 or 1014.
//!
//! `websocket/closing.rs` tests the codes that an upstream closes with.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasabi::{CloseCode, prelude::*};
use wasabi_tests::{Gate, raw, serve, soon, until};

fn echo() -> Gateway {
    gateway!(channel("/", async |message: Message| message))
}

#[tokio::test]
async fn close_codes_that_may_not_be_sent_are_answered_with_1002_and_never_repeated() {
    let server = serve(echo()).await;
    for code in [
        0_u16,
        999,
        1004,
        1005,
        1006,
        1015,
        1016,
        2999,
        5000,
        u16::MAX,
    ] {
        let mut stream = raw::open(&server).await;
        stream
            .write_all(&raw::frame(0x88, &code.to_be_bytes()))
            .await
            .unwrap();
        assert_eq!(raw::close_code(&mut stream).await, 1002, "{code}");
    }
    for code in [1000_u16, 1003, 1007, 1011, 1013, 3000, 4999] {
        let mut stream = raw::open(&server).await;
        stream
            .write_all(&raw::frame(0x88, &code.to_be_bytes()))
            .await
            .unwrap();
        assert_eq!(raw::close_code(&mut stream).await, code);
    }
}

#[tokio::test]
async fn a_close_without_a_frame_sends_no_frame_however_the_server_stops() {
    for stop in [false, true] {
        let gate = Gate::closed();
        let held = gate.clone();
        let closing = move |connection: Connection| {
            let held = held.clone();
            async move {
                connection.close(CloseCode::ABNORMAL);
                held.pass().await;
            }
        };
        let server = serve(gateway!(channel("/", closing))).await;
        let mut stream = raw::open(&server).await;
        stream.write_all(&raw::frame(0x81, b"go")).await.unwrap();
        until("it is answered", || gate.running() == 1).await;
        match stop {
            true => server.handle.stop(),
            false => gate.open.add_permits(1),
        }
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert!(!rest.contains(&0x88), "{stop}: {rest:x?}");
    }
}

#[tokio::test]
async fn half_a_close_code_is_answered_with_1002_and_an_invalid_reason_with_1007() {
    let server = serve(echo()).await;
    for (payload, code) in [(&[3][..], 1002), (&[0x03, 0xe8, 0xff], 1007)] {
        let mut stream = raw::open(&server).await;
        stream.write_all(&raw::frame(0x88, payload)).await.unwrap();
        assert_eq!(raw::close_code(&mut stream).await, code, "{payload:?}");
    }
}
