//! A gateway with kept groups, and its clients.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::{Joined, Kept};

use super::super::*;

/// The code that closes a connection for which messages are lost.
pub(super) const GAP: u16 = 4409;

#[derive(serde::Deserialize)]
struct Join {
    room: String,
    since: Option<String>,
}

#[backend]
async fn join(
    State(registry): State<Registry>,
    Json(join): Json<Join>,
    client: Connection,
) -> Result<Joined> {
    let since = join.since.as_deref();
    registry.join_from(join.room, &client, since).await
}

#[backend]
async fn join_by_call(
    State(registry): State<Registry>,
    Params(join): Params<Join>,
    client: Connection,
) -> Result<Joined> {
    let since = join.since.as_deref();
    registry.join_from(join.room, &client, since).await
}

#[backend]
async fn leave(
    State(registry): State<Registry>,
    Json(join): Json<Join>,
    client: Connection,
) -> Json<bool> {
    Json(registry.leave(join.room, &client))
}

#[derive(serde::Deserialize)]
struct Say {
    room: String,
    n: u64,
}

/// Publishes a number under itself as the key, and answers whether it has been stored before.
#[backend]
async fn say(State(registry): State<Registry>, Json(say): Json<Say>) -> Result<Json<bool>> {
    let key = say.n.to_string();
    let published = registry
        .group(say.room)
        .publish_once(key, numbered(say.n))
        .await;
    published.elsewhere?;
    let stored = published.stored.map(|stored| stored.duplicate);
    Ok(Json(stored.expect("a kept group")))
}

/// Replies as slowly as the test says: until the group `gate` is told so.
#[middleware]
async fn reluctant(
    State(registry): State<Registry>,
    req: Request,
    next: impl Next,
) -> Result<Reply> {
    let reply = next.run(req).await?;
    while !registry.groups().iter().any(|group| &**group == "gate") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(reply.map(|message| message))
}

/// One of the gateways of a cluster.
pub(super) struct KeptNode {
    pub(super) registry: Registry,
    pub(super) server: TestServer,
}

impl KeptNode {
    pub(super) async fn of(cluster: &Cluster) -> Self {
        Self::with(cluster, Kept::prefix("room:").stamp("position")).await
    }

    pub(super) async fn with(cluster: &Cluster, kept: Kept) -> Self {
        let registry = Registry::new().max_group_bytes(16 * 1024 * 1024);
        let gateway = gateway!(
            state = registry.clone(),
            cluster = cluster.clone(),
            channel(
                "/",
                registry = registry.clone(),
                groups = [kept.clone()],
                max_waiting_messages = 32,
                send_timeout = 60s,
                parser = JsonKey::at("/do"),
                match key {
                    "join" => join,
                    "join reluctantly" => with([reluctant], join),
                    "leave" => leave,
                    "say" => say,
                    _ => NoRoute,
                },
            ),
            channel(
                "/rpc",
                registry = registry.clone(),
                groups = [kept],
                protocol = JsonRpc::new(),
                match key {
                    "join" => join_by_call,
                    _ => NoRoute,
                },
            ),
        );
        let server = serve(gateway).await;
        Self { registry, server }
    }

    pub(super) async fn client(&self) -> Client {
        self.server.connect("/").await
    }

    /// A client that has joined a room, with what it was told.
    pub(super) async fn joined(&self, room: &str, since: Option<&str>) -> (Client, Value) {
        let mut client = self.client().await;
        let joined = join_room(&mut client, room, since).await;
        (client, joined)
    }

    /// A client that has joined a room as soon as the gateway could tell it where it is.
    pub(super) async fn joins_when_ready(&self, room: &str, since: &str) -> (Client, Value) {
        loop {
            let (client, joined) = self.joined(room, Some(since)).await;
            if joined["error"].is_null() {
                return (client, joined);
            }
        }
    }

    /// Waits until this gateway has what is at a position.
    pub(super) async fn has(&self, position: &str) {
        let (_probe, joined) = self.joined("room:probe", Some(position)).await;
        told(true, 0, &joined);
    }

    /// Publishes a number, and returns the position of the message.
    pub(super) async fn says(&self, room: &str, number: u64) -> String {
        let published = self.registry.group(room).publish(numbered(number)).await;
        published.elsewhere.expect("an engine");
        let stored = published.stored.expect("a kept group");
        assert!(!stored.duplicate);
        stored.position.to_string()
    }
}

pub(super) fn numbered(number: u64) -> String {
    json!({ "n": number }).to_string()
}

pub(super) async fn join_room(client: &mut Client, room: &str, since: Option<&str>) -> Value {
    client
        .ask_json(json!({ "do": "join", "room": room, "since": since }))
        .await
}

/// The next message, however long an engine is away.
pub(super) async fn next(client: &mut Client) -> Frame {
    let next = timeout(PATIENCE, client.socket.next()).await;
    next.expect("a message").expect("no end").expect("no error")
}

pub(super) fn position(joined: &Value) -> &str {
    joined["position"].as_str().expect("a position")
}

pub(super) fn told(recovered: bool, missed: u64, joined: &Value) {
    assert_eq!(joined["recovered"], recovered, "{joined}");
    assert_eq!(joined["missed"], missed, "{joined}");
}

/// The number of the next message, and its position.
pub(super) async fn heard(client: &mut Client) -> (u64, String) {
    let message = client.json().await;
    let number = message["n"].as_u64().unwrap_or_else(|| panic!("{message}"));
    (number, position(&message).to_owned())
}

pub(super) async fn hears(client: &mut Client, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        assert_eq!(heard(client).await.0, number);
    }
}

/// The numbers of a position.
pub(super) fn parts(position: &str) -> (u64, u64) {
    position
        .parse::<wasabi::Position>()
        .expect("a position")
        .parts()
}
