//! From an entry of the feed to the members of its group.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;

use super::{Here, History, limits};
use crate::{
    Message, Position, TrySendError,
    cluster::{envelope, feed::Entry},
    connection::registry::elsewhere::Parcel,
    log::limited,
    panics::caught,
};

impl History {
    /// Appends an entry to the log, and delivers it unless it is from before. Returns how many members it is for.
    pub(super) fn append(self: &Arc<Self>, entry: Entry, is_from_before: bool) -> usize {
        let now = Instant::now();
        let at = now.checked_sub(entry.age).unwrap_or(now);
        let (group, position) = (&entry.group, entry.position);
        let Some((here, message)) = self.opened(group, position, entry.message) else {
            self.log().append(group, position, None, at);
            return 0;
        };
        let limits = here.kept().map(limits);
        let mut shard = self.behind.shard(&**group);
        let kept = limits.map(|limits| (message.clone(), limits));
        let number = self.log().append(group, position, kept, at);
        if is_from_before {
            return 0;
        }
        self.received.fetch_add(1, Ordering::Relaxed);
        let members = here.registry.group(Arc::clone(&here.name)).connections();
        let (count, mut slow) = (members.len(), Vec::new());
        let behind = shard.get(&**group);
        for member in members {
            if behind.is_some_and(|behind| behind.contains_key(&member.id())) {
                continue;
            }
            if let Err(TrySendError::Full(_)) = member.try_send(message.clone()) {
                slow.push(member);
            }
        }
        let mut companions = Vec::new();
        for member in slow {
            let companion = self.fall_behind(&mut shard, &here, &member, number - 1, None);
            companions.push((member, companion));
        }
        // A companion may be dropped now.
        drop(shard);
        for (member, companion) in companions {
            member.accompany(companion);
        }
        count
    }

    /// The message of an entry that is for a group here.
    fn opened(
        &self,
        group: &Arc<str>,
        position: Position,
        message: bytes::Bytes,
    ) -> Option<(Here, Message)> {
        let here = self.here(group)?;
        let Some(Parcel::Message(message)) = envelope::open(message) else {
            limited!(
                WARN,
                "a message of a kept group left out: it is not from a gateway, or from a newer version"
            );
            return None;
        };
        let message = stamped(&here, message, position)?;
        Some((here, message))
    }

    /// Tells all members of kept groups that messages are lost.
    pub(super) fn tell_everybody(&self) {
        for here in self.occupied() {
            self.give_up(&here);
            here.tell_all();
        }
    }
}

/// `None` if the group is not kept.
fn stamped(here: &Here, message: Message, position: Position) -> Option<Message> {
    let Some(stamp) = here.kept()?.stamping() else {
        return Some(message);
    };
    let stamped = caught(|| stamp(&here.name, message.clone(), position));
    Some(stamped.unwrap_or_else(|_| {
        limited!(ERROR, "`Kept::stamp_with` panicked");
        message
    }))
}
