//! A stream whose peer has only so long to take what is sent to it.

use std::{
    io::{self, Cursor, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::heads::Heads;

/// Reads what was read ahead first. Fails with `TimedOut` when the peer has taken nothing for the limit although there
/// was something to send: hyper itself would wait for ever.
pub(super) struct Patient<T> {
    io: T,
    ahead: Cursor<Vec<u8>>,
    limit: Duration,
    /// Told when something has come.
    heads: Option<Heads>,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    pub(super) fn new(io: T, ahead: Vec<u8>, limit: Duration) -> Self {
        Self {
            io,
            ahead: Cursor::new(ahead),
            limit,
            heads: None,
            waiting: None,
        }
    }

    /// Has `heads` learn when something comes.
    pub(super) fn tell(mut self, heads: Heads) -> Self {
        self.heads = Some(heads);
        self
    }

    pub(super) fn into_inner(self) -> T {
        self.io
    }

    fn watch<O>(
        &mut self,
        polled: Poll<io::Result<O>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<O>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        waiting
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = buffer.remaining();
        ready!(Pin::new(&mut this.ahead).poll_read(cx, buffer))?;
        if buffer.remaining() < left {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        if let Some(heads) = &this.heads
            && buffer.remaining() < left
        {
            heads.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, data);
        this.watch(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, data);
        this.watch(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS takes what is written and sends it here.
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_flush(cx);
        this.watch(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_shutdown(cx);
        this.watch(polled, cx)
    }
}
