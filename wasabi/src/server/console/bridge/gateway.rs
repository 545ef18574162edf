//! The bridge's connection to the gateway.

use axum::body::{Body, to_bytes};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Console, config};
use crate::{
    BoxError,
    gateway::in_memory::routed,
    piped::{self, Answered, PipedClient},
};

/// How much of the body of a refusal is shown, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Where to connect, and what to bring along.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connect {
    /// A path, with its query.
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    subprotocols: Vec<String>,
}

/// Makes the handshake. Returns what to tell the page, and the connection if there is one.
pub(super) async fn connect(
    console: &Console,
    peer: Extensions,
    wanted: Connect,
) -> (Value, Option<PipedClient>) {
    match attempt(console, peer, wanted).await {
        Ok(Answered::Accepted(client, response)) => {
            let event = json!({ "opened": { "headers": listed(response.headers()) } });
            (event, Some(*client))
        }
        Ok(Answered::Refused(response)) => {
            let (parts, body) = response.into_parts();
            let body = to_bytes(Body::new(body), MAX_BODY).await;
            let body = body.unwrap_or_default();
            let event = json!({ "refused": {
                "status": parts.status.as_u16(),
                "headers": listed(&parts.headers),
                "body": String::from_utf8_lossy(&body),
            }});
            (event, None)
        }
        Err(error) => (json!({ "failed": error.to_string() }), None),
    }
}

async fn attempt(
    console: &Console,
    mut peer: Extensions,
    wanted: Connect,
) -> Result<Answered, BoxError> {
    peer.insert(console.0.runtime.clone());
    let request = wanted.into_request()?;
    let router = console.0.gateway.clone();
    piped::connect(request, Some(config()), move |mut request| {
        request.extensions_mut().extend(peer.clone());
        routed(router.clone(), request)
    })
    .await
}

impl Connect {
    fn into_request(self) -> Result<Request<()>, BoxError> {
        let mut request = Request::get(&self.path).body(())?;
        let headers = request.headers_mut();
        for (name, value) in self.headers {
            let name: HeaderName =
                (name.parse()).map_err(|_| format!("`{name}` is not a header"))?;
            let value = HeaderValue::from_str(&value)
                .map_err(|_| format!("the value of `{name}` is not one of a header"))?;
            headers.append(name, value);
        }
        if !self.subprotocols.is_empty() {
            let offered = HeaderValue::try_from(self.subprotocols.join(", "))?;
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
        }
        let host = HeaderValue::from_static("localhost");
        headers.entry(header::HOST).or_insert(host);
        Ok(request)
    }
}

fn listed(headers: &HeaderMap) -> Vec<(&str, String)> {
    let shown = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let listed = headers
        .iter()
        .map(|(name, value)| (name.as_str(), shown(value)));
    listed.collect()
}
