//! Joining a kept group, and publishing to it.

use std::sync::Arc;

use super::{Broadcast, Group, Joined, Published, Registry, elsewhere::Place, publish::unwritable};
use crate::{Connection, Error, IntoMessage, Message};

/// The longest key of a message in bytes.
const MAX_KEY: usize = 256;

impl Registry {
    /// Adds a connection to a [kept group](crate::Kept), and delivers what was published to the group since a position:
    /// first the reply of the request, then what the client has missed, then everything later, once and in order.
    ///
    /// `since` is the position of the last message that the client has, or of an earlier [`Joined`]. Whatever else it is
    /// (garbage, the position of a message that is not kept any more or that the engine has lost), the client is not
    /// [recovered](Joined::recovered), and gets the messages from now on; so it does with `None`. It need not be a
    /// position of this group.
    ///
    /// Nothing is asked of the engine: each gateway has the history. A gateway that has not received what the client has
    /// seen elsewhere waits for it, for at most 2 s. A connection that is a member already stays one, and nothing is
    /// delivered again.
    ///
    /// [`Kept`](crate::Kept) has an example.
    ///
    /// # Errors
    ///
    /// * `upstream_unreachable`: the gateway has just started, or the engine has lost messages, and for 5 s the gateway
    ///   could not read the history.
    /// * `bad_request`: the group's name is longer than 512 bytes, or the connection cannot join: it has ended, is not in
    ///   this registry, or is in too many groups.
    /// * `internal`: the group is not kept. [`join`](Self::join) joins any group.
    pub async fn join_from(
        &self,
        group: impl Into<Arc<str>>,
        connection: &Connection,
        since: Option<&str>,
    ) -> Result<Joined, Error> {
        let group = group.into();
        match (self.elsewhere(), self.kept(&group)) {
            (Some(elsewhere), Some(_)) => {
                let since = since.map(str::parse);
                elsewhere.join_from(group, connection.id(), since).await
            }
            _ => Err(Error::internal(format!(
                "the group `{group}` is not kept: the setting `groups` of the channel says which are"
            ))),
        }
    }
}

impl Group {
    /// [Publishes](Self::publish) to a [kept group](crate::Kept) a message with a key of the publisher's. A message with
    /// the same key within 5 minutes is not stored again: [`Published::stored`] has the position of the first one, and
    /// says that it is a duplicate. So a publisher that does not know whether a message was stored publishes it again.
    ///
    /// A key belongs to the group, and has at most 256 bytes.
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish), and `bad_request` for a longer key, or if the group is not kept: nobody gets
    /// the message then.
    pub async fn publish_once(&self, key: impl AsRef<str>, message: impl IntoMessage) -> Published {
        let key = key.as_ref();
        let message = match message.into_message() {
            Ok(message) => message,
            Err(error) => return unwritable(error),
        };
        let refused = match key.len() {
            _ if !self.is_kept() => "only a kept group has keys",
            ..=MAX_KEY => return self.keep(message, Some(key)).await,
            _ => "the key of a message has at most 256 bytes",
        };
        Published::refused(refused)
    }

    /// Whether the messages are kept.
    pub(super) fn is_kept(&self) -> bool {
        self.registry.kept(&self.name).is_some()
    }

    /// Has the engine store a message. All members get it from there.
    pub(super) async fn keep(&self, message: Message, once: Option<&str>) -> Published {
        let stored = match self.registry.elsewhere() {
            Some(elsewhere) => {
                let place = Place::Group(Arc::clone(&self.name));
                elsewhere
                    .store(place, message, once.map(str::to_owned))
                    .await
            }
            None => Err(Error::internal("the registry belongs to no gateway")),
        };
        let (stored, elsewhere) = match stored {
            Ok(stored) => (Some(stored), Ok(())),
            Err(error) => (None, Err(error)),
        };
        Published {
            here: Broadcast::default(),
            elsewhere,
            stored,
        }
    }
}
