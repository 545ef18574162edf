//! Routers in place of HTTP services, for tests.

use std::{collections::HashMap, fmt, sync::Arc};

use axum::{Router, body::Body};
use http::{Request, Response};
use reqwest::Url;
use tower::ServiceExt;

use crate::Connection;

/// The routers that answer in place of origins. In the extensions of a handshake.
#[derive(Clone, Default)]
pub(crate) struct ReplacedServices(Arc<HashMap<String, Router>>);

impl ReplacedServices {
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
) -> Option<Response<reqwest::Body>> {
    let ReplacedServices(routers) = connection.extensions().get()?;
    let router = routers.get(origin)?.clone();
    match router.oneshot(request().map(Body::new)).await {
        Ok(response) => {
            Some(response.map(|body| reqwest::Body::wrap_stream(body.into_data_stream())))
        }
        Err(never) => match never {},
    }
}

impl fmt::Debug for ReplacedServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
