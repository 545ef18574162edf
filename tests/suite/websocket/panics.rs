//! User code that panics below a `WebSocket`: diallers, their streams, pauses.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use wasabi::{Backoff, Close, Intercept, prelude::*};
use wasabi_tests::{serve, soon, told};

use wasabi_tests::websocket_upstream::Upstream;

/// Panics this many times, in the function or in the future, and then connects.
fn panicking(times: usize, addr: SocketAddr) -> WebSocket {
    let dials = Arc::new(AtomicUsize::new(0));
    WebSocket::connect("ws://upstream/")
        .dial_with(move |_| {
            let nth = dials.fetch_add(1, Ordering::SeqCst);
            assert!(
                nth >= times || nth.is_multiple_of(2),
                "a bug in the dialler"
            );
            async move {
                assert!(nth >= times, "a bug in the dialler's future");
                TcpStream::connect(addr).await
            }
        })
        // Every message dials.
        .max_dial_pause(Duration::ZERO)
}

#[tokio::test]
async fn a_dialler_that_panics_is_a_failed_dial_and_the_next_message_dials_again() {
    let mut upstream = Upstream::start().await;
    let server = serve(gateway!(channel("/", panicking(2, upstream.addr)))).await;
    let mut client = server.connect("/").await;
    for _ in 0..2 {
        let reply = client.ask("hello").await;
        assert_eq!(reply, "upstream_unreachable: upstream cannot be reached");
    }
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    peer.send("at last").await;
    assert_eq!(client.text().await, "at last");
}

#[tokio::test]
async fn a_dialler_that_panics_closes_the_client_where_a_failed_dial_does() {
    let upstream = Upstream::start().await;
    let strict = panicking(1, upstream.addr).close_on_failed_dial();
    let (hook, mut closes) = told();
    let server = serve(gateway!(channel("/", on_disconnect = hook, strict))).await;
    let mut client = server.connect("/").await;
    let reply = client.ask("hello").await;
    assert_eq!(reply, "upstream_unreachable: upstream cannot be reached");
    client.closed().await;
    assert_eq!(soon(closes.recv()).await, Some(1014));
}

/// A stream that panics on this many reads, and otherwise works.
struct Panicking(TcpStream, usize);

impl AsyncRead for Panicking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.1 -= 1;
            assert!(self.1 > 0, "a bug in the stream");
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Panicking {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_stream_that_panics_is_a_lost_upstream() {
    let mut upstream = Upstream::start().await;
    let addr = upstream.addr;
    let broken = || {
        WebSocket::connect("ws://upstream/")
            .dial_with(move |_| async move { Ok(Panicking(TcpStream::connect(addr).await?, 2)) })
    };
    let server = serve(gateway!(
        channel("/once", broken()),
        channel("/again", broken().reconnect(Backoff::constant(1ms))),
    ))
    .await;
    let mut client = server.connect("/once").await;
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    peer.send("lost").await;
    assert_eq!(client.closed().await, (1011, "upstream was lost".into()));

    let mut client = server.connect("/again").await;
    client.send("hello").await;
    let mut peer = upstream.accept().await;
    assert_eq!(peer.text().await, "hello");
    peer.send("lost").await;
    let mut peer = upstream.accept().await;
    client.send("again").await;
    assert_eq!(peer.text().await, "again");
}

#[tokio::test]
async fn pauses_that_panic_end_the_attempts() {
    let mut upstream = Upstream::start().await;
    let pauses = Backoff::custom(|| {
        std::iter::from_fn(|| -> Option<Duration> { panic!("a bug in the pauses") })
    });
    let backend = WebSocket::connect(upstream.url("/")).reconnect(pauses);
    let server = serve(gateway!(channel("/", backend))).await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    upstream.accept().await.crash();
    assert_eq!(client.closed().await, (1011, "upstream was lost".into()));
}

/// Panics when it is asked about a close.
struct Stubborn;

impl Intercept for Stubborn {
    fn close(&self, _close: Close) -> Option<Close> {
        panic!("a bug in the interceptor");
    }
}

#[middleware]
async fn stubborn(req: Request, next: impl Next) -> Result<Reply> {
    let connection = req.connection().intercept(Stubborn);
    next.run(req.with_connection(connection)).await
}

#[tokio::test]
async fn an_interceptor_that_panics_after_panicking_pauses_does_not_keep_the_client_open() {
    let mut upstream = Upstream::start().await;
    let pauses = Backoff::custom(|| {
        std::iter::from_fn(|| -> Option<Duration> { panic!("a bug in the pauses") })
    });
    let backend = WebSocket::connect(upstream.url("/")).reconnect(pauses);
    let server = serve(gateway!(channel("/", with([stubborn], backend)))).await;
    let mut client = server.connect("/").await;
    client.send("hello").await;
    upstream.accept().await.crash();
    assert_eq!(client.closed().await, (1011, "upstream was lost".into()));
}
