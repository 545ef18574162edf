//! Members of kept groups are told who comes and who goes, on all nodes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

use super::{
    Kept, Registry,
    address::{ConnectionAddress, NodeId},
    asked::{Question, packed},
    change::Change,
    elsewhere::{Asked, WeakRegistry, Whom},
    listing::{self, MAX_BYTES},
    missed::Missed,
    turn::Turn,
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
    /// A node that is gone.
    gone: Option<NodeId>,
    /// The members of all groups here are to ask.
    is_unsure: bool,
    /// The nodes that may have missed what was told.
    missed: HashSet<NodeId>,
    /// A task tells all that, or will.
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

    fn add_gone(&mut self, node: NodeId) {
        match self.gone {
            // Each member is told of one node, or once to ask.
            Some(other) if other != node => self.is_unsure = true,
            _ => self.gone = Some(node),
        }
    }

    fn is_empty(&self) -> bool {
        self.count == 0
            && !self.has_overflown
            && self.gone.is_none()
            && !self.is_unsure
            && self.missed.is_empty()
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
        if self.announces(group) {
            self.soon(|waiting| waiting.add(group, id));
        }
    }

    /// Members here may have missed who has come and gone elsewhere.
    pub(super) fn becomes_unsure(&self) {
        if self.announces_any() {
            self.soon(|waiting| waiting.is_unsure = true);
        }
    }

    /// These nodes have gone without a word of their members. Those are back: they were told nothing, and have told
    /// nothing.
    pub(crate) fn noticed(&self, gone: &[NodeId], back: &[NodeId]) {
        if !self.announces_any() {
            return;
        }
        self.soon(|waiting| {
            gone.iter().for_each(|node| waiting.add_gone(*node));
            waiting.is_unsure |= !back.is_empty();
            // Perhaps they have not noticed it themselves.
            waiting.missed.extend(back);
        });
    }

    fn announces_any(&self) -> bool {
        let kept = self.0.kept.get();
        kept.is_some_and(|kept| kept.iter().any(Kept::is_announced))
    }

    /// Adds something that is to be told. The caller need not be in a runtime, once the node has begun to run in one.
    fn soon(&self, add: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.0.changes.waiting();
        add(&mut waiting);
        if waiting.has_task {
            return;
        }
        let own = self.elsewhere().and_then(|elsewhere| elsewhere.runtime());
        // Without any, it waits for the next change.
        let Some(runtime) = own.or_else(|| Handle::try_current().ok()) else {
            return;
        };
        waiting.has_task = true;
        // A runtime that has ended drops the task at once, which locks this itself.
        drop(waiting);
        runtime.spawn(tell_what_waits(Task {
            registry: self.downgrade(),
            is_over: false,
        }));
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

    /// Tells everybody what has waited.
    async fn tell_all(&self, taken: Waiting, missed: &mut Missed) {
        let mut turn = Turn::default();
        taken.missed.into_iter().for_each(|node| missed.add(node));
        let is_unsure = taken.is_unsure || taken.has_overflown;
        if is_unsure || taken.gone.is_some() {
            for group in self.groups() {
                let change = match taken.gone {
                    Some(node) if !is_unsure => Change::gone(&group, node),
                    _ => Change::unsure(&group),
                };
                turn.delivered(0, self.tell_members(&change)).await;
            }
        }
        if taken.has_overflown {
            let asked = self.announce(Whom::All, &Question::Unsure).await;
            return missed.add_all(&asked);
        }
        let (mut changes, mut size, mut has_failed) = (Vec::new(), 0, false);
        for (group, ids) in taken.groups {
            let (change, bytes) = self.change(&group, &ids);
            turn.delivered(bytes, self.tell_members(&change)).await;
            if size + bytes > MAX_BYTES && !changes.is_empty() {
                has_failed |= self.tell_others(&mut changes, has_failed, missed).await;
                size = 0;
            }
            size += bytes;
            changes.push(change);
        }
        self.tell_others(&mut changes, has_failed, missed).await;
    }

    /// Tells other nodes, unless they have missed something already and are to ask. Returns whether nobody has heard it.
    async fn tell_others(
        &self,
        changes: &mut Vec<Change>,
        has_failed: bool,
        missed: &mut Missed,
    ) -> bool {
        let changes = std::mem::take(changes);
        if changes.is_empty() || has_failed {
            return has_failed;
        }
        let asked = self.announce(Whom::All, &Question::Changed(changes)).await;
        missed.add_all(&asked);
        asked.elsewhere.is_err() && asked.answers.is_empty()
    }

    /// Tells other nodes.
    pub(super) async fn announce(&self, whom: Whom, question: &Question) -> Asked {
        match (self.elsewhere(), packed(question, &[])) {
            (None, _) => Asked::nobody(Ok(())),
            (Some(_), Err(error)) => Asked::nobody(Err(error)),
            (Some(elsewhere), Ok(packed)) => elsewhere.announce(whom, packed).await,
        }
    }
}

/// The task that tells what waits in this registry.
struct Task {
    registry: WeakRegistry,
    /// Nothing has waited.
    is_over: bool,
}

impl Drop for Task {
    /// The runtime has ended, or something has panicked: the next change has another task, which says that some are lost.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some(registry) = self.registry.upgrade() {
            let mut waiting = registry.0.changes.waiting();
            waiting.has_task = false;
            waiting.has_overflown = true;
        }
    }
}

/// Tells all nodes what waits, until nothing does.
async fn tell_what_waits(mut task: Task) {
    let mut missed = Missed::default();
    loop {
        sleep(TICK).await;
        let Some(registry) = task.registry.upgrade() else {
            return;
        };
        let taken = {
            let mut waiting = registry.0.changes.waiting();
            let taken = waiting.take();
            if taken.is_empty() && missed.is_empty() {
                waiting.has_task = false;
                task.is_over = true;
                return;
            }
            taken
        };
        registry.tell_all(taken, &mut missed).await;
        missed.retry(&registry).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

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

    #[test]
    fn what_is_noticed_of_nodes_waits_only_if_somebody_is_told() {
        let nodes = [(); 2].map(|()| NodeId::random());
        let registry = Registry::new();
        registry.noticed(&nodes, &nodes);
        assert!(registry.0.changes.waiting().is_empty());
        let registry = announced();
        registry.noticed(&nodes[..1], &[]);
        registry.noticed(&nodes[..1], &[]);
        let taken = registry.0.changes.waiting().take();
        assert_eq!((taken.gone, taken.is_unsure), (Some(nodes[0]), false));
        registry.noticed(&nodes, &[]);
        assert!(registry.0.changes.waiting().take().is_unsure);
        registry.noticed(&[], &nodes);
        let taken = registry.0.changes.waiting().take();
        assert!(taken.is_unsure && taken.missed == nodes.into());
    }

    #[test]
    fn a_task_that_ends_with_its_runtime_has_a_successor_that_says_what_is_lost() {
        let registry = announced();
        for _ in 0..2 {
            let runtime = Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                registry.changed(&"room:1".into(), ConnectionId(1));
            });
            drop(runtime);
            assert!(!registry.0.changes.waiting().has_task);
        }
        assert!(registry.0.changes.waiting().has_overflown);
    }
}
