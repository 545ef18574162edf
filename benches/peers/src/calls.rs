//! Calls by name with arguments and answers in JSON: JSON-RPC, and Socket.IO events that ask for an acknowledgement. An
//! answer carries the number of its call.

use std::borrow::Cow;

use axum::{
    Router,
    extract::ws::{Message, WebSocketUpgrade},
    routing::any,
};
use jsonrpsee::{RpcModule, server::ServerConfig, types::ErrorObjectOwned};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
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
    #[serde(borrow)]
    jsonrpc: Cow<'c, str>,
    /// As the client wrote it: a number, a string or `null`.
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'c RawValue>,
    #[serde(borrow)]
    method: Cow<'c, str>,
    /// What they are depends on the method.
    #[serde(borrow)]
    params: Option<&'c RawValue>,
}

/// `null` is an id; none is a notification.
fn present<'c, D: Deserializer<'c>>(id: D) -> Result<Option<&'c RawValue>, D::Error> {
    <&RawValue>::deserialize(id).map(Some)
}

#[derive(Serialize)]
struct Answer<'c, T> {
    jsonrpc: &'static str,
    id: &'c RawValue,
    result: T,
}

#[derive(Serialize)]
struct Refusal<'c> {
    jsonrpc: &'static str,
    id: &'c RawValue,
    error: Fault,
}

#[derive(Clone, Copy, Serialize)]
struct Fault {
    code: i32,
    message: &'static str,
}

const UNREADABLE: Fault = fault(-32700, "not JSON");
const INVALID: Fault = fault(-32600, "not a request of JSON-RPC 2.0");
const NO_METHOD: Fault = fault(-32601, "no such method");
const INVALID_PARAMS: Fault = fault(-32602, "parameters do not fit");

const fn fault(code: i32, message: &'static str) -> Fault {
    Fault { code, message }
}

/// Tuned, and typical handwritten JSON-RPC: structs and a match. It does what the protocol asks for: ids of all kinds,
/// notifications, errors and batches.
pub(crate) async fn axum(args: Args) -> Result<(), Failure> {
    let upgrade = async |upgrade: WebSocketUpgrade| {
        axum_ws::small(upgrade).on_upgrade(|socket| echo::feed(socket, answer))
    };
    axum_ws::serve(args, Router::new().route("/", any(upgrade))).await
}

fn answer(message: Message) -> Option<Message> {
    let Message::Text(text) = &message else {
        return None;
    };
    let text = text.as_str();
    let mut out = Vec::with_capacity(text.len() + 64);
    match text.trim_ascii_start().starts_with('[') {
        false => call(text, &mut out),
        true => batch(text, &mut out),
    }
    let out = String::from_utf8(out).ok()?;
    (!out.is_empty()).then(|| Message::Text(out.into()))
}

fn batch(text: &str, out: &mut Vec<u8>) {
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(calls) if calls.is_empty() || calls.len() > 100 => refuse(RawValue::NULL, INVALID, out),
        Ok(calls) => {
            for each in calls {
                let start = out.len();
                out.push(if start == 0 { b'[' } else { b',' });
                call(each.get(), out);
                if out.len() == start + 1 {
                    // A notification.
                    out.truncate(start);
                }
            }
            if !out.is_empty() {
                out.push(b']');
            }
        }
        Err(_) => refuse(RawValue::NULL, UNREADABLE, out),
    }
}

/// Appends the answer to a call.
fn call(text: &str, out: &mut Vec<u8>) {
    let call: Call<'_> = match serde_json::from_str(text) {
        Ok(call) => call,
        Err(error) if error.is_data() => return refuse(RawValue::NULL, INVALID, out),
        Err(_) => return refuse(RawValue::NULL, UNREADABLE, out),
    };
    let is_id = |id: &RawValue| !id.get().starts_with(['{', '[', 't', 'f']);
    if call.jsonrpc != "2.0" || !call.id.is_none_or(is_id) {
        return refuse(RawValue::NULL, INVALID, out);
    }
    let params = call.params.map_or("null", RawValue::get);
    let result = match &*call.method {
        "route.00" | "route.01" | "route.02" | "route.03" => same(params),
        "route.04" | "route.05" | "route.06" | "route.07" => same(params),
        "route.08" | "route.09" | "route.10" | "route.11" => same(params),
        "route.12" | "route.13" | "route.14" | "route.15" => same(params),
        _ => Err(NO_METHOD),
    };
    let Some(id) = call.id else {
        return;
    };
    match result {
        Ok(result) => {
            let jsonrpc = "2.0";
            let answer = Answer {
                jsonrpc,
                id,
                result,
            };
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(out, &answer);
        }
        Err(fault) => refuse(id, fault, out),
    }
}

fn same(params: &str) -> Result<Params, Fault> {
    serde_json::from_str(params).map_err(|_| INVALID_PARAMS)
}

fn refuse(id: &RawValue, error: Fault, out: &mut Vec<u8>) {
    let jsonrpc = "2.0";
    let _ = serde_json::to_writer(out, &Refusal { jsonrpc, id, error });
}

/// A call of a service all of whose methods have the same parameters, and whose clients send numbers as ids.
#[derive(Deserialize)]
struct PlainCall<'c> {
    id: u64,
    method: &'c str,
    params: Params,
}

#[derive(Serialize)]
struct PlainAnswer {
    jsonrpc: &'static str,
    id: u64,
    result: Params,
}

/// The least that answers the benchmark's calls: one struct for all of them, in one pass. No other ids, no
/// notifications, no errors, no batches.
pub(crate) async fn axum_plain(args: Args) -> Result<(), Failure> {
    let upgrade = async |upgrade: WebSocketUpgrade| {
        axum_ws::small(upgrade).on_upgrade(|socket| echo::feed(socket, plain))
    };
    axum_ws::serve(args, Router::new().route("/", any(upgrade))).await
}

fn plain(message: Message) -> Option<Message> {
    let Message::Text(text) = &message else {
        return None;
    };
    let call: PlainCall<'_> = serde_json::from_str(text.as_str()).ok()?;
    let result = match call.method {
        "route.00" | "route.01" | "route.02" | "route.03" => call.params,
        "route.04" | "route.05" | "route.06" | "route.07" => call.params,
        "route.08" | "route.09" | "route.10" | "route.11" => call.params,
        "route.12" | "route.13" | "route.14" | "route.15" => call.params,
        _ => return None,
    };
    let answer = PlainAnswer {
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
