//! The clients that publish to groups, follow them, and listen to them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Included},
    sync::Arc,
    time::Instant,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message as Frame};
use wasabi::Position;

use super::{
    super::{
        PATIENCE,
        clients::{Dice, MS, add, websocket},
        lines::{Line, Road},
    },
    GROUPS, LIVE, Nodes, Round,
};

type Socket = WebSocketStream<Line>;

/// What a client has heard of a group without a gap.
pub(super) struct Part {
    after: Position,
    messages: Vec<(Position, u64)>,
}

impl Part {
    /// Everything that was stored from where the client was told to be up to its last message, once and in order.
    pub(super) fn is_whole(&self, stored: &BTreeMap<Position, u64>) {
        let Some((last, _)) = self.messages.last() else {
            return;
        };
        assert!(self.after < *last, "{last} after {}", self.after);
        let expected = stored.range((Excluded(self.after), Included(*last)));
        let expected: Vec<_> = expected.map(|(at, number)| (*at, *number)).collect();
        let wrong = self.messages.iter().zip(&expected).find(|(a, b)| a != b);
        assert!(
            self.messages == expected,
            "{} messages after {}, not {}; first of all {wrong:?}",
            self.messages.len(),
            self.after,
            expected.len()
        );
    }
}

/// What somebody has heard of a group.
pub(super) type Heard = (String, Vec<Part>);

pub(super) struct Client {
    nodes: Arc<Nodes>,
    dice: Dice,
    /// Sockets of HTTP/2 to each gateway.
    roads: [Road; 2],
    /// Those who publish keep it until they leave.
    socket: Option<Socket>,
    /// The messages of a series are published one after the other by one gateway, so they have an order.
    series: u64,
}

impl Client {
    pub(super) fn new(nodes: &Arc<Nodes>) -> Self {
        Self {
            dice: Dice::new(nodes.number()),
            roads: [Road::http2(), Road::http2()],
            socket: None,
            series: nodes.number(),
            nodes: Arc::clone(nodes),
        }
    }

    /// Connects to one of the gateways.
    async fn come(&mut self) -> Socket {
        loop {
            let node = self.dice.roll(2);
            let addr = self.nodes.nodes[node].addr;
            let line = match self.dice.roll(2) {
                0 => Road::Http1.open(addr, "/").await,
                _ => self.roads[node].open(addr, "/").await,
            };
            match line {
                Some(line) => return websocket(line).await,
                None => sleep(MS * 20).await,
            }
        }
    }

    pub(super) async fn publishes(mut self, round: Arc<Round>) {
        while Instant::now() < round.until {
            let group = self.dice.roll(GROUPS);
            let group = match self.dice.roll(2) {
                0 => round.kept(group),
                _ => round.live(group),
            };
            self.says(&round, &group, false).await;
            sleep(MS * self.dice.roll(40) as u32).await;
        }
    }

    /// Publishes a message: to a kept group until it is known to be stored.
    pub(super) async fn says(&mut self, round: &Round, group: &str, last: bool) {
        let (n, mut is_again) = (self.nodes.number(), false);
        loop {
            let series = self.series;
            let answer = self
                .tries(
                    json!({"do": "say", "id": self.nodes.number(), "group": group, "n": n,
                    "series": series, "last": last}),
                )
                .await;
            if answer.is_none() {
                // Nobody knows when it comes, if it does.
                self.series = self.nodes.number();
            }
            if group.starts_with(LIVE) {
                return;
            }
            if let Some(answer) = answer {
                assert!(is_again || answer["duplicate"] == false, "{answer}");
                let mut stored = round.stored.lock().expect("no panic");
                let stored = stored.entry(group.to_owned()).or_default();
                assert_eq!(stored.insert(position(&answer), n), None, "{answer}");
                return;
            }
            is_again = true;
            sleep(MS * 20).await;
        }
    }

