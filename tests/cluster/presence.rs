//! Who is there, and one connection wherever it is, asked on any node.

use serde_json::{Value, json};
use wasabi::{CloseCode, ConnectionAddress, Page, Presence};

use super::super::*;

over_each_engine! {
    who_is_in_a_group_is_known_on_every_node
    pages_have_each_member_once
    a_connection_is_reached_by_its_address_from_every_node
    sends_from_on_connect_are_not_gone
    a_user_is_put_in_and_taken_out_of_groups_everywhere
    odd_group_names_stay_apart_when_asked_about
    nodes_say_what_they_have_and_a_drained_one_is_gone
    registries_are_asked_by_name
}

fn user_of(connection: &Connection) -> Option<String> {
    let name = connection.headers().get("x-user")?.to_str().ok()?;
    Some(name.to_owned())
}

/// A node whose connections have users, and say how they are called.
async fn node(cluster: &Cluster) -> Node {
    let registry = Registry::new().info(|connection| json!({"nick": user_of(connection)}));
    let gateway = gateway!(
        state = registry.clone(),
        cluster = cluster.clone(),
        channel("/", registry = registry.clone(), user = user_of, join),
    );
    let server = serve(gateway).await;
    Node { registry, server }
}

async fn three(cluster: &Cluster) -> [Node; 3] {
    let nodes = [
        node(cluster).await,
        node(cluster).await,
        node(cluster).await,
    ];
    know_each_other(nodes.each_ref()).await;
    nodes
}

async fn know_each_other<const N: usize>(nodes: [&Node; N]) {
    for node in nodes {
        let all = async { while node.registry.nodes().await.nodes.len() != N {} };
        timeout(PATIENCE, all).await.expect("they meet");
    }
}

/// A client of this user, in a group.
async fn client(node: &Node, user: &str, group: &str) -> Client {
    let headers = [("x-user", user)];
    let client = node.server.connect_with("/", &headers).await;
    let mut client = client.expect("a handshake");
    assert_eq!(client.ask(group).await, "joined");
    client
}

/// Who is there, once all have answered.
async fn present(node: &Node, group: &str) -> Presence {
    let complete = async {
        loop {
            let present = node.registry.group(group).presence(Page::default()).await;
            if present.elsewhere.is_ok() {
                return present;
            }
        }
    };
    timeout(PATIENCE, complete).await.expect("all answer")
}

fn users(present: &Presence) -> Vec<&str> {
    let users = present.members.iter().map(|member| member.user.as_deref());
    let mut users: Vec<_> = users.map(|user| user.expect("a user")).collect();
    users.sort_unstable();
    users
}

async fn who_is_in_a_group_is_known_on_every_node(cluster: Cluster) {
    let nodes = three(&cluster).await;
    let mut clients = Vec::new();
    for (node, user) in nodes.iter().zip(["ada", "bob", "cyd"]) {
        clients.push(client(node, user, "room").await);
    }
    clients.push(client(&nodes[2], "ada", "room").await);
    for node in &nodes {
        let present = present(node, "room").await;
        assert_eq!(users(&present), ["ada", "ada", "bob", "cyd"]);
        assert_eq!((present.total, present.next), (4, None));
        for member in &present.members {
            let info: Value = member.info().expect("JSON").expect("a value");
            assert_eq!(info, json!({"nick": member.user}));
        }
        let ada = node.registry.user("ada").presence(Page::default()).await;
        assert_eq!(users(&ada), ["ada", "ada"]);
    }
    // Whoever leaves is in no answer from then on.
    let node = &nodes[1];
    let bob = &node.registry.group("room").connections()[0];
    assert!(node.registry.leave("room", bob));
    assert_eq!(
        users(&present(&nodes[0], "room").await),
        ["ada", "ada", "cyd"]
    );
    let nobody = present(&nodes[0], "another").await;
    assert_eq!((nobody.members.len(), nobody.total), (0, 0));
}

async fn pages_have_each_member_once(cluster: Cluster) {
    let nodes = three(&cluster).await;
    let mut clients = Vec::new();
    for number in 0..7 {
        clients.push(client(&nodes[number % 3], &number.to_string(), "room").await);
    }
    let complete = present(&nodes[0], "room").await;
    let (mut seen, mut next) = (Vec::new(), Some(Page::of(2)));
    while let Some(page) = next {
        let page = nodes[1].registry.group("room").presence(page).await;
        page.elsewhere.expect("all have answered");
        assert!(page.members.len() <= 2);
        seen.extend(page.members.into_iter().map(|member| member.address));
        next = page.next;
    }
    let all: Vec<_> = complete
        .members
        .iter()
        .map(|member| member.address)
        .collect();
    assert_eq!((seen, all.len()), (all, 7));
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    outcome.expect_err("an error").code().to_owned()
}

