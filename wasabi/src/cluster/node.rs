//! A gateway as a member of a cluster.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    engine::{Engine, EngineSession},
    envelope::{NodeId, seal},
    inlet::Inlet,
    keeper::keep,
    names::{MAX_NAME, subject, token},
    table::{State, Table, Target},
};
use crate::{
    BoxError, Error, Registry, Result,
    backend::broker::link::{Opens, SessionLink},
    connection::registry::elsewhere::{Elsewhere, Parcel, Place, WeakRegistry},
    log::limited,
    sync::{Mutex, Unpoisoned},
};

/// How long a publisher waits for the engine.
const PUBLISH: Duration = Duration::from_secs(2);
/// How long somebody waits for a subscription.
const ATTACH: Duration = Duration::from_secs(5);

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
}

/// What runs once the first client has connected.
struct Running<S> {
    link: Arc<SessionLink<S>>,
    _keeper: AbortOnDropHandle<()>,
    _delivery: AbortOnDropHandle<()>,
}

impl<E: Engine> Node<E> {
    pub(super) fn new(engine: Arc<E>, name: Arc<str>) -> Self {
        let (id, table) = (NodeId::random(), Arc::new(Table::default()));
        Self {
            id,
            engine,
            name,
            inlet: Inlet::new(id, Arc::clone(&table)),
            table,
            running: OnceLock::new(),
            registries: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    fn start(&self, runtime: &Handle) -> &Running<E::Session> {
        self.running.get_or_init(|| {
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
            }
        })
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
        Ok(())
    }
}

/// A registry of a gateway that is a member of a cluster.
struct Membership<E: Engine> {
    node: Arc<Node<E>>,
    registry: WeakRegistry,
    /// What its subjects begin with.
    prefix: Arc<str>,
}

impl<E: Engine> Membership<E> {
    fn subject(&self, place: &Place) -> Result<String> {
        subject(&self.prefix, place)
            .ok_or_else(|| Error::bad_request("the name is too long for a cluster"))
    }

    fn told(&self, place: &Place, parcel: &Parcel) -> Result<BoxFuture<'static, Result<()>>> {
        let (subject, link) = (self.subject(place)?, self.node.link()?);
        let message = seal(self.node.id, parcel);
        Ok(async move {
            let deadline = Instant::now() + PUBLISH;
            let up = match timeout_at(deadline, link.up()).await {
                Ok(up) => up?,
                Err(_) => return Err(Error::UpstreamUnreachable(link.down())),
            };
            tokio::select! {
                biased;
                told = up.session.tell(&subject, message) => told,
                // A publisher that waits keeps the session and its subscriptions, next to those of the next one.
                () = up.lost() => Err(Error::UpstreamLost(link.down())),
                () = sleep_until(deadline) => Err(Error::UpstreamLost(
                    "the engine of the cluster has not taken the message in time".into(),
                )),
            }
        }
        .boxed())
    }
}

impl<E: Engine> Elsewhere for Membership<E> {
    fn start(&self) {
        // The program may enter connections outside of a runtime only in tests of its own.
        if let Ok(runtime) = Handle::try_current() {
            self.node.start(&runtime);
        }
    }

    fn occupied(&self, place: &Place) {
        match self.subject(place) {
            Ok(subject) => self.node.table.occupied(subject, || Target {
                registry: self.registry.clone(),
                place: place.clone(),
            }),
            Err(_) => limited!(
                WARN,
                "a group stays within this process: its name is too long for the cluster"
            ),
        }
    }

    fn vacated(&self, place: &Place) {
        if let Ok(subject) = self.subject(place) {
            self.node.table.vacated(&subject);
        }
    }

    fn tell(&self, place: Place, parcel: Parcel) -> BoxFuture<'static, Result<()>> {
        self.told(&place, &parcel)
            .unwrap_or_else(|error| ready(Err(error)).boxed())
    }

    fn attached(&self, place: Place) -> BoxFuture<'static, Result<()>> {
        let (subject, link) = match (self.subject(&place), self.node.link()) {
            (Ok(subject), Ok(link)) => (subject, link),
            (Err(error), _) | (_, Err(error)) => return ready(Err(error)).boxed(),
        };
        if self
            .registry
            .upgrade()
            .is_some_and(|own| own.has_members(&place))
        {
            // Whoever has joined may not have told it yet.
            self.occupied(&place);
        }
        let table = Arc::clone(&self.node.table);
        async move {
            let settled = async {
                loop {
                    let settled = table.settled.notified();
                    tokio::pin!(settled);
                    // Register before checking, or a confirmation in between would be missed.
                    settled.as_mut().enable();
                    match table.state(&subject) {
                        Some(State::Subscribed) => return Ok(()),
                        Some(State::Waiting(_) | State::Asked) => settled.await,
                        None => {
                            return Err(Error::bad_request("the group has no member here"));
                        }
                    }
                }
            };
            match timeout(ATTACH, settled).await {
                Ok(outcome) => outcome,
                Err(_) if link.is_up() => Err(Error::UpstreamUnreachable(
                    "the engine of the cluster has not confirmed the subscription".into(),
                )),
                Err(_) => Err(Error::UpstreamUnreachable(link.down())),
            }
        }
        .boxed()
    }

    fn cluster(&self) -> (usize, &str) {
        (Arc::as_ptr(&self.node.engine).addr(), &self.node.name)
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation) {
        let running = self.node.running.get();
        let state = crate::metrics::ClusterSeen {
            connected: running.is_some_and(|running| running.link.is_up()),
            subscriptions: self.node.table.len(),
            received: self.node.inlet.received(),
            dropped: self.node.inlet.dropped(),
        };
        seen.cluster(Arc::as_ptr(&self.node).addr(), &self.node.name, state);
    }
}
