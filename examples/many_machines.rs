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
//! example, at <http://127.0.0.1:9081/v1/groups/here:blue/presence>, and what was said there, at
//! <http://127.0.0.1:9081/v1/groups/said:blue/history>.
//!
//! In production a balancer is in front of the processes: `many_machines/compose.yaml` has three of them in containers, with
//! NATS and HAProxy. When one of them is stopped, the page connects again, to any of
//! the others, and gets the lines that it has missed. A page that was reloaded shows the last lines of its room.

use axum::response::Html;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasabi::{
    Admin, CloseCode, Cluster, Error, Group, Kept, LeftGroups, Management, Page, Sent, prelude::*,
};

/// What a client says.
#[derive(Deserialize, JsonSchema)]
struct Said {
    room: String,
    text: String,
    /// A client that does not know whether the line was said says it again with the same id.
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Join {
    room: String,
    /// The position of the last line that the client has.
    since: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Room {
    room: String,
}

/// What the members of the room receive: what somebody has said, with an id, or who comes and goes.
#[derive(Serialize, JsonSchema)]
struct Line<'a> {
    room: &'a str,
    from: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// The process that it was said to.
    process: u32,
}

/// The answer to a join.
#[derive(Serialize, JsonSchema)]
struct Entered {
    joined: String,
    /// Whether the lines that the client has missed follow. If not, it forgets those that it has, and shows these.
    recovered: bool,
    lines: Vec<Value>,
    /// The position of the last of them.
    position: String,
}

/// Who is in a room, in all processes.
#[derive(Serialize, JsonSchema)]
struct Who {
    room: String,
    who: Vec<String>,
    total: usize,
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

/// The maximum number of rooms per client, so that nobody makes the gateway subscribe without end.
const MAX_ROOMS: usize = 10;
/// The lines that are kept of a room.
const LINES: usize = 200;
/// The most members that are shown.
const SHOWN: usize = 50;

/// The members of a room, with a group that keeps what is said.
fn said(registry: &Registry, room: &str) -> Group {
    registry.group(format!("said:{room}"))
}

/// The members of a room, with a group that keeps nothing: comings and goings.
fn here(registry: &Registry, room: &str) -> Group {
    registry.group(format!("here:{room}"))
}

/// Tells the members of a room in all processes that somebody comes or goes. They do not miss it if the engine is away.
async fn announce(registry: &Registry, room: &str, from: &Connection, name: &str, text: &str) {
    let line = Line {
        room,
        from: name,
        text,
        id: None,
        process: std::process::id(),
    };
    let published = here(registry, room).publish_except(from, Json(line)).await;
    // Each process closes its own clients that do not keep up with the room.
    for slow in published.here.skipped {
        slow.close(CloseCode::POLICY);
    }
    if let Err(error) = published.elsewhere {
        tracing::warn!(%error, "members elsewhere may not know who comes and goes");
    }
}

async fn join(
    State(registry): State<Registry>,
    Json(Join { room, since }): Json<Join>,
    Query(guest): Query<Guest>,
    connection: Connection,
) -> Result<Reply> {
    // Each room has two groups.
    if registry.groups_of(&connection).len() >= 2 * MAX_ROOMS {
        return Err(Error::new("too_many_rooms", "leave a room first"));
    }
    let said = said(&registry, &room);
    let joined = registry
        .join_from(said.name(), &connection, since.as_deref())
        .await?;
    let mut lines = Vec::new();
    if !joined.recovered {
        let mut kept = said.history(None, LINES).await?.messages;
        // Those behind the position follow.
        kept.retain(|kept| kept.position <= joined.position);
        for line in kept {
            lines.push(serde_json::from_slice(line.message.as_bytes())?);
        }
    }
    let here = here(&registry, &room);
    if registry.join(here.name(), &connection) {
        // Who comes later is heard, in whatever process.
        if let Err(error) = here.attached().await {
            tracing::warn!(%error, "a member may not know who comes and goes elsewhere");
        }
        announce(&registry, &room, &connection, guest.name(), "has come in").await;
    }
    joined.reply(|joined| {
        Json(Entered {
            joined: room,
            recovered: joined.recovered,
            lines,
            position: joined.position.to_string(),
        })
    })
}

async fn leave(
    State(registry): State<Registry>,
    Json(Room { room }): Json<Room>,
    Query(guest): Query<Guest>,
    connection: Connection,
) {
    registry.leave(said(&registry, &room).name(), &connection);
    if registry.leave(here(&registry, &room).name(), &connection) {
        announce(&registry, &room, &connection, guest.name(), "has left").await;
    }
}

/// A connection has ended.
async fn left(
    State(registry): State<Registry>,
    LeftGroups(groups): LeftGroups,
    Query(guest): Query<Guest>,
    connection: Connection,
) {
    for room in groups.iter().filter_map(|name| name.strip_prefix("here:")) {
        announce(&registry, room, &connection, guest.name(), "has left").await;
    }
}

fn must_be_in(registry: &Registry, room: &str, connection: &Connection) -> Result<()> {
    match here(registry, room).contains(connection) {
        true => Ok(()),
        false => Err(Error::new("not_in_room", "join the room first")),
    }
}

async fn say(
    State(registry): State<Registry>,
    Json(line): Json<Said>,
    Query(guest): Query<Guest>,
    connection: Connection,
) -> Result<()> {
    must_be_in(&registry, &line.room, &connection)?;
    let told = Line {
        room: &line.room,
        from: guest.name(),
        text: &line.text,
        id: Some(&line.id),
        process: std::process::id(),
    };
    let said = said(&registry, &line.room);
    said.publish_once(&line.id, Json(told)).await.elsewhere
}

async fn who(
    State(registry): State<Registry>,
    Json(Room { room }): Json<Room>,
    connection: Connection,
) -> Result<Json<Who>> {
    must_be_in(&registry, &room, &connection)?;
    let present = here(&registry, &room).presence(Page::of(SHOWN)).await;
    if let Err(error) = &present.elsewhere {
        tracing::warn!(%error, "members elsewhere may be missing");
    }
    let names = present
        .members
        .iter()
        .filter_map(|member| member.info().ok()?);
    Ok(Json(Who {
        who: names.collect(),
        total: present.total,
        room,
    }))
}

/// What operators see of a connection.
fn name(connection: &Connection) -> Option<String> {
    connection.query::<Guest>().ok()?.name
}

/// The gateway, one of those in this cluster.
pub(crate) fn gateway(cluster: Cluster, registry: Registry) -> Gateway {
    gateway!(
        state = registry.clone(),
        cluster = cluster,
        get("/", async || Html(include_str!("chat/page.html"))),
        /// Is it ready for clients? 503 while it drains.
        get("/readyz", readiness),
        channel(
            "/chat",
            registry = registry,
            // For the description of the gateway.
            sends = [Sent::of::<Json<Line<'_>>>("line").docs("For all members of a room.")],
            groups = [Kept::prefix("said:").size(LINES).ttl(1h).stamp("position")],
            on_disconnect = left,
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
                "who" => with(
                    [RateLimit::per_second(5).by(|req| req.connection().id())],
                    who
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
