//! Sends a request and receives the response.

use std::sync::Arc;

use http::{Response, StatusCode};
use tokio::time::Instant;

use super::{
    Http, body::Body, client::Client, failure::Failure, hosts::Host, origin::Outgoing, pool, reply,
    stream,
};
use crate::{
    Connection, Error, Result, backend::retry_after::retry_after, connection::held::Reading,
};

impl<T> Http<T> {
    fn accepts(&self, status: StatusCode) -> bool {
        match &self.accept_status {
            Some(accepts) => accepts(status),
            None => status.is_success(),
        }
    }

    pub(super) async fn exchange(
        &self,
        host: &Arc<Host>,
        outgoing: &mut Outgoing,
        connection: &Connection,
        reading: &mut Reading,
    ) -> Result {
        let permit = host.enter(connection.id(), self.concurrency).await?;
        self.dials.admit(host.origin.name())?;
        #[cfg(any(test, feature = "testing"))]
        let replaced = {
            let url = host.origin.url();
            let asked = || outgoing.clone().take_http(&host.origin);
            let answer = crate::backend::replaced::answer(connection, &url, asked);
            answer.await.map(|response| response.map(Body::Replaced))
        };
        #[cfg(not(any(test, feature = "testing")))]
        let replaced = None;
        let mut response = match replaced {
            Some(response) => response,
            None => self.send(host, outgoing).await?,
        };
        if !self.accepts(response.status()) {
            return Err(Error::UpstreamStatus {
                status: response.status(),
                retry_after: retry_after(response.headers()),
                seen: true,
            });
        }
        #[cfg(feature = "decompress")]
        if reply::encoding_of(response.headers()).is_some() {
            // Boxed, so that other responses do not pay for its size.
            response = Box::pin(super::decode::decoded(response)).await;
        }
        let limit = self.max_reply_size;
        match &self.framing {
            Some(framing) => stream::reply(response, framing, limit, connection.clone(), permit),
            None => reply::read(&mut response, limit, reading).await,
        }
    }

    /// Sends a request, once more over a fresh connection if it may be repeated and its connection ended.
    async fn send(&self, host: &Arc<Host>, outgoing: &mut Outgoing) -> Result<Response<Body>> {
        let began = Instant::now();
        let may_repeat = self.idempotent || outgoing.is_idempotent();
        let repeated = may_repeat.then(|| outgoing.clone());
        let mut outcome = self.client.send(host, outgoing, began).await;
        let was_closed = outcome.as_ref().is_err_and(Failure::was_closed);
        if was_closed && let Some(mut outgoing) = repeated {
            // Without the failure, which may show the query of the URL.
            let name = host.origin.name();
            tracing::debug!(host = name, "sent once more over a fresh connection");
            outcome = Box::pin(self.client.send_fresh(host, &mut outgoing)).await;
        }
        let name = host.origin.name();
        match outcome {
            Ok(response) => {
                self.dials.reached(name);
                Ok(response)
            }
            Err(failure) => {
                let error = failure.into_error();
                if let Error::UpstreamUnreachable(why) = &error {
                    self.dials.failed(name, began, why);
                }
                Err(error)
            }
        }
    }
}

impl Client {
    /// Takes the request out of `outgoing`.
    pub(super) async fn send(
        &self,
        host: &Arc<Host>,
        outgoing: &mut Outgoing,
        now: Instant,
    ) -> Result<Response<Body>, Failure> {
        match self {
            Self::Own(ages) => pool::send(host, outgoing, *ages, now).await,
            // Boxed, so that requests over our own connections do not pay for its size.
            Self::Given(client) => Box::pin(given(client, host, outgoing)).await,
        }
    }

    async fn send_fresh(
        &self,
        host: &Arc<Host>,
        outgoing: &mut Outgoing,
    ) -> Result<Response<Body>, Failure> {
        match self {
            Self::Own(ages) => {
                let request = outgoing.take_http(&host.origin);
                pool::send_fresh(host, request, *ages).await
            }
            Self::Given(client) => given(client, host, outgoing).await,
        }
    }
}

async fn given(
    client: &reqwest::Client,
    host: &Host,
    outgoing: &mut Outgoing,
) -> Result<Response<Body>, Failure> {
    let request = outgoing
        .take_reqwest(&host.origin)
        .map_err(Failure::Request)?;
    let response = client.execute(request).await.map_err(Failure::Given)?;
    Ok(Response::from(response).map(Body::Given))
}
