//! A limited number of places that connections take in turn.
//!
//! While there is room, a request gets a place at once. Freed places go to the waiting connections in turn, however
//! many requests each has: a connection that asks for many places waits behind itself, and does not hold up others.

#[cfg(all(test, wasabi_loom))]
mod models;
#[cfg(all(test, not(wasabi_loom)))]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    ConnectionId,
    connection::id::ById,
    sync::{Mutex, Unpoisoned},
};

/// The places, with their holders and the requests waiting for one. It allocates when a second connection arrives or a
/// request has to wait, and keeps the memory.
#[derive(Default)]
pub(crate) struct Line {
    taken: usize,
    waiting: usize,
    /// The connection that arrived when there was no other.
    first: Option<(ConnectionId, ConnectionPart)>,
    others: HashMap<ConnectionId, ConnectionPart, ById>,
    /// The waiting connections, the next one first.
    turns: VecDeque<ConnectionId>,
    /// The last ticket issued.
    ticket: u64,
}

/// A connection's share of the places. It exists while the connection has a place or waits for one.
#[derive(Default)]
struct ConnectionPart {
    taken: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    ticket: u64,
    limit: usize,
    waker: Option<Waker>,
}

/// Which requests may wait when all places are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// Every request, while fewer than this many wait.
    Everybody(usize),
    /// A request whose connection has fewer places, including those it waits for, than its equal share (at least one);
    /// and no more requests than there are places.
    BelowShare,
}

enum Admission {
    Place,
    Ticket(u64),
    Full,
}

impl Line {
    /// The number of places taken.
    #[cfg(any(test, feature = "queue"))]
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Whether no connection has a place or waits for one.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    fn known(&self, connection: ConnectionId) -> Option<&ConnectionPart> {
        match &self.first {
            Some((id, part)) if *id == connection => Some(part),
            _ => self.others.get(&connection),
        }
    }

    fn part(&mut self, connection: ConnectionId) -> Option<&mut ConnectionPart> {
        match &mut self.first {
            Some((id, part)) if *id == connection => Some(part),
            _ => self.others.get_mut(&connection),
        }
    }

    fn part_or_new(&mut self, connection: ConnectionId) -> &mut ConnectionPart {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some((connection, ConnectionPart::default()));
        }
        match &mut self.first {
            Some((id, part)) if *id == connection => part,
            _ => self.others.entry(connection).or_default(),
        }
    }

    fn enter(&mut self, connection: ConnectionId, limit: usize, rule: Rule) -> Admission {
        // No waiting request has room: it would have been given the last place that was freed.
        if self.taken < limit {
            self.taken += 1;
            self.part_or_new(connection).taken += 1;
            return Admission::Place;
        }
        let may_wait = match rule {
            Rule::Everybody(most) => self.waiting < most,
            Rule::BelowShare => {
                let known = self.known(connection);
                let (is_new, has) =
                    known.map_or((1, 0), |part| (0, part.taken + part.waiting.len()));
                let connections = self.others.len() + usize::from(self.first.is_some()) + is_new;
                self.waiting < limit && has < (limit / connections).max(1)
            }
        };
        if !may_wait {
            return Admission::Full;
        }
        self.ticket += 1;
        let ticket = self.ticket;
        self.waiting += 1;
        let part = self.part_or_new(connection);
        let is_first = part.waiting.is_empty();
        part.waiting.push_back(Waiting {
            ticket,
            limit,
            waker: None,
        });
        if is_first {
            self.turns.push_back(connection);
        }
        Admission::Ticket(ticket)
    }

    /// Returns a place and gives it to the next request whose limit allows it. The caller must wake the waker after
    /// releasing the line.
    fn leave(&mut self, connection: ConnectionId) -> Option<Waker> {
        self.taken -= 1;
        if let Some(part) = self.part(connection) {
            part.taken -= 1;
        }
        self.forget_if_idle(connection);
        let taken = self.taken;
        let next = |waiting: &Waiting| taken < waiting.limit;
        // Usually this is the first request of the first connection.
        let turn = (0..self.turns.len()).find(|turn| {
            self.known(self.turns[*turn])
                .is_some_and(|part| part.waiting.iter().any(next))
        })?;
        let connection = self.turns.remove(turn)?;
        let part = self.part(connection)?;
        let at = part.waiting.iter().position(next)?;
        let waiting = part.waiting.remove(at)?;
        part.taken += 1;
        if !part.waiting.is_empty() {
            self.turns.push_back(connection);
        }
        self.taken += 1;
        self.waiting -= 1;
        waiting.waker
    }

    /// `Ready` once the ticket has become a place.
    fn poll(&mut self, connection: ConnectionId, ticket: u64, waker: &Waker) -> Poll<()> {
        let part = self.part(connection);
        let mut waiting = part.into_iter().flat_map(|part| &mut part.waiting);
        let Some(waiting) = waiting.find(|waiting| waiting.ticket == ticket) else {
            return Poll::Ready(());
        };
        match &mut waiting.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Poll::Pending
    }

    /// Gives up a ticket, or the place that it has become.
    fn give_up(&mut self, connection: ConnectionId, ticket: u64) -> Option<Waker> {
        let part = self.part(connection)?;
        let at = part
            .waiting
            .iter()
            .position(|waiting| waiting.ticket == ticket);
        let Some(at) = at else {
            return self.leave(connection);
        };
        part.waiting.remove(at);
        let none_left = part.waiting.is_empty();
        self.waiting -= 1;
        if none_left {
            self.turns.retain(|waiting| *waiting != connection);
        }
        self.forget_if_idle(connection);
        None
    }

    fn forget_if_idle(&mut self, connection: ConnectionId) {
        let is_idle = |part: &ConnectionPart| part.taken == 0 && part.waiting.is_empty();
        match &self.first {
            Some((id, part)) if *id == connection => {
                if is_idle(part) {
                    self.first = None;
                }
            }
            _ => {
                if self.others.get(&connection).is_some_and(is_idle) {
                    self.others.remove(&connection);
                    // Frees the memory of a burst.
                    if self.others.is_empty() && self.others.capacity() > 1024 {
                        self.others = HashMap::default();
                    }
                }
            }
        }
    }
}

