//! A gateway as a member of a cluster.

mod membership;

use std::sync::{Arc, OnceLock};

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use self::membership::Membership;
use super::{
    engine::{Engine, EngineSession},
    feed::Feed,
    inlet::Inlet,
    keeper::keep,
    kept::{History, follow},
    names::{MAX_NAME, token},
    nodes::Nodes,
    table::Table,
    talk,
};
use crate::{
    BoxError, Error, Registry, Result,
    backend::broker::link::{Opens, SessionLink},
    connection::registry::address::NodeId,
    sync::{Mutex, Unpoisoned},
};

/// The mistake of kept groups with an engine that keeps nothing.
const KEEPS_NOTHING: &str = "kept groups (`groups = [..]`) need a cluster whose engine keeps messages, such as `Cluster::nats(..)`, `Cluster::redis(..)` or `Cluster::memory()`; this one only passes them on";

/// An engine of any type.
pub(super) trait AnyEngine: Send + Sync {
    fn check(&self) -> Result<(), String>;

    /// Makes a gateway a member of the cluster with this name.
    fn node(self: Arc<Self>, name: Arc<str>) -> Arc<dyn Attach>;
}

impl<E: Engine> AnyEngine for E {
    fn check(&self) -> Result<(), String> {
        Engine::check(self)
    }

    fn node(self: Arc<Self>, name: Arc<str>) -> Arc<dyn Attach> {
        Arc::new(Node::new(self, name))
    }
}

/// A gateway as a member of a cluster, whatever its engine.
pub(crate) trait Attach: Send + Sync {
    /// Connects the registry of a channel at this path with those of the other gateways.
    fn attach(self: Arc<Self>, registry: &Registry, path: &str) -> Result<(), String>;

    /// Connects to the others. It must be called within a runtime.
    fn start(&self);

    /// Tells the others that this node goes, unless it has connections. Takes a bounded time.
    fn leave(&self) -> BoxFuture<'_, ()>;
}

/// A gateway as a member of a cluster.
pub(super) struct Node<E: Engine> {
    nodes: Arc<Nodes>,
    engine: Arc<E>,
    name: Arc<str>,
    table: Arc<Table>,
    inlet: Inlet,
    running: OnceLock<Running<E::Session>>,
    registries: Mutex<Vec<(Arc<str>, usize)>>,
    /// The name of the feed.
    feed: Option<Arc<str>>,
    history: Arc<History>,
}

/// What runs once the node has been started.
struct Running<S> {
    runtime: Handle,
    link: Arc<SessionLink<S>>,
    _keeper: AbortOnDropHandle<()>,
    _delivery: AbortOnDropHandle<()>,
    /// What follows the feed, if there are kept groups.
    follower: OnceLock<AbortOnDropHandle<()>>,
    _nodes: Vec<AbortOnDropHandle<()>>,
}