    /// Asks once. `None` if the answer is an error, or the client leaves without it.
    async fn tries(&mut self, request: Value) -> Option<Value> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.come().await,
        };
        let nodes = Arc::clone(&self.nodes);
        let account = &nodes.published;
        add(&account.sent, 1);
        let sent = socket.send(request.to_string().into()).await;
        sent.expect("it reads");
        if self.dice.roll(20) == 0 {
            sleep(MS * self.dice.roll(20) as u32).await;
            add(&account.ended, 1);
            return None;
        }
        let answer = next(&mut socket).await.expect("an answer");
        // It would be another one if a request had two answers.
        assert_eq!(answer["id"], request["id"], "{answer}");
        self.socket = Some(socket);
        let is_error = answer["error"].is_object();
        match is_error {
            true => add(&account.errors, 1),
            false => add(&account.replies, 1),
        }
        Some(answer).filter(|_| !is_error)
    }

    /// Follows a kept group until its last message, from wherever the client is when it comes back.
    pub(super) async fn follows(mut self, round: Arc<Round>, group: usize) -> Heard {
        let group = round.kept(group);
        let (mut since, mut parts): (Option<Position>, Vec<Part>) = (None, Vec::new());
        loop {
            let mut socket = self.come().await;
            let at = since.map(|since| since.to_string());
            let request = json!({"do": "follow", "group": group, "since": at});
            let _ = socket.send(request.to_string().into()).await;
            let Some(joined) = next(&mut socket).await else {
                continue;
            };
            if joined["position"].is_null() {
                assert!(joined["error"].is_object(), "{joined}");
                sleep(MS * 20).await;
                continue;
            }
            add(&self.nodes.returns, usize::from(since.is_some()));
            if joined["recovered"] == false {
                // It may be told to be further back if it has been at a gateway that knew more; then it hears that again.
                add(&self.nodes.gaps, usize::from(since.is_some()));
                let after = position(&joined);
                since = Some(after);
                parts.push(Part {
                    after,
                    messages: Vec::new(),
                });
            }
            let part = parts.last_mut().expect("the first time it is told a gap");
            for _ in 0..1 + self.dice.roll(50) {
                let Some(message) = next(&mut socket).await else {
                    break;
                };
                let (at, n) = (position(&message), message["n"].as_u64());
                since = Some(at);
                part.messages.push((at, n.expect("a number")));
                add(&self.nodes.heard, 1);
                if message["last"] == true {
                    return (group, parts);
                }
            }
        }
    }

    /// Listens to a live group until its last message.
    pub(super) async fn listens(mut self, round: Arc<Round>, group: usize) -> Heard {
        let group = round.live(group);
        loop {
            let mut socket = self.come().await;
            let request = json!({"do": "listen", "group": group});
            let _ = socket.send(request.to_string().into()).await;
            let mut newest = HashMap::new();
            for _ in 0..1 + self.dice.roll(50) {
                let Some(message) = next(&mut socket).await else {
                    break;
                };
                let Some(n) = message["n"].as_u64() else {
                    let is_answer = message["joined"] == true || message["error"].is_object();
                    assert!(is_answer, "{message}");
                    continue;
                };
                let before = newest.insert(message["series"].as_u64(), n);
                assert!(before < Some(n), "{message} after {before:?}");
                add(&self.nodes.heard, 1);
                if message["last"] == true {
                    return (group, Vec::new());
                }
            }
        }
    }
}

/// The next message; `None` when the connection has ended.
async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        let frame = timeout(PATIENCE, socket.next()).await;
        match frame.expect("a message in time")? {
            Ok(Frame::Text(text)) => return Some(serde_json::from_str(&text).expect("JSON")),
            Ok(Frame::Ping(_) | Frame::Pong(_)) => {}
            Ok(Frame::Close(_)) | Err(_) => return None,
            Ok(other) => panic!("{other:?}"),
        }
    }
}

fn position(message: &Value) -> Position {
    let position = message["position"].as_str().map(str::parse);
    match position {
        Some(Ok(position)) => position,
        _ => panic!("no position: {message}"),
    }
}
