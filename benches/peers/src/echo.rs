//! Echo loops over a stream and sink of messages.

use std::{
    future::poll_fn,
    task::{Poll, ready},
};

use futures_util::{Sink, SinkExt, Stream, StreamExt};

/// One message at a time, with a flush after every reply.
pub(crate) async fn send<W, M, E>(mut socket: W, answer: impl Fn(M) -> Option<M>)
where
    W: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if let Some(reply) = answer(message)
            && socket.send(reply).await.is_err()
        {
            return;
        }
    }
}

/// Gathers replies while messages arrive, and flushes them together.
pub(crate) async fn feed<W, M, E>(mut socket: W, answer: impl Fn(M) -> Option<M>)
where
    W: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    let mut is_dirty = false;
    poll_fn(|cx| {
        loop {
            if ready!(socket.poll_ready_unpin(cx)).is_err() {
                return Poll::Ready(());
            }
            match socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(reply) = answer(message) {
                        if socket.start_send_unpin(reply).is_err() {
                            return Poll::Ready(());
                        }
                        is_dirty = true;
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    if is_dirty {
                        if ready!(socket.poll_flush_unpin(cx)).is_err() {
                            return Poll::Ready(());
                        }
                        is_dirty = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}
