//! Upstreams of the tests.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::post};
use futures_util::{SinkExt, StreamExt};
use tokio::{io::AsyncReadExt, net::TcpListener, time::sleep};

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

/// A WebSocket server that sends back what it gets, after a moment.
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