async fn a_connection_is_reached_by_its_address_from_every_node(cluster: Cluster) {
    let nodes = three(&cluster).await;
    let mut ada = client(&nodes[0], "ada", "room").await;
    let address = present(&nodes[1], "room").await.members[0].address;
    // It passes through the hands of others as text.
    let address: ConnectionAddress = address.to_string().parse().expect("an address");
    for node in &nodes {
        let connection = node.registry.connection(address);
        soon(connection.send("é")).await.expect("sent");
        assert_eq!(ada.text().await, "é");
        soon(connection.send(vec![0xff])).await.expect("sent");
        assert_eq!(ada.binary().await, [0xff]);
        let info = soon(connection.info()).await.expect("it is there");
        assert_eq!((info.address, info.user.as_deref()), (address, Some("ada")));
        assert_eq!((&*info.path, info.groups), ("/", vec!["room".to_owned()]));
    }
    let close = wasabi::Close::new(CloseCode::new::<4409>(), "é");
    let connection = nodes[2].registry.connection(address);
    soon(connection.close(close)).await.expect("closed");
    assert_eq!(ada.closed().await, (4409, "é".to_owned()));
    wasabi_tests::until("it has gone", || nodes[0].registry.is_empty()).await;
    for node in &nodes {
        let connection = node.registry.connection(address);
        assert_eq!(code(soon(connection.send("late")).await), "gone");
        assert_eq!(code(soon(connection.info()).await), "gone");
        assert_eq!(
            code(soon(connection.close(CloseCode::NORMAL)).await),
            "gone"
        );
    }
    // That of a process that nobody knows.
    let foreign = format!("{}-1", "0123456789abcdef".repeat(2));
    let foreign = foreign.parse().expect("an address");
    assert_eq!(
        code(soon(nodes[0].registry.connection(foreign).info()).await),
        "gone"
    );
}

async fn sends_from_on_connect_are_not_gone(cluster: Cluster) {
    let there = node(&cluster).await;
    let registry = Registry::new();
    let (own, other) = (registry.clone(), there.registry.clone());
    let greet = move |connection: Connection| {
        let (own, other) = (own.clone(), other.clone());
        async move {
            // The other node may not have heard of this one yet.
            let own = other.connection(own.address(&connection));
            let greeted = own.send("welcome").await;
            greeted.map_err(|error| wasabi::Close::new(CloseCode::POLICY, error.code().to_owned()))
        }
    };
    let gateway = gateway!(
        cluster = cluster,
        channel(
            "/",
            registry = registry.clone(),
            on_connect = greet,
            async |text: Text| text
        ),
    );
    let here = Node {
        server: serve(gateway).await,
        registry,
    };
    let mut newcomer = here.server.connect("/").await;
    assert_eq!(newcomer.text().await, "welcome");
}

async fn a_user_is_put_in_and_taken_out_of_groups_everywhere(cluster: Cluster) {
    let nodes = three(&cluster).await;
    let mut ada = [
        client(&nodes[0], "ada", "a").await,
        client(&nodes[1], "ada", "b").await,
    ];
    let mut bob = client(&nodes[1], "bob", "b").await;
    let user = nodes[2].registry.user("ada");
    for _ in 0..2 {
        let joined = soon(user.join("news")).await;
        joined.elsewhere.expect("all have answered");
        assert_eq!(joined.connections, 2);
    }
    assert_eq!(users(&present(&nodes[2], "news").await), ["ada", "ada"]);
    for node in &nodes[..2] {
        soon(node.registry.group("news").attached())
            .await
            .expect("attached");
    }
    nodes[2].says("news", "hello").await;
    for client in &mut ada {
        assert_eq!(client.text().await, "hello");
    }
    bob.silent().await;
    for count in [2, 0] {
        let left = soon(user.leave("news")).await;
        left.elsewhere.expect("all have answered");
        assert_eq!(left.connections, count);
    }
    assert_eq!(present(&nodes[0], "news").await.total, 0);
}

