//! The ready-made route by which clients follow groups, over each engine that keeps messages.

use serde_json::{Value, json};
use wasabi::{Error, Kept, Subscriptions};

use super::super::*;

over_each_engine! {
    a_client_follows_a_group_and_recovers_at_another_node
    a_client_that_unfollows_a_group_gets_no_more
    only_groups_that_the_function_allows_are_followed
    groups_that_the_application_has_put_a_client_in_are_its_own
    a_connection_follows_so_many_groups_and_no_more
    a_client_is_told_that_a_position_is_not_kept
}

/// Clients may follow all groups but these.
async fn may(_client: Connection, group: String) -> Result<()> {
    match group.ends_with("secret") {
        true => Err(Error::new("forbidden", "it is secret")),
        false => Ok(()),
    }
}

async fn node(cluster: &Cluster) -> Node {
    let registry = Registry::named("rooms");
    let gateway = gateway!(
        cluster = cluster.clone(),
        channel(
            "/",
            registry = registry.clone(),
            groups = [Kept::prefix("room:").size(3).enveloped()],
            parser = JsonKey::at("/do"),
            match key {
                "follow" => Subscriptions::new(registry.clone(), may).max_groups(2),
                _ => NoRoute,
            },
        ),
    );
    let server = serve(gateway).await;
    Node { registry, server }
}

async fn follows(client: &mut Client, group: &str, since: Option<&Value>) -> Value {
    client
        .ask_json(json!({"do": "follow", "group": group, "since": since}))
        .await
}

/// Publishes a number, and returns the position of the message.
async fn says(node: &Node, group: &str, number: u64) -> Value {
    let published = node.registry.group(group).publish(number.to_string()).await;
    published.elsewhere.expect("an engine");
    json!(published.stored.expect("a kept group").position)
}

fn envelope(group: &str, position: &Value, number: u64) -> Value {
    json!({"group": group, "position": position, "data": number})
}

async fn a_client_follows_a_group_and_recovers_at_another_node(cluster: Cluster) {
    let (here, there) = (node(&cluster).await, node(&cluster).await);
    let mut client = here.server.connect("/").await;
    let followed = follows(&mut client, "room:1", None).await;
    assert_eq!(followed["group"], "room:1");
    assert_eq!(
        (&followed["recovered"], &followed["missed"]),
        (&json!(false), &json!(0))
    );
    let first = says(&there, "room:1", 1).await;
    assert_eq!(client.json().await, envelope("room:1", &first, 1));
    drop(client);
    let second = says(&here, "room:1", 2).await;
    let third = says(&there, "room:1", 3).await;
    let mut client = there.server.connect("/").await;
    // It waits for the positions of the other node.
    let followed = follows(&mut client, "room:1", Some(&first)).await;
    assert_eq!(followed["recovered"], true, "{followed}");
    for (position, number) in [(second, 2), (third, 3)] {
        assert_eq!(client.json().await, envelope("room:1", &position, number));
    }
    client.silent().await;
}

async fn a_client_that_unfollows_a_group_gets_no_more(cluster: Cluster) {
    let node = node(&cluster).await;
    let mut client = node.server.connect("/").await;
    for group in ["room:1", "room:2"] {
        follows(&mut client, group, None).await;
    }
    for unfollowed in [true, false] {
        let answer = client
            .ask_json(json!({"do": "follow", "group": "room:1", "follow": false}))
            .await;
        assert_eq!(answer, json!({"group": "room:1", "unfollowed": unfollowed}));
    }
    says(&node, "room:1", 1).await;
    let position = says(&node, "room:2", 2).await;
    assert_eq!(client.json().await, envelope("room:2", &position, 2));
}

async fn only_groups_that_the_function_allows_are_followed(cluster: Cluster) {
    let node = node(&cluster).await;
    let mut client = node.server.connect("/").await;
    for (group, code) in [("room:secret", "forbidden"), ("live", "not_kept")] {
        let refused = follows(&mut client, group, None).await;
        assert_eq!(refused["error"]["code"], code, "{refused}");
        assert!(node.registry.group(group).is_empty());
    }
}

async fn groups_that_the_application_has_put_a_client_in_are_its_own(cluster: Cluster) {
    let node = node(&cluster).await;
    let mut client = node.server.connect("/").await;
    // The client is there as soon as it has an answer.
    follows(&mut client, "room:1", None).await;
    let member = node.registry.connections().pop().expect("a connection");
    for (group, code) in [("live", "not_kept"), ("room:secret", "forbidden")] {
        assert!(node.registry.join(group, &member));
        let who = client
            .ask_json(json!({"do": "follow", "group": group, "who": true}))
            .await;
        assert_eq!(who["error"]["code"], code, "{who}");
    }
    let leave = |group: &str| json!({"do": "follow", "group": group, "follow": false});
    let refused = client.ask_json(leave("live")).await;
    assert_eq!(refused["error"]["code"], "not_kept", "{refused}");
    assert_eq!(node.registry.group("live").len(), 1);
    // Whoever may not follow a group any more may still leave it.
    let left = client.ask_json(leave("room:secret")).await;
    assert_eq!(left["unfollowed"], true, "{left}");
}

async fn a_connection_follows_so_many_groups_and_no_more(cluster: Cluster) {
    let node = node(&cluster).await;
    let mut client = node.server.connect("/").await;
    // Twice the same is one.
    for group in ["room:1", "room:2", "room:2"] {
        assert_eq!(follows(&mut client, group, None).await["group"], group);
    }
    let refused = follows(&mut client, "room:3", None).await;
    assert_eq!(refused["error"]["code"], "too_many_groups", "{refused}");
    assert!(node.registry.group("room:3").is_empty());
    client
        .ask_json(json!({"do": "follow", "group": "room:1", "follow": false}))
        .await;
    assert_eq!(
        follows(&mut client, "room:3", None).await["group"],
        "room:3"
    );
}

async fn a_client_is_told_that_a_position_is_not_kept(cluster: Cluster) {
    let node = node(&cluster).await;
    let first = says(&node, "room:1", 1).await;
    let mut last = Value::Null;
    for number in 2..=5 {
        last = says(&node, "room:1", number).await;
    }
    let mut client = node.server.connect("/").await;
    let current = follows(&mut client, "room:1", Some(&last)).await;
    assert_eq!(
        (&current["recovered"], &current["missed"]),
        (&json!(true), &json!(0))
    );
    let mut client = node.server.connect("/").await;
    let lost = follows(&mut client, "room:1", Some(&first)).await;
    assert_eq!(
        (&lost["recovered"], &lost["missed"]),
        (&json!(false), &json!(0))
    );
    client.silent().await;
}
