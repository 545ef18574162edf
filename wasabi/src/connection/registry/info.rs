//! What is known of connections, groups and nodes, for those who ask on any node.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    Registry,
    address::{ConnectionAddress, NodeId},
};
use crate::{
    Connection, Error,
    log::{limited, said},
    panics::caught,
};

/// The longest value of an application, in bytes of JSON. A page has many.
const MAX_INFO: usize = 4 * 1024;

type Info = Arc<dyn Fn(&Connection) -> Option<Box<RawValue>> + Send + Sync>;

/// The function of [`Registry::info`], if there is one.
#[derive(Default)]
pub(super) struct InfoOf(RwLock<Option<Info>>);

impl InfoOf {
    fn set(&self, info: Info) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(info);
    }

    /// Runs the function; no lock of the registry may be held.
    pub(super) fn of(&self, connection: &Connection) -> Option<Box<RawValue>> {
        // Unlocked while it runs.
        let info = (self.0.read().unwrap_or_else(PoisonError::into_inner)).clone()?;
        match caught(|| info(connection)) {
            Ok(value) => value.filter(|value| value.get() != "null"),
            Err(_) => {
                limited!(ERROR, "`Registry::info` panicked");
                None
            }
        }
    }
}

fn raw(value: &impl Serialize) -> Option<Box<RawValue>> {
    match serde_json::value::to_raw_value(value) {
        Ok(raw) if raw.get().len() <= MAX_INFO => Some(raw),
        Ok(_) => {
            limited!(
                WARN,
                "the value of `Registry::info` left out: it has more than 4 KiB"
            );
            None
        }
        Err(error) => {
            limited!(ERROR, error = %said(&error), "the value of `Registry::info` cannot be written");
            None
        }
    }
}

impl Registry {
    /// Sets what the application says of a connection to those who ask who is there: the value of this function, as JSON.
    /// It replaces the function set before.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// #[derive(Clone, serde::Serialize)]
    /// struct Profile {
    ///     name: String,
    /// }
    ///
    /// let registry = Registry::new().info(|connection| connection.identity::<Profile>().map(|it| it.into_inner()));
    /// # drop(registry);
    /// ```
    ///
    /// The gateway stores no value: it calls the function for each connection that is listed in an answer, on the node that
    /// has the connection. So the value is always that of the moment, and members that nobody asks about cost nothing. For
    /// a value that changes, take it from a [`Stash`](crate::middleware::http::Stash). The function must be quick. A value
    /// of more than 4 KiB is left out, and so is that of a function that panics; both are logged.
    #[must_use]
    pub fn info<T: Serialize>(
        self,
        info: impl Fn(&Connection) -> T + Send + Sync + 'static,
    ) -> Self {
        let info = move |connection: &Connection| raw(&info(connection));
        self.0.info.set(Arc::new(info));
        self
    }
}

/// A member of a group, or a connection of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The connection.
    #[serde(rename = "connection")]
    pub address: ConnectionAddress,
    /// Whose connection it is, if the channel has the setting [`user`](crate::Channel::user).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    info: Option<Box<RawValue>>,
}

impl Member {
    pub(super) fn new(
        address: ConnectionAddress,
        user: Option<String>,
        info: Option<Box<RawValue>>,
    ) -> Self {
        Self {
            address,
            user,
            info,
        }
    }

    /// What the application says of the connection ([`Registry::info`]); `None` if it says nothing. Fails with `internal`
    /// if the value is not of this type.
    pub fn info<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        read(self.info.as_deref())
    }

    /// About how many bytes it takes in an answer.
    pub(super) fn bytes(&self) -> usize {
        let user = self.user.as_ref().map_or(0, String::len);
        let info = self.info.as_ref().map_or(0, |info| info.get().len());
        // The characters of a name may have to be escaped.
        128 + 6 * user + info
    }
}

fn read<T: DeserializeOwned>(info: Option<&RawValue>) -> Result<Option<T>, Error> {
    match info {
        Some(info) => serde_json::from_str(info.get()).map_err(Error::internal),
        None => Ok(None),
    }
}

/// What is known of a connection, wherever it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The connection.
    #[serde(rename = "connection")]
    pub address: ConnectionAddress,
    /// Whose connection it is, if the channel has the setting [`user`](crate::Channel::user).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The groups that it has joined, at most 1000, in the order of their names.
    pub groups: Vec<String>,
    /// The path of the handshake.
    pub path: String,
    /// The peer's address; `None` behind a Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<SocketAddr>,
    /// The time since the connection was opened.
    #[serde(rename = "open_ms", with = "millis")]
    pub open_for: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    info: Option<Box<RawValue>>,
}

impl ConnectionInfo {
    pub(super) fn new(member: Member, connection: &Connection, groups: Vec<String>) -> Self {
        Self {
            address: member.address,
            user: member.user,
            groups,
            path: connection.uri().path().to_owned(),
            remote_addr: connection.remote_addr(),
            open_for: connection.outbox().age(),
            info: member.info,
        }
    }

    /// What the application says of the connection, as in [`Member::info`].
    pub fn info<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        read(self.info.as_deref())
    }
}

/// A group and the number of its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupSize {
    pub(crate) name: String,
    pub(crate) members: usize,
}

/// A node of a cluster, and what this registry has there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The node.
    pub node: NodeId,
    /// The id of its process.
    pub process: u32,
    /// The version of this library there.
    pub version: String,
    /// The number of connections.
    pub connections: usize,
    /// The number of groups with members.
    pub groups: usize,
    /// The number of users with connections.
    pub users: usize,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
