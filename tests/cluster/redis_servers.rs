//! Several Redis servers as one: a primary that Sentinels watch, and Redis Cluster.

use tokio_tungstenite::tungstenite::Message as Frame;
use tracing::Level;
use wasabi_tests::authority::Authority;
use wasabi_tests::log::Log;
use wasabi_tests::redis_servers::{
    PASSWORD, RedisCluster, SENTINEL_PASSWORD, Watched, is_replicated, redis_cli,
};

use super::{
    super::*,
    kept_node::{GAP, KeptNode, hears, next, numbered, position, told},
};

/// The key of the feed of the cluster `default`.
const FEED: &str = "wasabi.{default}.feed";

fn watched(servers: &Watched) -> Cluster {
    let redis = wasabi::queue::Redis::new(servers.url());
    Cluster::new(redis.sentinel_user("default", SENTINEL_PASSWORD))
}

/// Publishes a number under itself as the key, until it is known to be stored; returns whether it had been before.
async fn stores(node: &KeptNode, number: u64) -> bool {
    let group = node.registry.group("room:1");
    let stored = async {
        loop {
            let published = group
                .publish_once(number.to_string(), numbered(number))
                .await;
            if let Some(stored) = published.stored {
                return stored.duplicate;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, stored).await.expect("a server")
}

/// Two nodes, a member of `room:1` on each, and what each was told.
async fn two(cluster: &Cluster) -> ([KeptNode; 2], Vec<Client>, String) {
    let nodes = [KeptNode::of(cluster).await, KeptNode::of(cluster).await];
    let mut members = Vec::new();
    let mut since = String::new();
    for node in &nodes {
        let (member, joined) = node.joined("room:1", None).await;
        since = position(&joined).to_owned();
        members.push(member);
    }
    (nodes, members, since)
}

/// Every member is told a gap, although nobody publishes anything.
async fn are_told(members: &mut [Client]) {
    for member in members {
        let Frame::Close(Some(close)) = next(member).await else {
            panic!("expected the gap");
        };
        assert_eq!(u16::from(close.code), GAP);
    }
}

/// What is published goes on to everybody, once and in order.
async fn goes_on(nodes: &[KeptNode; 2], numbers: std::ops::Range<u64>) {
    let mut members = Vec::new();
    for node in nodes {
        let joined = node.joined("room:1", None).await;
        let attached = async { while node.registry.group("room:1").attached().await.is_err() {} };
        timeout(PATIENCE, attached).await.expect("a server");
        members.push(joined.0);
    }
    for number in numbers.clone() {
        stores(&nodes[number as usize % 2], number).await;
    }
    for member in &mut members {
        hears(member, numbers.clone()).await;
        member.silent().await;
    }
}

/// A position from before messages may have been lost is not recovered, the one that is given then is, and the history
/// still has this many messages.
async fn has_a_hole_after(node: &KeptNode, since: &str, messages: usize) {
    let (_, joined) = node.joins_when_ready("room:1", since).await;
    told(false, 0, &joined);
    let (_, again) = node.joined("room:1", Some(position(&joined))).await;
    told(true, 0, &again);
    let history = node.registry.group("room:1").history(None, 100).await;
    assert_eq!(history.expect("a history").messages.len(), messages);
}

/// Nobody knows whether the new primary has all that the old one has acknowledged: each member is told, also of a node that
/// was idle, and whoever comes back with a position from before, also to a node that has just started. What the new primary has
/// can still be read.
async fn a_failover_is_a_gap(cluster: Cluster, fail_over: impl FnOnce()) {
    let (nodes, mut members, _) = two(&cluster).await;
    for number in 0..20 {
        stores(&nodes[0], number).await;
    }
    for member in &mut members {
        hears(member, 0..20).await;
    }
    let (last, joined) = nodes[0].joined("room:1", None).await;
    let since = position(&joined).to_owned();
    members.push(last);
    fail_over();
    are_told(&mut members).await;
    let started = KeptNode::of(&cluster).await;
    for node in nodes.iter().chain([&started]) {
        has_a_hole_after(node, &since, 20).await;
    }
    assert!(stores(&nodes[1], 19).await, "its key was replicated");
    goes_on(&nodes, 20..30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn the_failover_of_a_watched_primary_that_was_killed_is_a_gap() {
    let mut servers = Watched::start(None);
    a_failover_is_a_gap(watched(&servers), || {
        is_replicated(&servers.primary);
        servers.primary.kill();
    })
    .await;
}

/// The old primary is there, and is a replica now: nobody stays with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn the_failover_of_a_watched_primary_that_lives_on_is_a_gap() {
    let servers = Watched::start(None);
    a_failover_is_a_gap(watched(&servers), || {
        is_replicated(&servers.primary);
        servers.hand_over();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn the_failover_of_the_primary_in_a_redis_cluster_is_a_gap() {
    let mut servers = RedisCluster::with_replicas();
    let owner = servers.owner(FEED);
    let cluster = Cluster::redis(servers.url());
    a_failover_is_a_gap(cluster, || {
        is_replicated(&servers.nodes[owner]);
        servers.nodes[owner].kill();
    })
    .await;
}

/// What the primary has acknowledged and not passed on is lost with it: all are told, and no position of it is recovered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn what_a_watched_primary_has_not_replicated_is_a_gap() {
    let mut servers = Watched::start(None);
    let (nodes, mut members, since) = two(&watched(&servers)).await;
    servers.stop_replication();
    for number in 0..10 {
        assert!(!stores(&nodes[0], number).await);
    }
    for member in &mut members {
        hears(member, 0..10).await;
    }
    let (_, joined) = nodes[0].joined("room:1", None).await;
    let lost = position(&joined).to_owned();
    servers.primary.kill();
    are_told(&mut members).await;
    for node in &nodes {
        has_a_hole_after(node, &since, 0).await;
    }
    // Others take their places.
    for number in 0..10 {
        assert!(!stores(&nodes[1], number).await, "{number} was lost");
    }
    for node in &nodes {
        let (_, joined) = node.joins_when_ready("room:1", &lost).await;
        told(false, 0, &joined);
    }
    goes_on(&nodes, 20..30).await;
}

/// A node that has just started has lost nothing: it warns of no gap, and knows each of them.
#[tokio::test]
#[ignore = "needs Redis: run tests/run"]
async fn a_new_node_reads_past_old_gaps_and_recovers_what_came_after_them() {
    let broker = Broker::redis();
    let cluster = Cluster::redis(broker.url());
    let old = KeptNode::of(&cluster).await;
    let (mut member, _) = old.joined("room:1", None).await;
    let mut positions = Vec::new();
    for number in 0..4 {
        positions.push(old.says("room:1", number).await);
        if number == 0 {
            hears(&mut member, [0]).await;
        }
        redis_cli(&broker, &["INCR", "wasabi.{default}.count"]);
    }
    are_told(&mut [member]).await;
    old.has(&positions[3]).await;
    let log = Log::of(Level::WARN);
    let new = KeptNode::of(&cluster).await;
    for node in [&old, &new] {
        for lost in &positions[..3] {
            has_a_hole_after(node, lost, 4).await;
        }
        let (_, joined) = node.joined("room:1", Some(&positions[3])).await;
        told(true, 0, &joined);
    }
    assert_eq!(log.lines("lost messages"), [""; 0]);
}

/// Who watches the primary does not matter to whoever is connected to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_sentinel_that_restarts_ends_no_session_and_is_watched_again() {
    let mut servers = Watched::start(None);
    let (nodes, mut members, _) = two(&watched(&servers)).await;
    let subscribers = servers.subscribers();
    assert_eq!(subscribers.len(), 2);
    servers.sentinel.kill();
    for number in 0..10 {
        stores(&nodes[0], number).await;
    }
    servers.sentinel.start();
    for member in &mut members {
        hears(member, 0..10).await;
    }
    assert_eq!(servers.subscribers(), subscribers);
    servers.is_watched();
    servers.hand_over();
    are_told(&mut members).await;
}

/// Nothing is acknowledged while the keys are between two nodes; then everything goes on at the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_slot_that_moves_to_another_node_takes_the_history_along() {
    let servers = RedisCluster::of_three(None);
    let (nodes, mut members, since) = two(&Cluster::redis(servers.url())).await;
    for number in 0..10 {
        stores(&nodes[0], number).await;
    }
    for member in &mut members {
        hears(member, 0..10).await;
    }
    let (slot, from) = (servers.slot(FEED), servers.owner(FEED));
    let to = servers.other(from);
    servers.begin_to_move(&slot, from, to);
    servers.move_keys(&slot, from, to);
    let published = nodes[0]
        .registry
        .group("room:1")
        .publish(numbered(99))
        .await;
    published.elsewhere.expect_err("the keys are not here");
    servers.has_moved(&slot, to);
    are_told(&mut members).await;
    for node in &nodes {
        has_a_hole_after(node, &since, 10).await;
    }
    assert!(stores(&nodes[1], 9).await, "its key has moved as well");
    goes_on(&nodes, 20..30).await;
    assert!(redis_cli(&servers.nodes[to], &["EXISTS", FEED]).contains('1'));
}

/// Whoever connects has a certificate, as the Sentinels and the servers do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_cluster_speaks_tls_to_sentinels_and_to_what_they_watch() {
    let authority = Authority::new();
    let servers = Watched::start(Some(&authority));
    let redis = wasabi::queue::Redis::new(servers.url()).tls_config(authority.client());
    let redis = redis.sentinel_user("default", SENTINEL_PASSWORD);
    let (nodes, ..) = two(&Cluster::new(redis)).await;
    goes_on(&nodes, 0..10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_cluster_speaks_tls_to_each_node_of_a_redis_cluster() {
    let authority = Authority::new();
    let servers = RedisCluster::of_three(Some(&authority));
    let redis = wasabi::queue::Redis::new(servers.url()).tls_config(authority.client());
    let (nodes, ..) = two(&Cluster::new(redis)).await;
    goes_on(&nodes, 0..10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_sentinel_and_what_it_watches_each_ask_for_a_password() {
    let servers = Watched::start(None);
    let redis = |url: String| wasabi::queue::Redis::new(url);
    let user = |redis: wasabi::queue::Redis| redis.sentinel_user("default", SENTINEL_PASSWORD);
    let unknown = servers.url().replace(PASSWORD, "wrong");
    for (redis, is_let_in) in [
        (user(redis(servers.url())), true),
        (redis(servers.url()), false),
        (user(redis(unknown)), false),
        (
            redis(servers.url()).sentinel_user("default", "wrong"),
            false,
        ),
    ] {
        let node = Node::of(&Cluster::new(redis)).await;
        let mut member = node.server.connect("/").await;
        let answer = member.ask("room").await;
        assert_eq!(answer == "joined", is_let_in, "{answer}");
    }
}
