//! HTTP/2: one socket with many streams.

mod paced;
mod streams;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};

use self::{
    paced::{StreamExecutor, pace, paced},
    streams::{Streams, Unanswered},
};
use super::{
    answers::{Answers, Peer},
    control::ServerPhase,
    held::holding,
    http::{Ahead, HttpService, LAST_ANSWER, MAX_HEAD},
    patient::Patient,
};
use crate::{BoxError, connection::transport::Transport, runtime::SocketPlace};

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

/// Serves a socket, with at most this many streams at the same time, until it closes or the server stops.
pub(super) async fn serve(
    http: &HttpService,
    most_streams: u32,
    transport: Transport,
    ahead: Ahead,
    peer: Peer,
) -> Result<(), BoxError> {
    let streams = Streams::new();
    let answers = StreamAnswers {
        streams: streams.clone(),
        answers: http.answers(peer),
        places: Arc::clone(&http.places),
    };
    let service = service_fn(move |req: Request<Incoming>| answers.to(req));
    let io = Patient::new(transport, ahead.bytes, http.patience);
    let connection =
        builder(most_streams, http.patience).serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    let mut counted = streams.subscribe();
    let (mut draining, mut closing) = (false, false);
    // Set once the client has been told to open no more streams: how long it may then be without one. A stream that
    // was already on its way is served like any other.
    let mut leaving = None;
    loop {
        let counts = *counted.borrow_and_update();
        if counts.resets > RESETS {
            return Err("too many streams were reset".into());
        }
        if closing || draining && counts.opened > 0 {
            // A client that connects during the drain must learn of it.
            connection.as_mut().graceful_shutdown();
        }
        let stream_by = match (leaving, counts.opened) {
            _ if closing => Instant::now() + LAST_ANSWER,
            (Some(patience), _) => Instant::now() + patience,
            (None, 0) => ahead.head_by,
            (None, _) => Instant::now() + http.keep_alive_timeout,
        };
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            _ = counted.changed() => {}
            () = sleep_until(stream_by), if counts.open == 0 => {
                if closing || leaving.is_some() {
                    return Ok(());
                }
                connection.as_mut().graceful_shutdown();
                // The end of an answer may still be on its way.
                leaving = Some(if counts.opened > 0 { http.request_timeout } else { LAST_ANSWER });
            }
            () = http.control.wait_for(ServerPhase::Draining), if !draining => draining = true,
            () = http.control.wait_for(ServerPhase::Closing), if !closing => closing = true,
            () = http.control.wait_for(ServerPhase::Stopped) => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    match timeout(LAST_ANSWER, connection).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Ok(()),
    }
}

fn builder(most_streams: u32, patience: Duration) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(StreamExecutor { patience });
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(most_streams)
        .max_pending_accept_reset_streams(RESETS as usize)
        .max_local_error_reset_streams(RESETS as usize)
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(SOCKET_WINDOW)
        .keep_alive_interval(KEEP_ALIVE);
    builder
}

/// Answers the requests of one socket, each on its own stream.
struct StreamAnswers {
    streams: Streams,
    answers: Answers,
    /// A WebSocket may live as long as a socket does, so it takes a place like one.
    places: Arc<Semaphore>,
}

impl StreamAnswers {
    fn to(
        &self,
        mut req: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        let stream = Arc::new(self.streams.open());
        let mut place = Ok(());
        if req.method() == Method::CONNECT {
            place = match Arc::clone(&self.places).try_acquire_owned() {
                Ok(place) => {
                    let place = SocketPlace::of_stream(place, stream.clone());
                    req.extensions_mut().insert(place.permit());
                    Ok(())
                }
                Err(_) => Err(full()),
            };
        }
        let answer = place.map(|()| self.answers.to(req.map(Body::new)));
        async move {
            let pace = pace();
            let unanswered = Unanswered::new(&stream);
            let response = match answer {
                Ok(answer) => answer.await,
                Err(full) => full,
            };
            unanswered.answered();
            // The stream counts as open until its body is sent.
            let stream = Arc::clone(&stream);
            Ok(response.map(|body| paced(pace, holding(stream, body))))
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
