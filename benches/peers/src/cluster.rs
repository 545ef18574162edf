//! Publishes over Redis: what a client says reaches everybody in the room, at every node.

use axum::Router;
use serde::{Deserialize, Serialize};
use socketioxide::{
    SocketIo,
    adapter::Adapter,
    extract::{Data, SocketRef},
};
use socketioxide_redis::{RedisAdapter, RedisAdapterCtr, drivers::redis::redis_client};

use crate::{Args, Failure, axum_ws};

const ROOM: &str = "room";

/// What a client says, and what all receive.
#[derive(Serialize, Deserialize)]
struct Said {
    from: u32,
    n: u64,
    text: String,
}

/// As in the examples of the library, with its driver for the crate `redis`.
pub(crate) async fn socketioxide(args: Args) -> Result<(), Failure> {
    let url = format!("{}?protocol=resp3", args.upstream()?);
    let redis = redis_client::Client::open(url)?;
    let adapter = RedisAdapterCtr::new_with_redis(&redis).await?;
    let (layer, io) = SocketIo::builder()
        .req_path("/")
        .with_adapter::<RedisAdapter<_>>(adapter)
        .build_layer();
    io.ns("/", entered).await?;
    axum_ws::serve(args, Router::new().layer(layer)).await
}

async fn entered<A: Adapter>(socket: SocketRef<A>) {
    socket.join(ROOM);
    socket.on("say", said);
}

async fn said<A: Adapter>(socket: SocketRef<A>, Data(said): Data<Said>) {
    let _ = socket.within(ROOM).emit("said", &said).await;
}
