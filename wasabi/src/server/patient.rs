//! A stream that limits how long its peer may take to accept data.

use std::{
    io::{self, Cursor, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use super::{heads::Heads, pace::Pace};

/// First returns the bytes that were read ahead. Fails with `TimedOut` if writes have waited for the limit, because the
/// peer takes nothing or is slower than the [`Pace`] requires: hyper itself would wait for ever.
pub(super) struct Patient<T> {
    io: T,
    ahead: Cursor<Vec<u8>>,
    pace: Pace,
    /// Notified when data arrives.
    heads: Option<Heads>,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    pub(super) fn new(io: T, ahead: Vec<u8>, limit: Duration) -> Self {
        Self {
            io,
            ahead: Cursor::new(ahead),
            pace: Pace::new(limit),
            heads: None,
            waiting: None,
        }
    }

    /// Notifies `heads` when data arrives.
    pub(super) fn tell(mut self, heads: Heads) -> Self {
        self.heads = Some(heads);
        self
    }

    pub(super) fn into_inner(self) -> T {
        self.io
    }

    /// Tracks a polled write. `taken` returns how many bytes the peer has taken.
    fn watch<O>(
        &mut self,
        polled: Poll<io::Result<O>>,
        taken: impl FnOnce(&O) -> usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<O>> {
        if let Poll::Ready(result) = polled {
            self.pace.took(result.as_ref().map_or(0, taken));
            self.waiting = None;
            return Poll::Ready(result);
        }
        let deadline = self.pace.waits();
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
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
        this.watch(polled, |taken| *taken, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, data);
        this.watch(polled, |taken| *taken, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Under TLS, a flush sends data too.
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_flush(cx);
        this.watch(polled, |()| 0, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_shutdown(cx);
        this.watch(polled, |()| 0, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{Instant, sleep},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Sends a page, in pieces of this length, to a peer that reads `rate` bytes per second.
    async fn page(
        bytes: usize,
        piece: usize,
        mut peer: DuplexStream,
        io: DuplexStream,
        rate: usize,
    ) -> io::Result<()> {
        tokio::spawn(async move {
            let mut buffer = vec![0; rate];
            while peer.read_exact(&mut buffer).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let mut patient = Patient::new(io, Vec::new(), LIMIT);
        for piece in vec![0; bytes].chunks(piece) {
            patient.write_all(piece).await?;
            patient.flush().await?;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_200_bytes_a_second_is_cut_whatever_the_pieces_are() {
        for piece in [100, 1000, 1 << 20] {
            let (io, peer) = duplex(256);
            let start = Instant::now();
            let error = page(1 << 20, piece, peer, io, 200).await.expect_err("cut");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(
                start.elapsed() < LIMIT + Duration::from_secs(2),
                "{:?}",
                start.elapsed()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_2_kib_a_second_gets_everything() {
        for piece in [100, 1000, 1 << 20] {
            let (io, peer) = duplex(256);
            page(1 << 20, piece, peer, io, 2048).await.expect("sent");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_there_is_nothing_to_send_does_not_count() {
        let (io, mut peer) = duplex(256);
        let mut patient = Patient::new(io, Vec::new(), LIMIT);
        for _ in 0..100 {
            let reads = async {
                sleep(Duration::from_millis(100)).await;
                peer.read_exact(&mut [0; 300]).await
            };
            let (written, read) = tokio::join!(patient.write_all(&[0; 300]), reads);
            written.and(read.map(drop)).expect("taken");
            sleep(LIMIT).await;
        }
    }
}
