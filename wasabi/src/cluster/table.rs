//! The groups of this node that others may publish to: which the engine knows, and which have been left.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    connection::registry::elsewhere::{Parcel, Place, WeakRegistry},
    sync::{Mutex, MutexGuard, Unpoisoned},
};

/// How long a subscription outlives the last member, so that leaving and joining again costs nothing.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The subscriptions of a node.
///
/// Its lock is taken while a connection's place in a registry is locked, and before groups are.
#[derive(Default)]
pub(super) struct Table {
    rows: Mutex<Rows>,
    /// Something is to be subscribed to, or has been left.
    pub(super) work: Notify,
    /// Subscriptions have been confirmed.
    pub(super) settled: Notify,
}

#[derive(Default)]
struct Rows {
    by_subject: HashMap<Arc<str>, Row>,
    /// What the engine is to be asked for.
    waiting: BTreeMap<Ticket, Arc<str>>,
    tickets: u64,
    /// What was asked for last stood alone.
    was_alone: bool,
    /// When to look whether somebody has come back.
    left: BTreeSet<(Instant, Arc<str>)>,
}

struct Row {
    target: Arc<Target>,
    state: State,
    /// When it is removed, unless somebody comes back.
    left: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting(Ticket),
    /// The engine has been asked.
    Asked,
    Subscribed,
}

/// The place of a subject among those that the engine is to be asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    turn: Turn,
    number: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Asked for with others.
    Fresh,
    /// Refused together with others, and asked for alone: perhaps another one was meant.
    Doubtful,
    /// Refused alone.
    Refused,
}

impl Rows {
    fn wait(&mut self, subject: &Arc<str>, turn: Turn) -> State {
        self.tickets += 1;
        let ticket = Ticket {
            turn,
            number: self.tickets,
        };
        self.waiting.insert(ticket, Arc::clone(subject));
        State::Waiting(ticket)
    }

    fn wait_for(&mut self, subjects: &[Arc<str>], turn: Turn) {
        for subject in subjects {
            if self.by_subject.contains_key(subject) {
                let state = self.wait(subject, turn);
                self.set(subject, state);
            }
        }
    }

    fn set(&mut self, subject: &Arc<str>, state: State) {
        if let Some(row) = self.by_subject.get_mut(subject) {
            row.state = state;
        }
    }

    /// Sets when a row is removed.
    fn leave_at(&mut self, subject: &Arc<str>, due: Option<Instant>) {
        let Some(row) = self.by_subject.get_mut(subject) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut row.left, due) {
            self.left.remove(&(before, Arc::clone(subject)));
        }
        self.left.extend(due.map(|due| (due, Arc::clone(subject))));
    }

    fn take_fresh(&mut self, most: usize) -> Vec<Arc<str>> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(first) = self.waiting.first_entry()
            && first.key().turn == Turn::Fresh
        {
            taken.push(first.remove());
        }
        taken
    }

    fn take_alone(&mut self, may_retry: bool) -> Option<Arc<str>> {
        let from = Ticket {
            turn: Turn::Doubtful,
            number: 0,
        };
        let (&ticket, _) = self.waiting.range(from..).next()?;
        if ticket.turn == Turn::Refused && !may_retry {
            return None;
        }
        self.waiting.remove(&ticket)
    }

    fn remove(&mut self, subject: &Arc<str>) -> Option<State> {
        let row = self.by_subject.remove(subject)?;
        if let State::Waiting(ticket) = row.state {
            self.waiting.remove(&ticket);
        }
        Some(row.state)
    }
}

/// Whom a subject is for.
pub(super) struct Target {
    pub(super) registry: WeakRegistry,
    pub(super) place: Place,
}

impl Target {
    fn has_members(&self) -> bool {
        let registry = self.registry.upgrade();
        registry.is_some_and(|registry| registry.has_members(&self.place))
    }

    /// Returns how many members it is for.
    pub(super) fn deliver(&self, parcel: Parcel) -> usize {
        match self.registry.upgrade() {
            Some(registry) => registry.deliver(&self.place, parcel),
            None => 0,
        }
    }
}