/// Access to a line, behind a briefly held lock.
pub(crate) trait LineAccess: Unpin {
    /// Runs `work` on the line, which is created if missing.
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R;
}

/// A line behind its own lock.
#[cfg(test)]
type SharedLine = Arc<Mutex<Line>>;

impl LineAccess for Mutex<Line> {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        // No user code runs in there.
        work(&mut self.lock().unpoisoned())
    }
}

impl<P: LineAccess> LineAccess for Arc<P> {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        (**self).line(work)
    }
}

impl<P: LineAccess> LineAccess for &P {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        (**self).line(work)
    }
}

/// The result of asking for a place.
pub(crate) enum Entered<P: LineAccess> {
    Place(Permit<P>),
    Turn(Turn<P>),
    /// No place is free, and the request may not wait.
    Full,
}

/// Asks for a place among `limit` for a request of this connection.
pub(crate) fn enter<P: LineAccess>(
    place: P,
    connection: ConnectionId,
    limit: usize,
    rule: Rule,
) -> Entered<P> {
    match place.line(|line| line.enter(connection, limit, rule)) {
        Admission::Place => Entered::Place(Permit { place, connection }),
        Admission::Ticket(ticket) => Entered::Turn(Turn {
            place: Some(place),
            connection,
            ticket,
        }),
        Admission::Full => Entered::Full,
    }
}

/// A place. Dropping it passes it to the next request.
pub(crate) struct Permit<P: LineAccess> {
    place: P,
    connection: ConnectionId,
}

impl<P: LineAccess> Drop for Permit<P> {
    fn drop(&mut self) {
        if let Some(waker) = self.place.line(|line| line.leave(self.connection)) {
            waker.wake();
        }
    }
}

/// The wait for a place. Dropping it passes the turn on.
pub(crate) struct Turn<P: LineAccess> {
    /// `None` once it has become a permit.
    place: Option<P>,
    connection: ConnectionId,
    ticket: u64,
}

impl<P: LineAccess> Future for Turn<P> {
    type Output = Permit<P>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit<P>> {
        let Self {
            connection, ticket, ..
        } = *self;
        let Some(place) = &self.place else {
            return Poll::Pending; // it has been ready
        };
        if place
            .line(|line| line.poll(connection, ticket, cx.waker()))
            .is_pending()
        {
            return Poll::Pending;
        }
        match self.place.take() {
            Some(place) => Poll::Ready(Permit { place, connection }),
            None => Poll::Pending,
        }
    }
}

impl<P: LineAccess> Drop for Turn<P> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        if let Some(waker) = place.line(|line| line.give_up(self.connection, self.ticket)) {
            waker.wake();
        }
    }
}
