//! R31: clients that read slowly, but do read: data in the system's buffers must not make them look stuck.

use std::{fs, sync::Arc, thread, time::Duration};

use futures_util::{FutureExt, SinkExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpSocket, TcpStream},
    sync::mpsc::UnboundedReceiver,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use wasabi::{Tls, prelude::*, rustls::pki_types::ServerName};
use wasabi_tests::{TestServer, authority::Authority, http2::Http2, serve_with, soon, told};

/// "Slowly" means much longer than the default of `send_timeout`.
const MINUTE: Duration = Duration::from_secs(60);

/// A gateway that answers anything with 16 MiB; also returns the codes that its connections end with.
async fn generous(change: impl FnOnce(Server) -> Server) -> (TestServer, UnboundedReceiver<u16>) {
    let (hook, told) = told();
    let gateway = gateway!(
        get("/livez", async || "ok"),
        channel("/", on_disconnect = hook, async |_: Text| vec![
            7_u8;
            16 << 20
        ]),
    );
    (serve_with(gateway, change).await, told)
}

/// A client with a small receive buffer.
async fn connect(server: &TestServer) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    soon(socket.connect(server.addr)).await.expect("TCP")
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> S {
    let (mut client, _) = soon(client_async("ws://localhost/", stream))
        .await
        .expect("handshake");
    soon(client.send("go".into())).await.expect("send");
    client.into_inner()
}

/// Reads this many bytes per second for this long. The clock stands still while the system does its part.
async fn drip(mut stream: impl AsyncRead + Unpin, rate: usize, time: Duration) {
    const PARTS: usize = 20;
    tokio::time::pause();
    let start = Instant::now();
    let mut buffer = vec![0; rate / PARTS];
    while start.elapsed() < time {
        let mut read = 0;
        for _ in 0..1000 {
            match stream.read(&mut buffer[read..]).now_or_never() {
                Some(Ok(0) | Err(_)) => return,
                Some(Ok(count)) => read += count,
                None => {}
            }
            let moment = spawn_blocking(|| thread::sleep(Duration::from_millis(1)));
            moment.await.expect("a moment");
            if read == buffer.len() {
                break;
            }
        }
        sleep(Duration::from_secs(1) / PARTS as u32).await;
    }
}

async fn is_served_in_drips(rate: usize) {
    let (server, mut told) = generous(|server| server).await;
    let stream = ask(connect(&server).await).await;
    drip(stream, rate, MINUTE).await;
    assert!(told.try_recv().is_err(), "closed");
}

#[tokio::test]
async fn a_client_that_reads_2_kib_a_second_is_served() {
    is_served_in_drips(2 << 10).await;
}

#[tokio::test]
async fn a_client_that_reads_16_kib_a_second_is_served() {
    is_served_in_drips(16 << 10).await;
}

#[tokio::test]
async fn a_client_that_reads_50_kib_a_second_is_served() {
    is_served_in_drips(50 << 10).await;
}

#[tokio::test]
async fn a_client_that_reads_16_kib_a_second_over_tls_is_served() {
    let authority = Authority::new();
    let dir = std::env::temp_dir().join(format!("wasabi-drips-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a folder");
    authority.write_server(&dir);
    let pem = |name: &str| fs::read(dir.join(name)).expect("a file");
    let tls = Tls::from_pem_bytes(&pem("cert.pem"), &pem("key.pem")).expect("TLS");
    fs::remove_dir_all(&dir).expect("a folder");
    let (server, mut told) = generous(|server| server.tls(tls)).await;
    let connector = TlsConnector::from(Arc::new(authority.anonymous_client()));
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let stream = soon(connector.connect(name, connect(&server).await)).await;
    drip(ask(stream.expect("TLS")).await, 16 << 10, MINUTE).await;
    assert!(told.try_recv().is_err(), "closed");
}

#[tokio::test]
async fn a_client_that_reads_16_kib_a_second_over_http2_is_served() {
    let (server, mut told) = generous(|server| server.http2_streams(10)).await;
    let mut http2 = Http2::connect(&server).await;
    let mut stream = http2.open("/").await;
    soon(stream.send("go".into())).await.expect("send");
    drip(stream.into_inner(), 16 << 10, MINUTE / 3).await;
    assert!(told.try_recv().is_err(), "closed");
}

#[cfg(unix)]
#[tokio::test]
async fn a_peer_of_a_unix_socket_that_reads_16_kib_a_second_is_served() {
    let path = std::env::temp_dir().join(format!("wasabi-drips-{}.socket", std::process::id()));
    let at = format!("unix:{}", path.display());
    let (_server, mut told) = generous(|server| server.also_bind(&at)).await;
    let stream = soon(tokio::net::UnixStream::connect(&path))
        .await
        .expect("a socket");
    drip(ask(stream).await, 16 << 10, MINUTE).await;
    assert!(told.try_recv().is_err(), "closed");
}

/// Less than the promised rate, however evenly.
#[tokio::test]
async fn a_client_that_reads_half_a_kib_a_second_is_closed() {
    let (server, mut told) = generous(|server| server).await;
    let stream = ask(connect(&server).await).await;
    drip(stream, 512, MINUTE).await;
    assert_eq!(told.try_recv(), Ok(1008));
}
