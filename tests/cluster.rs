//! Gateways of several processes as one, over each engine. The gateways of a test are in one process, and each has its own
//! connections to the engine.

#![cfg_attr(
    not(any(feature = "nats", feature = "redis")),
    allow(dead_code, unused_imports, unused_variables)
)]

use std::time::Duration;

use tokio::time::timeout;
use wasabi::{Cluster, prelude::*};
use wasabi_tests::{
    Client, TestServer,
    broker::Broker,
    redis_servers::{RedisCluster, SENTINEL_PASSWORD, Watched},
    serve, soon,
};

/// Longer than anything takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs the body if the tests are built with the feature.
macro_rules! built_with {
    ($feature:literal, $body:block) => {{
        #[cfg(feature = $feature)]
        $body
        #[cfg(not(feature = $feature))]
        panic!("built without the feature {}: run tests/run", $feature);
    }};
}

async fn over_memory(conforms: impl AsyncFnOnce(Cluster)) {
    conforms(Cluster::memory()).await;
}

async fn over_unsteady(conforms: impl AsyncFnOnce(Cluster)) {
    conforms(Cluster::new(cluster::unsteady::Unsteady::default())).await;
}

async fn over_nats(conforms: impl AsyncFnOnce(Cluster)) {
    built_with!("nats", {
        let broker = Broker::nats();
        conforms(Cluster::nats(broker.url())).await;
    });
}

async fn over_redis(conforms: impl AsyncFnOnce(Cluster)) {
    built_with!("redis", {
        let broker = Broker::redis();
        conforms(Cluster::redis(broker.url())).await;
    });
}

async fn over_sentinel(conforms: impl AsyncFnOnce(Cluster)) {
    built_with!("redis", {
        let servers = Watched::start(None);
        let redis = wasabi::queue::Redis::new(servers.url());
        conforms(Cluster::new(
            redis.sentinel_user("default", SENTINEL_PASSWORD),
        ))
        .await;
    });
}

async fn over_redis_cluster(conforms: impl AsyncFnOnce(Cluster)) {
    built_with!("redis", {
        let servers = RedisCluster::of_three(None);
        conforms(Cluster::redis(servers.url())).await;
    });
}

/// Each of these over each engine.
#[rustfmt::skip]
macro_rules! over_each_engine {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { crate::over_memory(super::$name).await; })*
        }

        mod unsteady {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { crate::over_unsteady(super::$name).await; })*
        }

        mod nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs NATS: run tests/run"]
            async fn $name() { crate::over_nats(super::$name).await; })*
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs Redis: run tests/run"]
            async fn $name() { crate::over_redis(super::$name).await; })*
        }

        mod sentinel {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs Redis: run tests/run"]
            async fn $name() { crate::over_sentinel(super::$name).await; })*
        }

        mod redis_cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs Redis: run tests/run"]
            async fn $name() { crate::over_redis_cluster(super::$name).await; })*
        }
    };
}

mod cluster {
    mod announced;
    mod conformance;
    mod engines;
    mod gaps;
    mod history;
    mod kept;
    mod kept_engines;
    mod kept_node;
    mod kept_processes;
    mod manage;
    mod many_groups;
    mod presence;
    mod processes;
    #[cfg(feature = "redis")]
    mod redis_servers;
    #[cfg(feature = "nats")]
    mod replicas;
    mod rolling;
    mod subscriptions;
    pub(crate) mod unsteady;
    mod users;
}

/// One of the gateways of a cluster.
struct Node {
    registry: Registry,
    server: TestServer,
}

/// Joins the group that the text names, and answers when it is attached.
async fn join(
    State(registry): State<Registry>,
    text: Text,
    connection: Connection,
) -> Result<&'static str> {
    registry.join(&*text, &connection);
    registry.group(&*text).attached().await?;
    Ok("joined")
}

impl Node {
    async fn of(cluster: &Cluster) -> Self {
        Self::with(cluster, Registry::new().max_group_bytes(16 * 1024 * 1024)).await
    }

    async fn with(cluster: &Cluster, registry: Registry) -> Self {
        let gateway = gateway!(
            state = registry.clone(),
            cluster = cluster.clone(),
            channel(
                "/",
                registry = registry.clone(),
                max_waiting_messages = 10_000,
                max_waiting_bytes = 16MiB,
                join,
            ),
        );
        let server = serve(gateway).await;
        Self { registry, server }
    }

    async fn three(cluster: &Cluster) -> [Self; 3] {
        [
            Self::of(cluster).await,
            Self::of(cluster).await,
            Self::of(cluster).await,
        ]
    }

    /// A client in this group.
    async fn member(&self, group: &str) -> Client {
        let mut client = self.server.connect("/").await;
        assert_eq!(client.ask(group).await, "joined");
        client
    }

    /// Publishes to a group, and returns how many members here have the message.
    async fn says(&self, group: &str, text: impl Into<String>) -> usize {
        let published = self.registry.group(group).publish(text.into()).await;
        published.elsewhere.expect("an engine");
        assert!(published.here.skipped.is_empty());
        published.here.sent
    }
}
