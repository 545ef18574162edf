//! Sends a request and receives the response.

use http::{HeaderValue, Method, StatusCode, header};
use reqwest::{Client, Response};
use tokio::time::Instant;

use super::{Http, again, reply, stream};
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

    fn not_answered(&self, error: reqwest::Error, began: Instant) -> Error {
        let url = error.url().cloned();
        let error = Error::from(error);
        if let (Error::UpstreamUnreachable(why), Some(url)) = (&error, url) {
            self.dials.failed(url.authority(), began, why);
        }
        error
    }

    pub(super) async fn exchange(
        &self,
        client: &Client,
        request: reqwest::Request,
        connection: &Connection,
        reading: &mut Reading,
    ) -> Result {
        let host = request.url().authority();
        let permit = self.limit.acquire(host, connection.id()).await?;
        self.dials.admit(host)?;
        let began = Instant::now();
        let may_repeat = self.idempotent || again::is_idempotent(request.method());
        let repeated = if may_repeat {
            request.try_clone()
        } else {
            None
        };
        let outcome = match (execute(client, request, connection).await, repeated) {
            (Err(error), Some(request)) if again::was_closed(&error) => {
                tracing::debug!(%error, "sent again over a new connection");
                let fresh = self.clients.without_connections();
                execute(fresh.as_ref().unwrap_or(client), request, connection).await
            }
            (outcome, _) => outcome,
        };
        let response = match outcome {
            Ok(response) => response,
            Err(error) => return Err(self.not_answered(error, began)),
        };
        self.dials.reached(response.url().authority());
        if !self.accepts(response.status()) {
            return Err(Error::UpstreamStatus {
                status: response.status(),
                retry_after: retry_after(response.headers()),
                seen: true,
            });
        }
        let limit = self.max_reply_size;
        match &self.framing {
            Some(framing) => stream::reply(response, framing, limit, connection.clone(), permit),
            None => reply::read(response, limit, reading).await,
        }
    }
}

#[cfg(not(feature = "testing"))]
fn execute(
    client: &Client,
    request: reqwest::Request,
    _connection: &Connection,
) -> impl Future<Output = reqwest::Result<Response>> {
    client.execute(request)
}

/// Asks the router that a test has put in place of the service, if it has.
#[cfg(feature = "testing")]
async fn execute(
    client: &Client,
    request: reqwest::Request,
    connection: &Connection,
) -> reqwest::Result<Response> {
    match crate::testing::answer(connection, request).await {
        Ok(response) => Ok(response),
        Err(request) => client.execute(request).await,
    }
}

/// Sets `Content-Length: 0` for an empty body if the method usually has one (RFC 9110, section 8.6). Without the header
/// some servers wait for a body, or answer 411. The HTTP client sets the length only for bodies that are not empty.
pub(super) fn tell_empty(request: &mut reqwest::Request) {
    let is_empty = request
        .body()
        .is_none_or(|body| body.as_bytes().is_some_and(<[u8]>::is_empty));
    if is_empty
        && matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH
        )
    {
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(header::CONTENT_LENGTH, none);
    }
}
