//! Kept groups over engines that are killed, that freeze, that are restored from a copy, and that come back.
// Long: the same faults over each engine.

use std::{sync::Arc, time::Instant};

use futures_util::StreamExt;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message as Frame;
use wasabi::Kept;
use wasabi_tests::chaos::Chaos;

use super::{
    super::*,
    kept_node::{KeptNode, join_room, numbered, position, told},
};

const GAP: u16 = 4409;

/// Everything that a client of one room receives, over all of its connections.
#[derive(Default)]
struct Heard {
    numbers: Vec<u64>,
    gaps: usize,
}

/// They publish one range of numbers each, and the first of them the number after all.
const PUBLISHERS: u64 = 3;

impl Heard {
    fn is_everything(&self, each: u64) {
        assert_eq!(self.gaps, 0);
        for publisher in 0..PUBLISHERS {
            let own = publisher * each..(publisher + 1) * each;
            let numbers = self.numbers.iter().copied();
            let numbers = numbers.filter(|number| own.contains(number));
            assert!(numbers.eq(own.clone()), "publisher {publisher}");
        }
        assert_eq!(self.numbers.len() as u64, PUBLISHERS * each + 1);
    }
}

/// A client that reconnects to one node after another, from where it is, until it has the last message.
async fn keeps_listening(nodes: Arc<[KeptNode; 3]>, first: usize, last: u64) -> Heard {
    let mut heard = Heard::default();
    let mut since: Option<String> = None;
    for node in (0..3).cycle().skip(first) {
        let mut client = nodes[node].client().await;
        let joined = join_room(&mut client, "room:1", since.as_deref()).await;
        let Some(at) = joined["position"].as_str().map(str::to_owned) else {
            // It cannot tell yet.
            assert!(joined["error"].is_object(), "{joined}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if joined["recovered"] == false {
            heard.gaps += usize::from(since.is_some());
            since = Some(at);
        }
        // Some clients come and go.
        let most = if first == 0 { 200 } else { usize::MAX };
        for _ in 0..most {
            match next(&mut client).await {
                Frame::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    since = Some(position(&message).to_owned());
                    heard.numbers.push(message["n"].as_u64().expect("a number"));
                    if message["n"] == last {
                        return heard;
                    }
                }
                Frame::Close(frame) => {
                    assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(GAP));
                    break;
                }
                _ => {}
            }
        }
    }
    unreachable!("it goes on for ever");
}

/// The next message, however long an engine is away.
async fn next(client: &mut Client) -> Frame {
    let next = timeout(PATIENCE, client.socket.next()).await;
    next.expect("a message").expect("no end").expect("no error")
}

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

/// The number of messages: more if the machine has time.
fn messages() -> u64 {
    let messages = std::env::var("WASABI_KEPT_MESSAGES").ok();
    messages.map_or(3000, |messages| messages.parse().expect("a number"))
}

/// Publishes these numbers in their order, each until it is known to be stored.
async fn publishes_all(node: &KeptNode, numbers: std::ops::Range<u64>) -> usize {
    let mut repeated = 0;
    for number in numbers {
        loop {
            let group = node.registry.group("room:1");
            let published = group
                .publish_once(number.to_string(), numbered(number))
                .await;
            match published.stored {
                Some(stored) => {
                    repeated += usize::from(stored.duplicate);
                    break;
                }
                None => {
                    published.elsewhere.expect_err("not stored");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
    repeated
}

/// Every message that is known to be stored reaches every client once and in its publisher's order, also when the engine
/// is killed and comes back.
async fn nothing_is_lost_or_doubled(cluster: Cluster, mut broker: Broker, messages: u64) {
    let each = messages / PUBLISHERS;
    let kept = || Kept::prefix("room:").size(100_000).stamp("position");
    let nodes = Arc::new([
        KeptNode::with(&cluster, kept()).await,
        KeptNode::with(&cluster, kept()).await,
        KeptNode::with(&cluster, kept()).await,
    ]);
    let last = PUBLISHERS * each;
    let listening: Vec<_> = (0..6)
        .map(|client| tokio::spawn(keeps_listening(Arc::clone(&nodes), client % 4, last)))
        .collect();
    let members = || nodes.iter().map(|node| node.registry.group("room:1").len());
    wasabi_tests::until("all members", || members().sum::<usize>() == 6).await;
    let began = Instant::now();
    let publishing = nodes
        .iter()
        .zip(0..PUBLISHERS)
        .map(|(node, publisher)| async move {
            publishes_all(node, publisher * each..(publisher + 1) * each).await
        });
    let publishing = futures_util::future::join_all(publishing);
    let killing = async {
        // Until two of five are there.
        let (mut probe, mut count) = (nodes[0].client().await, 0);
        join_room(&mut probe, "room:1", None).await;
        while count < messages * 2 / 5 {
            if let Frame::Text(_) = next(&mut probe).await {
                count += 1;
            }
        }
        drop(probe);
        broker.kill();
        tokio::time::sleep(Duration::from_secs(2)).await;
        broker.start();
        Instant::now()
    };
    let (repeated, back) = tokio::join!(publishing, killing);
    publishes_all(&nodes[0], last..last + 1).await;
    eprintln!(
        "{messages} messages in {:?}, {:?} since the engine is back; {repeated:?} were stored and not acknowledged",
        began.elapsed(),
        back.elapsed()
    );
    for listening in listening {
        let heard = timeout(PATIENCE, listening)
            .await
            .expect("the last")
            .expect("no panic");
        heard.is_everything(each);
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
async fn redis_that_is_killed_loses_and_doubles_nothing() {
    built_with!("redis", {
        let broker = Broker::redis();
        nothing_is_lost_or_doubled(Cluster::redis(broker.url()), broker, messages()).await;
    });
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
            redis_command(broker, "XTRIM wasabi.default.feed MAXLEN 0").await;
        };
        a_node_that_missed_too_much_tells_a_gap(Cluster::redis, Broker::redis(), trim).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn nats_that_is_killed_loses_and_doubles_nothing() {
    built_with!("nats", {
        let broker = Broker::nats();
        nothing_is_lost_or_doubled(Cluster::nats(broker.url()), broker, messages()).await;
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
