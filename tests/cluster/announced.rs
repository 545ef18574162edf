//! Members of a group hear who comes and who goes, over each engine that keeps messages.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde_json::{Value, json};
use wasabi::{Kept, Subscriptions};
use wasabi_tests::chaos::Chaos;

use super::super::*;

over_each_engine! {
    members_hear_who_comes_and_goes_on_every_node
    members_hear_of_whom_others_put_in_and_take_out
    members_on_a_node_that_ends_are_gone
    only_members_ask_who_is_there
}

async fn anybody(_client: Connection, _group: String) -> Result<()> {
    Ok(())
}

fn user_of(connection: &Connection) -> Option<String> {
    let name = connection.headers().get("x-user")?.to_str().ok()?;
    Some(name.to_owned())
}

async fn node(cluster: &Cluster) -> Node {
    let registry = Registry::named("rooms").info(|connection| json!({"nick": user_of(connection)}));
    let gateway = gateway!(
        cluster = cluster.clone(),
        channel(
            "/",
            registry = registry.clone(),
            user = user_of,
            groups = [Kept::prefix("room:").enveloped().announced()],
            parser = JsonKey::at("/do"),
            match key {
                "follow" => Subscriptions::new(registry.clone(), anybody),
                _ => NoRoute,
            },
        ),
    );
    let server = serve(gateway).await;
    Node { registry, server }
}

/// A client of a room that knows who is there.
struct Guest {
    client: Client,
    /// By connection.
    there: BTreeMap<String, String>,
    /// The kinds of changes that it has heard of.
    heard: Vec<&'static str>,
    /// It is to ask.
    is_unsure: bool,
}

impl Guest {
    async fn connects(node: &Node, user: &str) -> Self {
        let headers = [("x-user", user)];
        let client = node.server.connect_with("/", &headers).await;
        Self {
            client: client.expect("a handshake"),
            there: BTreeMap::new(),
            heard: Vec::new(),
            is_unsure: false,
        }
    }

    /// Asks, and returns the answer. Changes may come before it.
    async fn asks(&mut self, mut ask: Value) -> Value {
        ask["do"] = json!("follow");
        ask["group"] = json!("room:1");
        self.client.send(ask.to_string()).await;
        let mut changes = Vec::new();
        loop {
            let message = self.next().await;
            if !self.changes(&message) {
                if let Some(members) = message["members"].as_array() {
                    self.there = members.iter().map(member).collect();
                    for change in &changes {
                        self.changes(change);
                    }
                }
                return message;
            }
            changes.push(message);
        }
    }

    async fn follows(&mut self) {
        let followed = self.asks(json!({})).await;
        assert_eq!(followed["recovered"], false, "{followed}");
        self.asks_who().await;
    }

    async fn asks_who(&mut self) {
        self.is_unsure = false;
        let who = self.asks(json!({"who": true})).await;
        assert!(who["members"].is_array(), "{who}");
        self.is_unsure |= who["complete"] == false;
    }

