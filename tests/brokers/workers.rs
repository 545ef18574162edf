//! The workers of the example `queue`, when they end.

use std::{sync::mpsc, thread, time::Duration};

use tokio::runtime::Builder;
use wasabi::Queue;
use wasabi_tests::broker::Broker;

use super::super::{PATIENCE, echo, gateway, name, worker, works};

/// librdkafka waits longer for a broker that says nothing; a task ends at once.
const WHILE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs Tansu: run tests/run"]
fn a_kafka_worker_that_ends_while_its_broker_is_silent_does_not_block_the_runtime() {
    built_with!("kafka", {
        let (tell, told) = mpsc::channel();
        // One thread for everything: if it waits, nothing goes on.
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (broker, proxy) = Broker::kafka_behind_a_proxy().await;
                let (url, topic, replies) = (broker.url(), name("kafka"), name("kafka-replies"));
                let created = worker::kafka::create_topics(&url, &[&topic, &replies]).await;
                created.expect("topics");
                let queue = Queue::kafka(&url, topic.clone(), replies);
                let working =
                    tokio::spawn(async move { worker::kafka::serve(&url, &topic, echo).await });
                works(&gateway(queue).await).await;
                proxy.half_open();
                let _ = tell.send(());
                working.abort();
                let _ = working.await;
                let _ = tell.send(());
            });
        });
        told.recv_timeout(PATIENCE).expect("the worker works");
        told.recv_timeout(WHILE).expect("the runtime goes on");
    });
}
