//! axum's `ws` extractor.

use axum::{
    Router,
    extract::ws::{Message, WebSocketUpgrade},
    routing::any,
    serve::ListenerExt,
};
use serde_json::Value;

use crate::{Args, Failure, echo};

pub(crate) async fn serve(args: Args, router: Router) -> Result<(), Failure> {
    let listener = args.listen()?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

fn same(message: Message) -> Option<Message> {
    matches!(message, Message::Text(_) | Message::Binary(_)).then_some(message)
}

/// Default settings, and `send` for every reply.
pub(crate) async fn as_people_write_it(args: Args) -> Result<(), Failure> {
    let upgrade =
        async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(|socket| echo::send(socket, same));
    serve(args, Router::new().route("/", any(upgrade))).await
}

/// Small buffers, and gathered replies.
pub(crate) fn small(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(8 * 1024)
        .write_buffer_size(8 * 1024)
}

pub(crate) async fn tuned(args: Args) -> Result<(), Failure> {
    let upgrade = async |upgrade: WebSocketUpgrade| {
        small(upgrade).on_upgrade(|socket| echo::feed(socket, same))
    };
    serve(args, Router::new().route("/", any(upgrade))).await
}

/// Tuned, and typical code for JSON: parse into a `Value`, match on a member.
pub(crate) async fn routed(args: Args) -> Result<(), Failure> {
    let upgrade = async |upgrade: WebSocketUpgrade| {
        small(upgrade).on_upgrade(|socket| echo::feed(socket, route))
    };
    serve(args, Router::new().route("/", any(upgrade))).await
}

fn route(message: Message) -> Option<Message> {
    let Message::Text(text) = &message else {
        return None;
    };
    let json: Value = serde_json::from_str(text.as_str()).ok()?;
    match json.get("action")?.as_str()? {
        "route.00" | "route.01" | "route.02" | "route.03" => Some(message),
        "route.04" | "route.05" | "route.06" | "route.07" => Some(message),
        "route.08" | "route.09" | "route.10" | "route.11" => Some(message),
        "route.12" | "route.13" | "route.14" | "route.15" => Some(message),
        _ => None,
    }
}
