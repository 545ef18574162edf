//! The health check of a WebSocket server.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{settings::Config, unreachable::DialError};
use crate::{
    BoxError,
    backend::{Probe, Way},
};

/// The maximum size in bytes of a message that the server sends before the pong.
const MAX_MESSAGE: usize = 1024 * 1024;

pub(super) fn probe(config: &Arc<Config>, way: &Way) -> Probe {
    let (config, way) = (Arc::clone(config), way.clone());
    Arc::new(move || {
        let (config, way) = (Arc::clone(&config), way.clone());
        Box::pin(async move { ask(&config, &way).await })
    })
}

async fn ask(config: &Config, way: &Way) -> Result<(), BoxError> {
    let (io, read_already) = match config.dial_to_ask().await {
        Ok(dialed) => dialed,
        Err(DialError::Refused { status, .. }) if way.accepts(status) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let opened = WebSocketStream::from_partially_read(io, read_already, Role::Client, Some(limits));
    let mut socket = opened.await;
    socket.send(Message::Ping("wasabi".into())).await?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Pong(_))) => break,
            Some(Ok(Message::Close(_))) | None => {
                return Err("the node closed the connection".into());
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
    // The check has passed; how the connection ends does not matter.
    let _ = socket.close(None).await;
    Ok(())
}
