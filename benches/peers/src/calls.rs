//! Calls by name with arguments and answers in JSON: JSON-RPC, and Socket.IO events that ask for an acknowledgement. An
//! answer carries the number of its call.

use axum::{
    Router,
    extract::ws::{Message, WebSocketUpgrade},
    routing::any,
};
use jsonrpsee::{RpcModule, server::ServerConfig, types::ErrorObjectOwned};
use serde::{Deserialize, Serialize};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};

use crate::{Args, Failure, axum_ws, echo};

/// The names of the calls.
const NAMES: [&str; 16] = [
    "route.00", "route.01", "route.02", "route.03", "route.04", "route.05", "route.06", "route.07",
    "route.08", "route.09", "route.10", "route.11", "route.12", "route.13", "route.14", "route.15",
];

/// The arguments of a call, which are also its answer.
#[derive(Clone, Serialize, Deserialize)]
struct Params {
    from: String,
    price: f64,
    text: String,
}

#[derive(Deserialize)]
struct Call<'c> {
    id: u64,
    method: &'c str,
    params: Params,
}

#[derive(Serialize)]
struct Answer {
    jsonrpc: &'static str,
    id: u64,
    result: Params,
}

/// Tuned, and typical handwritten JSON-RPC: structs and a match.
pub(crate) async fn axum(args: Args) -> Result<(), Failure> {
    let upgrade = async |upgrade: WebSocketUpgrade| {
        axum_ws::small(upgrade).on_upgrade(|socket| echo::feed(socket, call))
    };
    axum_ws::serve(args, Router::new().route("/", any(upgrade))).await
}

fn call(message: Message) -> Option<Message> {
    let Message::Text(text) = &message else {
        return None;
    };
    let call: Call<'_> = serde_json::from_str(text.as_str()).ok()?;
    let result = match call.method {
        "route.00" | "route.01" | "route.02" | "route.03" => call.params,
        "route.04" | "route.05" | "route.06" | "route.07" => call.params,
        "route.08" | "route.09" | "route.10" | "route.11" => call.params,
        "route.12" | "route.13" | "route.14" | "route.15" => call.params,
        _ => return None,
    };
    let answer = Answer {
        jsonrpc: "2.0",
        id: call.id,
        result,
    };
    Some(Message::Text(serde_json::to_string(&answer).ok()?.into()))
}

pub(crate) async fn jsonrpsee(args: Args) -> Result<(), Failure> {
    let mut module = RpcModule::new(());
    for name in NAMES {
        module.register_method(name, |params, _, _| {
            let params: Params = params.parse()?;
            Ok::<_, ErrorObjectOwned>(params)
        })?;
    }
    let config = ServerConfig::builder().max_connections(20_000).build();
    let server = jsonrpsee::server::Server::builder()
        .set_config(config)
        .build_from_tcp(args.listen()?.into_std()?)?;
    server.start(module).stopped().await;
    Ok(())
}

/// Served by axum, as in the examples of the library.
pub(crate) async fn socketioxide(args: Args) -> Result<(), Failure> {
    let (layer, io) = SocketIo::builder().req_path("/").build_layer();
    io.ns("/", async |socket: SocketRef| {
        for name in NAMES {
            socket.on(name, async |Data::<Params>(params), ack: AckSender| {
                let _ = ack.send(&params);
            });
        }
    });
    axum_ws::serve(args, Router::new().layer(layer)).await
}
