//! HTTP/1.1 connections to services, kept alive between requests.

use std::{
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use http::Response;
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use reqwest::Body;
use tokio::time::{Instant, sleep_until, timeout};

use super::{failure::Failure, hosts::Host, idle::Kept, origin::Outgoing};
use crate::{sync::Unpoisoned, tcp};

/// How long a connection, with its TLS handshake, may take to be established.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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

/// A connection with a request in flight. It is closed unless it is given back.
pub(super) struct Lease {
    sender: SendRequest<Body>,
    until: Instant,
    idle: Duration,
    host: Arc<Host>,
}

impl Lease {
    /// Keeps the connection for further requests. Its response has been read to the end.
    pub(super) fn give_back(self) {
        let now = Instant::now();
        if self.sender.is_closed() || self.until <= now {
            return;
        }
        let mut idle = self.host.idle.lock().unpoisoned();
        idle.connections.push(Kept {
            sender: self.sender,
            until: self.until,
            closes: self.until.min(now + self.idle),
        });
        if !idle.is_watched {
            idle.is_watched = true;
            tokio::spawn(watch(Arc::downgrade(&self.host)));
        }
    }
}

/// Closes the connections that stay idle, until there are none.
async fn watch(host: Weak<Host>) {
    while let Some(next) = host.upgrade().and_then(|host| host.close_idle()) {
        sleep_until(next).await;
    }
}

impl Host {
    /// Closes the connections whose time is over. Returns when to look again; `None` if there are none left.
    fn close_idle(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut idle = self.idle.lock().unpoisoned();
        idle.connections
            .retain(|kept| now < kept.closes && !kept.sender.is_closed());
        let next = idle.connections.iter().map(|kept| kept.closes).min();
        idle.is_watched = next.is_some();
        next
    }

    /// Takes the connection that was used last.
    fn take_idle(&self) -> Option<Kept> {
        let now = Instant::now();
        let mut idle = self.idle.lock().unpoisoned();
        while let Some(kept) = idle.connections.pop() {
            if now < kept.closes && !kept.sender.is_closed() {
                return Some(kept);
            }
        }
        None
    }
}

/// Sends a request over an idle connection or a new one, and receives the head of the response.
///
/// A request that no connection has begun to write goes over the next one: the service has closed the connection while
/// it was idle. After a new connection too, the failure is returned.
pub(super) async fn send(
    host: &Arc<Host>,
    outgoing: Outgoing,
    ages: Ages,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let mut request = outgoing.into_http(&host.origin);
    while let Some(Kept {
        mut sender, until, ..
    }) = host.take_idle()
    {
        if sender.ready().await.is_err() {
            continue;
        }
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, lease(host, sender, until, ages))),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(error.into_error().into()),
            },
        }
    }
    send_fresh(host, request, ages).await
}

/// Sends a request over a new connection.
pub(super) async fn send_fresh(
    host: &Arc<Host>,
    request: http::Request<Body>,
    ages: Ages,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let connecting = timeout(CONNECT_TIMEOUT, connect(host)).await;
    let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
    let connected = connecting
        .map_err(timed_out)
        .and_then(|connected| connected);
    let mut sender = connected.map_err(Failure::Connect)?;
    let until = Instant::now() + age(ages.max);
    let response = sender.send_request(request).await?;
    Ok((response, lease(host, sender, until, ages)))
}

fn lease(host: &Arc<Host>, sender: SendRequest<Body>, until: Instant, ages: Ages) -> Lease {
    Lease {
        sender,
        until,
        idle: ages.idle,
        host: Arc::clone(host),
    }
}

async fn connect(host: &Host) -> io::Result<SendRequest<Body>> {
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

async fn speak<I>(io: I) -> io::Result<SendRequest<Body>>
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

/// Shortens a maximum age randomly by up to a quarter, so that many gateways do not reconnect at once.
fn age(max: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness it is `max`.
    let _ = getrandom::fill(&mut random);
    max.mul_f64(1.0 - 0.25 * f64::from(random[0]) / 255.0)
}
