//! Which other nodes are there.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::connection::registry::address::NodeId;

/// A node that was not heard of for so long is gone.
pub(in crate::cluster) const GONE_AFTER: Duration = Duration::from_secs(10);
/// How often it is looked for them: not with every note of another node.
const SWEEP: Duration = Duration::from_millis(100);
/// How long the last beat of a node that is gone is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The nodes that are known, and those that are remembered. An engine is trusted with what it says, and not with how much.
const MAX_NODES: usize = 4096;

/// The other nodes, as far as this one has heard of them.
#[derive(Default)]
pub(in crate::cluster) struct Known {
    here: HashMap<NodeId, Here>,
    gone: HashMap<NodeId, Gone>,
    swept: Option<Instant>,
    /// This node has been there long enough to know all who were there before.
    has_met: bool,
    /// What was noticed and not taken.
    noticed: Vec<Noticed>,
}

/// What was noticed of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cluster) enum Noticed {
    Gone(NodeId),
    /// It has been there before without this node, and they have told each other nothing.
    Back(NodeId),
}

struct Here {
    /// The number of its last beat.
    number: u64,
    heard: Instant,
    /// It has not answered a call since then.
    is_silent: bool,
}

/// Beats up to this number are late ones, and do not bring the node back.
struct Gone {
    number: u64,
    since: Instant,
}

impl Known {
    /// A node says that it is there. Returns whether that is news.
    pub(in crate::cluster) fn heard(&mut self, node: NodeId, number: u64) -> bool {
        self.forget();
        if let Some(here) = self.here.get_mut(&node) {
            if number > here.number {
                *here = Here::now(number);
            }
            return false;
        }
        if self
            .gone
            .get(&node)
            .is_some_and(|gone| number <= gone.number)
            || self.here.len() >= MAX_NODES
        {
            return false;
        }
        let was_gone = self.gone.remove(&node).is_some();
        // A node that starts begins with 1.
        if was_gone || (self.has_met && number > 1) {
            self.notice(Noticed::Back(node));
        }
        self.here.insert(node, Here::now(number));
        true
    }

    /// Whoever was there when this node came has had the time to say so. Others who are heard of later have been there as
    /// well, unless they begin.
    pub(in crate::cluster) fn set_met(&mut self) {
        self.has_met = true;
    }

    /// A node says good-bye. Returns whether it was there.
    pub(in crate::cluster) fn left(&mut self, node: NodeId, number: u64) -> bool {
        self.forget();
        let is_late = (self.here.get(&node)).is_some_and(|here| here.number > number);
        if is_late {
            return false;
        }
        let was_here = self.here.remove(&node).is_some();
        self.remember(node, number);
        if was_here {
            self.notice(Noticed::Gone(node));
        }
        was_here
    }

    /// The nodes that are there, in order.
    pub(in crate::cluster) fn nodes(&mut self) -> Vec<NodeId> {
        self.forget();
        let mut nodes: Vec<_> = self.here.keys().copied().collect();
        nodes.sort_unstable();
        nodes
    }

    pub(in crate::cluster) fn is_here(&mut self, node: NodeId) -> bool {
        self.forget();
        self.here.contains_key(&node)
    }

    /// Whether a node is known to be gone.
    pub(in crate::cluster) fn is_gone(&mut self, node: NodeId) -> bool {
        self.forget();
        self.gone.contains_key(&node)
    }

    /// Whether a node has been silent since it was heard of.
    pub(in crate::cluster) fn is_silent(&self, node: NodeId) -> bool {
        self.here.get(&node).is_some_and(|here| here.is_silent)
    }

    /// A node has not answered a call, or has.
    pub(in crate::cluster) fn set_silent(&mut self, node: NodeId, is_silent: bool) {
        if let Some(here) = self.here.get_mut(&node) {
            here.is_silent = is_silent;
        }
    }

    /// Takes what was noticed since the last time.
    pub(in crate::cluster) fn take_noticed(&mut self) -> Vec<Noticed> {
        self.forget();
        std::mem::take(&mut self.noticed)
    }

    fn notice(&mut self, noticed: Noticed) {
        if self.noticed.len() < MAX_NODES {
            self.noticed.push(noticed);
        }
    }

    fn forget(&mut self) {
        if self.swept.is_some_and(|swept| swept.elapsed() < SWEEP) {
            return;
        }
        self.swept = Some(Instant::now());
        let lost: Vec<_> = self
            .here
            .extract_if(|_, here| here.heard.elapsed() >= GONE_AFTER)
            .collect();
        for (node, here) in lost {
            self.remember(node, here.number);
            self.notice(Noticed::Gone(node));
        }
        self.gone
            .retain(|_, gone| gone.since.elapsed() < REMEMBERED);
    }

    fn remember(&mut self, node: NodeId, number: u64) {
        if self.gone.len() < MAX_NODES || self.gone.contains_key(&node) {
            let since = Instant::now();
            self.gone.insert(node, Gone { number, since });
        }
    }
}

impl Here {
    fn now(number: u64) -> Self {
        Self {
            number,
            heard: Instant::now(),
            is_silent: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_not_heard_of_is_gone() {
        let (mut known, node) = (Known::default(), NodeId::random());
        assert!(known.heard(node, 1));
        sleep(Duration::from_secs(9)).await;
        assert!(!known.heard(node, 2));
        sleep(Duration::from_secs(9)).await;
        assert_eq!(known.nodes(), [node]);
        sleep(Duration::from_secs(1)).await;
        assert!(known.nodes().is_empty());
        // The same beat comes once more.
        assert!(!known.heard(node, 2));
        assert!(known.nodes().is_empty());
        assert_eq!(known.take_noticed(), [Noticed::Gone(node)]);
        // It was cut off, and is back.
        assert!(known.heard(node, 3));
        assert_eq!(known.nodes(), [node]);
        assert_eq!(known.take_noticed(), [Noticed::Back(node)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_met_late_is_back_and_one_that_begins_is_not() {
        let (mut known, nodes) = (Known::default(), [(); 3].map(|()| NodeId::random()));
        // It was there before this one.
        assert!(known.heard(nodes[0], 7));
        known.set_met();
        assert!(known.heard(nodes[1], 1));
        assert!(known.take_noticed().is_empty());
        assert!(known.heard(nodes[2], 2));
        assert_eq!(known.take_noticed(), [Noticed::Back(nodes[2])]);
        known.left(nodes[2], 3);
        sleep(REMEMBERED + SWEEP).await;
        known.take_noticed();
        assert!(!known.is_gone(nodes[2]), "it is forgotten");
        assert!(known.heard(nodes[2], 4));
        assert_eq!(known.take_noticed(), [Noticed::Back(nodes[2])]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_beat_does_not_bring_back_who_has_said_good_bye() {
        let (mut known, node) = (Known::default(), NodeId::random());
        known.heard(node, 1);
        assert!(known.left(node, 4));
        for late in 1..=4 {
            assert!(!known.heard(node, late));
            assert!(!known.is_here(node));
        }
        assert!(known.heard(node, 5));
        assert!(!known.left(node, 4), "a late good-bye");
        assert!(known.is_here(node));
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_nodes_are_heard_of_the_memory_is_bounded() {
        let mut known = Known::default();
        for _ in 0..3 {
            for _ in 0..2 * MAX_NODES {
                known.heard(NodeId::random(), 1);
            }
            assert!(known.here.len() <= MAX_NODES && known.gone.len() <= MAX_NODES);
            sleep(GONE_AFTER).await;
        }
        sleep(REMEMBERED).await;
        assert!(known.nodes().is_empty() && known.gone.is_empty());
    }
}
