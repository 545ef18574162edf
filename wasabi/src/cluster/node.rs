//! A gateway as a member of a cluster.

mod membership;

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use self::membership::Membership;
use super::{
    engine::{Engine, EngineSession},
    envelope::NodeId,
    feed::Feed,
    inlet::Inlet,
    keeper::keep,
    kept::{History, follow},
    names::{MAX_NAME, token},
    table::Table,
};
use crate::{
    BoxError, Error, Registry, Result,
    backend::broker::link::{Opens, SessionLink},
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
}

/// A gateway as a member of a cluster.
pub(super) struct Node<E: Engine> {
    id: NodeId,
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

/// What runs once the first client has connected.
struct Running<S> {
    link: Arc<SessionLink<S>>,
    _keeper: AbortOnDropHandle<()>,
    _delivery: AbortOnDropHandle<()>,
    /// What follows the feed, if there are kept groups.
    follower: OnceLock<AbortOnDropHandle<()>>,
}

impl<E: Engine> Node<E> {
    pub(super) fn new(engine: Arc<E>, name: Arc<str>) -> Self {
        let (id, table) = (NodeId::random(), Arc::new(Table::default()));
        let feed = token(&name).map(|name| format!("wasabi.{name}"));
        Self {
            id,
            engine,
            name,
            inlet: Inlet::new(id, Arc::clone(&table)),
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
            Some((_, other)) if *other == registry.address() => return Ok(()),
            Some(_) => {
                return Err(format!(
                    "two registries have the name `{name}` in the cluster"
                ));
            }
            None => registries.push((name, registry.address())),
        }
        drop(registries);
        registry.belongs_to(Arc::new(Membership {
            prefix: prefix.into(),
            registry: registry.downgrade(),
            node: self,
        }))?;
        if registry.keeps_for().is_some()
            && let Some(elsewhere) = registry.elsewhere()
        {
            elsewhere.keep();
        }
        Ok(())
    }
}
