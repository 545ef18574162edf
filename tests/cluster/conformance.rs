//! What every engine does alike.

use wasabi::Message;

use super::super::*;

over_each_engine! {
    a_message_reaches_the_members_in_every_process_once
    text_and_binary_messages_stay_what_they_are
    what_is_published_elsewhere_after_attached_arrives
    messages_of_one_publisher_keep_their_order
    odd_group_names_stay_apart
    clusters_and_registries_of_other_names_stay_apart
    a_group_without_members_here_is_not_attached_and_its_name_is_bounded
    a_message_from_on_connect_arrives
    a_group_that_is_left_and_joined_again_misses_nothing
}

async fn a_message_reaches_the_members_in_every_process_once(cluster: Cluster) {
    let nodes = Node::three(&cluster).await;
    let mut members = Vec::new();
    for node in &nodes {
        members.push(node.member("room").await);
        members.push(node.member("room").await);
    }
    let mut other = nodes[1].member("other").await;
    for (at, node) in nodes.iter().enumerate() {
        assert_eq!(node.says("room", format!("from {at}")).await, 2);
        for member in &mut members {
            assert_eq!(member.text().await, format!("from {at}"));
        }
    }
    // The publisher's own messages come back to it, or would have by now.
    for member in members.iter_mut().chain([&mut other]) {
        member.silent().await;
    }
    let sender = &nodes[0].registry.group("room").connections()[0];
    let group = nodes[0].registry.group("room");
    let published = group.publish_except(sender, "to others").await;
    assert_eq!(published.here.sent, 1);
    let mut got = 0;
    for member in &mut members {
        let waiting = timeout(Duration::from_secs(1), member.text()).await;
        got += usize::from(waiting.is_ok());
    }
    assert_eq!(got, 5);
}

async fn text_and_binary_messages_stay_what_they_are(cluster: Cluster) {
    let nodes = Node::three(&cluster).await;
    let mut member = nodes[0].member("room").await;
    let long = "é".repeat(100_000);
    for message in [
        Message::text("é"),
        Message::binary(vec![0xff, 0]),
        Message::text(""),
        Message::binary(""),
        Message::text(long),
    ] {
        let group = nodes[2].registry.group("room");
        let published = group.publish(message.clone()).await;
        published.elsewhere.expect("an engine");
        match message {
            Message::Text(text) => assert_eq!(member.text().await, &*text),
            Message::Binary(data) => assert_eq!(member.binary().await, &*data),
        }
    }
}

/// Otherwise a client that reads the history of a room after it has joined misses messages (socket.io#4734).
async fn what_is_published_elsewhere_after_attached_arrives(cluster: Cluster) {
    let nodes = Node::three(&cluster).await;
    for round in 0..100 {
        let group = format!("room {round}");
        let mut member = nodes[round % 2].member(&group).await;
        nodes[2].says(&group, group.clone()).await;
        assert_eq!(member.text().await, group);
    }
}

async fn messages_of_one_publisher_keep_their_order(cluster: Cluster) {
    const MESSAGES: usize = 2000;
    let nodes = Node::three(&cluster).await;
    let mut members = Vec::new();
    for node in &nodes {
        members.push(node.member("room").await);
    }
    let publishing = async {
        for number in 0..MESSAGES {
            nodes[1].says("room", number.to_string()).await;
        }
    };
    let receiving = async {
        for member in &mut members {
            for number in 0..MESSAGES {
                assert_eq!(member.text().await, number.to_string());
            }
        }
    };
    tokio::join!(publishing, receiving);
}

async fn odd_group_names_stay_apart(cluster: Cluster) {
    let names = [
        "*",
        ">",
        "a",
        "a.b",
        "a.*",
        "é",
        "e\u{301}",
        " ",
        "a b",
        "a\r\nPUB x",
        "%",
        "%2A",
        "A",
        "[a-z]",
        "?",
        "$SYS.>",
        "",
        &"é".repeat(250),
    ];
    let nodes = Node::three(&cluster).await;
    let mut members = Vec::new();
    for name in names {
        let mut client = nodes[0].server.connect("/").await;
        client.send(name).await;
        assert_eq!(client.text().await, "joined");
        members.push(client);
    }
    for (at, name) in names.iter().enumerate() {
        nodes[1].says(name, at.to_string()).await;
    }
    for (at, member) in members.iter_mut().enumerate() {
        assert_eq!(member.text().await, at.to_string());
    }
    for member in &mut members {
        member.silent().await;
    }
}

async fn clusters_and_registries_of_other_names_stay_apart(cluster: Cluster) {
    let other = cluster.clone().name("other");
    let here = Node::of(&cluster).await;
    let of_other_cluster = Node::of(&other).await;
    let of_other_registry = Node::with(&cluster, Registry::named("other")).await;
    let mut members = [
        here.member("room").await,
        of_other_cluster.member("room").await,
        of_other_registry.member("room").await,
    ];
    here.says("room", "here").await;
    of_other_cluster.says("room", "other cluster").await;
    of_other_registry.says("room", "other registry").await;
    for (member, text) in members
        .iter_mut()
        .zip(["here", "other cluster", "other registry"])
    {
        assert_eq!(member.text().await, text);
    }
    for member in &mut members {
        member.silent().await;
    }
    let same = Node::with(&cluster, Registry::named("other")).await;
    same.says("room", "the same name").await;
    assert_eq!(members[2].text().await, "the same name");
}

async fn a_group_without_members_here_is_not_attached_and_its_name_is_bounded(cluster: Cluster) {
    let node = Node::of(&cluster).await;
    let code = |outcome: Result<()>| outcome.expect_err("an error").code().to_owned();
    let attached = soon(node.registry.group("room").attached()).await;
    assert_eq!(code(attached), "bad_request");
    let long = "a".repeat(513);
    let published = soon(node.registry.group(&*long).publish("lost")).await;
    assert_eq!(code(published.elsewhere), "bad_request");
}

async fn welcome(State(registry): State<Registry>, connection: Connection) {
    registry.join("room", &connection);
    let _ = registry.group("room").attached().await;
    let _ = registry.group("room").publish("welcome").await;
}

async fn a_message_from_on_connect_arrives(cluster: Cluster) {
    let registry = Registry::new();
    let there = Node::of(&cluster).await;
    let gateway = gateway!(
        state = registry.clone(),
        cluster = cluster,
        channel(
            "/",
            registry = registry,
            on_connect = welcome,
            async |text: Text| text,
        ),
    );
    let server = serve(gateway).await;
    let mut member = there.member("room").await;
    let mut newcomer = server.connect("/").await;
    assert_eq!(newcomer.text().await, "welcome");
    assert_eq!(member.text().await, "welcome");
    there.says("room", "hello").await;
    assert_eq!(newcomer.text().await, "hello");
}

async fn a_group_that_is_left_and_joined_again_misses_nothing(cluster: Cluster) {
    let nodes = Node::three(&cluster).await;
    let mut member = nodes[0].member("room").await;
    let registry = &nodes[0].registry;
    let connection = &registry.connections()[0];
    for round in 0..50 {
        assert!(registry.leave("room", connection));
        assert!(registry.join("room", connection));
        soon(registry.group("room").attached()).await.expect("it");
        nodes[1].says("room", round.to_string()).await;
        assert_eq!(member.text().await, round.to_string());
    }
}
