//! The calls of a node that wait for answers: bounded in number and in bytes.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::Notify;

use super::note::{CallId, Outcome};
use crate::{
    Error, Result,
    connection::registry::address::NodeId,
    sync::{Mutex, Unpoisoned},
};

/// The calls that may wait, besides announcements. Of these, a registry has one, and one for each node that has missed it.
const MAX_CALLS: usize = 256;
/// The bytes of answers that may wait, all calls together.
const MAX_BYTES: usize = 32 * 1024 * 1024;

#[derive(Default)]
pub(in crate::cluster) struct Calls(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    calls: HashMap<CallId, Waits>,
    /// How many of them are no announcements.
    questions: usize,
    bytes: usize,
}

struct Waits {
    /// Those who have not answered yet.
    on: HashSet<NodeId>,
    answers: Vec<(NodeId, Outcome)>,
    is_announcement: bool,
    done: Arc<Notify>,
}

impl Calls {
    /// Begins to wait for the answers of these nodes. There is always room for an announcement, of whose answers nothing
    /// is kept but whose they are.
    pub(in crate::cluster) fn begin(
        &self,
        on: impl IntoIterator<Item = NodeId>,
        is_announcement: bool,
    ) -> Result<Waiter<'_>> {
        let mut waiting = self.0.lock().unpoisoned();
        if !is_announcement {
            if waiting.questions >= MAX_CALLS {
                return Err(Error::Overloaded);
            }
            waiting.questions += 1;
        }
        let (id, done) = (CallId::random(), Arc::new(Notify::new()));
        let waits = Waits {
            on: on.into_iter().collect(),
            answers: Vec::new(),
            is_announcement,
            done: Arc::clone(&done),
        };
        if waits.on.is_empty() {
            done.notify_one();
        }
        waiting.calls.insert(id, waits);
        Ok(Waiter {
            calls: self,
            id,
            done,
        })
    }

    /// Takes an answer, unless nobody waits for it. Returns `false` if there is no room for it.
    pub(in crate::cluster) fn answered(
        &self,
        call: CallId,
        node: NodeId,
        mut outcome: Outcome,
    ) -> bool {
        let mut guard = self.0.lock().unpoisoned();
        let waiting = &mut *guard;
        // It is late, or comes twice.
        let Some(waits) = waiting.calls.get_mut(&call) else {
            return true;
        };
        if waits.answers.iter().any(|(other, _)| *other == node) {
            return true;
        }
        if waits.is_announcement
            && let Outcome::Answer(answer) = &mut outcome
        {
            *answer = Bytes::new();
        }
        let bytes = waiting.bytes + length(&outcome);
        if bytes > MAX_BYTES {
            return false;
        }
        waiting.bytes = bytes;
        waits.answers.push((node, outcome));
        waits.on.remove(&node);
        if waits.on.is_empty() {
            waits.done.notify_one();
        }
        true
    }

    /// Nobody waits for this node any more.
    pub(in crate::cluster) fn left(&self, node: NodeId) {
        let mut waiting = self.0.lock().unpoisoned();
        for waits in waiting.calls.values_mut() {
            if waits.on.remove(&node) && waits.on.is_empty() {
                waits.done.notify_one();
            }
        }
    }
}

fn length(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Answer(answer) => answer.len(),
        Outcome::NoRegistry | Outcome::Unreadable => 0,
    }
}

/// A call that waits.
pub(in crate::cluster) struct Waiter<'a> {
    calls: &'a Calls,
    pub(in crate::cluster) id: CallId,
    done: Arc<Notify>,
}

impl Waiter<'_> {
    /// Waits until all have answered who are there.
    pub(in crate::cluster) async fn done(&self) {
        self.done.notified().await;
    }

    /// The answers, with `None` for those that a node could not give; and the nodes that have not answered.
    pub(in crate::cluster) fn finish(self) -> (Vec<(NodeId, Bytes)>, Vec<NodeId>) {
        let Some(waits) = self.take() else {
            return (Vec::new(), Vec::new());
        };
        let (mut answers, mut silent) = (Vec::new(), Vec::from_iter(waits.on));
        for (node, outcome) in waits.answers {
            match outcome {
                Outcome::Answer(answer) => answers.push((node, answer)),
                Outcome::NoRegistry => {}
                Outcome::Unreadable => silent.push(node),
            }
        }
        silent.sort_unstable();
        (answers, silent)
    }

    fn take(&self) -> Option<Waits> {
        let mut waiting = self.calls.0.lock().unpoisoned();
        let waits = waiting.calls.remove(&self.id)?;
        let bytes: usize = waits
            .answers
            .iter()
            .map(|(_, outcome)| length(outcome))
            .sum();
        waiting.bytes -= bytes;
        waiting.questions -= usize::from(!waits.is_announcement);
        Some(waits)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // Finds nothing after `finish`.
        self.take();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn answer(bytes: usize) -> Outcome {
        Outcome::Answer(vec![0; bytes].into())
    }

    #[test]
    fn a_call_is_done_when_all_have_answered_who_are_there() {
        let (calls, nodes) = (Calls::default(), [(); 3].map(|()| NodeId::random()));
        let call = calls.begin(nodes, false).expect("room");
        for node in [nodes[0], nodes[0], NodeId::random()] {
            assert!(calls.answered(call.id, node, answer(1)));
        }
        calls.left(nodes[1]);
        assert!(call.done().now_or_never().is_none());
        calls.answered(CallId::random(), nodes[2], answer(1));
        assert!(call.done().now_or_never().is_none());
        calls.answered(call.id, nodes[2], Outcome::NoRegistry);
        assert!(call.done().now_or_never().is_some());
        // One that this node has not heard of before has answered as well.
        let (answers, silent) = call.finish();
        assert_eq!((answers.len(), silent.len()), (2, 0));
        let nobody = calls.begin([], false).expect("room");
        assert!(nobody.done().now_or_never().is_some());
    }

    #[test]
    fn calls_and_answers_are_bounded() {
        let (calls, node) = (Calls::default(), NodeId::random());
        let mut all: Vec<_> = (0..MAX_CALLS)
            .map(|_| calls.begin([node], false).expect("room"))
            .collect();
        let error = calls.begin([node], false).err().expect("no room");
        assert_eq!(error.code(), "overloaded");
        let taken = all
            .iter()
            .filter(|call| calls.answered(call.id, node, answer(1024 * 1024)));
        assert_eq!(taken.count(), 32);
        let announcement = calls.begin([node], true).expect("room");
        assert!(calls.answered(announcement.id, node, answer(1024 * 1024)));
        let (answers, silent) = announcement.finish();
        assert_eq!((answers, silent.len()), (vec![(node, Bytes::new())], 0));
        all.pop();
        assert!(calls.begin([node], false).is_ok());
        // What has no room has not been answered.
        let (_, silent) = all.pop().expect("a call").finish();
        assert_eq!(silent, [node]);
        drop(all);
        let waiting = calls.0.lock().unpoisoned();
        assert_eq!((waiting.bytes, waiting.questions), (0, 0));
        assert!(waiting.calls.is_empty());
    }
}
