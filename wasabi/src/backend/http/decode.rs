//! Compressed responses.

use std::{convert::Infallible, future::ready};

use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_http::decompression::Decompression;

use super::{body::Body, reply::encoding_of};

/// Decodes the body while it is read, if its encoding is known, and removes the headers that are then wrong. A response
/// in any other encoding stays as it is.
pub(super) async fn decoded(response: Response<Body>) -> Response<Body> {
    if encoding_of(response.headers()).is_none() {
        return response;
    }
    let mut response = Some(response);
    let answer = service_fn(move |_: Request<()>| {
        let response = response
            .take()
            .unwrap_or_else(|| Response::new(Body::Given(reqwest::Body::default())));
        ready(Ok::<_, Infallible>(response))
    });
    match Decompression::new(answer).oneshot(Request::new(())).await {
        Ok(response) => response.map(|body| Body::Decoded(Box::pin(body))),
        Err(never) => match never {},
    }
}
