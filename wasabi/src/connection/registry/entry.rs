//! The place of a connection in its registry.

use std::sync::{Arc, atomic::Ordering};

use super::{Registry, elsewhere::Place};
use crate::ConnectionId;

/// A reserved place among a channel's connections.
pub(crate) struct Permit(pub(super) Registry);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.admitted.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection's place in the registry.
pub(crate) struct RegistryEntry {
    pub(super) permit: Permit,
    pub(super) id: ConnectionId,
}

impl RegistryEntry {
    /// Leaves the registry and all groups. Returns the names of those groups.
    pub(crate) fn leave(self) -> Vec<Arc<str>> {
        self.take_out()
    }

    fn take_out(&self) -> Vec<Arc<str>> {
        let registry = &self.permit.0;
        let left = registry.live().shard(&self.id).remove(&self.id);
        let Some(joined) = left.and_then(|listed| listed.joined) else {
            return Vec::new();
        };
        for group in &joined.groups {
            let place = Place::Group(Arc::clone(group));
            registry.leave_place(&place, self.id);
        }
        if let Some(name) = joined.user {
            registry.leave_place(&Place::User(name), self.id);
        }
        joined.groups.into_iter().collect()
    }
}

impl Drop for RegistryEntry {
    fn drop(&mut self) {
        // Finds nothing after `leave`.
        self.take_out();
    }
}
