//! A WebSocket of the page, and the connection to the gateway behind it.
//!
//! Both sides speak JSON, one object with one member per message. The page says `connect` first, then `text`, `base64`,
//! `ping` or `close`. The bridge says `opened`, `refused` or `failed`, then `text`, `base64`, `ping`, `pong` or `closed`.

mod gateway;

use std::{net::SocketAddr, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{SinkExt, StreamExt};
use http::{Extensions, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use self::gateway::{Connect, connect};
use super::Console;
use crate::{
    channel::origin::Origins,
    connection::peer::UnixPeer,
    hosts::RequestedHost,
    piped::PipedClient,
    upgrade::{UPGRADE_TIMEOUT, answer},
};

/// The largest message, in bytes.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// How long a page may take to say where to connect, and to take a message.
const PATIENCE: Duration = Duration::from_secs(10);

type Page = WebSocketStream<TokioIo<Upgraded>>;

/// What the page says.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Said {
    Connect(Connect),
    Text(String),
    Base64(String),
    Ping(String),
    Close { code: u16, reason: String },
}

/// One side is gone.
struct Gone;

/// Opens a bridge for a page of this listener.
pub(super) async fn open(State(console): State<Console>, mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    let (mut parts, _) = request.into_parts();
    let asked = match answer::check(&parts) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.answer(),
    };
    let target = RequestedHost::of(&parts.uri, &parts.headers, &parts.extensions);
    if !Origins::default().allow(&parts.headers, &target) {
        let text = "only pages of this listener may connect";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let bridges = std::sync::Arc::clone(&console.0.bridges);
    let Ok(place) = bridges.try_acquire_owned() else {
        let text = "too many pages are connected to the gateway";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let peer = peer(&mut parts.extensions);
    let runtime = console.0.runtime.clone();
    runtime.spawn(async move {
        let _place = place;
        let Ok(Ok(upgraded)) = timeout(UPGRADE_TIMEOUT, upgrade).await else {
            return;
        };
        let io = TokioIo::new(upgraded);
        let mut page = WebSocketStream::from_raw_socket(io, Role::Server, Some(config())).await;
        // Nobody is left to be told that one side is gone.
        let _ = bridge(&console, peer, &mut page).await;
        let _ = timeout(PATIENCE, page.close(None)).await;
    });
    asked.accepted(None, None)
}

pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// What a socket says about the page's browser, for the gateway to see.
fn peer(of_page: &mut Extensions) -> Extensions {
    let mut peer = Extensions::new();
    if let Some(addr) = of_page.remove::<ConnectInfo<SocketAddr>>() {
        peer.insert(addr);
    }
    if let Some(unix) = of_page.remove::<UnixPeer>() {
        peer.insert(unix);
    }
    peer
}

async fn bridge(console: &Console, peer: Extensions, page: &mut Page) -> Result<(), Gone> {
    let Ok(Ok(said)) = timeout(PATIENCE, hear(page)).await else {
        return Err(Gone);
    };
    let Ok(Said::Connect(wanted)) = said else {
        let event = json!({ "failed": "expected `connect` first" });
        return tell(page, &event).await;
    };
    let (event, gateway) = connect(console, peer, wanted).await;
    tell(page, &event).await?;
    let Some(mut gateway) = gateway else {
        return Ok(());
    };
    let relayed = relay(page, &mut gateway).await;
    if relayed.is_err() {
        let away = CloseFrame {
            code: CloseCode::Away,
            reason: "the console was closed".into(),
        };
        let _ = timeout(PATIENCE, gateway.close(Some(away))).await;
    }
    relayed
}

/// Passes messages on in both directions until the gateway's connection has ended.
async fn relay(page: &mut Page, gateway: &mut PipedClient) -> Result<(), Gone> {
    let mut closed = json!({ "code": 1006, "reason": "" });
    loop {
        tokio::select! {
            said = hear(page) => match said? {
                Ok(said) => {
                    if let Err(why) = pass_on(said, gateway).await {
                        tell(page, &json!({ "failed": why })).await?;
                    }
                }
                Err(why) => tell(page, &json!({ "failed": why })).await?,
            },
            came = gateway.next() => {
                let event = match came {
                    Some(Ok(Message::Text(text))) => json!({ "text": text.as_str() }),
                    Some(Ok(Message::Binary(data))) => json!({ "base64": STANDARD.encode(data) }),
                    Some(Ok(Message::Ping(data))) => json!({ "ping": shown(&data) }),
                    Some(Ok(Message::Pong(data))) => json!({ "pong": shown(&data) }),
                    Some(Ok(Message::Close(frame))) => {
                        // The stream answers it and then ends.
                        closed = match frame {
                            Some(frame) => json!({ "code": u16::from(frame.code), "reason": frame.reason.as_str() }),
                            None => json!({ "code": 1005, "reason": "" }),
                        };
                        continue;
                    }
                    Some(Ok(Message::Frame(_))) => continue,
                    Some(Err(_)) | None => return tell(page, &json!({ "closed": closed })).await,
                };
                tell(page, &event).await?;
            }
        }
    }
}

/// Sends to the gateway what the page said.
async fn pass_on(said: Said, gateway: &mut PipedClient) -> Result<(), String> {
    let message = match said {
        Said::Connect(_) => return Err("the connection is open already".to_owned()),
        Said::Text(text) => Message::text(text),
        Said::Base64(data) => match STANDARD.decode(data) {
            Ok(data) => Message::binary(data),
            Err(error) => return Err(format!("not base64: {error}")),
        },
        Said::Ping(data) => Message::Ping(data.into()),
        Said::Close { code, reason } => Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        })),
    };
    match timeout(PATIENCE, gateway.send(message)).await {
        Ok(sent) => sent.map_err(|error| error.to_string()),
        Err(_) => Err("the gateway takes no messages at the moment".to_owned()),
    }
}

/// What the page says next; an inner error if it cannot be understood.
async fn hear(page: &mut Page) -> Result<Result<Said, String>, Gone> {
    loop {
        match page.next().await {
            Some(Ok(Message::Text(text))) => {
                let said = serde_json::from_str(&text);
                return Ok(said.map_err(|error| format!("not a message of the console: {error}")));
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
            Some(Ok(_)) => {}
        }
    }
}

async fn tell(page: &mut Page, event: &Value) -> Result<(), Gone> {
    match timeout(PATIENCE, page.send(Message::text(event.to_string()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}

fn shown(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
