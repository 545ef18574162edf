//! One gateway in several processes: what is published to a group reaches its members wherever they are connected.
//!
//! [`Cluster`] is the setting. The rest is for an engine that the library does not ship.

mod engine;
mod envelope;
mod feed;
mod inlet;
mod keeper;
mod kept;
mod memory;
mod names;
#[cfg(feature = "nats")]
mod nats;
mod node;
mod nodes;
#[cfg(feature = "redis")]
mod redis;
mod table;
mod talk;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

#[cfg(feature = "nats")]
pub use self::nats::NatsNode;
use self::node::AnyEngine;
pub(crate) use self::node::Attach;
#[cfg(feature = "redis")]
pub use self::redis::RedisNode;
pub use self::{
    engine::{Engine, EngineSession},
    feed::{Entry, Feed, Page, Record},
    inlet::Inlet,
    memory::{Memory, MemoryNode},
};
use crate::mistakes::Mistakes;

/// The gateways of several processes as one: the setting `cluster` of [`gateway!`](crate::gateway!).
///
/// Clients of a service are usually spread over several processes. [`Group::publish`](crate::Group::publish) reaches the
/// members of a group in all of them. What the processes have in common is an engine, a server that passes messages on:
/// NATS, or Redis or Valkey with its Pub/Sub, alone, watched by Sentinels or as a Redis Cluster.
///
/// ```
/// use wasabi::{Cluster, prelude::*};
///
/// async fn join(State(registry): State<Registry>, room: Text, connection: Connection) {
///     registry.join(&*room, &connection);
/// }
///
/// async fn say(State(registry): State<Registry>, text: Text) -> Result<()> {
///     registry.group("lobby").publish(text).await.elsewhere
/// }
///
/// # fn gateway() -> Gateway {
/// let registry = Registry::new();
/// gateway!(
///     state = registry.clone(),
///     cluster = Cluster::memory().name("chat"),
///     channel(
///         "/chat",
///         registry = registry,
///         parser = JsonKey::at("/do"),
///         match key {
///             "join" => join,
///             _ => say,
///         },
///     ),
/// )
/// # }
/// # assert!(gateway().check().is_ok());
/// ```
///
/// A group is the same group in all processes whose cluster has the same [name](Self::name) and whose registry has the
/// same name: the path of its channel as the declaration has it, or [`Registry::named`](crate::Registry::named).
///
/// # What it promises
///
/// * Members in the publisher's process get a message at once, whatever the state of the engine.
/// * Members elsewhere get it at most once. It is lost where the engine is away or a process cannot keep up.
/// * Each member gets the messages of one publisher, who awaits each call, in their order. Messages of different
///   publishers may reach different members in different orders.
/// * A process receives the messages of a group while it has a member, and up to 5 s longer.
///   [`Group::attached`](crate::Group::attached) waits until it receives them.
///
/// [`Registry::broadcast`](crate::Registry::broadcast) and [`Group::broadcast`](crate::Group::broadcast) stay within the
/// process.
///
/// # Connection
///
/// Each gateway has connections of its own to the engine, which it opens when its [`Server`](crate::Server) listens, or
/// else when the first client connects. A lost connection is opened again after pauses that grow from 50 ms to 2 s, and all
/// groups with members are subscribed to again. An engine that is connected and silent for about 7 s counts as lost. The readiness of the server does not
/// depend on the engine: local delivery goes on without it, and otherwise all processes would be taken out of service at
/// once. Watch `wasabi_cluster_connected` instead ([`Admin::metrics`](crate::Admin::metrics)).
///
/// # Nodes
///
/// A gateway of the cluster is a node. Each says every 3 s that it is there, and good-bye when its server has drained. One
/// that was not heard of for 10 s is gone. Nodes keep nothing else of each other: what somebody asks about the connections
/// of other nodes ([`Group::presence`](crate::Group::presence), [`Registry::connection`](crate::Registry::connection),
/// [`Registry::nodes`](crate::Registry::nodes)) is asked of them at that moment. The answer comes when all have answered who
/// are there, or after a second, and says who has not.
///
/// # Memory
///
/// At most 16 384 messages, of at most 16 MiB together or one message, wait to be delivered in this process. Further
/// ones are dropped, counted (`wasabi_cluster_dropped_messages_total`) and logged as a warning. Anyone who can publish at
/// the engine can send to all clients, so engines must be as trusted as any other part of the backend.
#[derive(Clone)]
#[must_use = "a cluster does nothing until it is the setting of a gateway"]
pub struct Cluster {
    engine: Arc<dyn AnyEngine>,
    name: Arc<str>,
    mistakes: Mistakes,
}

impl Cluster {
    /// A cluster over this engine: [`Nats`](crate::queue::Nats) or [`Redis`](crate::queue::Redis) with the ways to log in
    /// and the TLS that queues have, [`Memory`], or one of your own.
    ///
    /// ```
    /// # #[cfg(feature = "nats")] {
    /// use wasabi::{Cluster, queue::Nats};
    ///
    /// let nats = Nats::new("tls://nats-1:4222,tls://nats-2:4222").credentials_file("/run/secrets/nats.creds");
    /// let cluster = Cluster::new(nats).name("chat");
    /// # drop(cluster);
    /// # }
    /// ```
    pub fn new(engine: impl Engine) -> Self {
        Self {
            engine: Arc::new(engine),
            name: Arc::from("default"),
            mistakes: Mistakes::default(),
        }
    }

    /// A cluster within this process: each gateway that a clone of it is passed to is a member. Use it in tests, or to
    /// write the same code for one process and for several.
    pub fn memory() -> Self {
        Self::new(Memory::new())
    }

    /// Names the cluster, so that several can use one server; `default` by default. An empty name or one of more than 64
    /// bytes is a mistake.
    ///
    /// Every subject (NATS) and channel (Redis) begins with `wasabi.`, the name and a dot: `wasabi.chat.`. Characters
    /// other than ASCII letters, digits, `-` and `_` are percent-encoded there.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self.mistakes.keep(wasabi_rules::cluster_name(&self.name));
        self
    }

    /// Makes a gateway a member.
    pub(crate) fn node(&self) -> Arc<dyn Attach> {
        Arc::clone(&self.engine).node(Arc::clone(&self.name))
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.mistakes.check()?;
        self.engine.check()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
