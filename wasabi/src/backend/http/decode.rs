//! Compressed responses.

use std::{convert::Infallible, future::ready};

use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_http::decompression::Decompression;

use super::body::Body;

/// Decodes the body while it is read, if its encoding is known, and removes the headers that are then wrong. A response
/// in any other encoding stays as it is.
pub(super) async fn decoded(response: Response<Body>) -> Response<Body> {
    // tower-http decodes the responses of a service: here one that answers with what it is asked.
    let answer = service_fn(|request: Request<Response<Body>>| {
        ready(Ok::<_, Infallible>(request.into_body()))
    });
    match Decompression::new(answer)
        .oneshot(Request::new(response))
        .await
    {
        Ok(response) => response.map(|body| Body::Decoded(Box::pin(body))),
        Err(never) => match never {},
    }
}
