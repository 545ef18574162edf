//! Clients that take what is sent to them slowly: honest ones get all of it, others keep nothing for long.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, sleep},
};
use wasabi::{Close, prelude::*};
use wasabi_tests::{serve, serve_with, soon};

/// Frames of HTTP/2 (RFC 9113, section 6).
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_HEADERS: u8 = 4;

fn http2(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The extended CONNECT of RFC 8441, in HPACK without indexing.
fn connect() -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "test"),
        ("sec-websocket-version", "13"),
    ] {
        head.push(0);
        for text in [name, value] {
            head.push(text.len() as u8);
            head.extend(text.as_bytes());
        }
    }
    http2(HEADERS, END_HEADERS, 1, &head)
}

#[tokio::test]
async fn a_client_that_takes_a_byte_now_and_then_is_closed_with_1008() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let registry = Registry::new();
    let gateway = gateway!(channel(
        "/",
        registry = registry.clone(),
        send_timeout = 500ms,
        on_disconnect = move |_: Connection, close: Close| {
            let tell = tell.clone();
            async move {
                let _ = tell.send(close.code.as_u16());
            }
        },
        async |text: Text| text,
    ));
    let server = serve_with(gateway, |server| server.http2_streams(10)).await;
    let (mut reader, mut writer) = server.tcp().await.into_split();
    // Nothing of a stream may be sent before it is asked for.
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.extend(http2(SETTINGS, 0, 0, &no_window));
    request.extend(connect());
    let mut message = vec![0x81, 0x80 | 126, 0x10, 0, 0, 0, 0, 0];
    message.extend([b'x'; 0x1000]);
    request.extend(http2(DATA, 0, 1, &message));
    writer.write_all(&request).await.expect("write");
    tokio::spawn(async move {
        let mut sink = [0; 1024];
        while matches!(reader.read(&mut sink).await, Ok(1..)) {}
    });
    let asking = async {
        loop {
            let one = 1_u32.to_be_bytes();
            let _ = writer.write_all(&http2(WINDOW_UPDATE, 0, 1, &one)).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        code = soon(told.recv()) => assert_eq!(code, Some(1008)),
        () = asking => {}
    }
    assert!(registry.is_empty());
}

#[tokio::test]
async fn a_client_that_has_been_fast_may_become_slow() {
    // The system has made room for a fast client by now, and says nothing for a while when it becomes slow.
    let size: usize = 40 << 20;
    let server = serve(gateway!(channel(
        "/",
        send_timeout = 500ms,
        async |_: Text| vec![7_u8; 40 << 20],
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = client.socket.get_mut() else {
        unreachable!("without TLS");
    };
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < size / 2 {
        read += soon(stream.read(&mut buffer)).await.expect("read");
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let count = soon(stream.read(&mut buffer[..20 << 10]))
            .await
            .expect("read");
        assert!(count > 0, "closed");
        sleep(Duration::from_millis(50)).await;
    }
    while read < size {
        let count = soon(stream.read(&mut buffer)).await.expect("read");
        if count == 0 {
            break;
        }
        read += count;
    }
}
