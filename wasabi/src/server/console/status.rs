//! What a server does at the moment.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::Console;
use crate::connection::ConnectionId;

/// The server as a whole.
pub(super) async fn server(State(console): State<Console>) -> Json<Value> {
    let runtime = &console.0.runtime;
    let breakers = console.0.control.breakers().into_iter();
    let breakers = breakers.map(|(route, state)| json!({ "route": route, "state": state }));
    Json(json!({
        "connections": runtime.live().len(),
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
