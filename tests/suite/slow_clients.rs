//! Clients that read slowly: honest ones get everything, others keep nothing for long.

use std::time::Duration;

use futures_util::SinkExt;
use tokio::{
    io::AsyncReadExt,
    net::TcpSocket,
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_tungstenite::{MaybeTlsStream, client_async};
use wasabi::{Close, prelude::*};
use wasabi_tests::{serve, soon};

#[tokio::test]
async fn a_client_that_takes_a_little_now_and_then_is_closed_with_1008() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let registry = Registry::new();
    let server = serve(gateway!(channel(
        "/",
        registry = registry.clone(),
        send_timeout = 1h,
        on_disconnect = move |_: Connection, close: Close| {
            let tell = tell.clone();
            async move {
                let _ = tell.send(close.code.as_u16());
            }
        },
        async |_: Text| vec![7_u8; 16 << 20],
    )))
    .await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let stream = soon(socket.connect(server.addr)).await.expect("TCP");
    let handshake = client_async(server.url("/"), stream);
    let (mut client, _) = soon(handshake).await.expect("handshake");
    soon(client.send("go".into())).await.expect("send");
    let mut buffer = [0; 4096];
    let stream = client.get_mut();
    soon(stream.read_exact(&mut buffer)).await.expect("read");
    tokio::time::pause();
    let start = Instant::now();
    let reading = async {
        // Half a KiB per second, so that the system accepts more of the reply within the timeout.
        loop {
            stream.read_exact(&mut buffer).await.expect("read");
            sleep(Duration::from_secs(8)).await;
        }
    };
    tokio::select! {
        code = told.recv() => assert_eq!(code, Some(1008)),
        () = reading => {}
        () = sleep(Duration::from_secs(3 * 3600)) => panic!("never closed"),
    }
    assert!(start.elapsed() < Duration::from_secs(2 * 3600));
    assert!(registry.is_empty());
}

#[tokio::test]
async fn a_client_that_has_been_fast_may_become_slow() {
    // By now the system has made room for a fast client, and reports nothing for a while when the client becomes slow.
    let size: usize = 40 << 20;
    let server = serve(gateway!(channel(
        "/",
        send_timeout = 2s,
        async |_: Text| vec![7_u8; 40 << 20],
    )))
    .await;
    let mut client = server.connect("/").await;
    client.send("go").await;
    let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else {
        unreachable!("without TLS");
    };
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < size / 2 {
        read += soon(stream.read(&mut buffer)).await.expect("read");
    }
    // Slow for longer than the send timeout: 2 MB per second.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let count = soon(stream.read(&mut buffer[..20 << 10]))
            .await
            .expect("read");
        assert!(count > 0, "closed");
        read += count;
        sleep(Duration::from_millis(10)).await;
    }
    while read < size {
        let count = soon(stream.read(&mut buffer)).await.expect("read");
        assert!(count > 0, "closed after {read} bytes");
        read += count;
    }
}
