//! What members of a group are told of each other.

use serde::{Deserialize, Serialize};

use super::{
    GAP, Kept, Registry,
    address::{ConnectionAddress, NodeId},
    info::Member,
};
use crate::{Close, Message};

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
}

impl Registry {
    pub(super) fn announces(&self, group: &str) -> bool {
        self.kept(group).is_some_and(Kept::is_announced)
    }

    /// Tells the members of a group that are on this node.
    pub(super) fn tell_members(&self, change: &Change) {
        let group = self.group(&*change.group);
        if !self.announces(&change.group) || group.is_empty() {
            return;
        }
        let Ok(text) = serde_json::to_string(change) else {
            return;
        };
        let told = group.broadcast(Message::text(text));
        for slow in told.skipped {
            // It would never know.
            slow.close(Close::new(GAP, "who has come and gone is lost"));
        }
    }

    /// Members of all groups are to ask who is there.
    pub(crate) fn all_are_unsure(&self) {
        for group in self.groups() {
            self.tell_members(&Change::unsure(&group));
        }
    }

    /// The members on another node have left without a word.
    pub(crate) fn node_is_gone(&self, node: NodeId) {
        for group in self.groups() {
            self.tell_members(&Change {
                group: group.to_string(),
                gone: Some(node),
                ..Change::default()
            });
        }
    }
}