impl Table {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unpoisoned()
    }

    /// The number of subjects.
    #[cfg(any(test, feature = "metrics"))]
    pub(super) fn len(&self) -> usize {
        self.rows().by_subject.len()
    }

    /// The number of subjects that the engine is to be asked for.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.rows().waiting.len()
    }

    pub(super) fn target(&self, subject: &str) -> Option<Arc<Target>> {
        let rows = self.rows();
        let row = rows.by_subject.get(subject)?;
        Some(Arc::clone(&row.target))
    }

    pub(super) fn state(&self, subject: &str) -> Option<State> {
        let rows = self.rows();
        rows.by_subject.get(subject).map(|row| row.state)
    }

    /// A member has come.
    pub(super) fn occupied(&self, subject: String, target: impl FnOnce() -> Target) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        if let Some((subject, _)) = rows.by_subject.get_key_value(&*subject) {
            let subject = Arc::clone(subject);
            return rows.leave_at(&subject, None);
        }
        let subject = Arc::from(subject);
        let row = Row {
            target: Arc::new(target()),
            state: rows.wait(&subject, Turn::Fresh),
            left: None,
        };
        rows.by_subject.insert(subject, row);
        drop(guard);
        self.work.notify_one();
    }

    /// The last member may have left.
    pub(super) fn vacated(&self, subject: &str) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        let Some((subject, _)) = rows.by_subject.get_key_value(subject) else {
            return;
        };
        let subject = Arc::clone(subject);
        let is_first = rows.left.is_empty();
        rows.leave_at(&subject, Some(Instant::now() + GRACE));
        drop(guard);
        if is_first {
            self.work.notify_one();
        }
    }

    /// Removes what has had no member for a while, and returns what the engine may know of it. At most `most` rows are
    /// looked at.
    pub(super) fn take_left(&self, most: usize) -> Vec<Arc<str>> {
        let now = Instant::now();
        let mut guard = self.rows();
        let rows = &mut *guard;
        let mut known = Vec::new();
        for _ in 0..most {
            let subject = match rows.left.first() {
                Some((due, subject)) if *due <= now => Arc::clone(subject),
                _ => break,
            };
            rows.leave_at(&subject, None);
            let row = rows.by_subject.get(&subject);
            if row.is_some_and(|row| row.target.has_members()) {
                // Somebody joins at this moment, or has.
                continue;
            }
            match rows.remove(&subject) {
                None => {}
                Some(State::Waiting(ticket)) if ticket.turn == Turn::Fresh => {}
                // An engine may have taken a part of what it refused.
                Some(_) => known.push(subject),
            }
        }
        if rows.by_subject.is_empty() {
            // Frees the memory of a burst.
            *rows = Rows::default();
        }
        known
    }

    /// When the next row is to be looked at.
    pub(super) fn next_left(&self) -> Option<Instant> {
        self.rows().left.first().map(|(due, _)| *due)
    }

    /// What the engine is to be asked for next; it counts as asked for. What it has refused stands alone, in turns with
    /// everything else.
    pub(super) fn take_waiting(&self, most: usize, may_retry: bool) -> Vec<Arc<str>> {
        let mut guard = self.rows();
        let rows = &mut *guard;
        rows.was_alone = !rows.was_alone;
        let mut taken = Vec::new();
        if !rows.was_alone {
            taken = rows.take_fresh(most);
        }
        if taken.is_empty() {
            taken.extend(rows.take_alone(may_retry));
        }
        if taken.is_empty() {
            taken = rows.take_fresh(most);
        }
        for subject in &taken {
            rows.set(subject, State::Asked);
        }
        taken
    }

    /// The engine has confirmed these.
    pub(super) fn subscribed(&self, subjects: &[Arc<str>]) {
        let mut rows = self.rows();
        for subject in subjects {
            rows.set(subject, State::Subscribed);
        }
        drop(rows);
        self.settled.notify_waiters();
    }

    /// The engine has refused these, or one of them; they are to be asked for again.
    pub(super) fn refused(&self, subjects: &[Arc<str>]) {
        let turn = match subjects {
            [_] => Turn::Refused,
            _ => Turn::Doubtful,
        };
        self.rows().wait_for(subjects, turn);
    }

    /// The engine knows nothing any more: everything is to be asked for.
    pub(super) fn forget(&self) {
        let mut rows = self.rows();
        rows.waiting.clear();
        let subjects: Vec<_> = rows.by_subject.keys().cloned().collect();
        rows.wait_for(&subjects, Turn::Fresh);
    }
}
