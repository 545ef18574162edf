//! All live connections of a channel.

pub(crate) mod address;
mod addressed;
mod announced;
mod asked;
mod broadcast;
mod change;
pub(crate) mod elsewhere;
mod emptied;
mod entry;
mod everywhere;
mod group;
mod history;
pub(crate) mod info;
mod joined;
mod keeping;
mod kept;
mod listing;
mod missed;
mod owed;
mod position;
pub(crate) mod presence;
mod publish;
mod turn;
mod user;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, OnceLock, atomic::Ordering},
};

pub use self::{
    address::{ConnectionAddress, InvalidAddress, NodeId},
    addressed::Addressed,
    broadcast::Broadcast,
    everywhere::{Everywhere, NodeList},
    group::Group,
    history::{KeptMessage, KeptMessages},
    info::{ConnectionInfo, Member, NodeInfo},
    joined::{Joined, Stored},
    kept::Kept,
    position::{InvalidPosition, Position},
    presence::{Page, Presence},
    publish::Published,
    user::{User, UserClosed},
};
use self::{
    announced::Changes,
    broadcast::broadcast,
    elsewhere::{Elsewhere, Place},
    emptied::may_lock,
    group::Groups,
    info::InfoOf,
    owed::Owed,
};
pub(crate) use self::{
    entry::{Permit, RegistryEntry},
    joined::Gate,
    kept::GAP,
    turn::Turn,
};
use super::{Connection, ConnectionId, Tabled, id::ById};
use crate::{IntoMessage, sharded::Sharded, sync::AtomicUsize};

/// All live connections of a channel, and the groups that they have joined.
///
/// Each channel has its own registry. To reach the connections from elsewhere, make one yourself and pass it with
/// `registry = ..`; clones share the connections.
///
/// ```
/// use wasabi::prelude::*;
///
/// let registry = Registry::new();
/// let gateway = gateway!(channel("/", registry = registry.clone(), async |text: Text| text));
/// # drop(gateway);
/// for connection in registry.connections() {
///     let _ = connection.try_send("news");
/// }
/// ```
#[derive(Clone, Default)]
pub struct Registry(Arc<RegistryState>);

struct RegistryState {
    live: Live,
    groups: Groups,
    users: Groups,
    admitted: AtomicUsize,
    max_group_bytes: AtomicUsize,
    info: InfoOf,
    /// In a cluster.
    name: Option<Arc<str>>,
    elsewhere: OnceLock<Arc<dyn Elsewhere>>,
    /// What is declared of groups that are kept.
    kept: OnceLock<Arc<[Kept]>>,
    changes: Changes,
    owed: Owed,
}

/// A live connection.
struct Listed {
    connection: Tabled,
    /// `None` until it has joined a group.
    joined: Option<Box<JoinedGroups>>,
}

/// The groups that a connection has joined.
#[derive(Default)]
struct JoinedGroups {
    groups: HashSet<Arc<str>>,
    /// Bytes that they count for.
    bytes: usize,
    /// Whose connection it is.
    user: Option<Arc<str>>,
}

/// Bytes that a group counts for in addition to its name.
const GROUP: usize = 64;

fn bytes_of(group: &str) -> usize {
    group.len() + GROUP
}

/// Connections come and go on all cores at once.
type Live = Sharded<ConnectionId, Listed, ById>;

