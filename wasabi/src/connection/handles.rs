//! What handles to a connection have in common.

use std::sync::Arc;

use super::{Connection, ConnectionState};

/// A connection in a table: of the size of a pointer, because tables have free room for as many again.
#[derive(Clone)]
pub(crate) struct Tabled(Arc<ConnectionState>);

impl Tabled {
    pub(crate) fn handle(&self) -> Connection {
        Connection(Arc::clone(&self.0), None)
    }
}

impl Connection {
    /// For a table. Interceptors stay with the handle.
    pub(crate) fn tabled(&self) -> Tabled {
        Tabled(Arc::clone(&self.0))
    }

    /// What the wakers of the connection's requests share with its task.
    pub(crate) fn shared(&self) -> Arc<ConnectionState> {
        Arc::clone(&self.0)
    }

    /// Whether both are clones of one handle, and neither has an interceptor.
    pub(crate) fn is_same_handle(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) && self.1.is_none() && other.1.is_none()
    }

    /// The number of handles.
    #[cfg(test)]
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}