    async fn next(&mut self) -> Value {
        let next = timeout(PATIENCE, self.client.socket.next());
        let next = next.await.expect("a message").expect("no end");
        let text = next.expect("no error").into_text().expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Applies a change; returns whether it is one.
    fn changes(&mut self, message: &Value) -> bool {
        let kinds = ["joined", "left", "gone", "unsure"];
        let kinds = kinds.into_iter().filter(|kind| !message[kind].is_null());
        let before = self.heard.len();
        self.heard.extend(kinds);
        self.is_unsure |= message["unsure"] == true;
        let all = |kind: &str| message[kind].as_array().cloned().unwrap_or_default();
        self.there.extend(all("joined").iter().map(member));
        for left in all("left") {
            self.there.remove(left.as_str().expect("an address"));
        }
        if let Some(node) = message["gone"].as_str() {
            self.there.retain(|address, _| !address.starts_with(node));
        }
        self.heard.len() > before
    }

    /// Waits until it knows that exactly these are there.
    async fn sees(&mut self, users: &[&str]) {
        loop {
            let mut there: Vec<_> = self.there.values().map(String::as_str).collect();
            there.sort_unstable();
            if there == users {
                return;
            }
            if self.is_unsure {
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.asks_who().await;
                continue;
            }
            let change = self.next().await;
            assert!(self.changes(&change), "{change}");
        }
    }
}

/// The connection of a member, and its user.
fn member(member: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    assert_eq!(member["info"]["nick"], member["user"], "{member}");
    (text(&member["connection"]), text(&member["user"]))
}

async fn members_hear_who_comes_and_goes_on_every_node(cluster: Cluster) {
    let (here, there) = (node(&cluster).await, node(&cluster).await);
    let mut ada = Guest::connects(&here, "ada").await;
    let mut bob = Guest::connects(&there, "bob").await;
    ada.follows().await;
    for _ in 0..2 {
        bob.follows().await;
        ada.sees(&["ada", "bob"]).await;
        bob.sees(&["ada", "bob"]).await;
        let left = bob.asks(json!({"follow": false})).await;
        assert_eq!(left["unfollowed"], true);
        ada.sees(&["ada"]).await;
    }
    // Nobody has to say that it goes.
    bob.follows().await;
    ada.sees(&["ada", "bob"]).await;
    drop(bob);
    ada.sees(&["ada"]).await;
}

async fn members_hear_of_whom_others_put_in_and_take_out(cluster: Cluster) {
    let (here, there) = (node(&cluster).await, node(&cluster).await);
    let mut ada = Guest::connects(&here, "ada").await;
    let _eve = Guest::connects(&there, "eve").await;
    ada.follows().await;
    let eve = here.registry.user("eve");
    // The nodes may not know each other yet.
    while eve.join("room:1").await.connections == 0 {}
    ada.sees(&["ada", "eve"]).await;
    eve.leave("room:1").await.elsewhere.expect("all answer");
    ada.sees(&["ada"]).await;
}

async fn members_on_a_node_that_ends_are_gone(cluster: Cluster) {
    let (here, there) = (node(&cluster).await, node(&cluster).await);
    let mut ada = Guest::connects(&here, "ada").await;
    let mut bob = Guest::connects(&there, "bob").await;
    ada.follows().await;
    bob.follows().await;
    ada.sees(&["ada", "bob"]).await;
    // It answers the close frame.
    let reading = async { while let Some(Ok(_)) = bob.client.socket.next().await {} };
    let (drained, ()) = tokio::join!(there.server.drain(), reading);
    drained.expect("a drain");
    ada.sees(&["ada"]).await;
}

async fn only_members_ask_who_is_there(cluster: Cluster) {
    let node = node(&cluster).await;
    let mut ada = Guest::connects(&node, "ada").await;
    let refused = ada.asks(json!({"who": true})).await;
    assert_eq!(refused["error"]["code"], "not_followed", "{refused}");
    ada.follows().await;
    let who = loop {
        let who = ada.asks(json!({"who": true})).await;
        if who["complete"] == true {
            break who;
        }
    };
    assert_eq!(who["total"], 1, "{who}");
    let after = json!({"who": true, "after": who["members"][0]["connection"]});
    assert_eq!(ada.asks(after).await["members"], json!([]));
}

/// Both sides forget each other, and find each other again; what has changed meanwhile is known to both.
async fn a_node_that_was_cut_off_is_gone_and_asked_again(
    cluster: impl Fn(String) -> Cluster,
    broker: Broker,
) {
    let line = Chaos::to(broker.addr()).await;
    let here = node(&cluster(broker.url())).await;
    let there = node(&cluster(broker.url_through(&line))).await;
    let mut ada = Guest::connects(&here, "ada").await;
    let mut bob = Guest::connects(&there, "bob").await;
    ada.follows().await;
    bob.follows().await;
    ada.sees(&["ada", "bob"]).await;
    bob.sees(&["ada", "bob"]).await;
    line.refuse();
    line.cut();
    ada.sees(&["ada"]).await;
    bob.sees(&["bob"]).await;
    assert!(ada.heard.contains(&"gone") && bob.heard.contains(&"gone"));
    let mut eve = Guest::connects(&here, "eve").await;
    eve.follows().await;
    line.calm();
    for guest in [&mut ada, &mut bob, &mut eve] {
        guest.sees(&["ada", "bob", "eve"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_node_that_redis_does_not_reach_is_gone_and_asked_again() {
    built_with!("redis", {
        a_node_that_was_cut_off_is_gone_and_asked_again(Cluster::redis, Broker::redis()).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_node_that_nats_does_not_reach_is_gone_and_asked_again() {
    built_with!("nats", {
        a_node_that_was_cut_off_is_gone_and_asked_again(Cluster::nats, Broker::nats()).await;
    });
}
