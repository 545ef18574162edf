//! The setting `user`.

use std::{fmt, sync::Arc};

use crate::Connection;

type NameOf = dyn Fn(&Connection) -> Option<Arc<str>> + Send + Sync;

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
