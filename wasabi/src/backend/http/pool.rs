//! HTTP/1.1 connections to services, kept alive between requests.

use std::{io, sync::Arc, time::Duration};

use futures_util::FutureExt;
use http::Response;
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    body::Body, failure::Failure, hosts::Host, idle::Kept, lease::Lease, origin::Outgoing,
};
use crate::{backoff::chance, tcp};

/// How long a connection, with its TLS handshake, may take to be established.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for the connections that are kept, all together. Usually the first one is ready at once.
const READY: Duration = Duration::from_millis(100);

/// How long connections are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ages {
    /// Without a request.
    pub(super) idle: Duration,
    /// In total.
    pub(super) max: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(50),
            max: Duration::from_secs(5 * 60),
        }
    }
}

/// Sends a request over an idle connection or a new one, and receives the head of the response.
///
/// A request that no connection has begun to write goes over the next one: the service has closed the connection while
/// it was idle. After a new connection too, the failure is returned.
pub(super) async fn send(
    host: &Arc<Host>,
    outgoing: &mut Outgoing,
    ages: Ages,
    now: Instant,
) -> Result<Response<Body>, Failure> {
    let mut request = outgoing.take_http(&host.origin);
    while let Some(Kept {
        mut sender, until, ..
    }) = host.take_idle(now)
    {
        if !is_ready(&mut sender, now + READY).await {
            continue;
        }
        match sender.try_send_request(request).await {
            Ok(response) => return Ok(leased(response, host, sender, until, ages)),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(error.into_error().into()),
            },
        }
    }
    // Boxed, so that requests over idle connections do not pay for its size.
    Box::pin(send_fresh(host, request, ages)).await
}

/// Whether a connection takes a request by then. It may have ended, and while a service that has answered early reads the
/// rest of a request, it is not ready. Usually it is, and then there is no timer.
async fn is_ready(sender: &mut SendRequest<reqwest::Body>, by: Instant) -> bool {
    match sender.ready().now_or_never() {
        Some(ready) => ready.is_ok(),
        None => Box::pin(timeout_at(by, sender.ready()))
            .await
            .is_ok_and(|ready| ready.is_ok()),
    }
}

/// Sends a request over a new connection.
pub(super) async fn send_fresh(
    host: &Arc<Host>,
    request: http::Request<reqwest::Body>,
    ages: Ages,
) -> Result<Response<Body>, Failure> {
    let connecting = timeout(CONNECT_TIMEOUT, connect(host)).await;
    let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
    let connected = connecting
        .map_err(timed_out)
        .and_then(|connected| connected);
    let named = |error: io::Error| {
        let text = format!("{}: {error}", host.origin.name());
        Failure::Connect(io::Error::new(error.kind(), text))
    };
    let mut sender = connected.map_err(named)?;
    // Shortened by up to a quarter, so that many gateways do not reconnect at once.
    let until = Instant::now() + ages.max.mul_f64(1.0 - 0.25 * chance());
    let response = sender.send_request(request).await?;
    Ok(leased(response, host, sender, until, ages))
}

fn leased(
    response: Response<Incoming>,
    host: &Arc<Host>,
    sender: SendRequest<reqwest::Body>,
    until: Instant,
    ages: Ages,
) -> Response<Body> {
    let lease = Lease {
        sender: Some(sender),
        until,
        idle: ages.idle,
        host: Arc::clone(host),
    };
    response.map(|incoming| Body::Own {
        incoming,
        _lease: lease,
    })
}

async fn connect(host: &Host) -> io::Result<SendRequest<reqwest::Body>> {
    let origin = &host.origin;
    let stream = tcp::connect(&origin.host, origin.port).await?;
    #[cfg(feature = "tls")]
    if origin.is_tls {
        let config = crate::backend::tls::http1_config().map_err(io::Error::other)?;
        // Boxed, so that requests without TLS do not pay for the size of its handshake.
        let connecting = crate::backend::tls::connect(config, &origin.host, stream);
        return speak(Box::new(Box::pin(connecting).await?)).await;
    }
    speak(stream).await
}

async fn speak<I>(io: I) -> io::Result<SendRequest<reqwest::Body>>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(io))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to an HTTP service failed");
        }
    });
    Ok(sender)
}
