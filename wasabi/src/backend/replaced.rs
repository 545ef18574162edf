//! Routers in place of HTTP services and WebSocket servers, for tests.

use std::{collections::HashMap, fmt, sync::Arc};

use axum::{Router, body::Body};
use http::{Request, Response, Uri};
use reqwest::Url;
use tokio::io::{DuplexStream, duplex};
use tower::ServiceExt;

use crate::{
    Connection,
    piped::{PIPE, serve},
};

/// The routers that answer in place of origins. In the extensions of a handshake.
#[derive(Clone, Default)]
pub(crate) struct ReplacedUpstreams(Arc<HashMap<String, Router>>);

impl ReplacedUpstreams {
    pub(crate) fn replace(&mut self, origin: &str, router: Router) {
        Arc::make_mut(&mut self.0).insert(normal(origin), router);
    }
}

/// `http://Orders:80/` and `http://orders` are the same origin.
fn normal(origin: &str) -> String {
    match Url::parse(origin) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => origin.to_owned(),
    }
}

/// The response of the router in place of this origin, if there is one.
pub(super) async fn answer(
    connection: &Connection,
    origin: &str,
    request: impl FnOnce() -> Request<reqwest::Body>,
) -> Option<Response<Body>> {
    let ReplacedUpstreams(routers) = connection.extensions().get()?;
    let router = routers.get(origin)?.clone();
    Some(routed(router, request().map(Body::new)).await)
}

/// A connection to the router in place of the server with this URL, if there is one.
pub(super) fn dial(connection: &Connection, url: &Uri) -> Option<DuplexStream> {
    let ReplacedUpstreams(routers) = connection.extensions().get()?;
    let router = routers.get(&normal(&url.to_string()))?.clone();
    let (near, far) = duplex(PIPE);
    tokio::spawn(serve(far, move |request| routed(router.clone(), request)));
    Some(near)
}

async fn routed(router: Router, request: Request<Body>) -> Response<Body> {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl fmt::Debug for ReplacedUpstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
