//! Replies that are too many or too long, over each broker.

use serde_json::json;
use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{broker::Broker, serve, soon, until};

use super::{
    super::{PATIENCE, gateway, name, works},
    employed,
};

/// Answers with the request, or at length.
fn at_length(request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    if request.windows(4).any(|word| word == b"long") {
        reply.extend(vec![b' '; 64 * 1024]);
    }
    reply
}

/// Long replies are errors for their requests, and the others come as before.
async fn refuses_long_replies<T: Transport>(queue: Queue<T>) {
    let queue = queue.timeout(PATIENCE).max_reply_size(1024);
    let server = gateway(queue.clone()).await;
    works(&server).await;
    let mut client = server.connect("/").await;
    for nth in 1..4 {
        let reply = client.ask_json(json!({"do": "ask", "id": "long"})).await;
        assert_eq!(reply["error"]["code"], "upstream_invalid", "{reply}");
        let short = json!({"do": "ask", "id": "short"});
        assert_eq!(client.ask_json(short.clone()).await, short);
        assert_eq!(queue.dropped().too_large, nth);
    }
}

#[tokio::test]
#[ignore = "needs Redis: run tests/run"]
async fn a_reply_over_redis_that_is_too_large_is_an_error_of_its_request() {
    built_with!("redis", {
        let broker = Broker::redis();
        refuses_long_replies(employed::redis(&broker, at_length)).await;
    });
}

#[tokio::test]
#[ignore = "needs NATS: run tests/run"]
async fn a_reply_over_nats_that_is_too_large_is_an_error_of_its_request() {
    built_with!("nats", {
        let broker = Broker::nats();
        refuses_long_replies(employed::nats(&broker, at_length)).await;
    });
}

#[tokio::test]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_reply_over_rabbitmq_that_is_too_large_is_an_error_of_its_request() {
    built_with!("amqp", {
        let broker = Broker::rabbitmq().await;
        refuses_long_replies(employed::amqp(&broker, at_length)).await;
    });
}

#[tokio::test]
#[ignore = "needs Tansu: run tests/run"]
async fn a_reply_over_kafka_that_is_too_large_is_an_error_of_its_request() {
    built_with!("kafka", {
        let broker = Broker::kafka();
        refuses_long_replies(employed::kafka(&broker, at_length)).await;
    });
}

/// NATS drops what is not taken in time: nothing of what is expected must be.
#[tokio::test]
#[ignore = "needs NATS: run tests/run"]
async fn replies_of_all_requests_may_come_at_once() {
    built_with!("nats", {
        use futures_util::StreamExt;

        const CLIENTS: usize = 10;
        const REQUESTS: usize = 500;
        let broker = Broker::nats();
        let worker = async_nats::connect(broker.url()).await.expect("connected");
        let mut requests = worker.subscribe("orders").await.expect("subscribed");
        worker.flush().await.expect("subscribed");
        let queue = Queue::nats(broker.url(), "orders").timeout(PATIENCE);
        let server = serve(gateway!(channel(
            "/",
            concurrency = REQUESTS,
            queue.clone().publish_timeout(PATIENCE),
        )))
        .await;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = server.connect("/").await;
            for nth in 0..REQUESTS {
                client.send(nth.to_string()).await;
            }
            clients.push(client);
        }
        until("all requests wait", || {
            queue.pending() == CLIENTS * REQUESTS
        })
        .await;
        for _ in 0..CLIENTS * REQUESTS {
            let request = soon(requests.next()).await.expect("a request");
            let reply_to = request.reply.expect("a reply address");
            let replied = worker.publish(reply_to, request.payload).await;
            replied.expect("published");
        }
        for client in &mut clients {
            let mut replies = Vec::new();
            for _ in 0..REQUESTS {
                replies.push(client.text().await.parse::<usize>().expect("a number"));
            }
            replies.sort_unstable();
            assert!(replies.into_iter().eq(0..REQUESTS));
        }
        assert_eq!(queue.pending(), 0);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Tansu: run tests/run"]
async fn gateways_that_share_a_reply_topic_drop_and_count_each_others_replies() {
    built_with!("kafka", {
        let broker = Broker::kafka();
        let one = employed::kafka(&broker, at_length).timeout(PATIENCE);
        let other = Queue::kafka(broker.url(), name("kafka"), name("kafka-replies"));
        let server = gateway(one.clone()).await;
        works(&server).await;
        let (other_server, before) = (gateway(other.clone()).await, one.dropped().foreign);
        works(&other_server).await;
        until("the other's reply is there", || {
            one.dropped().foreign > before
        })
        .await;
        let foreign = other.dropped().foreign;
        works(&server).await;
        until("it is seen there too", || other.dropped().foreign > foreign).await;
        assert_eq!((one.pending(), other.pending()), (0, 0));
    });
}
