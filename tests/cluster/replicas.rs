//! Kept groups in a stream with three replicas, on three NATS servers, one of which is killed and comes back.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::watch;
use wasabi_tests::nats_servers::NatsServers;

use super::{
    super::*,
    kept_node::{KeptNode, next, numbered},
};

const MESSAGES: u64 = 600;
/// A leader is killed when so many messages of a part are stored: the publishers are in the middle of it.
const BEFORE: u64 = 40;

/// What the publishers of a part have done.
#[derive(Default)]
struct Progress {
    stored: watch::Sender<u64>,
    repeated: AtomicU64,
}

/// Asks JetStream until it answers without an error: servers that have just met elect a leader first.
async fn jetstream(client: &async_nats::Client, what: &'static str, question: Value) -> Value {
    let answered = async {
        loop {
            let question = question.to_string().into();
            let subject = format!("$JS.API.{what}.wasabi-default");
            if let Ok(answer) = client.request(subject, question).await {
                let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
                if answer["error"].is_null() {
                    return answer;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, answered).await.expect("JetStream")
}

/// Makes the stream of the cluster, with three replicas.
async fn make_stream(client: &async_nats::Client) {
    let stream = json!({
        "name": "wasabi-default",
        "subjects": ["wasabi.default.kept"],
        "storage": "file",
        "num_replicas": 3,
        "max_msgs": 100_000,
        "duplicate_window": 300_000_000_000_u64,
    });
    jetstream(client, "STREAM.CREATE", stream).await;
}

/// The server that leads the stream.
async fn leader(client: &async_nats::Client) -> String {
    let named = async {
        loop {
            let info = jetstream(client, "STREAM.INFO", json!({})).await;
            if let Some(leader) = info["cluster"]["leader"].as_str() {
                return leader.to_owned();
            }
        }
    };
    timeout(PATIENCE, named).await.expect("a leader")
}

async fn stores(node: &KeptNode, numbers: impl Iterator<Item = u64>, progress: &Progress) {
    let group = node.registry.group("room:1");
    for number in numbers {
        let stored = async || {
            let once = number.to_string();
            let published = group.publish_once(once, numbered(number)).await;
            published.stored.is_some()
        };
        while !stored().await {
            progress.repeated.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        progress.stored.send_modify(|stored| *stored += 1);
    }
}

/// The numbers that a member receives.
async fn received(mut member: Client) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < MESSAGES as usize {
        let message = next(&mut member).await;
        let text = message.to_text().expect("a message and not the end");
        let message: Value = serde_json::from_str(text).expect("JSON");
        numbers.push(message["n"].as_u64().expect("a number"));
    }
    member.silent().await;
    numbers
}

/// Acknowledged by a majority is stored: nothing is missing, nothing comes twice, and all have the same order. Two leaders
/// are killed, one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn nothing_is_lost_when_the_leader_of_a_stream_with_replicas_is_killed() {
    let mut servers = NatsServers::of_three();
    let urls = servers.urls();
    let client = async_nats::connect(urls.split(',').collect::<Vec<_>>());
    let client = client.await.expect("connected");
    make_stream(&client).await;
    let cluster = Cluster::nats(servers.urls());
    let nodes = [KeptNode::of(&cluster).await, KeptNode::of(&cluster).await];
    let mut members = Vec::new();
    for node in &nodes {
        let (member, _) = node.joined("room:1", None).await;
        members.push(tokio::spawn(received(member)));
    }
    let part = MESSAGES / 3;
    for begin in [0, part, 2 * part] {
        let numbers = begin..begin + part;
        let progress = Progress::default();
        let halves = async {
            // One publisher on each node.
            let of = |parity| numbers.clone().filter(move |number| number % 2 == parity);
            let even = stores(&nodes[0], of(0), &progress);
            tokio::join!(even, stores(&nodes[1], of(1), &progress))
        };
        match begin {
            0 => drop(halves.await),
            _ => {
                let killed = leader(&client).await;
                let broker = servers.named(&killed);
                let mut stored = progress.stored.subscribe();
                let failing = async {
                    let middle = stored.wait_for(|stored| *stored >= BEFORE).await;
                    drop(middle.expect("publishers"));
                    broker.kill();
                };
                let published = timeout(PATIENCE, async { tokio::join!(halves, failing) });
                published.await.expect("another leader");
                broker.start();
                let repeated = progress.repeated.load(Ordering::SeqCst);
                assert!(repeated > 0, "no message was under way");
            }
        }
    }
    let mut orders = Vec::new();
    for member in members {
        orders.push(member.await.expect("no gap"));
    }
    assert_eq!(orders[0], orders[1]);
    for parity in [0, 1] {
        let of_one = orders[0].iter().filter(|number| **number % 2 == parity);
        let in_order = (0..MESSAGES).filter(|number| number % 2 == parity);
        assert!(of_one.copied().eq(in_order), "{:?}", orders[0]);
    }
    stores(&nodes[1], 0..10, &Progress::default()).await;
    let (mut late, _) = nodes[0].joined("room:1", None).await;
    late.silent().await;
}
