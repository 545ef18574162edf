//! How a socket is closed so that its peer receives what was sent, the close frame last.

use std::{future::poll_fn, task::Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{
    socket::{Failure, Socket},
    work,
};

/// Sends everything that has been written.
pub(crate) async fn flush<T>(socket: &mut Socket<T>) -> Result<(), Failure>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        socket.register(cx.waker());
        socket.poll_flush()
    })
    .await
}

/// Sends everything that has been written, and waits for the peer's close frame. Messages that come before it are
/// dropped.
pub(crate) async fn await_close<T>(socket: &mut Socket<T>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        socket.register(cx.waker());
        if let Poll::Ready(Err(_)) = socket.poll_flush() {
            return Poll::Ready(());
        }
        loop {
            match socket.poll_read() {
                Poll::Ready(Ok(_)) if work::is_over() => {
                    work::come_back(cx.waker());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Reads a stream to its end and drops what comes. A socket that is closed with unread bytes resets the connection, and
/// the peer may lose the close frame.
pub(crate) async fn drain<T: AsyncRead + Unpin>(io: &mut T) {
    let mut rest = [0; 1024];
    while matches!(io.read(&mut rest).await, Ok(1..)) {}
}
