//! Engines that are killed, that freeze, and that come back.

use std::time::Instant;

use wasabi_tests::chaos::Chaos;

use super::super::*;

/// The members here get messages, callers get errors in a bounded time, and when the engine is back everything that has
/// members is subscribed to again.
async fn local_delivery_goes_on_without_the_engine(cluster: Cluster, mut broker: Broker) {
    let nodes = Node::three(&cluster).await;
    let mut members = Vec::new();
    for node in &nodes {
        members.push(node.member("room").await);
    }
    let mut more = nodes[0].member("another room").await;
    nodes[0].says("room", "before").await;
    for member in &mut members {
        assert_eq!(member.text().await, "before");
    }
    broker.kill();
    goes_on_here(&nodes[0], &mut members[0]).await;
    // A member that comes meanwhile is found later.
    let mut late = nodes[2].server.connect("/").await;
    late.send("late room").await;

    broker.start();
    let all = [
        (0, "room"),
        (1, "room"),
        (2, "room"),
        (0, "another room"),
        (2, "late room"),
    ];
    let back = async {
        for (node, group) in all {
            let group = nodes[node].registry.group(group);
            while group.attached().await.is_err() {}
        }
        while nodes[1]
            .registry
            .group("nobody")
            .publish("?")
            .await
            .elsewhere
            .is_err()
        {}
    };
    timeout(PATIENCE, back).await.expect("it comes back");
    nodes[1].says("room", "after").await;
    for member in &mut members {
        assert_eq!(member.text().await, "after");
        member.silent().await;
    }
    nodes[1].says("another room", "after").await;
    assert_eq!(more.text().await, "after");
    nodes[1].says("late room", "late").await;
    loop {
        // Its join may have taken longer than it waited.
        let text = late.text().await;
        if text == "late" {
            break;
        }
        assert!(
            text == "joined" || text.contains("upstream_unreachable"),
            "{text}"
        );
    }
}

/// A member gets messages, and its process errors, until there is one.
async fn goes_on_here(node: &Node, member: &mut Client) {
    // The first message after a crash may still find a buffer of the system.
    let outcomes = async {
        loop {
            let began = Instant::now();
            let published = node.registry.group("room").publish("local").await;
            assert!(began.elapsed() < Duration::from_secs(8));
            assert_eq!(published.here.sent, 1);
            assert_eq!(member.text().await, "local");
            if let Err(error) = published.elsewhere {
                break error.code().to_owned();
            }
        }
    };
    let code = timeout(PATIENCE, outcomes).await.expect("an error");
    let codes = ["upstream_unreachable", "upstream_lost"];
    assert!(codes.contains(&&*code), "{code}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn local_delivery_goes_on_without_nats() {
    built_with!("nats", {
        let broker = Broker::nats();
        local_delivery_goes_on_without_the_engine(Cluster::nats(broker.url()), broker).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn local_delivery_goes_on_without_redis() {
    built_with!("redis", {
        let broker = Broker::redis();
        local_delivery_goes_on_without_the_engine(Cluster::redis(broker.url()), broker).await;
    });
}

/// A connection that is open and silent is replaced (centrifugo#1189).
async fn a_silent_session_is_replaced(cluster: impl Fn(String) -> Cluster, broker: Broker) {
    let line = Chaos::to(broker.addr()).await;
    let here = Node::of(&cluster(broker.url_through(&line))).await;
    let there = Node::of(&cluster(broker.url())).await;
    let mut member = here.member("room").await;
    let mut late = here.server.connect("/").await;
    line.half_open();
    // A subscription that is pending is no sign of life.
    late.send("another room").await;
    let given_up = async {
        loop {
            let published = here.registry.group("room").publish("local").await;
            assert_eq!(member.text().await, "local");
            match published.elsewhere {
                Err(error) if error.code() == "upstream_unreachable" => break,
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    // The client library for NATS takes longer than 20 s.
    let given_up = timeout(Duration::from_secs(15), given_up).await;
    given_up.expect("the session is given up");
    line.calm();
    let back = async { while here.registry.group("room").attached().await.is_err() {} };
    timeout(PATIENCE, back).await.expect("another session");
    there.says("room", "after").await;
    assert_eq!(member.text().await, "after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_silent_session_with_nats_is_replaced() {
    built_with!("nats", {
        a_silent_session_is_replaced(Cluster::nats, Broker::nats()).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_silent_session_with_redis_is_replaced() {
    built_with!("redis", {
        a_silent_session_is_replaced(Cluster::redis, Broker::redis()).await;
    });
}

/// A group whose subscription is refused is not attached, and another one that is joined at the same time is.
async fn a_refused_group_is_not_attached(cluster: Cluster, refused: &str, another: &str) {
    let (here, there) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let mut member = here.member("room").await;
    let connection = &here.registry.connections()[0];
    for group in [another, refused] {
        here.registry.join(group, connection);
    }
    let attached = soon(here.registry.group(refused).attached()).await;
    let error = attached.expect_err("refused");
    assert_eq!(error.code(), "upstream_unreachable");
    assert!(error.to_string().contains("not confirmed"), "{error}");
    for group in ["room", another] {
        let attached = soon(here.registry.group(group).attached()).await;
        attached.expect("allowed");
        there.says(group, group).await;
        assert_eq!(member.text().await, group);
    }
    member.silent().await;
}

/// NATS refuses after the subscription, and the client library tells only a callback.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_group_that_nats_forbids_is_not_attached() {
    built_with!("nats", {
        let broker = Broker::nats_with(
            r#"authorization { users: [{
                user: gateway, password: secret,
                permissions: { subscribe: { allow: ">", deny: "wasabi.default.*.*.forbidden" } }
            }] }"#,
        );
        let nats = wasabi::queue::Nats::new(broker.url()).user("gateway", "secret");
        a_refused_group_is_not_attached(Cluster::new(nats), "forbidden", "allowed").await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_group_beyond_the_subscriptions_that_nats_allows_is_not_attached() {
    built_with!("nats", {
        // Those of one group, of the nodes and of the inbox.
        let broker = Broker::nats_with("max_subscriptions: 4");
        a_refused_group_is_not_attached(Cluster::nats(broker.url()), "two", "room").await;
    });
}
