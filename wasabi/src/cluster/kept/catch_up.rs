//! Members that get what they have missed, as fast as they take it.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use futures_util::{
    FutureExt,
    future::{AbortHandle, Abortable},
};
use tokio::sync::oneshot;

use super::{Here, History, log::Messages};
use crate::{
    Close, Connection, ConnectionId, Message,
    connection::{attached::Companion, registry::GAP},
    log::limited,
    panics::caught,
};

/// A member that gets its messages from the log.
pub(super) struct Behind {
    /// Distinguishes it from the same member before it left and joined again.
    ticket: u64,
    abort: AbortHandle,
}

/// Those of a shard.
type Shard = HashMap<Arc<str>, HashMap<ConnectionId, Behind>>;

/// What a member gets next.
enum Next {
    Messages(Vec<(u64, Message)>),
    /// Messages are gone; it goes on with the newest.
    Gap,
    /// It has everything, or is no member.
    Nothing,
}

/// Brings a member from a message to the present.
struct CatchUp {
    history: Arc<History>,
    here: Here,
    connection: Connection,
    ticket: u64,
    /// Of the last message that the member has.
    number: u64,
}

impl History {
    /// From now on, the member gets the messages after this number from the log, once the gate is open. What is returned
    /// must accompany its connection, and may be dropped only while nothing is locked.
    pub(super) fn fall_behind(
        self: &Arc<Self>,
        shard: &mut Shard,
        here: &Here,
        connection: &Connection,
        number: u64,
        gate: Option<oneshot::Receiver<()>>,
    ) -> Companion {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (abort, registration) = AbortHandle::new_pair();
        let members = shard.entry(Arc::clone(&here.subject)).or_default();
        if let Some(before) = members.insert(connection.id(), Behind { ticket, abort }) {
            before.abort.abort();
        }
        let catching_up = CatchUp {
            history: Arc::clone(self),
            here: here.clone(),
            connection: connection.clone(),
            ticket,
            number,
        };
        let run = Abortable::new(catching_up.run(gate), registration);
        Box::pin(run.map(drop))
    }

    /// Forgets who was behind in a group.
    pub(super) fn give_up(&self, here: &Here) {
        let behind = self.behind.shard(&*here.subject).remove(&*here.subject);
        for member in behind.into_iter().flat_map(HashMap::into_values) {
            member.abort.abort();
        }
    }
}

impl CatchUp {
    async fn run(mut self, gate: Option<oneshot::Receiver<()>>) {
        if let Some(gate) = gate {
            // The gate opens by being dropped.
            let _ = gate.await;
        }
        loop {
            match self.next() {
                Next::Nothing => return,
                Next::Gap if !self.is_member() => return,
                Next::Gap => self.here.tell_gap(&self.connection),
                Next::Messages(messages) => {
                    for (number, message) in messages {
                        if !self.is_member() {
                            return;
                        }
                        if self.connection.send(message).await.is_err() {
                            return;
                        }
                        self.number = number;
                    }
                }
            }
        }
    }

    fn is_member(&self) -> bool {
        let group = self.here.registry.group(Arc::clone(&self.here.name));
        group.contains(&self.connection)
    }

    fn next(&mut self) -> Next {
        let history = Arc::clone(&self.history);
        let mut shard = history.behind.shard(&*self.here.subject);
        if !self.is_current(&shard) {
            return Next::Nothing;
        }
        let log = history.log();
        match log.after(&self.here.subject, self.number) {
            Messages::Next(messages) if messages.is_empty() => {
                self.leave(&mut shard);
                Next::Nothing
            }
            Messages::Next(messages) => Next::Messages(messages),
            Messages::Gone => {
                self.number = log.newest();
                Next::Gap
            }
        }
    }

    fn is_current(&self, shard: &Shard) -> bool {
        let members = shard.get(&*self.here.subject);
        let own = members.and_then(|members| members.get(&self.connection.id()));
        own.is_some_and(|own| own.ticket == self.ticket)
    }

    /// Gets the next messages when they come.
    fn leave(&self, shard: &mut Shard) {
        if let Some(members) = shard.get_mut(&*self.here.subject) {
            members.remove(&self.connection.id());
            if members.is_empty() {
                shard.remove(&*self.here.subject);
            }
        }
    }
}

impl Drop for CatchUp {
    /// A member that nobody brings any further must not go on as if it had everything.
    fn drop(&mut self) {
        let history = Arc::clone(&self.history);
        let mut shard = history.behind.shard(&*self.here.subject);
        if !self.is_current(&shard) {
            return;
        }
        self.leave(&mut shard);
        drop(shard);
        if !self.connection.is_closed() && self.is_member() {
            self.here.tell_gap(&self.connection);
        }
    }
}

impl Here {
    /// Tells a member that messages are lost.
    pub(super) fn tell_gap(&self, connection: &Connection) {
        let hook = self.kept().and_then(|kept| kept.gap_hook());
        let Some(hook) = hook else {
            return connection.close(Close::new(GAP, "messages of a group are lost"));
        };
        let group = self.registry.group(Arc::clone(&self.name));
        if caught(|| hook(&group, connection)).is_err() {
            limited!(ERROR, "`Kept::on_gap` panicked");
            connection.close(Close::new(GAP, "messages of a group are lost"));
        }
    }

    /// Tells all members.
    pub(super) fn tell_all(&self) {
        let members = self.registry.group(Arc::clone(&self.name)).connections();
        for member in members {
            self.tell_gap(&member);
        }
    }
}
