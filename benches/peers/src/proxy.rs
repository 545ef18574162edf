//! A proxy from WebSocket to WebSocket, with tokio-tungstenite on both sides.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config, client_async_with_config,
    tungstenite::protocol::WebSocketConfig,
};

use crate::{Args, Failure};

type Socket = WebSocketStream<TcpStream>;

async fn both(
    stream: TcpStream,
    args: &Args,
    config: WebSocketConfig,
) -> Result<(Socket, Socket), Failure> {
    stream.set_nodelay(true)?;
    let url = args.upstream()?;
    let host = url.trim_start_matches("ws://").trim_end_matches('/');
    let upstream = TcpStream::connect(host).await?;
    upstream.set_nodelay(true)?;
    let client = accept_async_with_config(stream, Some(config)).await?;
    let (upstream, _) = client_async_with_config(url, upstream, Some(config)).await?;
    Ok((client, upstream))
}

/// One task with small buffers; gathers ready messages and flushes them together.
pub(crate) async fn one_task(args: Args) -> Result<(), Failure> {
    let listener = args.listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        let args = args.clone();
        tokio::spawn(async move {
            let config = WebSocketConfig::default()
                .read_buffer_size(8 * 1024)
                .write_buffer_size(8 * 1024);
            let (mut client, mut upstream) = both(stream, &args, config).await?;
            let (mut to_client, mut to_upstream) = (false, false);
            poll_fn(|cx| {
                let up = pump(&mut client, &mut upstream, &mut to_upstream, cx);
                let down = pump(&mut upstream, &mut client, &mut to_client, cx);
                if up.is_ready() { up } else { down }
            })
            .await;
            Ok::<(), Failure>(())
        });
    }
}

/// Forwards ready messages; `Ready` at the end of the stream.
fn pump(from: &mut Socket, to: &mut Socket, is_dirty: &mut bool, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        if ready!(to.poll_ready_unpin(cx)).is_err() {
            return Poll::Ready(());
        }
        match from.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(message))) => {
                if message.is_close() || to.start_send_unpin(message).is_err() {
                    return Poll::Ready(());
                }
                *is_dirty = true;
            }
            Poll::Ready(_) => return Poll::Ready(()),
            Poll::Pending => {
                if *is_dirty {
                    if ready!(to.poll_flush_unpin(cx)).is_err() {
                        return Poll::Ready(());
                    }
                    *is_dirty = false;
                }
                return Poll::Pending;
            }
        }
    }
}

/// The usual way: both sides are split, with a task per direction and `send` for every message.
pub(crate) async fn two_tasks(args: Args) -> Result<(), Failure> {
    let listener = args.listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        let args = args.clone();
        tokio::spawn(async move {
            let (client, upstream) = both(stream, &args, WebSocketConfig::default()).await?;
            let (mut to_client, mut from_client) = client.split();
            let (mut to_upstream, mut from_upstream) = upstream.split();
            let down = tokio::spawn(async move {
                while let Some(Ok(message)) = from_upstream.next().await {
                    if message.is_close() || to_client.send(message).await.is_err() {
                        return;
                    }
                }
            });
            while let Some(Ok(message)) = from_client.next().await {
                if message.is_close() || to_upstream.send(message).await.is_err() {
                    break;
                }
            }
            down.abort();
            Ok::<(), Failure>(())
        });
    }
}
