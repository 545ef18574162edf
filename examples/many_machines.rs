//! A chat in several processes: what is said in a room reaches its members in all of them, over Redis or NATS.
//!
//! Start an engine and three processes, on one machine or on several:
//!
//! ```sh
//! redis-server --port 6379 &
//! export ENGINE=redis://127.0.0.1:6379
//! for port in 8081 8082 8083; do
//!     cargo run -p wasabi-examples --example many_machines --features redis -- 127.0.0.1:$port &
//! done
//! ```
//!
//! Then open <http://127.0.0.1:8081/> and <http://127.0.0.1:8082/> and enter the same room. For NATS use `--features nats`
//! and `ENGINE=nats://127.0.0.1:4222`. Without `ENGINE` the process is alone.
//!
//! With a second address, `127.0.0.1:9081`, a process also answers operators there, for all processes: who is in a room, for
//! example, at <http://127.0.0.1:9081/v1/groups/blue/presence>.
//!
//! In production a balancer is in front of the processes. When one of them is stopped, the page connects again, to any of
//! the others, and joins its room again.

use axum::response::Html;
use serde::{Deserialize, Serialize};
use wasabi::{Admin, CloseCode, Cluster, Error, Management, prelude::*};

/// What a client says.
#[derive(Deserialize)]
struct Said {
    room: String,
    text: String,
}

#[derive(Deserialize)]
struct Room {
    room: String,
}

/// What the members of the room receive.
#[derive(Serialize)]
struct Line<'a> {
    room: &'a str,
    from: &'a str,
    text: &'a str,
    /// The process that it was said to.
    process: u32,
}

#[derive(Deserialize)]
struct Guest {
    name: Option<String>,
}

impl Guest {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("somebody")
    }
}

/// The maximum number of rooms per client, so that nobody makes the gateway subscribe without end.
const MAX_ROOMS: usize = 10;

/// Tells the members in all processes. An error says that those in the others may not have it.
async fn tell(registry: &Registry, room: &str, from: &str, text: &str) -> Result<()> {
    let process = std::process::id();
    let line = serde_json::to_string(&Line {
        room,
        from,
        text,
        process,
    })?;
    let published = registry.group(room).publish(line).await;
    // Each process closes its own clients that do not keep up with the room.
    for slow in published.here.skipped {
        slow.close(CloseCode::POLICY);
    }
    published.elsewhere
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
        // Whatever is said elsewhere from now on arrives here. Where a room has a history, read it after this.
        registry.group(&*room).attached().await?;
        tell(&registry, &room, guest.name(), "has come in").await?;
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
        tell(&registry, &room, guest.name(), "has left").await?;
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
    tell(&registry, &said.room, guest.name(), &said.text).await
}

/// What operators see of a connection.
fn name(connection: &Connection) -> Option<String> {
    connection.query::<Guest>().ok()?.name
}

fn gateway(cluster: Cluster, registry: Registry) -> Gateway {
    gateway!(
        state = registry.clone(),
        cluster = cluster,
        get("/", async || Html(include_str!("chat/page.html"))),
        channel(
            "/chat",
            registry = registry,
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

/// The cluster over the engine at this URL.
fn cluster(engine: Option<&str>) -> Result<Cluster, String> {
    let cluster = match engine {
        None => Cluster::memory(),
        #[cfg(feature = "redis")]
        Some(url) if url.starts_with("redis") => Cluster::redis(url),
        #[cfg(feature = "nats")]
        Some(url) if url.starts_with("nats") => Cluster::nats(url),
        Some(_) => {
            return Err(
                "ENGINE is a redis:// URL, with `--features redis`, or a nats:// URL, with `--features nats`"
                    .to_owned(),
            );
        }
    };
    // Several services can share the engine under different names.
    Ok(cluster.name("chat"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let engine = std::env::var("ENGINE").ok();
    // The same name in all processes; without one it is the path of the channel.
    let registry = Registry::named("rooms").info(name);
    let gateway = gateway(cluster(engine.as_deref())?, registry.clone());
    let mut addresses = std::env::args().skip(1);
    let address = addresses.next();
    let mut server = Server::bind(address.as_deref().unwrap_or("127.0.0.1:8080"));
    if let Some(admin) = addresses.next() {
        // Elsewhere than on this machine it needs a key.
        server = server.admin(Admin::bind(admin).manage(Management::new(registry)));
    }
    let handle = server.handle();
    tokio::spawn(async move {
        let addr = handle.addr().await;
        if let Some(admin) = handle.admin_addr().await {
            println!("managed at http://{admin}");
        }
        println!("listening on ws://{addr}");
        match engine {
            Some(_) => println!("try it: open http://{addr}/ and the page of another process"),
            None => println!("alone, without ENGINE; its page is http://{addr}/"),
        }
    });
    Ok(server.serve(gateway).await?)
}
