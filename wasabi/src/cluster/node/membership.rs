//! A registry of a gateway that is a member of a cluster.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::Node;
use crate::{
    ConnectionId, Error, InvalidPosition, Joined, KeptMessages, Message, Position, Registry,
    Result, Stored,
    backend::broker::link::{SessionLink, Up},
    cluster::{
        engine::{Engine, EngineSession},
        envelope::seal,
        feed::{Record, cannot_store},
        names::subject,
        table::{State, Target},
        talk::{self, Asking},
    },
    connection::registry::{
        address::NodeId,
        elsewhere::{Asked, Elsewhere, Parcel, Place, WeakRegistry, Whom},
    },
    log::limited,
};

/// How long a publisher waits for the engine.
const PUBLISH: Duration = Duration::from_secs(2);
/// How long somebody waits for a subscription.
const ATTACH: Duration = Duration::from_secs(5);

/// A registry of a gateway that is a member of a cluster.
pub(super) struct Membership<E: Engine> {
    pub(super) node: Arc<Node<E>>,
    pub(super) registry: WeakRegistry,
    /// What its subjects begin with.
    pub(super) prefix: Arc<str>,
    pub(super) name: Arc<str>,
}

impl<E: Engine> Membership<E> {
    fn is_kept(&self, place: &Place) -> bool {
        let Place::Group(name) = place else {
            return false;
        };
        let registry = self.registry.upgrade();
        registry.is_some_and(|registry| registry.kept(name).is_some())
    }

    fn subject(&self, place: &Place) -> Result<String> {
        subject(&self.prefix, place)
            .ok_or_else(|| Error::bad_request("the name is too long for a cluster"))
    }

    fn told(&self, place: &Place, parcel: &Parcel) -> Result<BoxFuture<'static, Result<()>>> {
        let (subject, link) = (self.subject(place)?, self.node.link()?);
        let message = seal(self.node.nodes.id(), parcel);
        let told = published(link, move |up: Arc<Up<_>>| async move {
            up.session.tell(&subject, message).await
        });
        Ok(told.boxed())
    }

    fn stored(
        &self,
        group: &Place,
        message: Message,
        once: Option<String>,
    ) -> Result<BoxFuture<'static, Result<Stored>>> {
        let (subject, link) = (self.subject(group)?, self.node.link()?);
        let feed = self.node.feed().ok_or_else(cannot_store)?;
        let message = seal(self.node.nodes.id(), &Parcel::Message(message));
        let record = Record::new(subject.into(), message, once.map(Into::into));
        let stored = published(link, move |up: Arc<Up<_>>| async move {
            up.session.store(&feed, record).await
        });
        Ok(stored.boxed())
    }

    fn joined(
        &self,
        group: Arc<str>,
        connection: ConnectionId,
        since: Option<Position>,
    ) -> Result<BoxFuture<'static, Result<Joined>>> {
        let subject = self.subject(&Place::Group(Arc::clone(&group)))?;
        let history = Arc::clone(&self.node.history);
        let joined = history.join_from(self.own()?, subject.into(), group, connection, since);
        Ok(joined.boxed())
    }

    fn read(
        &self,
        group: Arc<str>,
        since: Option<Position>,
        limit: usize,
    ) -> Result<BoxFuture<'static, Result<KeptMessages>>> {
        let subject = self.subject(&Place::Group(Arc::clone(&group)))?;
        // Nobody may be connected yet.
        self.node.link()?;
        let history = Arc::clone(&self.node.history);
        let read = history.read(self.own()?, subject.into(), group, since, limit);
        Ok(read.boxed())
    }

    fn asked(
        &self,
        whom: Whom,
        question: Bytes,
        is_announcement: bool,
    ) -> BoxFuture<'static, Asked> {
        let asking = Asking {
            whom,
            registry: Arc::clone(&self.name),
            question,
            is_announcement,
        };
        match self.node.link() {
            Ok(link) => talk::call(Arc::clone(&self.node.nodes), link, asking).boxed(),
            Err(error) => ready(Asked::nobody(Err(error))).boxed(),
        }
    }

    fn own(&self) -> Result<Registry> {
        let own = self.registry.upgrade();
        own.ok_or_else(|| Error::internal("the registry is gone"))
    }
}

