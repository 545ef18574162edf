//! Many groups, and what is left of them.

use std::time::Instant;

use super::super::*;

const GROUPS: usize = 10_000;
/// Those of the server itself come and go.
const A_FEW: usize = 20;

/// The memory of this process in bytes. Only printed: other tests may run in it.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4096
}

/// Subscriptions exist while a node has members, and a moment longer.
async fn ten_thousand_groups_leave_nothing_at_the_server<F: Future<Output = usize>>(
    cluster: Cluster,
    subscriptions: impl Fn() -> F,
) {
    let (here, there) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let mut member = here.member("last").await;
    let without = subscriptions().await;
    let registry = &here.registry;
    let connection = &registry.connections()[0];
    let (began, before) = (Instant::now(), resident());
    for number in 0..GROUPS {
        assert!(registry.join(number.to_string(), connection));
    }
    let joined = async {
        while subscriptions().await < GROUPS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for number in [0, GROUPS / 2, GROUPS - 1] {
            let group = registry.group(number.to_string());
            while group.attached().await.is_err() {}
        }
    };
    timeout(PATIENCE, joined).await.expect("all subscriptions");
    let bytes = resident().saturating_sub(before) / GROUPS;
    eprintln!(
        "{GROUPS} groups joined in {:?}, {bytes} bytes each",
        began.elapsed()
    );
    for number in [0, GROUPS / 2, GROUPS - 1] {
        there.says(&number.to_string(), number.to_string()).await;
        assert_eq!(member.text().await, number.to_string());
    }
    let began = Instant::now();
    for number in 0..GROUPS {
        assert!(registry.leave(number.to_string(), connection));
    }
    let left = async {
        while subscriptions().await > without + A_FEW {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, left).await.expect("none is left");
    eprintln!("{GROUPS} groups left in {:?}", began.elapsed());
    there.says("last", "still here").await;
    assert_eq!(member.text().await, "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn ten_thousand_groups_leave_nothing_at_nats() {
    built_with!("nats", {
        let monitor = wasabi_tests::broker::free_port();
        let broker = Broker::nats_with(&format!("http: \"127.0.0.1:{monitor}\""));
        let subscriptions = async || {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", monitor))
                .await
                .expect("a monitor");
            let request = b"GET /subsz HTTP/1.0\r\n\r\n";
            stream.write_all(request).await.expect("a request");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            let json = &answer[answer.find('{').expect("JSON")..];
            let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
            json["num_subscriptions"].as_u64().expect("a number") as usize
        };
        let cluster = Cluster::nats(broker.url());
        ten_thousand_groups_leave_nothing_at_the_server(cluster, subscriptions).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn ten_thousand_groups_leave_nothing_at_redis() {
    built_with!("redis", {
        let broker = Broker::redis();
        let client = redis::Client::open(broker.url()).expect("a URL");
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let connection = client
            .get_multiplexed_async_connection_with_config(&patient)
            .await;
        let connection = connection.expect("a connection");
        let subscriptions = async || {
            let mut channels = redis::cmd("PUBSUB");
            channels.arg("CHANNELS").arg("wasabi.*");
            let mut connection = connection.clone();
            let channels = channels.query_async::<Vec<String>>(&mut connection);
            channels.await.expect("channels").len()
        };
        let cluster = Cluster::redis(broker.url());
        ten_thousand_groups_leave_nothing_at_the_server(cluster, subscriptions).await;
    });
}

/// A process that does not run for seconds holds up nobody, loses messages at most, and goes on afterwards.
async fn a_stalled_node_holds_up_nobody(cluster: Cluster) {
    let stalls = cluster.clone();
    let (tell, told) = tokio::sync::oneshot::channel();
    let (go_on, stopped) = std::sync::mpsc::channel::<()>();
    let stalled = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let node = Node::of(&stalls).await;
            let mut member = node.member("room").await;
            let _ = tell.send(());
            // Blocks the only thread.
            let _ = stopped.recv_timeout(PATIENCE);
            let last = async { while member.text().await != "last" {} };
            timeout(PATIENCE, last).await.expect("it goes on");
        });
    });
    told.await.expect("it has a member");
    let (here, there) = (Node::of(&cluster).await, Node::of(&cluster).await);
    let mut member = there.member("room").await;
    let text = "a".repeat(4096);
    for _ in 0..5000 {
        here.says("room", text.clone()).await;
        assert_eq!(member.text().await.len(), text.len());
    }
    let _ = go_on.send(());
    let ended = async {
        while !stalled.is_finished() {
            here.says("room", "last").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("it goes on");
    stalled.join().expect("it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_node_holds_up_nobody_in_memory() {
    a_stalled_node_holds_up_nobody(Cluster::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs NATS: run tests/run"]
async fn a_stalled_node_holds_up_nobody_over_nats() {
    built_with!("nats", {
        let broker = Broker::nats();
        a_stalled_node_holds_up_nobody(Cluster::nats(broker.url())).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: run tests/run"]
async fn a_stalled_node_holds_up_nobody_over_redis() {
    built_with!("redis", {
        let broker = Broker::redis();
        a_stalled_node_holds_up_nobody(Cluster::redis(broker.url())).await;
    });
}
