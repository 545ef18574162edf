//! Broadcast servers: every message goes to all connections.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    routing::any,
};
use tokio::{net::TcpStream, sync::broadcast};

use crate::{Args, Failure, axum_ws, tungstenite};

/// The lowest possible cost: the frame is made once and written to one socket after another. Nothing is queued, so a
/// client whose socket is full misses the message.
pub(crate) async fn raw(args: Args) -> Result<(), Failure> {
    let everybody = Arc::new(Mutex::new(Vec::new()));
    let listener = args.listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(raw_connection(stream, Arc::clone(&everybody)));
    }
}

async fn raw_connection(
    mut stream: TcpStream,
    everybody: Arc<Mutex<Vec<Arc<TcpStream>>>>,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    tungstenite::shake_hands(&mut stream).await?;
    let stream = Arc::new(stream);
    let lock = || everybody.lock().unwrap_or_else(PoisonError::into_inner);
    lock().push(Arc::clone(&stream));
    let mut frame = Vec::new();
    loop {
        read_frame(&stream, &mut frame).await?;
        for stream in lock().iter() {
            let _ = stream.try_write(&frame);
        }
    }
}

/// Reads only masked, unfragmented messages of 126 to 65 535 bytes.
async fn read_frame(stream: &TcpStream, frame: &mut Vec<u8>) -> Result<(), Failure> {
    let mut header = [0; 8];
    fill(stream, &mut header).await?;
    if header[1] != 0x80 | 126 {
        return Err("a length that this server does not know".into());
    }
    frame.clear();
    frame.extend([header[0], 126, header[2], header[3]]);
    frame.resize(
        4 + usize::from(u16::from_be_bytes([header[2], header[3]])),
        0,
    );
    fill(stream, &mut frame[4..]).await?;
    for (byte, mask) in frame[4..].iter_mut().zip(header[4..].iter().cycle()) {
        *byte ^= mask;
    }
    Ok(())
}

async fn fill(stream: &TcpStream, mut buffer: &mut [u8]) -> Result<(), Failure> {
    while !buffer.is_empty() {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Ok(0) => return Err("closed".into()),
            Ok(count) => buffer = &mut buffer[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The usual way: tokio's broadcast channel, and a task per connection that waits for the channel and the socket.
pub(crate) async fn axum(args: Args) -> Result<(), Failure> {
    let (sender, _) = broadcast::channel::<Message>(16);
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        axum_ws::small(upgrade).on_upgrade(|socket| axum_connection(socket, sender))
    };
    axum_ws::serve(args, Router::new().route("/", any(upgrade))).await
}

async fn axum_connection(mut socket: WebSocket, sender: broadcast::Sender<Message>) {
    let mut messages = sender.subscribe();
    loop {
        tokio::select! {
            said = socket.recv() => match said {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    let _ = sender.send(message);
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            message = messages.recv() => match message {
                Ok(message) => if socket.send(message).await.is_err() {
                    return;
                },
                Err(_) => return,
            },
        }
    }
}
