//! What is known of a member of a kept group, and of a message to it.

use serde::Serialize;
use tokio::sync::oneshot;

use super::position::Position;

/// What a connection is told that has joined a [kept group](crate::Kept).
///
/// It is a reply: JSON with these fields. With [`reply`](Self::reply) the answer is one of your own. Messages of the group
/// wait until the reply is written; if this is dropped instead, they come at once.
#[derive(Debug, Serialize)]
#[must_use = "messages of the group wait until it is dropped or becomes a reply"]
#[non_exhaustive]
pub struct Joined {
    /// Whether everything that was published after the client's position follows. Otherwise the client has missed
    /// messages, or may have; `false` also if it gave no position.
    pub recovered: bool,
    /// Where the client is as soon as it has received what it has missed. From here it recovers if it gets nothing else.
    pub position: Position,
    /// How many messages the client has missed, which are delivered now.
    pub missed: usize,
    #[serde(skip)]
    gate: Option<Gate>,
}

/// Messages of a group wait for a member until it is dropped.
#[derive(Debug)]
pub(crate) struct Gate {
    _opens: oneshot::Sender<()>,
}

impl Gate {
    /// A gate, and what ends when it opens.
    pub(crate) fn new() -> (Self, oneshot::Receiver<()>) {
        let (opens, opened) = oneshot::channel();
        (Self { _opens: opens }, opened)
    }
}

impl Joined {
    pub(crate) fn new(
        recovered: bool,
        position: Position,
        missed: usize,
        gate: Option<Gate>,
    ) -> Self {
        Self {
            recovered,
            position,
            missed,
            gate,
        }
    }

    pub(crate) fn into_gates(self) -> Vec<Gate> {
        self.gate.into_iter().collect()
    }
}

/// A message that the engine has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Its position.
    pub position: Position,
    /// Whether it had been stored before, under the same key. Members do not get it again.
    pub duplicate: bool,
}

impl Stored {
    /// A message that was stored, for an [`Engine`](crate::cluster::Engine) of your own.
    pub const fn new(position: Position, duplicate: bool) -> Self {
        Self {
            position,
            duplicate,
        }
    }
}
