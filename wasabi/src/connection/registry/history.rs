//! Reading what is kept of a group.

use std::sync::Arc;

use super::{Group, position::Position};
use crate::{Error, Message};

/// The most messages of a page.
const MAX_PAGE: usize = 1000;

/// A page of the messages that are kept of a [group](crate::Kept).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeptMessages {
    /// The messages, in their order.
    pub messages: Vec<KeptMessage>,
    /// Whether nothing that came after the position that was asked for is missing. Otherwise, these are from the
    /// beginning of what is kept, or from the position on if it is still there and the engine has lost messages after it;
    /// `false` also if there was no position.
    pub recovered: bool,
    /// The position of the first message that is kept; `None` if none is.
    pub first: Option<Position>,
    /// Where the group is: whoever has all of its messages joins from here
    /// ([`Registry::join_from`](crate::Registry::join_from)).
    pub position: Position,
    /// The position that the next page comes after, if there is one.
    pub next: Option<Position>,
}

/// A message that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptMessage {
    /// Its position.
    pub position: Position,
    /// The message as members get it, with its [stamp](crate::Kept::stamp).
    pub message: Message,
}

impl KeptMessage {
    pub(crate) fn new(position: Position, message: Message) -> Self {
        Self { position, message }
    }
}

impl Group {
    /// Reads the messages that are kept of a [kept group](crate::Kept), after a position or from the first one: at most
    /// `limit` of them, from 1 to 1000; other numbers count as the nearest of these. A page has fewer if they have more than
    /// 1 MiB together, and then still a [`next`](KeptMessages::next) one.
    ///
    /// Nothing is asked of the engine: each gateway has the history. A gateway that has not received the message at the
    /// position waits for it, for at most 2 s.
    ///
    /// ```
    /// use wasabi::{KeptMessage, prelude::*};
    ///
    /// /// Everything that is kept of a room.
    /// async fn all(registry: &Registry, room: &str) -> Result<Vec<KeptMessage>> {
    ///     let (room, mut since) = (registry.group(room), None);
    ///     let mut all = Vec::new();
    ///     loop {
    ///         let page = room.history(since, 100).await?;
    ///         if !page.recovered {
    ///             // It begins anew: something after what was read before is missing.
    ///             all.clear();
    ///         }
    ///         all.extend(page.messages);
    ///         match page.next {
    ///             Some(next) => since = Some(next),
    ///             None => return Ok(all),
    ///         }
    ///     }
    /// }
    /// # drop(all);
    /// ```
    ///
    /// # Errors
    ///
    /// * `upstream_unreachable`: the gateway has just started, or the engine has lost messages, and for 5 s the gateway
    ///   could not read the history.
    /// * `bad_request`: the group is not kept, or its name is longer than 512 bytes.
    pub async fn history(
        &self,
        since: Option<Position>,
        limit: usize,
    ) -> Result<KeptMessages, Error> {
        match self.registry.elsewhere() {
            Some(elsewhere) if self.is_kept() => {
                let limit = limit.clamp(1, MAX_PAGE);
                elsewhere
                    .history(Arc::clone(&self.name), since, limit)
                    .await
            }
            _ => Err(Error::bad_request("only a kept group has a history")),
        }
    }
}
