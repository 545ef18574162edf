//! TLS to brokers that demand certificates of their clients.

use wasabi::{prelude::*, queue::Transport, rustls::ClientConfig};
use wasabi_tests::{authority::Authority, broker::Broker, soon};

use super::super::{echo, employ, gateway, passes_everything, worker, works};

/// Why no session comes about.
async fn refusal<T: Transport>(transport: T) -> String {
    transport.check().expect("no mistake");
    let inbox = Queue::callback(async |_, _| Ok::<_, wasabi::Error>(())).inbox();
    let refused = soon(transport.connect(inbox)).await;
    match refused {
        Ok(_) => panic!("connected"),
        Err(error) => error.to_string(),
    }
}

/// Whoever is at the other end, and whoever the client is, the broker's certificates are what counts.
async fn knows_friends<T: Transport>(
    authority: &Authority,
    transport: impl Fn(ClientConfig) -> T,
    topic: &str,
) {
    let stranger = Authority::new();
    let refused = refusal(transport(stranger.client())).await;
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    let refused = refusal(transport(authority.anonymous_client())).await;
    assert!(!refused.is_empty());

    let queue = Queue::new(transport(authority.client()), topic.to_owned());
    let server = gateway(queue).await;
    works(&server).await;
    passes_everything(&server).await;
}

#[tokio::test]
#[ignore = "needs Redis: run tests/run"]
async fn a_queue_speaks_tls_to_redis() {
    built_with!("redis", {
        let authority = Authority::new();
        let broker = Broker::redis_with_tls(&authority);
        let (plain, url) = (broker.url(), broker.tls_url());
        employ(move || {
            let url = plain.clone();
            async move { worker::redis::serve(&url, "orders", echo).await }
        });
        knows_friends(
            &authority,
            |tls| wasabi::queue::Redis::new(&url).tls_config(tls),
            "orders",
        )
        .await;
    });
}

#[tokio::test]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn a_queue_speaks_tls_to_rabbitmq() {
    built_with!("amqp", {
        let authority = Authority::new();
        let broker = Broker::rabbitmq_with_tls(&authority);
        let (plain, url) = (broker.url(), broker.tls_url());
        employ(move || {
            let url = plain.clone();
            async move { worker::amqp::serve(&url, "orders", echo).await }
        });
        knows_friends(
            &authority,
            |tls| wasabi::queue::Amqp::new(&url).tls_config(tls),
            "orders",
        )
        .await;
    });
}

#[tokio::test]
#[ignore = "needs NATS: run tests/run"]
async fn a_queue_speaks_tls_to_nats() {
    built_with!("nats", {
        use futures_util::StreamExt;

        let authority = Authority::new();
        let broker = Broker::nats_with_tls(&authority);
        let url = broker.tls_url();
        let options = async_nats::ConnectOptions::new().tls_client_config(authority.client());
        let worker = options.connect(&url).await.expect("connected");
        let mut requests = worker.subscribe("orders").await.expect("subscribed");
        worker.flush().await.expect("subscribed");
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let (reply_to, headers) = (request.reply, request.headers);
                let (Some(reply_to), Some(headers)) = (reply_to, headers) else {
                    continue;
                };
                let replied = worker.publish_with_headers(reply_to, headers, request.payload);
                replied.await.expect("published");
            }
        });
        knows_friends(
            &authority,
            |tls| wasabi::queue::Nats::new(&url).tls_config(tls),
            "orders",
        )
        .await;
    });
}

/// A configuration of TLS, or a URL that wants it, is never silently without effect.
#[tokio::test]
#[ignore = "needs NATS: run tests/run"]
async fn with_tls_configured_nothing_is_sent_unencrypted() {
    built_with!("nats", {
        let broker = Broker::nats();
        let client = || Authority::new().client();
        let encrypted = broker.url().replace("nats://", "tls://");
        for nats in [
            wasabi::queue::Nats::new(broker.url()).tls_config(client()),
            wasabi::queue::Nats::new(&encrypted).tls_config(client()),
            wasabi::queue::Nats::new(&encrypted),
        ] {
            assert!(!refusal(nats).await.is_empty());
        }
    });
}

#[tokio::test]
#[ignore = "needs NATS: run tests/run"]
async fn each_nats_url_says_whether_its_connection_is_encrypted() {
    built_with!("nats", {
        let broker = Broker::nats();
        // The first server is down, the second one has no TLS.
        let urls = format!("tls://127.0.0.1:1,{}", broker.url());
        let nats = wasabi::queue::Nats::new(urls);
        // The client library begins with a random one.
        for _ in 0..8 {
            let inbox = Queue::callback(async |_, _| Ok::<_, wasabi::Error>(())).inbox();
            let connected = soon(nats.connect(inbox)).await;
            connected.expect("the second server");
        }
    });
}

#[test]
fn a_mistake_about_tls_keeps_the_gateway_from_being_served() {
    #[cfg(feature = "redis")]
    {
        let check = |redis: wasabi::queue::Redis| redis.check().expect_err("a mistake");
        let mistake = check(wasabi::queue::Redis::new("rediss://localhost/#insecure"));
        assert!(mistake.contains("always verified"), "{mistake}");
        let mistake = check(
            wasabi::queue::Redis::new("redis://localhost/").tls_config(Authority::new().client()),
        );
        assert!(mistake.contains("`rediss`"), "{mistake}");
    }
    #[cfg(feature = "amqp")]
    {
        let amqp =
            wasabi::queue::Amqp::new("amqp://localhost/").tls_config(Authority::new().client());
        let mistake = amqp.check().expect_err("a mistake");
        assert!(mistake.contains("`amqps`"), "{mistake}");
    }
    #[cfg(feature = "kafka")]
    {
        let kafka = wasabi::queue::Kafka::new("localhost", "replies");
        let mistake = kafka.set("security.protocol", "ssl").check();
        let mistake = mistake.expect_err("a mistake");
        assert!(mistake.contains("OpenSSL"), "{mistake}");
    }
}
