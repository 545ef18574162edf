//! A gateway's answers to requests that come over no socket.

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode};
use tower::ServiceExt;

use super::path;
use crate::panics::caught_future;

/// The router's answer, by the normal form of the path.
pub(crate) async fn routed(router: Router, mut request: Request<Body>) -> Response<Body> {
    if let Err(why) = path::normalise(request.uri_mut()) {
        return path::refusal(why);
    }
    match caught_future(router.oneshot(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_panic) => (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response(),
    }
}
