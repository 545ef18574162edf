//! The nodes that have missed what was told.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    Registry,
    address::NodeId,
    asked::Question,
    elsewhere::{Asked, Whom},
};

/// When a node is told the first time after it has missed something, and at the latest.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// The nodes that do not know of changes, and whose members are to ask.
#[derive(Default)]
pub(super) struct Missed {
    nodes: HashMap<NodeId, Again>,
    /// Nobody is known yet.
    all: Option<Again>,
}

/// When somebody is told again.
struct Again {
    at: Instant,
    wait: Duration,
}

impl Again {
    fn after(wait: Duration) -> Self {
        let at = Instant::now() + wait;
        Self { at, wait }
    }

    fn soon() -> Self {
        Self::after(FIRST)
    }

    fn later(&self) -> Self {
        Self::after((2 * self.wait).min(LONGEST))
    }

    fn is_due(&self) -> bool {
        self.at <= Instant::now()
    }
}

impl Missed {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.all.is_none()
    }

    pub(super) fn add(&mut self, node: NodeId) {
        self.nodes.entry(node).or_insert_with(Again::soon);
    }

    /// Adds those who have not confirmed what all were told.
    pub(super) fn add_all(&mut self, asked: &Asked) {
        if is_unknown(asked) {
            self.all.get_or_insert_with(Again::soon);
        }
        asked.silent.iter().for_each(|node| self.add(*node));
    }

    /// Tells those whose time has come. A node that is gone needs to be told nothing: if it comes back, that is noticed.
    pub(super) async fn retry(&mut self, registry: &Registry) {
        if let Some(again) = self.all.take_if(|again| again.is_due()) {
            let asked = registry.announce(Whom::All, &Question::Unsure).await;
            self.all = is_unknown(&asked).then(|| again.later());
            self.add_all(&asked);
        }
        let due = self.nodes.extract_if(|_, again| again.is_due());
        let asking = due.map(|(node, again)| async move {
            let asked = registry.announce(Whom::Node(node), &Question::Unsure).await;
            (node, again, asked.elsewhere)
        });
        let asking: Vec<_> = asking.collect();
        for (node, again, outcome) in join_all(asking).await {
            if outcome.is_err_and(|error| error.code() != "gone") {
                self.nodes.insert(node, again.later());
            }
        }
    }
}

/// Whether it is not even known who has not heard it.
fn is_unknown(asked: &Asked) -> bool {
    asked.elsewhere.is_err() && asked.silent.is_empty()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::Error;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_told_less_and_less_often() {
        let mut again = Again::soon();
        for millis in [200, 400, 800, 1600, 3200, 5000, 5000] {
            assert!(!again.is_due());
            advance(Duration::from_millis(millis - 1)).await;
            assert!(!again.is_due(), "{millis}");
            advance(Duration::from_millis(1)).await;
            assert!(again.is_due(), "{millis}");
            again = again.later();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_told_who_has_missed_nothing() {
        let (mut missed, node) = (Missed::default(), NodeId::random());
        missed.add_all(&Asked::nobody(Ok(())));
        assert!(missed.is_empty());
        missed.add_all(&Asked {
            silent: vec![node],
            ..Asked::nobody(Err(Error::Overloaded))
        });
        assert!(missed.all.is_none() && missed.nodes.contains_key(&node));
        missed.add_all(&Asked::nobody(Err(Error::Overloaded)));
        assert!(missed.all.is_some());
        // It is not time.
        let registry = Registry::new();
        missed.retry(&registry).await;
        assert!(!missed.is_empty());
        advance(FIRST).await;
        missed.retry(&registry).await;
        assert!(missed.is_empty());
    }
}
