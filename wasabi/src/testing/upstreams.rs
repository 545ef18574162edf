//! Routers in place of HTTP services.

use std::{collections::HashMap, fmt, sync::Arc};

use axum::{Router, body::Body};
use http::Request;
use reqwest::Url;
use tower::ServiceExt;

use crate::Connection;

/// The routers that answer in place of origins. In the extensions of a handshake.
#[derive(Clone, Default)]
pub(super) struct Upstreams(Arc<HashMap<String, Router>>);

impl Upstreams {
    pub(super) fn replace(&mut self, origin: &str, router: Router) {
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

/// The response of the router in place of the request's origin; gives the request back if there is none.
pub(crate) async fn answer(
    connection: &Connection,
    request: reqwest::Request,
) -> Result<reqwest::Response, reqwest::Request> {
    let upstreams = connection.extensions().get::<Upstreams>();
    let origin = request.url().origin().ascii_serialization();
    let Some(router) = upstreams.and_then(|Upstreams(routers)| routers.get(&origin)) else {
        return Err(request);
    };
    let Some(copy) = request.try_clone() else {
        return Err(request); // a body that streams; the library sends none
    };
    let Ok(sent) = Request::<reqwest::Body>::try_from(copy) else {
        return Err(request);
    };
    match router.clone().oneshot(sent.map(Body::new)).await {
        Ok(response) => Ok(response
            .map(|body| reqwest::Body::wrap_stream(body.into_data_stream()))
            .into()),
        Err(never) => match never {},
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
