//! Who the gateway is for brokers: in URLs and settings, right and wrong, and never in a log.

use serde_json::json;
use wasabi::{prelude::*, queue::Transport};
use wasabi_tests::{broker::Broker, log::Log, soon};

use super::super::{PATIENCE, gateway};

const SECRET: &str = "s3cr:t/@";
/// The same in a URL.
const ENCODED: &str = "s3cr%3At%2F%40";

async fn connects<T: Transport>(transport: &T) -> Result<T::Session, String> {
    transport.check().expect("no mistake");
    let inbox = Queue::callback(async |_, _| Ok::<_, wasabi::Error>(())).inbox();
    let connected = soon(transport.connect(inbox)).await;
    connected.map_err(|error| error.to_string())
}

/// The broker says no: that is in the log, in its words, and a request is told that nothing was sent.
async fn is_refused<T: Transport>(queue: Queue<T>, why: &str) {
    let log = Log::of(tracing::Level::DEBUG);
    assert!(!format!("{queue:?}").contains("s3cr"));
    let server = gateway(queue.publish_timeout(std::time::Duration::from_secs(2))).await;
    let mut client = server.connect("/").await;
    let reply = client.ask_json(json!({"do": "ask", "id": 1})).await;
    assert_eq!(reply["error"]["code"], "upstream_unreachable");
    let said = |line: &String| line.to_lowercase().contains(why) && line.contains("WARN");
    let lines = log.lines("cannot connect to the broker");
    assert!(lines.iter().any(said), "{lines:?}");
    assert!(!log.text().contains("s3cr"), "{}", log.text());
}

#[cfg(feature = "nats")]
mod nats {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use nkeys::KeyPair;
    use serde_json::{Value, json};
    use wasabi::queue::Nats;

    use super::*;

    /// Of the kind that `nsc` writes (NATS' decentralized JWTs, version 2).
    fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
        let encoded = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let claims = json!({
            "jti": "1", "iat": 1_700_000_000, "name": "test", "nats": claims,
            "iss": issuer.public_key(), "sub": subject.public_key(),
        });
        let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = issuer.sign(signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn credentials(account: &KeyPair, user: &KeyPair) -> String {
        let unlimited = json!({
            "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
        });
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(account, user, &unlimited),
            user.seed().expect("a seed"),
        )
    }

    async fn is_let_in(nats: Nats) {
        connects(&nats).await.expect("connected");
    }

    async fn is_kept_out(nats: Nats) {
        let refused = connects(&nats).await.map(drop).expect_err("refused");
        assert!(refused.contains("authorization violation"), "{refused}");
    }

    #[tokio::test]
    #[ignore = "needs NATS: run tests/run"]
    async fn nats_authenticates_a_user_by_password() {
        let config = format!("authorization {{ user: gateway, password: {SECRET:?} }}");
        let broker = Broker::nats_with(&config);
        let with = |user: &str| broker.url().replace("://", &format!("://{user}@"));
        is_let_in(Nats::new(with(&format!("gateway:{ENCODED}")))).await;
        is_let_in(Nats::new(broker.url()).user("gateway", SECRET)).await;
        is_kept_out(Nats::new(broker.url())).await;
        is_kept_out(Nats::new(with("gateway:s3cret"))).await;
        is_kept_out(Nats::new(broker.url()).user("gateway", "s3cret")).await;
        let wrong = with("gateway:s3cret");
        is_refused(Queue::nats(wrong, "orders"), "authorization violation").await;
    }

    #[tokio::test]
    #[ignore = "needs NATS: run tests/run"]
    async fn nats_authenticates_a_client_by_token() {
        let broker = Broker::nats_with(&format!("authorization {{ token: {SECRET:?} }}"));
        let with = |token: &str| broker.url().replace("://", &format!("://{token}@"));
        is_let_in(Nats::new(with(ENCODED))).await;
        is_let_in(Nats::new(broker.url()).token(SECRET)).await;
        is_kept_out(Nats::new(with("s3cret"))).await;
        is_kept_out(Nats::new(broker.url()).token("s3cret")).await;
    }

    #[tokio::test]
    #[ignore = "needs NATS: run tests/run"]
    async fn nats_authenticates_a_client_by_nkey() {
        let user = KeyPair::new_user();
        let users = format!(
            "authorization {{ users: [{{ nkey: {} }}] }}",
            user.public_key()
        );
        let broker = Broker::nats_with(&users);
        let nats = |key: &KeyPair| Nats::new(broker.url()).nkey(key.seed().expect("a seed"));
        is_let_in(nats(&user)).await;
        is_kept_out(nats(&KeyPair::new_user())).await;
    }