async fn odd_group_names_stay_apart_when_asked_about(cluster: Cluster) {
    let names = [
        "*", ">", "a", "a.b", "é", "e\u{301}", " ", "%", "%2A", "A", "[a-z]", "", "\"", "/",
    ];
    let nodes = three(&cluster).await;
    let mut clients = Vec::new();
    for name in names {
        clients.push(client(&nodes[0], "ada", name).await);
    }
    for name in names {
        let present = present(&nodes[1], name).await;
        assert_eq!(present.total, 1, "{name:?}");
        let connection = nodes[2].registry.connection(present.members[0].address);
        let info = soon(connection.info()).await.expect("it is there");
        assert_eq!(info.groups, [name]);
    }
}

async fn nodes_say_what_they_have_and_a_drained_one_is_gone(cluster: Cluster) {
    let [one, two, three] = three(&cluster).await;
    let _ada = client(&one, "ada", "room").await;
    let mut bob = client(&two, "bob", "room").await;
    let list = soon(three.registry.nodes()).await;
    list.elsewhere.expect("all have answered");
    let mut has: Vec<_> = list
        .nodes
        .iter()
        .map(|node| (node.connections, node.groups, node.users))
        .collect();
    has.sort_unstable();
    assert_eq!(has, [(0, 0, 0), (1, 1, 1), (1, 1, 1)]);
    let (left, draining) = (two.registry.clone(), two.server.drain());
    let draining = tokio::spawn(draining);
    assert_eq!(bob.closed().await.0, 1012);
    soon(draining).await.expect("no panic").expect("drained");
    let began = std::time::Instant::now();
    let known = async { while three.registry.nodes().await.nodes.len() != 2 {} };
    timeout(Duration::from_secs(5), known)
        .await
        .expect("it has gone");
    let list = soon(three.registry.nodes()).await;
    list.elsewhere.expect("nobody is missing");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    let present = present(&three, "room").await;
    assert_eq!(users(&present), ["ada"]);
    assert!(left.is_empty());
}

async fn registries_are_asked_by_name(cluster: Cluster) {
    let here = Node::with(&cluster, Registry::named("a")).await;
    let same = Node::with(&cluster, Registry::named("a")).await;
    let other = Node::with(&cluster, Registry::named("b")).await;
    let _members = [
        here.member("room").await,
        same.member("room").await,
        other.member("room").await,
    ];
    let both = async { while present(&here, "room").await.total != 2 {} };
    timeout(PATIENCE, both).await.expect("two members");
    assert_eq!(present(&other, "room").await.total, 1);
    // A node without the registry is asked, and keeps nobody waiting.
    let began = std::time::Instant::now();
    let list = soon(here.registry.nodes()).await;
    list.elsewhere.expect("all have answered");
    assert_eq!(list.nodes.len(), 2);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn without_a_cluster_all_of_it_works_in_one_process() {
    let registry = Registry::new();
    let gateway = gateway!(
        state = registry.clone(),
        channel("/", registry = registry.clone(), user = user_of, join),
    );
    let server = serve(gateway).await;
    let node = Node { registry, server };
    let mut ada = client(&node, "ada", "room").await;
    let present = present(&node, "room").await;
    assert_eq!(users(&present), ["ada"]);
    let connection = node.registry.connection(present.members[0].address);
    connection.send("hello").await.expect("sent");
    assert_eq!(ada.text().await, "hello");
    assert_eq!(node.registry.user("ada").join("news").await.connections, 1);
    let info = connection.info().await.expect("it is there");
    assert_eq!(info.groups, ["news", "room"]);
    assert_eq!(node.registry.nodes().await.nodes.len(), 1);
    connection.close(CloseCode::POLICY).await.expect("closed");
    assert_eq!(ada.closed().await.0, 1008);
}

#[tokio::test]
async fn values_that_are_too_long_or_panic_are_left_out() {
    let registry = Registry::new().info(|connection| match user_of(connection).as_deref() {
        Some("long") => "x".repeat(5000),
        Some("panic") => panic!("on purpose"),
        _ => "short".to_owned(),
    });
    let gateway = gateway!(
        state = registry.clone(),
        channel("/", registry = registry.clone(), user = user_of, join),
    );
    let server = serve(gateway).await;
    let node = Node { registry, server };
    let mut clients = Vec::new();
    for user in ["long", "panic", "short"] {
        clients.push(client(&node, user, "room").await);
    }
    for member in present(&node, "room").await.members {
        let info: Option<String> = member.info().expect("text");
        assert_eq!(info.is_some(), member.user.as_deref() == Some("short"));
        assert_eq!(member.info::<u32>().is_err(), info.is_some());
    }
}
