//! What members of a group are told of each other.

use serde::{Deserialize, Serialize};

use super::{
    Kept, Registry,
    address::{ConnectionAddress, NodeId},
    info::Member,
};
use crate::Message;

/// What the members of a group are told.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) group: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) joined: Vec<Member>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left: Vec<ConnectionAddress>,
    /// All members on this node have left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gone: Option<NodeId>,
    /// Others may have come and gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unsure: bool,
}

impl Change {
    pub(super) fn unsure(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            unsure: true,
            ..Self::default()
        }
    }

    /// The members on another node have left without a word.
    pub(super) fn gone(group: &str, node: NodeId) -> Self {
        Self {
            group: group.to_owned(),
            gone: Some(node),
            ..Self::default()
        }
    }

    pub(super) fn message(&self) -> Option<Message> {
        serde_json::to_string(self).ok().map(Message::text)
    }
}

impl Registry {
    pub(super) fn announces(&self, group: &str) -> bool {
        self.kept(group).is_some_and(Kept::is_announced)
    }

    /// Tells the members of a group that are on this node, and counts them. A member whose queue is full is told to ask,
    /// when there is room.
    pub(super) fn tell_members(&self, change: &Change) -> usize {
        let group = self.group(&*change.group);
        if !self.announces(&change.group) || group.is_empty() {
            return 0;
        }
        let Some(message) = change.message() else {
            return 0;
        };
        let told = group.broadcast(message);
        for slow in &told.skipped {
            self.owe(&group.name, slow);
        }
        told.sent + told.skipped.len()
    }
}
