//! Raw sockets whose bytes tests write by hand, so that they can be wrong.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{TestServer, soon};

/// The headers of a handshake except for the host.
pub const HANDSHAKE: &str = "connection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Opens a WebSocket at `/`.
pub async fn open(server: &TestServer) -> TcpStream {
    open_at(server, "/").await
}

/// Opens a WebSocket at this path.
pub async fn open_at(server: &TestServer, path: &str) -> TcpStream {
    open_with(server, path, "").await
}

/// Opens a WebSocket at this path, with additional header lines.
pub async fn open_with(server: &TestServer, path: &str, headers: &str) -> TcpStream {
    let mut stream = server.tcp().await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{HANDSHAKE}{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("an answer"));
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    stream
}

/// Returns the status line of the answer to these bytes.
pub async fn status(server: &TestServer, bytes: &[u8]) -> String {
    let mut stream = server.tcp().await;
    stream.write_all(bytes).await.expect("write");
    let mut head = vec![0; 12];
    let _ = soon(stream.read_exact(&mut head)).await;
    String::from_utf8_lossy(&head).into_owned()
}

/// Builds a client's frame with this first byte and an all-zero mask.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Returns the code of the next frame, which must be a close frame.
pub async fn close_code(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 4];
    soon(stream.read_exact(&mut head))
        .await
        .expect("a close frame");
    assert_eq!(head[0], 0x88, "a close frame");
    u16::from_be_bytes([head[2], head[3]])
}

/// Writes the same bytes repeatedly until the server takes no more; returns how many it took.
pub async fn flood(stream: &mut TcpStream, bytes: &[u8], most: usize) -> usize {
    let many = bytes.repeat((1 << 20) / bytes.len().max(1));
    let mut taken = 0;
    while taken < most && stream.write_all(&many).await.is_ok() {
        taken += many.len();
    }
    taken
}
