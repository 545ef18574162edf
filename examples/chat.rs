//! A chat: rooms are groups of connections, and each message goes to everybody in the room.
//!
//! Run `cargo run --example chat`, then open the page that it prints in two tabs. An optional argument is the address
//! to listen on. When the server restarts, the page reconnects by itself.

use axum::response::Html;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasabi::{CloseCode, Error, Sent, prelude::*};

/// What a client says.
#[derive(Deserialize, JsonSchema)]
struct Said {
    room: String,
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Room {
    room: String,
}

/// What the members of the room receive.
#[derive(Serialize, JsonSchema)]
struct Line<'a> {
    room: &'a str,
    from: &'a str,
    text: &'a str,
}

#[derive(Deserialize, JsonSchema)]
struct Guest {
    name: Option<String>,
}

impl Guest {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("somebody")
    }
}

/// The maximum number of rooms per client, so that nobody fills the memory with room names.
const MAX_ROOMS: usize = 10;

fn tell(registry: &Registry, room: &str, from: &str, text: &str) -> Result<()> {
    let line = serde_json::to_string(&Line { room, from, text })?;
    // Closes clients that do not keep up with the room.
    for slow in registry.group(room).broadcast(line).skipped {
        slow.close(CloseCode::POLICY);
    }
    Ok(())
}

async fn join(
    State(registry): State<Registry>,
    Json(Room { room }): Json<Room>,
    Query(guest): Query<Guest>,
    connection: Connection,
) -> Result<()> {
    if registry.groups_of(&connection).len() >= MAX_ROOMS {
        return Err(Error::new("too_many_rooms", "leave a room first"));
    }
    if registry.join(&room, &connection) {
        tell(&registry, &room, guest.name(), "has come in")?;
    }
    Ok(())
}

async fn leave(
    State(registry): State<Registry>,
    Json(Room { room }): Json<Room>,
    Query(guest): Query<Guest>,
    connection: Connection,
) -> Result<()> {
    if registry.leave(&room, &connection) {
        tell(&registry, &room, guest.name(), "has left")?;
    }
    Ok(())
}

async fn say(
    State(registry): State<Registry>,
    Json(said): Json<Said>,
    Query(guest): Query<Guest>,
    connection: Connection,
) -> Result<()> {
    if !registry.group(&*said.room).contains(&connection) {
        return Err(Error::new("not_in_room", "join the room first"));
    }
    tell(&registry, &said.room, guest.name(), &said.text)
}

/// The gateway.
pub(crate) fn gateway() -> Gateway {
    let registry = Registry::new();
    gateway!(
        state = registry.clone(),
        get("/", async || Html(include_str!("chat/page.html"))),
        channel(
            "/chat",
            registry = registry,
            // For the description of the gateway.
            sends = [Sent::of::<Json<Line<'_>>>("line").docs("For all members of a room.")],
            max_message_size = 4KiB,
            ping = 20s,
            parser = JsonKey::at("/action"),
            match key {
                "join" => join,
                "leave" => leave,
                "say" => with(
                    [RateLimit::per_second(5).by(|req| req.connection().id())],
                    say
                ),
                _ => NoRoute,
            },
        ),
    )
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    let address = std::env::args().nth(1);
    let server = Server::bind(address.as_deref().unwrap_or("127.0.0.1:8080"));
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        println!("listening on ws://{addr}");
        println!("try it: open http://{addr}/ in two tabs");
    });
    server.serve(gateway()).await
}