    #[tokio::test]
    #[ignore = "needs NATS: run tests/run"]
    async fn nats_authenticates_a_client_by_a_credentials_file() {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
        let of_operator = jwt(
            &operator,
            &operator,
            &json!({"type": "operator", "version": 2}),
        );
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1,
        });
        let account_claims = json!({"type": "account", "version": 2, "limits": limits});
        let of_account = jwt(&operator, &account, &account_claims);
        let broker = Broker::nats_with(&format!(
            "operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {}: {of_account} }}\n",
            account.public_key()
        ));
        let text = credentials(&account, &KeyPair::new_user());
        is_let_in(Nats::new(broker.url()).credentials(&text)).await;

        // Another file counts for the next connection.
        let path = std::env::temp_dir().join(format!("wasabi-{}.creds", std::process::id()));
        std::fs::write(
            &path,
            credentials(&KeyPair::new_account(), &KeyPair::new_user()),
        )
        .unwrap();
        let nats = Nats::new(broker.url()).credentials_file(&path);
        let refused = connects(&nats)
            .await
            .map(drop)
            .expect_err("another account's");
        assert!(refused.contains("authorization violation"), "{refused}");
        std::fs::write(&path, text).unwrap();
        is_let_in(nats).await;
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn invalid_credentials_keep_the_gateway_from_being_served() {
        let seed = "SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM";
        let local = || Nats::new("nats://localhost");
        for (nats, why) in [
            (local().nkey("s3cret"), "nkey"),
            (local().nkey(&seed[1..]), "nkey"),
            (local().credentials("s3cret"), "invalid credentials"),
            (
                local().credentials_file("/nowhere/nats.creds"),
                "/nowhere/nats.creds",
            ),
            (
                Nats::new("nats://s3cret@localhost").token("s3cret"),
                "both contain credentials",
            ),
            (
                Nats::new("nats://s3cret@a,nats://a:s3cret@b"),
                "different credentials",
            ),
            (Nats::new("nats://:s3cret@localhost"), "no user"),
            (Nats::new("ws://s3cret@localhost"), "nats://"),
        ] {
            let mistake = nats.check().expect_err("a mistake");
            assert!(mistake.contains(why), "{mistake}");
            assert!(!mistake.contains("s3cret"), "{mistake}");
        }
        for nats in [
            local().nkey(seed),
            Nats::new("nats://s3cret@a,nats://b,tls://s3cret@c"),
        ] {
            assert_eq!(nats.check(), Ok(()));
        }
    }
}

#[tokio::test]
#[ignore = "needs Redis: run tests/run"]
async fn redis_authenticates_a_user_of_its_acl_by_password() {
    built_with!("redis", {
        let broker = Broker::redis();
        let client = redis::Client::open(broker.url()).expect("a URL");
        let mut admin = client
            .get_multiplexed_async_connection()
            .await
            .expect("connected");
        let mut acl = redis::cmd("ACL");
        acl.arg("SETUSER")
            .arg("gateway")
            .arg("on")
            .arg(format!(">{SECRET}"));
        acl.arg("~*").arg("+@all");
        acl.exec_async(&mut admin).await.expect("a user");
        let with = |user: &str| broker.url().replace("://", &format!("://{user}@"));
        let right = wasabi::queue::Redis::new(with(&format!("gateway:{ENCODED}")));
        connects(&right).await.expect("connected");
        is_refused(
            Queue::redis(with("gateway:s3cret"), "orders"),
            "authentication failed",
        )
        .await;
    });
}

#[tokio::test]
#[ignore = "needs RabbitMQ: run tests/run"]
async fn rabbitmq_authenticates_a_user_by_password() {
    built_with!("amqp", {
        let broker = Broker::rabbitmq().await;
        let encoded = broker.url().replace("guest:guest", "%67uest:%67uest");
        connects(&wasabi::queue::Amqp::new(encoded))
            .await
            .expect("connected");
        let wrong = broker.url().replace("guest:guest", "guest:s3cret");
        let queue = Queue::amqp(wrong, "orders").timeout(PATIENCE);
        is_refused(queue, "access_refused").await;
    });
}

#[test]
fn kafka_takes_only_credentials_that_it_can_send() {
    #[cfg(feature = "kafka")]
    {
        use rdkafka::{ClientConfig, producer::FutureProducer};
        use wasabi::queue::Kafka;

        let kafka = Kafka::new("kafka://me:s3cret@localhost:9092", "replies");
        let mistake = kafka.check().expect_err("a mistake");
        assert!(
            mistake.contains("sasl.password") && !mistake.contains("s3cret"),
            "{mistake}"
        );
        let kafka = Kafka::new("kafka://localhost:9092", "replies");
        let mistake = kafka.check().expect_err("a mistake");
        assert!(mistake.contains("without `kafka://`"), "{mistake}");
        for (mechanism, is_there) in [("PLAIN", true), ("SCRAM-SHA-256", false), ("", false)] {
            let mut settings = vec![
                ("security.protocol", "sasl_plaintext"),
                ("sasl.username", "me"),
                ("sasl.password", "s3cret"),
            ];
            if !mechanism.is_empty() {
                settings.push(("sasl.mechanisms", mechanism));
            }
            // What librdkafka says to it.
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", "127.0.0.1:1");
            let mut kafka = Kafka::new("127.0.0.1:1", "replies");
            for (name, value) in settings {
                config.set(name, value);
                kafka = kafka.set(name, value);
            }
            let client: Result<FutureProducer, _> = config.create();
            assert_eq!(
                client
                    .map(super::super::worker::kafka::Elsewhere::new)
                    .is_ok(),
                is_there
            );
            assert_eq!(kafka.check().is_ok(), is_there);
        }
    }
}
