//! Members whose queue was full when somebody came or went: they are told to ask as soon as there is room.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{GAP, Registry, change::Change};
use crate::{
    Close, Connection, ConnectionId,
    sync::{Mutex, MutexGuard, Unpoisoned},
};

/// The groups that a member may be told of later. That is more than it can be in, unless the application allows more.
const MAX_GROUPS: usize = 1024;

/// By connection, the groups that it is to ask about.
#[derive(Default)]
pub(super) struct Owed(Mutex<HashMap<ConnectionId, HashSet<Arc<str>>>>);

impl Owed {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, HashSet<Arc<str>>>> {
        self.0.lock().unpoisoned()
    }
}

/// What a connection is owed is told alongside its requests.
struct Debt {
    registry: Registry,
    member: Connection,
    is_paid: bool,
}

impl Registry {
    /// Has a member told to ask who is in the group, as soon as there is room for that.
    pub(super) fn owe(&self, group: &Arc<str>, member: &Connection) {
        let group = Arc::clone(group);
        let mut owed = self.0.owed.lock();
        if let Some(groups) = owed.get_mut(&member.id()) {
            groups.insert(group);
            let is_too_much = groups.len() > MAX_GROUPS;
            drop(owed);
            if is_too_much {
                never_knows(member);
            }
            return;
        }
        owed.insert(member.id(), HashSet::from([group]));
        // A companion of a connection that has ended is dropped at once, and locks this itself.
        drop(owed);
        let debt = Debt {
            registry: self.clone(),
            member: member.clone(),
            is_paid: false,
        };
        member.accompany(Box::pin(debt.pay()));
    }
}

impl Debt {
    async fn pay(mut self) {
        while let Some(group) = self.next() {
            if !self
                .registry
                .group(Arc::clone(&group))
                .contains(&self.member)
            {
                continue;
            }
            let Some(unsure) = Change::unsure(&group).message() else {
                return;
            };
            if self.member.send(unsure).await.is_err() {
                return;
            }
        }
    }

    /// Takes a group before it is told: what changes meanwhile is owed again.
    fn next(&mut self) -> Option<Arc<str>> {
        let mut owed = self.registry.0.owed.lock();
        let groups = owed.get_mut(&self.member.id());
        let next = groups.and_then(|groups| {
            let next = groups.iter().next().cloned()?;
            groups.take(&next)
        });
        if next.is_none() {
            owed.remove(&self.member.id());
            self.is_paid = true;
        }
        next
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        if self.is_paid {
            return;
        }
        self.registry.0.owed.lock().remove(&self.member.id());
        if !self.member.is_closed() {
            never_knows(&self.member);
        }
    }
}

fn never_knows(member: &Connection) {
    member.close(Close::new(GAP, "who has come and gone is lost"));
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};

    use super::*;
    use crate::{Kept, Message, connection::registry::RegistryEntry, testing::TestConnection};

    const UNSURE: [&str; 2] = [
        r#"{"group":"a","unsure":true}"#,
        r#"{"group":"b","unsure":true}"#,
    ];

    /// A member of two groups whose queue is full.
    fn full() -> (Registry, TestConnection, RegistryEntry) {
        let registry = Registry::new();
        assert_eq!(registry.keep(&[Kept::all().announced()]), Ok(()));
        let (client, permit) = (TestConnection::new(), registry.admit(None));
        let member = client.handle();
        let entry = registry.enter(&member, permit.expect("a place"));
        for group in ["a", "b"] {
            assert!(registry.join(group, &member));
        }
        while member.try_send("message").is_ok() {}
        (registry, client, entry)
    }

    #[test]
    fn a_member_with_a_full_queue_is_told_to_ask_when_there_is_room_and_stays() {
        let (registry, client, _entry) = full();
        let member = client.handle();
        for _ in 0..3 {
            for group in ["a", "b", "a"] {
                registry.tell_members(&Change::unsure(group));
            }
        }
        let companions = member.take_companions();
        assert_eq!(companions.len(), 1);
        let mut paying = join_all(companions);
        assert!((&mut paying).now_or_never().is_none());
        // One of the groups is being told, and changes once more.
        for group in ["a", "b"] {
            registry.tell_members(&Change::unsure(group));
        }
        let filler = Message::text("message");
        assert!(client.sent().iter().all(|sent| *sent == filler));
        assert!((&mut paying).now_or_never().is_some());
        let sent = client.sent();
        let told: Vec<_> = sent.iter().filter_map(Message::as_text).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(UNSURE.iter().all(|unsure| told.contains(unsure)));
        assert_eq!(client.closing(), None);
        assert!(registry.0.owed.lock().is_empty());
        assert!(member.take_companions().is_empty());
    }

    #[test]
    fn a_member_that_nobody_tells_any_more_is_closed_and_one_that_has_left_is_told_nothing() {
        let (registry, client, _entry) = full();
        let member = client.handle();
        registry.tell_members(&Change::unsure("a"));
        assert!(registry.leave("a", &member));
        client.sent();
        for companion in member.take_companions() {
            assert!(companion.now_or_never().is_some());
        }
        assert!(client.sent().is_empty());
        while member.try_send("message").is_ok() {}
        registry.tell_members(&Change::unsure("b"));
        assert_eq!(client.closing(), None);
        drop(member.take_companions());
        assert_eq!(client.closing().map(|close| close.code), Some(GAP));
        assert!(registry.0.owed.lock().is_empty());
    }
}
