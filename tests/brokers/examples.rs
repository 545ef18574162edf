//! The example `queue` over each broker.

use super::super::*;

/// Gateway and worker of the example, in processes of their own.
async fn the_example_works(option: &str, broker: &Broker) {
    let start = |part, word| {
        let url = broker.url();
        let args = ["--addr", "127.0.0.1:0", "--only", part, option, &url];
        Example::start_until(word, "queue", &args)
    };
    let (_worker, gateway) = (start("worker", "orders"), start("gateway", "ws://"));
    let (mut socket, _) = soon(tokio_tungstenite::connect_async(gateway.url()))
        .await
        .expect("handshake");
    let works = async {
        loop {
            let order = r#"{"action":"order.place","id":7,"item":"tea"}"#;
            socket.send(order.into()).await.expect("send");
            let reply = socket.next().await.expect("a reply").expect("a reply");
            if reply == Frame::text(r#"{"id":7,"placed":"tea"}"#) {
                break;
            }
            // The worker may be the last one to connect.
            let reply = reply.to_string();
            assert!(reply.contains("error"), "{reply}");
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, works).await.expect("it works in the end");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run tests/run"]
async fn the_queue_example_works_over_redis() {
    built_with!("redis", {
        the_example_works("--redis", &Broker::redis()).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn the_queue_example_works_over_rabbitmq() {
    built_with!("amqp", {
        the_example_works("--amqp", &Broker::rabbitmq().await).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS: run tests/run"]
async fn the_queue_example_works_over_nats() {
    built_with!("nats", {
        the_example_works("--nats", &Broker::nats()).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Tansu: run tests/run"]
async fn the_queue_example_works_over_kafka() {
    built_with!("kafka", {
        the_example_works("--kafka", &Broker::kafka()).await;
    });
}
