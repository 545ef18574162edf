//! The SDK that Deriv publishes for its WebSocket API, through a gateway in front of a small server of that API.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use wasabi::{Backoff, prelude::*};
use wasabi_tests::{
    TestServer, serve,
    websocket_upstream::{Peer, Upstream},
};

use super::{assert_ok, clients};

const PAUSE: Duration = Duration::from_millis(5);

/// One connection of the server.
struct Session {
    peer: Peer,
    /// What each subscription has sent, by its id, with the number of its request.
    running: BTreeMap<String, (Value, u64)>,
    /// A request whose answer waits until another one has been answered.
    held: Option<Value>,
}

impl Session {
    async fn run(mut self) {
        let mut next = Instant::now() + PAUSE;
        loop {
            tokio::select! {
                message = self.peer.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let request: Value = serde_json::from_str(&text).expect("JSON");
                        if request.get("logout").is_some() {
                            return self.peer.crash();
                        }
                        self.answer(request).await;
                    }
                    Some(Ok(message)) if !message.is_close() => {}
                    _ => return,
                },
                () = tokio::time::sleep_until(next.into()), if !self.running.is_empty() => {
                    next = Instant::now() + PAUSE;
                    self.tick().await;
                }
            }
        }
    }

    async fn answer(&mut self, request: Value) {
        let app = self.peer.uri.query().expect("a query").to_owned();
        let has = |member: &str| request.get(member).is_some();
        if has("ticks") {
            let id = format!("subscription-{}", request["ticks"]);
            self.running.insert(id, (request, 0));
        } else if let Some(id) = request["forget"].as_str() {
            let sent = self.running.remove(id).map(|(_, sent)| sent);
            let forget = u8::from(sent.is_some());
            let more = json!({"forget": forget, "sent": sent});
            self.send("forget", &request, more).await;
        } else if has("ping") {
            self.held = Some(request);
        } else if has("time") {
            let more = json!({"time": 1_700_000_000, "query": app});
            self.send("time", &request, more).await;
            if let Some(held) = self.held.take() {
                self.send("ping", &held, json!({"ping": "pong"})).await;
            }
        } else if has("buy") {
            let error = json!({"code": "InsufficientBalance", "message": "Too little money."});
            self.send("buy", &request, json!({"error": error})).await;
        }
        // Everything else is never answered.
    }

    /// The next message of each subscription.
    async fn tick(&mut self) {
        let mut ticks = Vec::new();
        for (id, (request, sent)) in &mut self.running {
            let tick = json!({"symbol": request["ticks"], "quote": *sent});
            *sent += 1;
            let more = json!({"tick": tick, "subscription": {"id": id}});
            ticks.push((request.clone(), more));
        }
        for (request, more) in ticks {
            self.send("tick", &request, more).await;
        }
    }

    async fn send(&mut self, kind: &str, request: &Value, more: Value) {
        let mut message =
            json!({"msg_type": kind, "echo_req": request, "req_id": request["req_id"]});
        let members = message.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        self.peer.send(message.to_string()).await;
    }
}

async fn in_front_of(mut server: Upstream) -> TestServer {
    let upstream = || {
        WebSocket::connect(server.url("/websockets/v3"))
            .forward_query(["app_id", "l"])
            .require_query(["app_id"])
            .correlate("/req_id")
    };
    let backoff = Backoff::exponential(Duration::from_millis(1)).retries(10);
    let (plain, impatient) = (upstream(), upstream());
    let kept = upstream().reconnect(backoff);
    let gateway = gateway!(
        concurrency = 10,
        // The member that names the kind of a request has another name in each kind.
        parser = JsonKey::at("/active_symbols").or("other").id("/req_id"),
        channel(
            "/websockets/v3",
            match key {
                "brief" => with([Timeout::new(100ms)], impatient),
                _ => plain,
            }
        ),
        channel("/kept/websockets/v3", kept),
    );
    tokio::spawn(async move {
        loop {
            let session = Session {
                peer: server.accept().await,
                running: BTreeMap::new(),
                held: None,
            };
            tokio::spawn(session.run());
        }
    });
    serve(gateway).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm's @deriv/deriv-api: run tests/run"]
async fn npm_deriv_api_calls_and_subscribes_and_goes_on_when_the_server_is_lost() {
    let gateway = in_front_of(Upstream::start().await).await;
    let mut node = Command::new("node");
    node.arg(clients().join("deriv.mjs")).arg(gateway.url("/"));
    let run = tokio::task::spawn_blocking(move || assert_ok(node));
    run.await.expect("the client succeeds");
}
