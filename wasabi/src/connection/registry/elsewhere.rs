//! What a registry needs of the other processes of its cluster.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::{
    InvalidPosition, Joined, KeptMessages, Position, Registry, RegistryState, Stored,
    address::NodeId, broadcast::broadcast, group::Groups,
};
use crate::{Close, ConnectionId, Error, Message};

/// The other processes with connections of the same registry.
///
/// The registry tells it which groups have members here, and it hands in what others publish to them.
pub(crate) trait Elsewhere: Send + Sync {
    /// Connects to the others, unless it has begun to. It must be called within a runtime.
    fn start(&self);

    /// The first member has come. It may be told twice.
    fn occupied(&self, place: &Place);

    /// The last member may have left.
    fn vacated(&self, place: &Place);

    /// Passes something to the members elsewhere. Returns when it is on its way, after a bounded time.
    fn tell(&self, place: Place, parcel: Parcel) -> BoxFuture<'static, Result<(), Error>>;

    /// Waits, for a bounded time, until whatever is published elsewhere from now on arrives here.
    fn attached(&self, place: Place) -> BoxFuture<'static, Result<(), Error>>;

    /// The registry has groups that are kept. It may be told twice.
    fn keep(&self);

    /// Stores a message for all members of a group that is kept, after a bounded time; with a key only once.
    fn store(
        &self,
        group: Place,
        message: Message,
        once: Option<String>,
    ) -> BoxFuture<'static, Result<Stored, Error>>;

    /// Adds a connection to a group that is kept, and delivers what it has missed since this position.
    fn join_from(
        &self,
        group: Arc<str>,
        connection: ConnectionId,
        since: Option<Result<Position, InvalidPosition>>,
    ) -> BoxFuture<'static, Result<Joined, Error>>;

    /// Reads what is kept of a group after this position.
    fn history(
        &self,
        group: Arc<str>,
        since: Option<Position>,
        limit: usize,
    ) -> BoxFuture<'static, Result<KeptMessages, Error>>;

    /// The node that this registry's connections are on.
    fn node(&self) -> NodeId;

    /// Asks this registry on other nodes. Returns after a bounded time, and waits for no node that is known to be gone.
    fn ask(&self, whom: Whom, question: Bytes) -> BoxFuture<'static, Asked>;

    /// Tells this registry on other nodes something that they confirm, in a bounded time. Unlike a question, it is never one
    /// too many, and does not bring this node back: while it is away, nobody is told.
    fn announce(&self, whom: Whom, question: Bytes) -> BoxFuture<'static, Asked>;

    /// The runtime that the node runs in, once it does.
    fn runtime(&self) -> Option<Handle>;

    /// Distinguishes clusters within the process: the engine's address, and the cluster's name.
    fn cluster(&self) -> (usize, &str);

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut crate::metrics::Observation);
}

/// A group of a registry, or the connections of a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Group(Arc<str>),
    User(Arc<str>),
}

/// What is passed to the members of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parcel {
    Message(Message),
    Close(Close),
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// All other nodes.
    All,
    Node(NodeId),
}

/// What other nodes have answered.
pub(crate) struct Asked {
    pub(crate) answers: Vec<(NodeId, Bytes)>,
    /// The nodes that have not answered in time.
    pub(crate) silent: Vec<NodeId>,
    /// An error if a node has not answered, or nothing is known of the others.
    pub(crate) elsewhere: Result<(), Error>,
}

impl Asked {
    /// Nobody was asked, or has answered.
    pub(crate) fn nobody(elsewhere: Result<(), Error>) -> Self {
        Self {
            answers: Vec::new(),
            silent: Vec::new(),
            elsewhere,
        }
    }
}

/// The error of a connection that is not there.
pub(crate) fn gone() -> Error {
    Error::new("gone", "the connection has ended")
}

/// The error if not all nodes have answered.
pub(crate) fn not_all() -> Error {
    Error::UpstreamLost("a node of the cluster has not answered in time".into())
}

/// A registry, as long as it is used.
#[derive(Clone)]
pub(crate) struct WeakRegistry(Weak<RegistryState>);

impl WeakRegistry {
    pub(crate) fn upgrade(&self) -> Option<Registry> {
        self.0.upgrade().map(Registry)
    }
}

impl Registry {
    pub(crate) fn downgrade(&self) -> WeakRegistry {
        WeakRegistry(Arc::downgrade(&self.0))
    }

    /// The name in the cluster that the registry was made with.
    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        self.0.name.as_ref()
    }

    /// Distinguishes registries within the process; clones are one.
    pub(crate) fn pointer(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(crate) fn elsewhere(&self) -> Option<&Arc<dyn Elsewhere>> {
        self.0.elsewhere.get()
    }

    /// Connects the registry with those of other processes. Fails if it belongs to another cluster.
    pub(crate) fn belongs_to(&self, elsewhere: Arc<dyn Elsewhere>) -> Result<(), &'static str> {
        let own = self.0.elsewhere.get_or_init(|| Arc::clone(&elsewhere));
        match own.cluster() == elsewhere.cluster() {
            true => Ok(()),
            false => Err("the registry belongs to another `cluster` already"),
        }
    }

    /// Whether a place has members here.
    pub(crate) fn has_members(&self, place: &Place) -> bool {
        let (groups, name) = self.at(place);
        groups.with(name, |members| !members.is_empty())
    }

    /// Takes in what was published elsewhere. Returns how many members it is for.
    pub(crate) fn deliver(&self, place: &Place, parcel: Parcel) -> usize {
        let (groups, name) = self.at(place);
        let members = groups.connections(name);
        let count = members.len();
        match parcel {
            Parcel::Message(message) => drop(broadcast(message, || members)),
            Parcel::Close(close) => {
                for member in members {
                    member.close(close.clone());
                }
            }
        }
        count
    }

    pub(super) fn at<'a>(&'a self, place: &'a Place) -> (&'a Groups, &'a str) {
        match place {
            Place::Group(name) => (&self.0.groups, name),
            Place::User(name) => (&self.0.users, name),
        }
    }

    /// Passes something to the members elsewhere, if there is an elsewhere.
    pub(super) async fn tell(&self, place: Place, parcel: Parcel) -> Result<(), Error> {
        match self.elsewhere() {
            Some(elsewhere) => elsewhere.tell(place, parcel).await,
            None => Ok(()),
        }
    }

    /// Waits until what is published elsewhere arrives here.
    pub(super) async fn attached(&self, place: Place) -> Result<(), Error> {
        match self.elsewhere() {
            Some(elsewhere) => elsewhere.attached(place).await,
            None => Ok(()),
        }
    }
}
