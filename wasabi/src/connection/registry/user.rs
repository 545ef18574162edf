//! All connections of a user.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    Published, Registry,
    broadcast::broadcast,
    elsewhere::{Parcel, Place},
    publish::unwritable,
};
use crate::{Close, Connection, Error, IntoMessage};

/// The live connections of a user, in every process of the gateway's [`Cluster`](crate::Cluster).
/// [`Registry::user`] returns it.
///
/// The setting [`user`](crate::Channel::user) of a channel says which user a connection is of. Users are no groups: they
/// have names of their own, and appear neither in [`Registry::groups`] nor in [`LeftGroups`](crate::LeftGroups).
///
/// ```
/// use wasabi::{CloseCode, prelude::*};
///
/// #[derive(serde::Deserialize)]
/// struct Note {
///     to: String,
///     text: String,
/// }
///
/// async fn note(State(registry): State<Registry>, Json(note): Json<Note>) -> Result<()> {
///     registry.user(note.to).publish(note.text).await.elsewhere
/// }
///
/// async fn log_out(State(registry): State<Registry>, connection: Connection) -> Result<()> {
///     match connection.user() {
///         Some(name) => registry.user(name).close(CloseCode::NORMAL).await.elsewhere,
///         None => Ok(()),
///     }
/// }
///
/// # fn gateway() -> Gateway {
/// let registry = Registry::new();
/// gateway!(
///     state = registry.clone(),
///     cluster = wasabi::Cluster::memory(),
///     channel(
///         "/",
///         registry = registry,
///         user = |connection: &Connection| connection.user(),
///         parser = JsonKey::at("/do"),
///         match key {
///             "note" => note,
///             "log_out" => log_out,
///             _ => NoRoute,
///         },
///     ),
/// )
/// # }
/// # assert!(gateway().check().is_ok());
/// ```
#[derive(Clone)]
pub struct User {
    pub(super) registry: Registry,
    pub(super) name: Arc<str>,
}

/// What is known of a user's connections that were closed.
#[derive(Debug)]
#[must_use = "`elsewhere` says whether the other processes were told"]
#[non_exhaustive]
pub struct UserClosed {
    /// The number of connections in this process that were told to close.
    pub here: usize,
    /// Whether the other processes were told; the errors are those of [`Group::publish`](crate::Group::publish).
    pub elsewhere: Result<(), Error>,
}

impl User {
    pub(super) fn new(registry: Registry, name: Arc<str>) -> Self {
        Self { registry, name }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of connections in this process.
    pub fn len(&self) -> usize {
        self.registry.0.users.with(&self.name, HashMap::len)
    }

    /// Whether the user has no connection in this process.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The connections in this process, in no particular order.
    pub fn connections(&self) -> Vec<Connection> {
        self.registry.0.users.connections(&self.name)
    }

    /// Publishes a message to all connections of the user, with the promises and errors of
    /// [`Group::publish`](crate::Group::publish).
    pub async fn publish(&self, message: impl IntoMessage) -> Published {
        let message = match message.into_message() {
            Ok(message) => message,
            Err(error) => return unwritable(error),
        };
        let here = broadcast(message.clone(), || self.connections());
        let parcel = Parcel::Message(message);
        let elsewhere = self.registry.tell(self.place(), parcel).await;
        Published {
            here,
            elsewhere,
            stored: None,
        }
    }

    /// Closes all connections of the user, as [`Connection::close`] does: those in this process at once, then those in
    /// the others. It does not keep the user from connecting again.
    pub async fn close(&self, close: impl Into<Close>) -> UserClosed {
        let close = close.into();
        let connections = self.connections();
        for connection in &connections {
            connection.close(close.clone());
        }
        let parcel = Parcel::Close(close);
        UserClosed {
            here: connections.len(),
            elsewhere: self.registry.tell(self.place(), parcel).await,
        }
    }

    /// Waits until this process gets what others publish to the user from now on, as
    /// [`Group::attached`](crate::Group::attached) does.
    pub async fn attached(&self) -> Result<(), Error> {
        self.registry.attached(self.place()).await
    }

    fn place(&self) -> Place {
        Place::User(Arc::clone(&self.name))
    }
}

impl Registry {
    /// The connections of the user with this name, whether or not there are any. The channel's setting
    /// [`user`](crate::Channel::user) says which user a connection is of.
    pub fn user(&self, name: impl Into<Arc<str>>) -> User {
        User::new(self.clone(), name.into())
    }

    /// Says whose connection it is; it must not have been said before.
    pub(crate) fn of_user(&self, connection: &Connection, name: Arc<str>) {
        let id = connection.id();
        // Locked throughout, so that a connection that ends meanwhile leaves its user too.
        let mut shard = self.live().shard(&id);
        let Some(listed) = shard.get_mut(&id) else {
            return;
        };
        let joined = listed.joined.get_or_insert_default();
        let (name, is_first) = self.0.users.join(&name, id, &listed.connection);
        joined.user = Some(Arc::clone(&name));
        if is_first && let Some(elsewhere) = self.elsewhere() {
            elsewhere.occupied(&Place::User(name));
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
