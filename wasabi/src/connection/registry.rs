//! All live connections of a channel.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Connection, ConnectionId};

/// All live connections of a channel: how many there are, who they are.
///
/// A channel has one of its own. Make one yourself and hand it over with `registry = ..` to reach the
/// connections from elsewhere; clones share the connections.
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
pub struct Registry(Arc<Inner>);

struct Inner {
    shards: [Mutex<HashMap<ConnectionId, Connection>>; SHARDS],
    admitted: AtomicUsize,
}

/// Connections come and go on all cores at once.
const SHARDS: usize = 16;

impl Default for Inner {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            admitted: AtomicUsize::new(0),
        }
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of live connections.
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether there is no live connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The connection with this id, if it lives.
    pub fn lookup(&self, id: ConnectionId) -> Option<Connection> {
        lock(self.shard(id)).get(&id).cloned()
    }

    /// The live connections, in no particular order: those that there were at some moment during the call.
    pub fn connections(&self) -> Vec<Connection> {
        let mut all = Vec::with_capacity(self.0.admitted.load(Ordering::Relaxed));
        for shard in &self.0.shards {
            all.extend(lock(shard).values().cloned());
        }
        all
    }

    /// Reserves a place, unless `limit` of them are taken. The place is free again when the permit is dropped.
    pub(crate) fn admit(&self, limit: Option<usize>) -> Option<Permit> {
        let limit = limit.unwrap_or(usize::MAX);
        self.0
            .admitted
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < limit).then_some(taken + 1)
            })
            .ok()
            .map(|_| Permit(Arc::clone(&self.0)))
    }

    /// Lists a connection until the entry is dropped.
    pub(crate) fn enter(&self, connection: Connection, permit: Permit) -> Entry {
        let id = connection.id();
        lock(self.shard(id)).insert(id, connection);
        Entry {
            registry: self.clone(),
            id,
            _permit: permit,
        }
    }

    fn shard(&self, id: ConnectionId) -> &Mutex<HashMap<ConnectionId, Connection>> {
        &self.0.shards[id.0 as usize % SHARDS]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("len", &self.len())
            .finish()
    }
}

/// A reserved place among a channel's connections.
pub(crate) struct Permit(Arc<Inner>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection's place in the registry.
pub(crate) struct Entry {
    registry: Registry,
    id: ConnectionId,
    _permit: Permit,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(self.registry.shard(self.id)).remove(&self.id);
    }
}
