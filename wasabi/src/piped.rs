//! Handshakes with a router of this process, over pipes in memory.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::{body::Incoming, client, server::conn::http1, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::client::generate_key,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::BoxError;

/// The room of a pipe in bytes.
pub(crate) const PIPE: usize = 64 * 1024;

/// A client at the other end of a pipe.
pub(crate) type PipedClient = WebSocketStream<DuplexStream>;

/// What a router answers to a handshake.
pub(crate) enum Answered {
    Accepted(Box<PipedClient>, Response<()>),
    Refused(Response<Incoming>),
}

/// Makes a handshake with what answers at the other end of a pipe. Adds the headers that every handshake has.
pub(crate) async fn connect<F, Fut>(
    mut request: Request<()>,
    config: Option<WebSocketConfig>,
    answer: F,
) -> Result<Answered, BoxError>
where
    F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let headers = request.headers_mut();
    for (name, value) in [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let key = HeaderValue::try_from(generate_key())?;
    headers.entry(header::SEC_WEBSOCKET_KEY).or_insert(key);
    let (near, far) = duplex(PIPE);
    tokio::spawn(serve(far, answer));
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(near)).await?;
    tokio::spawn(connection.with_upgrades());
    let mut response = sender.send_request(request.map(|()| Body::empty())).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Answered::Refused(response));
    }
    let upgraded = hyper::upgrade::on(&mut response).await?;
    let client = web_socket(upgraded, config).await?;
    Ok(Answered::Accepted(Box::new(client), response.map(drop)))
}

async fn web_socket(
    upgraded: Upgraded,
    config: Option<WebSocketConfig>,
) -> Result<PipedClient, BoxError> {
    match upgraded.downcast::<TokioIo<DuplexStream>>() {
        Ok(parts) => {
            let (io, ahead) = (parts.io.into_inner(), parts.read_buf.to_vec());
            Ok(WebSocketStream::from_partially_read(io, ahead, Role::Client, config).await)
        }
        Err(_) => Err("the pipe is lost".into()),
    }
}

/// Serves HTTP/1.1 on one end of a pipe.
pub(crate) async fn serve<F, Fut>(io: DuplexStream, answer: F)
where
    F: Fn(Request<Body>) -> Fut,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an HTTP connection in memory failed");
    }
}
