//! The groups of this node that others may publish to: which the engine knows, and which have been left.

use std::{
    collections::{HashMap, VecDeque},
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
    /// What the engine is to be asked for. May name a subject twice, or one that has gone.
    fresh: Vec<Arc<str>>,
    /// When to look whether somebody has come back; each subject at most once.
    left: VecDeque<(Instant, Arc<str>)>,
}

struct Row {
    target: Arc<Target>,
    state: State,
    /// When the last member left.
    left: Option<Instant>,
    is_in_left: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Fresh,
    /// The engine has been asked.
    Asked,
    Subscribed,
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
        let mut rows = self.rows();
        if let Some(row) = rows.by_subject.get_mut(&*subject) {
            row.left = None;
            return;
        }
        let subject = Arc::from(subject);
        let row = Row {
            target: Arc::new(target()),
            state: State::Fresh,
            left: None,
            is_in_left: false,
        };
        rows.by_subject.insert(Arc::clone(&subject), row);
        rows.fresh.push(subject);
        drop(rows);
        self.work.notify_one();
    }

    /// The last member may have left.
    pub(super) fn vacated(&self, subject: &str) {
        let now = Instant::now();
        let mut guard = self.rows();
        let rows = &mut *guard;
        let Some((subject, _)) = rows.by_subject.get_key_value(subject) else {
            return;
        };
        let subject = Arc::clone(subject);
        let Some(row) = rows.by_subject.get_mut(&subject) else {
            return;
        };
        row.left = Some(now);
        if !std::mem::replace(&mut row.is_in_left, true) {
            rows.left.push_back((now + GRACE, subject));
            drop(guard);
            self.work.notify_one();
        }
    }

    /// Removes what has had no member for a while, and returns what the engine knows of it. At most `most` rows are
    /// looked at.
    pub(super) fn take_left(&self, most: usize) -> Vec<Arc<str>> {
        let now = Instant::now();
        let mut guard = self.rows();
        let rows = &mut *guard;
        let mut known = Vec::new();
        for _ in 0..most {
            match rows.left.front() {
                Some((due, _)) if *due <= now => {}
                _ => break,
            }
            let Some((_, subject)) = rows.left.pop_front() else {
                break;
            };
            let Some(row) = rows.by_subject.get_mut(&subject) else {
                continue;
            };
            row.is_in_left = false;
            match row.left.map(|left| left + GRACE) {
                // Somebody joins at this moment, or has.
                _ if row.target.has_members() => row.left = None,
                Some(later) if later > now => {
                    row.is_in_left = true;
                    rows.left.push_back((later, subject));
                }
                _ => {
                    let is_known = row.state == State::Subscribed;
                    rows.by_subject.remove(&subject);
                    known.extend(is_known.then_some(subject));
                }
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
        self.rows().left.front().map(|(due, _)| *due)
    }

    /// What the engine is to be asked for next; it counts as asked for.
    pub(super) fn take_fresh(&self, most: usize) -> Vec<Arc<str>> {
        let mut guard = self.rows();
        let rows = &mut *guard;
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(subject) = rows.fresh.pop()
        {
            if let Some(row) = rows.by_subject.get_mut(&subject)
                && row.state == State::Fresh
            {
                row.state = State::Asked;
                taken.push(subject);
            }
        }
        taken
    }

    /// The engine has confirmed these.
    pub(super) fn subscribed(&self, subjects: &[Arc<str>]) {
        let mut rows = self.rows();
        for subject in subjects {
            if let Some(row) = rows.by_subject.get_mut(subject) {
                row.state = State::Subscribed;
            }
        }
        drop(rows);
        self.settled.notify_waiters();
    }

    /// The engine has refused these; they are to be asked for again.
    pub(super) fn refused(&self, subjects: Vec<Arc<str>>) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        for subject in subjects {
            if let Some(row) = rows.by_subject.get_mut(&subject) {
                row.state = State::Fresh;
                rows.fresh.push(subject);
            }
        }
    }

    /// The engine knows nothing any more: everything is to be asked for.
    pub(super) fn forget(&self) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        rows.fresh.clear();
        for (subject, row) in &mut rows.by_subject {
            row.state = State::Fresh;
            rows.fresh.push(Arc::clone(subject));
        }
    }
}
