//! Named groups of connections: rooms, topics and the like.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    Broadcast, Registry, broadcast,
    emptied::{OnEmpty, exclusively, may_lock},
};
use crate::{
    Connection, ConnectionId, IntoMessage,
    connection::{Tabled, id::ById},
    sharded::Sharded,
};

/// The live connections that have [joined](Registry::join) the group with this name. [`Registry::group`] returns it.
///
/// A handle does not keep the group alive: it shows the current members.
///
/// ```
/// use wasabi::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Line {
///     room: String,
///     text: String,
/// }
///
/// async fn join(State(registry): State<Registry>, room: Text, connection: Connection) {
///     registry.join(&*room, &connection);
/// }
///
/// async fn say(State(registry): State<Registry>, Json(line): Json<Line>) {
///     let outcome = registry.group(line.room).broadcast(line.text);
///     for slow in outcome.skipped {
///         slow.close(wasabi::CloseCode::POLICY);
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Group {
    pub(super) registry: Registry,
    pub(super) name: Arc<str>,
}

impl Group {
    pub(super) fn new(registry: Registry, name: Arc<str>) -> Self {
        Self { registry, name }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.registry.0.groups.with(&self.name, HashMap::len)
    }

    /// Whether the group has no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs a function if the group has no members, and keeps connections from joining it meanwhile. `None` if it has
    /// members.
    ///
    /// With it a task can release what the members shared, some time after
    /// [`Registry::on_empty_group`] has told that the group is empty. The function must be quick, like that one, and
    /// panics if it uses a registry; what is said there about locks of yours applies to it as well.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// let registry = Registry::new();
    /// let released = registry.group("prices").if_empty(|| "released");
    /// assert_eq!(released, Some("released"));
    /// ```
    pub fn if_empty<T>(&self, then: impl FnOnce() -> T) -> Option<T> {
        let members = &self.registry.0.groups.members;
        may_lock();
        let shard = members.shard(&*self.name);
        (!shard.contains_key(&self.name)).then(|| exclusively(then))
    }

    /// Whether a connection is a member.
    pub fn contains(&self, connection: &Connection) -> bool {
        let id = connection.id();
        self.registry
            .0
            .groups
            .with(&self.name, |members| members.contains_key(&id))
    }

    /// The members, in no particular order.
    pub fn connections(&self) -> Vec<Connection> {
        self.registry.0.groups.connections(&self.name)
    }

    /// Queues a message for every member, as [`Connection::try_send`] does. The payload is shared, and a slow client
    /// delays nobody. Returns the connections that it skipped.
    pub fn broadcast(&self, message: impl IntoMessage) -> Broadcast {
        broadcast(message, || self.connections())
    }

    /// [Broadcasts](Self::broadcast) to every member except this one, usually the sender.
    pub fn broadcast_except(&self, but: &Connection, message: impl IntoMessage) -> Broadcast {
        broadcast(message, || {
            let mut members = self.connections();
            members.retain(|member| member.id() != but.id());
            members
        })
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name)
            .field("len", &self.len())
            .finish()
    }
}

type Members = HashMap<ConnectionId, Tabled, ById>;

/// The groups of a registry. A registry's connections are always locked before its groups.
#[derive(Default)]
pub(super) struct Groups {
    members: Sharded<Arc<str>, Members>,
    pub(super) on_empty: OnEmpty<Group>,
}

impl Groups {
    pub(super) fn with<T: Default>(&self, name: &str, look: impl FnOnce(&Members) -> T) -> T {
        may_lock();
        self.members
            .shard(name)
            .get(name)
            .map(look)
            .unwrap_or_default()
    }

    pub(super) fn connections(&self, name: &str) -> Vec<Connection> {
        self.with(name, |members| {
            members.values().map(Tabled::handle).collect()
        })
    }

    /// Adds the connection. Returns the group's own copy of the name, and whether this is the first member.
    pub(super) fn join(
        &self,
        name: &str,
        id: ConnectionId,
        connection: &Tabled,
    ) -> (Arc<str>, bool) {
        let mut shard = self.members.shard(name);
        let name = match shard.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(name),
        };
        let members = shard.entry(Arc::clone(&name)).or_default();
        let is_first = members.is_empty();
        members.insert(id, connection.clone());
        (name, is_first)
    }

    /// Removes the connection. Returns whether it was the last member; the hook of such a group runs before anybody can
    /// join it again.
    pub(super) fn leave(&self, name: &Arc<str>, id: ConnectionId, registry: &Registry) -> bool {
        let mut shard = self.members.shard(name);
        let Some(members) = shard.get_mut(name) else {
            return false;
        };
        members.remove(&id);
        let is_empty = members.is_empty();
        if is_empty {
            shard.remove(name);
            self.on_empty
                .tell(|| Group::new(registry.clone(), Arc::clone(name)));
        }
        is_empty
    }

    /// The number of groups with members.
    pub(super) fn count(&self) -> usize {
        may_lock();
        self.members.len()
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        may_lock();
        let mut names = Vec::new();
        for shard in self.members.shards() {
            names.extend(shard.keys().cloned());
        }
        names
    }
}
