//! One message to the members of a group in every process.

use super::{
    Broadcast, Group, Stored,
    elsewhere::{Parcel, Place},
};
use crate::{Connection, Error, IntoMessage, Message, MessageError};

/// What is known of a published message.
#[derive(Debug)]
#[must_use = "`elsewhere` says whether the other processes were told"]
#[non_exhaustive]
pub struct Published {
    /// The members in this process.
    pub here: Broadcast,
    /// Whether the message is on its way to the members in other processes. An error does not concern the members here:
    /// they have the message. For a [kept group](crate::Kept), whether the message is stored: if not, no member gets it,
    /// here or elsewhere.
    pub elsewhere: Result<(), Error>,
    /// The message as the engine has stored it, if the group is [kept](crate::Kept). [`here`](Self::here) is then empty:
    /// the members in this process get the message from the engine, too.
    pub stored: Option<Stored>,
}

impl Published {
    pub(super) fn refused(reason: &'static str) -> Self {
        Self {
            here: Broadcast::default(),
            elsewhere: Err(Error::bad_request(reason)),
            stored: None,
        }
    }
}

impl Group {
    /// Publishes a message to the members in every process of the gateway's [`Cluster`](crate::Cluster). Without a
    /// `cluster` it is [`broadcast`](Self::broadcast).
    ///
    /// The members in this process have the message in their queues when the returned future has been polled once. The
    /// future then waits until the cluster's engine has the message. Members elsewhere get a message at most once. They
    /// get the messages of one publisher, who awaits each call, in their order.
    ///
    /// To a [kept group](crate::Kept) it returns when the engine has stored the message, and
    /// [`stored`](Published::stored) has its position.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// async fn say(State(registry): State<Registry>, text: Text) -> Result<()> {
    ///     let published = registry.group("lobby").publish(text).await;
    ///     tracing::debug!(here = published.here.sent, skipped = published.here.skipped.len());
    ///     published.elsewhere
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`elsewhere`](Published::elsewhere) is an error
    /// * `upstream_unreachable`: for 2 s there was no connection to the engine, or the engine refused the message. No
    ///   member elsewhere gets it. NATS does not say that it refuses a message, for want of a permission: the call
    ///   succeeds, and the log has a warning.
    /// * `upstream_lost`: the engine did not take the message within 2 s, or the connection broke. Members elsewhere may
    ///   get it; a kept group may. [`publish_once`](Self::publish_once) can be repeated.
    /// * `bad_request`: the engine does not allow so large a message, or the group's name is longer than 512 bytes.
    /// * `internal`: the value cannot be written as a message, so nobody gets it.
    pub async fn publish(&self, message: impl IntoMessage) -> Published {
        match message.into_message() {
            Ok(message) if self.is_kept() => self.keep(message, None).await,
            Ok(message) => {
                let here = self.broadcast(message.clone());
                self.published(here, message).await
            }
            Err(error) => unwritable(error),
        }
    }

    /// [Publishes](Self::publish) to every member except this one, usually the sender. A [kept group](crate::Kept) has no
    /// exceptions: the error is `bad_request`, and nobody gets the message.
    pub async fn publish_except(&self, but: &Connection, message: impl IntoMessage) -> Published {
        match message.into_message() {
            Ok(_) if self.is_kept() => {
                Published::refused("every member of a kept group gets every message")
            }
            Ok(message) => {
                let here = self.broadcast_except(but, message.clone());
                self.published(here, message).await
            }
            Err(error) => unwritable(error),
        }
    }

    /// Waits until this process gets what others publish to the group from now on.
    ///
    /// A process gets the messages of a group while it has a member, and a few seconds longer. The first member that
    /// [joins](crate::Registry::join) makes the gateway subscribe at the cluster's engine, which takes a moment. Await this
    /// after the join where nothing that is published afterwards may be missed: a client that reads the history of a
    /// room after it has joined, for example. Without a `cluster` it returns at once.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// async fn join(State(registry): State<Registry>, room: Text, connection: Connection) -> Result<()> {
    ///     registry.join(&*room, &connection);
    ///     registry.group(&*room).attached().await
    /// }
    /// ```
    ///
    /// If the servers of a NATS cluster are several, the others learn of the subscription a few milliseconds later.
    ///
    /// # Errors
    ///
    /// * `upstream_unreachable`: the engine has not confirmed the subscription within 5 s, or refuses it. The gateway
    ///   goes on trying while the group has members.
    /// * `bad_request`: the group has no member in this process, or its name is longer than 512 bytes.
    pub async fn attached(&self) -> Result<(), Error> {
        self.registry.attached(self.place()).await
    }

    fn place(&self) -> Place {
        Place::Group(self.name.clone())
    }

    async fn published(&self, here: Broadcast, message: Message) -> Published {
        let parcel = Parcel::Message(message);
        let elsewhere = self.registry.tell(self.place(), parcel).await;
        Published {
            here,
            elsewhere,
            stored: None,
        }
    }
}

pub(super) fn unwritable(error: MessageError) -> Published {
    Published {
        elsewhere: Err(Error::internal(error.clone())),
        here: Broadcast {
            error: Some(error),
            ..Broadcast::default()
        },
        stored: None,
    }
}
