//! Upstreams for the tests.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::post};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Semaphore, mpsc},
    time::sleep,
};
use tokio_tungstenite::tungstenite::Message;

const MOMENT: Duration = Duration::from_millis(5);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

/// An HTTP service that takes a moment for each request.
pub async fn slow_service() -> SocketAddr {
    let (listener, addr) = listen().await;
    let router = Router::new().route(
        "/",
        post(async |body: String| {
            sleep(MOMENT).await;
            body
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// A WebSocket server that echoes what it receives, after a moment.
pub async fn slow_echo() -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    sleep(MOMENT).await;
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

/// What a [`ticker`] has received on one connection.
pub struct Got {
    /// The texts, in order.
    pub texts: Vec<String>,
    /// The code and the reason of the close frame, if there was one.
    pub close: Option<(u16, String)>,
}

/// A WebSocket server that sends 0, 1, 2 and so on, whatever it receives. At the end of each connection it reports what
/// it received.
pub async fn ticker() -> (SocketAddr, mpsc::UnboundedReceiver<Got>) {
    let (listener, addr) = listen().await;
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let Ok(socket) = tokio_tungstenite::accept_async(stream).await else {
                    return;
                };
                let (mut sender, mut receiver) = socket.split();
                let ticking = tokio::spawn(async move {
                    for tick in 0_u64.. {
                        if sender.send(Message::text(tick.to_string())).await.is_err() {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                });
                let mut got = Got {
                    texts: Vec::new(),
                    close: None,
                };
                while let Some(Ok(message)) = receiver.next().await {
                    match message {
                        Message::Text(text) => got.texts.push(text.to_string()),
                        Message::Close(Some(close)) => {
                            got.close = Some((close.code.into(), close.reason.to_string()));
                        }
                        _ => {}
                    }
                }
                ticking.abort();
                let _ = tell.send(got);
            });
        }
    });
    (addr, told)
}

/// A WebSocket server that completes the handshake and then reads nothing.
pub async fn deaf_websocket() -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        let mut deaf = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            deaf.push(tokio_tungstenite::accept_async(stream).await);
        }
    });
    addr
}

/// An HTTP service that takes requests and never answers.
pub async fn mute_service() -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut sink = [0; 1024];
                while matches!(stream.read(&mut sink).await, Ok(1..)) {}
            });
        }
    });
    addr
}

/// An HTTP service that announces answers of this many bytes but sends only two bytes of each, one after the other. The
/// semaphore gets a permit for each answer whose second byte has been sent.
pub async fn announcing_service(bytes: usize) -> (SocketAddr, Arc<Semaphore>) {
    let (listener, addr) = listen().await;
    let sent = Arc::new(Semaphore::new(0));
    let tell = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = Arc::clone(&tell);
            tokio::spawn(async move {
                let mut sink = [0; 1024];
                let _request = stream.read(&mut sink).await?;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n1");
                stream.write_all(head.as_bytes()).await?;
                sleep(MOMENT).await;
                stream.write_all(b"2").await?;
                tell.add_permits(1);
                while matches!(stream.read(&mut sink).await, Ok(1..)) {}
                Ok::<_, std::io::Error>(())
            });
        }
    });
    (addr, sent)
}

/// A WebSocket server that takes messages and never answers.
pub async fn mute_websocket() -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await {
                    while let Some(Ok(_)) = socket.next().await {}
                }
            });
        }
    });
    addr
}
