//! Members of kept groups are told who comes and who goes, on all nodes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{runtime::Handle, time::sleep};

use super::{
    Registry,
    address::{ConnectionAddress, NodeId},
    asked::{Answers, Question, packed},
    change::Change,
    elsewhere::{WeakRegistry, Whom},
    listing::{self, MAX_BYTES},
};
use crate::{
    ConnectionId,
    sync::{Mutex, MutexGuard, Unpoisoned},
};

/// How long changes are collected.
const TICK: Duration = Duration::from_millis(200);
/// The changes of a group that are told at once. If there are more, its members are told to ask.
const MAX_TOLD: usize = 500;
/// The changes that may wait. If there are more, the members of all groups are told to ask.
const MAX_WAITING: usize = 10_000;

/// The changes that wait to be told.
#[derive(Default)]
pub(super) struct Changes(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Who has joined or left these groups, possibly several times.
    groups: HashMap<Arc<str>, BTreeSet<ConnectionId>>,
    count: usize,
    /// There were more.
    has_overflown: bool,
    /// A task tells them, or will.
    has_task: bool,
}

impl Changes {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unpoisoned()
    }
}

impl Waiting {
    fn add(&mut self, group: &Arc<str>, id: ConnectionId) {
        if self.count >= MAX_WAITING {
            self.has_overflown = true;
        } else if self.groups.entry(Arc::clone(group)).or_default().insert(id) {
            self.count += 1;
        }
    }

    /// Takes everything, and leaves the task that tells it.
    fn take(&mut self) -> Self {
        let has_task = self.has_task;
        std::mem::replace(
            self,
            Self {
                has_task,
                ..Self::default()
            },
        )
    }
}

impl Registry {
    /// Somebody has joined or left a group. Never waits.
    pub(super) fn changed(&self, group: &Arc<str>, id: ConnectionId) {
        if !self.announces(group) {
            return;
        }
        let mut waiting = self.0.changes.waiting();
        waiting.add(group, id);
        // Connections are outside of a runtime only in tests of the application.
        if !waiting.has_task
            && let Ok(runtime) = Handle::try_current()
        {
            waiting.has_task = true;
            runtime.spawn(announce(self.downgrade()));
        }
    }

    /// How things are now with those who have joined or left a group.
    fn change(&self, name: &str, ids: &BTreeSet<ConnectionId>) -> (Change, usize) {
        if ids.len() > MAX_TOLD {
            return (Change::unsure(name), name.len());
        }
        let (group, mut bytes) = (self.group(name), name.len());
        let mut change = Change {
            group: name.to_owned(),
            ..Change::default()
        };
        for id in ids {
            match self.lookup(*id).filter(|member| group.contains(member)) {
                Some(connection) => {
                    let member = listing::member(self, &connection);
                    bytes += member.bytes();
                    change.joined.push(member);
                }
                None => {
                    bytes += 64;
                    change.left.push(ConnectionAddress::new(self.node(), *id));
                }
            }
            if bytes > MAX_BYTES {
                return (Change::unsure(name), name.len());
            }
        }
        (change, bytes)
    }
}

/// Tells all nodes what waits, until nothing does.
async fn announce(registry: WeakRegistry) {
    let mut missed = Missed::default();
    loop {
        sleep(TICK).await;
        let Some(registry) = registry.upgrade() else {
            return;
        };
        let taken = {
            let mut waiting = registry.0.changes.waiting();
            let taken = waiting.take();
            if taken.count == 0 && missed.is_empty() {
                waiting.has_task = false;
                return;
            }
            taken
        };
        missed.retry(&registry).await;
        if taken.has_overflown {
            missed.add(registry.ask_all(Question::Unsure).await);
            continue;
        }
        let (mut changes, mut size) = (Vec::new(), 0);
        for (group, ids) in taken.groups {
            let (change, bytes) = registry.change(&group, &ids);
            if size + bytes > MAX_BYTES && !changes.is_empty() {
                let changes = std::mem::take(&mut changes);
                missed.add(registry.ask_all(Question::Changed(changes)).await);
                size = 0;
            }
            size += bytes;
            changes.push(change);
        }
        if !changes.is_empty() {
            missed.add(registry.ask_all(Question::Changed(changes)).await);
        }
    }
}

/// The nodes that do not know of changes, and whose members are to ask.
#[derive(Default)]
struct Missed {
    nodes: HashSet<NodeId>,
    /// Nobody is known yet.
    all: bool,
}

impl Missed {
    fn is_empty(&self) -> bool {
        self.nodes.is_empty() && !self.all
    }

    fn add(&mut self, answers: Answers) {
        self.all |= answers.elsewhere.is_err() && answers.silent.is_empty();
        self.nodes.extend(answers.silent);
    }

    /// A node that is gone needs to be told nothing: if it comes back, it is noticed there as well.
    async fn retry(&mut self, registry: &Registry) {
        if std::mem::take(&mut self.all) {
            self.add(registry.ask_all(Question::Unsure).await);
            return;
        }
        let (Some(elsewhere), Ok(question)) =
            (registry.elsewhere(), packed(&Question::Unsure, &[]))
        else {
            return self.nodes.clear();
        };
        let asking = self.nodes.drain().map(|node| {
            let asked = elsewhere.ask(Whom::Node(node), Bytes::clone(&question));
            async move { (node, asked.await.elsewhere) }
        });
        let asked = join_all(asking).await;
        let still = asked.into_iter().filter_map(|(node, outcome)| {
            let is_there = outcome.is_err_and(|error| error.code() != "gone");
            is_there.then_some(node)
        });
        self.nodes.extend(still);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kept;

    fn announced() -> Registry {
        let registry = Registry::new();
        let kept = [Kept::prefix("room:").announced(), Kept::prefix("other:")];
        assert_eq!(registry.keep(&kept), Ok(()));
        registry
    }

    #[test]
    fn only_changes_of_announced_groups_wait_and_each_connection_once() {
        let registry = announced();
        for group in ["room:1", "other:1", "live"] {
            for id in [1, 2, 1] {
                registry.changed(&group.into(), ConnectionId(id));
            }
        }
        let taken = registry.0.changes.waiting().take();
        assert_eq!(taken.count, 2);
        assert_eq!(taken.groups.len(), 1);
        let (change, _) = registry.change("room:1", &taken.groups["room:1"]);
        let left = [1, 2].map(|id| ConnectionAddress::new(registry.node(), ConnectionId(id)));
        assert_eq!((change.left.as_slice(), change.unsure), (&left[..], false));
    }

    #[test]
    fn members_are_to_ask_when_too_much_changes_at_once() {
        let registry = announced();
        for id in 0..=MAX_TOLD as u64 {
            registry.changed(&"room:1".into(), ConnectionId(id));
        }
        let taken = registry.0.changes.waiting().take();
        assert!(!taken.has_overflown);
        let (change, _) = registry.change("room:1", &taken.groups["room:1"]);
        assert!(change.unsure && change.left.is_empty());
        for id in 0..=MAX_WAITING as u64 {
            registry.changed(&format!("room:{id}").into(), ConnectionId(id));
        }
        let taken = registry.0.changes.waiting().take();
        assert!(taken.has_overflown);
        assert_eq!(taken.groups.len(), MAX_WAITING);
    }
}
