//! Kept groups over engines that are killed, that freeze, that are restored from a copy, and that come back.

use std::time::Instant;

use serde_json::Value;
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi_tests::chaos::Chaos;

use super::{
    super::*,
    kept_node::{GAP, KeptNode, next, numbered, position, told},
};

/// Hears these numbers, and returns their positions.
async fn hears(client: &mut Client, numbers: std::ops::Range<u64>) -> Vec<String> {
    let mut positions = Vec::new();
    for number in numbers {
        let Frame::Text(text) = next(client).await else {
            panic!("expected {number}");
        };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(message["n"], number);
        positions.push(position(&message).to_owned());
    }
    positions
}

/// Publishes these numbers in their order, each until it is known to be stored.
async fn publishes_all(node: &KeptNode, numbers: std::ops::Range<u64>) {
    let group = node.registry.group("room:1");
    for number in numbers {
        let stored = async || {
            let published = group
                .publish_once(number.to_string(), numbered(number))
                .await;
            published.stored.is_some()
        };
        while !stored().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Everybody is told, and no position from before is recovered, although other messages take the places of the lost ones.
async fn a_restored_copy_is_a_gap(cluster: Cluster, mut broker: Broker) {
    const LOST: u64 = 1000;
    let nodes = [KeptNode::of(&cluster).await, KeptNode::of(&cluster).await];
    let mut members = Vec::new();
    for node in &nodes {
        members.push(node.joined("room:1", None).await.0);
    }
    publishes_all(&nodes[0], 0..100).await;
    broker.copy();
    publishes_all(&nodes[0], 100..100 + LOST).await;
    let mut since = Vec::new();
    for member in &mut members {
        since = hears(member, 0..100 + LOST).await.split_off(100);
    }
    broker.restore();
    for member in &mut members {
        let closed = timeout(PATIENCE, member.closed()).await;
        assert_eq!(closed.expect("the gap").0, GAP);
    }
    publishes_all(&nodes[1], 5000..5000 + 2 * LOST).await;
    for node in &nodes {
        for since in [
            &since[0],
            &since[LOST as usize / 2],
            &since[LOST as usize - 1],
        ] {
            let joined = node.joins_when_ready("room:1", since).await;
            told(false, 0, &joined.1);
        }
    }
}

/// A node that hears nothing for a while gets everything afterwards.
async fn a_stalled_node_gets_everything_afterwards(
    cluster: impl Fn(String) -> Cluster,
    broker: Broker,
) {
    let line = Chaos::to(broker.addr()).await;
    let here = KeptNode::of(&cluster(broker.url_through(&line))).await;
    let there = KeptNode::of(&cluster(broker.url())).await;
    let (mut member, joined) = here.joined("room:1", None).await;
    line.half_open();
    publishes_all(&there, 0..900).await;
    // Recovery asks nothing of the engine.
    let (mut again, again_joined) = here.joined("room:1", Some(position(&joined))).await;
    told(true, 0, &again_joined);
    member.silent().await;
    line.calm();
    line.cut();
    for member in [&mut member, &mut again] {
        hears(member, 0..900).await;
        member.silent().await;
    }
}

/// The same if what it has not heard is gone in the meantime: its members are told.
async fn a_node_that_missed_too_much_tells_a_gap(
    cluster: impl Fn(String) -> Cluster,
    broker: Broker,
    trim: impl AsyncFnOnce(&Broker),
) {
    let line = Chaos::to(broker.addr()).await;
    let here = KeptNode::of(&cluster(broker.url_through(&line))).await;
    let there = KeptNode::of(&cluster(broker.url())).await;
    let (mut member, joined) = here.joined("room:1", None).await;
    line.refuse();
    line.cut();
    publishes_all(&there, 0..10).await;
    trim(&broker).await;
    publishes_all(&there, 10..11).await;
    member.silent().await;
    line.calm();
    let closed = timeout(PATIENCE, member.closed()).await;
    assert_eq!(closed.expect("the gap").0, GAP);
    let (mut again, told_again) = here.joins_when_ready("room:1", position(&joined)).await;
    told(false, 0, &told_again);
    publishes_all(&there, 11..12).await;
    hears(&mut again, 11..12).await;
}

/// Keys are known after a restart of the engine, and publishers are told while it is away.
async fn keys_survive_a_restart(cluster: Cluster, mut broker: Broker) {
    let node = KeptNode::of(&cluster).await;
    let (mut member, joined) = node.joined("room:1", None).await;
    let group = node.registry.group("room:1");
    let first = group.publish_once("key", numbered(1)).await;
    let first = first.stored.expect("stored");
    hears(&mut member, 1..2).await;
    broker.kill();
    loop {
        let began = Instant::now();
        let published = group.publish_once("another", numbered(2)).await;
        assert!(began.elapsed() < Duration::from_secs(8));
        if let Err(error) = published.elsewhere {
            let codes = ["upstream_unreachable", "upstream_lost"];
            assert!(codes.contains(&error.code()), "{error:?}");
            break;
        }
    }
    // Without the engine, clients recover from what this gateway has.
    let (mut again, told_again) = node.joined("room:1", Some(position(&joined))).await;
    told(true, 1, &told_again);
    hears(&mut again, 1..2).await;
    broker.start();
    let repeated = async {
        loop {
            if let Some(stored) = group.publish_once("key", numbered(1)).await.stored {
                return stored;
            }
        }
    };
    let repeated = timeout(PATIENCE, repeated).await.expect("it is back");
    assert_eq!(
        (repeated.position, repeated.duplicate),
        (first.position, true)
    );
    let second = group.publish_once("another", numbered(2)).await;
    second.elsewhere.expect("it is back");
    for member in [&mut member, &mut again] {
        hears(member, 2..3).await;
        member.silent().await;
    }
}

/// Sends a command to Redis, by the form that people type.
#[cfg(feature = "redis")]
async fn redis_command(broker: &Broker, command: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(broker.addr())
        .await
        .expect("Redis");
    let command = format!("{command}\r\n");
    stream.write_all(command.as_bytes()).await.expect("sent");
    let mut answer = [0; 1];
    soon(stream.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(&answer, b":", "{command}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn every_member_is_told_a_gap_when_redis_was_restored_from_an_older_copy() {
    built_with!("redis", {
        let broker = Broker::redis();
        a_restored_copy_is_a_gap(Cluster::redis(broker.url()), broker).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn keys_survive_a_restart_of_redis() {
    built_with!("redis", {
        let broker = Broker::redis();
        keys_survive_a_restart(Cluster::redis(broker.url()), broker).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_node_that_redis_does_not_reach_gets_everything_afterwards() {
    built_with!("redis", {
        a_stalled_node_gets_everything_afterwards(Cluster::redis, Broker::redis()).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_node_that_missed_more_than_redis_keeps_tells_a_gap() {
    built_with!("redis", {
        let trim = async |broker: &Broker| {
            redis_command(broker, "XTRIM wasabi.{default}.feed MAXLEN 0").await;
        };
        a_node_that_missed_too_much_tells_a_gap(Cluster::redis, Broker::redis(), trim).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn every_member_is_told_a_gap_when_nats_was_restored_from_an_older_copy() {
    built_with!("nats", {
        let broker = Broker::nats();
        a_restored_copy_is_a_gap(Cluster::nats(broker.url()), broker).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn keys_survive_a_restart_of_nats() {
    built_with!("nats", {
        let broker = Broker::nats();
        keys_survive_a_restart(Cluster::nats(broker.url()), broker).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_node_that_nats_does_not_reach_gets_everything_afterwards() {
    built_with!("nats", {
        a_stalled_node_gets_everything_afterwards(Cluster::nats, Broker::nats()).await;
    });
}