impl Default for RegistryState {
    fn default() -> Self {
        Self {
            live: Live::default(),
            groups: Groups::default(),
            users: Groups::default(),
            admitted: AtomicUsize::new(0),
            max_group_bytes: AtomicUsize::new(64 * 1024),
            info: InfoOf::default(),
            name: None,
            elsewhere: OnceLock::new(),
            kept: OnceLock::new(),
            changes: Changes::default(),
            owed: Owed::default(),
        }
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty registry with a name of its own in a [`Cluster`](crate::Cluster).
    ///
    /// The registries of several processes are one if they have the same name. Without a name of its own a registry has
    /// the path of the channel that uses it, as the declaration has it: name a registry that several channels use, or
    /// that channels with different paths share.
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(RegistryState {
            name: Some(name.into()),
            ..RegistryState::default()
        }))
    }

    /// Limits the bytes that the groups of one connection may count for (default: 64 KiB). Each group counts for its
    /// name and 64 bytes more, which allows about 800 groups with short names. The limit matters because clients often
    /// choose the names and the number of groups.
    #[must_use]
    pub fn max_group_bytes(self, bytes: usize) -> Self {
        self.0.max_group_bytes.store(bytes, Ordering::Relaxed);
        self
    }

    /// Sets the function that is told of each group whose last member has left it, or has ended. It gets the group, and
    /// replaces the function set before.
    ///
    /// The function releases what the members shared, such as the subscription to an upstream. Nobody can join the group
    /// until it returns: a connection that joins at the same time is either a member before, and the group is not empty,
    /// or joins afterwards. So make what members share right after the join, and it is there as long as the group has
    /// members:
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// # #[derive(Clone)] struct Feeds;
    /// # impl Feeds { fn start(&self, _: &str) {} fn stop(&self, _: &str) {} }
    /// # let feeds = Feeds;
    /// let on_empty = feeds.clone();
    /// let registry = Registry::new().on_empty_group(move |group| on_empty.stop(group.name()));
    ///
    /// let subscribe = async |registry: &Registry, connection: &Connection, topic: &str| {
    ///     if registry.join(topic, connection) {
    ///         feeds.start(topic); // unless it has started
    ///     }
    /// };
    /// # drop((registry, subscribe));
    /// ```
    ///
    /// A request does not end between the join and `start` if there is no `.await`. Code in another task also calls
    /// [`Group::if_empty`] after `start`, in case the connection has ended meanwhile. The chapter on groups of the guide
    /// has a whole program.
    ///
    /// The function runs in the task that calls [`leave`](Self::leave), or that of a connection that ends, while a part
    /// of the registry is locked, so it must be quick. It cannot wait: it spawns a task for what takes time. It panics if
    /// it uses a registry. A task can: [`Group::if_empty`] releases something later, unless the group has members again.
    /// A panic is logged.
    ///
    /// If the function takes a lock of yours, never use the registry while you hold that lock: your code would wait for
    /// the registry, and the function for the lock, for ever. Drop the guard first.
    #[must_use]
    pub fn on_empty_group(self, hook: impl Fn(Group) + Send + Sync + 'static) -> Self {
        self.0.groups.on_empty.set(hook);
        self
    }

    /// The live connections. Waits for their locks.
    fn live(&self) -> &Live {
        may_lock();
        &self.0.live
    }

    /// The number of live connections.
    pub fn len(&self) -> usize {
        self.live().len()
    }

    /// Whether there are no live connections.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The connection with this id, if it is live.
    pub fn lookup(&self, id: ConnectionId) -> Option<Connection> {
        let shard = self.live().shard(&id);
        shard.get(&id).map(|listed| listed.connection.handle())
    }

    /// The live connections, in no particular order. Each was live at some moment during the call.
    pub fn connections(&self) -> Vec<Connection> {
        let mut all = Vec::with_capacity(self.0.admitted.load(Ordering::Relaxed));
        for shard in self.live().shards() {
            all.extend(shard.values().map(|listed| listed.connection.handle()));
        }
        all
    }

    /// Passes each live connection to `look`, which must be quick: connections that come or go wait meanwhile.
    #[cfg(feature = "metrics")]
    pub(crate) fn each(&self, mut look: impl FnMut(&Connection)) {
        for shard in self.live().shards() {
            shard
                .values()
                .for_each(|listed| look(&listed.connection.handle()));
        }
    }

    /// Queues a message for every live connection, as [`Connection::try_send`] does. The payload is shared, and a slow
    /// client delays nobody. Returns the connections that it skipped.
    pub fn broadcast(&self, message: impl IntoMessage) -> Broadcast {
        broadcast(message, || self.connections())
    }

    /// Adds a connection to the group with this name, until it [leaves](Self::leave) or ends. Returns `false` if it is
    /// a member already, is not (or no longer) in this registry, or has reached the limit on groups
    /// ([`max_group_bytes`](Self::max_group_bytes)).
    ///
    /// Groups exist while they have members.
    pub fn join(&self, group: impl AsRef<str>, connection: &Connection) -> bool {
        let (group, id) = (group.as_ref(), connection.id());
        // Locked throughout, so that a connection that ends meanwhile leaves this group too.
        let mut shard = self.live().shard(&id);
        let Some(listed) = shard.get_mut(&id) else {
            return false;
        };
        let joined = listed.joined.get_or_insert_default();
        if joined.groups.contains(group) {
            return false;
        }
        let bytes = joined.bytes + bytes_of(group);
        if bytes > self.0.max_group_bytes.load(Ordering::Relaxed) {
            tracing::debug!(connection = %id, "group not joined: the names of the connection's groups would be too long");
            return false;
        }
        let (group, is_first) = self.0.groups.join(group, id, &listed.connection);
        joined.groups.insert(Arc::clone(&group));
        joined.bytes = bytes;
        self.changed(&group, id);
        if is_first && let Some(elsewhere) = self.elsewhere() {
            elsewhere.occupied(&Place::Group(group));
        }
        true
    }

    /// Removes a connection from the group with this name. Returns `false` if it is not a member.
    pub fn leave(&self, group: impl AsRef<str>, connection: &Connection) -> bool {
        let (group, id) = (group.as_ref(), connection.id());
        let mut shard = self.live().shard(&id);
        let joined = shard.get_mut(&id).and_then(|listed| listed.joined.as_mut());
        let Some(joined) = joined else {
            return false;
        };
        let Some(group) = joined.groups.take(group) else {
            return false;
        };
        joined.bytes -= bytes_of(&group);
        self.leave_place(&Place::Group(group), id);
        true
    }

    fn leave_place(&self, place: &Place, id: ConnectionId) {
        let is_empty = match place {
            Place::Group(name) => {
                let is_empty = self.0.groups.leave(name, id, self);
                self.changed(name, id);
                is_empty
            }
            Place::User(name) => self.0.users.leave(name, id, self),
        };
        if is_empty && let Some(elsewhere) = self.elsewhere() {
            elsewhere.vacated(place);
        }
    }

    /// The group with this name, whether or not it has members.
    pub fn group(&self, name: impl Into<Arc<str>>) -> Group {
        Group::new(self.clone(), name.into())
    }

    /// The names of the groups that a connection has joined, in no particular order.
    pub fn groups_of(&self, connection: &Connection) -> Vec<Arc<str>> {
        let shard = self.live().shard(&connection.id());
        let joined = shard
            .get(&connection.id())
            .and_then(|listed| listed.joined.as_ref());
        joined.map_or_else(Vec::new, |joined| joined.groups.iter().cloned().collect())
    }

    /// The names of the groups that have members, in no particular order.
    pub fn groups(&self) -> Vec<Arc<str>> {
        self.0.groups.names()
    }

    /// Reserves a place, unless `limit` places are taken. Dropping the permit frees the place.
    pub(crate) fn admit(&self, limit: Option<usize>) -> Option<Permit> {
        let limit = limit.unwrap_or(usize::MAX);
        self.0
            .admitted
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < limit).then_some(taken + 1)
            })
            .ok()
            .map(|_| Permit(self.clone()))
    }

    /// Lists a connection until the entry is dropped.
    pub(crate) fn enter(&self, connection: &Connection, permit: Permit) -> RegistryEntry {
        let id = connection.id();
        let listed = Listed {
            connection: connection.tabled(),
            joined: None,
        };
        self.live().shard(&id).insert(id, listed);
        if let Some(elsewhere) = self.elsewhere() {
            elsewhere.start();
        }
        RegistryEntry { permit, id }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("len", &self.len())
            .finish()
    }
}