impl<E: Engine> Elsewhere for Membership<E> {
    fn start(&self) {
        // The program may enter connections outside of a runtime only in tests of its own.
        if let Ok(runtime) = Handle::try_current() {
            self.node.start(&runtime);
            self.node.nodes.come_back();
        }
    }

    fn occupied(&self, place: &Place) {
        if self.is_kept(place) {
            // Its messages come with the feed.
            return;
        }
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

    fn keep(&self) {
        if let Some(registry) = self.registry.upgrade() {
            self.node.history.add(&self.prefix, &registry);
        }
    }

    fn store(
        &self,
        group: Place,
        message: Message,
        once: Option<String>,
    ) -> BoxFuture<'static, Result<Stored>> {
        self.stored(&group, message, once)
            .unwrap_or_else(|error| ready(Err(error)).boxed())
    }

    fn join_from(
        &self,
        group: Arc<str>,
        connection: ConnectionId,
        since: Option<Result<Position, InvalidPosition>>,
    ) -> BoxFuture<'static, Result<Joined>> {
        // Garbage is a position that nobody knows.
        let since = since.and_then(Result::ok);
        self.joined(group, connection, since)
            .unwrap_or_else(|error| ready(Err(error)).boxed())
    }

    fn history(
        &self,
        group: Arc<str>,
        since: Option<Position>,
        limit: usize,
    ) -> BoxFuture<'static, Result<KeptMessages>> {
        self.read(group, since, limit)
            .unwrap_or_else(|error| ready(Err(error)).boxed())
    }

    fn attached(&self, place: Place) -> BoxFuture<'static, Result<()>> {
        if self.is_kept(&place) {
            return Arc::clone(&self.node.history).attached().boxed();
        }
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

    fn node(&self) -> NodeId {
        self.node.nodes.id()
    }

    fn ask(&self, whom: Whom, question: Bytes) -> BoxFuture<'static, Asked> {
        self.node.nodes.come_back();
        self.asked(whom, question, false)
    }

    fn announce(&self, whom: Whom, question: Bytes) -> BoxFuture<'static, Asked> {
        // The others know that all of its members are gone.
        if *self.node.nodes.away.borrow() {
            return ready(Asked::nobody(Ok(()))).boxed();
        }
        self.asked(whom, question, true)
    }

    fn runtime(&self) -> Option<Handle> {
        let running = self.node.running.get();
        running.map(|running| running.runtime.clone())
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
            received: self.node.inlet.received() + self.node.history.received(),
            dropped: self.node.inlet.dropped(),
        };
        seen.cluster(Arc::as_ptr(&self.node).addr(), &self.node.name, state);
    }
}

/// Has the engine take a message, in a bounded time.
async fn published<S, T, F>(
    link: Arc<SessionLink<S>>,
    publish: impl FnOnce(Arc<Up<S>>) -> F,
) -> Result<T>
where
    S: Send + Sync + 'static,
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + PUBLISH;
    let up = match timeout_at(deadline, link.up()).await {
        Ok(up) => up?,
        Err(_) => return Err(Error::UpstreamUnreachable(link.down())),
    };
    tokio::select! {
        biased;
        published = publish(Arc::clone(&up)) => published,
        // A publisher that waits keeps the session and its subscriptions, next to those of the next one.
        () = up.lost() => Err(Error::UpstreamLost(link.down())),
        () = sleep_until(deadline) => Err(Error::UpstreamLost(
            "the engine of the cluster has not taken the message in time".into(),
        )),
    }
}
