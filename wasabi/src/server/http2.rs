//! HTTP/2: the client preface, and one socket with many streams.

mod paced;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use self::paced::{StreamExecutor, pace, paced};
use super::{
    acceptor::{Acceptor, LAST_ANSWER, MAX_HEAD, Peer},
    drain::Phase,
    held::holding,
};
use crate::{
    connection::transport::{Transport, patient::Patient},
    runtime::SocketPermit,
};

/// The client connection preface of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many bytes a client may send on a stream before the server reads them. Together with [`SOCKET_WINDOW`] it limits
/// what a client makes the server keep.
const STREAM_WINDOW: u32 = 64 * 1024;

/// How many bytes a client may send on all streams of a socket before the server reads them.
const SOCKET_WINDOW: u32 = 1024 * 1024;

/// How many bytes of a stream may wait to be sent.
const SEND_BUFFER: usize = 64 * 1024;

/// How many streams a client may reset within a second while they are being answered. It may also have reset that many
/// more before the server looked at them. The work on their answers is wasted.
const RESETS: u32 = 100;

/// A socket that is silent this long is pinged, and closed if the ping stays unanswered.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Whether a client speaks HTTP/2. Puts the bytes read to find out into `ahead`.
pub(super) async fn preface(
    io: &mut (impl AsyncRead + Unpin),
    ahead: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut buffer = [0; PREFACE.len()];
    while PREFACE.starts_with(ahead) {
        let left = PREFACE.len() - ahead.len();
        if left == 0 {
            return Ok(true);
        }
        match io.read(&mut buffer[..left]).await? {
            0 => return Ok(false),
            read => ahead.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(false)
}

/// A conversation over one socket.
pub(super) struct Talk<'a> {
    pub(super) acceptor: &'a Acceptor,
    pub(super) streams: u32,
    pub(super) peer: Peer,
    /// When the client must have opened its first stream.
    pub(super) head_by: Instant,
}

impl Talk<'_> {
    pub(super) async fn run(
        self,
        transport: Transport,
        ahead: Vec<u8>,
    ) -> Result<(), crate::BoxError> {
        let acceptor = self.acceptor;
        let streams = Streams(Arc::new(watch::Sender::new(Count::new())));
        let service = {
            let streams = streams.clone();
            let answers = acceptor.answers(self.peer);
            let places = Arc::clone(&acceptor.permits);
            service_fn(move |mut req: Request<Incoming>| {
                let stream = Arc::new(streams.open());
                let mut place = Ok(());
                if req.method() == Method::CONNECT {
                    // A WebSocket may live as long as a socket does.
                    place = match Arc::clone(&places).try_acquire_owned() {
                        Ok(place) => {
                            let permit = SocketPermit::of_stream(place, stream.clone());
                            req.extensions_mut().insert(permit);
                            Ok(())
                        }
                        Err(_) => Err(full()),
                    };
                }
                let answer = place.map(|()| answers.to(req.map(Body::new)));
                async move {
                    let pace = pace();
                    let mut unanswered = Unanswered(Some(&stream));
                    let response = match answer {
                        Ok(answer) => answer.await,
                        Err(full) => full,
                    };
                    unanswered.0 = None;
                    // The stream counts as open until its body is sent.
                    let stream = Arc::clone(&stream);
                    Ok::<_, Infallible>(response.map(|body| paced(pace, holding(stream, body))))
                }
            })
        };
        let patience = acceptor.patience;
        let io = Patient::new(transport, ahead, patience);
        let connection = http2::Builder::new(StreamExecutor { patience })
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(self.streams)
            .max_pending_accept_reset_streams(RESETS as usize)
            .max_local_error_reset_streams(RESETS as usize)
            .max_header_list_size(MAX_HEAD as u32)
            .max_send_buf_size(SEND_BUFFER)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(SOCKET_WINDOW)
            .keep_alive_interval(KEEP_ALIVE)
            .serve_connection(TokioIo::new(io), service);
        tokio::pin!(connection);
        let mut counted = streams.0.subscribe();
        let (mut draining, mut closing) = (false, false);
        // Set once the client has been told to open no more streams: how long it may then be without one. A stream that
        // was already on its way is served like any other.
        let mut leaving = None;
        loop {
            let Count {
                open,
                opened,
                resets,
                ..
            } = *counted.borrow_and_update();
            if resets > RESETS {
                return Err("too many streams were reset".into());
            }
            if closing || draining && opened > 0 {
                // A client that connects during the drain must learn of it.
                connection.as_mut().graceful_shutdown();
            }
            let stream_by = match (leaving, opened) {
                _ if closing => Instant::now() + LAST_ANSWER,
                (Some(patience), _) => Instant::now() + patience,
                (None, 0) => self.head_by,
                (None, _) => Instant::now() + acceptor.keep_alive_timeout,
            };
            tokio::select! {
                ended = connection.as_mut() => return Ok(ended?),
                _ = counted.changed() => {}
                () = sleep_until(stream_by), if open == 0 => {
                    if closing || leaving.is_some() {
                        return Ok(());
                    }
                    connection.as_mut().graceful_shutdown();
                    // The end of an answer may still be on its way.
                    leaving = Some(if opened > 0 { acceptor.request_timeout } else { LAST_ANSWER });
                }
                () = acceptor.control.wait_for(Phase::Draining), if !draining => draining = true,
                () = acceptor.control.wait_for(Phase::Closing), if !closing => closing = true,
                () = acceptor.control.wait_for(Phase::Stopped) => break,
            }
        }
        connection.as_mut().graceful_shutdown();
        match timeout(LAST_ANSWER, connection).await {
            Ok(ended) => Ok(ended?),
            Err(_) => Ok(()),
        }
    }
}

fn full() -> Response {
    let retry = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
    (
        StatusCode::SERVICE_UNAVAILABLE,
        retry,
        "too many connections",
    )
        .into_response()
}

/// The streams of a socket.
#[derive(Clone)]
struct Streams(Arc<watch::Sender<Count>>);

struct Count {
    open: usize,
    opened: u64,
    /// Resets within the second that began at `since`.
    resets: u32,
    since: Instant,
}

impl Count {
    fn new() -> Self {
        Self {
            open: 0,
            opened: 0,
            resets: 0,
            since: Instant::now(),
        }
    }
}

impl Streams {
    fn open(&self) -> Stream {
        self.0.send_modify(|count| {
            count.open += 1;
            count.opened += 1;
        });
        Stream(self.clone())
    }
}

/// An open stream: a request until its answer is sent, or a WebSocket.
pub(super) struct Stream(Streams);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| count.open -= 1);
    }
}

/// If this is dropped with a stream in it, the client did not wait for the answer.
struct Unanswered<'a>(Option<&'a Stream>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let Some(stream) = self.0 else { return };
        stream.0.0.send_modify(|count| {
            if count.since.elapsed() > Duration::from_secs(1) {
                count.resets = 0;
                count.since = Instant::now();
            }
            count.resets += 1;
        });
    }
}
