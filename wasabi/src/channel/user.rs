//! The setting `user`.

use std::{fmt, sync::Arc};

use super::Channel;
use crate::Connection;

type NameOf = dyn Fn(&Connection) -> Option<Arc<str>> + Send + Sync;

impl<S, B, P, C, D> Channel<S, B, P, C, D> {
    /// `user`: whose connection it is, as a name; nobody's by default. The gateway asks once, before `on_connect`.
    /// [`Registry::user`](crate::Registry::user) then reaches all connections of the user, in every process of a
    /// [`Cluster`](crate::Cluster); its page has an example.
    ///
    /// A name must identify a user for good: take the name of a verified identity, such as
    /// [`Connection::user`](crate::Connection::user), and never one that the client chooses. If the function panics, the
    /// connection is closed with 1011.
    #[must_use]
    pub fn user<N: Into<Arc<str>>>(
        mut self,
        user: impl Fn(&Connection) -> Option<N> + Send + Sync + 'static,
    ) -> Self {
        let user = move |connection: &Connection| user(connection).map(Into::into);
        self.declared.user = Some(UserOf::new(user));
        self
    }
}

/// Whose connection it is.
pub(crate) struct UserOf(Box<NameOf>);

impl UserOf {
    pub(super) fn new(
        user: impl Fn(&Connection) -> Option<Arc<str>> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(user))
    }

    pub(crate) fn of(&self, connection: &Connection) -> Option<Arc<str>> {
        (self.0)(connection)
    }
}

impl fmt::Debug for UserOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserOf(..)")
    }
}