impl<E: Engine> Node<E> {
    pub(super) fn new(engine: Arc<E>, name: Arc<str>) -> Self {
        let table = Arc::new(Table::default());
        let nodes = Nodes::new(NodeId::random(), &name);
        let feed = token(&name).map(|name| format!("wasabi.{name}"));
        Self {
            engine,
            name,
            inlet: Inlet::new(Arc::clone(&nodes), Arc::clone(&table)),
            nodes,
            table,
            running: OnceLock::new(),
            registries: Mutex::default(),
            feed: feed.map(Into::into),
            history: Arc::new(History::new()),
        }
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    fn start(&self, runtime: &Handle) -> &Running<E::Session> {
        let running = self.running.get_or_init(|| {
            let _in_runtime = runtime.enter();
            let link = Arc::new(SessionLink::open(Sessions {
                engine: Arc::clone(&self.engine),
                inlet: self.inlet.clone(),
            }));
            let keeper = tokio::spawn(keep(Arc::clone(&self.table), Arc::clone(&link)));
            let delivery = tokio::spawn(self.inlet.clone().deliver());
            Running {
                runtime: runtime.clone(),
                _nodes: talk::start(&self.nodes, &link),
                link,
                _keeper: AbortOnDropHandle::new(keeper),
                _delivery: AbortOnDropHandle::new(delivery),
                follower: OnceLock::new(),
            }
        });
        if let Some(feed) = self.feed() {
            running.follower.get_or_init(|| {
                let _in_runtime = runtime.enter();
                let (history, link) = (Arc::clone(&self.history), Arc::clone(&running.link));
                AbortOnDropHandle::new(tokio::spawn(follow(history, feed, link)))
            });
        }
        running
    }

    /// The feed of the cluster, if there are kept groups.
    fn feed(&self) -> Option<Feed> {
        let name = self.feed.as_ref().filter(|_| self.history.is_wanted())?;
        Some(Feed::new(Arc::clone(name), self.history.age()))
    }

    fn link(&self) -> Result<Arc<SessionLink<E::Session>>> {
        let runtime = Handle::try_current().map_err(Error::internal)?;
        Ok(Arc::clone(&self.start(&runtime).link))
    }
}

/// Opens the sessions of a node.
struct Sessions<E> {
    engine: Arc<E>,
    inlet: Inlet,
}

impl<E: Engine> Opens for Sessions<E> {
    type Session = E::Session;

    async fn open(&self) -> Result<E::Session, BoxError> {
        self.engine.connect(self.inlet.clone()).await
    }

    async fn ended(session: &E::Session) -> BoxError {
        session.closed().await
    }

    fn served(&self) -> u64 {
        self.inlet.received()
    }
}

impl<E: Engine> Attach for Node<E> {
    fn attach(self: Arc<Self>, registry: &Registry, path: &str) -> Result<(), String> {
        if registry.keeps_for().is_some() && !self.engine.keeps() {
            return Err(KEEPS_NOTHING.to_owned());
        }
        let name = match registry.name() {
            Some(name) => Arc::clone(name),
            None => Arc::from(path),
        };
        let too_long =
            || format!("the name of a registry in a cluster has at most {MAX_NAME} bytes");
        let cluster = token(&self.name).ok_or_else(too_long)?;
        let prefix = format!("wasabi.{cluster}.{}", token(&name).ok_or_else(too_long)?);
        let registries = self.registries.lock();
        let mut registries = registries.unpoisoned();
        match registries.iter().find(|(other, _)| *other == name) {
            Some((_, other)) if *other == registry.pointer() => return Ok(()),
            Some(_) => {
                return Err(format!(
                    "two registries have the name `{name}` in the cluster"
                ));
            }
            None => registries.push((Arc::clone(&name), registry.pointer())),
        }
        drop(registries);
        let own = self.nodes.id();
        registry.belongs_to(Arc::new(Membership {
            prefix: prefix.into(),
            name: Arc::clone(&name),
            registry: registry.downgrade(),
            node: Arc::clone(&self),
        }))?;
        // Another gateway of this process may have it already.
        if registry
            .elsewhere()
            .is_some_and(|elsewhere| elsewhere.node() == own)
        {
            self.nodes.add(name, registry.downgrade());
        }
        if registry.keeps_for().is_some()
            && let Some(elsewhere) = registry.elsewhere()
        {
            elsewhere.keep();
        }
        Ok(())
    }

    fn start(&self) {
        if self.nodes.has_registries()
            && let Ok(runtime) = Handle::try_current()
        {
            self.start(&runtime);
        }
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        match self.running.get() {
            Some(running) => talk::bye(&self.nodes, &running.link).boxed(),
            None => ready(()).boxed(),
        }
    }
}

impl<E: Engine> Drop for Node<E> {
    fn drop(&mut self) {
        let (Some(running), Ok(runtime)) = (self.running.take(), Handle::try_current()) else {
            return;
        };
        let nodes = Arc::clone(&self.nodes);
        runtime.spawn(async move { talk::bye(&nodes, &running.link).await });
    }
}
