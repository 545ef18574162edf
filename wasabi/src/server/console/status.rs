//! What a server does at the moment.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::Console;
use crate::{connection::ConnectionId, runtime::Live};

/// What the live connections of a channel do.
#[derive(Default)]
struct Busy {
    connections: usize,
    /// Requests without a reply, also those that wait for a slot.
    in_flight: usize,
}

/// By the full path of the channel.
fn channels(live: &Live) -> BTreeMap<String, Busy> {
    let mut channels: BTreeMap<String, Busy> = BTreeMap::new();
    live.for_each(|connection| {
        let traffic = connection.traffic();
        let busy = channels.entry(traffic.channel().path()).or_default();
        busy.connections += 1;
        busy.in_flight += traffic.in_flight();
    });
    channels
}

/// The server as a whole.
pub(super) async fn server(State(console): State<Console>) -> Json<Value> {
    let runtime = &console.0.runtime;
    let breakers = console.0.control.breakers().into_iter();
    let breakers = breakers.map(|(route, state)| json!({ "route": route, "state": state }));
    let channels = channels(runtime.live());
    let connections: usize = channels.values().map(|busy| busy.connections).sum();
    let channels = channels.iter().map(|(channel, busy)| {
        json!({ "channel": channel, "connections": busy.connections, "in_flight": busy.in_flight })
    });
    Json(json!({
        "connections": connections,
        "channels": channels.collect::<Vec<_>>(),
        "waiting_reply_bytes": runtime.held(),
        "draining": runtime.is_leaving(),
        "breakers": breakers.collect::<Vec<_>>(),
    }))
}

/// One live connection. Query and headers are left out: they may have credentials.
pub(super) async fn connection(
    State(console): State<Console>,
    Path(id): Path<u64>,
) -> Result<Json<Value>, Response> {
    let Some(connection) = console.0.runtime.live().find(ConnectionId(id)) else {
        let text = "no live connection has this id";
        return Err((StatusCode::NOT_FOUND, text).into_response());
    };
    let agent = connection.headers().get(header::USER_AGENT);
    Ok(Json(json!({
        "id": id,
        "path": connection.uri().path(),
        "client_ip": connection.client_ip(),
        "remote_addr": connection.remote_addr(),
        "subprotocol": connection.subprotocol(),
        "user": connection.user().as_deref(),
        "user_agent": agent.map(|agent| String::from_utf8_lossy(agent.as_bytes())),
        "closing": connection.is_closed(),
    })))
}
