//! TCP keep-alive on the sockets to brokers.

use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{broker::Broker, soon};

/// How the system's timers of all sockets to a port stand: 2 is keep-alive (proc_net_tcp in the kernel's documentation).
#[cfg(target_os = "linux")]
fn timers(port: u16) -> Vec<u8> {
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("sockets");
    let remote = format!(":{port:04X}");
    let sockets = sockets.lines().skip(1).map(str::split_whitespace);
    let ours = sockets.filter_map(|mut fields| {
        let is_ours = fields.nth(2)?.ends_with(&remote);
        let is_established = fields.next()? == "01";
        let timer = fields.nth(1)?.get(..2)?.parse().ok()?;
        (is_ours && is_established).then_some(timer)
    });
    ours.collect()
}

#[cfg(target_os = "linux")]
async fn probes<T: Transport>(broker: &Broker, transport: T, sockets: usize) {
    let inbox = Queue::callback(async |_, _| Ok::<_, wasabi::Error>(())).inbox();
    let _session = soon(transport.connect(inbox)).await.expect("connected");
    let port = broker.addr().port();
    // For a moment there may be a timer for what is on its way.
    wasabi_tests::until("the system probes", || timers(port) == vec![2; sockets]).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run tests/run"]
async fn the_system_probes_the_sockets_to_redis() {
    built_with!("redis", {
        let broker = Broker::redis();
        probes(&broker, wasabi::queue::Redis::new(broker.url()), 2).await;
    });
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn the_system_probes_the_sockets_to_rabbitmq() {
    built_with!("amqp", {
        let broker = Broker::rabbitmq().await;
        probes(&broker, wasabi::queue::Amqp::new(broker.url()), 1).await;
    });
}
