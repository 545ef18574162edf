//! The page on which operators talk to the gateway.

mod assets;
mod bridge;
mod status;

use std::sync::Arc;

use axum::{Router, middleware::map_response, routing::get};
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{control::Control, http::HttpService};
use crate::runtime::Runtime;

/// The paths that it takes on the admin listener.
pub(super) const PATHS: [&str; 2] = ["/console", "/console/{*rest}"];

/// How many pages may be connected to the gateway at the same time.
const MAX_BRIDGES: usize = 32;

/// What the console knows of the gateway; clones are the same.
#[derive(Clone)]
struct Console(Arc<Known>);

struct Known {
    /// The AsyncAPI document as JSON.
    document: Bytes,
    gateway: Router,
    runtime: Runtime,
    control: Arc<Control>,
    /// The places for bridges.
    bridges: Arc<Semaphore>,
}

/// The console of a gateway that is served by `http`.
pub(super) fn router(document: Bytes, http: &HttpService) -> Router {
    let console = Console(Arc::new(Known {
        document,
        gateway: http.router.clone(),
        runtime: http.runtime.clone(),
        control: Arc::clone(&http.control),
        bridges: Arc::new(Semaphore::new(MAX_BRIDGES)),
    }));
    Router::new()
        .route("/console", get(assets::page))
        .route("/console/app.js", get(assets::program))
        .route("/console/style.css", get(assets::style))
        .route("/console/document.json", get(assets::document))
        .route("/console/status.json", get(status::server))
        .route("/console/connections/{id}", get(status::connection))
        .route("/console/bridge", get(bridge::open))
        .layer(map_response(assets::strict))
        .with_state(console)
}
