//! HTTP/1.1 on one socket.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{body::Body, response::Response};
use futures_util::future::{Either, ready};
use http::{HeaderValue, StatusCode, header};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::sleep;

use super::{
    answers::Peer,
    control::ServerPhase,
    direct::{self, ForHttp},
    heads::Heads,
    held::holding,
    http::{Ahead, HttpService, LAST_ANSWER, MAX_HEAD},
    patient::Patient,
};
use crate::{
    BoxError,
    connection::transport::Transport,
    sync::{Mutex, Unpoisoned},
};

/// What hyper reads from and writes to.
type Io = TokioIo<Patient<Transport>>;

/// Takes the stream of an upgraded connection back from hyper, with the bytes that hyper has read from it. Saves an
/// indirection, and hyper's own buffer of 8 KiB, per connection. Fails for streams of HTTP/2.
pub(super) fn take_back(upgraded: Upgraded) -> Result<(Transport, Vec<u8>), Upgraded> {
    let parts = upgraded.downcast::<Io>()?;
    Ok((parts.io.into_inner().into_inner(), parts.read_buf.to_vec()))
}

/// Serves a socket until it closes or the server stops.
pub(super) async fn serve(
    http: &HttpService,
    transport: Transport,
    ahead: Ahead,
    peer: Peer,
) -> Result<(), BoxError> {
    match direct::first(http, http.answers(peer), transport, ahead).await? {
        // Boxed, because an accepted handshake does not come here.
        Some(socket) => Box::pin(serve_http(http, socket)).await,
        None => Ok(()),
    }
}

async fn serve_http(http: &HttpService, socket: ForHttp) -> Result<(), BoxError> {
    let ForHttp {
        transport,
        ahead,
        answers,
        answer,
    } = socket;
    let answered = Mutex::new(answer);
    let runtime = http.runtime.clone();
    let heads = Heads::new(ahead.head_by, http.header_timeout);
    let served = heads.clone();
    let has_head = Arc::new(AtomicBool::new(false));
    let had_head = Arc::clone(&has_head);
    let service = service_fn(move |req: Request<Incoming>| {
        had_head.store(true, Ordering::Relaxed);
        let serving = served.serve();
        let answer = match answered.lock().unpoisoned().take() {
            Some(response) => Either::Left(ready(response)),
            None => Either::Right(answers.to(req.map(Body::new))),
        };
        let runtime = runtime.clone();
        async move {
            let mut response = answer.await;
            if runtime.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            let response = response.map(|body| holding(serving, body));
            Ok::<Response, Infallible>(response)
        }
    });
    let io: Io =
        TokioIo::new(Patient::new(transport, ahead.bytes, http.patience).tell(heads.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(http.keep_alive_timeout.max(http.header_timeout))
        .max_header_size(MAX_HEAD)
        .serve_connection(io, service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        // hyper looks first at what was read ahead: it may be a whole head, whose time is over meanwhile, or half of one that
        // the server waits for although it closes.
        biased;
        ended = connection.as_mut() => return Ok(ended?),
        () = heads.late() => return Err("no request head in time".into()),
        () = http.control.wait_for(ServerPhase::Closing) => {}
    }
    // Closes the connection unless a request is there, or may be on its way.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => Ok(ended?),
        () = cut(http, &has_head) => Ok(()),
    }
}

/// Waits until a server that closes gives up a socket, which may have had a head.
async fn cut(http: &HttpService, has_head: &AtomicBool) {
    if !has_head.load(Ordering::Relaxed) {
        sleep(LAST_ANSWER).await;
    }
    if has_head.load(Ordering::Relaxed) {
        http.cut().await;
    }
}
