//! The files of the console, and what browsers may do with them.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};

use super::Console;

/// The page loads nothing from elsewhere, runs no script of its text, and stands in no frame. It may connect to any
/// WebSocket, because it can talk to the gateway's public address as well.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src data:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) async fn page() -> Response {
    let page = include_str!("../../../console/page.html");
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

pub(super) async fn program() -> Response {
    let program = include_str!("../../../console/app.js");
    let media_type = "text/javascript; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], program).into_response()
}

pub(super) async fn style() -> Response {
    let style = include_str!("../../../console/style.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], style).into_response()
}

pub(super) async fn document(State(console): State<Console>) -> Response {
    let document = console.0.document.clone();
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// Says to browsers what they may do.
pub(super) async fn strict(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
